"""DruID's API: tokens, entry points, users in its own shape, edits in bulk, consents by type and typology."""

import json

import pytest

from connector.engine.readings import user_consent
from connector.errors import Exists, Missing, Paused, Rejected, Stale, Unavailable
from connector.model import ConsentState, Statement
from connector.providers.druid.events import Events
from connector.providers.druid.provider import App, Druid
from connector.providers.druid.user import Words, at_pointer, user_from
from connector.providers.oauth import ClientCredentials
from connector.providers.signature import SCHEMES, Verifier
from connector.testing import Reply, Vendor
from tests.providers.druid.vendor import CLIENT_ID, CLIENT_SECRET, EMAIL, ENTRY_POINT, FIXTURES, Platform

GRANTED, REVOKED = Statement(ConsentState.GRANTED), Statement(ConsentState.REVOKED)
RECORD = json.loads((FIXTURES / "user.json").read_bytes())


class World:
    """A platform that is served, and providers at it."""

    def __init__(self, platform, vendor):
        self.platform, self.vendor, self.waits = platform, vendor, []

    def api(self, words=Words(), secret=CLIENT_SECRET, **more):
        told = {"patch_path": None, "may_delete": False, "entry_point": ENTRY_POINT, **more}
        app = App(CLIENT_ID, secret, **told)
        url, verifier = self.vendor.url, Verifier(SCHEMES["druid"], ["canary-cockpit-password"])
        return Druid("members", verifier, Events(), url, f"{url}/oauth2/token", app, words, sleep=self.waits.append)

    def asked(self, path):
        return [one for one in self.vendor.calls if one.path == path]

    def lines(self):
        """The lines of all bulk edits."""
        return [json.loads(one.body) for one in self.asked("/activityid/v1/user/bulk")]


@pytest.fixture
def world():
    platform = Platform()
    with Vendor(platform).running() as vendor:
        yield World(platform, vendor)


class TestTokens:
    def test_one_token_serves_many_calls(self, world):
        api = world.api()
        for _ in range(3):
            api.fetch("a1b2")
        assert len(world.asked("/oauth2/token")) == 1

    def test_a_token_that_ended_early_is_replaced_once(self, world):
        api = world.api()
        api.fetch("a1b2")
        world.platform.tokens.append("another")  # as if ours had been withdrawn
        assert api.fetch("a1b2").id == "a1b2"
        assert len(world.asked("/oauth2/token")) == 2

    def test_also_where_it_stands_in_the_form(self, world):
        api = world.api()
        api.fetch("a1b2")
        world.platform.tokens.append("another")
        assert [user.id for user in api.find(EMAIL)] == ["a1b2"]

    def test_an_edit_is_not_lost_when_the_token_ends(self, world):
        api = world.api()
        api.fetch("a1b2")
        world.platform.tokens.append("another")
        assert api.update("a1b2", {"first_name": "Augusta"}, None).values["first_name"] == "Augusta"

    def test_it_is_replaced_before_it_ends(self, world):
        now = [0.0]
        form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        tokens = ClientCredentials("members", f"{world.vendor.url}/oauth2/token", form, clock=lambda: now[0])
        first = tokens.token()
        now[0] = 3600 - 31
        assert tokens.token() == first
        now[0] = 3600 - 29
        assert tokens.token() != first

    @pytest.mark.parametrize("answer", [{}, {"access_token": ""}, {"access_token": 5}, {"access_token": "a\nb"}, {"error": "x"}])
    def test_an_answer_without_a_token(self, world, answer):
        world.platform.token = lambda form: Reply(200, answer)
        with pytest.raises(Unavailable, match="holds none"):
            world.api().fetch("a1b2")

    def test_wrong_credentials_make_everybody_wait(self, world):
        with pytest.raises(Paused, match="client_id and client_secret") as caught:
            world.api(secret="canary-wrong-secret").fetch("a1b2")
        assert "canary" not in str(caught.value)

    def test_without_the_entry_point_the_platform_refuses(self, world):
        with pytest.raises(Rejected):
            world.api(entry_point=None).fetch("a1b2")


class TestUser:
    @pytest.mark.parametrize("content", [{"objectId": "other"}, {"objectId": None}, {}, {"content": []}])
    def test_an_answer_about_somebody_else(self, world, content):
        world.platform.api = lambda request: Reply(200, {"content": content})
        with pytest.raises(Unavailable):
            world.api().fetch("a1b2")

    def test_an_answer_without_the_usual_wrapping(self, world):
        world.platform.api = lambda request: Reply(200, RECORD)
        assert world.api().fetch("a1b2").id == "a1b2"

    def test_in_our_words(self, world):
        user = world.api().fetch("a1b2")
        assert user.values == {
            "email": EMAIL, "email_verified": True, "phone": "+34600000001", "first_name": "Ada", "last_name": "Lovelace",
            "birth_date": "1990-12-31", "country": "ES", "locale": "es_ES", "created_at": "2025-01-01T00:00:00.000Z",
            "updated_at": "2026-01-01T00:00:00.000Z", "custom.screen_name": "ada", "custom.pulse_id": "p-1",
            "custom.shoe_size": "38", "custom.confirmed": True, "custom.app_id": "100200300",
            "custom.entrypoint_id": "100200300-main",
        }  # fmt: skip
        assert user.etag == "2026-01-01T00:00:00Z"
        assert [one["key"] for one in user.memberships] == ["consumer", "press"]

    def test_consents_by_type_and_typology(self, world):
        told = [(one["purpose"], one["scope"], one["state"], one["at"]) for one in world.api().fetch("a1b2").consents]
        assert told == [
            ("terms", "consumer", "granted", None), ("newsletter", "consumer", "granted", None),
            ("newsletter", "press", "revoked", "2026-01-01T00:00:00.000Z"),
        ]  # fmt: skip

    def test_of_several_answers_the_withdrawal_counts(self):
        assert user_consent("newsletter", user_from(RECORD, Words())).state is ConsentState.REVOKED
        assert user_consent("terms", user_from(RECORD, Words())).state is ConsentState.GRANTED
        assert user_consent("sms", user_from(RECORD, Words())).state is ConsentState.UNKNOWN

    def test_a_mapping_may_mean_one_typology(self):
        user = user_from(RECORD, Words())
        assert user_consent("newsletter/consumer", user).state is ConsentState.GRANTED
        assert user_consent("newsletter/press", user).state is ConsentState.REVOKED
        assert user_consent("newsletter/other", user).state is ConsentState.UNKNOWN

    def test_a_grant_is_never_dated_by_a_later_edit_of_the_profile(self):
        """Or an old grant would look newer than an opt-out given in between."""
        for changed in ("2026-01-01T00:00:00Z", "2026-09-09T00:00:00Z"):
            user = user_from({**RECORD, "updated_on": changed}, Words())
            assert user_consent("terms", user).at is None

    def test_the_time_of_a_decision_where_it_is_told(self):
        told = {
            1767225600000: "2026-01-01T00:00:00.000Z",
            "1767225600000": "2026-01-01T00:00:00.000Z",
            "2026-01-01": "2026-01-01",
        }
        for when, at in told.items():
            one = {"type": "terms", "typology": "consumer", "value": True, "when": when}
            (consent,) = user_from({**RECORD, "assertions": {"items": [one]}}, Words(consent_at="/when")).consents
            assert consent["at"] == at

    def test_what_is_not_there_is_not_told(self):
        user = user_from({"objectId": "x"}, Words())
        assert (user.values, user.memberships, user.consents, user.updated_at) == ({}, None, None, None)

    @pytest.mark.parametrize(
        ("value", "form", "read"),
        [("31/12/1990", "%d/%m/%Y", "1990-12-31"), ("soon", "%d/%m/%Y", "soon"), ("", "%Y-%m-%d", ""), (5, "%Y-%m-%d", 5)],
    )
    def test_birthdays(self, value, form, read):
        record = {"objectId": "x", "datas": {"birthday": {"value": value}}}
        assert user_from(record, Words(date_format=form)).values["birth_date"] == read

    @pytest.mark.parametrize("value", [1767225600000, "1767225600000", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"])
    def test_times_in_both_forms(self, value):
        assert user_from({"objectId": "x", "updated_on": value}, Words()).values["updated_at"] == "2026-01-01T00:00:00.000Z"

    @pytest.mark.parametrize(
        "record",
        [{"ids": []}, {"ids": {"email": "x"}}, {"datas": {"name": None}}, {"assertions": {"items": [1, {}, {"value": True}]}}],
    )
    def test_odd_shapes_are_left_out(self, record):
        user = user_from({"objectId": "x", **record}, Words())
        assert (user.values, user.consents or ()) == ({}, ())


@pytest.mark.parametrize(
    ("pointer", "found"),
    [("/a/b", 1), ("/c/1", 3), ("/c/2", None), ("/c/-1", None), ("/c/x", None), ("/x/y", None), ("/a~1b", 4), ("/~0", 5)],
)
def test_pointers(pointer, found):
    assert at_pointer({"a": {"b": 1}, "c": [2, 3], "a/b": 4, "~": 5}, pointer) == found


class TestFind:
    def test_by_email_over_the_older_api_which_never_puts_it_in_a_url(self, world):
        assert [user.id for user in world.api().find(f" {EMAIL.upper()}".strip())] == ["a1b2"]
        (call,) = world.asked("/api/user")
        assert (call.query, call.headers.get("authorization")) == ({}, None)

    def test_an_answer_about_others_was_not_filtered(self, world):
        person = {"user": {"oid": "a1b2", "user_ids": {"email": {"value": "other@example.com"}}}}
        world.platform.query = lambda form: Reply(200, {"count": 1, "data": [person]})
        with pytest.raises(Rejected, match="other addresses"):
            world.api().find(EMAIL)

    @pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {}}, {"count": 5}])
    def test_no_listing_is_not_nobody(self, world, answer):
        world.platform.query = lambda form: Reply(200, answer)
        with pytest.raises(Rejected):
            world.api().find(EMAIL)

    def test_somebody_deleted_meanwhile(self, world):
        person = {"user": {"oid": "gone", "user_ids": {"email": {"value": EMAIL}}}}
        world.platform.query = lambda form: Reply(200, {"count": 1, "data": [person]})
        assert world.api().find(EMAIL) == []


class TestUpdate:
    def test_the_edit_names_these_fields_and_no_others(self, world):
        changes = {
            "first_name": "Augusta",
            "phone": None,
            "birth_date": "1990-01-02",
            "custom.shoe_size": "39",
            "custom.screen_name": "a",
        }
        user = world.api(Words(date_format="%d/%m/%Y")).update("a1b2", changes, None)
        assert world.lines() == [{
            "object_id": "a1b2",
            "ids": {"phone_number": None, "screen_name": {"objectType": "user_id", "value": "a"}},
            "datas": {
                "name": {"objectType": "user_data", "value": "Augusta"},
                "birthday": {"objectType": "user_data", "value": "02/01/1990"},
                "shoe_size": {"objectType": "user_data", "value": "39"},
            },
        }]  # fmt: skip
        assert {name: user.values.get(name) for name in changes} == changes
        assert user.values["last_name"] == "Lovelace"

    def test_the_full_update_is_never_used(self, world):
        world.api().update("a1b2", {"first_name": "Augusta"}, None)
        assert not world.asked("/activityid/v1/user/update")

    def test_it_waits_until_the_edit_is_done(self, world):
        world.platform.delay = 3
        world.api().update("a1b2", {"first_name": "Augusta"}, None)
        assert world.waits == [0.2, 0.3, 0.5]

    def test_an_edit_that_takes_too_long_is_looked_at_again_later(self, world):
        world.platform.delay = 99
        with pytest.raises(Unavailable, match="not done yet"):
            world.api().update("a1b2", {"first_name": "Augusta"}, None)
        assert sum(world.waits) == 10

    @pytest.mark.parametrize("patch_path", [None, "/activityid/v1/user/{id}"])
    def test_a_refusal_names_our_fields_and_no_data(self, world, patch_path):
        world.platform.refuses = {"email": f"{EMAIL} is taken"}
        with pytest.raises(Rejected) as caught:
            world.api(patch_path=patch_path).update("a1b2", {"email": EMAIL, "last_name": "Byron"}, None)
        assert set(caught.value.refused) == {"email"}
        assert "canary" not in str(caught.value) + str(caught.value.refused)

    def test_one_refused_field_refuses_all(self, world):
        world.platform.refuses = {"email": "taken"}
        with pytest.raises(Rejected):
            world.api().update("a1b2", {"email": "x@example.com", "last_name": "Byron"}, None)
        assert world.api().fetch("a1b2").values["last_name"] == "Lovelace"

    def test_a_bulk_edit_that_failed_as_a_whole_is_tried_again(self, world):
        world.platform.results = lambda bulk_id, part=None: Reply(200, {"content": [] if part else {"status": "failed"}})
        with pytest.raises(Unavailable, match="failed"):
            world.api().update("a1b2", {"first_name": "Augusta"}, None)

    def test_no_bulk_call_is_not_nobody(self, world):
        """Or the user, who is there, would be read and edited again and again."""
        world.platform.bulk = lambda request: Reply(404)
        with pytest.raises(Rejected, match="api_url"):
            world.api().update("a1b2", {"first_name": "Augusta"}, None)

    @pytest.mark.parametrize("name", ["email_verified", "created_at", "custom.pulse_id", "custom.entrypoint_id"])
    def test_what_druid_keeps_itself(self, world, name):
        with pytest.raises(Rejected) as caught:
            world.api().update("a1b2", {name: "x", "first_name": "Augusta"}, None)
        assert set(caught.value.refused) == {name}
        assert not world.lines()

    def test_somebody_who_changed_meanwhile(self, world):
        api = world.api()
        etag = api.fetch("a1b2").etag
        api.update("a1b2", {"first_name": "Augusta"}, etag)
        with pytest.raises(Stale):
            api.update("a1b2", {"first_name": "Ada"}, etag)

    def test_a_lone_edit_where_its_path_is_known(self, world):
        user = world.api(patch_path="/activityid/v1/user/{id}").update("a1b2", {"first_name": "Augusta"}, None)
        assert user.values["first_name"] == "Augusta"
        assert not world.lines()


class TestConfirmation:
    """A confirmed address stays until the person confirms the new one."""

    def test_until_then_the_old_address_is_what_druid_holds(self, world):
        world.platform.confirms = True
        user = world.api().update("a1b2", {"email": "new@example.com", "first_name": "Augusta"}, None)
        assert (user.values["email"], user.values["first_name"]) == (EMAIL, "Augusta")

    def test_where_druid_tells_what_waits_that_is_the_address(self, world):
        """So nothing is refused, and a later reading does not look as if the person had gone back to the old address."""
        world.platform.confirms = world.platform.pendings = True
        api = world.api(Words(pending_email="/pending/email"))
        for user in (api.update("a1b2", {"email": "new@example.com"}, None), api.fetch("a1b2")):
            assert (user.values["email"], user.values["email_verified"]) == ("new@example.com", False)


class TestTypologies:
    @pytest.fixture
    def api(self, world):
        return world.api(typologies=True)

    def test_the_list_is_written_as_a_whole(self, world, api):
        before = list(RECORD["typologies"])
        api.set_membership("a1b2", "patron", True, None)
        api.set_membership("a1b2", "patron", False, None)
        assert world.lines() == [
            {"object_id": "a1b2", "typologies": [*before, "patron"]}, {"object_id": "a1b2", "typologies": before},
        ]  # fmt: skip

    @pytest.mark.parametrize("held", [True, False])
    def test_what_is_so_already_is_not_written(self, world, api, held):
        api.set_membership("a1b2", RECORD["typologies"][0] if held else "patron", held, None)
        assert world.lines() == []

    def test_without_leave_nothing_is_written(self, world):
        api = world.api()
        assert (api.capabilities.membership, api.needs["membership"]) == (False, "write_typologies")
        assert "write_typologies" in api.unwritable_membership("patron")
        with pytest.raises(Rejected, match="user a1b2: nowhere public is it said"):
            api.set_membership("a1b2", "patron", True, None)
        assert world.lines() == []

    def test_an_edit_that_is_passed_over_is_noticed(self, world, api):
        world.platform.keeps_typologies = False
        with pytest.raises(Rejected, match="user a1b2: DruID took the edit, and left patron as it was"):
            api.set_membership("a1b2", "patron", True, None)

    def test_what_is_not_told_would_be_lost(self, world, api):
        del world.platform.users["a1b2"]["typologies"]
        with pytest.raises(Rejected, match="are not told, and would be lost"):
            api.set_membership("a1b2", "patron", True, None)
        assert world.lines() == []

    def test_somebody_who_changed_meanwhile(self, world, api):
        with pytest.raises(Stale):
            api.set_membership("a1b2", "patron", True, "2020-01-01T00:00:00Z")

    def test_a_key_that_is_none(self, api):
        with pytest.raises(Rejected, match="no typology can have this name"):
            api.set_membership("a1b2", "", True, None)


class TestConsents:
    def written(self, world):
        return [(one["type"], one["typology"], one["value"]) for line in world.lines() for one in line["assertions"]["items"]]

    def test_a_type_means_all_its_typologies(self, world):
        user = world.api().set_consent("a1b2", "newsletter", REVOKED, None)
        assert self.written(world) == [("newsletter", "consumer", False)]  # press said no already
        assert user_consent("newsletter", user).state is ConsentState.REVOKED
        world.api().set_consent("a1b2", "newsletter", GRANTED, None)
        assert self.written(world)[1:] == [("newsletter", "consumer", True), ("newsletter", "press", True)]

    def test_one_typology_alone(self, world):
        user = world.api().set_consent("a1b2", "newsletter/press", GRANTED, None)
        assert self.written(world) == [("newsletter", "press", True)]
        assert user_consent("newsletter", user).state is ConsentState.GRANTED

    def test_what_was_never_asked_is_answered_for_each_of_the_persons_typologies(self, world):
        world.api().set_consent("a1b2", "surveys", REVOKED, None)
        assert self.written(world) == [("surveys", "consumer", False), ("surveys", "press", False)]

    def test_an_open_question_is_answered(self, world):
        user = world.api().set_consent("a1b2", "sms", GRANTED, None)
        assert user_consent("sms", user).state is ConsentState.GRANTED

    def test_what_stands_already_is_not_written(self, world):
        world.api().set_consent("a1b2", "terms", GRANTED, None)
        assert not world.lines()

    def test_nothing_else_is_touched(self, world):
        before = world.api().fetch("a1b2").values
        after = world.api().set_consent("a1b2", "newsletter", REVOKED, None).values
        assert {**before, "updated_at": None} == {**after, "updated_at": None}

    def test_somebody_who_changed_meanwhile(self, world):
        api = world.api()
        etag = api.fetch("a1b2").etag
        api.set_consent("a1b2", "newsletter", REVOKED, etag)
        with pytest.raises(Stale):
            api.set_consent("a1b2", "newsletter", GRANTED, etag)

    @pytest.mark.parametrize("purpose", ["", "/consumer"])
    def test_a_name_no_consent_can_have(self, world, purpose):
        with pytest.raises(Rejected):
            world.api().set_consent("a1b2", purpose, GRANTED, None)

    def test_nobody_without_typology_is_given_one(self, world):
        world.platform.users["a1b2"]["typologies"] = []
        with pytest.raises(Rejected, match="typology"):
            world.api().set_consent("a1b2", "surveys", GRANTED, None)

    def test_unknown_cannot_be_written(self, world):
        with pytest.raises(Rejected):
            world.api().set_consent("a1b2", "newsletter", Statement(ConsentState.UNKNOWN), None)


class TestCreate:
    def test_somebody_registers_at_our_entry_point(self, world):
        made = world.api().create({"email": "grace@example.com", "first_name": "Grace"}, "key")
        (call,) = world.asked("/activityid/v1/user/create")
        assert call.headers["from"] == ENTRY_POINT
        told = call.json()
        assert (told["verb"], told["actor"]) == ("create", {"id": CLIENT_ID, "objectType": "application"})
        assert told["object"]["ids"] == {"email": {"objectType": "user_id", "value": "grace@example.com"}}
        assert (told["object"]["assertions"]["items"], made.values["first_name"]) == ([], "Grace")

    def test_every_password_is_another(self, world):
        for number in range(2):
            world.api().create({"email": f"{number}@example.com"}, "key")
        passwords = {call.json()["object"]["password"] for call in world.asked("/activityid/v1/user/create")}
        assert len(passwords) == 2

    def test_a_repeat_finds_whom_it_made(self, world):
        made = world.api().create({"email": "grace@example.com"}, "key")
        with pytest.raises(Exists) as caught:
            world.api().create({"email": "grace@example.com"}, "key")
        assert caught.value.record_id == made.id

    def test_refused_for_another_reason(self, world):
        world.platform.create = lambda person: Reply(400, {"errors": [{"element": "assertion terms is mandatory"}]})
        with pytest.raises(Rejected) as caught:
            world.api().create({"email": "grace@example.com"}, "key")
        assert caught.value.refused == {}

    def test_not_without_an_entry_point(self, world):
        with pytest.raises(Rejected, match="entry_point"):
            world.api(entry_point=None).create({"email": "grace@example.com"}, "key")


class TestDelete:
    def test_with_a_token_of_its_own(self, world):
        world.api(may_delete=True).delete("a1b2")
        with pytest.raises(Missing):
            world.api().fetch("a1b2")

    def test_not_unless_it_is_allowed(self, world):
        for call in (world.api().delete, world.api().erase):
            with pytest.raises(Rejected, match="allow_delete"):
                call("a1b2")
        assert "a1b2" in world.platform.users


def test_there_is_no_listing(world):
    for call in (world.api().pages, lambda: world.api().changed_since(None)):
        with pytest.raises(Rejected, match="no such call"):
            call()
