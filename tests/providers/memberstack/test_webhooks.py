"""Memberstack's webhooks: one file of fixtures per event and case, and what senders get wrong."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import svix

from connector.errors import BadDelivery, BadSignature
from connector.model import USER_KINDS, Delivery
from connector.providers.memberstack import KINDS, Habits, Memberstack
from connector.providers.memberstack_member import USUAL, Words
from connector.providersettings import ConsentField
from connector.sandbox import signing

FIXTURES = Path(__file__).parent / "fixtures"
SECRET = "whsec_aWRlbnRpdHktY29ubmVjdG9yLXRlc3Qta2V5LTAwMDE="
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEWSLETTER = ConsentField(field="newsletter", at="newsletter-at")
MEMBERS = Memberstack("members", [SECRET], "sk_sb_test_0001", Habits(Words(USUAL, {"newsletter": NEWSLETTER})))
EXPECTED = {
    "member_created": "user.created",
    "member_updated": "user.updated",
    "member_updated_in_data": "user.updated",
    "member_deleted": "user.deleted",
    "member_plan_added": "membership.added",
    "member_plan_created": "membership.added",
    "member_plan_updated_active": "user.updated",
    "member_plan_updated_inactive": "membership.removed",
    "member_plan_replaced": "membership.added",
    "member_plan_canceled": "membership.removed",
    "member_planConnection_created": "membership.added",
    "member_planConnection_updated": "membership.removed",
    "member_planConnection_canceled": "membership.removed",
    "team_member_added": "membership.added",
    "team_member_removed": "membership.removed",
}


def fixture(name):
    return (FIXTURES / f"{name}.json").read_bytes()


def signed(body, message="msg_1", at=NOW, secret=SECRET, family="svix"):
    """A request as Memberstack sends it."""
    headers = signing.standard(secret, message, body, at.timestamp())
    pairs = tuple((name.replace("webhook", family), text) for name, text in headers.items())
    return Delivery("POST", "https://connector.test/webhooks/identity/members", pairs, body)


def read(body, message="msg_1"):
    (item,) = MEMBERS.split(signed(body, message))
    assert item.problem is None
    return MEMBERS.read_item(item.body, item.meta)


def envelope(event="member.updated", payload=None, **more):
    payload = {"id": "mem_1"} if payload is None else payload
    return json.dumps({"event": event, "timestamp": 1767225600000, "payload": payload, **more}).encode()


def test_there_is_a_fixture_for_every_event_and_nothing_else():
    assert {path.stem for path in FIXTURES.glob("*.json")} == set(EXPECTED)
    assert {json.loads(fixture(name))["event"] for name in EXPECTED} == set(KINDS)


@pytest.mark.parametrize(("name", "kind"), EXPECTED.items())
def test_every_event(name, kind):
    sent = signed(fixture(name))
    MEMBERS.authenticate(sent, NOW)
    (item,) = MEMBERS.split(sent)
    assert (item.key, item.sender_id, item.problem, item.body) == ("msg_1", "msg_1", None, fixture(name))
    change = MEMBERS.read_item(item.body, item.meta)
    assert kind in USER_KINDS
    assert (change.kind, change.record_id, change.occurred_at, change.event_id) == (kind, "mem_sb_1", NOW, "msg_1")


def test_a_whole_member():
    user = read(fixture("member_created")).user
    assert user.values == {
        "email": "ada@example.com", "email_verified": True, "first_name": "Ada", "last_name": "Lovelace",
        "created_at": "2025-12-31T08:00:00.000Z",
        "custom.phone": "+34600123456", "custom.newsletter": True, "custom.newsletter-at": "2026-01-01T00:00:00Z",
        "custom.shoe-size": "38", "custom.meta.source": "spring fair",
    }  # fmt: skip
    assert [(one["key"], one["kind"], one["active"]) for one in user.memberships] == [
        ("pln_gold", "plan", True), ("pln_basic", "plan", False),
    ]  # fmt: skip
    assert user.consents == ({"purpose": "newsletter", "channel": "email", "state": "granted", "at": "2026-01-01T00:00:00Z"},)
    assert user.updated_at is None


def test_a_partial_member_tells_only_what_is_there():
    user = read(fixture("member_updated")).user
    assert user.memberships is None
    assert not {"email_verified", "created_at", "last_login_at"} & user.values.keys()


@pytest.mark.parametrize("name", [name for name in EXPECTED if "plan" in name or "deleted" in name or "team" in name])
def test_other_events_only_say_whom_to_look_at(name):
    assert read(fixture(name)).user is None


def test_a_plan_event_tells_which_plan():
    assert read(fixture("member_plan_replaced")).details == {
        "plan": "pln_gold", "plan_name": "Gold", "status": "ACTIVE", "active": True, "type": "SUBSCRIPTION",
        "previous_plan": "pln_basic",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "state"),
    [(True, "granted"), ("TRUE", "granted"), (False, "revoked"), ("false", "revoked"), ("", None), (None, None), ("maybe", None),
     (1, None), ([], None)],
)  # fmt: skip
def test_only_the_configured_words_are_a_consent(value, state):
    payload = {"id": "mem_1", "customFields": {"newsletter": value}}
    entries = read(envelope(payload=payload)).user.consents
    assert [one["state"] for one in entries] == ([state] if state else [])


def test_without_settings_no_field_is_a_consent():
    plain = Memberstack("members", [SECRET], "sk_sb_test_0001", Habits(Words(USUAL, {})))
    assert plain.read_item(fixture("member_created"), {}).user.consents is None
    assert not plain.capabilities.consent


def test_what_svix_signs_is_accepted():
    body = fixture("member_created")
    signature = svix.Webhook(SECRET).sign("msg_9", NOW, body.decode())
    headers = {"svix-id": "msg_9", "svix-timestamp": "1767225600", "svix-signature": signature}
    MEMBERS.authenticate(Delivery("POST", "https://connector.test/", tuple(headers.items()), body), NOW)


def test_both_families_of_headers():
    for family in ("svix", "webhook"):
        MEMBERS.authenticate(signed(fixture("member_created"), family=family), NOW)


def test_a_mixture_of_both_is_nobodys():
    sent, other = signed(b"{}"), signed(b"{}", family="webhook")
    with pytest.raises(BadSignature):
        MEMBERS.authenticate(Delivery("POST", sent.url, (*sent.headers[:2], other.headers[2]), b"{}"), NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_five_minutes_in_both_directions(seconds):
    with pytest.raises(BadSignature):
        MEMBERS.authenticate(signed(b"{}"), NOW + timedelta(seconds=seconds))


def test_a_repeat_has_the_same_key():
    first, repeat = (MEMBERS.split(signed(b'{"event":"member.x"}', at=NOW + timedelta(hours=late))) for late in (0, 5))
    assert first[0].key == repeat[0].key


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[1]", "not_an_object"),
        (b'{"event":7,"payload":{"id":"mem_1"}}', "bad_event"),
        (b'{"event":"","payload":{"id":"mem_1"}}', "bad_event"),
        (envelope(payload={}), "no_user_id"),
        (envelope(payload={"id": "  "}), "no_user_id"),
        (envelope(payload=[]), "no_user_id"),
        (envelope("member.plan.added", {"id": "con_sb_1", "planConnection": {}}), "no_user_id"),
        (envelope(payload={"id": "mem_1", "customFields": {"x": "\0"}}), "unstorable_text"),
    ],
)
def test_what_cannot_be_read_is_set_aside(body, problem):
    (item,) = MEMBERS.split(signed(body))
    assert item.problem == problem
    with pytest.raises(BadDelivery):
        MEMBERS.read_item(item.body, item.meta)


def test_an_unknown_event_keeps_its_name():
    change = read(envelope("member.danced", {"id": "mem_1"}))
    assert (change.kind, change.record_id) == ("member.danced", "mem_1")
    assert read(envelope("app.updated", {})).record_id == ""


@pytest.mark.parametrize("stamp", [None, "soon", -1, 10**15, 1.5, True])
def test_a_time_nobody_can_read_is_none(stamp):
    assert read(envelope(timestamp=stamp)).occurred_at is None


@pytest.mark.parametrize("active", [(True, False), (False, True), (False, False), (True, True)])
def test_of_several_connections_to_one_plan_an_active_one_counts(active):
    connections = [{"id": f"con_{number}", "planId": "pln_gold", "active": one} for number, one in enumerate(active)]
    user = read(envelope(payload={"id": "mem_1", "planConnections": [*connections, {"planId": ""}, {"planId": None}, 7]})).user
    assert [(one["key"], one["active"]) for one in user.memberships] == [("pln_gold", any(active))]
