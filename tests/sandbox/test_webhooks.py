"""What the portal tells, how it is signed, and how deliveries misbehave."""

import json
import time
from collections import Counter

import pytest
from hubspot.utils.signature import Signature

from connector.sandbox import signing
from connector.sandbox.courier import Pace
from connector.sandbox.portal import Portal
from tests.sandbox.conftest import PACE

BODY = (
    '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation",'
    '"attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"


@pytest.fixture
def told(portal, receiver):
    """Everything delivered so far."""
    portal.webhook_url = receiver.url

    def told():
        assert portal.flush_webhooks(5)
        return receiver.events()

    return told


def kinds(events):
    return [(one["subscriptionType"].removeprefix("contact."), one.get("propertyName")) for one in events]


def test_the_published_signatures_come_out(portal):
    assert signing.hubspot_v1(SECRET, BODY.encode())["X-HubSpot-Signature"] == (
        "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
    )
    signed = signing.hubspot_v3(SECRET, "https://example.com/hubspot/webhook", BODY.encode(), 1700000000)
    assert signed["X-HubSpot-Signature-v3"] == "Fqv2t6K7rst3HNu8irTYQdr2fEfq2UGkHkSHHzwKu6Q="


@pytest.mark.parametrize("version", ["v1", "v3", "both"])
def test_deliveries_are_signed_so_that_hubspots_own_code_accepts_them(portal, receiver, told, version):
    portal.signer.version = version
    portal.create({"firstname": "Zoë"})
    told()
    headers, body = receiver.deliveries[0]
    names = {"v1": "X-HubSpot-Signature", "v3": "X-HubSpot-Signature-v3"}
    assert {one for one in names if names[one] in headers} == ({"v1", "v3"} if version == "both" else {version})
    for one in names.keys() & ({"v1", "v3"} if version == "both" else {version}):
        assert Signature.is_valid(
            headers[names[one]], "sandbox-secret", body.decode(), receiver.url, "POST", one,
            headers.get("X-HubSpot-Request-Timestamp"),
        )  # fmt: skip


def test_a_creation_is_told_with_an_event_per_value(portal, told):
    contact = portal.create({"email": "ada@example.com", "firstname": "Ada"})
    events = told()
    assert sorted(kinds(events), key=str) == [("creation", None), ("propertyChange", "email"), ("propertyChange", "firstname")]
    for event in events:
        assert event["objectId"] == int(contact)
        assert event["portalId"] == 12345678
        assert event["attemptNumber"] == 0
        assert abs(event["occurredAt"] / 1000 - time.time()) < 5
    assert len({event["eventId"] for event in events}) == 1
    assert "changeFlag" not in events[1]


def test_people_and_integrations_are_told_apart(portal, api, told):
    contact = portal.create({"firstname": "Ada"})
    api("PATCH", contact, {"properties": {"firstname": "Augusta"}})
    sources = {one.get("propertyValue"): (one["changeSource"], one["sourceId"]) for one in told()}
    assert sources["Ada"] == ("CRM_UI", "userId:123")
    assert sources["Augusta"] == ("INTEGRATION", "9318066")


def test_only_values_that_change_are_told(portal, api, told):
    contact = portal.create({"firstname": "Ada", "city": "Oslo"})
    before = len(told())
    api("PATCH", contact, {"properties": {"firstname": "Ada", "city": ""}})
    assert [(one["propertyName"], one["propertyValue"]) for one in told()[before:]] == [("city", "")]


def test_opting_out_is_not_told(portal, told):
    contact = portal.create({"email": "ada@example.com"})
    before = len(told())
    portal.unsubscribe_all("ada@example.com")
    assert told()[before:] == []
    assert portal.contact(contact)["properties"]["hs_email_optout"] == "true"


def test_only_subscribed_properties_are_told(receiver):
    portal = Portal(webhook_url=receiver.url, subscribed={"city"}, pace=PACE)
    portal.create({"firstname": "Ada", "city": "Oslo"})
    portal.flush_webhooks(5)
    assert sorted(kinds(receiver.events()), key=str) == [("creation", None), ("propertyChange", "city")]


def test_deletion_and_restoring(portal, told):
    contact = portal.create({"firstname": "Ada"})
    before = len(told())
    portal.delete(contact)
    portal.restore(contact)
    assert sorted(kinds(told()[before:])) == [("deletion", None), ("restore", None)]


def test_a_privacy_deletion_sends_a_deletion_too(portal, told):
    contact = portal.create({"firstname": "Ada"})
    before = len(told())
    portal.gdpr_delete(contact)
    events = told()[before:]
    assert sorted(kinds(events)) == [("deletion", None), ("privacyDeletion", None)]
    assert {one["objectId"] for one in events} == {int(contact)}


def test_a_merge_looks_like_deletions_and_tells_no_properties(portal, told):
    primary, other = portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com", "city": "Oslo"})
    before = len(told())
    survivor = portal.merge(primary, other)
    events = told()[before:]
    assert Counter(kinds(events)) == {("deletion", None): 2, ("merge", None): 1}
    assert {one["objectId"] for one in events if "objectId" in one} == {int(primary), int(other)}
    merge = next(one for one in events if one["subscriptionType"] == "contact.merge")
    assert (merge["primaryObjectId"], merge["mergedObjectIds"], merge["newObjectId"]) == (
        int(primary),
        [int(other)],
        int(survivor),
    )
    assert merge["numberOfPropertiesMoved"] > 0


def test_a_merge_is_told_after_its_deletions(portal, receiver):
    portal.webhook_url = receiver.url
    pair = [portal.create({"email": f"{one}@example.com"}) for one in "ab"]
    portal.merge(*pair)
    deadline = time.monotonic() + 2
    while portal.webhooks_pending() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert kinds(receiver.events())[-1] == ("merge", None)


def test_events_come_in_batches_of_a_hundred_at_most(portal, api, receiver, told):
    rows = [{"id": f"p{n}@example.com", "idProperty": "email", "properties": {"firstname": "Ada"}} for n in range(100)]
    api("POST", "batch/upsert", {"inputs": rows})
    assert len(told()) == 300
    sizes = [len(json.loads(body)) for _, body in receiver.deliveries]
    assert max(sizes) == 100
    assert len(sizes) <= 6


def test_what_is_not_taken_is_sent_again_with_its_attempt_number(portal, receiver, told):
    receiver.answers.extend([500, 401])
    portal.create({"firstname": "Ada"})
    told()
    attempts = [json.loads(body)[0]["attemptNumber"] for _, body in receiver.deliveries]
    assert attempts == [0, 1, 2]
    assert len({json.loads(body)[0]["eventId"] for _, body in receiver.deliveries}) == 1


def test_after_the_last_attempt_an_event_is_given_up(portal, receiver, told):
    receiver.answers.extend([500] * 6)
    portal.create({"firstname": "Ada"})
    told()
    assert len(receiver.deliveries) == 6
    assert portal.courier.given_up == 2
    assert portal.webhooks_pending() == 0


def test_a_receiver_that_is_away_gets_its_events_later(receiver):
    portal = Portal(webhook_url="http://127.0.0.1:9/nobody", pace=Pace(window=0, backoff=(0.05,) * 50))
    portal.create({"firstname": "Ada"})
    assert not portal.flush_webhooks(0.1)
    assert portal.webhooks_pending() == 2
    portal.webhook_url = receiver.url
    assert portal.flush_webhooks(5)
    assert len(receiver.events()) == 2


def test_without_a_receiver_events_are_only_remembered(portal):
    portal.create({"firstname": "Ada"})
    assert portal.webhooks_pending() == 0
    assert len(portal.events) == 2


def test_events_may_be_dropped(portal, told):
    portal.faults.webhook_drop = 1
    portal.create({"firstname": "Ada"})
    assert told() == []
    assert len(portal.events) == 2


def test_events_may_come_twice(portal, told):
    portal.faults.webhook_duplicate = 1
    portal.create({"firstname": "Ada"})
    assert sorted(Counter(kinds(told())).values()) == [2, 2]


def test_events_may_come_out_of_order(portal, receiver):
    portal.webhook_url = receiver.url
    portal.faults.webhook_shuffle = 0.5
    made = [int(portal.create({"firstname": f"P{number}"})) for number in range(30)]
    deadline = time.monotonic() + 3
    while portal.webhooks_pending() and time.monotonic() < deadline:
        time.sleep(0.005)
    order = [one["objectId"] for one in receiver.events() if one["subscriptionType"] == "contact.creation"]
    assert sorted(order) == made
    assert order != made


def test_the_newest_event_can_be_sent_again(portal, told):
    portal.create({"firstname": "Ada"})
    before = told()
    portal.repeat_last_delivery()
    assert told()[-1]["eventId"] == before[-1]["eventId"]
    assert len(told()) == len(before) + 1


def test_where_webhooks_go_is_set_over_http(portal, api, receiver):
    assert api("PUT", "/sandbox/webhook", {"url": receiver.url}).json()["url"] == receiver.url
    portal.create({"firstname": "Ada"})
    portal.flush_webhooks(5)
    assert api("GET", "/sandbox/webhook").json()["delivered"] == 2
    assert api("PUT", "/sandbox/webhook", {"url": "file:///etc/passwd"}).status_code == 400
