"""A tenant over HTTP: searches of a thousand, exports, metadata that is merged one level deep, rate limits, tokens."""

import gzip
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from connector.errors import Exists, Missing, Paused, Rejected, Unavailable
from connector.model import ConsentState, Statement
from connector.providers import registry
from connector.providers.auth0.provider import Auth0
from connector.providers.auth0.provider import Tenant as Choices
from connector.providers.auth0.user import Words, body, placed
from connector.providers.signature import SCHEMES, Verifier
from connector.settings import ProviderSettings
from connector.testing import Reply, Vendor
from tests.providers.auth0.tenant import CLIENT, DATABASE, Tenant, stamp
from tests.providers.auth0.test_webhooks import WORDS

ADA = "ada@example.com"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def world():
    """world(client=..., unready=..., **choices): a tenant, its listener and the provider."""
    running = []

    def build(client=CLIENT, unready=1, export="completed", **choices):
        tenant = Tenant(unready, export)
        running.append(Vendor(tenant).running())
        vendor = running[-1].__enter__()
        slept = []
        verifier = Verifier(SCHEMES["auth0"], ["canary-static-value"])
        choice = Choices(**{"connection": DATABASE, "words": WORDS, **choices})
        api = Auth0("members", verifier, f"{vendor.url}/api/v2", f"{vendor.url}/oauth/token", client, choice, sleep=slept.append)
        api.slept = slept
        return tenant, vendor, api

    yield build
    for one in running:
        one.__exit__(None, None, None)


def ids(pages):
    return [user.id for page in pages for user in page]


def people(tenant, count):
    for number in range(count):
        tenant.add(f"auth0|{number}", f"p{number}@example.com")


class TestWindows:
    @pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 999, 1000, 1001, 2500])
    def test_everybody_once(self, world, count):
        tenant, vendor, api = world()
        people(tenant, count)
        assert ids(api.pages()) == list(tenant.users)

    def test_whom_changed_since_oldest_first(self, world):
        tenant, vendor, api = world()
        people(tenant, 5)
        tenant.users["auth0|0"]["updated_at"] = stamp(90)
        assert ids(api.changed_since(START + timedelta(seconds=4))) == ["auth0|3", "auth0|4", "auth0|0"]
        assert vendor.calls[-1].query["q"] == "updated_at:[2026-01-01T00:00:04.000Z TO *]"

    def test_who_changes_meanwhile_is_there_again(self, world):
        tenant, vendor, api = world()
        people(tenant, 1500)
        pages = api.changed_since(START)
        found = [user.id for user in next(pages)]
        tenant.users["auth0|0"]["updated_at"] = stamp(2000)
        found += ids(pages)
        assert set(found) == set(tenant.users), "nobody is hidden by the place that became free"
        assert found.count("auth0|0") == 2

    def test_more_at_one_moment_than_a_search_shows(self, world):
        tenant, vendor, api = world()
        people(tenant, 900)
        for user in tenant.users.values():
            user["created_at"] = stamp(1)
        assert sorted(ids(api.pages())) == sorted(tenant.users)
        people(tenant, 1200)
        for user in tenant.users.values():
            user["created_at"] = stamp(1)
        with pytest.raises(Rejected, match="set listing: bulk"):
            list(api.pages())

    @pytest.mark.parametrize(
        "answer",
        [{"users": [], "total": 3}, {"users": []}, {"total": 0}, {"users": [{"email": ADA}], "total": 1},
         {"users": [None], "total": 1}, {"users": {}, "total": 0}],
    )  # fmt: skip
    def test_half_a_page_is_not_nobody(self, world, answer):
        tenant, vendor, api = world()
        api.find(ADA)
        vendor.fault = Reply(200, answer)
        with pytest.raises(Rejected):
            list(api.pages())

    def test_an_answer_that_was_not_filtered(self, world):
        tenant, vendor, api = world()
        api.find(ADA)
        vendor.fault = Reply(200, {"users": [{"user_id": "a", "updated_at": stamp(0)}], "total": 1})
        with pytest.raises(Rejected, match="not filtered"):
            list(api.changed_since(START + timedelta(days=1)))

    def test_a_first_page_for_ever_is_no_listing(self, world):
        tenant, vendor, api = world()
        people(tenant, 100)
        api.find(ADA)
        vendor.fault = Reply(200, {"users": list(tenant.users.values()), "total": 5000})
        with pytest.raises(Rejected):
            list(api.pages())


class TestExport:
    @pytest.mark.parametrize("count", [0, 1, 100, 1203])
    def test_everybody_once(self, world, count):
        tenant, vendor, api = world(listing="bulk", unready=3)
        people(tenant, count)
        assert ids(api.pages()) == list(tenant.users)
        assert api.slept == [5.0] * 3

    def test_a_page_without_users_shows_that_it_goes_on(self, world):
        tenant, vendor, api = world(listing="bulk")
        assert next(api.pages()) == []

    @pytest.mark.parametrize(("how", "unready"), [("failed", 1), ("completed", 10**6)])
    def test_one_that_is_not_completed(self, world, how, unready):
        tenant, vendor, api = world(listing="bulk", export=how, unready=unready)
        with pytest.raises(Unavailable, match="not completed"):
            list(api.pages())

    @pytest.mark.parametrize(
        "cut", [lambda raw: raw[:-9], lambda raw: b"<html>", lambda raw: gzip.compress(b'{"email":"x"}\n'), gzip.compress]
    )
    def test_a_file_that_cannot_be_read_to_its_end(self, world, cut):
        tenant, vendor, api = world(listing="bulk")
        people(tenant, 300)

        def broken(request):
            reply = tenant(request)
            return Reply(200, cut(reply.body)) if request.path.startswith("/files/") else reply

        vendor.answers = broken
        with pytest.raises(Rejected, match="cannot be read to its end"):
            list(api.pages())

    def test_a_file_that_is_gone(self, world):
        tenant, vendor, api = world(listing="bulk")
        vendor.answers = lambda request: Reply(403) if request.path.startswith("/files/") else tenant(request)
        with pytest.raises(Unavailable, match="not there any more"):
            list(api.pages())


class TestWriting:
    @pytest.fixture
    def ada(self, world):
        tenant, vendor, api = world()
        held = {"country": "GB", "address": {"city": "London", "zip": "W1"}, "size": "38"}
        tenant.add("auth0|1", ADA, given_name="Ada", user_metadata=held, app_metadata={"plan": "gold"})
        return tenant, vendor, api

    def test_only_the_changed_keys_are_sent(self, ada):
        tenant, vendor, api = ada
        user = api.update("auth0|1", {"country": "NO", "custom.user_metadata.size": None, "last_name": "King"}, None)
        told = vendor.calls[-1]
        assert (told.method, told.path) == ("PATCH", "/api/v2/users/auth0|1")
        assert told.json() == {"family_name": "King", "user_metadata": {"country": "NO", "size": None}}
        assert tenant.users["auth0|1"]["user_metadata"] == {"country": "NO", "address": {"city": "London", "zip": "W1"}}
        assert (user.values["country"], user.values["last_name"]) == ("NO", "King")

    def test_an_object_in_metadata_is_sent_whole(self, ada):
        tenant, vendor, api = ada
        api.update("auth0|1", {"custom.user_metadata.address.city": "Paris"}, None)
        assert vendor.calls[-1].json() == {"user_metadata": {"address": {"city": "Paris", "zip": "W1"}}}
        api.update("auth0|1", {"custom.user_metadata.address.zip": None}, None)
        assert tenant.users["auth0|1"]["user_metadata"]["address"] == {"city": "Paris"}

    def test_several_below_one_key(self):
        changed = {"user_metadata.a.b": 1, "user_metadata.a.c.d": 2, "app_metadata.x": None}
        record = {"user_metadata": {"a": {"z": 0, "c": "text"}}}
        assert body(changed, record) == {"user_metadata": {"a": {"z": 0, "b": 1, "c": {"d": 2}}}, "app_metadata": {"x": None}}
        assert record == {"user_metadata": {"a": {"z": 0, "c": "text"}}}

    def test_what_has_no_place_is_refused_by_name(self):
        with pytest.raises(Rejected) as caught:
            placed("members", {"created_at": "x", "birth_date": "x", "custom.shoe": 1, "first_name": "A"}, Words())
        assert caught.value.refused.keys() == {"created_at", "birth_date", "custom.shoe"}

    def test_a_consent(self, ada):
        tenant, vendor, api = ada
        user = api.set_consent("auth0|1", "newsletter", Statement(ConsentState.REVOKED, START), None)
        sent = {"newsletter": False, "newsletter_at": "2026-01-01T00:00:00.000Z"}
        assert vendor.calls[-1].json() == {"user_metadata": sent}
        assert user.consents[0]["state"] == "revoked"
        api.set_consent("auth0|1", "newsletter", Statement(ConsentState.GRANTED), None)
        assert vendor.calls[-1].json() == {"user_metadata": {"newsletter": True, "newsletter_at": None}}

    def test_a_new_user_is_the_databases(self, world):
        tenant, vendor, api = world()
        user = api.create({"email": "Grace@example.com", "country": "US", "last_name": None}, "k")
        told = vendor.calls[-1].json()
        assert (told["connection"], told["verify_email"], len(told["password"]) > 30) == (DATABASE, False, True)
        assert told["user_metadata"] == {"country": "US"}
        assert "family_name" not in told
        with pytest.raises(Exists) as caught:
            api.create({"email": "GRACE@example.com"}, "k")
        assert caught.value.record_id == user.id

    def test_without_a_database_nobody_is_made(self, world):
        tenant, vendor, api = world(connection=None)
        assert not api.capabilities.create
        with pytest.raises(Rejected, match="no connection is configured"):
            api.create({"email": ADA}, "k")


class TestReading:
    def test_an_address_is_looked_up_in_lower_case(self, world):
        tenant, vendor, api = world()
        tenant.add("auth0|1", ADA)
        tenant.add("google-oauth2|2", ADA)
        assert [user.id for user in api.find(" ADA@example.com")] == ["auth0|1", "google-oauth2|2"]

    def test_an_answer_about_other_people(self, world):
        tenant, vendor, api = world()
        api.find(ADA)
        vendor.fault = Reply(200, [{"user_id": "auth0|9", "email": "eve@example.com"}])
        with pytest.raises(Rejected, match="other addresses"):
            api.find(ADA)

    def test_organizations_and_roles(self, world):
        tenant, vendor, api = world(memberships=("organizations", "roles"))
        tenant.add("auth0|1", ADA, app_metadata={"plan": "gold"})
        tenant.organizations["auth0|1"], tenant.roles["auth0|1"] = ["press"], ["editor"]
        told = [(one["key"], one["kind"]) for one in api.fetch("auth0|1").memberships]
        assert told == [("press", "organization"), ("editor", "role"), ("gold", "plan")]
        assert next(api.pages())[0].memberships == api.fetch("auth0|1").memberships

    def test_who_is_deleted_meanwhile_is_left_out(self, world):
        tenant, vendor, api = world(memberships=("roles",))
        people(tenant, 2)
        vendor.answers = lambda request: Reply(404) if request.path.endswith("auth0|0/roles") else tenant(request)
        assert ids(api.pages()) == ["auth0|1"]


class TestMemberships:
    @pytest.fixture
    def ada(self, world):
        tenant, vendor, api = world(memberships=("organizations", "roles"))
        tenant.add("auth0|1", ADA, app_metadata={"plan": "gold"})
        for place, name in (("roles", "Press"), ("roles", "press"), ("roles", "press/day"), ("organizations", "acme")):
            tenant.id(place, name)
        return tenant, vendor, api

    def sent(self, vendor):
        return [(one.method, one.path, one.json()) for one in vendor.calls if one.method != "GET" and "token" not in one.path]

    @pytest.mark.parametrize("key", ["press", "Press", "press/day"])
    def test_a_role_goes_by_its_id(self, ada, key):
        tenant, vendor, api = ada
        assert [one["key"] for one in api.set_membership("auth0|1", key, True, None).memberships] == [key, "gold"]
        assert [one["key"] for one in api.set_membership("auth0|1", key, False, None).memberships] == ["gold"]
        told = {"roles": [tenant.id("roles", key)]}
        path = "/api/v2/users/auth0|1/roles"
        assert self.sent(vendor) == [("POST", path, told), ("DELETE", path, told)]

    @pytest.mark.parametrize("key", ["acme", "a?b/#1"])
    def test_an_organization_has_members(self, ada, key):
        tenant, vendor, api = ada
        its_id = tenant.id("organizations", key)
        assert api.set_membership("auth0|1", key, True, None).memberships[0]["kind"] == "organization"
        api.set_membership("auth0|1", key, False, None)
        path = f"/api/v2/organizations/{its_id}/members"
        assert self.sent(vendor) == [("POST", path, {"members": ["auth0|1"]}), ("DELETE", path, {"members": ["auth0|1"]})]

    @pytest.mark.parametrize("held", [True, False])
    def test_what_is_so_already_is_not_sent(self, ada, held):
        tenant, vendor, api = ada
        tenant.roles["auth0|1"] = ["press"] if held else []
        api.set_membership("auth0|1", "press", held, None)
        assert self.sent(vendor) == []

    @pytest.mark.parametrize("key", ["nobody", "PRESS", "..", ""])
    def test_what_there_is_not_is_refused(self, ada, key):
        tenant, vendor, api = ada
        with pytest.raises(Rejected, match="there is no organization and no role with the name|nothing can have this name"):
            api.set_membership("auth0|1", key, True, None)
        assert self.sent(vendor) == []

    def test_two_of_a_name(self, ada):
        """Which one is meant nobody knows; what is taken away is taken everywhere."""
        tenant, vendor, api = ada
        tenant.id("organizations", "press")
        with pytest.raises(Rejected, match="more than one organization or role has the name press"):
            api.set_membership("auth0|1", "press", True, None)
        tenant.organizations["auth0|1"], tenant.roles["auth0|1"] = ["press"], ["press"]
        assert [one["key"] for one in api.set_membership("auth0|1", "press", False, None).memberships] == ["gold"]

    def test_what_stands_in_metadata_stays_there(self, ada):
        tenant, vendor, api = ada
        tenant.id("roles", "gold")
        api.set_membership("auth0|1", "gold", True, None)
        with pytest.raises(Rejected, match=r"user auth0\|1: gold: it stands in metadata"):
            api.set_membership("auth0|1", "gold", False, None)
        assert self.sent(vendor) == []

    def test_without_a_place_to_write(self, world):
        tenant, vendor, api = world()
        tenant.add("auth0|1", ADA)
        assert (api.capabilities.membership, api.needs["membership"]) == (False, "memberships")
        assert "only organizations and roles" in api.unwritable_membership("gold")

    def test_one_that_is_gone_meanwhile(self, ada):
        tenant, vendor, api = ada

        def meanwhile(request):
            return Reply(404) if request.method == "POST" and "roles" in request.path else tenant(request)

        vendor.answers = meanwhile
        with pytest.raises(Rejected, match="press is not there any more"):
            api.set_membership("auth0|1", "press", True, None)


class TestLimits:
    @pytest.mark.parametrize(
        ("headers", "low", "high"),
        [({"Retry-After": "7"}, 7, 7), ({"x-ratelimit-reset": "+30"}, 25, 31), ({"x-ratelimit-reset": "-30"}, 0, 0),
         ({"x-ratelimit-reset": "+99999"}, 3600, 3600), ({"x-ratelimit-reset": "soon"}, 0, 0), ({}, 0, 0)],
    )  # fmt: skip
    def test_when_calls_are_counted_anew(self, world, headers, low, high):
        tenant, vendor, api = world()
        api.find(ADA)
        moved = {name: str(int(time.time()) + int(value)) if value[0] in "+-" else value for name, value in headers.items()}
        vendor.fault = Reply(429, {"message": "Global limit has been reached"}, moved)
        with pytest.raises(Paused) as caught:
            api.fetch("auth0|1")
        assert low <= caught.value.retry_in <= high

    def test_a_token_for_many_calls(self, world):
        tenant, vendor, api = world()
        people(tenant, 1)
        for _ in range(3):
            api.fetch("auth0|0")
        assert len(tenant.tokens) == 1
        tenant.tokens[:] = ["another"]
        api.fetch("auth0|0")
        assert len(tenant.tokens) == 2

    def test_an_audience_that_is_refused(self, world):
        tenant, vendor, api = world(client={**CLIENT, "audience": "https://else.test/"})
        with pytest.raises(Paused):
            api.fetch("auth0|0")

    def test_a_domain_that_is_not_there_deletes_nobody(self, world):
        tenant, vendor, api = world()
        vendor.fault = Reply(404)
        with pytest.raises(Paused):
            api.fetch("auth0|0")
        vendor.fault = None
        with pytest.raises(Missing):
            api.fetch("auth0|0")


def test_settings():
    given = {
        "kind": "auth0", "mapping": __file__, "domain": "https://acme.eu.auth0.com/", "client_id": "c",
        "client_secret": "canary-0", "listing": "bulk",
        "memberships": ["organizations", "app_metadata.plan"], "fields": {"phone": "user_metadata.phone"},
        "consents": {"news": {"field": "user_metadata.news", "granted": "yes", "revoked": "no"}},
        "connection": DATABASE,
    }  # fmt: skip
    api = registry.build("members", ProviderSettings.model_validate(given))
    assert (api.capabilities.create, api.capabilities.consent) == (True, True)
    assert api._rest._url == "https://acme.eu.auth0.com/api/v2"
    assert json.loads(json.dumps(api._rest._auth._form))["audience"] == "https://acme.eu.auth0.com/api/v2/"
    assert (api._tenant.memberships, api._words.memberships) == (("organizations",), ("app_metadata.plan",))
    assert api._words.paths["phone"] == "user_metadata.phone"
