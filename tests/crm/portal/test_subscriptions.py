"""Subscriptions against the sandbox portal: by whichever way the portal allows, with one outcome per row."""

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from connector.crm.base import StatusWrite
from connector.crm.hubspot.driver import HubSpot
from connector.errors import Denied, Rejected, Stale, Unavailable
from connector.model import ConsentState, Statement
from connector.sandbox.portal import Answer, Portal
from tests.crm.conftest import PORTAL, TOKEN

NEWS, PRODUCT = "1001", "1002"
PREFERENCES = "/communication-preferences"
GRANTED, REVOKED, UNKNOWN = ConsentState
WAYS = ("batch", "single", "v3")
READ, READ_MANY = "communication_preferences.read_write", "communication_preferences.statuses.batch.read"


@pytest.fixture(params=WAYS)
def way(request, portal) -> str:
    """Each way in turn, on a portal that allows no better one."""
    allow(portal, request.param)
    return request.param


def allow(portal: Portal, way: str) -> None:
    portal.switch(batch_subscriptions=way == "batch", v4_subscriptions=way in ("batch", "single"))


def grant(ref: str, email: str, subscription: str = NEWS) -> StatusWrite:
    return StatusWrite(ref, email, subscription, True, "CONSENT_WITH_NOTICE", "Said so at the counter")


def revoke(ref: str, email: str, subscription: str = NEWS) -> StatusWrite:
    return StatusWrite(ref, email, subscription, False)


def paths(portal: Portal) -> list[str]:
    return [f"{one.method} {one.path.removeprefix(PREFERENCES)}" for one in portal.calls]


def states(portal: Portal, *emails: str) -> list[str]:
    return [portal.subscription(email, int(NEWS)) for email in emails]


def test_the_types_of_the_account(hubspot, portal, way):
    assert hubspot.subscription_types() == {NEWS: "Newsletter", PRODUCT: "Product news"}


def test_states_as_statements_with_their_time_and_source(hubspot, portal, clock):
    portal.subscribe("ann@x.no", NEWS)
    clock.now += 60
    portal.unsubscribe("ben@x.no", NEWS)
    first = datetime(2026, 11, 24, 10, tzinfo=UTC)
    found = hubspot.statuses(["ann@x.no", "ben@x.no"])
    source = "hubspot: Email preferences page"
    assert found["ann@x.no"][NEWS] == Statement(GRANTED, first, source)
    assert found["ben@x.no"][NEWS] == Statement(REVOKED, first + timedelta(minutes=1), source)
    assert found["ben@x.no"][PRODUCT] == Statement(UNKNOWN, None, "hubspot")
    assert paths(portal) == ["POST /v4/statuses/batch/read"]


def test_one_at_a_time_tells_the_same(hubspot, portal):
    portal.subscribe("ann+a@x.no", NEWS)
    portal.unsubscribe("ben@x.no", NEWS)
    batch = hubspot.statuses(["ann+a@x.no", "ben@x.no"])
    allow(portal, "single")
    assert hubspot.statuses(["ann+a@x.no", "ben@x.no"]) == batch


def test_v3_has_no_times_and_cannot_tell_no_from_never(hubspot, portal):
    allow(portal, "v3")
    portal.subscribe("ann@x.no", NEWS)
    portal.unsubscribe("ben@x.no", NEWS)
    portal.unsubscribe_all("cat@x.no")
    found = hubspot.statuses(["ann@x.no", "ben@x.no", "cat@x.no"])
    assert [found[one][NEWS].state for one in found] == [GRANTED, UNKNOWN, REVOKED]
    assert {found[one][NEWS].at for one in found} == {None}


def test_addresses_are_asked_for_in_lower_case_and_told_as_asked(hubspot, portal, way):
    portal.subscribe("ann@x.no", NEWS)
    found = hubspot.statuses([" Ann@X.no", "ann@x.no"])
    assert [found[one][NEWS].state for one in (" Ann@X.no", "ann@x.no")] == [GRANTED, GRANTED]
    assert hubspot.statuses([]) == {}


@pytest.mark.parametrize("bad", ["no address", "ann@nowhere@x.no"])
def test_what_is_no_address_has_no_states(hubspot, portal, way, bad):
    portal.subscribe("ann@x.no", NEWS)
    found = hubspot.statuses([bad, "ann@x.no"])
    assert found[bad] == {}
    assert found["ann@x.no"][NEWS].state == GRANTED
    assert hubspot.opted_out_of_all([bad]) in ({}, {bad: None})  # of whom it refuses to tell counts as opted out


def test_250_addresses_cost_three_calls(hubspot, portal):
    emails = [f"u{one}@x.no" for one in range(250)]
    assert list(hubspot.statuses(emails)) == emails
    assert hubspot.opted_out_of_all(emails) == {}
    assert len(portal.calls) == 6


def test_who_opted_out_of_everything(hubspot, portal, way):
    portal.unsubscribe_all("ann@x.no")
    portal.unsubscribe("ben@x.no", NEWS)
    assert hubspot.opted_out_of_all(["Ann@x.no", "ben@x.no", "cat@x.no"]).keys() == {"Ann@x.no"}


def test_statuses_are_set_either_way(hubspot, portal, way):
    outcomes = hubspot.write_statuses([grant("a", "Ann@x.no"), revoke("b", "ben@x.no")])
    assert [(one.ref, one.error) for one in outcomes] == [("a", None), ("b", None)]
    assert states(portal, "ann@x.no", "ben@x.no") == ["SUBSCRIBED", "UNSUBSCRIBED"]
    assert portal.subscriptions.state("ann@x.no", int(NEWS)).explanation == "Said so at the counter"


def test_setting_what_holds_already_is_fine(hubspot, portal, way):
    rows = [grant("a", "ann@x.no"), revoke("b", "ben@x.no")]
    hubspot.write_statuses(rows)
    assert [one.error for one in hubspot.write_statuses(rows)] == [None, None]


def test_a_hundred_and_fifty_statuses_cost_two_calls(hubspot, portal):
    outcomes = hubspot.write_statuses([grant(f"r{one}", f"u{one}@x.no") for one in range(150)])
    assert [one.ref for one in outcomes] == [f"r{one}" for one in range(150)]
    assert not any(one.error for one in outcomes)
    assert paths(portal) == ["POST /v4/statuses/batch/write"] * 2


@pytest.mark.parametrize("whole_batch", [False, True])
def test_a_refused_row_fails_alone_and_the_reason_names_nobody(hubspot, portal, way, whole_batch):
    portal.faults.whole_batch = whole_batch
    portal.switch(refuses_resubscription=True)
    portal.unsubscribe("ben@x.no", NEWS)
    rows = [grant("a", "ann@x.no"), grant("b", "ben@x.no"), revoke("c", "cat@x.no"), grant("d", "ann@x.no", "999")]
    told = hubspot.write_statuses(rows)
    assert {one.ref for one in told if one.out} == {"b"}
    outcomes = {one.ref: one.error for one in told}
    assert (outcomes["a"], outcomes["c"]) == (None, None)
    assert type(outcomes["b"]) is type(outcomes["d"]) is Rejected
    assert "the person opted out" in str(outcomes["b"])
    assert "VALIDATION_ERROR" in str(outcomes["d"])
    assert "x.no" not in f"{outcomes['b']}{outcomes['d']}"


def test_v4_brings_back_who_unsubscribed_and_v3_does_not(hubspot, portal):
    portal.unsubscribe("ann@x.no", NEWS)
    allow(portal, "v3")
    assert isinstance(hubspot.write_statuses([grant("a", "ann@x.no")])[0].error, Rejected)


@pytest.mark.parametrize("allowed", ["batch", "single"])
def test_v4_brings_back_who_unsubscribed(hubspot, portal, allowed):
    portal.unsubscribe("ann@x.no", NEWS)
    allow(portal, allowed)
    assert hubspot.write_statuses([grant("a", "ann@x.no")])[0].error is None
    assert states(portal, "ann@x.no") == ["SUBSCRIBED"]


def test_a_portal_that_wants_a_legal_basis(hubspot, portal, way):
    without = StatusWrite("a", "ann@x.no", NEWS, True)
    assert "legal_basis and explanation" in str(hubspot.write_statuses([without])[0].error)


def test_rows_that_cannot_be_sent_cost_no_call(hubspot, portal):
    outcomes = hubspot.write_statuses([grant("a", "nobody"), grant("b", "ann@x.no", "Newsletter")])
    assert [str(one.error) for one in outcomes] == ["not an email address", "not the id of a subscription type"]
    assert hubspot.write_statuses([]) == []
    assert not portal.calls


def test_the_same_wish_twice_goes_out_once(hubspot, portal, way):
    outcomes = hubspot.write_statuses([grant("a", "Ann@x.no"), grant("b", "ann@x.no"), grant("c", "ann@x.no", PRODUCT)])
    assert [(one.ref, one.error) for one in outcomes] == [("a", None), ("b", None), ("c", None)]
    assert len([one for one in portal.calls if one.write and one.status == 200]) == (1 if way == "batch" else 2)


def test_of_two_that_disagree_opting_out_wins(hubspot, portal, way):
    first, second = hubspot.write_statuses([grant("a", "Ann@x.no"), revoke("b", "ann@x.no")])
    assert "opting out wins" in str(first.error)
    assert second.error is None
    assert states(portal, "ann@x.no") == ["UNSUBSCRIBED"]


def test_an_accepted_write_that_tells_nothing_is_read_back(hubspot, portal):
    portal.faults.results_empty = True
    outcomes = hubspot.write_statuses([grant("a", "ann@x.no"), revoke("b", "ben@x.no")])
    assert [one.error for one in outcomes] == [None, None]
    assert paths(portal) == ["POST /v4/statuses/batch/write", "POST /v4/statuses/batch/read"]


def test_what_cannot_be_read_back_may_be_sent_again(hubspot, portal):
    portal.faults.results_empty = portal.faults.reads_empty = True
    assert isinstance(hubspot.write_statuses([grant("a", "ann@x.no")])[0].error, Unavailable)


def test_the_way_is_found_once_and_remembered(hubspot, portal):
    allow(portal, "v3")
    with structlog.testing.capture_logs() as logs:
        hubspot.statuses(["ann@x.no"])
        hubspot.statuses(["ann@x.no"])
    read = "GET /v3/status/email/{email}"
    assert paths(portal) == ["POST /v4/statuses/batch/read", "GET /v4/statuses/{email}", read, read]
    assert [one["way"] for one in logs] == ["batch", "single"]
    assert "ann" not in str(logs)


def test_reading_and_writing_find_their_own_way(hubspot, portal):
    portal.scopes.discard("communication_preferences.statuses.batch.write")
    hubspot.write_statuses([grant("a", "ann@x.no")])
    hubspot.statuses(["ann@x.no"])
    assert paths(portal) == ["POST /v4/statuses/batch/write", "POST /v4/statuses/{email}", "POST /v4/statuses/batch/read"]


def test_an_hour_later_a_better_way_is_looked_for(hubspot, portal, clock):
    allow(portal, "single")
    hubspot.statuses(["ann@x.no"])
    allow(portal, "batch")
    clock.now += 3599
    hubspot.statuses(["ann@x.no"])
    clock.now += 2
    hubspot.statuses(["ann@x.no"])
    assert paths(portal)[1:] == ["GET /v4/statuses/{email}", "GET /v4/statuses/{email}", "POST /v4/statuses/batch/read"]


def test_when_nothing_is_allowed_the_scope_and_the_way_out_are_named(hubspot, portal, clock):
    portal.scopes -= {READ, READ_MANY}
    asked = (
        lambda: hubspot.statuses(["ann@x.no"]),
        lambda: hubspot.opted_out_of_all(["ann@x.no"]),
        lambda: hubspot.write_statuses([grant("a", "ann@x.no")]),
        hubspot.subscription_types,
    )
    portal.scopes.discard("communication_preferences.statuses.batch.write")
    for ask in asked:
        with pytest.raises(Denied, match=r"missing scopes: communication_preferences\..* grant the token .*mapping") as caught:
            ask()
        assert caught.value.retry_in == 60
    calls = len(portal.calls)
    with pytest.raises(Denied):
        hubspot.statuses(["ann@x.no"])
    assert len(portal.calls) == calls
    portal.scopes.add(READ)
    clock.now += 61
    assert hubspot.statuses(["ann@x.no"])["ann@x.no"]


def test_before_each_call_it_is_asked_which_rows_may_still_go(hubspot, portal):
    allow(portal, "single")
    asked = []

    def still(refs):
        asked.append(list(refs))
        return set(refs) - {"b"} if len(refs) == 1 else set(refs)

    outcomes = hubspot.write_statuses([grant(one, f"{one}@x.no") for one in "abc"], still)
    assert asked == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert [type(one.error) for one in outcomes] == [type(None), Stale, type(None)]
    assert hubspot.statuses(["b@x.no"])["b@x.no"][NEWS].state == UNKNOWN


def test_a_failure_does_not_change_the_way(hubspot, portal):
    portal.faults.status_queue.extend([Answer(503, {"status": "error"}, prefix=PREFERENCES)] * 3)
    with pytest.raises(Unavailable):
        hubspot.statuses(["ann@x.no"])
    hubspot.statuses(["ann@x.no"])
    assert set(paths(portal)) == {"POST /v4/statuses/batch/read"}


@pytest.mark.parametrize("way_open", ["batch", "single"])
def test_the_time_of_a_change_and_whether_it_lifted_an_opt_out_are_told(hubspot, portal, clock, way_open):
    allow(portal, way_open)
    portal.unsubscribe("ben@x.no", NEWS)
    portal.subscribe("cy@x.no", NEWS)
    clock.now += 60
    grants = [grant("a", "ann@x.no"), grant("b", "ben@x.no"), grant("c", "cy@x.no")]
    found = hubspot.write_statuses([*grants, revoke("d", "dan@x.no")])
    now = datetime.fromtimestamp(clock.now, UTC)
    assert [(one.at, one.lifted) for one in found] == [(now, False), (now, True), (None, False), (now, False)]
    assert [one.lifted for one in hubspot.write_statuses([revoke("b", "ben@x.no")])] == [False]


@pytest.mark.parametrize(("way_open", "calls", "best"), [("batch", 2, 2), ("single", 3, 100)])
def test_as_many_addresses_go_into_one_read_as_are_configured(url, portal, clock, limiter, way_open, calls, best):
    """Where each address is a call there is no read of many, and nothing to configure."""
    allow(portal, way_open)
    hubspot = HubSpot(url, TOKEN, PORTAL, limiter, None, statuses_per_read=2, sleep=clock.sleep, clock=clock)
    hubspot.statuses(["first@x.no"])
    for ask in (hubspot.statuses, hubspot.opted_out_of_all):
        before = hubspot.calls
        ask(["ann@x.no", "ben@x.no", "cy@x.no"])
        assert hubspot.calls - before == calls
    assert hubspot.statuses_per_read == best


def test_a_dated_api_version_does_the_same(url, portal, clock, limiter):
    hubspot = HubSpot(url, TOKEN, PORTAL, limiter, None, version="2026-09", sleep=clock.sleep, clock=clock)
    assert hubspot.write_statuses([grant("a", "ann@x.no")])[0].error is None
    assert hubspot.statuses(["ann@x.no"])["ann@x.no"][NEWS].state == GRANTED
    assert hubspot.subscription_types()
    assert not [one for one in portal.calls if "/v" in one.path]
