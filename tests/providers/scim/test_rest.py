"""SCIM servers as they are: filters that do not filter, pages that repeat, versions, lists of addresses, users switched off."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scim2_models import PatchOp, User

from connector.errors import BadDelivery, BadSignature, ConfigError, Exists, Missing, Rejected, Stale
from connector.model import ConsentState, Delivery, Statement
from connector.providers import registry
from connector.providers.scim.provider import Scim
from connector.providers.scim.user import ENTERPRISE, Words, changes, laid_over, patch, user_from
from connector.settings import ProviderSettings
from connector.testing import Reply, Vendor
from tests.providers.scim.server import CORE, KEY, LISTING, ScimServer

FIXTURES = Path(__file__).parent / "fixtures"
START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = Words()
ADA = "ada@example.com"


def fixture(name):
    return json.loads((FIXTURES / f"{name}.json").read_bytes())


@pytest.fixture
def world():
    """world("quirk", ...): a server of a dialect, its listener and the provider. world(..., cap=, off=)."""
    running = []

    def build(*quirks, cap=1000, off="deleted"):
        server = ScimServer(*quirks, cap=cap)
        running.append(Vendor(server).running())
        vendor = running[-1].__enter__()
        return server, vendor, Scim("members", vendor.url, KEY, off=off)

    yield build
    for one in running:
        one.__exit__(None, None, None)


def ids(pages):
    return [user.id for page in pages for user in page]


def filters(vendor):
    return [call.query["filter"] for call in vendor.calls if "filter" in call.query]


class TestUser:
    def test_a_whole_one(self):
        user = user_from(fixture("user_whole"), WORDS)
        assert (user.id, user.etag) == ("2819c223-7f76-453a-919d-413861904646", 'W/"a330bc54f0671c9"')
        assert user.updated_at == datetime(2026, 1, 1, 9, 30, 0, 125000, UTC)
        told = {name: value for name, value in user.values.items() if value is not None}
        assert told == {
            "email": ADA, "first_name": "Ada", "last_name": "Lovelace", "locale": "en-GB", "country": "GB",
            "phone": "+44 20 7946 0000", "created_at": "2025-12-31T08:00:00Z", "updated_at": "2026-01-01T10:30:00.125+01:00",
            "custom.userName": ADA, "custom.displayName": "Ada Lovelace", "custom.title": "Countess",
            "custom.externalId": "701984", "custom.active": True, "custom.department": "Engines",
        }  # fmt: skip
        assert [(one["key"], one["kind"], one["active"]) for one in user.memberships] == [
            ("Press", "group", True), ("fc348aa8", "group", True),
        ]  # fmt: skip
        assert user.consents is None

    def test_what_is_absent_is_blank_and_the_name_may_be_the_address(self):
        user = user_from(fixture("user_minimal"), WORDS)
        assert (user.values["email"], user.values["last_name"], user.values["phone"]) == (ADA, None, None)
        assert (user.updated_at, user.etag, user.memberships) == (None, None, None)
        assert "created_at" not in user.values

    def test_names_have_no_case(self):
        user = user_from(fixture("user_lower_case"), WORDS)
        assert (user.id, user.values["email"], user.values["first_name"]) == ("u-1", ADA, "Ada")
        assert user.updated_at == START

    def test_other_values_of_a_list_stay(self):
        record = fixture("user_whole")
        found = changes("members", {"email": "new@example.com", "phone": None, "country": None}, record, WORDS)
        assert found == {
            "emails": [record["emails"][0], {"value": "new@example.com", "type": "work", "primary": True}],
            "phoneNumbers": None,
            "addresses": [{"type": "work", "locality": "London", "primary": True}],
            "userName": "new@example.com",
        }

    @pytest.mark.parametrize(("name", "email"), [("ada", ADA), ("other@example.com", ADA)])
    def test_a_name_of_its_own_stays(self, name, email):
        record = {"userName": name, "emails": [{"value": email}]}
        assert "userName" not in changes("members", {"email": "new@example.com"}, record, WORDS)

    def test_what_has_no_place_is_refused_by_name(self):
        with pytest.raises(Rejected) as caught:
            changes("members", {"birth_date": "1815-12-10", "custom.shoe": "38", "first_name": "A"}, {}, WORDS)
        assert caught.value.refused.keys() == {"birth_date", "custom.shoe"}

    def test_a_patch_is_one_by_an_independent_reading(self):
        """scim2-models checks paths and values against the schema, and does what the message says."""
        record = fixture("user_whole")
        del record[ENTERPRISE], record["schemas"][1]
        asked = {"email": "new@example.com", "first_name": "Augusta", "last_name": None, "custom.title": "Lady"}
        changed = changes("members", asked, record, WORDS)
        there = User.model_validate(record)
        PatchOp[User].model_validate(patch(changed)).patch(there)
        again = user_from(json.loads(there.model_dump_json(by_alias=True, exclude_none=True)), WORDS)
        assert {name: again.values[name] for name in asked} == asked
        assert again.values["custom.displayName"] == "Ada Lovelace"
        assert laid_over(record, changed)["name"] == {"formatted": "Ms. Ada Lovelace", "givenName": "Augusta"}

    def test_an_extension_that_is_written_is_named(self):
        found = laid_over({"schemas": ["a"]}, {f"{ENTERPRISE}:department": "Tea", "title": None})
        assert found == {"schemas": ["a", ENTERPRISE], ENTERPRISE: {"department": "Tea"}}


class TestChanged:
    @pytest.fixture
    def three(self, world):
        def build(*quirks):
            server, vendor, api = world(*quirks)
            for number in range(3):
                server.add(f"u-{number}", f"p{number}@example.com")  # changed at second 1, 2, 3
            return server, vendor, api

        return build

    def test_only_they_are_asked_for(self, three):
        server, vendor, api = three()
        assert ids(api.changed_since(START + timedelta(seconds=2))) == ["u-1", "u-2"]
        assert filters(vendor)[-1] == 'meta.lastModified ge "2026-01-01T00:00:02Z"'
        list(api.changed_since(START))
        assert len(vendor.calls) == 4, "what the server can do is found out once"

    def test_oldest_first(self, three):
        server, vendor, api = three()
        server.touch("u-0")
        assert ids(api.changed_since(START)) == ["u-1", "u-2", "u-0"]

    @pytest.mark.parametrize(
        "quirk", ["no ge", "no filter", "filter ignored", "filter finds nobody", "no count", "no total", "no total, no list"]
    )
    def test_a_dialect_hides_nobody_and_repeats_nobody(self, three, quirk):
        server, vendor, api = three(quirk)
        for _ in range(2):
            assert ids(api.changed_since(START + timedelta(seconds=1, milliseconds=500))) == ["u-1", "u-2"]
        operator = {"no ge": "gt", "no count": "ge", "no total": "ge", "no total, no list": "ge"}.get(quirk)
        assert api.capabilities.list_changed == bool(operator), "whether asking again is worth it"
        assert vendor.calls[-1].query.get("filter", "")[:21] == (f"meta.lastModified {operator} " if operator else "")

    def test_a_filter_that_only_works_when_nobody_looks(self, three):
        """Its rows are held against the filter, each time."""
        server, vendor, api = three()
        list(api.changed_since(START))
        server.quirks.add("filter ignored")
        assert ids(api.changed_since(START + timedelta(seconds=3))) == ["u-2"]

    def test_a_filter_that_is_answered_by_no_listing_is_none(self, three):
        server, vendor, api = three()
        vendor.answers = lambda request: Reply(200, {}) if "filter" in request.query else server(request)
        assert ids(api.changed_since(START + timedelta(seconds=2))) == ["u-1", "u-2"]
        assert not api.capabilities.list_changed

    def test_a_user_without_a_time_may_have_changed(self, three):
        server, vendor, api = three("filter ignored")
        del server.users["u-0"]["meta"]["lastModified"]
        assert sorted(ids(api.changed_since(START + timedelta(seconds=3)))) == ["u-0", "u-2"]

    def test_an_empty_server_decides_nothing(self, world):
        server, vendor, api = world()
        assert ids(api.changed_since(START)) == []
        server.add("u-1", ADA)
        assert ids(api.changed_since(START)) == ["u-1"]
        assert filters(vendor)[-1].startswith("meta.lastModified ge")


class TestListing:
    @pytest.mark.parametrize("quirks", [(), ("no total",), ("no total, no list",), ("no count",), ("total of the page",)])
    @pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
    def test_everybody_once(self, world, quirks, count):
        server, vendor, api = world(*quirks)
        for number in range(count):
            server.add(f"u-{number}", f"p{number}@example.com")
        assert ids(api.pages()) == [f"u-{number}" for number in range(count)]

    @pytest.mark.parametrize("quirks", [(), ("no total",)])
    def test_a_server_that_gives_fewer_than_asked(self, world, quirks):
        server, vendor, api = world(*quirks, cap=20)
        for number in range(50):
            server.add(f"u-{number}", f"p{number}@example.com")
        assert len(ids(api.pages())) == 50

    def test_pages_that_are_the_first_again_are_no_listing(self, world):
        server, vendor, api = world("start ignored")
        for number in range(150):
            server.add(f"u-{number}", f"p{number}@example.com")
        with pytest.raises(Rejected, match="ended after 100 of 150"):
            list(api.pages())
        server.quirks.add("no total")
        with pytest.raises(Rejected, match="repeats itself"):
            list(api.pages())

    @pytest.mark.parametrize(
        "body",
        [{"totalResults": 3, "Resources": []}, {"totalResults": 1}, {"Resources": {}}, {"itemsPerPage": 0},
         {"schemas": [LISTING], "itemsPerPage": 2}, {"schemas": [LISTING], "Resources": "x"}, {"schemas": [CORE]},
         {"totalResults": 2, "Resources": [None, "x"]}, {"totalResults": 1, "Resources": [{"id": ""}]}],
    )  # fmt: skip
    def test_half_a_page_is_not_nobody(self, world, body):
        server, vendor, api = world()
        vendor.fault = Reply(200, body)
        with pytest.raises(Rejected):
            list(api.pages())

    def test_a_total_may_be_text(self, world):
        server, vendor, api = world()
        vendor.fault = Reply(200, {"totalResults": "1", "Resources": [fixture("user_minimal"), {"id": None}]})
        assert ids(api.pages()) == ["7"]


class TestFind:
    @pytest.mark.parametrize("quirks", [(), ("no email filter",), ("no filter",), ("filter ignored",)])
    def test_by_email(self, world, quirks):
        server, vendor, api = world(*quirks)
        for number in range(120):
            server.add(f"u-{number}", f"p{number}@example.com")
        assert [user.id for user in api.find("P110@example.com")] == ["u-110"]
        assert api.find("nobody@example.com") == []

    def test_another_domain_is_somebody_else(self, world):
        server, vendor, api = world("filter ignored")
        server.add("u-1", "ada@strasse.de")
        assert api.find("Ada@Straße.de") == []

    def test_who_has_no_emails_but_a_name(self, world):
        server, vendor, api = world()
        server.users["7"] = fixture("user_minimal")
        server.touch("7")
        assert [user.id for user in api.find(ADA)] == ["7"]

    def test_a_quote_stays_in_its_text(self, world):
        server, vendor, api = world("filter finds nobody")
        api.find('a" or userName pr or "@example.com')
        assert filters(vendor)[0] == 'emails.value eq "a\\" or userName pr or \\"@example.com"'


class TestWriting:
    @pytest.mark.parametrize("quirks", [(), ("no patch",), ("patch missing",), ("204",), ("no patch", "204")])
    def test_an_address_moves_and_the_rest_stays(self, world, quirks):
        server, vendor, api = world(*quirks)
        server.add("u-1", ADA, title="Countess", photos=[{"value": "https://x.test/p"}])
        server.users["u-1"]["emails"].append({"value": "home@example.com", "type": "home"})
        user = api.update("u-1", {"email": "new@example.com"}, None)
        assert (user.values["email"], user.values["custom.userName"], user.etag) == (
            "new@example.com",
            "new@example.com",
            'W/"2"',
        )
        kept = server.users["u-1"]
        assert [one["value"] for one in kept["emails"]] == ["new@example.com", "home@example.com"]
        assert (kept["title"], kept["photos"]) == ("Countess", [{"value": "https://x.test/p"}])

    def test_no_patch_is_learned(self, world):
        server, vendor, api = world("no patch")
        server.add("u-1", ADA)
        for name in ("A", "B"):
            api.update("u-1", {"first_name": name}, None)
        assert [call.method for call in vendor.calls] == ["GET", "PATCH", "PUT", "GET", "PUT"]

    def test_a_user_who_goes_between_reading_and_writing_teaches_nothing_of_patch(self, world):
        server, vendor, api = world()
        server.add("u-1", ADA)
        server.add("u-2", "two@example.com")

        def meanwhile(request):
            if request.method == "PATCH" and request.path.endswith("u-1"):
                server.users.pop("u-1", None)
            return server(request)

        vendor.answers = meanwhile
        with pytest.raises(Missing):
            api.update("u-1", {"first_name": "A"}, None)
        api.update("u-2", {"first_name": "B"}, None)
        assert vendor.calls[-1].method == "PATCH"

    def test_a_user_that_changed_since_is_stale(self, world):
        server, vendor, api = world()
        server.add("u-1", ADA)
        old = api.fetch("u-1").etag
        server.touch("u-1")
        with pytest.raises(Stale):
            api.update("u-1", {"first_name": "A"}, old)
        assert all(call.method == "GET" for call in vendor.calls)

    def test_a_change_between_reading_and_writing_is_stale(self, world):
        server, vendor, api = world()
        server.add("u-1", ADA)

        def meanwhile(request):
            if request.method == "PATCH":
                server.touch("u-1")
            return server(request)

        vendor.answers = meanwhile
        with pytest.raises(Stale):
            api.update("u-1", {"email": "new@example.com"}, None)

    @pytest.mark.parametrize("quirks", [(), ("400",)])
    def test_a_name_that_is_taken(self, world, quirks):
        server, vendor, api = world(*quirks)
        server.add("u-1", ADA)
        with pytest.raises(Exists) as caught:
            api.create({"email": "ADA@example.com", "first_name": "A"}, "k")
        assert caught.value.record_id == "u-1"

    def test_who_has_no_address_needs_a_name(self, world):
        server, vendor, api = world()
        with pytest.raises(Rejected, match="needs a userName"):
            api.create({"first_name": "A"}, "k")
        made = api.create({"first_name": "A", "custom.userName": "ada"}, "k")
        assert (made.values["custom.userName"], made.values["email"]) == ("ada", None)

    def test_a_consent_needs_an_attribute(self, world):
        server, vendor, api = world()
        assert not api.capabilities.consent
        with pytest.raises(Rejected, match="no field is configured"):
            api.set_consent("u-1", "newsletter", Statement(ConsentState.GRANTED), None)


class TestGroups:
    @pytest.fixture
    def ada(self, world):
        def build(*quirks, groups=(("g/1", "Press"),), mine=()):
            server, vendor, api = world(*quirks)
            server.add("u-1", ADA)
            server.groups = {one: (name, {"u-1"} if one in mine else set()) for one, name in groups}
            return server, vendor, api

        return build

    def members(self, server):
        return {one: sorted(members) for one, (name, members) in server.groups.items()}

    def test_others_stay_and_a_group_goes_by_its_id(self, ada):
        server, vendor, api = ada(groups=(("g/1", "Press"), ("g/2", "press"), ("g/3", "Gold")), mine=("g/3",))
        assert [one["key"] for one in api.set_membership("u-1", "Press", True, None).memberships] == ["Press", "Gold"]
        assert self.members(server) == {"g/1": ["u-1"], "g/2": [], "g/3": ["u-1"]}
        assert [one["key"] for one in api.set_membership("u-1", "Press", False, None).memberships] == ["Gold"]

    @pytest.mark.parametrize("held", [True, False])
    def test_what_is_so_already_is_not_sent(self, ada, held):
        server, vendor, api = ada(mine=("g/1",) if held else ())
        api.set_membership("u-1", "Press", held, None)
        assert {call.method for call in vendor.calls} == {"GET"}

    @pytest.mark.parametrize("key", ["press", 'Pr"ess\\', "..", ""])
    def test_what_there_is_not_is_refused(self, ada, key):
        server, vendor, api = ada()
        with pytest.raises(Rejected, match="user u-1: (there is no group called|no group can be called so)"):
            api.set_membership("u-1", key, True, None)

    def test_two_of_a_name(self, ada):
        server, vendor, api = ada(groups=(("g/1", "Press"), ("g/2", "Press")))
        with pytest.raises(Rejected, match="several groups called Press"):
            api.set_membership("u-1", "Press", True, None)

    def test_a_server_without_groups(self, ada):
        server, vendor, api = ada()
        vendor.answers = lambda request: Reply(404) if "/Groups" in request.path else server(request)
        with pytest.raises(Rejected, match="has the server groups?"):
            api.set_membership("u-1", "Press", True, None)

    def test_a_server_that_does_not_change_them(self, ada):
        server, vendor, api = ada("no group patch")
        with pytest.raises(Rejected, match="Press is gone, or the server does not change groups"):
            api.set_membership("u-1", "Press", True, None)

    def test_the_last_group_of_a_server_that_leaves_out_empty_ones(self, ada):
        server, vendor, api = ada("empty groups untold", mine=("g/1",))
        assert api.set_membership("u-1", "Press", False, None).memberships == ()

    def test_a_server_that_tells_no_groups_of_users(self, ada):
        """It is not said to be done, as nothing shows it; a withdrawal is carried out all the same."""
        server, vendor, api = ada("groups untold", "no target", mine=("g/1",))
        for _ in range(2):
            assert api.set_membership("u-1", "Press", False, None).memberships is None
            assert self.members(server) == {"g/1": []}
        with pytest.raises(Rejected, match="does not show it among the user's groups"):
            api.set_membership("u-1", "Press", True, None)

    def test_one_that_follows_from_another(self, ada):
        server, vendor, api = ada()
        record = server.told(server.users["u-1"])
        inherited = {**record, "groups": [{"value": "g/1", "display": "Press", "type": "Indirect"}]}
        vendor.answers = lambda request: Reply(200, inherited)
        with pytest.raises(Rejected, match="Press follows from another group"):
            api.set_membership("u-1", "Press", False, None)

    def test_a_user_that_changed_since_is_stale(self, ada):
        server, vendor, api = ada()
        with pytest.raises(Stale):
            api.set_membership("u-1", "Press", True, 'W/"old"')
        assert self.members(server) == {"g/1": []}

    def test_a_refusal(self, ada):
        server, vendor, api = ada(mine=("g/1",))
        vendor.answers = lambda request: Reply(400, {"detail": ADA}) if request.method == "PATCH" else server(request)
        with pytest.raises(Rejected, match="set a group of user u-1: 400: the server refuses it"):
            api.set_membership("u-1", "Press", False, None)


class TestSwitchedOff:
    def test_is_deleted(self, world):
        server, vendor, api = world()
        server.add("u-1", ADA, active=False)
        server.add("u-2", "two@example.com", active="False")
        server.add("u-3", "three@example.com")
        for call in (lambda: api.fetch("u-1"), lambda: api.update("u-2", {"first_name": "A"}, None)):
            with pytest.raises(Missing):
                call()
        for listing in (api.pages, lambda: api.changed_since(START)):
            found = [user for page in listing() for user in page]
            assert {user.id: user.gone for user in found} == {"u-1": True, "u-2": True, "u-3": False}
        assert api.find(ADA) == []

    def test_or_is_not(self, world):
        server, vendor, api = world(off="keep")
        server.add("u-1", ADA, active=False)
        assert api.fetch("u-1").values["custom.active"] is False
        assert [user.gone for page in api.pages() for user in page] == [False]
        assert ids(api.pages()) == ids(api.changed_since(START)) == ["u-1"]

    def test_a_server_that_deletes_nobody(self, world):
        server, vendor, api = world("no delete")
        server.add("u-1", ADA)
        with pytest.raises(Rejected, match="deletes nobody"):
            api.erase("u-1")
        assert server.users["u-1"]["active"] is True
        api.delete("u-1")
        assert server.users["u-1"]["active"] is False
        with pytest.raises(Rejected, match="deletes nobody"):
            Scim("members", vendor.url, KEY, off="keep").delete("u-1")


class TestSettings:
    def settings(self, **more):
        given = {"kind": "scim", "mapping": __file__, "api_url": "https://id.test/scim/v2", "api_key": "canary-key-0001"}
        return ProviderSettings.model_validate(given | more)

    def test_attributes_of_its_own(self):
        path = "urn:example:2.0:User:newsletter"
        api = registry.build(
            "members", self.settings(fields={"birth_date": "urn:example:2.0:User:born"}, consents={"news": path})
        )
        assert (api.name, api.capabilities.consent, api.capabilities.list_changed) == ("members", True, True)
        record = {"id": "1", "urn:example:2.0:User": {"born": "1815-12-10", "newsletter": False}}
        user = user_from(record, api._words)
        assert user.values["birth_date"] == "1815-12-10"
        assert user.consents == ({"purpose": "news", "channel": "email", "state": "revoked"},)

    def test_a_webhook_secret_makes_no_sense(self):
        with pytest.raises(ConfigError, match=r"providers\.members\.webhook_secret: a SCIM server sends no webhooks"):
            registry.build("members", self.settings(webhook_secret="whsec_dGhpcyBpcyBvbmx5IGEgdGVzdCBrZXk="))

    def test_whoever_sends_is_nobody(self):
        api = registry.build("members", self.settings())
        with pytest.raises(BadSignature):
            api.authenticate(Delivery("POST", "https://c.test/", (), b"{}"), START)
        for call in (lambda: api.split(Delivery("POST", "https://c.test/", (), b"{}")), lambda: api.read_item(b"{}", {})):
            with pytest.raises(BadDelivery):
                call()
