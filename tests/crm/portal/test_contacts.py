"""The driver against the sandbox portal: what a connector does all day, and what an unkind portal makes of it."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.crm.base import Crm, NewProperty, Write
from connector.crm.hubspot.driver import HubSpot
from connector.crm.hubspot.limits import BURST, SEARCH, Budget, Limiter, MemoryLog
from connector.engine.readings import CREATED, MERGED, created_at
from connector.errors import ConfigError, Exists, Missing, Paused, Rejected
from connector.sandbox.portal import Answer, Portal
from tests.crm.conftest import PORTAL, TOKEN, Clock
from tests.crm.portal.conftest import KEY

CONTACTS = "/crm/v3/objects/contacts"


def rows(count: int, **properties: str) -> list[Write]:
    return [Write(f"r{one}", f"u{one}", {"email": f"u{one}@example.com", **properties}) for one in range(count)]


def paths(portal: Portal) -> list[str]:
    return [f"{one.method} {one.path.removeprefix(CONTACTS)}" for one in portal.calls]


def test_the_driver_is_a_crm(hubspot):
    crm: Crm = hubspot
    assert crm.portal_id() == PORTAL


def test_a_hundred_new_users_cost_one_call_and_so_does_repeating_them(hubspot, portal):
    first = hubspot.upsert(KEY, rows(100, city="Oslo"), [])
    again = hubspot.upsert(KEY, rows(100, city="Bergen"), [])
    assert all(one.created for one in first)
    assert not any(one.created for one in again)
    assert [one.contact.id for one in first] == [one.contact.id for one in again]
    assert [one.contact.properties["city"] for one in again] == ["Bergen"] * 100
    assert all(one.contact.properties["email"] == f"u{number}@example.com" for number, one in enumerate(again))
    assert paths(portal) == ["POST /batch/upsert"] * 2


def test_a_hundred_changed_users_cost_two_calls(hubspot, portal):
    ids = [portal.create({"email": f"u{one}@example.com"}) for one in range(100)]
    found = hubspot.read(ids, ["email", "city", KEY])
    outcomes = hubspot.update([Write(one, one, {"city": "Oslo"}) for one in found], [])
    assert [one.contact.properties["city"] for one in outcomes] == ["Oslo"] * 100
    assert paths(portal) == ["POST /batch/read", "POST /batch/update"]


@pytest.mark.parametrize("localised", [False, True])
@pytest.mark.parametrize(
    ("trace_ids", "whole_batch", "most_calls"),
    [
        pytest.param(True, False, 1, id="named"),
        pytest.param(False, False, 3, id="not named"),
        pytest.param(True, True, 6, id="whole batch refused"),
    ],
)
def test_taken_emails_are_told_with_the_contact_that_has_them(hubspot, portal, trace_ids, whole_batch, most_calls, localised):
    """Of twenty users three have a contact by primary address, one by an additional one."""
    portal.faults.trace_ids, portal.faults.whole_batch, portal.faults.localised = trace_ids, whole_batch, localised
    taken = {f"r{one}": portal.create({"email": f"U{one}@Example.com"}) for one in (3, 7, 11)}
    taken["r15"] = portal.merge(portal.create({"email": "else@example.com"}), portal.create({"email": "u15@example.com"}))
    outcomes = hubspot.upsert(KEY, rows(20), [])
    refused = {one.ref: one.error for one in outcomes if one.error}
    assert all(isinstance(error, Exists) for error in refused.values())
    assert {ref: error.record_id for ref, error in refused.items()} == taken
    assert len(portal.contacts()) == 4 + 16
    assert len(portal.calls) <= most_calls


@pytest.mark.parametrize(
    ("trace_ids", "whole_batch", "most_calls"),
    [
        pytest.param(True, False, 1, id="named"),
        pytest.param(False, False, 1, id="one left"),
        pytest.param(True, True, 15, id="whole batch refused"),
    ],
)
def test_a_refused_value_fails_its_row_only(hubspot, portal, trace_ids, whole_batch, most_calls):
    portal.faults.trace_ids, portal.faults.whole_batch, portal.faults.localised = trace_ids, whole_batch, True
    batch = rows(100)
    batch[42] = Write("r42", "u42", {"email": "u42@intranet.local"})
    outcomes = hubspot.upsert(KEY, batch, [])
    refused = {one.ref: one.error.refused for one in outcomes if one.error}
    assert refused == {"r42": {"email": "email: HubSpot refuses the value (INVALID_EMAIL)"}}
    assert len(portal.contacts()) == 99
    assert len(portal.calls) <= most_calls


def test_several_refused_properties_are_all_named(hubspot, portal):
    outcome = hubspot.upsert(KEY, [Write("r", "u", {"interests": "sport;chess", "createdate": "2026-01-01", "shoe": "44"})], [])[
        0
    ]
    assert isinstance(outcome.error, Rejected)
    assert set(outcome.error.refused) == {"interests", "createdate", "shoe"}
    assert "chess" not in str(outcome.error.refused)


def test_updating_contacts_that_are_gone(hubspot, portal):
    ids = [portal.create({"email": f"u{one}@example.com"}) for one in range(4)]
    portal.delete(ids[1])
    outcomes = hubspot.update([Write(one, one, {"city": "Oslo"}) for one in [*ids, "999999"]], [])
    assert [type(one.error) for one in outcomes] == [type(None), Missing, type(None), type(None), Missing]
    assert len(portal.calls) == 1


def test_changing_an_email_to_one_that_is_taken(hubspot, portal):
    one, other = portal.create({"email": "one@example.com"}), portal.create({"email": "other@example.com"})
    outcome = hubspot.update([Write("x", one, {"email": "OTHER@example.com"})], [])[0]
    assert (type(outcome.error), outcome.error.record_id) == (Exists, other)


def test_two_rows_about_one_contact_do_not_stop_the_others(hubspot, portal):
    """The caller keeps them apart by id and email; HubSpot may know better, and then refuses the batch."""
    survivor = portal.merge(portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"}))
    batch = [Write("a", "a@example.com", {"city": "Oslo"}), Write("b", "b@example.com", {"city": "Bergen"})]
    outcomes = hubspot.upsert("email", [*batch, Write("c", "c@example.com", {"city": "Voss"})], [])
    assert {one.contact.id for one in outcomes if one.ref != "c"} == {survivor}
    assert outcomes[2].created


def test_a_2xx_that_lists_nothing_is_read_back(hubspot, portal):
    portal.faults.results_empty = True
    outcomes = hubspot.upsert(KEY, rows(10, city="Oslo"), ["firstname"])
    assert [one.contact.properties["city"] for one in outcomes] == ["Oslo"] * 10
    assert paths(portal) == ["POST /batch/upsert", "POST /batch/read"]
    ids = [one.contact.id for one in outcomes]
    assert all(one.contact for one in hubspot.update([Write(one, one, {"city": "Voss"}) for one in ids], []))


def test_a_property_that_is_accepted_and_not_stored_shows_in_the_outcome(hubspot, portal):
    portal.faults.silent_noop = {"city"}
    assert hubspot.upsert(KEY, rows(1, city="Oslo"), [])[0].contact.properties["city"] is None


def test_clearing_a_property(hubspot, portal):
    contact_id = portal.create({"email": "a@example.com", "city": "Oslo"})
    assert not hubspot.update([Write("x", contact_id, {"city": ""})], [])[0].contact.properties["city"]
    assert portal.contact(contact_id)["properties"].get("city") is None


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_write_that_happened_although_its_answer_was_lost_makes_no_second_contact(hubspot, portal, status):
    portal.faults.status_queue.append(Answer(status, "<html>", prefix=CONTACTS, after=True))
    outcomes = hubspot.upsert(KEY, rows(5), [])
    assert all(one.contact for one in outcomes)
    assert len(portal.contacts()) == 5


def test_contacts_merged_away_lead_to_the_survivor(hubspot, portal):
    first, second, third = (portal.create({"email": f"{one}@example.com"}) for one in "abc")
    middle = portal.merge(first, second)
    survivor = portal.merge(middle, third)
    found = hubspot.read([first, second, third, middle, survivor, "999999"], ["email"])
    assert {asked: one.id for asked, one in found.items()} == dict.fromkeys([first, second, third, middle, survivor], survivor)


def test_deleted_contacts_are_absent_and_restored_ones_are_back(hubspot, portal):
    one, other = portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"})
    portal.delete(one)
    assert list(hubspot.read([one, other], [])) == [other]
    portal.restore(one)
    assert list(hubspot.read([one, other], [])) == [one, other]


def test_a_batch_read_that_finds_nothing_does_not_make_contacts_gone(hubspot, portal):
    ids = [portal.create({"email": f"{one}@example.com"}) for one in "ab"]
    portal.faults.reads_empty = True
    with pytest.raises(Exception, match="leaves it out"):
        hubspot.read(ids, [])


def test_finding_by_any_address_in_any_case(hubspot, portal):
    primary = portal.create({"email": "kari@example.com", "city": "Oslo"})
    merged = portal.merge(portal.create({"email": "ola@example.com"}), portal.create({"email": "ola.old@example.com"}))
    asked = ["Kari@Example.com", "ola.old@example.com", "nobody@example.com"]
    found = hubspot.find("email", asked, ["city"])
    assert {value: [one.id for one in contacts] for value, contacts in found.items()} == {asked[0]: [primary], asked[1]: [merged]}
    assert found[asked[0]][0].properties == {"city": "Oslo"}


def test_a_hundred_unknown_emails_cost_a_read_and_two_searches(hubspot, portal):
    assert hubspot.find("email", [f"nobody.{one}@example.com" for one in range(100)], []) == {}
    assert paths(portal) == ["POST /batch/read", "POST /search", "POST /search"]


def test_finding_by_other_properties(hubspot, portal):
    one = portal.create({"email": "a@example.com", "phone": "+47 AB", KEY: "U-1"})
    two = portal.create({"email": "b@example.com", "phone": "+47 AB", KEY: "U-2"})
    portal.create({"email": "c@example.com", "phone": "+47 ab", KEY: "U-3"})
    assert {key: [found.id for found in some] for key, some in hubspot.find(KEY, ["U-2", "u-1"], []).items()} == {"U-2": [two]}
    assert [found.id for found in hubspot.find("phone", ["+47 AB"], [])["+47 AB"]] == [one, two]


def test_changes_since_a_moment(hubspot, portal, clock):
    old = portal.create({"email": "old@example.com"})
    clock.now += 60
    since = datetime.fromtimestamp(clock.now, UTC)
    ids = [portal.create({"email": f"u{one}@example.com"}) for one in range(450)]
    clock.now += 1
    portal.edit(ids[0], {"city": "Oslo"})
    found = [one for page in hubspot.changed_since(since, ["city"]) for one in page]
    assert [one.id for one in found] == [*ids[1:], ids[0]]
    assert found[-1].properties == {"city": "Oslo"}
    assert found[-1].updated_at == since + timedelta(seconds=1)
    assert old not in {one.id for one in found}


@pytest.mark.parametrize(("before", "apart"), [(0, 0.1), (0, 0), (1, 0)], ids=["one by one", "an import", "an import later"])
def test_a_listing_of_changes_leaves_nobody_out_while_others_change(hubspot, portal, clock, before, apart):
    """Whoever is written to moves to the end, and all behind move up."""
    since = datetime.fromtimestamp(clock.now - before, UTC)
    ids = []
    for one in range(650):
        ids.append(portal.create({"email": f"u{one}@example.com"}))
        clock.now += apart
    found = []
    for page in hubspot.changed_since(since, ["city"]):
        clock.now += 60
        hubspot.update([Write(one.id, one.id, {"city": "Oslo"}) for one in page[:10] if one.id not in found], [])
        found += [one.id for one in page]
    assert set(found) == set(ids)


def test_a_listing_of_changes_tells_when_contacts_were_made_and_which_are_merged(hubspot, portal, clock):
    since = datetime.fromtimestamp(clock.now, UTC)
    ids = [portal.create({"email": f"u{one}@example.com"}) for one in range(3)]
    clock.now += 60
    merged = portal.merge(ids[0], ids[1])
    found = {one.id: one for page in hubspot.changed_since(since, [CREATED, MERGED]) for one in page}
    assert {name: created_at(one) for name, one in found.items()} == {ids[2]: since, merged: since}
    assert [found[one].properties[MERGED] for one in (ids[2], merged)] == [None, ";".join(ids[:2])]


def test_an_index_that_lags_says_late_but_never_wrong(hubspot, portal, clock):
    contact_id = portal.create({"email": "a@example.com", "city": "Oslo"})
    since = datetime.fromtimestamp(clock.now, UTC)
    portal.faults.search_lag = 30
    clock.now += 40
    list(hubspot.changed_since(since, ["city"]))
    portal.edit(contact_id, {"city": "Bergen"})
    assert [one.properties["city"] for page in hubspot.changed_since(since, ["city"]) for one in page] == ["Bergen"]


def test_when_properties_changed(hubspot, portal, clock):
    start = datetime.fromtimestamp(clock.now, UTC)
    contact_id = portal.create({"email": "a@example.com", "city": "Oslo"})
    clock.now += 60
    portal.edit(contact_id, {"city": "Bergen"})
    times = hubspot.changed_at([contact_id], ["city", "email", "phone"])[contact_id]
    assert times == {"city": start + timedelta(minutes=1), "email": start}


def test_archiving_and_erasing(hubspot, portal):
    ids = [portal.create({"email": f"u{one}@example.com"}) for one in range(120)]
    portal.delete(ids[5])
    hubspot.archive([*ids[:110], "999999"])
    assert len(portal.contacts()) == 10
    assert portal.count(CONTACTS) == 2
    hubspot.erase(ids[119])
    hubspot.erase(ids[119])
    assert len(portal.contacts()) == 9


def test_within_its_budget_the_driver_is_never_told_to_slow_down(url, portal, clock):
    portal.faults.burst_limit = 20
    hubspot = driver(url, clock, Budget(20, 10.1))
    ids = [portal.create({"email": f"u{one}@example.com"}) for one in range(3)]
    for _ in range(100):
        hubspot.read(ids, [])
    assert 429 not in {one.status for one in portal.calls}
    assert sum(clock.naps) <= 5 * 10.1  # 100 calls in at most five windows: the budget is used


def test_a_budget_that_is_too_large_still_loses_nothing(url, portal, clock):
    portal.faults.burst_limit = 20
    hubspot = driver(url, clock, Budget(1000, 10.1))
    outcomes = [hubspot.upsert(KEY, rows(1, city=str(one)), [])[0] for one in range(60)]
    assert all(one.contact for one in outcomes)
    assert [one.status for one in portal.calls].count(429) <= 60 / 20


def test_somebody_else_using_up_the_budget_is_waited_for(url, portal, clock):
    portal.faults.burst_limit = 20
    driver(url, clock, Budget(20, 10.1)).read([str(one) for one in range(19)], [])
    hubspot = driver(url, clock, Budget(1000, 10.1))
    assert all(one.contact for one in hubspot.upsert(KEY, rows(3), []))


def test_the_daily_limit_pauses_until_tomorrow(hubspot, portal):
    portal.faults.daily_limit = 1
    hubspot.portal_id()
    with pytest.raises(Paused, match="daily limit") as caught:
        hubspot.read(["1"], [])
    assert caught.value.retry_in == 3600
    calls = len(portal.calls)
    with pytest.raises(Paused):
        hubspot.upsert(KEY, rows(1), [])
    assert len(portal.calls) == calls


def test_a_scope_that_was_taken_away_is_named(hubspot, portal):
    portal.scopes.discard("crm.objects.contacts.write")
    with pytest.raises(Paused, match=r"missing scopes: crm\.objects\.contacts\.write"):
        hubspot.upsert(KEY, rows(1), [])
    assert hubspot.find("email", ["a@example.com"], []) == {}


def test_the_portal_is_pinned(url, clock, limiter, hubspot):
    hubspot.check_portal()
    with pytest.raises(ConfigError, match=f"4712.*{PORTAL}"):
        HubSpot(url, TOKEN, 4712, limiter, None, sleep=clock.sleep, clock=clock).check_portal()


def test_making_what_the_portal_lacks(hubspot, portal):
    hubspot.create_group("connector", "Connector")
    hubspot.create_group("connector", "Connector")
    kinds = {"press": "Press", "consumer": "Consumer"}
    hubspot.create_property(NewProperty("shop_user_id", "Shop user", "string", "text", "connector", unique=True))
    hubspot.create_property(NewProperty("kinds", "Kinds", "enumeration", "checkbox", "connector", kinds))
    hubspot.create_property(NewProperty("communicable", "Communicable", "bool", "booleancheckbox", "connector"))
    definitions = hubspot.properties()
    assert definitions["shop_user_id"].unique
    assert definitions["kinds"].options == kinds
    assert definitions["communicable"].type == "bool"
    assert definitions["createdate"].read_only
    with pytest.raises(Exists):
        hubspot.create_property(NewProperty("kinds", "Kinds", "string", "text", "connector"))
    assert [one.contact.properties["kinds"] for one in hubspot.upsert("shop_user_id", rows(1, kinds="press"), [])] == ["press"]


def test_a_dated_api_version_does_the_same(url, portal, clock, limiter):
    hubspot = HubSpot(url, TOKEN, PORTAL, limiter, None, version="2026-09", sleep=clock.sleep, clock=clock)
    hubspot.check_portal()
    outcomes = hubspot.upsert(KEY, rows(2), [])
    assert list(hubspot.read([one.contact.id for one in outcomes], ["email"])) == [one.contact.id for one in outcomes]
    assert hubspot.properties()[KEY].unique
    assert not [one for one in portal.calls if "v3" in one.path]


def driver(url: str, clock: Clock, budget: Budget) -> HubSpot:
    limiter = Limiter(MemoryLog(clock), {BURST: budget, SEARCH: Budget(5, 1.1)}, clock)
    return HubSpot(url, TOKEN, PORTAL, limiter, None, sleep=clock.sleep, clock=clock)  # type: ignore[arg-type]
