"""Stands before an app: counts its calls, checks the token, keeps strangers from the hands, and answers what faults ask for.

Paths under /sandbox, and the page at /, are for people on this machine: no token, not counted, no faults.
"""

import asyncio
import hmac
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.sandbox.faults import Answer, CommonFaults

KEPT = 100_000
READS = ("/batch/read", "/unsubscribe-all/read", "/search", "/access-token-info")
"""Ends of POST paths that change nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One API call that was answered. path: the template, so `{id}` instead of an id."""

    method: str
    path: str
    status: int

    @property
    def write(self) -> bool:
        """Was it meant to change something?"""
        return self.method != "GET" and not (self.method == "POST" and self.path.endswith(READS))


class Calls:
    """The API calls so far, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Note a call."""
        with self._lock:
            self._calls.append(call)

    def __iter__(self) -> Iterator[Call]:
        with self._lock:
            return iter(list(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    def count(self, prefix: str = "", writes_only: bool = False) -> int:
        """Calls whose path template starts with `prefix`; writes_only: those meant to change something, whatever came of it."""
        return sum(one.path.startswith(prefix) and (one.write or not writes_only) for one in self)

    def clear(self) -> None:
        """Start counting anew."""
        with self._lock:
            self._calls.clear()


class Limits(Protocol):
    """Refuses calls above a limit, and says in headers how much is left."""

    def refuse(self, path: str) -> Response | None:
        """The answer to a call that is too many; None, and the call counts, when it is not."""

    def headers(self, path: str) -> Mapping[str, str]:
        """What every answer tells of the limits."""


class Gate:
    """ASGI middleware. unauthorised: the answer without the token. header: where that is, after `Bearer` in the usual one."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        faults: Callable[[], CommonFaults],
        calls: Calls,
        unauthorised: Callable[[], Response],
        limits: Limits | None = None,
        header: str = "authorization",
    ) -> None:
        self._app = app
        self._header = header
        self._proof = f"Bearer {token}" if header == "authorization" else token
        self._faults = faults
        self._calls = calls
        self._unauthorised = unauthorised
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == "/" or scope["path"].startswith("/sandbox"):
            stranger = not self._has_token(scope) and not _from_here(scope)
            await (_forbidden() if stranger else self._app)(scope, receive, send)
        else:
            await self._call(scope, receive, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        faults = self._faults()
        if faults.delay:
            await asyncio.sleep(faults.delay)
        path, status = scope["path"], 0
        headers = self._limits.headers(path) if self._limits else {}

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(headers)
                self._note(scope, status)  # before the answer is there: whoever has it may count at once
            await send(message)

        try:
            early = self._refusal(scope)
            if early is not None:
                await early(scope, receive, note)
            else:
                await self._answer(faults.next_answer(scope["method"], path), scope, receive, note)
        finally:
            if not status:
                self._note(scope, 500)

    def _note(self, scope: Scope, status: int) -> None:
        template = str(getattr(scope.get("route"), "path", scope["path"]))
        self._calls.add(Call(scope["method"], template, status))

    def _refusal(self, scope: Scope) -> Response | None:
        if not self._has_token(scope):
            return self._unauthorised()
        return self._limits.refuse(scope["path"]) if self._limits else None

    async def _answer(self, queued: Answer | None, scope: Scope, receive: Receive, send: Send) -> None:
        if queued is None:
            await self._app(scope, receive, send)
            return
        if queued.after and queued.status:
            await self._app(scope, receive, _swallow)
        await asyncio.sleep(queued.delay)
        answer = _response(queued) if queued.status else self._app
        await answer(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        told = Headers(scope=scope).get(self._header, "")
        return hmac.compare_digest(told.encode(), self._proof.encode())


async def _swallow(message: Message) -> None:
    pass


def _response(queued: Answer) -> Response:
    body: Any = queued.body
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else orjson.dumps(body)
    return Response(b"" if body is None else content, queued.status, {"Content-Type": "application/json", **queued.headers})


def _forbidden() -> Response:
    return Response("For people on this machine, or with the token.\n", 403, media_type="text/plain")


def _from_here(scope: Scope) -> bool:
    """Sent from this machine, and not by a page of somebody else's that a browser shows here."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    names = [headers.get("host", "").rsplit(":", 1)[0], *([urlsplit(origin).hostname or ""] if origin else [])]
    client = scope.get("client")
    return client is not None and _loopback(client[0]) and all(_loopback(name) for name in names)


def _loopback(name: str) -> bool:
    if name in ("localhost", "testserver", "testclient"):
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
