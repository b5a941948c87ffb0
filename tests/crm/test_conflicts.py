"""Emails and unique values that another contact has: which row, and whose, whether or not HubSpot says so."""

import pytest

from connector.crm.base import Write
from connector.errors import Exists, Unavailable
from tests.crm.batches import KEY, Holding, accept, by_ref, conflict, invalid, refusing, rows
from tests.crm.conftest import Call, Say, error, record, results


def test_a_conflict_that_names_its_row_and_contact_costs_nothing_more(hubspot, stub):
    stub.says(refusing({"b": conflict("12 345 678")}))
    outcomes = by_ref(hubspot.upsert(KEY, rows("a", "b"), []))
    assert isinstance(outcomes["r-b"].error, Exists)
    assert outcomes["r-b"].error.record_id == "678"
    stub.answers.clear()
    stub.says(refusing({"b": error("CONFLICT", "…", existingId=["4711"])}))
    assert by_ref(hubspot.upsert(KEY, rows("a", "b"), []))["r-b"].error.record_id == "4711"
    assert len(stub.calls) == 2


def test_a_unique_value_somebody_else_has_is_a_conflict_too(hubspot, stub):
    stub.says(Say(400, invalid(KEY, "CONFLICTING_UNIQUE_VALUE", "a 4711")))
    assert isinstance(hubspot.upsert(KEY, rows("a"), [])[0].error, Exists)


def test_a_conflict_of_a_lone_row_costs_nothing_more(hubspot, stub):
    stub.says(Say(409, conflict("500")))
    assert hubspot.upsert(KEY, rows("a"), [])[0].error.record_id == "500"
    assert len(stub.calls) == 1


def test_a_whole_conflict_is_settled_by_reading_the_contact_it_names(hubspot, stub):
    stub.says(Holding({"b": record("500", email="b@example.no")}))
    outcomes = by_ref(hubspot.upsert(KEY, rows("a", "b", "c"), []))
    assert outcomes["r-b"].error.record_id == "500"
    assert outcomes["r-a"].contact
    assert outcomes["r-c"].contact
    assert stub.paths() == ["POST /batch/upsert", "POST /batch/read", "POST /batch/upsert"]


def test_a_whole_conflict_over_an_additional_address_finds_its_row(hubspot, stub):
    other = record("500", email="else@example.no", hs_additional_emails="z@example.no;B@Example.no")
    stub.says(Holding({"b": other}))
    assert by_ref(hubspot.upsert(KEY, rows("a", "b"), []))["r-b"].error.record_id == "500"


def test_a_whole_conflict_is_not_put_down_to_another_domain(hubspot, stub):
    stub.says(Holding({"b": record("500", email="b@strasse.de")}))
    a, b = hubspot.upsert(KEY, [Write("x", "a", {"email": "b@straße.de"}), Write("y", "b", {"email": "b@strasse.de"})], [])
    assert (a.contact.id, b.error.record_id) == ("9a", "500")


def test_many_conflicts_named_one_at_a_time_are_settled_in_six_calls(hubspot, stub):
    users = [f"u{number}" for number in range(100)]
    taken = {user: record(f"5{number}", email=f"{user}@example.no") for number, user in enumerate(users) if number % 2}
    stub.says(Holding(taken))
    outcomes = by_ref(hubspot.upsert(KEY, rows(*users), []))
    assert {ref: one.error.record_id for ref, one in outcomes.items() if one.error} == {
        f"r-{user}": held["id"] for user, held in taken.items()
    }
    assert len(stub.calls) <= 6


def test_conflicts_that_come_to_light_one_by_one_are_not_followed_for_ever(hubspot, stub):
    """Additional addresses, which a read by email does not find, each named only once the one before is out of the way."""
    users = [f"u{number}" for number in range(20)]
    held = {user: record(f"5{user[1:]}", email="x@x.no", hs_additional_emails=f"{user}@example.no") for user in users}

    def answer(call: Call) -> Say:
        if call.body["inputs"][0].keys() == {"id"}:
            return results(*(one for one in held.values() if one["id"] in call.ids))
        return Say(409, conflict(held[call.ids[0]]["id"]))

    stub.says(answer)
    outcomes = hubspot.upsert(KEY, rows(*users), [])
    assert [one.error.record_id for one in outcomes] == ["50", "51", "52", *[None] * 17]
    assert len(stub.calls) <= 8


def test_a_contact_does_not_conflict_with_itself(hubspot, stub):
    """Row a updates the contact that already carries both its user id and its email; only b is in the way."""
    own = record("400", email="a@example.no", **{KEY: "a"})
    holding = Holding({"b": record("500", email="b@example.no")}, names=False)
    stub.says(lambda call: results(own, *holding.holders.values()) if call.path.endswith("read") else holding(call))
    outcomes = by_ref(hubspot.upsert(KEY, rows("a", "b"), []))
    assert outcomes["r-a"].contact
    assert outcomes["r-b"].error.record_id == "500"


def test_a_conflict_that_cannot_be_explained_names_no_contact_and_is_not_halved(hubspot, stub):
    def answer(call: Call) -> Say:
        return results() if call.path.endswith("/batch/read") else Say(409, error("CONFLICT"))

    stub.says(answer)
    outcomes = hubspot.upsert(KEY, rows(*"abcdefgh"), [])
    assert {type(one.error) for one in outcomes} == {Exists}
    assert {one.error.record_id for one in outcomes} == {None}
    assert len(stub.calls) == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Say(400, error("VALIDATION_ERROR")), Exists, id="it refuses to look"),
        pytest.param(Say(503, error("INTERNAL_ERROR")), Unavailable, id="it cannot look"),
    ],
)
def test_a_conflict_whose_holders_cannot_be_read(hubspot, stub, answer, expected):
    stub.says(lambda call: answer if call.path.endswith("/batch/read") else Say(409, conflict("500")))
    assert {type(one.error) for one in hubspot.upsert(KEY, rows("a", "b"), [])} == {expected}


def test_an_update_to_an_address_that_is_taken(hubspot, stub):
    def answer(call: Call) -> Say:
        if call.path.endswith("/batch/read"):
            return results(record("500", email="taken@example.no"))
        if any(one["properties"]["email"] == "taken@example.no" for one in call.body["inputs"]):
            return Say(409, conflict("500"))
        return results(*accept(call))

    stub.says(answer)
    free, taken = hubspot.update([Write("x", "1", {"email": "free@x.no"}), Write("y", "2", {"email": "taken@example.no"})], [])
    assert free.contact
    assert taken.error.record_id == "500"
