"""Shopify's Admin GraphQL API, played by the sandbox over real HTTP: what is asked, and what the answers mean."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.errors import ConfigError, Exists, Missing, Paused, Rejected, Unavailable
from connector.model import ConsentState, Statement
from connector.providers.patience import patiently
from connector.providers.registry import build
from connector.providers.shopify.customers import Wanted
from connector.providers.shopify.graphql import Bucket
from connector.providers.shopify.provider import Shop, Shopify
from connector.sandbox.faults import Answer
from connector.sandbox.server import serve
from connector.sandbox.vendors import shopify as sandbox
from connector.settings import ProviderSettings

ADA = "ada@example.com"
AT = datetime(2026, 1, 1, tzinfo=UTC)
GRANTED = Statement(ConsentState.GRANTED, AT, "form")
NOBODY = "706405506930379999"


@pytest.fixture
def vendor():
    app = sandbox.Shopify()
    with serve(app.app) as server:
        app.url = server.url + sandbox.PATH.format(version="2026-07")
        yield app


@pytest.fixture
def slept():
    return []


@pytest.fixture
def make(vendor, slept):
    def of(token=sandbox.TOKEN, **more):
        return Shopify("shop", [sandbox.SECRET], token, Shop(sandbox.SHOP, vendor.url, **more), sleep=slept.append)

    return of


@pytest.fixture
def api(make):
    return make()


@pytest.fixture
def ada(vendor):
    return vendor.register({"email": ADA, "firstName": "Ada", "phone": "+34600123456", "tags": ["vip"], "locale": "es"})


def answer(vendor, body, status=200, **more):
    vendor.faults.status_queue.append(Answer(status, body, **more))


def error(code):
    return {"errors": [{"message": f"about {ADA}", "extensions": {"code": code}}], "data": {"customer": None}}


def consents(user):
    return [(one["purpose"], one["state"], one["at"], one["level"]) for one in user.consents]


class TestRead:
    def test_a_customer(self, api, vendor, ada):
        vendor.consent(ada, "SUBSCRIBED", "2026-01-01T00:00:00Z")
        user = api.fetch(ada)
        told = {name: user.values[name] for name in ("email", "first_name", "phone", "locale", "custom.state", "custom.tags")}
        assert told == {
            "email": ADA, "first_name": "Ada", "phone": "+34600123456", "locale": "es", "custom.state": "disabled",
            "custom.tags": ["vip"],
        }  # fmt: skip
        assert user.updated_at is not None
        assert [(one["key"], one["kind"]) for one in user.memberships] == [("vip", "tag")]
        assert consents(user) == [("email_marketing", "granted", "2026-01-01T00:00:00Z", None)]

    def test_somebody_who_was_never_asked_has_said_nothing(self, api, ada):
        assert api.fetch(ada).consents == ()

    @pytest.mark.parametrize(("state", "ours"), [("UNSUBSCRIBED", "revoked"), ("PENDING", "pending")])
    def test_other_states(self, api, vendor, ada, state, ours):
        vendor.consent(ada, state)
        assert [one["state"] for one in api.fetch(ada).consents] == [ours]

    def test_somebody_with_a_phone_only(self, api, vendor):
        user = api.fetch(vendor.register({"phone": "+34600123456"}))
        assert (user.values["email"], user.consents) == (None, ())

    def test_companies_and_subjects_are_read_when_configured(self, make, vendor, ada):
        vendor.join_company(ada, "Analytical Engines", "AE-1")
        vendor.join_company(ada, "Ada & Sons")
        vendor.customers.get(ada)["identityProviderSubjects"] = [{"subject": "auth0|1", "providerName": "Login"}]
        user = make(wanted=Wanted(companies=True, subjects=True)).fetch(ada)
        assert [one["key"] for one in user.memberships][:3] == ["vip", "company", "company:AE-1"]
        assert user.memberships[3]["key"].startswith("company:")
        assert user.values["custom.subjects"] == ["Login:auth0|1"]
        assert "custom.subjects" not in make().fetch(ada).values

    def test_nobody(self, api, vendor):
        for user_id in (NOBODY, "abc", "gid://shopify/Customer/1", "", "007"):
            with pytest.raises(Missing):
                api.fetch(user_id)
        assert len(vendor.calls) == 1

    def test_find(self, api, ada):
        assert [user.id for user in api.find(ADA.upper())] == [ada]
        assert api.find("grace@example.com") == []

    def test_an_answer_without_the_field_is_nobody_missing(self, api, vendor, ada):
        for call in (lambda: api.fetch(ada), lambda: api.find(ADA), lambda: api.delete(ada), lambda: api.erase(ada)):
            answer(vendor, {"data": {}})
            with pytest.raises(Unavailable):
                call()
        assert vendor.customer(ada) is not None

    def test_an_answer_about_somebody_else(self, api, vendor, ada):
        other = {"id": f"gid://shopify/Customer/{NOBODY}"}
        answer(vendor, {"data": {"customer": other}})
        with pytest.raises(Unavailable):
            api.fetch(ada)
        answer(vendor, {"data": {"customerByIdentifier": other}})
        with pytest.raises(Rejected):
            api.find(ADA)


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "kind"),
        [("ACCESS_DENIED", Paused), ("INTERNAL_SERVER_ERROR", Unavailable), ("MAX_COST_EXCEEDED", Rejected),
         ("undefinedField", Rejected), (None, Unavailable)],
    )  # fmt: skip
    def test_errors_come_with_status_200(self, api, vendor, ada, code, kind):
        """Null beside an error is not a missing customer."""
        answer(vendor, error(code))
        with pytest.raises(kind) as caught:
            api.fetch(ada)
        assert ADA not in str(caught.value)

    @pytest.mark.parametrize("status", [401, 402, 403, 404, 423, 429, 430])
    def test_a_closed_shop_makes_everybody_wait_and_nobody_missing(self, api, vendor, ada, status):
        answer(vendor, {"errors": "Not Found"}, status)
        with pytest.raises((Paused, Rejected)) as caught:
            api.fetch(ada)
        assert isinstance(caught.value, Paused) or status == 430

    def test_another_token(self, make, ada):
        with pytest.raises(Paused):
            make("shpat_another").fetch(ada)

    def test_an_outcome_without_errors_listed_is_none(self, api, vendor, ada):
        answer(vendor, {"data": {"customerUpdate": {"customer": {"id": f"gid://shopify/Customer/{ada}"}}}})
        with pytest.raises(Unavailable):
            api.update(ada, {"first_name": "Augusta"}, None)


class TestPoints:
    def test_a_throttled_call_is_made_again(self, api, vendor, ada, slept):
        status = {"maximumAvailable": 2000, "currentlyAvailable": 4, "restoreRate": 100}
        cost = {"requestedQueryCost": 204, "actualQueryCost": None, "throttleStatus": status}
        answer(vendor, {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": {"cost": cost}})
        assert api.fetch(ada).id == ada
        assert [round(one, 1) for one in slept] == [2.0]

    def test_a_long_wait_is_everybodys(self, api, vendor, ada, slept):
        vendor.points.left, vendor.points.rate = 0, 0.1
        with pytest.raises(Paused) as caught:
            api.fetch(ada)
        assert 90 <= caught.value.retry_in <= 101
        assert slept == []

    def test_a_bucket_that_stays_empty(self, api, vendor, ada):
        for _ in range(4):
            answer(vendor, {"errors": [{"extensions": {"code": "THROTTLED"}}]})
        with pytest.raises(Paused) as caught:
            api.fetch(ada)
        assert caught.value.retry_in == 1
        assert len(vendor.calls) == 4

    def test_it_waits_before_it_is_told_to(self, make, vendor, slept):
        """A listing spends hundreds of points a page: after the first one it is known how many."""
        for number in range(250):
            vendor.customers.add({"email": f"{number}@example.com"})
        vendor.points.most = vendor.points.left = 500
        vendor.points.rate = 200

        def sleep(seconds):
            slept.append(seconds)
            vendor.points.left += seconds * 200

        api = make()
        api._graphql._sleep = sleep
        assert sum(map(len, api.pages())) == 250
        assert len(slept) == 2
        assert {one.status for one in vendor.calls} == {200}
        assert len(vendor.calls) == 3


class TestWrite:
    def test_create(self, api, vendor):
        made = api.create({"email": ADA, "first_name": "Ada", "phone": "+34600123456", "custom.note": "by hand"}, "key")
        assert (made.values["first_name"], made.values["custom.note"]) == ("Ada", "by hand")
        assert vendor.customer(made.id)["defaultPhoneNumber"]["phoneNumber"] == "+34600123456"

    def test_a_taken_address_names_the_customer(self, api, ada):
        with pytest.raises(Exists) as caught:
            api.create({"email": ADA}, "key")
        assert caught.value.record_id == ada

    def test_a_lost_answer_makes_no_second_customer(self, api, vendor):
        answer(vendor, None, 503, after=True)
        with pytest.raises(Unavailable):
            api.create({"email": ADA}, "key")
        with pytest.raises(Exists) as caught:
            api.create({"email": ADA}, "key")
        assert caught.value.record_id == vendor.customer(ADA)["legacyResourceId"]

    def test_only_what_is_named_changes(self, api, vendor, ada):
        told = api.update(ada, {"last_name": "Lovelace", "locale": None}, None)
        assert (told.values["last_name"], told.values["locale"], told.values["first_name"]) == ("Lovelace", None, "Ada")
        assert vendor.customer(ada)["tags"] == ["vip"]

    def test_an_address_of_somebody_else(self, api, vendor, ada):
        grace = vendor.register({"email": "grace@example.com"})
        with pytest.raises(Exists) as caught:
            api.update(grace, {"email": ADA}, None)
        assert caught.value.record_id == ada

    def test_a_refused_value_is_told_by_our_name(self, api, ada):
        with pytest.raises(Rejected) as caught:
            api.update(ada, {"email": "nonsense", "first_name": "Augusta"}, None)
        assert list(caught.value.refused) == ["email"]
        assert "nonsense" not in str(caught.value)

    @pytest.mark.parametrize("name", ["country", "custom.tags", "birth_date", "email_verified", "custom.state"])
    def test_what_shopify_keeps_itself_is_not_sent(self, api, vendor, ada, name):
        with pytest.raises(Rejected) as caught:
            api.update(ada, {name: "x"}, None)
        assert list(caught.value.refused) == [name]
        assert len(vendor.calls) == 0

    def test_nobody(self, api):
        with pytest.raises(Missing):
            api.update(NOBODY, {"first_name": "Ada"}, None)


class TestConsent:
    def test_with_its_time_and_level(self, make, vendor, ada):
        told = make(opt_in_level="CONFIRMED_OPT_IN").set_consent(ada, "email_marketing", GRANTED, None)
        assert consents(told) == [("email_marketing", "granted", "2026-01-01T00:00:00.000Z", "confirmed_opt_in")]

    def test_an_older_grant_changes_nothing(self, api, vendor, ada):
        vendor.consent(ada, "UNSUBSCRIBED", "2026-02-01T00:00:00Z")
        assert [one["state"] for one in api.set_consent(ada, "email_marketing", GRANTED, None).consents] == ["revoked"]

    def test_a_withdrawal_stands_even_when_it_is_older(self, api, vendor, ada):
        vendor.consent(ada, "SUBSCRIBED", "2026-02-01T00:00:00Z")
        told = api.set_consent(ada, "email_marketing", Statement(ConsentState.REVOKED, AT), None)
        assert [one["state"] for one in told.consents] == ["revoked"]
        assert len(vendor.calls) == 2

    def test_somebody_without_an_address(self, api, vendor):
        with pytest.raises(Rejected):
            api.set_consent(vendor.register({"phone": "+34600123456"}), "email_marketing", GRANTED, None)

    def test_another_purpose(self, api, vendor, ada):
        with pytest.raises(Rejected):
            api.set_consent(ada, "newsletter", GRANTED, None)

    def test_nobody(self, api):
        with pytest.raises(Missing):
            api.set_consent(NOBODY, "email_marketing", GRANTED, None)


class TestTags:
    def test_only_the_one_that_is_named_changes(self, api, vendor, ada):
        assert [one["key"] for one in api.set_membership(ada, 'say "hi"', True, None).memberships] == ['say "hi"', "vip"]
        assert [one["key"] for one in api.set_membership(ada, "vip", False, None).memberships] == ['say "hi"']
        assert vendor.customer(ada)["tags"] == ['say "hi"']

    @pytest.mark.parametrize("key", ["", " vip", "a,b", "a\nb"])
    def test_what_is_no_tag(self, api, vendor, ada, key):
        assert api.unwritable_membership(key) == "a tag has no comma, and no blanks around it"
        with pytest.raises(Rejected, match=f"user {ada}: a tag has no comma"):
            api.set_membership(ada, key, True, None)
        assert vendor.customer(ada)["tags"] == ["vip"]

    def test_a_company_is_none(self, make, ada):
        api = make(wanted=Wanted(companies=True))
        for key in ("company", "company:acme"):
            with pytest.raises(Rejected, match="decided in the shop"):
                api.set_membership(ada, key, True, None)
        assert make().unwritable_membership("company") is None

    def test_a_refusal(self, api, vendor, ada):
        answer(vendor, {"data": {"tagsAdd": {"userErrors": [{"field": ["tags"], "message": f"too many for {ADA}"}]}}})
        with pytest.raises(Rejected, match=f"set a tag of user {ada}: refused by Shopify"):
            api.set_membership(ada, "press", True, None)

    @pytest.mark.parametrize("held", [True, False])
    def test_nobody(self, api, vendor, held):
        with pytest.raises(Missing):
            api.set_membership(NOBODY, "vip", held, None)


class TestGone:
    def test_delete(self, api, vendor, ada):
        api.delete(ada)
        assert vendor.customer(ada) is None
        api.delete(ada)

    def test_nobody_with_orders_is_deleted(self, api, vendor, ada):
        vendor.order(ada)
        with pytest.raises(Rejected, match="orders"):
            api.delete(ada)
        assert vendor.customers.erasures == []

    def test_erasing_somebody_with_orders_is_a_request(self, api, vendor, ada):
        vendor.order(ada)
        api.erase(ada)
        assert vendor.customers.erasures == [f"gid://shopify/Customer/{ada}"]

    def test_erasing_somebody_without_is_a_deletion(self, api, vendor, ada):
        api.erase(ada)
        assert vendor.customer(ada) is None
        api.erase(ada)

    def test_a_refused_request(self, api, vendor, ada):
        vendor.order(ada)
        answer(vendor, {"data": {"customer": {"id": ada, "canDelete": False}}})
        refusal = {"userErrors": [{"code": "FAILED_TO_REQUEST", "field": ["customerId"], "message": "no"}]}
        answer(vendor, {"data": {"customerRequestDataErasure": refusal}})
        with pytest.raises(Rejected):
            api.erase(ada)


class TestListing:
    def test_page_by_page(self, api, vendor):
        ids = [vendor.register({"email": f"{number}@example.com"}) for number in range(120)]
        assert [[user.id for user in page] for page in api.pages()] == [ids[:100], ids[100:]]

    @pytest.mark.parametrize("trouble", [(error("INTERNAL_SERVER_ERROR"), 200), ({}, 503), ({}, 429)])
    def test_a_short_trouble_does_not_end_it(self, api, vendor, trouble):
        ids = [vendor.register({"email": f"{number}@example.com"}) for number in range(120)]
        waited = []
        pages = patiently(api.pages(), waited.append)
        found = next(pages)
        answer(vendor, *trouble)
        assert [user.id for page in (found, *pages) for user in page] == ids
        assert waited == [1.0]

    def test_what_changed(self, make, vendor, api):
        clock = [1_767_225_600.0]
        vendor.customers._clock = lambda: clock[0]
        ids = []
        for number in range(3):
            ids.append(vendor.register({"email": f"{number}@example.com"}))
            clock[0] += 60
        vendor.edit(ids[0], {"firstName": "Ada"})
        found = [user.id for page in api.changed_since(AT + timedelta(seconds=90)) for user in page]
        assert found == [ids[2], ids[0]]

    def test_a_cursor_that_repeats(self, api, vendor, ada):
        vendor.faults.cursor_repeats = True
        with pytest.raises(Rejected, match="repeats itself"):
            list(api.pages())

    @pytest.mark.parametrize(
        "told",
        [{}, {"nodes": []}, {"nodes": None, "pageInfo": {"hasNextPage": False}}, {"nodes": [], "pageInfo": {"hasNextPage": True}},
         {"nodes": [{"id": "x"}], "pageInfo": {"hasNextPage": False}}, {"nodes": [None], "pageInfo": {"hasNextPage": False}}],
    )  # fmt: skip
    def test_what_is_no_listing(self, api, vendor, told):
        answer(vendor, {"data": {"customers": told}})
        with pytest.raises(Rejected):
            list(api.pages())


class TestBulk:
    @pytest.fixture
    def api(self, make, vendor):
        return make(bulk=True)

    def test_everybody(self, api, vendor, slept):
        ids = [vendor.register({"email": f"{number}@example.com", "tags": ["vip"]}) for number in range(260)]
        pages = list(api.pages())
        assert [user.id for page in pages for user in page] == ids
        assert [len(page) for page in pages if page] == [250, 10]
        assert pages[0] == []
        assert slept == [1.0]

    def test_nobody(self, api):
        assert [user for page in api.pages() for user in page] == []

    def test_the_file_is_fetched_without_the_token(self, api, vendor, ada):
        seen = []
        send = api._bulk._files.send
        api._bulk._files.send = lambda request, **more: seen.append(dict(request.headers)) or send(request, **more)
        assert sum(map(len, api.pages())) == 1
        assert [name for name in seen[0] if "shopify" in name.lower() or name.lower() == "authorization"] == []

    @pytest.mark.parametrize("cut", [lambda file: file[:-20], lambda file: file[: file.index(b"\n") + 1], lambda file: b"<html>"])
    def test_a_file_that_is_cut_is_no_listing(self, api, vendor, ada, cut):
        vendor.register({"email": "grace@example.com"})
        pages = api.pages()
        next(pages)
        vendor._api.files[0] = cut(vendor._api.files[0])
        with pytest.raises(Unavailable):
            list(pages)

    @pytest.mark.parametrize(
        ("found", "kind"),
        [
            ({"status": "FAILED", "errorCode": "INTERNAL_SERVER_ERROR", "url": None}, Unavailable),
            ({"status": "FAILED", "errorCode": "ACCESS_DENIED", "url": None}, Paused),
            ({"status": "CANCELED", "errorCode": None, "url": None}, Unavailable),
            ({"status": "COMPLETED", "errorCode": None, "url": None, "rootObjectCount": "5"}, Rejected),
            ({"status": "COMPLETED", "errorCode": None, "url": "file:///etc/passwd", "rootObjectCount": "5"}, Rejected),
        ],
    )
    def test_an_operation_that_did_not_end_well(self, api, vendor, ada, found, kind):
        pages = api.pages()
        next(pages)
        answer(vendor, {"data": {"node": {"id": "gid://shopify/BulkOperation/0", **found}}})
        with pytest.raises(kind):
            list(pages)

    def test_another_one_is_under_way(self, api, vendor):
        refusal = {"bulkOperation": None, "userErrors": [{"field": None, "message": "already in progress"}]}
        answer(vendor, {"data": {"bulkOperationRunQuery": refusal}})
        with pytest.raises(Unavailable, match="under way"):
            list(api.pages())


class TestSettings:
    def settings(self, **more):
        told = {"kind": "shopify", "mapping": "x", "webhook_secret": "hush-test-secret", "shop": "Acme.myshopify.com",
                "api_key": "shpat_test_0001", **more}  # fmt: skip
        return ProviderSettings.model_validate(told)

    def test_the_address_follows_from_shop_and_version(self):
        assert build("shop", self.settings())._shop.url == "https://acme.myshopify.com/admin/api/2026-07/graphql.json"
        assert "/2026-10/" in build("shop", self.settings(api_version="2026-10"))._shop.url

    @pytest.mark.parametrize(
        ("api_url", "path"),
        [("", "/admin/api/2026-07/graphql.json"), ("/", "/admin/api/2026-07/graphql.json"),
         ("/proxy", "/proxy/admin/api/2026-07/graphql.json"), ("/admin/api/2026-04", "/admin/api/2026-04/graphql.json"),
         ("/admin/api/2026-04/graphql.json", "/admin/api/2026-04/graphql.json"), ("/x.json", "/x.json")],
    )  # fmt: skip
    def test_an_address_may_be_the_shop_or_the_whole_of_it(self, api_url, path):
        assert build("shop", self.settings(api_url=f"https://proxy.test{api_url}"))._shop.url == f"https://proxy.test{path}"

    @pytest.mark.parametrize(
        "wrong",
        [{"shop": "acme.example.com"}, {"shop": "evil.test/x.myshopify.com"}, {"api_version": "v3"},
         {"subjects": True, "api_version": "2026-04"}],
    )  # fmt: skip
    def test_what_cannot_work_is_told_at_once(self, wrong):
        with pytest.raises(ConfigError):
            build("shop", self.settings(**wrong))


def test_calls_under_way_share_what_is_left():
    """Of many threads, those for whom nothing is left wait, although no answer has told so yet."""
    bucket = Bucket(lambda: 0.0)
    status = {"maximumAvailable": 1000, "currentlyAvailable": 25, "restoreRate": 10}
    bucket.note("Customer", {"requestedQueryCost": 10, "throttleStatus": status})
    assert [bucket.take("Customer") for _ in range(3)] == [0.0, 0.0, 0.5]
