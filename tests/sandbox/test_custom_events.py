"""Custom events: definitions, occurrences, and what is lost without a word."""

import hubspot
import pytest

from connector.sandbox.faults import Answer
from tests.sandbox.conftest import Api

LOGIN = {
    "name": "logged_in", "label": "Logged in", "primaryObject": "CONTACT",
    "propertyDefinitions": [
        {"name": "device", "label": "Device", "type": "string"},
        {"name": "method", "label": "Method", "type": "enumeration", "options": [{"label": "Passkey", "value": "passkey"}]},
    ],
}  # fmt: skip
NAME = "pe12345678_logged_in"


@pytest.fixture
def events(portal, url):
    api = Api(url, base="/events/v3")
    api("POST", "event-definitions", LOGIN)
    return api


@pytest.fixture
def ada(portal):
    return portal.create({"email": "ada@example.com"})


def sent(contact, uuid="u-1", **more):
    return {"eventName": NAME, "objectId": contact, "uuid": uuid, "occurredAt": "2026-11-20T10:00:00Z", "properties": {}, **more}


def test_a_definition_is_called_after_the_portal(portal, url):
    api = Api(url, base="/events/v3")
    made = api("POST", "event-definitions", LOGIN)
    assert (made.status_code, made.json()["fullyQualifiedName"]) == (201, NAME)
    assert [one["name"] for one in made.json()["properties"]] == ["device", "method"]
    assert api("POST", "event-definitions", LOGIN).status_code == 409


def test_definitions_are_read(events):
    assert [one["fullyQualifiedName"] for one in events("GET", "event-definitions").json()["results"]] == [NAME]
    told = events("GET", "event-definitions?includeProperties=true").json()["results"][0]
    assert len(told["properties"]) == 2
    for name in (NAME, "logged_in"):
        assert events("GET", f"event-definitions/{name}").json()["labels"]["singular"] == "Logged in"
    assert events("GET", "event-definitions/nope").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"label": ""},
        {"name": "Logged In"},
        {"primaryObject": "NOTE"},
        {"propertyDefinitions": [{"name": "x", "label": "X", "type": "text"}]},
    ],
    ids=str,
)
def test_a_definition_that_makes_no_sense_is_refused(events, change):
    assert events("POST", "event-definitions", {**LOGIN, "name": "other", **change}).status_code == 400


def test_a_property_is_added(events, portal, ada):
    new = {"name": "country", "label": "Country", "type": "string"}
    assert events("POST", f"event-definitions/{NAME}/property", new).status_code == 201
    assert events("POST", f"event-definitions/{NAME}/property", new).status_code == 409
    events("POST", "send", sent(ada, properties={"country": "NO"}))
    assert portal.happened(ada)[0]["properties"] == {"country": "NO"}


def test_what_was_sent_is_seen(events, portal, ada):
    reply = events("POST", "send", sent(ada, properties={"device": "phone", "method": "passkey"}))
    assert (reply.status_code, reply.content) == (204, b"")
    assert portal.happened("ada@example.com") == [
        {
            "eventName": NAME, "occurredAt": "2026-11-20T10:00:00.000Z", "uuid": "u-1",
            "properties": {"device": "phone", "method": "passkey"},
        }
    ]  # fmt: skip


def test_many_are_sent_at_once(events, portal, ada):
    rows = [sent(ada, f"u-{number}") for number in range(500)]
    assert events("POST", "send/batch", {"inputs": rows}).status_code == 204
    assert len(portal.happened(ada)) == 500
    assert events("POST", "send/batch", {"inputs": [*rows, sent(ada)]}).status_code == 400


def test_the_first_with_a_uuid_counts(events, portal, ada):
    for device in ("phone", "laptop"):
        assert events("POST", "send", sent(ada, properties={"device": device})).status_code == 204
    assert [one["properties"]["device"] for one in portal.happened(ada)] == ["phone"]


def test_without_a_uuid_everything_counts_and_without_a_time_it_is_now(events, portal, ada, clock):
    row = {"eventName": NAME, "email": "ADA@example.com", "properties": {}}
    for _ in range(2):
        events("POST", "send", row)
        clock.forward(60)
    times = [one["occurredAt"] for one in portal.happened(ada)]
    assert len(set(times)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"eventName": "logged_in"},
        {"properties": None},
        {"objectId": None},
        {"occurredAt": "yesterday"},
        {"properties": {f"p{number}": "x" for number in range(51)}},
    ],
    ids=["name of no event", "no properties", "nobody", "no time", "too many properties"],
)
def test_what_is_wrong_as_a_whole_is_refused_and_spoils_a_batch(events, portal, ada, change):
    assert events("POST", "send", sent(ada) | change).status_code == 400
    assert events("POST", "send/batch", {"inputs": [sent(ada), sent(ada, "u-2") | change]}).status_code == 400
    assert portal.happened(ada) == []


def test_who_and_what_is_not_known_is_lost_without_a_word(events, portal, ada):
    assert events("POST", "send", sent("1")).status_code == 204
    assert portal.occurrences.dropped == 1
    events("POST", "send", sent(ada, properties={"colour": "red", "method": "magic"}))
    assert portal.happened(ada)[0]["properties"] == {}


def test_what_happened_to_a_merged_away_contact_belongs_to_the_survivor(events, portal, ada):
    events("POST", "send", sent(ada))
    survivor = portal.merge(portal.create({"email": "bea@example.com"}), ada)
    events("POST", "send", sent(ada, "u-2"))
    assert [one["uuid"] for one in portal.happened(survivor)] == ["u-1", "u-2"]


def test_sending_and_defining_have_scopes_of_their_own(events, portal, ada):
    portal.scopes -= {"analytics.behavioral_events.send"}
    assert events("POST", "send", sent(ada)).json()["category"] == "MISSING_SCOPES"
    assert events("GET", "event-definitions").status_code == 200


def test_a_tier_may_have_no_custom_events(events, portal, ada):
    portal.custom_events = False
    assert [events("POST", "send", sent(ada)).status_code, events("GET", "event-definitions").status_code] == [403, 403]


def test_sending_is_counted_but_has_no_limit(events, portal, ada):
    portal.faults.burst_limit = 1
    portal.calls.clear()
    assert {events("POST", "send", sent(ada, f"u-{number}")).status_code for number in range(5)} == {204}
    assert portal.count("/events/v3/send", writes_only=True) == 5


def test_faults_apply_to_events(events, portal, ada):
    portal.faults.status_queue.append(Answer(502, prefix="/events", after=True))
    assert events("POST", "send", sent(ada)).status_code == 502
    assert len(portal.happened(ada)) == 1


def test_hubspots_own_client_sends(events, portal, ada, url):
    client = hubspot.HubSpot(access_token="sandbox-token", host=url, retry=False)
    client.events.send.basic_api.send({"eventName": NAME, "objectId": ada, "properties": {}})
    client.events.send.batch_api.send({"inputs": [{"eventName": NAME, "objectId": ada, "properties": {}}]})
    assert len(portal.happened(ada)) == 2


def test_events_are_seen_over_http_and_on_the_page(events, portal, ada, url):
    events("POST", "send", sent(ada))
    portal.unsubscribe("ada@example.com", "Newsletter")
    assert Api(url, None)("GET", f"/sandbox/contacts/{ada}/events").json()[0]["uuid"] == "u-1"
    shown = Api(url, None).session.get(url + "/", timeout=5).json()["contacts"][0]
    assert (shown["subscriptions"], shown["events"]) == ("Newsletter unsubscribed", "logged_in 1")
