"""How many HubSpot calls the main jobs cost, counted by the sandbox portal: python benchmarks/api_calls.py

Fields alone: 1,000 new users in a burst of signed deliveries, 1,000 changed users, the same 1,000 again unchanged, an idle sweep.
Then 1,000 new users with two consents and one event each, and 1,000 changes of consents. `connector up` runs as a process of its
own; its own webhooks come back to it as they would.
"""

import argparse
import http.client
import json
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks import Webhook

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.e2e.stack import MAPPING, SECRET, Stack, wait_for

MOST = {"new": 12, "changed": 22, "unchanged": 0, "idle": 0, "registering": 70, "consents": 25, "withdrawing": 25, "granting": 25}
"""The most calls each job may cost (unchanged, idle: writes)."""

CONSENTS = (
    MAPPING
    + """
consents:
  - consent: newsletter
    subscription: Newsletter
    legal_basis: CONSENT_WITH_NOTICE
    explanation: Opted in on the registration form
    property: newsletter_consent
  - {consent: product, subscription: Product news, legal_basis: CONSENT_WITH_NOTICE, explanation: Opted in on the form}
communicable: {contact: communicable, any_of: [newsletter, product]}
events: {as: custom_object, types: [user.created]}
"""
)

Job = tuple[str, Callable[[], None], Callable[[], bool]]


def main() -> int:
    """Run, print a line each. Exit code 1 when a limit is passed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--users", type=int, default=1000)
    users = options.parse_args().users
    worst = 0
    for mapping, jobs in ((MAPPING, _fields), (CONSENTS, _consents)):
        with tempfile.TemporaryDirectory() as folder:
            stack = _stack(Path(folder), mapping)
            try:
                worst |= _measure(stack, users, jobs(stack, users))
            finally:
                stack.close()
    return worst


def _stack(folder: Path, mapping: str) -> Stack:
    """Sandboxes and the connector, with no brake on opt-outs and no deliveries but those of `_burst`."""
    stack = Stack(folder, mapping=mapping, setup=False)
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "brakes: {opt_outs: 0, opt_outs_percent: 0}\n")
    assert stack.run("setup", "--apply").returncode == 0
    stack.idp.webhook_url = None
    return stack.up()


def _fields(stack: Stack, users: int) -> list[Job]:
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

    return [
        ("new", register, lambda: len(stack.portal.contacts()) >= users),
        ("changed", lambda: rename("Augusta"), lambda: _all_named(stack, "Augusta", users)),
        ("unchanged", lambda: rename("Augusta"), lambda: True),
        ("idle", lambda: time.sleep(3), lambda: True),
    ]


def _consents(stack: Stack, users: int) -> list[Job]:
    """Everybody registers with two consents; half of them withdraw both, the others one; then the first half grants both anew."""
    ids: list[str] = []

    def register() -> None:
        for number in range(users):
            granted = [{"purpose": purpose, "state": "granted", "source": "form"} for purpose in ("newsletter", "product")]
            values = {"email": f"u{number}@example.com", "first_name": "Ada", "last_name": f"N{number}", "consents": granted}
            ids.append(stack.idp.register(values))
        _burst(stack, "user.created", ids)

    def change(some: list[str], purposes: tuple[str, ...], state: str = "revoked") -> None:
        for user in some:
            for purpose in purposes:
                stack.idp.consent(user, purpose, state, source="private area")
        _burst(stack, f"consent.{state}", some)

    half = users // 2
    both, one = ("newsletter", "product"), ("newsletter",)
    return [
        ("registering", register, lambda: _told(stack, "SUBSCRIBED") == 2 * users and _recorded(stack) == users),
        ("consents", lambda: change(ids[:half], both), lambda: _told(stack, "UNSUBSCRIBED") == 2 * half),
        ("withdrawing", lambda: change(ids[half:], one), lambda: _told(stack, "UNSUBSCRIBED") == 2 * half + users - half),
        ("granting", lambda: change(ids[:half], both, "granted"), lambda: _told(stack, "UNSUBSCRIBED") == users - half),
        ("idle", lambda: time.sleep(3), lambda: True),
    ]


def _told(stack: Stack, status: str) -> int:
    """How many subscriptions have this status, over all contacts."""
    emails = [contact["properties"]["email"] for contact in stack.portal.contacts()]
    return sum(stack.portal.subscription(email, name) == status for email in emails for name in ("Newsletter", "Product news"))


def _recorded(stack: Stack) -> int:
    return len(stack.portal.objects("identity_event"))


def _measure(stack: Stack, users: int, jobs: list[Job]) -> int:
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
