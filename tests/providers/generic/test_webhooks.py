"""The generic profile's webhooks: one file of fixtures per kind of event, and what senders get wrong."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.errors import BadDelivery, BadSignature, ConfigError, Rejected, TooManyItems
from connector.model import USER_KINDS, Delivery
from connector.providers.base import Capabilities, Provider
from connector.providers.generic import Generic
from connector.providers.registry import build
from connector.providers.signature import SignatureScheme
from connector.settings import ProviderSettings

FIXTURES = Path(__file__).parent / "fixtures"
SECRET = "whsec_" + base64.b64encode(b"a secret of the test suite").decode()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
MEMBERS = Generic("members", [SECRET], SignatureScheme())


def fixture(kind):
    return (FIXTURES / f"{kind.replace('.', '_')}.json").read_bytes()


def delivery(body, message_id="msg_1", **headers):
    headers = {"webhook-id": message_id, **headers} if message_id else headers
    return Delivery("POST", "https://connector.test/webhooks/identity/members", tuple(headers.items()), body)


def envelope(**changes):
    told = {"id": "evt_1", "type": "user.updated", "occurred_at": "2026-01-01T00:00:00Z", "data": {"user": {"id": "u-1"}}}
    return {name: value for name, value in {**told, **changes}.items() if value is not ...}


def split(told, message_id="msg_1", provider=MEMBERS):
    return provider.split(delivery(json.dumps(told).encode(), message_id))


def read(told, meta=None):
    return MEMBERS.read_item(json.dumps(told).encode(), meta or {})


@pytest.mark.parametrize("kind", USER_KINDS)
def test_every_kind_of_event(kind):
    (item,) = MEMBERS.split(delivery(fixture(kind)))
    assert (item.key, item.sender_id, item.problem, item.body) == ("msg_1", "msg_1", None, fixture(kind))
    change = MEMBERS.read_item(item.body, item.meta)
    assert (change.kind, change.record_id, change.occurred_at) == (kind, "u-1", datetime(2026, 1, 1, tzinfo=UTC))
    assert change.event_id == json.loads(fixture(kind))["id"]
    assert change.user.id == "u-1"


def test_a_whole_user():
    user = MEMBERS.read_item(fixture("user.created"), {}).user
    assert user.values == {
        "email": "ada@example.com", "email_verified": True, "first_name": "Ada", "last_name": "Lovelace", "phone": None,
        "locale": "es-ES", "country": "ES", "birth_date": "1990-01-01", "created_at": "2025-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z", "last_login_at": None, "custom.interests": ["film", "sport"],
        "custom.shoe_size": 38,
    }  # fmt: skip
    assert user.updated_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert [one["key"] for one in user.memberships] == ["consumer"]
    assert [one["state"] for one in user.consents] == ["granted"]


def test_a_partial_user_tells_only_what_is_there():
    assert MEMBERS.read_item(fixture("consent.revoked"), {}).user.values == {}
    login = MEMBERS.read_item(fixture("user.login"), {}).user
    assert set(login.values) == {"email", "last_login_at"}
    assert (login.memberships, login.consents) == (None, None)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T08:30:00.250+02:00", datetime(2026, 1, 2, 6, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-01-02T08:30:00", datetime(2026, 1, 2, 8, 30, tzinfo=UTC)),
        ("9999-12-31T23:59:59-23:59", None),
        ("10000-01-01T00:00:00Z", None),
        (1_767_225_600, None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times(text, moment):
    change = read(envelope(occurred_at=text, data={"user": {"id": "u-1", "updated_at": text}}))
    assert (change.occurred_at, change.user.updated_at) == (moment, moment)


@pytest.mark.parametrize(("given", "user_id"), [("u-1", "u-1"), (7, "7"), (2**70, str(2**70)), ("ü/1 ?", "ü/1 ?")])
def test_user_ids(given, user_id):
    assert read(envelope(data={"user": {"id": given}})).record_id == user_id


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        pytest.param(None, "not_an_object", id="null"),
        pytest.param(1, "not_an_object", id="number"),
        pytest.param([], "not_an_object", id="array"),
        pytest.param({}, "bad_type", id="empty object"),
        pytest.param(envelope(type=None), "bad_type", id="type is null"),
        pytest.param(envelope(type="a b"), "bad_type", id="type with a space"),
        pytest.param(envelope(data=...), "no_user_id", id="no data"),
        pytest.param(envelope(data=[]), "no_user_id", id="data is a list"),
        pytest.param(envelope(data={"user": "u-1"}), "no_user_id", id="user is text"),
        pytest.param(envelope(data={"user": {"email": "ada@example.com"}}), "no_user_id", id="no user id"),
        *(
            pytest.param(envelope(data={"user": {"id": value}}), "bad_user_id", id=f"id {value!a:.10}")
            for value in (None, True, 1.0, "", "  ", [], {}, "x" * 201, ".", "..", "a\0b", "\ud800")
        ),
        pytest.param(envelope(data={"user": {"id": "u-1", "first_name": "a\0"}}), "unstorable_text", id="NUL in a value"),
        pytest.param(
            envelope(data={"user": {"id": "u-1", "custom": {"\ud800": 1}}}), "unstorable_text", id="surrogate in a name"
        ),
    ],
)
def test_a_bad_envelope_harms_no_other(told, problem):
    items = split([envelope(), told, envelope()])
    assert [item.problem for item in items] == [None, problem, None]
    assert [item.key for item in items] == ["msg_1:0", "msg_1:1", "msg_1:2"]
    if not isinstance(told, list):
        assert [item.problem for item in split(told)] == [problem]
    with pytest.raises(BadDelivery):
        read(told)


def test_unknown_kinds_and_fields_are_kept():
    told = envelope(type="user.something_new", data={"user": {"id": "u-1", "nickname": "A", "custom": [1]}, "more": 1})
    (item,) = split(told)
    assert item.problem is None
    assert (read(told).kind, read(told).user.values) == ("user.something_new", {})


class TestDetails:
    def test_what_stands_beside_the_user_and_in_the_envelope(self):
        data = {"user": {"id": "u-1", "secret": "x"}, "entry_point": "shop", "count": 3, "share": 0.5, "first": True}
        change = read(envelope(data=data, tenant="demo", entry_point="main"))
        assert change.details == {"entry_point": "shop", "count": 3, "share": 0.5, "first": True, "tenant": "demo"}

    def test_only_texts_numbers_and_truth_values(self):
        data = {"user": {"id": "u-1"}, "list": [1], "object": {"a": 1}, "nothing": None, "tenant": None}
        assert read(envelope(data=data, tenant="demo", more=[])).details == {"tenant": "demo"}

    def test_not_too_many_and_not_too_long(self):
        data = {"user": {"id": "u-1"}, "": 1, "n" * 101: 1, "n" * 100: "x" * 1001} | {
            f"d{number}": number for number in range(60)
        }
        details = read(envelope(data=data, tenant="demo")).details
        assert len(details) == 50
        assert details["n" * 100] == "x" * 1000
        assert "tenant" not in details

    def test_none_in_an_event_without_any(self):
        assert read(envelope()).details == {}


def test_entries_that_are_no_objects_are_left_out():
    user = read(envelope(data={"user": {"id": "u-1", "memberships": [1, {"key": "a"}], "consents": "x"}})).user
    assert (user.memberships, user.consents) == (({"key": "a"},), ())


class TestKeys:
    def test_the_delivery_id_recognises_a_repeat(self):
        assert split(envelope())[0].key == split(envelope(id="other"))[0].key == "msg_1"

    def test_without_a_delivery_id_the_bytes_do(self):
        raw = json.dumps(envelope()).encode()
        (item,) = MEMBERS.split(delivery(raw, None))
        assert (item.key, item.sender_id) == (hashlib.sha256(raw).hexdigest(), "evt_1")

    def test_without_any_id_the_key_names_the_event(self):
        (item,) = split(envelope(id=...), None)
        assert (item.sender_id, MEMBERS.read_item(item.body, item.meta).event_id) == ("", item.key)

    def test_events_of_one_delivery_without_ids_are_told_apart(self):
        items = split([envelope(id=...), envelope(id=...)])
        assert [MEMBERS.read_item(item.body, item.meta).event_id for item in items] == ["msg_1:0", "msg_1:1"]

    def test_an_id_that_is_not_signed_cannot_hide_another_delivery(self):
        """A captured delivery, sent under the id of one to come, must not make that one look like a repeat."""
        provider = Generic("members", ["x" * 16], SignatureScheme(signed="body", key="utf8"))
        captured, coming = envelope(), envelope(type="user.deleted")
        assert split(captured, "msg_2", provider)[0].key != split(coming, "msg_2", provider)[0].key
        assert split(coming, "msg_2", provider)[0].key == split(coming, "msg_2", provider)[0].key

    @pytest.mark.parametrize("message_id", ["x" * 5000, "ü", "a b"])
    def test_an_odd_id_is_hashed(self, message_id):
        (item,) = split(envelope(), message_id)
        assert item.key == item.sender_id == f"sha256:{hashlib.sha256(message_id.encode()).hexdigest()}"


def test_nothing_and_too_much():
    assert split([]) == []
    assert len(split([envelope()] * 1000)) == 1000
    with pytest.raises(TooManyItems):
        split([envelope()] * 1001)


def test_signatures_are_checked():
    body = fixture("user.created")
    digest = hmac.digest(b"a secret of the test suite", b"msg_1." + STAMP.encode() + b"." + body, "sha256")
    headers = {"webhook-timestamp": STAMP, "webhook-signature": "v1," + base64.b64encode(digest).decode()}
    MEMBERS.authenticate(delivery(body, **headers), NOW)
    with pytest.raises(BadSignature):
        MEMBERS.authenticate(delivery(body, "msg_2", **headers), NOW)


class TestHints:
    """A delivery that anybody may have made up says whom to look at, and nothing else."""

    API = {"api_url": "https://id.test", "api_key": "identity-key"}
    OPEN = SignatureScheme("authorization", prefix="", auth="header")

    def read(self, scheme=OPEN, trust="auto", **api):
        secret = SECRET if scheme.signs_body else "plain text as a secret"
        provider = Generic("members", [secret], scheme, trust=trust, **api)
        told = envelope(type="user.deleted", entry_point="shop", data={"user": {"id": "u-1", "email": "eve@example.com"}})
        return provider.read_item(json.dumps(told).encode(), {})

    def test_what_is_signed_is_believed(self):
        change = self.read(SignatureScheme(), **self.API)
        assert (change.kind, change.user.values) == ("user.deleted", {"email": "eve@example.com"})

    @pytest.mark.parametrize("scheme", [OPEN, SignatureScheme(auth="url"), SignatureScheme("authorization", auth="basic")])
    def test_a_bare_secret_is_a_reason_to_read(self, scheme):
        change = self.read(scheme, **self.API)
        assert (change.kind, change.record_id, change.user, change.details) == ("user.updated", "u-1", None, {})

    def test_who_cannot_be_read_is_left_alone(self):
        change = self.read()
        assert (change.kind, change.user, change.details) == ("hint.user.deleted", None, {})

    def test_it_can_be_decided(self):
        assert self.read(trust="full").kind == "user.deleted"
        assert self.read(SignatureScheme(), "hint", **self.API).user is None


class TestRegistry:
    def settings(self, **given):
        mapping = FIXTURES / "user.json"
        return ProviderSettings.model_validate({"kind": "generic", "mapping": mapping, "webhook_secret": SECRET, **given})

    def test_receive_only(self):
        provider: Provider = build("members", self.settings())
        assert (provider.name, provider.capabilities) == ("members", Capabilities())
        with pytest.raises(Rejected, match="no api_url"):
            provider.fetch("u-1")

    def test_with_an_api(self):
        provider = build("members", self.settings(api_url="https://id.test", api_key="identity-key"))
        assert provider.capabilities == Capabilities(*[True] * 10)

    def test_a_scheme_of_its_own(self):
        signature = {"header": "X-Signature", "signed": "body", "encoding": "hex", "prefix": "sha256=", "key": "utf8"}
        provider = build("members", self.settings(signature=signature, webhook_secret="plain text as a secret"))
        digest = hmac.new(b"plain text as a secret", b"{}", "sha256").hexdigest()
        provider.authenticate(delivery(b"{}", **{"x-signature": f"sha256={digest}"}), NOW)

    def test_findings_name_the_provider(self):
        settings = self.settings().model_copy(update={"kind": "gone"})
        with pytest.raises(ConfigError, match=r"providers\.members\.kind"):
            build("members", settings)
