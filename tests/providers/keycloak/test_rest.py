"""A realm over HTTP: PUT that replaces, attributes that are lists, paging, groups, kept events, tokens."""

import json
from datetime import timedelta

import pytest

from connector.errors import Exists, Missing, Paused, Rejected, Unavailable
from connector.model import ConsentState, Statement
from connector.providers import registry
from connector.providers.keycloak.provider import Keycloak
from connector.providers.keycloak.user import USUAL, Words, laid_over, user_from
from connector.providers.signature import SCHEMES
from connector.providersettings import ConsentField
from connector.settings import ProviderSettings
from connector.testing import Reply, Vendor
from tests.providers.keycloak.realm import CLIENT, START, TOKEN, USERS, Realm, group, role
from tests.providers.keycloak.test_webhooks import fixture

NEWSLETTER = ConsentField(field="newsletter", at="newsletter_at")
WORDS = Words(USUAL, {"newsletter": NEWSLETTER}, ("plan",))
ADA = "ada@example.com"
USER = json.loads(fixture("user"))


@pytest.fixture
def world():
    """world(memberships=..., now=..., **how): a realm, its listener and the provider."""
    running = []

    def build(memberships=(), now=START, client=CLIENT, words=WORDS, **how):
        realm = Realm(**how)
        running.append(Vendor(realm).running())
        vendor = running[-1].__enter__()
        api = Keycloak(
            "members", ["canary-webhook-secret"], SCHEMES["keycloak"], vendor.url, "demo", client, words, memberships,
            clock=lambda: now,
        )  # fmt: skip
        return realm, vendor, api

    yield build
    for one in running:
        one.__exit__(None, None, None)


def ids(pages):
    return [user.id for page in pages for user in page]


def paths(vendor):
    return [call.path for call in vendor.calls if call.path != TOKEN]


class TestUser:
    def test_a_whole_one(self):
        user = user_from(USER, WORDS)
        assert user.values == {
            "email": ADA, "email_verified": True, "first_name": "Ada", "last_name": "Lovelace", "phone": "+34600123456",
            "locale": "es", "country": None, "birth_date": None, "created_at": "2025-12-31T08:00:00.123Z",
            "custom.username": ADA, "custom.enabled": True, "custom.interests": ["film", "sport"], "custom.shoe-size": "38",
            "custom.nothing": None, "custom.newsletter": "true", "custom.newsletter_at": "2025-12-31T08:00:00Z",
            "custom.plan": "gold",
        }  # fmt: skip
        assert user.consents == ({"purpose": "newsletter", "channel": "email", "state": "granted", "at": "2025-12-31T08:00:00Z"},)
        assert [(one["key"], one["kind"]) for one in user.memberships] == [("gold", "plan")]
        assert (user.updated_at, user.etag) == (None, None)

    def test_without_settings_nothing_is_a_consent_or_a_membership(self):
        user = user_from(USER, Words())
        assert (user.consents, user.memberships) == (None, None)

    @pytest.mark.parametrize(
        ("value", "kept"), [("x", ["x"]), (["a", "b"], ["a", "b"]), (True, ["true"]), (7, ["7"]), (None, None), ([], None)]
    )
    def test_attributes_are_lists_of_text(self, value, kept):
        assert laid_over("members", USER, {"custom.shoe-size": value}, WORDS)["attributes"].get("shoe-size") == kept

    def test_everything_else_stays(self):
        changed = laid_over("members", USER, {"first_name": None, "email_verified": None}, WORDS)
        assert changed == {**USER, "firstName": "", "emailVerified": False}

    def test_what_has_no_place_is_refused_by_name(self):
        with pytest.raises(Rejected) as caught:
            laid_over("members", USER, {"last_login_at": "x", "created_at": "x", "first_name": "A"}, WORDS)
        assert caught.value.refused.keys() == {"last_login_at", "created_at"}


class TestWriting:
    def test_a_change_empties_nothing_else(self, world):
        realm, vendor, api = world()
        realm.users[USER["id"]] = dict(USER)
        user = api.update(USER["id"], {"first_name": "Augusta", "phone": None}, None)
        assert (user.values["first_name"], user.values["phone"], user.values["last_name"]) == ("Augusta", None, "Lovelace")
        kept = {name: value for name, value in USER["attributes"].items() if name != "phoneNumber"}
        assert realm.users[USER["id"]] == {**USER, "firstName": "Augusta", "attributes": kept}
        assert [call.method for call in vendor.calls if call.path != TOKEN] == ["GET", "PUT", "GET"]

    def test_an_attribute_that_the_profile_drops_is_told_as_it_is(self, world):
        realm, vendor, api = world(dropped=("birthdate",))
        realm.add("u-1", ADA)
        assert api.update("u-1", {"birth_date": "1815-12-10"}, None).values["birth_date"] is None

    def test_a_consent_is_texts(self, world):
        realm, vendor, api = world()
        realm.add("u-1", ADA, attributes={"plan": ["gold"]})
        api.set_consent("u-1", "newsletter", Statement(ConsentState.REVOKED, START, "form"), None)
        held = {"plan": ["gold"], "newsletter": ["false"], "newsletter_at": ["2026-01-01T00:00:00.000Z"]}
        assert realm.users["u-1"]["attributes"] == held
        api.set_consent("u-1", "newsletter", Statement(ConsentState.GRANTED), None)
        assert realm.users["u-1"]["attributes"] == {"plan": ["gold"], "newsletter": ["true"]}

    def test_a_new_user_has_its_address_for_a_name(self, world):
        realm, vendor, api = world()
        user = api.create({"email": "Grace@example.com", "first_name": "Grace", "custom.shoe-size": 40}, "k")
        assert realm.users[user.id]["username"] == "grace@example.com"
        assert user.values["custom.shoe-size"] == "40"
        with pytest.raises(Exists) as caught:
            api.create({"email": "other@example.com", "custom.username": "GRACE@example.com"}, "k")
        assert caught.value.record_id == user.id
        with pytest.raises(Rejected, match="needs a username"):
            api.create({"first_name": "A"}, "k")

    def test_a_creation_without_a_place_is_not_a_success(self, world):
        realm, vendor, api = world()
        api.find(ADA)
        vendor.fault = Reply(201)
        with pytest.raises(Unavailable, match="no Location"):
            api.create({"email": ADA}, "k")


class TestNames:
    """An attribute may be called like our field; that is not the same as none being configured."""

    @pytest.mark.parametrize("words", [Words(), Words({**USUAL, "phone": "phone", "last_name": "last_name"})])
    def test_attributes_called_like_our_fields_are_written(self, world, words):
        realm, vendor, api = world()
        api._words = words
        realm.add("u-1", ADA, attributes={})
        phone = words.attributes["phone"]
        told = {"country": "ES", "locale": "es", "phone": "+34600123456"}
        user = api.update("u-1", told, None)
        assert {name: user.values[name] for name in told} == told
        assert realm.users["u-1"]["attributes"] == {"country": ["ES"], "locale": ["es"], phone: ["+34600123456"]}
        made = api.create({"email": "grace@example.com", **told}, "k")
        assert {name: made.values[name] for name in told} == told

    def test_an_answer_without_attributes_blanks_nothing(self):
        brief = {name: USER[name] for name in ("id", "username", "email", "firstName", "lastName", "enabled", "createdTimestamp")}
        user = user_from(brief, WORDS)
        assert not {"phone", "country", "locale", "birth_date"} & user.values.keys()
        assert (user.consents, user.memberships) == (None, None)
        assert user_from(brief, WORDS, ({"key": "Press"},)).memberships is None

    def test_a_whole_answer_without_attributes_says_that_there_are_none(self):
        user = user_from({name: value for name, value in USER.items() if name != "attributes"}, WORDS)
        assert (user.values["phone"], user.consents, user.memberships) == (None, (), ())


class TestListing:
    @pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
    def test_everybody_once_with_attributes(self, world, count):
        realm, vendor, api = world()
        for number in range(count):
            realm.add(f"u-{number}", f"p{number}@example.com", attributes={"locale": ["es"]})
        found = [user for page in api.pages() for user in page]
        assert [user.id for user in found] == list(realm.users)
        assert all(user.values["locale"] == "es" for user in found)

    def test_services_are_nobody(self, world):
        realm, vendor, api = world()
        realm.add("u-1", ADA)
        realm.add("s-1", None, serviceAccountClientId="connector")
        assert ids(api.pages()) == ["u-1"]

    def test_a_first_page_for_ever_is_no_listing(self, world):
        realm, vendor, api = world()
        for number in range(100):
            realm.add(f"u-{number}", f"p{number}@example.com")
        vendor.answers = lambda request: realm(request) if request.path == TOKEN else Reply(200, list(realm.users.values()))
        with pytest.raises(Rejected, match="repeats itself"):
            list(api.pages())

    @pytest.mark.parametrize("count", [3, "3", {}, None])
    def test_nobody_listed_but_some_counted(self, world, count):
        realm, vendor, api = world()
        vendor.answers = lambda request: (
            realm(request) if request.path == TOKEN else Reply(200, count if request.path.endswith("/count") else [])
        )
        with pytest.raises(Rejected, match="counts some"):
            list(api.pages())

    @pytest.mark.parametrize("body", [[{"username": "ada"}], [None], {"users": []}])
    def test_half_a_page(self, world, body):
        realm, vendor, api = world()
        api.find(ADA)
        vendor.fault = Reply(200, body)
        with pytest.raises(Rejected):
            list(api.pages())

    def test_an_answer_about_other_people(self, world):
        realm, vendor, api = world()
        realm.add("u-1", ADA)
        assert [user.id for user in api.find("ADA@example.com ")] == ["u-1"]
        vendor.fault = Reply(200, [{"id": "u-2", "email": "ada@example.com.evil"}])
        with pytest.raises(Rejected, match="other addresses"):
            api.find(ADA)

    def test_another_domain_is_not_asked_for(self, world):
        realm, vendor, api = world()
        realm.add("u-1", "ada@strasse.de")
        realm.add("u-2", "ada@straße.de")
        assert [user.id for user in api.find("Ada@Straße.de")] == ["u-2"]
        assert [user.id for user in api.find("Ada@Strasse.de")] == ["u-1"]


class TestMemberships:
    def test_groups_and_roles(self, world):
        realm, vendor, api = world(("groups", "realm_roles"))
        realm.add("u-1", ADA, attributes={"plan": ["gold"]})
        realm.groups["u-1"], realm.roles["u-1"] = ["/Press", "/Members/Gold"], ["editor"]
        told = [(one["key"], one["kind"]) for one in api.fetch("u-1").memberships]
        assert told == [("Press", "group"), ("Members/Gold", "group"), ("editor", "role"), ("gold", "plan")]
        assert [one.memberships for page in api.pages() for one in page] == [api.fetch("u-1").memberships]

    @pytest.fixture
    def ada(self, world):
        realm, vendor, api = world(("groups", "realm_roles"))
        realm.add("u-1", ADA, attributes={"plan": ["gold", "gift"]})
        realm.known_groups = {"/Press", "/Members", "/Members/Gold", "/A & B/50% off?/#1", "/both", "/a~/b"}
        realm.known_roles = {"editor", "day/night", "both"}
        return realm, vendor, api

    def sent(self, vendor):
        return [(one.method, one.path.removeprefix(f"{USERS}/u-1"), one.json() if one.body else None)
                for one in vendor.calls if one.method != "GET" and one.path != TOKEN]  # fmt: skip

    @pytest.mark.parametrize("key", ["Press", "Members/Gold", "A & B/50% off?/#1", "a~/b"])
    def test_a_group_goes_by_its_id(self, ada, key):
        realm, vendor, api = ada
        api.set_membership("u-1", key, True, None)
        assert realm.groups["u-1"] == [f"/{key}"]
        assert [one["key"] for one in api.set_membership("u-1", key, False, None).memberships] == ["gold", "gift"]
        path = f"/groups/{group(f'/{key}')['id']}"
        assert self.sent(vendor) == [("PUT", path, None), ("DELETE", path, None)]

    @pytest.mark.parametrize("key", ["editor", "day/night"])
    def test_a_role_goes_with_its_id_and_name(self, ada, key):
        realm, vendor, api = ada
        api.set_membership("u-1", key, True, None)
        assert realm.roles["u-1"] == [key]
        api.set_membership("u-1", key, False, None)
        path = "/role-mappings/realm"
        assert self.sent(vendor) == [("POST", path, [role(key)]), ("DELETE", path, [role(key)])]

    @pytest.mark.parametrize("key", ["Gold", "nobody", "../users/u-1", "Members//Gold", "/Press", ".", ""])
    def test_what_there_is_not_is_refused(self, ada, key):
        realm, vendor, api = ada
        with pytest.raises(Rejected, match="no group and no role .* that this client may give|nothing can have this name"):
            api.set_membership("u-1", key, True, None)
        assert self.sent(vendor) == []
        assert paths(vendor).count(f"{USERS}/u-1") <= 1, "a key led elsewhere"

    def test_two_of_a_name(self, ada):
        """Which one is meant nobody knows; what is taken away is taken everywhere."""
        realm, vendor, api = ada
        with pytest.raises(Rejected, match="both a group and a role are called both"):
            api.set_membership("u-1", "both", True, None)
        realm.groups["u-1"], realm.roles["u-1"] = ["/both"], ["both"]
        assert [one["key"] for one in api.set_membership("u-1", "both", False, None).memberships] == ["gold", "gift"]

    def test_beside_groups_an_attribute_only_loses_values(self, ada):
        """A group that is misspelt makes no attribute."""
        realm, vendor, api = ada
        assert [one["key"] for one in api.set_membership("u-1", "gold", True, None).memberships] == ["gold", "gift"]
        assert [one["key"] for one in api.set_membership("u-1", "gold", False, None).memberships] == ["gift"]
        assert realm.users["u-1"]["email"] == ADA
        with pytest.raises(Rejected):
            api.set_membership("u-1", "gold", True, None)

    def test_the_one_attribute_gets_values(self, world):
        realm, vendor, api = world()
        realm.add("u-1", ADA)
        assert [one["key"] for one in api.set_membership("u-1", "gold", True, None).memberships] == ["gold"]
        assert realm.users["u-1"]["attributes"] == {"plan": ["gold"]}

    @pytest.mark.parametrize("attributes", [(), ("plan", "tier")])
    def test_without_a_place_to_write(self, world, attributes):
        realm, vendor, api = world(words=Words(memberships=attributes))
        realm.add("u-1", ADA, attributes={"plan": ["gold"]})
        assert (api.capabilities.membership, api.needs["membership"]) == (False, "memberships")
        assert "nothing says where it would go" in api.unwritable_membership("gold")
        with pytest.raises(Rejected, match="u-1: memberships has neither groups nor realm_roles"):
            api.set_membership("u-1", "gold", False, None)

    def test_one_that_is_gone_meanwhile(self, ada):
        realm, vendor, api = ada
        vendor.answers = lambda request: Reply(404) if request.method == "PUT" else realm(request)
        with pytest.raises(Rejected, match="Press is not there any more"):
            api.set_membership("u-1", "Press", True, None)

    def test_who_is_deleted_meanwhile_is_left_out(self, world):
        realm, vendor, api = world(("groups",))
        realm.add("u-1", ADA)
        realm.add("u-2", "two@example.com")

        def meanwhile(request):
            return Reply(404) if request.path == f"{USERS}/u-1/groups" else realm(request)

        vendor.answers = meanwhile
        assert ids(api.pages()) == ["u-2"]


class TestChanged:
    SINCE = START + timedelta(minutes=5)

    @pytest.fixture
    def three(self, world):
        def build(**how):
            realm, vendor, api = world(now=START + timedelta(minutes=30), **how)
            for number in range(3):
                realm.add(f"u-{number}", f"p{number}@example.com")
            realm.did("REGISTER", "u-0", START)
            realm.did("UPDATE_PROFILE", "u-2", START + timedelta(minutes=10))
            realm.administered("UPDATE", "users/u-1", START + timedelta(minutes=7))
            realm.administered("CREATE", "users/u-1/groups/g", START + timedelta(minutes=6), "GROUP_MEMBERSHIP")
            realm.administered("DELETE", "users/u-9", START + timedelta(minutes=8))
            return realm, vendor, api

        return build

    def test_whom_events_name_oldest_first(self, three):
        realm, vendor, api = three()
        assert ids(api.changed_since(self.SINCE)) == ["u-1", "u-2"]
        asked = next(call for call in vendor.calls if call.path.endswith("/events"))
        assert (asked.query["dateFrom"], asked.query["max"]) == ("2025-12-31", "100")
        assert f"{USERS}" not in paths(vendor)

    @pytest.mark.parametrize(
        "config",
        [{"eventsEnabled": False}, {"adminEventsEnabled": False}, {"enabledEventTypes": ["LOGIN", "REGISTER"]},
         {"eventsExpiration": 1200}],
    )  # fmt: skip
    def test_too_few_events_are_kept_so_everybody_is_read(self, three, config):
        realm, vendor, api = three()
        realm.config |= config
        assert ids(api.changed_since(self.SINCE)) == ["u-0", "u-1", "u-2"]
        assert api.capabilities.list_changed == ("eventsExpiration" in config), "those of the last minutes are there again"

    def test_events_that_the_client_may_not_see(self, three):
        realm, vendor, api = three(closed=("/events/config",))
        assert ids(api.changed_since(self.SINCE)) == ["u-0", "u-1", "u-2"]

    @pytest.mark.parametrize("config", [{"enabledEventTypes": ["REGISTER", "UPDATE_PROFILE"]}, {"eventsExpiration": 3600}])
    def test_enough_events_are_kept(self, three, config):
        realm, vendor, api = three()
        realm.config |= config
        assert ids(api.changed_since(self.SINCE)) == ["u-1", "u-2"]

    def test_many_events(self, three):
        realm, vendor, api = three()
        for number in range(250):
            realm.did("UPDATE_PROFILE", f"u-{number % 3}", START + timedelta(minutes=11, seconds=number))
        assert sorted(ids(api.changed_since(self.SINCE))) == ["u-0", "u-1", "u-2"]


class TestTokens:
    def test_one_for_many_calls_and_a_new_one_when_refused(self, world):
        realm, vendor, api = world()
        realm.add("u-1", ADA)
        for _ in range(3):
            api.fetch("u-1")
        assert len(realm.tokens) == 1
        realm.tokens[:] = ["another"]
        api.fetch("u-1")
        assert len(realm.tokens) == 2

    def test_wrong_credentials_make_everybody_wait(self, world):
        realm, vendor, api = world(client={**CLIENT, "client_secret": "canary-wrong-secret"})
        with pytest.raises(Paused) as caught:
            api.fetch("u-1")
        assert "canary" not in str(caught.value)

    def test_a_realm_that_is_not_there_deletes_nobody(self, world):
        """404 of the token endpoint is not 404 of a user."""
        realm, vendor, api = world()
        vendor.fault = Reply(404)
        with pytest.raises(Paused):
            api.fetch("u-1")
        vendor.fault = None
        with pytest.raises(Missing):
            api.fetch("u-1")


def test_settings():
    given = {
        "kind": "keycloak", "mapping": __file__, "api_url": "https://kc.test/auth", "realm": "my realm", **CLIENT,
        "memberships": ["groups", "tier"], "consents": {"news": "news"}, "fields": {"custom.size": "shoe"},
    }  # fmt: skip
    api = registry.build("members", ProviderSettings.model_validate(given))
    assert (api.capabilities.consent, api.capabilities.list_changed) == (True, True)
    assert api._rest._url == "https://kc.test/auth/admin/realms/my%20realm"
    assert (api._memberships.places, api._words.memberships) == (("groups",), ("tier",))
    assert api._words.attributes["custom.size"] == "shoe"
