"""How many HubSpot calls the main jobs cost, counted by the sandbox portal: python benchmarks/api_calls.py

1,000 new users in a burst of signed deliveries, 1,000 changed users, the same 1,000 again unchanged, an idle sweep and an
idle reconcile. `connector up` runs as a process of its own; its own webhooks come back to it as they would.
"""

import argparse
import http.client
import json
import sys
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks import Webhook

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.e2e.stack import SECRET, Stack, wait_for

MOST = {"new": 12, "changed": 22, "unchanged": 0, "idle": 0}
"""The most calls each job may cost (for the last two: writes)."""


def main() -> int:
    """Run, print a line each. Exit code 1 when a limit is passed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--users", type=int, default=1000)
    users = options.parse_args().users
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder)).up()
        try:
            return _measure(stack, users)
        finally:
            stack.close()


def _measure(stack: Stack, users: int) -> int:
    stack.idp.webhook_url = None  # the deliveries come from `_burst`, faster than the sandbox sends
    ids: list[str] = []

    def register() -> None:
        for number in range(users):
            values = {"email": f"u{number}@example.com", "first_name": "Ada", "last_name": f"N{number}", "country": "ES"}
            ids.append(stack.idp.register(values))
        _burst(stack, "user.created", ids)

    def rename(first: str) -> None:
        for user in ids:
            stack.idp.edit(user, {"first_name": first})
        _burst(stack, "user.updated", ids)

    jobs = [
        ("new", register, lambda: len(stack.portal.contacts()) >= users),
        ("changed", lambda: rename("Augusta"), lambda: _all_named(stack, "Augusta", users)),
        ("unchanged", lambda: rename("Augusta"), lambda: True),
        ("idle", lambda: time.sleep(3), lambda: True),
    ]
    worst = 0
    for name, do, arrived in jobs:
        stack.portal.calls.clear()
        started = time.monotonic()
        do()
        wait_for(arrived, 120, every=0.05)
        took = time.monotonic() - started
        _quiet(stack)
        calls, writes = stack.portal.count(), stack.portal.count(writes_only=True)
        cost = writes if name in ("unchanged", "idle") else calls
        worst |= cost > MOST[name] * users / 1000
        print(f"{name:<10} {users:>6} users  {calls:>4} calls, {writes:>4} of them writes, arrived in {took:.1f} s", flush=True)
    return worst


def _burst(stack: Stack, kind: str, ids: list[str]) -> None:
    """Signed deliveries about these users over eight kept connections, as fast as they are answered."""
    signer = Webhook(SECRET)
    waiting = list(reversed(ids))

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stack.port)
        while True:
            try:
                user = stack.idp.user(waiting.pop())
            except IndexError:
                return connection.close()
            key, now = f"msg_{uuid.uuid4()}", datetime.now(UTC)
            event = {"id": key, "type": kind, "occurred_at": user["updated_at"], "data": {"user": user}}
            body = json.dumps(event)
            headers = {
                "content-type": "application/json", "webhook-id": key, "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signer.sign(key, now, body),
            }  # fmt: skip
            connection.request("POST", "/webhooks/identity/members", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _all_named(stack: Stack, first: str, users: int) -> bool:
    return sum(contact["properties"].get("firstname") == first for contact in stack.portal.contacts()) >= users


def _quiet(stack: Stack) -> None:
    """Until echoes have come back and nothing is due."""
    stack.portal.flush_webhooks(30)
    stack.idp.flush_webhooks(30)
    time.sleep(1)
    wait_for(stack.settled, 60, every=0.3)
    time.sleep(1)


if __name__ == "__main__":
    raise SystemExit(main())
