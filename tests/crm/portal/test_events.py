"""Identity events against the sandbox portal: one record each, whatever happens on the way."""

import html
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from connector.crm.base import EventRecord, EventSchema
from connector.crm.hubspot.driver import HubSpot
from connector.errors import ConnectorError, Denied, Exists, Unavailable
from connector.sandbox.portal import Answer, Portal
from tests.crm.conftest import PORTAL, TOKEN

OBJECT, EVENT, NOTE = (EventSchema(kind, "identity_event") for kind in ("custom_object", "custom_event", "note"))
AT = datetime(2026, 11, 24, 9, 30, 0, 123000, tzinfo=UTC)
TYPE = f"p{PORTAL}_identity_event"


@pytest.fixture
def contact(portal: Portal) -> str:
    return portal.create({"email": "ann@example.com"})


def login(key: str, contact_id: str, **more) -> EventRecord:
    details = {"ip_country": "ES", "new_device": True, "nothing": None}
    given = {"kind": "user.login", "occurred_at": AT, "provider": "members", "user_id": "U-1", "details": details}
    return EventRecord(f"ref {key}", key, contact_id, **{**given, **more})


def paths(portal: Portal) -> list[str]:
    return [f"{one.method} {one.path}" for one in portal.calls]


def errors(outcomes) -> list[type]:
    return [type(one.error) for one in outcomes]


# custom objects


@pytest.fixture
def objects(hubspot: HubSpot, portal: Portal) -> HubSpot:
    hubspot.create_event_schema(OBJECT, [])
    portal.calls.clear()
    return hubspot


def test_the_custom_object_is_made_once_and_has_what_events_need(hubspot, portal):
    assert hubspot.event_schema(OBJECT) is None
    hubspot.create_event_schema(OBJECT, ["ip_country"])
    with pytest.raises(Exists):
        hubspot.create_event_schema(OBJECT, ["ip_country"])
    names = {"event_id", "kind", "occurred_at", "provider", "entry_point", "user_id", "details"}
    assert names <= hubspot.event_schema(OBJECT).properties.keys()
    assert hubspot.event_schema(OBJECT).joined
    made = portal.object_types.get(TYPE)
    assert made.schema.get("event_id").unique
    assert made.body["associatedObjects"] == ["CONTACT"]
    assert (made.body["requiredProperties"], made.body["primaryDisplayProperty"]) == (["event_id"], "kind")


def test_a_hundred_events_cost_two_calls_and_so_does_repeating_them(objects, portal, contact):
    rows = [login(f"k{one}", contact, entry_point="web") for one in range(100)]
    first = objects.record_events(OBJECT, rows)
    again = objects.record_events(OBJECT, [replace(row, sent_before=True) for row in rows])
    assert [one.ref for one in first] == [row.ref for row in rows]
    assert [one.record_id for one in first] == [one.record_id for one in again]
    assert not any(one.error for one in (*first, *again))
    assert len(portal.objects(TYPE)) == 100
    assert portal.associated("contacts", contact, TYPE) == sorted((one.record_id for one in first), key=int)
    assert len(portal.calls) == 4


def test_what_a_record_holds(objects, portal, contact):
    madrid = timezone(timedelta(hours=1))
    objects.record_events(OBJECT, [login("k1", contact, occurred_at=AT.astimezone(madrid))])
    held = portal.objects(TYPE)[0]["properties"]
    assert held["details"] == '{"ip_country": "ES", "new_device": true}'
    assert held["occurred_at"].startswith("2026-11-24T09:30:00.123")
    assert (held["event_id"], held["kind"], held["provider"], held["user_id"]) == ("k1", "user.login", "members", "U-1")
    assert "entry_point" not in held


def test_two_rows_with_one_key_are_one_event(objects, portal, contact):
    first, second = objects.record_events(OBJECT, [login("k1", contact), replace(login("k1", contact), ref="other")])
    assert (first.record_id, second.ref) == (second.record_id, "other")
    assert len(portal.objects(TYPE)) == 1


def test_an_event_of_a_contact_that_is_gone_fails_alone(objects, portal, contact):
    outcomes = objects.record_events(OBJECT, [login("k1", "999"), login("k2", contact)])
    assert [bool(one.error) for one in outcomes] == [True, False]
    assert "999" in str(outcomes[0].error)
    assert portal.associated(TYPE, outcomes[1].record_id, "contacts") == [contact]


def test_records_a_2xx_does_not_list_are_read_back(objects, portal, contact):
    portal.faults.results_empty = True
    outcomes = objects.record_events(OBJECT, [login("k1", contact), login("k2", contact)])
    assert errors(outcomes) == [type(None)] * 2
    assert {one.record_id for one in outcomes} == {one["id"] for one in portal.objects(TYPE)}
    assert [path.rsplit("/", 1)[1] for path in paths(portal)] == ["upsert", "read", "default", "read"]


def test_an_association_that_failed_fails_its_event_and_the_next_attempt_mends_it(objects, portal, contact):
    portal.faults.status_queue.extend([Answer(503, {"status": "error"}, prefix="/crm/v4/associations")] * 3)
    assert errors(objects.record_events(OBJECT, [login("k1", contact)])) == [Unavailable]
    outcome = objects.record_events(OBJECT, [login("k1", contact)])[0]
    assert outcome.error is None
    assert len(portal.objects(TYPE)) == 1
    assert portal.associated(TYPE, outcome.record_id, "contacts") == [contact]


def test_without_the_custom_object_the_way_out_is_named(hubspot, portal, contact):
    with pytest.raises(Denied, match="no custom object identity_event; make it with `connector setup --apply`"):
        hubspot.record_events(OBJECT, [login("k1", contact)])


def test_a_portal_without_custom_objects(hubspot, portal, contact):
    portal.switch(custom_objects=False)
    asked = (
        lambda: hubspot.record_events(OBJECT, [login("k1", contact)]),
        lambda: hubspot.create_event_schema(OBJECT, []),
        lambda: hubspot.event_schema(OBJECT),
        lambda: hubspot.remove_events(OBJECT, ["1"]),
    )
    for ask in asked:
        with pytest.raises(Denied, match=r"Enterprise tier and the scopes crm\.schemas\.custom\.read.*events\.as: note or none"):
            ask()


def test_removing_records_and_those_that_are_gone(objects, portal, contact):
    ids = [one.record_id for one in objects.record_events(OBJECT, [login(f"k{one}", contact) for one in range(3)])]
    objects.remove_events(OBJECT, ids[:2])
    objects.remove_events(OBJECT, [*ids[:2], "999"])
    assert [one["id"] for one in portal.objects(TYPE)] == ids[2:]


def test_removing_records_of_an_object_that_is_gone(hubspot, portal):
    hubspot.remove_events(OBJECT, ["1", "2"])
    assert hubspot.find_events(OBJECT, ["k1"]) == []


def test_records_are_found_by_the_keys_of_their_events(objects, contact):
    ids = [one.record_id for one in objects.record_events(OBJECT, [login(f"k{one}", contact) for one in range(102)])]
    assert set(objects.find_events(OBJECT, [f"k{one}" for one in range(103)])) == set(ids)
    assert objects.find_events(OBJECT, ["k103"]) == []
    assert objects.find_events(NOTE, ["k1"]) == objects.find_events(EVENT, ["k1"]) == []


# custom events


@pytest.fixture
def events(hubspot: HubSpot, portal: Portal) -> HubSpot:
    hubspot.create_event_schema(EVENT, ["ip_country", "new_device"])
    portal.calls.clear()
    return hubspot


def test_the_custom_event_gets_a_property_per_detail_and_later_those_it_lacks(hubspot):
    assert hubspot.event_schema(EVENT) is None
    hubspot.create_event_schema(EVENT, ["ip_country"])
    assert hubspot.event_schema(EVENT).properties.keys() == {"kind", "provider", "entry_point", "user_id", "ip_country"}
    hubspot.create_event_schema(EVENT, ["ip_country", "Device-Type", "kind"])
    assert hubspot.event_schema(EVENT).properties.keys() >= {"ip_country", "device_type", "detail_kind"}


def test_a_custom_event_happens_to_its_contact_once(events, portal, contact):
    rows = [login("k1", contact, entry_point="web"), login("k2", contact)]
    outcomes = events.record_events(EVENT, rows)
    events.record_events(EVENT, rows)
    assert [(one.record_id, one.error) for one in outcomes] == [(None, None)] * 2
    happened = portal.happened(contact)
    assert len(happened) == 2
    assert happened[0]["properties"] == {
        "kind": "user.login", "provider": "members", "entry_point": "web", "user_id": "U-1",
        "ip_country": "ES", "new_device": "true",
    }  # fmt: skip
    assert happened[0]["occurredAt"].startswith("2026-11-24T09:30:00.123")
    assert [path.split(" ")[1] for path in paths(portal)] == [
        "/events/v3/event-definitions/{name}", "/events/v3/send/batch", "/events/v3/send/batch",
    ]  # fmt: skip


def test_custom_events_stay_within_hubspots_limits(events, portal, contact):
    many = {f"detail_{one}": "x" for one in range(80)}
    events.create_event_schema(EVENT, list(many))
    row = login("k1", contact, details={"ip_country": "E" * 300, **many})
    assert events.record_events(EVENT, [row])[0].error is None
    told = portal.happened(contact)[0]["properties"]
    assert len(told) <= 50
    assert told["ip_country"] == "E" * 50


def test_custom_events_cannot_be_removed_and_are_left(events, portal, contact):
    events.record_events(EVENT, [login("k1", contact)])
    events.remove_events(EVENT, ["1"])
    assert len(portal.happened(contact)) == 1


def test_without_the_custom_event_the_way_out_is_named(hubspot, contact):
    with pytest.raises(Denied, match="no custom event identity_event; make it with `connector setup --apply`"):
        hubspot.record_events(EVENT, [login("k1", contact)])


@pytest.mark.parametrize("scope", ["analytics.behavioral_events.send", "behavioral_events.event_definitions.read_write"])
def test_a_portal_without_custom_events(events, portal, contact, scope):
    portal.scopes.discard(scope)
    with pytest.raises(Denied, match=rf"missing scopes: {scope}; custom events need an Enterprise tier"):
        events.record_events(EVENT, [login("k1", contact)])
    portal.switch(custom_events=False)
    with pytest.raises(Denied, match="events.as: note or none"):
        events.create_event_schema(EVENT, [])


# notes


def test_a_note_is_made_on_the_contact_and_says_what_happened(hubspot, portal, contact):
    row = login("key <1>", contact, details={"ip": "<b>1</b>", "new": True, "nothing": None}, entry_point="web")
    outcome = hubspot.record_events(NOTE, [row])[0]
    note = portal.objects("notes")[0]
    assert (outcome.record_id, outcome.error) == (note["id"], None)
    assert portal.associated("contacts", contact, "notes") == [note["id"]]
    body = note["properties"]["hs_note_body"]
    assert "<b>" not in body
    assert html.unescape(body) == (
        "<p>user.login · members user U-1 · 2026-11-24T09:30:00.123Z · via web</p>"
        "<p>ip: <b>1</b></p><p>new: true</p><p>event key <1></p>"
    )
    assert note["properties"]["hs_timestamp"].startswith("2026-11-24T09:30:00.123")


def test_a_note_whose_answer_was_lost_is_found_and_not_made_twice(hubspot, portal, contact):
    other = portal.create({"email": "ben@example.com"})
    rows = [login("k1", contact), login("k11", contact), login("k2", other)]
    hubspot.record_events(NOTE, [login("earlier", contact), login("k11", other)])
    portal.faults.status_queue.append(Answer(504, "<html>", prefix="/crm/v3/objects/notes/batch/create", after=True))
    with pytest.raises(Unavailable):
        hubspot.record_events(NOTE, rows)
    portal.calls.clear()
    again = hubspot.record_events(NOTE, [*(replace(row, sent_before=True) for row in rows), login("k3", other)])
    assert not any(one.error for one in again)
    assert len({one.record_id for one in again}) == 4
    assert len(portal.objects("notes")) == 6
    assert [path.rsplit("/", 1)[1] for path in paths(portal)] == ["read", "read", "create"]


def test_a_note_that_was_never_made_is_made(hubspot, portal, contact):
    assert hubspot.record_events(NOTE, [login("k1", contact, sent_before=True)])[0].record_id
    assert len(portal.objects("notes")) == 1


def test_a_note_a_2xx_does_not_list_is_looked_up(hubspot, portal, contact):
    portal.faults.results_empty = True
    outcome = hubspot.record_events(NOTE, [login("k1", contact)])[0]
    assert outcome.record_id == portal.objects("notes")[0]["id"]


def test_a_note_on_a_contact_that_is_gone_fails_alone(hubspot, portal, contact):
    outcomes = hubspot.record_events(NOTE, [login("k1", "999"), login("k2", contact)])
    assert [bool(one.error) for one in outcomes] == [True, False]
    assert len(portal.objects("notes")) == 1


def test_notes_need_no_schema_and_can_be_removed(hubspot, portal, contact):
    hubspot.create_event_schema(NOTE, ["ip"])
    assert hubspot.event_schema(NOTE).properties == {}
    hubspot.remove_events(NOTE, [hubspot.record_events(NOTE, [login("k1", contact)])[0].record_id])
    assert portal.objects("notes") == []


def test_a_very_long_event_is_cut_and_still_recognised(hubspot, portal, contact):
    row = login("k1", contact, details={f"d{one}": "&" * 60_000 for one in range(30)}, sent_before=True)
    first = hubspot.record_events(NOTE, [row])[0]
    assert len(portal.objects("notes")[0]["properties"]["hs_note_body"]) < 65_536
    assert hubspot.record_events(NOTE, [row])[0].record_id == first.record_id


def test_a_portal_where_notes_are_not_allowed(hubspot, portal, contact):
    portal.scopes.discard("crm.objects.contacts.write")
    with pytest.raises(Denied, match=r"grant the token .*crm\.objects\.contacts\.write, or set events\.as: none"):
        hubspot.record_events(NOTE, [login("k1", contact)])


@pytest.mark.parametrize("schema", [OBJECT, EVENT, NOTE], ids=lambda one: one.kind)
def test_no_events_no_call(hubspot, portal, schema):
    assert hubspot.record_events(schema, []) == []
    assert not portal.calls


@pytest.mark.parametrize("schema", [OBJECT, EVENT, NOTE], ids=lambda one: one.kind)
def test_when_nothing_is_known_of_any_event_the_call_raises(hubspot, portal, contact, schema):
    hubspot.create_event_schema(schema, [])
    portal.faults.status_queue.extend([Answer(503, {"status": "error"})] * 3)
    with pytest.raises(ConnectorError) as caught:
        hubspot.record_events(schema, [login("k1", contact), login("k2", contact)])
    assert isinstance(caught.value, Unavailable)


def test_a_dated_api_version_sends_custom_events(url, portal, contact, clock, limiter):
    for version, prefix in (("2026-03", "/events/2026-03/"), ("2026-09", "/events/custom/2026-09/")):
        hubspot = HubSpot(url, TOKEN, PORTAL, limiter, None, version=version, sleep=clock.sleep, clock=clock)
        portal.calls.clear()
        hubspot.create_event_schema(EVENT, [])
        hubspot.record_events(EVENT, [login(f"k {version}", contact)])
        assert all(one.path.startswith(prefix) for one in portal.calls)
    assert len(portal.happened(contact)) == 2
