"""Memberstack's Admin REST API, played by the sandbox over real HTTP: what is asked, and what the answers mean."""

from datetime import UTC, datetime

import pytest
import requests
import responses

from connector.errors import Exists, Missing, Paused, Rejected, Unavailable
from connector.model import ConsentState, Statement
from connector.providers.memberstack import Habits, Memberstack
from connector.providers.memberstack_member import USUAL, Words
from connector.providersettings import ConsentField
from connector.sandbox.faults import Answer
from connector.sandbox.server import serve
from connector.sandbox.vendors import memberstack as sandbox

ADA = "ada@example.com"
AT = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = Words(USUAL, {"newsletter": ConsentField(field="newsletter", at="newsletter-at", source="newsletter-from")})


@pytest.fixture
def vendor():
    app = sandbox.Memberstack()
    with serve(app.app) as server:
        app.url = server.url
        yield app


@pytest.fixture
def api(vendor):
    return Memberstack("members", [sandbox.SECRET], sandbox.KEY, Habits(WORDS), vendor.url)


@pytest.fixture
def ada(vendor):
    return vendor.register({"email": ADA, "customFields": {"first-name": "Ada", "plan": "basic"}, "metaData": {"fair": "spring"}})


def test_custom_fields_called_like_our_fields_are_written(vendor, ada):
    words = Words({**USUAL, "phone": "phone", "country": "country"}, {})
    api = Memberstack("members", [sandbox.SECRET], sandbox.KEY, Habits(words), vendor.url)
    told = {"phone": "+34600123456", "country": "ES"}
    user = api.update(ada, told, None)
    assert {name: user.values[name] for name in told} == told
    made = api.create({"email": "grace@example.com", **told}, "k")
    assert vendor.member(made.id)["customFields"] == told
    with pytest.raises(Rejected) as caught:
        api.update(ada, {"birth_date": "1815-12-10", "phone": None}, None)
    assert caught.value.refused == {"birth_date": "no custom field is configured for it (fields.birth_date)"}


def test_the_key_goes_along(vendor):
    with pytest.raises(Paused):
        Memberstack("members", [sandbox.SECRET], "sk_sb_another", Habits(WORDS), vendor.url).fetch("mem_1")


def test_a_member(api, vendor, ada):
    vendor.add_plan(ada, "pln_gold")
    user = api.fetch(ada)
    assert (user.values["email"], user.values["first_name"], user.values["custom.meta.fair"]) == (ADA, "Ada", "spring")
    assert [one["key"] for one in user.memberships] == ["pln_gold"]
    assert user.updated_at is None


def test_a_missing_member_is_an_answer_without_data(api, vendor):
    assert vendor.member("mem_sb_9") is None
    with pytest.raises(Missing):
        api.fetch("mem_sb_9")


def test_an_address_is_no_id(api, vendor, ada):
    with pytest.raises(Missing):
        api.fetch(ADA)
    assert len(vendor.calls) == 0


def test_find(api, ada):
    assert [user.id for user in api.find(" Ada@Example.com ")] == [ada]
    assert api.find("grace@example.com") == []
    assert api.find(ada) == []


@responses.activate
def test_an_answer_about_another_address_is_refused():
    responses.get(
        "https://ms.test/members/ada%40example.com", json={"data": {"id": "mem_1", "auth": {"email": "eve@example.com"}}}
    )
    with pytest.raises(Rejected):
        Memberstack("members", [sandbox.SECRET], sandbox.KEY, Habits(WORDS), "https://ms.test").find(ADA)


class TestCreate:
    def test_with_a_password_nobody_knows(self, api, vendor, caplog):
        made = api.create({"email": ADA, "first_name": "Ada", "email_verified": True}, "key")
        other = api.create({"email": "grace@example.com"}, "key-2")
        assert (made.values["first_name"], made.values["email_verified"]) == ("Ada", True)
        passwords = {vendor.password(one.id) for one in (made, other)}
        assert len(passwords) == 2
        assert min(map(len, passwords)) >= 40
        assert not [one for one in passwords if one in caplog.text or one in repr(made)]

    def test_a_taken_address_names_the_member(self, api, vendor, ada):
        with pytest.raises(Exists) as caught:
            api.create({"email": ADA.upper()}, "key")
        assert caught.value.record_id == ada
        assert vendor.count(writes_only=True) == 0

    def test_somebody_was_faster(self, api, vendor):
        vendor.faults.status_queue.append(Answer(400, {"code": "email-already-in-use"}, method="POST"))
        vendor.register({"email": ADA})
        real = api._refuse_taken
        api._refuse_taken = lambda email: setattr(api, "_refuse_taken", real)
        with pytest.raises(Exists) as caught:
            api.create({"email": ADA}, "key")
        assert caught.value.record_id == "mem_sb_000001"

    def test_a_lost_answer_makes_no_second_member(self, api, vendor):
        vendor.faults.status_queue.append(Answer(503, after=True, method="POST"))
        with pytest.raises(Unavailable):
            api.create({"email": ADA}, "key")
        with pytest.raises(Exists) as caught:
            api.create({"email": ADA}, "key")
        assert [caught.value.record_id] == [one["id"] for one in vendor.members()]

    def test_a_field_without_a_place_is_refused_by_name(self, api, vendor):
        with pytest.raises(Rejected) as caught:
            api.create({"email": ADA, "birth_date": "1990-01-01"}, "key")
        assert list(caught.value.refused) == ["birth_date"]
        assert len(vendor.calls) == 0


class TestUpdate:
    def test_only_what_is_named_changes(self, api, vendor, ada):
        told = api.update(ada, {"custom.plan": "gold", "custom.meta.fair": "autumn", "email": "countess@example.com"}, None)
        assert told.values["email"] == "countess@example.com"
        assert vendor.member(ada)["customFields"] == {"first-name": "Ada", "plan": "gold"}
        assert vendor.member(ada)["metaData"] == {"fair": "autumn"}

    @pytest.mark.parametrize(("blank", "held"), [("empty", ""), ("null", None)])
    def test_clearing_is_as_configured(self, vendor, ada, blank, held):
        api = Memberstack("members", [sandbox.SECRET], sandbox.KEY, Habits(WORDS, blank), vendor.url)
        assert api.update(ada, {"custom.plan": None}, None).values["custom.plan"] is None
        assert vendor.member(ada)["customFields"]["plan"] is held or vendor.member(ada)["customFields"]["plan"] == held

    def test_an_answer_without_the_member_is_read_again(self, api, vendor, ada):
        vendor.faults.status_queue.append(Answer(200, {"data": {"id": ada}}, method="PATCH", after=True))
        assert api.update(ada, {"custom.plan": "gold"}, None).values["custom.plan"] == "gold"
        assert [one.method for one in vendor.calls] == ["PATCH", "GET"]

    def test_a_member_that_is_gone(self, api):
        with pytest.raises(Missing):
            api.update("mem_sb_9", {"custom.plan": "gold"}, None)


class TestConsent:
    def test_it_is_the_configured_field_with_its_companions(self, api, vendor, ada):
        told = api.set_consent(ada, "newsletter", Statement(ConsentState.GRANTED, AT, "form"), None)
        fields = vendor.member(ada)["customFields"]
        assert (fields["newsletter"], fields["newsletter-at"], fields["newsletter-from"]) == (
            True,
            "2026-01-01T00:00:00.000Z",
            "form",
        )
        assert [(one["state"], one["at"], one["source"]) for one in told.consents] == [
            ("granted", "2026-01-01T00:00:00.000Z", "form")
        ]

    def test_a_withdrawal_without_a_time_leaves_no_old_one(self, api, vendor, ada):
        api.set_consent(ada, "newsletter", Statement(ConsentState.GRANTED, AT, "form"), None)
        told = api.set_consent(ada, "newsletter", Statement(ConsentState.REVOKED), None)
        assert [(one["state"], one["at"]) for one in told.consents] == [("revoked", None)]

    def test_words_of_the_operator(self, vendor, ada):
        words = Words(USUAL, {"newsletter": ConsentField(field="news", granted="Yes please", revoked="No thanks")})
        api = Memberstack("members", [sandbox.SECRET], sandbox.KEY, Habits(words), vendor.url)
        told = api.set_consent(ada, "newsletter", Statement(ConsentState.GRANTED, AT), None)
        assert vendor.member(ada)["customFields"]["news"] == "Yes please"
        assert told.consents == ({"purpose": "newsletter", "channel": "email", "state": "granted"},)

    def test_a_consent_nobody_configured(self, api, vendor, ada):
        with pytest.raises(Rejected):
            api.set_consent(ada, "sms", Statement(ConsentState.GRANTED, AT), None)
        assert len(vendor.calls) == 0


class TestPlans:
    def test_one_is_given_and_taken(self, api, vendor, ada):
        user = api.set_membership(ada, "pln_press", True, None)
        assert [(one["key"], one["active"]) for one in user.memberships] == [("pln_press", True)]
        user = api.set_membership(ada, "pln_press", False, None)
        assert [(one["key"], one["active"]) for one in user.memberships] == [("pln_press", False)]

    def test_a_repeat_makes_no_second_connection(self, api, vendor, ada):
        for _ in range(3):
            api.set_membership(ada, "pln_press", True, None)
        assert [one["planId"] for one in vendor.member(ada)["planConnections"]] == ["pln_press"]

    def test_one_that_ended_is_begun_anew(self, api, vendor, ada):
        vendor.add_plan(ada, "pln_press")
        vendor.cancel_plan(ada, "pln_press")
        assert [one["active"] for one in api.set_membership(ada, "pln_press", True, None).memberships] == [True]

    def test_one_that_costs_is_not_given(self, api, vendor, ada):
        vendor.paid.add("pln_gold")
        with pytest.raises(Rejected, match=f"user {ada}: 400: is pln_gold a plan of this app, and free?"):
            api.set_membership(ada, "pln_gold", True, None)

    def test_one_that_costs_is_not_taken(self, api, vendor, ada):
        """Whatever the vendor would do: it might go on to bill."""
        vendor.paid.add("pln_gold")
        vendor.add_plan(ada, "pln_gold")
        vendor.paid.clear()
        with pytest.raises(Rejected, match="pln_gold is paid for"):
            api.set_membership(ada, "pln_gold", False, None)
        assert vendor.member(ada)["planConnections"][0]["active"]

    @pytest.mark.parametrize("key", ["", "..", "a\nb", "another one"])
    def test_what_is_no_plan(self, api, ada, key):
        with pytest.raises(Rejected):
            api.set_membership(ada, key, True, None)

    def test_a_plan_that_is_not_there_and_a_member_who_is_not(self, api, vendor, ada):
        vendor.faults.status_queue.append(Answer(404, {"code": "not-found"}, method="POST"))
        with pytest.raises(Rejected, match="404: is pln_press a plan"):
            api.set_membership(ada, "pln_press", True, None)
        vendor.remove(ada)
        with pytest.raises(Missing):
            api.set_membership(ada, "pln_press", True, None)


def test_deleting_leaves_stripe_alone_and_erasing_does_not(api, vendor, ada):
    grace = vendor.register({"email": "grace@example.com"})
    api.delete(ada)
    api.erase(grace)
    assert vendor.stripe == [(ada, False, False), (grace, True, True)]
    api.delete(ada)
    api.erase(grace)


class TestListing:
    def test_page_by_page(self, api, vendor):
        ids = [vendor.register({"email": f"{number}@example.com"}) for number in range(205)]
        assert [[user.id for user in page] for page in api.pages()] == [ids[:100], ids[100:200], ids[200:]]

    def test_nobody(self, api):
        assert list(api.pages()) == []

    def test_a_listing_that_ends_early_is_no_listing(self, api, vendor):
        for number in range(5):
            vendor.register({"email": f"{number}@example.com"})
        vendor.faults.listing_truncated = 3
        with pytest.raises(Rejected, match="ended after 3 of 5"):
            list(api.pages())

    def test_a_cursor_that_repeats(self, api, vendor, ada):
        vendor.faults.cursor_repeats = True
        with pytest.raises(Rejected, match="repeats itself"):
            list(api.pages())

    @pytest.mark.parametrize(
        "answer",
        [{}, {"data": []}, {"data": None, "hasNextPage": False}, {"data": {}, "hasNextPage": False},
         {"data": [], "hasNextPage": "no"}, {"data": [], "hasNextPage": True},
         {"data": [], "hasNextPage": False, "totalCount": 2}],
    )  # fmt: skip
    def test_what_is_no_listing(self, api, vendor, answer):
        vendor.faults.status_queue.append(Answer(200, answer))
        with pytest.raises(Rejected):
            list(api.pages())

    def test_the_other_spelling_of_more(self, api, vendor):
        vendor.faults.status_queue.append(Answer(200, {"data": [{"id": "mem_1"}], "hasMore": False, "totalCount": 1}))
        assert [[user.id for user in page] for page in api.pages()] == [["mem_1"]]

    def test_no_listing_of_changes(self, api):
        assert not api.capabilities.list_changed
        with pytest.raises(Rejected):
            api.changed_since(AT)


def test_too_many_calls(api, vendor, ada):
    vendor.faults.status_queue.append(Answer(429, {"code": "rate-limit"}, {"Retry-After": "2"}))
    with pytest.raises(Paused) as caught:
        api.fetch(ada)
    assert caught.value.retry_in == 2


def test_no_personal_data_in_errors(api, vendor, ada):
    vendor.faults.status_queue.append(Answer(400, {"message": f"{ADA} is odd"}, method="PATCH"))
    with pytest.raises(Rejected) as caught:
        api.update(ada, {"email": ADA}, None)
    assert ADA not in str(caught.value)


@responses.activate
def test_no_address_in_errors_about_the_line():
    responses.get("https://ms.test/members/ada%40example.com", body=requests.ConnectionError("https://ms.test/members/ada"))
    with pytest.raises(Unavailable) as caught:
        Memberstack("members", [sandbox.SECRET], sandbox.KEY, Habits(WORDS), "https://ms.test").find(ADA)
    assert "ada" not in str(caught.value)
