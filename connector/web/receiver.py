"""Where webhooks arrive. A delivery is checked, kept and answered here; what it means is worked out later, from the database.

The checks, in order: path and method, size, content type, signature and freshness, then what is in the body. What is not
correctly signed is never kept; what is, always, even when nobody can read it.

Facts (HubSpot API, "Webhooks"; Standard Webhooks, "Operational considerations"): a sender waits a few seconds, repeats what
was answered with 5xx or 429, and may give up on other answers. So trouble of ours is always 503.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

import structlog
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from connector.errors import BadDelivery, BadSignature, TooManyItems, Unavailable
from connector.model import Delivery, Item
from connector.web import metrics
from connector.web.group_commit import GroupCommit, Inbox, Key
from connector.web.problems import NONE, Headers, answer_json, refuse
from connector.web.throttle import Throttle

MAX_BODY = 1 << 20
"""Bytes."""
BODY_SECONDS = 10.0
"""Seconds a sender has for the whole body."""
RETRY_AFTER = 5
"""Seconds after which a sender should come again when we have trouble."""

CRM = "crm"
"""The inbox source of the CRM's deliveries; every other source is a provider's name."""

CLOSE = {"connection": "close"}
"""For answers that leave a part of the request unread."""

_JSON = re.compile(r'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?;?', re.IGNORECASE)

log = structlog.get_logger(__name__)


class Sender(Protocol):
    """The part of a Provider or a Crm that takes its deliveries in."""

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """Raises BadSignature."""

    def split(self, delivery: Delivery) -> list[Item]:
        """Raises BadDelivery, TooManyItems."""


class Refused(Exception):
    """A request that is answered with a problem."""

    def __init__(self, status: int, code: str, headers: Headers = NONE) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.headers = headers


class Gone(Exception):
    """The sender hung up."""


def receiver_routes(
    senders: Mapping[str, Sender],
    crm: Sender,
    inbox: Inbox,
    public_url: str,
    clock: Callable[[], datetime],
    ring: Callable[[], None],
) -> list[BaseRoute]:
    """Everything under /webhooks.

    senders: providers by the name they have in the configuration. public_url: this service as senders call it; the path
    follows. clock: now, UTC. ring: called after a commit that brought something new; must return at once.
    """
    receiver = Receiver(senders, crm, inbox, public_url, clock, ring)
    return [Route("/webhooks", receiver, include_in_schema=False), Mount("/webhooks", receiver)]


class Receiver:
    """The ASGI application behind the webhook routes. For one event loop."""

    def __init__(
        self,
        senders: Mapping[str, Sender],
        crm: Sender,
        inbox: Inbox,
        public_url: str,
        clock: Callable[[], datetime],
        ring: Callable[[], None],
    ) -> None:
        paths = {f"/webhooks/identity/{name}": (name, sender) for name, sender in senders.items()}
        self._paths: dict[str, tuple[str, Sender]] = {**paths, "/webhooks/hubspot": (CRM, crm)}
        self._public_url = public_url.rstrip("/")
        self._clock = clock
        self._commit = GroupCommit(inbox, ring)
        self._throttle = Throttle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        began = time.perf_counter()
        path = scope["raw_path"].decode("latin-1")  # undecoded: another spelling of a path is another path
        source, sender = self._paths.get(path, ("", None))
        if sender is None:
            await refuse(send, 404, "not_found", CLOSE)
            return
        status = 200
        try:
            counts = await self._take(source, sender, path, scope, receive)
            await answer_json(send, status, counts)
        except Refused as problem:
            status = problem.status
            await refuse(send, status, problem.code, problem.headers)
        except Gone:
            status = 499
        metrics.deliveries.labels(source, status).inc()
        metrics.seconds.labels(source).observe(time.perf_counter() - began)

    async def _take(self, source: str, sender: Sender, path: str, scope: Scope, receive: Receive) -> dict[str, int]:
        """Check, keep and count one delivery. Raises Refused, Gone."""
        headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
        check_head(scope["method"], headers)
        body = await read_body(receive)
        query = scope["query_string"].decode("latin-1")
        url = f"{self._public_url}{path}?{query}" if query else f"{self._public_url}{path}"
        delivery = Delivery(scope["method"], url, headers, body)
        self._authenticate(source, sender, delivery, scope)
        items, problem = read_items(source, sender, delivery)
        new = await self._keep(source, items)
        if problem:
            log.warning("delivery.unreadable", source=source, why=items[0].problem, bytes=len(body))
            raise problem
        return count(source, items, new)

    def _authenticate(self, source: str, sender: Sender, delivery: Delivery, scope: Scope) -> None:
        """Always verify: that is cheap, and a correctly signed delivery must not suffer from what others send."""
        try:
            sender.authenticate(delivery, self._clock())
        except BadSignature as error:
            metrics.unauthenticated.labels(source, error.code).inc()
            if error.code == "signature":
                metrics.signature_failures.labels(source).inc()
            address = scope["client"][0] if scope.get("client") else ""
            if wait := self._throttle.failed(address):
                raise Refused(429, "too_many_failures", {"retry-after": str(wait)}) from None
            log.warning("delivery.unauthenticated", source=source, code=error.code)
            raise Refused(401, error.code, {"www-authenticate": "Signature"}) from None
        metrics.signature_failures.labels(source).set(0)

    async def _keep(self, source: str, items: list[Item]) -> set[Key]:
        try:
            return await self._commit.add([(source, item) for item in items])
        except Unavailable as error:
            log.error("delivery.not_kept", source=source, items=len(items), why=str(error))
            raise Refused(503, "unavailable", {"retry-after": str(RETRY_AFTER)}) from None


def check_head(method: str, headers: tuple[tuple[str, str], ...]) -> None:
    """What can be refused before the body is read. Raises Refused."""
    if method != "POST":
        raise Refused(405, "method_not_allowed", {"allow": "POST", **CLOSE})
    told = dict(headers)
    length = told.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,18}", length) or int(length) > MAX_BODY:
        raise Refused(413, "too_large", CLOSE)
    kinds = [value for name, value in headers if name == "content-type"]
    if len(kinds) != 1 or not _JSON.fullmatch(kinds[0].strip()):
        raise Refused(415, "content_type", CLOSE)
    if told.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise Refused(415, "content_encoding", CLOSE)


async def read_body(receive: Receive) -> bytes:
    """The whole body, bounded in size and time. Raises Refused, Gone."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > MAX_BODY:
                    raise Refused(413, "too_large", CLOSE)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise Refused(408, "too_slow", CLOSE) from None


def read_items(source: str, sender: Sender, delivery: Delivery) -> tuple[list[Item], Refused | None]:
    """The events of an authenticated delivery; or the delivery as a whole, for quarantine, and how to answer it."""
    try:
        return sender.split(delivery), None
    except TooManyItems as error:
        return [whole(delivery, str(error))], Refused(413, "too_many_items")
    except BadDelivery as error:
        return [whole(delivery, str(error))], Refused(400, "unreadable")
    except Exception as error:  # a reader's own mistake: the sender did its part, and the delivery is kept
        log.error("delivery.reader_failed", source=source, error=type(error).__name__)
        return [whole(delivery, f"the reader failed: {type(error).__name__}")], None


def whole(delivery: Delivery, problem: str) -> Item:
    """A delivery as one item that waits for a person."""
    return Item(f"body:{hashlib.sha256(delivery.body).hexdigest()}", "", delivery.body, problem=problem)


def count(source: str, items: list[Item], new: set[Key]) -> dict[str, int]:
    """The answer to a kept delivery, in items."""
    problems = {item.key for item in items if item.problem is not None}
    quarantined = sum(key in problems for _, key in new)
    counts = {"accepted": len(new) - quarantined, "duplicates": len(items) - len(new), "quarantined": quarantined}
    for result, number in counts.items():
        if number:
            metrics.items.labels(source, result).inc(number)
    if quarantined:
        log.warning("delivery.quarantined", source=source, items=quarantined)
    return counts
