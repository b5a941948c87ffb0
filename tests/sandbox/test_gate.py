"""Tokens, scopes, limits, faults and counting: what happens before and around a call."""

import threading
import time

import pytest
import requests

from connector.sandbox.faults import Answer
from tests.sandbox.conftest import CONTACTS, Api, row


def test_without_the_token_nothing_is_told(portal, url):
    for token in (None, "wrong"):
        reply = Api(url, token)("GET", CONTACTS)
        assert reply.status_code == 401
        assert reply.json()["category"] == "INVALID_AUTHENTICATION"


def test_a_missing_scope_is_named(api, portal):
    portal.scopes.discard("crm.objects.contacts.write")
    assert api("GET", "").status_code == 200
    reply = api("POST", "", {"properties": {"firstname": "Ada"}})
    assert reply.status_code == 403
    assert reply.json()["category"] == "MISSING_SCOPES"
    assert reply.json()["errors"][0]["context"]["requiredGranularScopes"] == ["crm.objects.contacts.write"]


def test_the_burst_limit_rolls_over_ten_seconds(api, portal, clock):
    portal.faults.burst_limit = 5
    statuses = [api("GET", "").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    clock.forward(9)
    assert api("GET", "").status_code == 429
    clock.forward(1.5)
    assert api("GET", "").status_code == 200


def test_a_429_says_which_limit_it_was(api, portal):
    portal.faults.burst_limit = 1
    first, second = api("GET", ""), api("GET", "")
    assert first.headers["X-HubSpot-RateLimit-Max"] == "1"
    assert first.headers["X-HubSpot-RateLimit-Remaining"] == "0"
    assert first.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert second.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert second.json()["errorType"] == "RATE_LIMIT"


def test_searches_have_a_limit_of_their_own(api, portal, clock):
    portal.faults.burst_limit = 1
    replies = [api("POST", "search", {}) for _ in range(6)]
    assert [one.status_code for one in replies] == [200] * 5 + [429]
    assert replies[5].json()["policyName"] == "SECONDLY"
    assert not [name for name in replies[0].headers if "ratelimit" in name.lower()]
    clock.forward(1.1)
    assert api("POST", "search", {}).status_code == 200


def test_the_daily_limit_is_another_answer(api, portal):
    portal.faults.daily_limit = 1
    api("GET", "")
    assert api("GET", "").json()["policyName"] == "DAILY"


def test_limits_can_be_switched_off(api, portal):
    portal.faults.burst_limit = portal.faults.search_limit = portal.faults.daily_limit = 0
    assert {api("GET", "").status_code for _ in range(200)} == {200}
    assert "X-HubSpot-RateLimit-Max" not in api("GET", "").headers


def test_a_queued_answer_takes_the_place_of_the_real_one_once(api, portal):
    portal.faults.status_queue.append(Answer(503, {"status": "error"}, {"Retry-After": "1"}))
    reply = api("POST", "", {"properties": {"firstname": "Ada"}})
    assert (reply.status_code, reply.json(), reply.headers["Retry-After"]) == (503, {"status": "error"}, "1")
    assert portal.contacts() == []
    assert api("GET", "").status_code == 200


def test_an_answer_after_the_write_leaves_its_outcome_unknown(api, portal):
    portal.faults.status_queue.append(Answer(502, after=True))
    assert api("POST", "", {"properties": {"firstname": "Ada"}}).status_code == 502
    assert len(portal.contacts()) == 1


def test_a_queued_answer_waits_for_its_path_and_method(api, portal):
    portal.faults.status_queue.append(Answer(500, prefix=f"{CONTACTS}/batch", method="POST"))
    assert api("GET", "").status_code == 200
    assert api("POST", "batch/read", {"inputs": [{"id": "1"}]}).status_code == 500


def test_a_real_answer_can_be_delayed(api, portal):
    portal.faults.status_queue.append(Answer(delay=0.1))
    reply = api("GET", "")
    assert reply.status_code == 200
    assert reply.elapsed.total_seconds() > 0.1


def test_a_delayed_call_holds_up_no_other(api, portal, url):
    portal.faults.delay = 0.1
    started = time.monotonic()
    threads = [threading.Thread(target=Api(url), args=("GET", CONTACTS)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.1 < time.monotonic() - started < 0.4


def test_a_silent_no_op_is_answered_like_a_success(api, portal):
    contact = portal.create({"firstname": "Ada", "city": "Oslo"})
    portal.faults.silent_noop = {"city"}
    reply = api("PATCH", contact, {"properties": {"city": "Bergen"}})
    assert (reply.status_code, reply.json()["properties"]["city"]) == (200, "Oslo")


def test_a_value_may_be_kept_in_another_form(api, portal):
    portal.faults.normalise = {"firstname": "title", "phone": "digits"}
    told = api("POST", "", {"properties": {"firstname": "ada", "phone": "+34 600"}}).json()["properties"]
    assert (told["firstname"], told["phone"]) == ("Ada", "34600")


def test_a_2xx_may_list_no_results(api, portal):
    portal.faults.results_empty = True
    reply = api("POST", "batch/upsert", {"inputs": [row("a@example.com", {"city": "Oslo"}, "email")]})
    assert (reply.status_code, reply.json()["results"]) == (200, [])
    assert portal.contact("a@example.com")["properties"]["city"] == "Oslo"


def test_a_read_may_find_nothing_without_an_error(api, portal):
    contact = portal.create({"firstname": "Ada"})
    portal.faults.reads_empty = True
    reply = api("POST", "batch/read", {"inputs": [{"id": contact}]})
    assert (reply.status_code, reply.json()["results"]) == (200, [])
    assert "errors" not in reply.json()


def test_calls_are_counted_by_path_template(api, portal):
    contact = portal.create({"firstname": "Ada"})
    api("GET", contact)
    api("PATCH", contact, {"properties": {"city": "Oslo"}})
    api("PATCH", "1", {"properties": {"city": "Oslo"}})
    api("POST", "batch/read", {"inputs": [{"id": contact}]})
    api("POST", "search", {})
    assert [(one.method, one.path.removeprefix(CONTACTS), one.status) for one in portal.calls] == [
        ("GET", "/{id}", 200), ("PATCH", "/{id}", 200), ("PATCH", "/{id}", 404), ("POST", "/batch/read", 200),
        ("POST", "/search", 200),
    ]  # fmt: skip
    assert (portal.count(), portal.count(writes_only=True), portal.count(f"{CONTACTS}/batch")) == (5, 2, 1)


def test_refused_calls_are_counted_too(api, portal, url):
    portal.faults.burst_limit = 1
    for _ in range(2):
        api("GET", "")
    Api(url, "wrong")("GET", CONTACTS)
    assert sorted(one.status for one in portal.calls) == [200, 401, 429]


def test_faults_are_switched_over_http(api, portal):
    reply = api("PUT", "/sandbox/faults", {"search_lag": 5, "silent_noop": ["city"], "status_queue": [{"status": 500}]})
    assert reply.json()["silent_noop"] == ["city"]
    assert (portal.faults.search_lag, portal.faults.silent_noop) == (5, {"city"})
    assert api("GET", "").status_code == 500
    assert api("GET", "/sandbox/faults").json()["status_queue"] == []
    api("DELETE", "/sandbox/faults")
    assert portal.faults.search_lag == 0


@pytest.mark.parametrize(
    "body",
    [
        {"nope": 1},
        {"delay": "long"},
        {"trace_ids": 1},
        {"status_queue": [{"code": 1}]},
        {"normalise": 3},
        {"normalise": {"firstname": "sideways"}},
    ],
    ids=str,
)
def test_faults_that_do_not_exist_are_refused_as_a_whole(api, portal, body):
    reply = api("PUT", "/sandbox/faults", {"search_lag": 5, **body})
    assert reply.status_code == 400
    assert portal.faults.search_lag == 0


def test_hands_need_no_token_on_this_machine(portal, url):
    assert Api(url, None)("GET", "/sandbox/contacts").status_code == 200


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}], ids=str)
def test_hands_are_kept_from_other_peoples_pages(portal, url, headers):
    assert requests.get(f"{url}/sandbox/contacts", headers=headers, timeout=5).status_code == 403
    token = {"Authorization": "Bearer sandbox-token"}
    assert requests.get(f"{url}/sandbox/contacts", headers=headers | token, timeout=5).status_code == 200
