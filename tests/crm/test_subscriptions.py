"""Subscriptions, where the portal answers in ways that no document promises."""

import logging
import time
from datetime import UTC, datetime

import pytest

from connector.crm.base import StatusWrite
from connector.crm.hubspot.narrowing import MOST_SENDS
from connector.errors import Denied, Paused, Rejected, Transient, Unavailable
from connector.model import UNTOLD, ConsentState
from tests.crm.conftest import Call, Say, error, results

NEWS = "1001"
DENIED = Say(403, error("MISSING_SCOPES", missingScopes=["communication_preferences.read_write"]))


def rows(*names: str, granted: bool = True) -> list[StatusWrite]:
    return [StatusWrite(one, f"{one}@x.no", NEWS, granted, "NON_GDPR", "asked") for one in names]


def state(name: str, status: str = "SUBSCRIBED", **more: object) -> dict:
    return {"subscriberIdString": f"{name}@x.no", "subscriptionId": int(NEWS), "status": status, "channel": "EMAIL", **more}


def names(call: Call) -> list[str]:
    inputs = call.body["inputs"]
    return [(one if isinstance(one, str) else one["subscriberIdString"]).removesuffix("@x.no") for one in inputs]


def echo(call: Call) -> Say:
    """Every status as it was asked for; in a read, nothing but SUBSCRIBED."""
    if call.path.endswith("/read"):
        return results(*({"subscriberIdString": f"{one}@x.no", "statuses": [state(one)]} for one in names(call)))
    return results(*(state(one["subscriberIdString"].removesuffix("@x.no"), one["statusState"]) for one in call.body["inputs"]))


def by_ref(outcomes):
    return {one.ref: one.error for one in outcomes}


def single_only(answer):
    """A portal without calls for many; `answer` is for the others."""
    return lambda call: DENIED if "/batch/" in call.path else answer(call)


def test_a_time_may_be_iso_or_milliseconds(hubspot, stub):
    told = [state("a", timestamp=1764000000000), state("a", timestamp="2025-11-24T17:00:00+01:00") | {"subscriptionId": 1002}]
    stub.says(results({"subscriberIdString": "A@x.no", "statuses": told}))
    found = hubspot.statuses(["a@x.no"])["a@x.no"]
    assert {one.at.isoformat() for one in found.values()} == {"2025-11-24T16:00:00+00:00"}


@pytest.fixture
def madrid(monkeypatch):
    """A machine whose own time is not UTC."""
    monkeypatch.setenv("TZ", "Europe/Madrid")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_without_a_zone_is_utc_wherever_the_machine_stands(hubspot, stub, madrid):
    stub.says(results({"subscriberIdString": "a@x.no", "statuses": [state("a", timestamp="2025-11-24T16:00:00")]}))
    assert hubspot.statuses(["a@x.no"])["a@x.no"][NEWS].at == datetime(2025, 11, 24, 16, tzinfo=UTC)


def test_other_channels_and_states_nobody_knows(hubspot, stub):
    told = [state("a", channel="SMS"), state("a", "PENDING") | {"subscriptionId": 1002}, {"status": "SUBSCRIBED"}]
    stub.says(results({"subscriberIdString": "a@x.no", "statuses": told}))
    found = hubspot.statuses(["a@x.no"])["a@x.no"]
    assert {kind: one.state for kind, one in found.items()} == {"1002": ConsentState.UNKNOWN}


def test_an_address_without_states_and_one_left_out_have_none(hubspot, stub):
    stub.says(results({"subscriberIdString": "a@x.no", "statuses": []}))
    assert hubspot.statuses(["a@x.no", "b@x.no"]) == {"a@x.no": {}, "b@x.no": {}}


def test_an_address_that_failed_is_not_one_without_states(hubspot, stub):
    stub.says(results({"subscriberIdString": "a@x.no", "statuses": []}, errors=[error("INTERNAL_ERROR", "b@x.no failed")]))
    with pytest.raises(Unavailable, match="INTERNAL_ERROR") as caught:
        hubspot.statuses(["a@x.no", "b@x.no"])
    assert "b@x.no" not in str(caught.value)


def test_a_read_refused_because_of_one_address_goes_on_without_it(hubspot, stub):
    stub.says(lambda call: Say(400, error("VALIDATION_ERROR")) if "c" in names(call) else echo(call))
    found = hubspot.statuses([f"{one}@x.no" for one in "abcd"])
    assert [email for email, told in found.items() if not told] == ["c@x.no"]


def test_a_portal_that_refuses_every_address_is_not_one_without_states(hubspot, stub):
    stub.says(Say(400, error("VALIDATION_ERROR")))
    with pytest.raises(Unavailable, match="refused for every address"):
        hubspot.statuses([f"{one}@x.no" for one in "abcd"])
    assert hubspot.statuses(["a@x.no"]) == {"a@x.no": {}}


def test_a_list_that_is_missing_is_no_empty_one(hubspot, stub):
    stub.says(Say(200, {"status": "COMPLETE"}))
    for ask in (hubspot.statuses, hubspot.opted_out_of_all):
        with pytest.raises(Unavailable):
            ask(["a@x.no"])


@pytest.mark.parametrize(
    ("told", "out"),
    [
        ([], False),
        ([{"wideStatusType": "PORTAL_WIDE", "status": "UNSUBSCRIBED"}], True),
        ([{"wideStatusType": "BUSINESS_UNIT_WIDE", "status": "UNSUBSCRIBED"}], True),
        ([{"status": "unsubscribed"}], True),
        ([{"wideStatusType": "PORTAL_WIDE"}], True),
        ([{}], True),
        ([{"wideStatusType": "PORTAL_WIDE", "status": "SUBSCRIBED"}], False),
        ([{"wideStatusType": "PORTAL_WIDE", "status": "UNSUBSCRIBED", "channel": "SMS"}], False),
    ],
)
def test_whatever_does_not_say_subscribed_is_an_opt_out_of_everything(hubspot, stub, told, out):
    stub.says(results({"subscriberIdString": "a@x.no", "wideStatuses": told}))
    assert hubspot.opted_out_of_all(["a@x.no"]) == ({"a@x.no": None} if out else {})


@pytest.mark.parametrize("way", [lambda answer: answer, single_only], ids=["many a call", "one a call"])
def test_of_whom_the_portal_refuses_to_tell_counts_as_an_opt_out_of_everything(hubspot, stub, way):
    stub.says(way(lambda call: Say(400, error("VALIDATION_ERROR"))))
    assert hubspot.opted_out_of_all(["a@x.no"]) == {"a@x.no": None}


def test_whom_the_portal_does_not_know_has_opted_out_of_nothing(hubspot, stub):
    stub.says(single_only(lambda call: Say(404, error("OBJECT_NOT_FOUND"))))
    assert hubspot.opted_out_of_all(["a@x.no"]) == {}


def test_an_opt_out_of_everything_has_the_latest_time_told(hubspot, stub):
    told = [{"status": "UNSUBSCRIBED", "timestamp": f"2026-11-0{day}T12:00:00Z"} for day in (1, 3, 2)]
    stub.says(results({"subscriberIdString": "a@x.no", "wideStatuses": told}))
    assert hubspot.opted_out_of_all(["a@x.no"]) == {"a@x.no": datetime(2026, 11, 3, 12, tzinfo=UTC)}


def test_words_are_read_in_any_case_and_one_that_is_not_documented_cannot_tell(hubspot, stub):
    words = ("unsubscribed", "Subscribed", "not_specified", "PERHAPS")
    told = [{"subscriptionId": number, "status": word} for number, word in enumerate(words, 1)]
    stub.says(results({"subscriberIdString": "a@x.no", "statuses": told}))
    found = hubspot.statuses(["a@x.no"])["a@x.no"]
    assert [found[str(number)].state for number in (1, 2, 3, 4)] == ["revoked", "granted", "unknown", "unknown"]
    assert [found[str(number)].source == UNTOLD for number in (3, 4)] == [False, True]


def test_inactive_types_are_left_out(hubspot, stub):
    stub.says(results({"id": "1", "name": "News", "isActive": True}, {"id": "2", "name": "Old", "isActive": False}))
    assert hubspot.subscription_types() == {"1": "News"}


def test_a_write_says_all_that_v4_wants(hubspot, stub):
    stub.says(echo)
    hubspot.write_statuses(rows("a"))
    said = {"subscriberIdString": "a@x.no", "subscriptionId": 1001, "statusState": "SUBSCRIBED", "channel": "EMAIL"}
    assert stub.calls[0].body == {"inputs": [{**said, "legalBasis": "NON_GDPR", "legalBasisExplanation": "asked"}]}


def test_a_basis_goes_along_with_an_opt_out_when_there_is_one(hubspot, stub):
    """HubSpot documents it as required in both directions where data privacy is on."""
    stub.says(echo)
    hubspot.write_statuses([*rows("a", granted=False), StatusWrite("b", "b@x.no", NEWS, False)])
    assert [one.get("legalBasis") for one in stub.calls[0].body["inputs"]] == ["NON_GDPR", None]


def test_hubspots_id_of_the_call_is_kept(hubspot, stub):
    def answer(call: Call) -> Say:
        said = echo(call)
        said.headers["X-HubSpot-Correlation-Id"] = "c-7"
        return said

    stub.says(answer)
    assert hubspot.write_statuses(rows("a"))[0].request == "c-7"


@pytest.mark.parametrize("many", [True, False])
def test_a_status_that_did_not_change_is_told(hubspot, stub, many):
    stub.says(lambda call: results(state("a", "UNSUBSCRIBED", setStatusSuccessReason="NO_STATUS_CHANGE")))
    if not many:
        stub.answers[0] = single_only(stub.answers[0])
    found = hubspot.write_statuses(rows("a"))[0].error
    assert (type(found), str(found)) == (Rejected, "HubSpot accepted the call but did not change the status")


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({"subscriberIdString": ["B@x.no"]}, id="the address"),
        pytest.param({"emails": "b@x.no"}, id="under another name"),
    ],
)
def test_an_error_may_name_its_row(hubspot, stub, context):
    bad = error("VALIDATION_ERROR", "b@x.no") | {"context": context}
    stub.says(lambda call: results(state("a"), state("c"), errors=[bad]))
    found = by_ref(hubspot.write_statuses(rows(*"abc")))
    assert [type(one) for one in found.values()] == [type(None), Rejected, type(None)]
    assert len(stub.calls) == 1


def test_an_error_inside_an_error_may_name_its_row(hubspot, stub):
    inner = [{"code": "BAD_EMAIL", "context": {"email": ["b@x.no"]}}, {"context": "{missingScopes=[x]}"}]
    stub.says(results(state("a"), errors=[error("VALIDATION_ERROR") | {"errors": inner}]))
    found = by_ref(hubspot.write_statuses(rows("a", "b")))
    assert "(VALIDATION_ERROR, BAD_EMAIL)" in str(found["b"])


def test_an_error_about_a_type_is_about_all_rows_of_that_type(hubspot, stub):
    other = StatusWrite("z", "a@x.no", "999", True)
    stub.says(results(state("a"), errors=[error("VALIDATION_ERROR", subscriptionId=["999"])]))
    found = by_ref(hubspot.write_statuses([*rows("a"), other]))
    assert [type(one) for one in found.values()] == [type(None), Rejected]


def test_a_row_that_nobody_names_is_found_by_halving(hubspot, stub):
    stub.says(lambda call: Say(400, error("VALIDATION_ERROR")) if "u37" in names(call) else echo(call))
    found = by_ref(hubspot.write_statuses(rows(*(f"u{one}" for one in range(100)))))
    assert [ref for ref, problem in found.items() if problem] == ["u37"]
    assert len(stub.calls) <= 15


def test_a_row_that_a_refusal_of_all_names_is_left_out(hubspot, stub):
    refused = Say(400, error("VALIDATION_ERROR", email=["u3@x.no"]))
    stub.says(lambda call: refused if "u3" in names(call) else echo(call))
    found = by_ref(hubspot.write_statuses(rows(*(f"u{one}" for one in range(10)))))
    assert [ref for ref, problem in found.items() if problem] == ["u3"]
    assert [len(call.body["inputs"]) for call in stub.calls] == [10, 9]


def test_halving_ends_and_leaves_the_rest_for_later(hubspot, stub):
    stub.says(Say(400, error("VALIDATION_ERROR")))
    found = by_ref(hubspot.write_statuses(rows(*(f"u{one}" for one in range(100)))))
    assert len(stub.calls) == MOST_SENDS
    assert {type(one) for one in found.values()} == {Rejected, Unavailable}


def test_a_row_hubspot_failed_on_may_be_sent_again(hubspot, stub):
    stub.says(results(state("a"), errors=[error("INTERNAL_ERROR", email=["b@x.no"])]))
    assert isinstance(by_ref(hubspot.write_statuses(rows("a", "b")))["b"], Unavailable)


def test_when_nothing_is_known_of_any_row_a_write_raises(hubspot, stub):
    stub.says(Say(503, error("INTERNAL_ERROR")))
    with pytest.raises(Unavailable):
        hubspot.write_statuses(rows("a", "b"))


def test_rows_behind_a_failure_are_told_as_such(hubspot, stub):
    stub.says(lambda call: echo(call) if "u0" in names(call) else Say(503, error("INTERNAL_ERROR")))
    found = by_ref(hubspot.write_statuses(rows(*(f"u{one}" for one in range(150)))))
    assert [type(found["u0"]), type(found["u149"])] == [type(None), Unavailable]


def test_a_failure_of_one_row_does_not_stop_the_next_ones(hubspot, stub):
    failed = Say(503, error("INTERNAL_ERROR"))
    stub.says(single_only(lambda call: failed if "b%40" in call.path else results(state(call.path.split("/")[-1][0]))))
    found = by_ref(hubspot.write_statuses(rows(*"abc")))
    assert [type(one) for one in found.values()] == [type(None), Unavailable, type(None)]


@pytest.mark.parametrize(
    ("answer", "sends", "raised"),
    [
        pytest.param(Say(503, error("INTERNAL_ERROR")), 9, Unavailable, id="three failures"),
        pytest.param(Say(401, error("INVALID_AUTHENTICATION")), 1, Paused, id="a pause"),
    ],
)
def test_trouble_ends_the_work_for_now(hubspot, stub, answer, sends, raised):
    stub.says(single_only(lambda call: answer))
    with pytest.raises(raised):
        hubspot.write_statuses(rows(*"abcdefgh"))
    assert len(stub.calls) == 1 + sends


def test_a_forbidden_that_is_not_hubspots_denies_nothing(hubspot, stub):
    stub.says(Say(403, b"<html>proxy</html>"))
    with pytest.raises(Paused) as caught:
        hubspot.statuses(["a@x.no"])
    assert not isinstance(caught.value, Denied)
    assert len(stub.calls) == 1


def test_v3_that_cannot_be_read_after_a_refusal_refuses(hubspot, stub):
    def answer(call: Call) -> Say:
        if "/v3/" not in call.path:
            return DENIED
        return Say(400, error("VALIDATION_ERROR")) if call.method == "POST" else Say(503, error("INTERNAL_ERROR"))

    stub.says(answer)
    assert isinstance(hubspot.write_statuses(rows("a"))[0].error, Rejected)


def test_v3_says_ids_as_text(hubspot, stub):
    stub.says(lambda call: Say(200, {"id": NEWS, "status": "SUBSCRIBED"}) if "/v3/" in call.path else DENIED)
    assert hubspot.write_statuses(rows("a"))[0].error is None
    assert stub.calls[-1].body["subscriptionId"] == NEWS


def test_no_address_reaches_a_log_and_a_path_holds_it_encoded(hubspot, stub, caplog):
    caplog.set_level(logging.DEBUG)
    stub.says(single_only(lambda call: results()))
    hubspot.statuses(["kari+x@x.no"])
    assert stub.calls[-1].path == "/communication-preferences/v4/statuses/kari%2Bx%40x.no"
    assert "kari" not in caplog.text


def test_trouble_while_narrowing_down_is_the_rows_own(hubspot, stub):
    stub.says(Say(400, error("VALIDATION_ERROR")), echo, Say(503, error("INTERNAL_ERROR")))
    found = by_ref(hubspot.write_statuses(rows(*"abcd")))
    assert [one is None for one in found.values()] == [True, True, False, False]
    assert all(isinstance(found[one], Transient) for one in "cd")


@pytest.mark.parametrize(
    ("fault", "out"),
    [
        ({"message": "You cannot subscribe an unsubscribed address."}, True),
        ({"message": "nope", "subCategory": "CommunicationPreferences.CONTACT_OPTED_OUT"}, True),
        ({"message": "legalBasis and legalBasisExplanation are required"}, False),
    ],
)
def test_a_refusal_tells_whether_it_is_for_an_opt_out(hubspot, stub, fault, out):
    refused = Say(400, {"category": "VALIDATION_ERROR", **fault})
    stub.says(single_only(lambda call: refused if call.method == "POST" else results()))
    (told,) = hubspot.write_statuses(rows("a"))
    assert (type(told.error), told.out) == (Rejected, out)


def test_an_opt_out_that_is_kept_in_spite_of_the_grant_is_one(hubspot, stub):
    stub.says(lambda call: results(state("a", "UNSUBSCRIBED")))
    (told,) = hubspot.write_statuses(rows("a"))
    assert (type(told.error), told.out) == (Rejected, True)
