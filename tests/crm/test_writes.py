"""Batch writes: an answer for every row, found by trace id or value, never by position, at a bounded number of calls."""

import json

import pytest

from connector.crm.base import Write
from connector.errors import Late, Missing, Paused, Rejected, Transient, Unavailable
from tests.crm.batches import KEY, accept, by_ref, invalid, refusing, refusing_all, rows
from tests.crm.conftest import Call, Say, error, record, results


def test_rows_are_matched_by_trace_id_whatever_the_order(hubspot, stub):
    stub.says(lambda call: results(*accept(call)))
    outcomes = hubspot.upsert(KEY, rows("a", "b", "c", city="Oslo"), [])
    assert [(one.ref, one.contact.id, one.created) for one in outcomes] == [
        ("r-a", "9a", True),
        ("r-b", "9b", True),
        ("r-c", "9c", True),
    ]
    assert outcomes[0].contact.properties["city"] == "Oslo"
    assert len(stub.calls) == 1


def test_an_upsert_names_its_key_and_writes_it(hubspot, stub):
    stub.says(lambda call: results(*accept(call)))
    hubspot.upsert(KEY, rows("a"), [])
    sent = {"id": "a", "idProperty": KEY, "objectWriteTraceId": "r-a", "properties": {"email": "a@example.no", KEY: "a"}}
    assert stub.calls[0].body == {"inputs": [sent]}


def test_an_upsert_by_email_does_not_make_it_the_primary_address(hubspot, stub):
    stub.says(results(record("1", email="a@example.no", city="Oslo")))
    hubspot.upsert("email", [Write("r", "A@example.no", {"city": "Oslo"})], [])
    assert stub.calls[0].body["inputs"][0]["properties"] == {"city": "Oslo"}


def test_a_row_gets_no_answer_about_another_domain(hubspot, stub):
    stub.says(results(record("2", email="info@straße.de"), record("1", email="info@strasse.de")))
    sent = [Write("x", "info@strasse.de", {"city": "Oslo"}), Write("y", "Info@Straße.de", {"city": "Oslo"})]
    assert {ref: one.contact.id for ref, one in by_ref(hubspot.upsert("email", sent, [])).items()} == {"x": "1", "y": "2"}


def test_an_update_goes_by_record_id(hubspot, stub):
    stub.says(results(record("2", city="Bergen"), record("1", city="Oslo")))
    outcomes = hubspot.update([Write("x", "1", {"city": "Oslo"}), Write("y", "2", {"city": "Bergen"})], [])
    assert [one.contact.properties["city"] for one in outcomes] == ["Oslo", "Bergen"]
    assert "idProperty" not in stub.calls[0].body["inputs"][0]


def test_an_update_that_hubspot_lets_wait_is_not_sent_any_more(hubspot, stub, clock):
    stub.says(Say(429, {**error("RATE_LIMITS"), "policyName": "TEN_SECONDLY_ROLLING"}, {"Retry-After": "5"}))
    for _ in range(2):  # told so, and while everybody waits
        with pytest.raises(Late):
            hubspot.update([Write("x", "1", {"roles": "Press"})], [])
    assert (len(stub.calls), clock.naps) == (1, [])


def test_an_update_that_waits_for_a_moment_is_sent(hubspot, stub, clock):
    stub.says(Say(429, {**error("RATE_LIMITS"), "policyName": "SECONDLY"}), results(record("1", city="Oslo")))
    hubspot.update([Write("x", "1", {"city": "Oslo"})], [])
    assert (len(stub.calls), clock.naps) == (2, [pytest.approx(1)])


def test_a_new_contact_has_nothing_to_lose_and_is_waited_for(hubspot, stub, clock):
    stub.says(Say(429, error("RATE_LIMITS"), {"Retry-After": "5"}), results(record("1", **{KEY: "u-1"})))
    hubspot.upsert(KEY, [Write("x", "u-1", {})], [])
    assert (len(stub.calls), clock.naps) == (2, [pytest.approx(5)])


@pytest.mark.parametrize(
    ("key", "found"),
    [
        pytest.param(KEY, lambda user: {KEY: user, "email": f"{user}@example.no"}, id="unique property"),
        pytest.param("email", lambda user: {"email": f"{user.lower()}"}, id="email in lower case"),
    ],
)
def test_without_trace_ids_rows_are_matched_by_their_unique_value(hubspot, stub, key, found):
    users = ["A@x.no", "B@x.no"]
    stub.says(results(*(record(f"9{user}", **found(user), city="Oslo") for user in reversed(users))))
    outcomes = hubspot.upsert(key, [Write(user, user, {"city": "Oslo"}) for user in users], [])
    assert [one.contact.id for one in outcomes] == ["9A@x.no", "9B@x.no"]


def test_the_call_has_hubspots_id_for_the_history(hubspot, stub):
    answer = results(record("1", "x", city="Oslo"))
    answer.headers["X-HubSpot-Correlation-Id"] = "c-77"
    stub.says(answer)
    assert hubspot.update([Write("x", "1", {"city": "Oslo"})], [])[0].request == "c-77"


def test_no_rows_no_call(hubspot, stub):
    assert hubspot.update([], []) == []
    assert stub.calls == []


@pytest.mark.parametrize("spelling", ["objectWriteTraceId", "objectWriteTraceIds"])
def test_one_bad_row_of_a_partial_answer_fails_alone(hubspot, stub, spelling):
    wrong = invalid("city", "INVALID_OPTION") | {"context": {spelling: ["r-b"]}}
    stub.says(lambda call: results(*accept(call, without=("b",)), errors=[wrong]))
    outcomes = by_ref(hubspot.upsert(KEY, rows("a", "b", "c", city="x"), []))
    assert outcomes["r-a"].contact
    assert outcomes["r-c"].contact
    assert outcomes["r-b"].error.refused == {"city": "city: HubSpot refuses the value (INVALID_OPTION)"}
    assert len(stub.calls) == 1


def test_an_error_may_name_rows_by_record_id(hubspot, stub):
    gone = error("OBJECT_NOT_FOUND", "…", ids=["2", "3"])
    stub.says(results(record("1", city="x"), errors=[gone]))
    outcomes = hubspot.update([Write(f"r-{one}", one, {"city": "x"}) for one in "123"], [])
    assert [type(one.error) for one in outcomes] == [type(None), Missing, Missing]


def test_an_error_that_names_nobody_belongs_to_the_only_row_left(hubspot, stub):
    stub.says(refusing({"b": invalid("city", "INVALID_OPTION")}, traced=False))
    outcomes = by_ref(hubspot.upsert(KEY, rows("a", "b", "c", city="x"), []))
    assert isinstance(outcomes["r-b"].error, Rejected)
    assert len(stub.calls) == 1


def test_errors_inside_an_error_may_name_their_rows(hubspot, stub):
    inner = [{"code": "INVALID_DATE", "in": "city", "context": {"objectWriteTraceId": ["r-b"]}}]
    stub.says(lambda call: results(*accept(call, without=("b",)), errors=[error("VALIDATION_ERROR") | {"errors": inner}]))
    outcome = by_ref(hubspot.upsert(KEY, rows("a", "b", city="x"), []))["r-b"]
    assert outcome.error.refused == {"city": "city: HubSpot refuses the value (INVALID_DATE)"}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(invalid("city", "INVALID_OPTION"), id="embedded"),
        pytest.param(
            error("VALIDATION_ERROR") | {"errors": [{"code": "INVALID_OPTION", "context": {"propertyName": ["city"]}}]},
            id="context",
        ),
        pytest.param(error("VALIDATION_ERROR") | {"errors": [{"code": "INVALID_OPTION", "in": "city"}]}, id="in"),
        pytest.param(error("VALIDATION_ERROR") | {"errors": [{"error": "INVALID_OPTION", "name": "city"}]}, id="name"),
        pytest.param(error("VALIDATION_ERROR") | {"errors": [invalid("city", "INVALID_OPTION")]}, id="embedded, one deeper"),
    ],
)
def test_a_refused_property_is_named_in_our_own_words(hubspot, stub, wrong):
    stub.says(Say(400, wrong))
    outcome = hubspot.upsert(KEY, rows("a", city="Secret street 5"), [])[0]
    assert outcome.error.refused == {"city": "city: HubSpot refuses the value (INVALID_OPTION)"}
    assert str(outcome.error) == "hubspot: contacts: upsert: VALIDATION_ERROR INVALID_OPTION"


def test_only_properties_that_were_sent_are_named(hubspot, stub):
    stub.says(Say(400, invalid("kari@example.no", "INVALID_EMAIL")))
    outcome = hubspot.upsert(KEY, rows("a"), [])[0]
    assert outcome.error.refused == {}
    assert "kari" not in str(outcome.error)


def test_a_whole_refusal_for_a_property_of_one_row_costs_one_more_call(hubspot, stub):
    stub.says(refusing_all({"b": invalid("city", "INVALID_OPTION")}))
    batch = [*rows("a"), *rows("b", city="x"), *rows("c", "d")]
    outcomes = by_ref(hubspot.upsert(KEY, batch, []))
    assert list(outcomes["r-b"].error.refused) == ["city"]
    assert all(outcomes[ref].contact for ref in ("r-a", "r-c", "r-d"))
    assert [len(call.ids) for call in stub.calls] == [4, 3]


def test_a_property_the_portal_does_not_have_is_refused_for_every_row_that_has_it(hubspot, stub):
    def answer(call: Call) -> Say:
        bad = any("shoe_size" in one["properties"] for one in call.body["inputs"])
        return Say(400, invalid("shoe_size", "PROPERTY_DOESNT_EXIST")) if bad else results(*accept(call))

    stub.says(answer)
    outcomes = hubspot.upsert(KEY, [*rows("a", "b", shoe_size="44"), *rows("c")], [])
    why = "shoe_size: HubSpot has no such property (PROPERTY_DOESNT_EXIST)"
    assert [one.error.refused if one.error else None for one in outcomes] == [{"shoe_size": why}, {"shoe_size": why}, None]
    assert len(stub.calls) == 2


def test_a_row_is_not_blamed_for_what_another_row_did(hubspot, stub):
    """Row a has an unknown property and a bad city; b shares the unknown property, its city is fine."""
    found = [{"error": "PROPERTY_DOESNT_EXIST", "name": "shoe_size"}, {"error": "INVALID_OPTION", "name": "city"}]
    stub.says(Say(400, error("VALIDATION_ERROR", f"…: {json.dumps(found)}")))
    outcomes = hubspot.upsert(KEY, rows("a", "b", shoe_size="44", city="x"), [])
    assert [list(one.error.refused) for one in outcomes] == [["shoe_size"], ["shoe_size"]]


def test_a_bad_row_nobody_names_is_found_by_halving(hubspot, stub):
    users = [f"u{number}" for number in range(100)]
    stub.says(refusing_all({"u37": invalid("city", "INVALID_OPTION")}))
    outcomes = by_ref(hubspot.upsert(KEY, rows(*users, city="x"), []))
    assert [ref for ref, one in outcomes.items() if one.error] == ["r-u37"]
    assert len(stub.calls) <= 15


def test_halving_ends_and_leaves_the_rest_for_later(hubspot, stub):
    users = [f"u{number}" for number in range(100)]
    stub.says(refusing_all({user: error("VALIDATION_ERROR") for user in users}))
    outcomes = hubspot.upsert(KEY, rows(*users), [])
    assert len(stub.calls) <= 64
    assert {type(one.error) for one in outcomes} == {Rejected, Unavailable}


def test_a_row_with_both_a_result_and_an_error_keeps_its_result(hubspot, stub):
    stub.says(lambda call: results(*accept(call), errors=[invalid("city", "X") | {"context": {"objectWriteTraceId": ["r-a"]}}]))
    assert all(one.contact for one in hubspot.upsert(KEY, rows("a", "b"), []))
    assert len(stub.calls) == 1


def test_rows_a_2xx_is_silent_about_are_read_back(hubspot, stub):
    def answer(call: Call) -> Say:
        if call.path.endswith("/batch/read"):
            return results(record("9a", email="a@example.no", city="Oslo", **{KEY: "a"}))
        return results()

    stub.says(answer)
    first, second = hubspot.upsert(KEY, rows("a", "b", city="Oslo"), [])
    assert (first.contact.id, first.contact.properties["city"], first.created) == ("9a", "Oslo", False)
    assert isinstance(second.error, Unavailable)
    assert stub.calls[1].body["idProperty"] == KEY
    assert len(stub.calls) == 2


def test_a_silent_upsert_by_an_additional_address_is_read_back(hubspot, stub):
    stub.says(results(), results(record("1", email="new@x.no", hs_additional_emails="old@x.no", city="Oslo")))
    outcome = hubspot.upsert("email", [Write("r", "Old@x.no", {"city": "Oslo"})], [])[0]
    assert outcome.contact.id == "1"


def test_an_answer_of_another_shape_is_read_back(hubspot, stub):
    odd = [{"id": "1", "properties": ["city"], "objectWriteTraceId": "x"}, "text", {"properties": {}}]
    stub.says(Say(200, {"results": odd, "errors": ["text"]}), results(record("1", city="Oslo"), record("2", city="Voss")))
    outcomes = hubspot.update([Write("x", "1", {"city": "Oslo"}), Write("y", "2", {"city": "Voss"})], [])
    assert [one.contact.properties["city"] for one in outcomes] == ["Oslo", "Voss"]


def test_an_update_that_says_nothing_is_read_back_by_id(hubspot, stub):
    stub.says(results(), results(record("2", city="Bergen"), record("1", city="unchanged")))
    outcomes = hubspot.update([Write("x", "1", {"city": "Oslo"}), Write("y", "2", {"city": "Bergen"})], [])
    assert [one.contact.properties["city"] for one in outcomes] == ["unchanged", "Bergen"]


def test_an_answer_without_the_properties_asked_for_is_completed_by_one_read(hubspot, stub):
    def answer(call: Call) -> Say:
        if call.path.endswith("/batch/read"):
            return results(*(record(one, email=f"{one}@x.no", city="Oslo", score="7", **{KEY: one[1:]}) for one in call.ids))
        return results(*accept(call))

    stub.says(answer)
    outcomes = hubspot.upsert(KEY, rows("a", "b", city="Oslo"), ["score"])
    assert [one.contact.properties["score"] for one in outcomes] == ["7", "7"]
    assert all(one.created for one in outcomes)
    assert len(stub.calls) == 2


def test_a_property_that_even_the_store_does_not_tell_reads_as_blank(hubspot, stub):
    """HubSpot ignores names it does not know, so what was asked and what is stored differ, and the caller sees it."""
    stub.says(results(record("1", "x")), results(record("1")))
    outcome = hubspot.update([Write("x", "1", {"shoe_size": "44"})], [])[0]
    assert outcome.contact.properties["shoe_size"] is None


def test_a_silent_no_op_is_passed_on_as_hubspot_holds_it(hubspot, stub):
    stub.says(results(record("1", "x", lifecyclestage="customer")))
    outcome = hubspot.update([Write("x", "1", {"lifecyclestage": "lead"})], [])[0]
    assert outcome.contact.properties["lifecyclestage"] == "customer"
    assert len(stub.calls) == 1


def test_when_nothing_is_known_of_any_row_the_call_raises(hubspot, stub):
    stub.says(Say(401, error("INVALID_AUTHENTICATION")))
    with pytest.raises(Paused):
        hubspot.upsert(KEY, rows("a", "b"), [])


def test_a_failure_while_narrowing_down_is_the_row_s_own(hubspot, stub):
    """What is known stays known; the rest may be sent again."""
    stub.says(
        lambda call: results(*accept(call, without=("b", "c")), errors=[error("VALIDATION_ERROR"), error("VALIDATION_ERROR")]),
        Say(503, error("INTERNAL_ERROR")),
    )
    outcomes = by_ref(hubspot.upsert(KEY, rows("a", "b", "c"), []))
    assert outcomes["r-a"].contact
    assert isinstance(outcomes["r-b"].error, Transient)
    assert isinstance(outcomes["r-c"].error, Transient)


def test_a_failure_while_reading_back_leaves_the_row_for_later(hubspot, stub):
    stub.says(results(record("1", "x", city="Oslo")), Say(503, error("INTERNAL_ERROR")))
    full, partly, silent = hubspot.update(
        [Write("x", "1", {"city": "Oslo"}), Write("y", "2", {"city": "Oslo"}), Write("z", "3", {"city": "Oslo"})], []
    )
    assert full.contact
    assert isinstance(partly.error, Transient)
    assert isinstance(silent.error, Transient)


def test_a_row_that_failed_on_hubspots_side_may_be_tried_again(hubspot, stub):
    stub.says(refusing({"a": error("RATE_LIMITS"), "b": error("INTERNAL_ERROR")}))
    outcomes = hubspot.upsert(KEY, rows("a", "b", "c"), [])
    assert [type(one.error) for one in outcomes] == [Unavailable, Unavailable, type(None)]


def test_a_write_whose_answer_was_lost_is_sent_again(hubspot, stub):
    stub.says(Say(504, b"<html>timeout</html>"), lambda call: results(*accept(call)))
    assert hubspot.upsert(KEY, rows("a"), [])[0].contact
    assert stub.calls[0].body == stub.calls[1].body
