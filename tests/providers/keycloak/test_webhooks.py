"""Webhooks of Keycloak's keycloak-events extension: one file of fixtures per event, and what senders get wrong."""

import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.errors import BadDelivery, BadSignature
from connector.model import USER_KINDS, Delivery
from connector.providers.keycloak.events import KINDS
from connector.providers.keycloak.provider import Keycloak
from connector.providers.signature import SCHEMES, SignatureScheme
from tests.providers.keycloak.realm import CLIENT

FIXTURES = Path(__file__).parent / "fixtures"
SECRET, OLD = "ofj09saP4-canary-webhook", "canary-webhook-secret-old"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = "5f0a1c9e-0000-4000-8000-000000000001"
REALM = Keycloak("members", [SECRET, OLD], SCHEMES["keycloak"], "https://kc.test", "demo", CLIENT)
NAMES = {kind.lower().replace(".", "_").replace("-", "_"): kind for kind in KINDS}


def fixture(name):
    return (FIXTURES / f"{name}.json").read_bytes()


def signed(body, secret=SECRET, digest="sha256"):
    headers = (
        ("content-type", "application/json"),
        ("x-keycloak-signature", hmac.new(secret.encode(), body, digest).hexdigest()),
    )
    return Delivery("POST", "https://connector.test/webhooks/identity/members", headers, body)


def read(body):
    (item,) = REALM.split(signed(body))
    assert item.problem is None
    return REALM.read_item(item.body, item.meta)


def event(kind="access.LOGIN", **more):
    return json.dumps({"uid": "1", "time": 1767225600000, "type": kind, "authDetails": {"userId": USER}, **more}).encode()


def test_there_is_a_fixture_for_every_event_and_nothing_else():
    assert {path.stem for path in FIXTURES.glob("*.json")} - {"user"} == set(NAMES)


@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_every_event(name, kind):
    sent = signed(fixture(name))
    REALM.authenticate(sent, NOW)
    (item,) = REALM.split(sent)
    uid = json.loads(fixture(name))["uid"]
    assert (item.sender_id, item.problem, item.body) == (uid, None, fixture(name))
    change = REALM.read_item(item.body, item.meta)
    assert KINDS[kind] in USER_KINDS
    assert (change.kind, change.record_id, change.occurred_at, change.event_id) == (KINDS[kind], USER, NOW, uid)
    assert change.user is None, "what an admin sent is not what the user is"
    assert change.details["type"] == kind


def test_an_admin_is_not_the_user():
    change = read(event("admin.USER-UPDATE", resourcePath=f"users/{USER}", authDetails={"userId": "the-admin"}))
    assert change.record_id == USER
    (item,) = REALM.split(signed(event("admin.USER-UPDATE", authDetails={"userId": "the-admin"})))
    assert item.problem == "no_user_id"


def test_details_have_no_address():
    assert read(fixture("access_login")).details == {"type": "access.LOGIN", "client": "account", "realm": "demo"}


@pytest.mark.parametrize("more", [{"error": "invalid_user_credentials"}, {"realmName": "another"}])
def test_what_failed_or_is_elsewhere_is_no_news(more):
    change = read(event("access.REGISTER", **more))
    assert (change.kind, change.record_id) == ("access.REGISTER", USER)


def test_the_old_secret_is_good_while_rotating():
    REALM.authenticate(signed(b"{}", OLD), NOW)
    with pytest.raises(BadSignature):
        REALM.authenticate(signed(b"{}", "canary-webhook-secret-older"), NOW)


def test_the_older_digest_if_configured():
    old = SignatureScheme("x-keycloak-signature", "", "", "body", "sha1", "hex", "", "utf8")
    Keycloak("members", [SECRET], old, "https://kc.test", "demo", CLIENT).authenticate(signed(b"{}", digest="sha1"), NOW)
    with pytest.raises(BadSignature):
        REALM.authenticate(signed(b"{}", digest="sha1"), NOW)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[1]", "not_an_object"),
        (event(7), "bad_type"),
        (event(""), "bad_type"),
        (event("access LOGIN"), "bad_type"),
        (event(authDetails={}), "no_user_id"),
        (event(authDetails=[], details={"userId": "  "}), "no_user_id"),
        (event("admin.USER-CREATE", resourcePath="groups/1"), "no_user_id"),
        (event(representation="\0"), "unstorable_text"),
    ],
)
def test_what_cannot_be_read_is_set_aside(body, problem):
    (item,) = REALM.split(signed(body))
    assert item.problem == problem
    with pytest.raises(BadDelivery):
        REALM.read_item(item.body, item.meta)


def test_an_unknown_event_keeps_its_name():
    change = read(event("access.LOGOUT"))
    assert (change.kind, change.record_id) == ("access.LOGOUT", USER)
    assert read(event("admin.CLIENT-UPDATE", resourcePath="clients/1")).record_id == ""


@pytest.mark.parametrize("stamp", [None, "soon", -1, 10**15, 1.5, True])
def test_a_time_nobody_can_read_is_none(stamp):
    assert read(event(time=stamp)).occurred_at is None
