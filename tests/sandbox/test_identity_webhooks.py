"""What the identity provider tells, and how it is signed."""

import json
import time
from collections import Counter

import pytest
from standardwebhooks import Webhook

from connector.sandbox.identity import SECRET

ADA = {"email": "ada@example.com", "first_name": "Ada"}


@pytest.fixture
def told(people, receiver):
    """Everything delivered so far, in the order it happened."""
    people.webhook_url = receiver.url

    def told():
        assert people.flush_webhooks(5)
        return sorted(receiver.events(), key=lambda one: one["id"])

    return told


def kinds(events):
    return [one["type"] for one in events]


def test_every_delivery_is_one_event_signed_by_standard_webhooks(people, receiver, told):
    people.register({**ADA, "last_name": "Zoë"})
    people.edit("ada@example.com", {"first_name": "Augusta"})
    told()
    assert len(receiver.deliveries) == 2
    for headers, body in receiver.deliveries:
        names = {name.lower(): value for name, value in headers.items()}
        assert Webhook(SECRET).verify(body, names)["id"] == names["webhook-id"]


def test_an_event_carries_the_whole_user(people, told):
    user = people.register({**ADA, "consents": [{"purpose": "newsletter", "state": "granted"}]})
    event = told()[0]
    assert set(event) == {"id", "type", "occurred_at", "tenant", "data"}
    assert event["type"] == "user.created"
    assert event["data"]["user"] == people.user(user)


def test_every_kind_of_event_is_told(people, told):
    user = people.register(ADA)
    people.edit(user, {"first_name": "Augusta"})
    people.consent(user, "newsletter", "granted")
    people.consent(user, "newsletter", "revoked")
    people.consent(user, "newsletter", "pending")
    people.join(user, "press")
    people.leave(user, "press")
    people.login(user, entry_point="shop")
    people.remove(user)
    events = told()
    assert kinds(events) == [
        "user.created", "user.updated", "consent.granted", "consent.revoked", "user.updated", "membership.added",
        "membership.removed", "user.login", "user.deleted",
    ]  # fmt: skip
    assert events[7]["data"]["entry_point"] == "shop"
    assert events[8]["data"]["user"]["email"] == "ada@example.com"


def test_an_erasure_is_told_as_a_deletion_too(people, told):
    people.erase(people.register(ADA))
    assert kinds(told())[1:] == ["erasure.requested", "user.deleted"]


def test_writes_through_the_api_come_back_as_webhooks(people, users, told):
    user = users("POST", "", ADA).json()["id"]
    users("PATCH", user, {"first_name": "Augusta"})
    users("PATCH", user, {"first_name": "Augusta"})
    users("PUT", f"{user}/consents/newsletter", {"state": "granted"})
    users("PUT", f"{user}/consents/newsletter", {"state": "granted"})
    users("DELETE", user)
    assert kinds(told()) == ["user.created", "user.updated", "consent.granted", "user.deleted"]


def test_a_login_is_no_change_of_the_user(people, told, clock):
    user = people.register(ADA)
    before = people.user(user)["updated_at"]
    clock.forward(10)
    people.login(user)
    assert people.user(user)["updated_at"] == before
    assert told()[-1]["data"]["user"]["last_login_at"] > before


def test_a_retry_keeps_its_id_and_is_signed_anew(people, receiver, told):
    receiver.answers.extend([503])
    people.register(ADA)
    told()
    ids = [headers.get("webhook-id") for headers, _ in receiver.deliveries]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert receiver.deliveries[0][1] == receiver.deliveries[1][1]


def test_deliveries_may_be_lost_repeated_and_reordered(people, receiver, told):
    people.faults.webhook_duplicate = 1
    people.register(ADA)
    assert list(Counter(one["id"] for one in told()).values()) == [2]
    people.faults.webhook_duplicate, people.faults.webhook_drop = 0, 1
    people.edit("ada@example.com", {"first_name": "X"})
    assert len(told()) == 2
    people.faults.webhook_drop, people.faults.webhook_shuffle = 0, 0.5
    receiver.deliveries.clear()
    for number in range(30):
        people.edit("ada@example.com", {"first_name": f"A{number}"})
    deadline = time.monotonic() + 3
    while people.webhooks_pending() and time.monotonic() < deadline:
        time.sleep(0.005)
    order = [json.loads(body)["data"]["user"]["first_name"] for _, body in receiver.deliveries]
    assert sorted(order) == sorted(f"A{number}" for number in range(30))
    assert order != [f"A{number}" for number in range(30)]


def test_events_may_be_thin(people, told):
    people.faults.thin_events = True
    user = people.register(ADA)
    assert told()[0]["data"]["user"] == {"id": user, "email": "ada@example.com"}
