"""Outseta's API: people with their accounts and lists, listings that drift, edits that must not remove anything."""

import json
from datetime import UTC, datetime

import pytest

from connector.engine.readings import user_consent
from connector.errors import Exists, Rejected, Stale, Unavailable
from connector.model import ConsentState, Statement
from connector.providers import registry
from connector.providers.outseta.person import user_from
from connector.providers.outseta.provider import Habits, Outseta, Pace
from connector.providers.signature import SCHEMES, Verifier
from connector.settings import ProviderSettings
from connector.testing import Reply, Vendor
from tests.providers.outseta.vendor import CLUB, EMAIL, FIXTURES, KEY, NEWSLETTER, Account, person

ADA = "DQ2DyknW"
GRANTED, REVOKED = Statement(ConsentState.GRANTED), Statement(ConsentState.REVOKED)
RECORD = json.loads((FIXTURES / "person.json").read_bytes())


class World:
    """An account that is served, and providers at it."""

    def __init__(self, account, vendor):
        self.account, self.vendor = account, vendor

    def api(self, url="", **habits):
        verifier = Verifier(SCHEMES["outseta"], ["00" * 32])
        return Outseta("members", verifier, url or self.vendor.url, KEY, Habits(**habits), sleep=lambda seconds: None)

    def asked(self, method, path="/crm/people"):
        return [one for one in self.vendor.calls if (one.method, one.path) == (method, f"/api/v1{path}")]

    def put(self):
        return self.asked("PUT", f"/crm/people/{ADA}")[-1].json()


@pytest.fixture
def world():
    account = Account()
    with Vendor(account).running() as vendor:
        yield World(account, vendor)


def ids(pages):
    return [user.id for page in pages for user in page]


class TestPerson:
    def test_in_our_words(self, world):
        user = world.api().fetch(ADA)
        assert user.values == {
            "email": EMAIL, "first_name": "Ada", "last_name": "Lovelace", "phone": "+34600000001", "locale": "es",
            "country": "ES", "created_at": "2025-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
            "last_login_at": "2026-01-01T08:00:00.000Z", "custom.FullName": "Ada Lovelace", "custom.Title": "Countess",
            "custom.PhoneWork": "", "custom.Timezone": "Europe/Madrid", "custom.ShoeSize": 38, "custom.HasLoggedIn": True,
            "custom.HasUnsubscribed": False, "custom.OptInToEmailList": True,
            "custom.MailingAddress.AddressLine1": "Calle Mayor 1", "custom.MailingAddress.City": "Madrid",
        }  # fmt: skip
        assert (user.updated_at, user.etag) == (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00")

    def test_accounts_and_plans_are_memberships(self, world):
        assert world.api().fetch(ADA).memberships == (
            {"key": "stage:subscribing", "kind": "stage", "active": True},
            {"key": "planGold", "kind": "plan", "active": True, "since": "2025-06-01T00:00:00.000Z", "until": None},
        )

    @pytest.mark.parametrize(
        ("stage", "active"), [(2, True), (4, True), (5, False), (6, False), (7, True), (9, False), (77, False)]
    )
    def test_a_plan_is_in_force_with_its_account(self, stage, active):
        account = {"AccountStage": stage, "CurrentSubscription": {"Plan": {"Uid": "gold"}}}
        user = user_from({"Uid": "x", "PersonAccount": [{"Account": account}]})
        assert [one["active"] for one in user.memberships] == [True, active]

    def test_no_password_nor_sign_in_secret_gets_in(self, world):
        names = world.api().fetch(ADA).values
        assert not [name for name in names if "Password" in name or "OAuth" in name or "_objectType" in name]

    @pytest.mark.parametrize("url", ["", "/", "/api/v1", "/api/v1/"])
    def test_the_address_with_and_without_the_version(self, world, url):
        assert world.api(world.vendor.url + url).fetch(ADA).id == ADA


class TestLists:
    def entry(self, status, double=False, **more):
        record = {"Uid": "x", "HasUnsubscribed": more.pop("out", False), "Updated": "2026-06-01T00:00:00"}
        told = {"EmailList": {"Uid": "n", "RequiresDoubleOptIn": double}, "EmailListSubscriberStatus": status, **more}
        return user_from({**record, "EmailListPerson": [told]})

    @pytest.mark.parametrize(
        ("status", "double", "more", "state"),
        [
            (1, False, {}, "granted"), (1, True, {}, "pending"), (1, None, {}, "pending"),
            (1, True, {"ConfirmedDate": "2026-01-01T00:00:00"}, "granted"), (4, True, {}, "granted"), (2, False, {}, "revoked"),
            (3, False, {}, "unknown"), (None, False, {}, "unknown"),
        ],
    )  # fmt: skip
    def test_states(self, status, double, more, state):
        assert [one["state"] for one in self.entry(status, double, **more).consents] == [state]

    @pytest.mark.parametrize("told", [{}, *({"RequiresDoubleOptIn": one} for one in (None, True, False))])
    @pytest.mark.parametrize(("double_opt_in", "state"), [("yes", "pending"), ("no", "granted")])
    def test_the_settings_know_better(self, told, double_opt_in, state):
        lists = [{"EmailList": {"Uid": "n", **told}, "EmailListSubscriberStatus": 1}]
        (one,) = user_from({"Uid": "x", "EmailListPerson": lists}, double_opt_in).consents
        assert one["state"] == state

    def test_as_configured(self, world):
        for one in world.account.people[ADA]["EmailListPerson"]:
            one["EmailList"].pop("RequiresDoubleOptIn")
            one |= {"EmailListSubscriberStatus": 1, "ConfirmedDate": None}
        given = {
            "kind": "outseta", "mapping": __file__, "webhook_secret": "00" * 32, "api_url": world.vendor.url, "api_key": KEY,
        }  # fmt: skip
        states = {}
        for word in ("ask", "yes", "no"):
            api = registry.build("members", ProviderSettings.model_validate({**given, "double_opt_in": word}))
            states[word] = {one["state"] for one in api.fetch(ADA).consents}
        assert states == {"ask": {"pending"}, "yes": {"pending"}, "no": {"granted"}}

    def test_waiting_for_confirmation_is_no_consent(self):
        assert user_consent("n", self.entry(1, double=True)).state is ConsentState.UNKNOWN

    def test_when_and_how(self):
        (one,) = self.entry(
            4, True, ConfirmedDate="2026-02-01T00:00:00", SubscribedDate="2026-01-01T00:00:00", Source="Form"
        ).consents
        assert (one["at"], one["level"], one["source"]) == ("2026-02-01T00:00:00.000Z", "double", "Form")

    def test_who_wants_no_email_at_all_wants_no_list(self):
        user = self.entry(1, out=True, SubscribedDate="2026-01-01T00:00:00")
        told = [(one["purpose"], one["state"], one["at"]) for one in user.consents]
        assert told == [("email", "revoked", "2026-06-01T00:00:00.000Z"), ("n", "revoked", "2026-06-01T00:00:00.000Z")]

    def test_a_mark_that_was_never_set_is_no_consent(self):
        assert user_from({"Uid": "x", "HasUnsubscribed": False, "EmailListPerson": []}).consents == ()

    def test_lists_that_were_not_told(self):
        assert user_from({"Uid": "x"}).consents is None
        assert user_from({"Uid": "x", "EmailListPerson": [{"EmailListSubscriberStatus": 1}]}).consents is None


class TestFind:
    def test_by_email(self, world):
        assert [user.id for user in world.api().find(EMAIL.upper())] == [ADA]
        assert world.api().find("nobody@example.com") == []

    def test_an_answer_about_others_was_not_filtered(self, world):
        world.account.listed = lambda query: Reply(200, {"metadata": {"total": 1}, "items": [person(1)]})
        with pytest.raises(Rejected, match="other addresses"):
            world.api().find(EMAIL)


class TestListing:
    @pytest.fixture
    def crowd(self, world):
        world.account.people = {one["Uid"]: one for one in map(person, range(60))}
        return world

    def test_page_after_page_until_an_empty_one(self, crowd):
        assert ids(crowd.api().pages()) == [f"p{number}" for number in range(60)]
        asked = [(call.query["offset"], call.query["limit"], call.query["orderBy"]) for call in crowd.asked("GET")]
        assert asked == [(str(number), "25", "Created ASC") for number in range(4)]

    def test_everything_nested_is_asked_for(self, crowd):
        list(crowd.api().pages())
        fields = crowd.asked("GET")[0].query["fields"].split(",")
        assert {"*", "EmailListPerson.EmailList.*", "PersonAccount.Account.CurrentSubscription.Plan.*"} <= set(fields)

    def test_changed_since(self, crowd):
        since = datetime(2026, 1, 1, 0, 0, 50, tzinfo=UTC)
        assert ids(crowd.api().changed_since(since)) == [f"p{number}" for number in range(50, 60)]
        (query,) = {(call.query["Updated__gte"], call.query["orderBy"]) for call in crowd.asked("GET")}
        assert query == ("2026-01-01T00:00:50", "Updated ASC")

    def test_who_slips_to_an_earlier_page_is_met_in_another_round(self, crowd):
        """Somebody on the first page changes while it is read: everybody after moves up by one, past the next page's start."""
        moves = iter(["p3"])

        def between():
            for uid in moves:
                crowd.account.people[uid]["Updated"] = "2026-03-01T00:00:00"

        crowd.account.between = between
        found = ids(crowd.api().changed_since(datetime(2026, 1, 1, tzinfo=UTC)))
        assert sorted(found) == sorted(crowd.account.people)
        assert len(found) == 60

    def test_rows_where_it_counts_rows(self, crowd):
        crowd.account.rows = True
        assert len(ids(crowd.api(rows=True).pages())) == 60
        asked = len(crowd.asked("GET"))
        with pytest.raises(Rejected, match="paging"):
            list(crowd.api().pages())
        assert len(crowd.asked("GET")) == asked + 2

    def test_pages_taken_for_rows_are_noticed(self, crowd):
        with pytest.raises(Unavailable, match="ended before"):
            list(crowd.api(rows=True).pages())

    def test_a_listing_that_ends_early_is_not_everybody(self, crowd):
        crowd.account.listed = lambda query: Reply(200, {"metadata": {"total": 60}, "items": []})
        with pytest.raises(Unavailable, match="ended before"):
            list(crowd.api().pages())

    @pytest.mark.parametrize("total", [0, 3, 1_000_000])
    def test_the_same_page_again_and_again(self, crowd, total):
        page = [person(number) for number in range(3)]
        crowd.account.listed = lambda query: Reply(200, {"metadata": {"total": total}, "items": page})
        with pytest.raises(Rejected, match="repeats itself"):
            list(crowd.api().pages())
        assert len(crowd.asked("GET")) == 2

    def test_ever_new_people_beyond_the_total(self, crowd):
        crowd.account.listed = lambda query: Reply(200, {"metadata": {"total": 5}, "items": [person(int(query["offset"]))]})
        with pytest.raises(Rejected, match="repeats itself"):
            list(crowd.api().pages())

    @pytest.mark.parametrize(
        "answer",
        [{}, {"items": []}, {"items": {}, "metadata": {"total": 0}}, {"items": [1], "metadata": {"total": 1}},
         {"items": [], "metadata": {"total": "0"}}, {"items": [], "metadata": []}],
    )  # fmt: skip
    def test_no_listing_is_not_nobody(self, crowd, answer):
        crowd.account.listed = lambda query: Reply(200, answer)
        with pytest.raises(Rejected, match="no listing"):
            list(crowd.api().pages())

    def test_somebody_without_an_id_is_left_out(self, crowd):
        crowd.account.people = {"p1": person(1), "": {**person(2), "Uid": ""}}
        assert ids(crowd.api().pages()) == ["p1"]


class TestUpdate:
    CHANGES = {
        "first_name": "Augusta",
        "phone": None,
        "country": "NO",
        "custom.ShoeSize": 39,
        "custom.MailingAddress.City": "Oslo",
    }

    @pytest.mark.parametrize("whole", [True, False])
    def test_these_fields_and_no_others(self, world, whole):
        world.account.replaces = whole
        user = world.api(whole=whole).update(ADA, self.CHANGES, None)
        assert {name: user.values[name] for name in self.CHANGES} == self.CHANGES
        kept = ("last_name", "locale", "custom.Title", "custom.MailingAddress.AddressLine1", "custom.Timezone")
        assert [user.values[name] for name in kept] == ["Lovelace", "es", "Countess", "Calle Mayor 1", "Europe/Madrid"]

    def test_only_the_changed_ones_where_so_configured(self, world):
        world.account.replaces = False
        world.api(whole=False).update(ADA, {"first_name": "Augusta"}, None)
        assert world.put() == {"Uid": ADA, "FirstName": "Augusta"}

    def test_an_edit_carries_no_consent(self, world):
        """Somebody may withdraw one between our reading and our writing."""
        world.api().update(ADA, {"first_name": "Augusta"}, None)
        assert not {"HasUnsubscribed", "OptInToEmailList", "EmailListPerson", "PersonAccount", "Password"} & world.put().keys()

    def test_but_an_opt_out_of_everything_is_kept(self, world):
        world.account.people[ADA]["HasUnsubscribed"] = True
        world.api().update(ADA, {"first_name": "Augusta"}, None)
        assert world.put()["HasUnsubscribed"] is True

    @pytest.mark.parametrize(("donotlog", "query"), [(True, {"donotlog": "1"}), (False, {})])
    def test_our_writing_stays_out_of_the_log(self, world, donotlog, query):
        api = world.api(donotlog=donotlog)
        api.update(ADA, {"first_name": "Augusta"}, None)
        api.set_consent(ADA, NEWSLETTER, REVOKED, None)
        api.create({"email": "grace@example.com"}, "key")
        api.delete(ADA)
        assert {json.dumps(call.query) for call in world.vendor.calls if call.method != "GET"} == {json.dumps(query)}

    def test_somebody_who_changed_meanwhile(self, world):
        api = world.api()
        etag = api.fetch(ADA).etag
        api.update(ADA, {"first_name": "Augusta"}, etag)
        with pytest.raises(Stale):
            api.update(ADA, {"first_name": "Ada"}, etag)

    def test_a_refusal_names_our_fields_and_no_data(self, world):
        with pytest.raises(Rejected) as caught:
            world.api().update(ADA, {"first_name": "canary" * 50, "last_name": "Byron"}, None)
        assert set(caught.value.refused) == {"first_name"}
        assert "canary" not in str(caught.value) + str(caught.value.refused)

    @pytest.mark.parametrize(
        "name",
        ["email_verified", "birth_date", "created_at", "custom.Uid", "custom.Password", "custom.HasUnsubscribed", "custom.Email",
         "custom.PersonAccount.Uid", "custom.OAuthGoogleProfileId"],
    )  # fmt: skip
    def test_what_cannot_be_written(self, world, name):
        with pytest.raises(Rejected) as caught:
            world.api().update(ADA, {name: "x", "first_name": "Augusta"}, None)
        assert set(caught.value.refused) == {name}
        assert not world.asked("PUT", f"/crm/people/{ADA}")


class TestConsents:
    def test_joining_and_leaving_a_list(self, world):
        api = world.api()
        assert user_consent(NEWSLETTER, api.set_consent(ADA, NEWSLETTER, REVOKED, None)).state is ConsentState.REVOKED
        assert user_consent(NEWSLETTER, api.set_consent(ADA, NEWSLETTER, GRANTED, None)).state is ConsentState.GRANTED
        (call,) = world.asked("POST", f"/email/lists/{NEWSLETTER}/subscriptions")
        assert call.json() == {"EmailList": {"Uid": NEWSLETTER}, "Person": {"Uid": ADA}, "SendWelcomeEmail": False}

    def test_a_list_that_asks_the_person_first(self, world):
        user = world.api().set_consent(ADA, CLUB, GRANTED, None)
        assert [one["state"] for one in user.consents if one["purpose"] == CLUB] == ["pending"]

    def test_leaving_a_list_one_was_never_on(self, world):
        user = world.api().set_consent(ADA, CLUB, REVOKED, None)
        assert user_consent(CLUB, user).state is ConsentState.UNKNOWN

    def test_who_wants_no_email_at_all_is_put_on_no_list(self, world):
        world.account.people[ADA]["HasUnsubscribed"] = True
        with pytest.raises(Rejected, match="no email at all"):
            world.api().set_consent(ADA, CLUB, GRANTED, None)
        assert not world.asked("POST", f"/email/lists/{CLUB}/subscriptions")

    def test_no_such_list(self, world):
        with pytest.raises(Rejected, match="list with this Uid"):
            world.api().set_consent(ADA, "another", GRANTED, None)

    @pytest.mark.parametrize(
        ("purpose", "told"), [("email", REVOKED), ("..", GRANTED), (NEWSLETTER, Statement(ConsentState.UNKNOWN))]
    )
    def test_what_cannot_be_written(self, world, purpose, told):
        with pytest.raises(Rejected, match="only joining and leaving"):
            world.api().set_consent(ADA, purpose, told, None)

    def test_a_withdrawal_made_meanwhile_is_seen(self, world):
        api = world.api()
        etag = api.fetch(ADA).etag
        api.set_consent(ADA, NEWSLETTER, REVOKED, etag)
        with pytest.raises(Stale):
            api.set_consent(ADA, NEWSLETTER, GRANTED, etag)


class TestCreate:
    def test_somebody(self, world):
        made = world.api().create({"email": "grace@example.com", "country": "US", "custom.ShoeSize": 40}, "key")
        assert (made.values["email"], made.values["country"], made.values["custom.ShoeSize"]) == ("grace@example.com", "US", 40)

    def test_an_address_that_is_taken_is_not_tried(self, world):
        with pytest.raises(Exists) as caught:
            world.api().create({"email": EMAIL}, "key")
        assert (caught.value.record_id, world.asked("POST")) == (ADA, [])

    def test_taken_between_asking_and_writing(self, world):
        """The refusal itself then says whose it is."""
        taken = person(7, Email="grace@example.com")

        def between():
            world.account.people.setdefault("p7", taken)

        world.account.between = between
        with pytest.raises(Exists) as caught:
            world.api().create({"email": "grace@example.com"}, "key")
        assert caught.value.record_id == "p7"


def test_four_calls_a_second_and_no_more():
    now, waits = [100.0], []

    def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(4, lambda: now[0], sleep)
    for _ in range(9):
        pace.take()
    assert now[0] == pytest.approx(102)
    now[0] += 10
    pace.take()
    assert len(waits) == 8


@pytest.mark.parametrize("key", ["stage:subscribing", "L9nqkRmZ"])
def test_plans_and_stages_are_sold_and_not_given(world, key):
    api = world.api()
    assert "follow from what is sold" in api.unwritable_membership(key)
    for held in (True, False):
        with pytest.raises(Rejected, match="person DQ2DyknW: plans and stages belong to an account"):
            api.set_membership("DQ2DyknW", key, held, None)
    assert world.vendor.calls == []
