"""Reading contacts: by id across merges, by value, page by page, by time of change; archiving and erasing."""

import operator
from datetime import UTC, datetime, timedelta

import pytest

from connector.crm.hubspot.limits import SEARCH
from connector.errors import Paused, Rejected, Unavailable
from tests.crm.conftest import Call, Say, error, record, results

SINCE = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
GONE = Say(404, error("OBJECT_NOT_FOUND"))


def reading(*found: dict, singles: dict[str, str] | None = None):
    """A portal with these contacts; `singles`: old id -> id a single read leads to."""

    def answer(call: Call) -> Say:
        if call.method == "GET":
            leads_to = (singles or {}).get(call.path.rsplit("/", 1)[1])
            return Say(200, record(leads_to)) if leads_to else GONE
        key = call.body.get("idProperty")
        return results(*(one for one in found if (one["properties"].get(key) if key else one["id"]) in call.ids))

    return answer


def test_contacts_come_by_the_id_asked_for_with_the_properties_asked_for(hubspot, stub):
    stub.says(reading(record("2", email="b@x.no", city=None), record("1", email="a@x.no", city="Oslo", extra="x")))
    found = hubspot.read(["1", "2", "1"], ["email", "city", "unknown"])
    assert list(found) == ["1", "2"]
    assert found["1"].properties == {"email": "a@x.no", "city": "Oslo", "unknown": None}
    assert found["2"].properties["city"] is None
    assert found["1"].updated_at == datetime(2026, 11, 24, 10, 0, 0, 123000, UTC)
    assert len(stub.calls) == 1


def test_250_ids_cost_three_calls(hubspot, stub):
    ids = [str(number) for number in range(250)]
    stub.says(lambda call: results(*map(record, call.ids)))
    assert list(hubspot.read(ids, [])) == ids
    assert [len(call.ids) for call in stub.calls] == [100, 100, 50]


def test_an_id_is_gone_only_when_a_read_of_its_own_says_so(hubspot, stub):
    stub.says(reading(record("1")))
    assert list(hubspot.read(["1", "2"], [])) == ["1"]
    assert stub.paths() == ["POST /batch/read", "GET /2"]


def test_a_batch_answered_404_is_checked_one_by_one(hubspot, stub):
    stub.says(lambda call: GONE)
    assert hubspot.read(["1", "2"], []) == {}
    assert stub.paths() == ["POST /batch/read", "GET /1", "GET /2"]


@pytest.mark.parametrize(
    "trace", [{"hs_merged_object_ids": "7;1"}, {"hs_calculated_merged_vids": "7:1700000000000;1:1700000000001"}]
)
def test_a_survivor_answers_for_the_ids_it_absorbed(hubspot, stub, trace):
    stub.says(lambda call: results(record("9", **trace)))
    found = hubspot.read(["1", "9"], [])
    assert {asked: contact.id for asked, contact in found.items()} == {"1": "9", "9": "9"}
    assert len(stub.calls) == 1


def test_an_answer_under_the_old_id_still_tells_the_new_one(hubspot, stub):
    stub.says(results({"id": "1", "properties": {"hs_object_id": "9"}}))
    assert {asked: one.id for asked, one in hubspot.read(["1", "9"], []).items()} == {"1": "9", "9": "9"}
    assert len(stub.calls) == 1


def test_a_merged_id_the_batch_leaves_out_is_followed_by_reading_it_alone(hubspot, stub):
    stub.says(reading(record("2"), record("9", city="Oslo"), singles={"1": "9"}))
    found = hubspot.read(["1", "2"], ["city"])
    assert (found["1"].id, found["1"].properties) == ("9", {"city": "Oslo"})
    assert stub.paths() == ["POST /batch/read", "GET /1", "POST /batch/read"]


def test_a_contact_that_exists_but_is_withheld_is_not_reported_gone(hubspot, stub):
    stub.says(reading(singles={"1": "1"}))
    with pytest.raises(Unavailable, match="contact 1"):
        hubspot.read(["1"], [])


def test_no_ids_no_calls(hubspot, stub):
    assert hubspot.read([], ["email"]) == {}
    assert hubspot.find("email", ["", " ", "no address"], []) == {}
    hubspot.archive([])
    assert stub.calls == []


def test_emails_are_found_in_any_case_and_keyed_as_asked(hubspot, stub):
    stub.says(reading(record("1", email="kari@x.no")))
    found = hubspot.find("email", ["Kari@X.no ", "kari@x.no"], ["city"])
    assert {asked: [one.id for one in contacts] for asked, contacts in found.items()} == {"Kari@X.no ": ["1"], "kari@x.no": ["1"]}
    assert found["kari@x.no"][0].properties == {"city": None}
    assert stub.calls[0].ids == ["kari@x.no"]
    assert len(stub.calls) == 1


@pytest.mark.parametrize("holds", [{"email": "info@strasse.de"}, {"email": "x@x.de", "hs_additional_emails": "info@strasse.de"}])
def test_a_domain_with_a_letter_of_its_own_is_another_one(hubspot, stub, holds):
    """Since IDNA 2008; whoever looks for one must not be given the contact of the other."""
    stub.says(lambda call: results(record("1", **holds)))
    assert hubspot.find("email", ["Info@Straße.de"], []) == {}
    assert stub.calls[0].ids == ["info@straße.de"]
    assert [one.id for one in hubspot.find("email", ["Info@Strasse.de"], [])["Info@Strasse.de"]] == ["1"]


def test_an_additional_address_that_the_batch_read_matches_needs_no_search(hubspot, stub):
    stub.says(results(record("1", email="new@x.no", hs_additional_emails="old@x.no;older@x.no")))
    assert [one.id for one in hubspot.find("email", ["old@x.no"], [])["old@x.no"]] == ["1"]
    assert stub.paths() == ["POST /batch/read"]


def test_other_additional_addresses_are_searched_for_and_read_from_the_store(hubspot, stub):
    stub.says(
        results(),
        results({"id": "1", "properties": {"hs_object_id": "1"}}),
        results(record("1", email="new@x.no", hs_additional_emails="Old@x.no", city="Oslo")),
    )
    found = hubspot.find("email", ["old@x.no", "nobody@x.no"], ["city"])
    assert {asked: [one.properties for one in contacts] for asked, contacts in found.items()} == {"old@x.no": [{"city": "Oslo"}]}
    assert stub.paths() == ["POST /batch/read", "POST /search", "POST /batch/read"]
    sent = stub.calls[1].body["filterGroups"][0]["filters"]
    assert sent == [{"propertyName": "hs_additional_emails", "operator": "IN", "values": ["old@x.no", "nobody@x.no"]}]


def test_a_search_stays_within_hubspots_3000_characters(hubspot, stub):
    stub.says(results())
    emails = [f"someone.with.a.rather.long.name.{number}@a-company-somewhere.example.no" for number in range(100)]
    assert hubspot.find("email", emails, []) == {}
    searches = [call for call in stub.calls if call.path.endswith("/search")]
    assert all(int(call.headers["content-length"]) <= 3000 for call in searches)
    assert [value for call in searches for value in call.body["filterGroups"][0]["filters"][0]["values"]] == emails


PROPERTIES = Say(
    200,
    {
        "results": [
            {"name": "user_id", "type": "string", "fieldType": "text", "hasUniqueValue": True},
            {"name": "phone", "type": "string", "fieldType": "text"},
            {"name": "kind", "type": "enumeration", "fieldType": "select"},
        ]
    },
)


def test_a_unique_property_is_read_by_batch(hubspot, stub):
    stub.says(PROPERTIES, results(record("1", user_id="A1")))
    assert [one.id for one in hubspot.find("user_id", ["A1", "a1"], [])["A1"]] == ["1"]
    assert stub.calls[1].body["idProperty"] == "user_id"
    hubspot.find("user_id", ["A1"], [])
    assert len(stub.calls) == 3  # the definitions are asked for once


@pytest.mark.parametrize(("key", "sent"), [("phone", ["+47AB", "+47ab"]), ("kind", ["+47AB"])])
def test_any_other_property_is_searched_and_compared_exactly(hubspot, stub, key, sent):
    index = [{"id": one, "properties": {"hs_object_id": one}} for one in "12"]
    stub.says(PROPERTIES, results(*index), results(record("1", **{key: "+47AB"}), record("2", **{key: "+47ab"})))
    found = hubspot.find(key, ["+47AB"], [])
    assert {asked: [one.id for one in contacts] for asked, contacts in found.items()} == {"+47AB": ["1"]}
    assert stub.calls[1].body["filterGroups"][0]["filters"][0]["values"] == sent


def test_a_property_the_portal_does_not_have_finds_nothing_silently_never(hubspot, stub):
    stub.says(PROPERTIES)
    with pytest.raises(Rejected, match="no property shoe"):
        hubspot.find("shoe", ["44"], [])


class Index:
    """A search index with so many contacts changed at each moment, and the store behind it."""

    def __init__(self, moments: dict[datetime, int]) -> None:
        self.held: list[tuple[int, int]] = []
        for moment, count in moments.items():
            self.held += [(int(moment.timestamp() * 1000), len(self.held) + one + 1) for one in range(count)]

    def __call__(self, call: Call) -> Say:
        if call.path.endswith("/batch/read"):
            return results(*(record(one, city="from the store") for one in call.ids))
        found = self.held
        for rule in call.body["filterGroups"][0]["filters"]:
            place = 0 if rule["propertyName"] == "lastmodifieddate" else 1
            compare = {"GTE": operator.ge, "EQ": operator.eq, "GT": operator.gt}[rule["operator"]]
            found = [one for one in found if compare(one[place], int(rule["value"]))]
        found = sorted(found, key=lambda one: one[0 if call.body["sorts"][0]["propertyName"] == "lastmodifieddate" else 1])
        start, size = int(call.body["after"]), call.body["limit"]
        if start + size > 10_000:
            return Say(400, error("VALIDATION_ERROR", "10000"))
        more = {"paging": {"next": {"after": str(start + size)}}} if start + size < len(found) else {}
        page = [(str(one), datetime.fromtimestamp(moment / 1000, UTC).isoformat()) for moment, one in found[start : start + size]]
        return Say(200, {"results": [record(one, lastmodifieddate=at) for one, at in page], **more})


def changed(hubspot, since: datetime = SINCE) -> list[str]:
    return [one.id for some in hubspot.changed_since(since, ["city"]) for one in some]


def test_changes_come_oldest_first_and_from_the_store(hubspot, stub):
    stub.says(Index({SINCE - timedelta(seconds=1): 1, SINCE: 1, SINCE + timedelta(seconds=1): 1}))
    found = [one for some in hubspot.changed_since(SINCE, ["city"]) for one in some]
    assert [(one.id, one.properties["city"]) for one in found] == [("2", "from the store"), ("3", "from the store")]
    assert stub.paths() == ["POST /search", "POST /batch/read"]


def test_changes_go_past_hubspots_10000_per_query(hubspot, stub):
    """Two contacts share each millisecond: each page begins with the last two of the one before it, and none is lost."""
    stub.says(Index({SINCE + timedelta(milliseconds=one): 2 for one in range(5_100)}))
    found = changed(hubspot)
    assert set(found) == {str(one + 1) for one in range(10_200)}
    assert len(found) == 10_200 + 51 * 2
    assert sum(call.path.endswith("/search") for call in stub.calls) == 52


def test_more_changes_in_one_millisecond_than_a_page_has(hubspot, stub):
    stub.says(Index({SINCE: 1, SINCE + timedelta(milliseconds=1): 1_250, SINCE + timedelta(milliseconds=2): 3}))
    assert set(changed(hubspot)) == {str(one + 1) for one in range(1_254)}
    assert sum(call.path.endswith("/search") for call in stub.calls) == 10


def test_a_search_that_does_not_advance_is_stopped(hubspot, stub):
    stuck = Say(200, {"results": [record("1")], "paging": {"next": {"after": "200"}}})
    stub.says(lambda call: stuck if call.path.endswith("/search") else results(record("1")))
    with pytest.raises(Rejected, match="does not end"):
        changed(hubspot)


def test_searches_count_against_their_own_budget(hubspot, stub, limiter):
    stub.says(results(record("1")))
    limiter.close(SEARCH, 600)
    assert list(hubspot.read(["1"], [])) == ["1"]
    with pytest.raises(Paused, match="no calls left"):
        changed(hubspot)


def test_when_a_property_changed_comes_from_its_history(hubspot, stub):
    history = {
        "city": [{"value": "Oslo", "timestamp": "2026-11-24T09:00:00.500Z"}, {"value": "", "timestamp": "2026-11-20T00:00:00Z"}],
        "phone": [],
    }
    stub.says(results(record("1") | {"propertiesWithHistory": history}))
    assert hubspot.changed_at(["1", "2"], ["city", "phone"]) == {"1": {"city": datetime(2026, 11, 24, 9, 0, 0, 500000, UTC)}}
    assert stub.calls[0].body["propertiesWithHistory"] == ["city", "phone"]


def test_history_is_read_fifty_at_a_time(hubspot, stub):
    stub.says(lambda call: results(*map(record, call.ids)))
    hubspot.changed_at([str(one) for one in range(120)], ["city"])
    assert [len(call.ids) for call in stub.calls] == [50, 50, 20]


def test_archiving_costs_a_call_per_hundred(hubspot, stub):
    stub.says(Say(204))
    hubspot.archive([str(one) for one in range(150)])
    assert [len(call.ids) for call in stub.calls] == [100, 50]


def test_archiving_somebody_who_is_gone_counts_as_done(hubspot, stub):
    def answer(call: Call) -> Say:
        return Say(204) if call.path.endswith("/1") else GONE

    stub.says(answer)
    hubspot.archive(["1", "2"])
    assert stub.paths() == ["POST /batch/archive", "DELETE /1", "DELETE /2"]


def test_erasing_goes_by_id_and_somebody_who_is_gone_counts_as_done(hubspot, stub):
    stub.says(Say(204), GONE)
    hubspot.erase("1")
    hubspot.erase("1")
    assert stub.calls[0].body == {"objectId": "1"}
    assert stub.paths() == ["POST /gdpr-delete"] * 2
