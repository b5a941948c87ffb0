"""Deliveries of Auth0's event streams: one file of fixtures per event and variant, and what senders get wrong."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.errors import BadDelivery, BadSignature
from connector.model import USER_KINDS, Delivery
from connector.providers import registry
from connector.providers.auth0.events import KINDS
from connector.providers.auth0.provider import Auth0
from connector.providers.auth0.provider import Tenant as Choices
from connector.providers.auth0.user import USUAL, Words
from connector.providers.signature import SCHEMES, Verifier
from connector.providersettings import ConsentField
from connector.settings import ProviderSettings
from tests.providers.auth0.tenant import CLIENT

FIXTURES = Path(__file__).parent / "fixtures"
SECRET, OLD = "Bearer canary-static-value", "canary-older-static-value"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = "auth0|5f7c8ec7c33c6c004bbafe82"
NEWSLETTER = ConsentField(field="user_metadata.newsletter", at="user_metadata.newsletter_at")
WORDS = Words(
    {**USUAL, "country": "user_metadata.country"}, {"newsletter": NEWSLETTER}, ("app_metadata.plan", "app_metadata.roles")
)
EXPECTED = {
    "user_created": "user.created",
    "user_updated": "user.updated",
    "user_updated_schematic": "user.updated",
    "user_deleted": "user.deleted",
    "organization_member_added": "membership.added",
    "organization_member_deleted": "membership.removed",
    "organization_member_role_assigned": "membership.added",
    "organization_member_role_deleted": "membership.removed",
}


def tenant(trust="auto", secrets=(SECRET, OLD)):
    verifier = Verifier(SCHEMES["auth0"], secrets)
    return Auth0(
        "members", verifier, "https://x.test/api/v2", "https://x.test/oauth/token", CLIENT, Choices(trust=trust, words=WORDS)
    )


def fixture(name):
    return (FIXTURES / f"{name}.json").read_bytes()


def sent(body, secret=SECRET, header="authorization"):
    return Delivery("POST", "https://connector.test/webhooks/identity/members", ((header, secret),), body)


def read(body, trust="auto"):
    api = tenant(trust)
    (item,) = api.split(sent(body))
    assert item.problem is None
    return api.read_item(item.body, item.meta)


def event(kind="user.updated", told=None, **more):
    told = {"user_id": USER} if told is None else told
    return json.dumps({"id": "evt_1", "type": kind, "time": "2026-01-01T00:00:00Z", "data": {"object": told}, **more}).encode()


def test_there_is_a_fixture_for_every_event_and_nothing_else():
    assert {path.stem for path in FIXTURES.glob("*.json")} - {"user", "user_created_test"} == set(EXPECTED)
    assert {json.loads(fixture(name))["type"].removeprefix("com.auth0.") for name in EXPECTED} == set(KINDS)


@pytest.mark.parametrize(("name", "kind"), EXPECTED.items())
def test_every_event(name, kind):
    api, own = tenant(), json.loads(fixture(name))["id"]
    api.authenticate(sent(fixture(name)), NOW)
    (item,) = api.split(sent(fixture(name)))
    assert (item.key, item.sender_id, item.problem, item.body) == (own, own, None, fixture(name))
    change = api.read_item(item.body, item.meta)
    assert kind in USER_KINDS
    assert (change.kind, change.record_id, change.occurred_at, change.event_id) == (kind, USER, NOW, own)
    assert change.user is None, "what is sent is not signed"
    assert change.details["tenant"] == "acme"


@pytest.mark.parametrize("name", ["user_created", "user_updated", "user_updated_schematic"])
def test_a_delivery_trusted_in_full_carries_the_user(name):
    user = read(fixture(name), "full").user
    assert (user.id, user.updated_at, user.etag) == (USER, NOW, None)
    assert user.values == {
        "email": "ada@example.com", "email_verified": True, "first_name": "Ada", "last_name": "Lovelace", "phone": None,
        "country": "GB", "created_at": "2025-12-31T08:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        "last_login_at": None,
        "custom.name": "Ada Lovelace", "custom.nickname": "ada", "custom.picture": "https://s.example.com/ada.png",
        "custom.user_metadata.newsletter": True,
        "custom.user_metadata.newsletter_at": "2025-12-31T08:00:00Z",
        "custom.user_metadata.address.city": "London", "custom.user_metadata.address.zip": "W1",
        "custom.app_metadata.plan": "gold",
        "custom.app_metadata.roles": ["editor", "press"],
    }  # fmt: skip
    assert user.consents == ({"purpose": "newsletter", "channel": "email", "state": "granted", "at": "2025-12-31T08:00:00Z"},)
    assert [(one["key"], one["kind"]) for one in user.memberships] == [("gold", "plan"), ("editor", "roles"), ("press", "roles")]


def test_a_hint_says_only_whom_to_look_at():
    for name in EXPECTED:
        assert read(fixture(name), "hint").kind == "user.updated"
    assert read(event("connection.created", {}), "hint").kind == "connection.created"
    assert read(fixture("user_deleted"), "full").user is None


def test_what_was_sent_to_try_the_stream_is_nobodys():
    change = read(fixture("user_created_test"), "full")
    assert (change.kind, change.user) == ("test.user.created", None)


class TestSecret:
    def test_two_values_while_rotating(self):
        api = tenant()
        for secret in (SECRET, OLD):
            api.authenticate(sent(b"{}", secret), NOW)
        for secret in ("canary-static-value", "Bearer canary-static-valu", f"{SECRET} ", "", "é"):
            with pytest.raises(BadSignature):
                api.authenticate(sent(b"{}", secret), NOW)

    def settings(self, **more):
        given = {
            "kind": "auth0",
            "mapping": __file__,
            "domain": "acme.auth0.test",
            "client_id": "c",
            "client_secret": "canary-secret",
        }
        return registry.build("members", ProviderSettings.model_validate(given | more))

    def test_basic(self):
        api = self.settings(webhook_auth="basic", webhook_secret="auth0:canary-password")
        api.authenticate(sent(b"{}", "Basic " + base64.b64encode(b"auth0:canary-password").decode()), NOW)
        with pytest.raises(BadSignature):
            api.authenticate(sent(b"{}", "auth0:canary-password"), NOW)

    def test_a_header_of_ones_own(self):
        api = self.settings(signature={"header": "x-acme"}, webhook_secret="canary-static")
        api.authenticate(sent(b"{}", "canary-static", "x-acme"), NOW)
        with pytest.raises(BadSignature):
            api.authenticate(sent(b"{}", "canary-static"), NOW)

    def test_without_one_nobody_is_let_in(self):
        with pytest.raises(BadSignature):
            self.settings().authenticate(sent(b"{}"), NOW)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[1]", "not_an_object"),
        (event(7), "bad_type"),
        (event(""), "bad_type"),
        (event(told={}), "no_user_id"),
        (event(told=[]), "no_user_id"),
        (event(told={"user_id": "  "}), "no_user_id"),
        (event("organization.member.added", {"user_id": USER}), "no_user_id"),
        (event(told={"user_id": USER, "name": "\0"}), "unstorable_text"),
    ],
)
def test_what_cannot_be_read_is_set_aside(body, problem):
    api = tenant()
    (item,) = api.split(sent(body))
    assert item.problem == problem
    with pytest.raises(BadDelivery):
        api.read_item(item.body, item.meta)


def test_an_unknown_event_keeps_its_name():
    assert read(event("user.danced")).kind == "user.danced"
    assert read(event("connection.created", {"id": "con_1"})).record_id == ""
    assert read(event("user.login")).kind == "auth0.user.login", "not ours, though it is called so"


def test_without_an_id_the_bytes_tell_a_repeat():
    api = tenant()
    keys = [api.split(sent(json.dumps({"type": "x", "n": number}).encode()))[0].key for number in (1, 1, 2)]
    assert keys[0] == keys[1] != keys[2]
