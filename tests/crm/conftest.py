"""A HubSpot that says what a test tells it to, over real HTTP, and a driver that talks to it without real waiting."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from connector.crm.hubspot.driver import HubSpot
from connector.crm.hubspot.limits import BURST, SEARCH, Budget, Limiter, MemoryLog

TOKEN = "pat-eu1-very-secret"
PORTAL = 4711


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, list[str]]
    body: dict
    headers: dict[str, str]

    @property
    def ids(self) -> list[str]:
        return [one["id"] for one in self.body.get("inputs", [])]


@dataclass
class Say:
    """One answer. cut: bytes of the body that are promised and never sent. drip: seconds between single bytes of it."""

    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    drip: float = 0


class Stub:
    """Answers in the order they were given; the last one stands."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: deque[Say | Callable[[Call], Say]] = deque()
        self.connections = 0

    def says(self, *answers: Say | Callable[[Call], Say]) -> None:
        self.answers.extend(answers)

    def answer(self, call: Call) -> Say:
        self.calls.append(call)
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        return answer(call) if callable(answer) else answer

    def paths(self) -> list[str]:
        return [f"{call.method} {call.path.removeprefix('/crm/v3/objects/contacts')}" for call in self.calls]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.stub.connections += 1

    def handle_any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(raw) if raw else {}
        self.send(self.server.stub.answer(Call(self.command, url.path, parse_qs(url.query), body, headers)))

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any

    def send(self, say: Say) -> None:
        body = say.body if isinstance(say.body, bytes) else b"" if say.body is None else json.dumps(say.body).encode()
        self.send_response(say.status)
        for name, value in say.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + say.cut))
        self.end_headers()
        self.close_connection = self.close_connection or bool(say.cut)
        if not say.drip:
            self.wfile.write(body)
            return
        try:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(say.drip)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture(scope="session")
def _server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def stub(_server: ThreadingHTTPServer) -> Stub:
    _server.stub = Stub()
    return _server.stub


@pytest.fixture
def base_url(_server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{_server.server_address[1]}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(MemoryLog(clock), {BURST: Budget(100_000, 10), SEARCH: Budget(100_000, 1)}, clock)


@pytest.fixture
def hubspot(stub: Stub, base_url: str, clock: Clock, limiter: Limiter) -> HubSpot:
    return HubSpot(base_url, TOKEN, PORTAL, limiter, None, sleep=clock.sleep, clock=clock)  # type: ignore[arg-type]


def record(contact_id: str, trace: str | None = None, new: bool | None = None, **properties: str | None) -> dict:
    """A contact as HubSpot answers it."""
    answer: dict = {"id": contact_id, "properties": {"hs_object_id": contact_id, **properties}, "archived": False}
    answer["updatedAt"] = "2026-11-24T10:00:00.123Z"
    if trace:
        answer["objectWriteTraceId"] = trace
    if new is not None:
        answer["new"] = new
    return answer


def results(*records: dict, status: int = 200, errors: list[dict] | None = None) -> Say:
    """A batch answer."""
    extra = {"numErrors": len(errors), "errors": errors} if errors else {}
    return Say(207 if errors else status, {"status": "COMPLETE", "results": list(records), **extra})


def error(category: str, message: str = "", **context: list[str]) -> dict:
    """One error of HubSpot's, as it stands in a body or in a batch's list."""
    return {"status": "error", "category": category, "message": message, "correlationId": "c-1", "context": context}
