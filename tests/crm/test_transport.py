"""One call: what each failure becomes, how long it is retried, what must never leak, and who holds which connection."""

import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from connector.crm.hubspot import limits
from connector.crm.hubspot.driver import HubSpot
from connector.crm.hubspot.limits import BURST, SEARCH, Budget, Limiter, MemoryLog
from connector.errors import ConnectorError, Missing, Paused, Rejected, Unavailable
from tests.crm.conftest import PORTAL, TOKEN, Say, error, record, results
from tests.crm.processes import CLEAN, FORK

LIMIT = {"status": "error", "errorType": "RATE_LIMIT", "message": "Has alcanzado tu límite."}
BUDGET = Budget(100, 10)


def raised(call, *args) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        call(*args)
    return caught.value


def test_a_server_error_that_passes_is_not_noticed(hubspot, stub):
    stub.says(Say(502, b"<html>Bad gateway</html>"), Say(500, error("INTERNAL_ERROR")), results(record("1", email="a@b.no")))
    assert hubspot.read(["1"], ["email"])["1"].properties == {"email": "a@b.no"}
    assert len(stub.calls) == 3


def test_a_server_error_that_stays_is_unavailable_after_three_sends(hubspot, stub):
    stub.says(Say(503, error("INTERNAL_ERROR")))
    assert isinstance(raised(hubspot.read, ["1"], []), Unavailable)
    assert len(stub.calls) == 3


def test_retry_after_of_a_server_error_is_passed_on(hubspot, stub, clock):
    """A GET too, which the client's own retries would sleep through."""
    stub.says(Say(503, error("INTERNAL_ERROR"), {"Retry-After": "45"}))
    for call in (lambda: hubspot.read(["1"], []), hubspot.properties):
        problem = raised(call)
        assert (type(problem), problem.retry_in, clock.naps) == (Unavailable, 45, [])
    assert len(stub.calls) == 2


def test_nobody_listening_is_unavailable(stub, limiter, clock):
    hubspot = HubSpot("http://127.0.0.1:9", TOKEN, PORTAL, limiter, None, sleep=clock.sleep, clock=clock)
    for problem in (raised(hubspot.read, ["1"], []), raised(hubspot.portal_id)):
        assert isinstance(problem, Unavailable)
        assert str(problem) == (
            "hubspot: http://127.0.0.1:9 cannot be reached (connection refused): look at crm.base_url and the network"
        )


def test_a_server_without_tls_is_unavailable(stub, base_url, limiter, clock):
    hubspot = HubSpot(base_url.replace("http:", "https:"), TOKEN, PORTAL, limiter, None, sleep=clock.sleep, clock=clock)
    for problem in (raised(hubspot.read, ["1"], []), raised(hubspot.portal_id)):
        assert isinstance(problem, Unavailable)
        assert " cannot be reached (TLS: the two do not agree on a connection): look at crm.base_url" in str(problem)


def test_the_environments_proxy_is_used_for_every_call(stub, base_url, limiter, monkeypatch):
    monkeypatch.setenv("http_proxy", base_url)
    hubspot = HubSpot("http://api.hubapi.invalid", TOKEN, PORTAL, limiter, None)
    stub.says(Say(200, {"results": [record("1")], "portalId": PORTAL}))
    assert list(hubspot.read(["1"], [])) == ["1"]
    assert hubspot.portal_id() == PORTAL


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Say(200, b"<html>maintenance</html>"), id="HTML"),
        pytest.param(Say(200, b'{"results": [{"id"', cut=100), id="cut"),
        pytest.param(Say(200, b""), id="empty"),
        pytest.param(Say(200, []), id="a list"),
        pytest.param(Say(200, {}), id="without results"),
        pytest.param(Say(302, b"", {"Location": "/login"}), id="redirect"),
        pytest.param(Say(404, b"<html>no route</html>"), id="a 404 of something in between"),
        pytest.param(Say(400, b"\xff\xfe garbage"), id="not text"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_unknown_outcome(hubspot, stub, answer):
    stub.says(answer)
    assert isinstance(raised(hubspot.read, ["1"], []), Unavailable)


def test_a_dripping_answer_is_given_up(stub, base_url, limiter):
    stub.says(Say(200, b'{"results": []}' + b" " * 400, drip=0.05))
    hubspot = HubSpot(base_url, TOKEN, PORTAL, limiter, None, deadline=0.6)
    started = time.monotonic()
    assert isinstance(raised(hubspot.read, ["1"], []), Unavailable)
    assert isinstance(raised(hubspot.portal_id), Unavailable)
    assert time.monotonic() - started < 3


def test_dripping_headers_are_given_up(limiter):
    listening = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        try:
            while True:
                peer, _ = listening.accept()
                for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 500:
                    peer.send(bytes([byte]))
                    time.sleep(0.05)
        except OSError:
            return

    threading.Thread(target=drip, daemon=True).start()
    hubspot = HubSpot(f"http://127.0.0.1:{listening.getsockname()[1]}", TOKEN, PORTAL, limiter, None, deadline=0.6)
    started = time.monotonic()
    assert isinstance(raised(hubspot.read, ["1"], []), Unavailable)
    assert time.monotonic() - started < 2
    listening.close()


def test_a_burst_limit_is_waited_for_inside_the_call(hubspot, stub, clock):
    stub.says(Say(429, {**LIMIT, "policyName": "TEN_SECONDLY_ROLLING"}), results(record("1")))
    assert list(hubspot.read(["1"], [])) == ["1"]
    assert clock.naps == [pytest.approx(10)]


@pytest.mark.parametrize(("told", "waited"), [("3", 3), ("86400", 60)])
def test_a_burst_limit_honours_retry_after_but_not_for_ever(stub, base_url, limiter, clock, told, waited):
    hubspot = HubSpot(base_url, TOKEN, PORTAL, limiter, None, deadline=100, sleep=clock.sleep, clock=clock)
    stub.says(Say(429, {**LIMIT, "policyName": "TEN_SECONDLY_ROLLING"}, {"Retry-After": told}), results(record("1")))
    hubspot.read(["1"], [])
    assert clock.naps == [pytest.approx(waited)]


def test_a_search_limit_costs_a_second_and_closes_searches_only(hubspot, stub, clock, limiter):
    stub.says(Say(429, {**LIMIT, "policyName": "SECONDLY"}), results())
    assert list(hubspot.changed_since(datetime(2026, 11, 24, tzinfo=UTC), [])) == [[]]
    assert clock.naps == [pytest.approx(1)]
    limiter.close(SEARCH, 5)
    assert (limiter.acquire(SEARCH), limiter.acquire(BURST)) == (pytest.approx(5), 0)


def test_a_burst_limit_that_stays_pauses(hubspot, stub):
    stub.says(Say(429, {**LIMIT, "policyName": "TEN_SECONDLY_ROLLING"}))
    problem = raised(hubspot.read, ["1"], [])
    assert (type(problem).__mro__[1], problem.retry_in) == (Paused, 10)
    assert len(stub.calls) == 3  # 0, 10 and 20 s; the next would be at the deadline


def test_the_daily_limit_pauses_at_once_and_closes_both_budgets(hubspot, stub, limiter):
    stub.says(Say(429, {**LIMIT, "policyName": "DAILY"}))
    problem = raised(hubspot.read, ["1"], [])
    assert (type(problem), problem.retry_in, len(stub.calls)) == (Paused, 3600, 1)
    assert limiter.acquire(BURST) == limiter.acquire(SEARCH) == pytest.approx(3600)
    assert str(problem).endswith(": 429 daily limit reached; it is lifted at midnight in the account's time zone")


def test_when_the_daily_limit_is_lifted_is_told_where_hubspot_says_so(hubspot, stub):
    stub.says(Say(429, {**LIMIT, "policyName": "DAILY"}, {"retry-after": "7260"}))
    problem = raised(hubspot.read, ["1"], [])
    assert (problem.retry_in, str(problem).endswith(": 429 daily limit reached; it is lifted in 121 min")) == (3600, True)


def test_while_a_budget_is_closed_nothing_is_sent(hubspot, stub, limiter):
    limiter.close(BURST, 600)
    problem = raised(hubspot.read, ["1"], [])
    assert (type(problem), problem.retry_in, stub.calls) == (Paused, pytest.approx(600), [])
    at = datetime.now(UTC) + timedelta(minutes=10)
    times = [f"{one:%H:%M}" for one in (at - timedelta(minutes=1), at)]
    assert str(problem) in [
        f"hubspot: contacts: read: no calls left for now; HubSpot is asked again at {one} UTC" for one in times
    ]


def test_a_429_slows_everybody_who_shares_the_limiter(stub, base_url, clock, limiter):
    stub.says(Say(429, {**LIMIT, "policyName": "TEN_SECONDLY_ROLLING"}), results(record("1")))
    one, other = (HubSpot(base_url, TOKEN, PORTAL, limiter, None, sleep=clock.sleep, clock=clock) for _ in range(2))
    raised_at_once = HubSpot(base_url, TOKEN, PORTAL, limiter, None, deadline=1, sleep=clock.sleep, clock=clock)
    assert isinstance(raised(raised_at_once.read, ["1"], []), Paused)
    one.read(["1"], [])
    other.read(["1"], [])
    assert clock.now >= 1010
    assert len(stub.calls) == 3


def test_an_empty_remaining_budget_makes_the_next_call_wait(hubspot, stub, clock):
    stub.says(Say(200, {"results": [record("1")]}, {"X-HubSpot-RateLimit-Remaining": "0"}), results(record("1")))
    hubspot.read(["1"], [])
    assert clock.naps == []
    hubspot.read(["1"], [])
    assert clock.naps == [pytest.approx(1)]


def test_a_locked_portal_is_given_two_seconds(hubspot, stub, clock):
    stub.says(Say(423, error("LOCKED")), results(record("1")))
    hubspot.read(["1"], [])
    assert clock.naps == [pytest.approx(2)]


def test_a_portal_that_moves_pauses_for_as_long_as_it_says(hubspot, stub, limiter):
    stub.says(Say(477, error("MIGRATION_IN_PROGRESS"), {"Retry-After": "7200"}))
    problem = raised(hubspot.read, ["1"], [])
    assert (type(problem), problem.retry_in, len(stub.calls)) == (Paused, 7200, 1)
    assert limiter.acquire(BURST) == pytest.approx(limits.LONGEST)  # somebody asks again within the hour


def test_refused_credentials_pause(hubspot, stub):
    stub.says(Say(401, error("INVALID_AUTHENTICATION", f"The token {TOKEN} is expired")))
    problem = raised(hubspot.read, ["1"], [])
    assert (type(problem), problem.retry_in, len(stub.calls)) == (Paused, 60, 1)
    assert "credentials refused" in str(problem)


@pytest.mark.parametrize("key", ["missingScopes", "requiredGranularScopes"])
def test_a_missing_scope_is_named(hubspot, stub, key):
    body = error("MISSING_SCOPES") | {"errors": [{"message": "…", "context": {key: ["crm.objects.contacts.write"]}}]}
    stub.says(Say(403, body))
    problem = raised(hubspot.read, ["1"], [])
    assert (type(problem), problem.retry_in) == (Paused, 60)
    assert str(problem).endswith("403 missing scopes: crm.objects.contacts.write; add them to the app")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(Say(403, error("MISSING_SCOPES")), "403 missing scopes: not named; compare the app's with ", id="scopes"),
        pytest.param(Say(503, b"busy"), "503; try again later, and look at status.hubspot.com", id="trouble"),
        pytest.param(Say(200, b"<html>"), "200 with an unreadable body; look at crm.base_url and what is in between", id="HTML"),
        pytest.param(Say(200, {}), "200 without results; look at crm.base_url and what is in between", id="no results"),
        pytest.param(Say(404, b"<html>"), "404; look at crm.base_url and what is in between", id="a stranger"),
    ],
)
def test_what_to_do_is_told(hubspot, stub, answer, told):
    stub.says(answer)
    assert f"hubspot: contacts: read: {told}" in str(raised(hubspot.read, ["1"], []))


def test_a_read_that_hubspot_refuses_is_rejected_without_retry(hubspot, stub):
    stub.says(Say(400, error("VALIDATION_ERROR")))
    assert isinstance(raised(hubspot.read, ["1"], []), Rejected)
    assert len(stub.calls) == 1


def test_nothing_personal_leaves_in_errors_or_logs(hubspot, stub, caplog):
    """Not the token, not an address, not a value: neither in messages nor in chained exceptions, whatever the log level."""
    caplog.set_level(logging.DEBUG)
    secret = "kari.nordmann@example.no"
    bodies = [
        Say(400, error("VALIDATION_ERROR", f'Property values were not valid: [{{"name": "{secret}", "message": "{secret}"}}]')),
        Say(403, error("MISSING_SCOPES", secret, missingScopes=[secret])),
        Say(429, {**LIMIT, "policyName": secret, "message": secret}, {"Retry-After": "600"}),
        Say(500, error(secret, secret)),
        Say(401, error(secret, f"{secret} {TOKEN}")),
        Say(200, f'"{secret}"'.encode()),
    ]
    with structlog.testing.capture_logs() as logs:
        for body in bodies:
            stub.answers.clear()
            stub.says(body)
            told: BaseException | None = raised(hubspot.find, "email", [secret], ["firstname"])
            while told:
                assert secret not in str(told)
                assert TOKEN not in str(told)
                told = told.__cause__ or told.__context__
    for text in [*(entry.getMessage() for entry in caplog.records), *map(str, logs)]:
        assert secret not in text
        assert TOKEN not in text


def test_the_client_does_not_log_bodies_even_when_everything_is_debug(hubspot, stub, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "hubspot")
    stub.says(results(record("1", email="kari@example.no")))
    hubspot.read(["1"], ["email"])
    assert logging.getLogger("hubspot").level == logging.WARNING
    assert not [entry for entry in caplog.records if entry.name.startswith("hubspot")]


def test_every_send_counts_as_a_call(hubspot, stub):
    stub.says(Say(500, error("INTERNAL_ERROR")), results(record("1")))
    hubspot.read(["1"], [])
    assert hubspot.calls == len(stub.calls) == 2


def test_connections_are_kept(hubspot, stub):
    stub.says(results(record("1")))
    for _ in range(20):
        hubspot.read(["1"], [])
    assert stub.connections == 1


def test_threads_share_one_driver(hubspot, stub):
    stub.says(results(record("1")))
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.extend(len(hubspot.read(["1"], [])) for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 160


def _cross_a_fork(base_url: str, answers) -> None:
    hubspot = HubSpot(base_url, TOKEN, PORTAL, Limiter(MemoryLog(), {BURST: BUDGET, SEARCH: BUDGET}), None)

    def read() -> None:
        answers.put(list(hubspot.read(["1"], [])))

    hubspot.read(["1"], [])
    children = [FORK.Process(target=read) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    read()


def test_a_driver_that_was_used_crosses_a_fork_with_connections_of_its_own(stub, base_url):
    stub.says(results(record("1")))
    answers = CLEAN.Queue()
    parent = CLEAN.Process(target=_cross_a_fork, args=(base_url, answers))
    parent.start()
    assert [answers.get(timeout=60) for _ in range(3)] == [["1"]] * 3
    parent.join()
    assert stub.connections == 3


def test_a_call_that_has_to_wait_beyond_its_deadline_is_paused_not_slept(stub, base_url, clock):
    limiter = Limiter(MemoryLog(clock), {BURST: Budget(1, 60), SEARCH: Budget(1, 1)}, clock)
    hubspot = HubSpot(base_url, TOKEN, PORTAL, limiter, None, sleep=clock.sleep, clock=clock)
    stub.says(results(record("1")))
    hubspot.read(["1"], [])
    assert raised(hubspot.read, ["1"], []).retry_in == pytest.approx(60)
    assert clock.naps == []


def test_calls_carry_the_bearer_token_and_accept_compression(hubspot, stub):
    stub.says(results(record("1")))
    hubspot.read(["1"], [])
    assert stub.calls[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "gzip" in stub.calls[0].headers["accept-encoding"]


def test_a_dated_api_version_moves_every_path(stub, base_url, limiter, clock):
    hubspot = HubSpot(base_url, TOKEN, PORTAL, limiter, None, version="2026-09", sleep=clock.sleep, clock=clock)
    stub.says(Say(200, {"portalId": PORTAL, "results": [record("1")], "id": "1"}))
    hubspot.portal_id()
    hubspot.read(["1"], [])
    hubspot.create_group("connector", "Connector")
    assert [call.path for call in stub.calls] == [
        "/account-info/2026-09/details",
        "/crm/objects/2026-09/contacts/batch/read",
        "/crm/properties/2026-09/contacts/groups",
    ]


def test_a_missing_contact_is_told_apart_from_a_missing_route(hubspot, stub):
    stub.says(results(), Say(404, error("OBJECT_NOT_FOUND")))
    assert hubspot.read(["1"], []) == {}
    assert isinstance(raised(hubspot.create_group, "g", "G"), Missing)
