"""DruID's webhooks: how they are signed, where they tell what, and what is configured of it."""

import base64
import json
from datetime import UTC, datetime

import pytest

from connector.errors import BadDelivery, BadSignature, ConfigError, TooManyItems
from connector.model import Delivery
from connector.providers.registry import build
from connector.providers.signature import Verifier
from connector.settings import ProviderSettings
from tests.providers.druid.vendor import FIXTURES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KNOWN = b'{"event":"register","objectId":"f0f0f0f0"}'
SHA256 = "sha256=e2a3a4f9f8e5cebc4130d1bf24fee7f9e7c4623ce49159902aa06be284356911"
SHA1 = "sha1=7766c15d93a113b920e6d5fca0aa63666741053c"


def provider(**more):
    given = {
        "kind": "druid", "mapping": FIXTURES / "user.json", "webhook_secret": "12345678", "api_url": "https://graph.id.test",
        "auth_url": "https://auth.id.test", "client_id": "100200300", "client_secret": "canary-client-secret", **more,
    }  # fmt: skip
    return build("members", ProviderSettings.model_validate(given))


def delivery(body, **headers):
    told = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Delivery("POST", "https://connector.test/webhooks/identity/members", told, body)


def fixture(name):
    return (FIXTURES / f"{name}.json").read_bytes()


def read(body, **settings):
    one = provider(**settings)
    (item,) = one.split(delivery(body))
    assert item.problem is None
    return one.read_item(item.body, item.meta)


class TestSignature:
    """The known answers are for the password 12345, which is too short to be configured; so the scheme is tried with it alone."""

    @pytest.fixture
    def known(self):
        def known(**more):
            one = provider(**more)
            one._verifier = Verifier(one._verifier.scheme, ["12345"])
            return one

        return known

    def test_a_known_answer(self, known):
        known().authenticate(delivery(KNOWN, x_hub_signature=SHA256), NOW)
        with pytest.raises(BadSignature):
            known().authenticate(delivery(KNOWN + b" ", x_hub_signature=SHA256), NOW)

    def test_sha1_only_when_it_is_configured(self, known):
        sent = delivery(KNOWN, x_hub_signature=SHA1)
        with pytest.raises(BadSignature):
            known().authenticate(sent, NOW)
        known(signature={"digest": "sha1", "prefix": "sha1="}).authenticate(sent, NOW)

    @pytest.mark.parametrize("prefix", ["md5=", "", "sha256", "SHA256="])
    def test_no_other_digest(self, known, prefix):
        with pytest.raises(BadSignature):
            known().authenticate(delivery(KNOWN, x_hub_signature=prefix + SHA256.removeprefix("sha256=")), NOW)

    def test_http_basic(self):
        one = provider(webhook_auth="basic", webhook_secret="cockpit:canary-password")
        good = base64.b64encode(b"cockpit:canary-password").decode()
        one.authenticate(delivery(KNOWN, authorization=f"Basic {good}"), NOW)
        with pytest.raises(BadSignature):
            one.authenticate(delivery(KNOWN, authorization=f"Basic {base64.b64encode(b'cockpit:wrong').decode()}"), NOW)

    def test_a_key_in_the_authorization_header(self):
        one = provider(webhook_auth="header", webhook_secret="canary-api-key")
        one.authenticate(delivery(KNOWN, authorization="canary-api-key"), NOW)
        with pytest.raises(BadSignature):
            one.authenticate(delivery(KNOWN, authorization="another-api-key"), NOW)


class TestEvents:
    def test_the_two_that_are_documented(self):
        change = read(fixture("register"))
        assert (change.kind, change.record_id, change.user, change.occurred_at) == ("user.created", "a1b2", None, None)
        assert read(fixture("confirmRegister")).kind == "user.updated"

    def test_details_for_the_record_of_the_event(self):
        told = {"entry_point": "100200300-main", "entrypoint_id": "100200300-main", "date": "2026-01-01T00:00:00Z"}
        assert read(fixture("register")).details == told

    def test_more_kinds_by_configuration_keep_the_documented_ones(self):
        events = {"login": "user.login", "userErased": "erasure.requested"}
        assert read(fixture("unknown_login"), events=events).kind == "user.login"
        assert read(fixture("configured_erasure"), events=events).kind == "erasure.requested"
        assert read(fixture("register"), events=events).kind == "user.created"

    def test_an_unknown_event_keeps_its_own_name(self):
        assert read(fixture("unknown_login")).kind == "login"

    def test_other_places(self):
        paths = {
            "event_path": "/notification/name", "user_id_path": "/notification/people/0/oid",
            "occurred_at_path": "/notification/when",
        }  # fmt: skip
        change = read(fixture("register_other_places"), **paths)
        assert (change.kind, change.record_id, change.occurred_at) == ("user.created", "a1b2", NOW)

    def test_the_time_of_an_event(self):
        assert read(fixture("register"), occurred_at_path="/date").occurred_at == NOW

    def test_the_event_has_an_id_of_its_own(self):
        one = provider()
        (item,) = one.split(delivery(fixture("register")))
        assert (item.sender_id, one.read_item(item.body, item.meta).event_id) == ("", item.key)

    @pytest.mark.parametrize(
        ("told", "problem"),
        [
            (None, "not_an_object"), ([], "not_an_object"), ({}, "bad_type"), ({"event": 5, "objectId": "a"}, "bad_type"),
            ({"event": "a b", "objectId": "a"}, "bad_type"), ({"event": "register"}, "no_user_id"),
            ({"event": "register", "objectId": ""}, "bad_user_id"), ({"event": "register", "objectId": ".."}, "bad_user_id"),
            ({"event": "register", "objectId": {}}, "bad_user_id"),
            ({"event": "register", "objectId": "a", "x": "\0"}, "unstorable_text"),
        ],
    )  # fmt: skip
    def test_a_bad_event_harms_no_other(self, told, problem):
        one, good = provider(), {"event": "register", "objectId": "a"}
        items = one.split(delivery(json.dumps([good, told, {**good, "objectId": "b"}]).encode()))
        assert [item.problem for item in items] == [None, problem, None]
        with pytest.raises(BadDelivery):
            one.read_item(items[1].body, items[1].meta)

    def test_too_many(self):
        body = json.dumps([{"event": "register", "objectId": str(number)} for number in range(1001)]).encode()
        with pytest.raises(TooManyItems):
            provider().split(delivery(body))


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ({"events": {"x": "user.wed"}}, r"providers\.members\.events\.x: expected one of user\.created"),
        ({"event_path": "event"}, r"providers\.members\.event_path: expected a path that begins with /"),
        ({"patch_path": "users"}, r"providers\.members\.patch_path"),
    ],
)
def test_settings_that_cannot_be(given, finding):
    with pytest.raises(ConfigError, match=finding):
        provider(**given)


def test_what_it_can_do_depends_on_the_settings():
    bare = provider().capabilities
    assert (bare.read, bare.find, bare.update, bare.consent) == (True, True, True, True)
    assert (bare.list, bare.list_changed, bare.create, bare.delete, bare.erase) == (False, False, False, False, False)
    more = provider(entry_point="100200300-main", allow_delete=True).capabilities
    assert (more.create, more.delete, more.erase) == (True, True, True)
