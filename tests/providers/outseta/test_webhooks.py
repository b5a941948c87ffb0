"""Outseta's activity notifications: a hex key, the event in the address, people and accounts in the body."""

import hmac
import json
from datetime import UTC, datetime

import pytest

from connector.errors import BadDelivery, BadSignature, ConfigError, TooManyItems
from connector.model import ConsentState, Delivery
from connector.providers.outseta.events import CODES, KINDS, Activities
from connector.providers.registry import build
from connector.settings import ProviderSettings
from tests.providers.outseta.vendor import FIXTURES, KEY

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECRET = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
KNOWN = (
    b'{"Uid":"DQ2DyknW","Email":"ada@example.com","FirstName":"Ada","LastName":"Lovelace","_objectType":"Person",'
    b'"Updated":"2026-01-01T00:00:00"}'
)
SIGNATURE = "sha256=64c8cb12c450fca00f4bdd6b0b2c9de15c97ee82dc887ed4b0192373375d0adb"


def provider(**more):
    given = {
        "kind": "outseta", "mapping": FIXTURES / "person.json", "webhook_secret": SECRET, "api_url": "https://acme.outseta.test",
        "api_key": KEY, **more,
    }  # fmt: skip
    return build("members", ProviderSettings.model_validate(given))


def delivery(body, query="?event=PersonUpdated", **headers):
    told = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Delivery("POST", f"https://connector.test/webhooks/identity/members{query}", told, body)


def changes(name, query=None, **settings):
    one = provider(**settings)
    body = (FIXTURES / f"{name}.json").read_bytes()
    items = one.split(delivery(body, f"?event={name.partition('_')[0]}" if query is None else query))
    assert [item.problem for item in items] == [None] * len(items)
    return [one.read_item(item.body, item.meta) for item in items]


class TestSignature:
    def test_a_known_answer(self):
        provider().authenticate(delivery(KNOWN, x_hub_signature_256=SIGNATURE), NOW)

    @pytest.mark.parametrize("query", ["", "?event=PersonDeleted", "?event=200&x=1"])
    def test_the_address_is_not_signed(self, query):
        provider().authenticate(delivery(KNOWN, query, x_hub_signature_256=SIGNATURE), NOW)

    def test_the_key_is_hex_and_not_text(self):
        as_text = hmac.new(SECRET.encode(), KNOWN, "sha256").hexdigest()
        with pytest.raises(BadSignature):
            provider().authenticate(delivery(KNOWN, x_hub_signature_256=f"sha256={as_text}"), NOW)

    def test_any_of_several_keys(self):
        provider(webhook_secret=["ff" * 32, SECRET]).authenticate(delivery(KNOWN, x_hub_signature_256=SIGNATURE), NOW)


class TestEvents:
    @pytest.mark.parametrize(
        ("name", "kind", "occurred_at"),
        [
            ("PersonCreated", "user.created", datetime(2026, 1, 1, tzinfo=UTC)),
            ("PersonUpdated", "user.updated", NOW),
            ("PersonDeleted", "user.deleted", NOW),
            ("PersonLogin", "user.login", datetime(2026, 1, 2, 9, 30, tzinfo=UTC)),
            ("PersonListSubscribed", "consent.granted", NOW),
            ("PersonListUnsubscribed", "consent.revoked", NOW),
        ],
    )
    def test_a_person(self, name, kind, occurred_at):
        (change,) = changes(name)
        assert (change.kind, change.record_id, change.occurred_at) == (kind, "DQ2DyknW", occurred_at)

    def test_whom_an_account_took_in(self):
        (change,) = changes("AccountAddPerson")
        assert (change.kind, change.record_id, change.user) == ("membership.added", "DQ2DyknW", None)
        assert change.details == {
            "AccountUid": "L9P6gepm", "PersonUid": "DQ2DyknW", "activity": "AccountAddPerson", "account": "L9P6gepm",
        }  # fmt: skip

    def test_whom_an_account_let_go(self):
        (change,) = changes("AccountRemovePerson")
        assert (change.kind, change.record_id) == ("membership.removed", "DQ2DyknW")

    def test_an_account_s_activity_is_one_of_each_of_its_people(self):
        found = changes("AccountStageUpdated_two_people")
        assert [(one.kind, one.record_id) for one in found] == [("user.updated", "DQ2DyknW"), ("user.updated", "Other123")]
        assert len({one.event_id for one in found}) == 2

    def test_an_account_without_people_is_kept_and_counted(self):
        (change,) = changes("AccountDeleted_nobody")
        assert (change.kind, change.record_id) == ("AccountDeleted", "L9P6gepm")

    def test_an_unknown_activity_keeps_its_own_name(self):
        (change,) = changes("BillingInvoiceCreated_unknown")
        assert change.kind == "BillingInvoiceCreated"

    @pytest.mark.parametrize("query", ["", "?event=", "?event=PersonDeleted&event=PersonDeleted"])
    def test_without_a_name_in_the_address_it_is_a_hint(self, query):
        (change,) = changes("PersonDeleted", query)
        assert (change.kind, change.record_id) == ("user.updated", "DQ2DyknW")

    def test_a_number_will_do(self):
        (change,) = changes("PersonLogin", "?event=203")
        assert change.kind == "user.login"
        assert set(CODES.values()) <= set(KINDS)

    def test_kinds_can_be_configured(self):
        (change,) = changes("PersonLogin", "?event=PersonSegmentAdded", events={"PersonSegmentAdded": "user.updated"})
        assert change.kind == "user.updated"
        with pytest.raises(ConfigError, match=r"members\.events\.PersonLogin"):
            provider(events={"PersonLogin": "user.wed"})


class TestCarried:
    def test_a_whole_person(self):
        (change,) = changes("PersonUpdated")
        assert (change.user.values["first_name"], change.user.updated_at) == ("Augusta", NOW)
        assert [one["purpose"] for one in change.user.consents] == ["newslttr"]
        assert [one["key"] for one in change.user.memberships] == ["stage:subscribing", "planGold"]

    def test_lists_and_accounts_without_their_parts_are_not_told(self):
        """So the person is read, where the mapping wants to know."""
        (change,) = changes("PersonListSubscribed")
        assert (change.user.consents, change.user.memberships) == (None, None)

    def test_a_list_that_does_not_say_how_it_is_joined_is_not_sure(self):
        person = json.loads((FIXTURES / "PersonUpdated.json").read_bytes())
        del person["EmailListPerson"][0]["EmailList"]["RequiresDoubleOptIn"]
        one = provider()
        (item,) = one.split(delivery(json.dumps(person).encode()))
        assert one.read_item(item.body, item.meta).user.consents is None

    def test_what_the_settings_know_of_lists_is_sure(self):
        person = json.loads((FIXTURES / "PersonUpdated.json").read_bytes())
        del person["EmailListPerson"][0]["EmailList"]["RequiresDoubleOptIn"]
        change = Activities(double_opt_in="no").change(json.dumps(person).encode(), {"person": person["Uid"]})
        assert [one["state"] for one in change.user.consents] == ["granted"]

    def test_who_is_gone_is_not_seen(self):
        (change,) = changes("PersonDeleted")
        assert change.user is None


class TestItems:
    def test_one_body_for_two_activities_is_two_events(self):
        one = provider()
        keys = {one.split(delivery(KNOWN, f"?event={name}"))[0].key for name in ("PersonUpdated", "PersonListSubscribed")}
        assert len(keys) == 2

    def test_a_repeat_has_the_same_key(self):
        assert provider().split(delivery(KNOWN))[0].key == provider().split(delivery(KNOWN))[0].key

    @pytest.mark.parametrize(
        ("told", "query", "problem"),
        [
            (None, "", "not_an_object"), ([], "", "not_an_object"), ({}, "", "no_user_id"), ({"Uid": None}, "", "no_user_id"),
            ({"Uid": ""}, "", "bad_user_id"), ({"Uid": {}}, "", "bad_user_id"), ({"Uid": ".."}, "", "bad_user_id"),
            ({"Uid": "a"}, "?event=a%20b", "bad_type"), ({"Uid": "a"}, "?event=" + "x" * 65, "bad_type"),
            ({"Uid": "a", "Email": "\0"}, "", "unstorable_text"),
        ],
    )  # fmt: skip
    def test_a_bad_one(self, told, query, problem):
        one = provider()
        items = one.split(delivery(json.dumps([told]).encode(), query))
        assert [item.problem for item in items] == [problem]
        with pytest.raises(BadDelivery):
            one.read_item(items[0].body, items[0].meta)

    def test_people_without_a_usable_id_are_left_out(self):
        people = [{"Person": {"Uid": uid}} for uid in ("a", None, "", "a", 5)]
        body = json.dumps({"_objectType": "Account", "Uid": "x", "PersonAccount": people}).encode()
        assert [item.meta["person"] for item in provider().split(delivery(body))] == ["a", "5"]

    def test_an_account_with_too_many_people(self):
        people = [{"Person": {"Uid": f"p{number}"}} for number in range(1001)]
        body = json.dumps({"_objectType": "Account", "Uid": "x", "PersonAccount": people}).encode()
        with pytest.raises(TooManyItems):
            provider().split(delivery(body))


@pytest.mark.parametrize("key", ["only-the-key", ":secret-alone", "key-alone:"])
def test_a_key_has_two_parts(key):
    with pytest.raises(ConfigError, match=r"members\.api_key: expected KEY:SECRET"):
        provider(api_key=key)


def test_consent_states_are_those_the_engine_knows():
    (change,) = changes("PersonUpdated")
    assert [one["state"] for one in change.user.consents] == [ConsentState.GRANTED]
