"""Email subscriptions of many addresses, and what a portal may not let an app do."""

import pytest

from connector.sandbox.faults import Answer
from connector.sandbox.portal import Portal
from tests.sandbox.conftest import Api

ADA, BEA = "ada@example.com", "bea@example.com"
BASIS = {"legalBasis": "CONSENT_WITH_NOTICE", "legalBasisExplanation": "asked for it on the website"}
PREFIX = "/communication-preferences/v4"


@pytest.fixture
def v4(portal, url):
    return Api(url, base=PREFIX)


def written(email=ADA, status="SUBSCRIBED", subscription=1001, **more):
    row = {"subscriberIdString": email, "channel": "EMAIL", "subscriptionId": subscription, "statusState": status}
    return row | BASIS | more


def read(v4, *emails):
    return v4("POST", "statuses/batch/read?channel=EMAIL", {"inputs": list(emails)})


def test_many_addresses_are_read_at_once(v4, portal):
    portal.unsubscribe(ADA, 1001)
    told = {one["subscriberIdString"]: one["statuses"] for one in read(v4, "Ada@example.com", BEA, ADA).json()["results"]}
    assert sorted(told) == [ADA, BEA]
    assert {one["subscriptionId"]: one["status"] for one in told[ADA]} == {1001: "UNSUBSCRIBED", 1002: "NOT_SPECIFIED"}
    assert {one["status"] for one in told[BEA]} == {"NOT_SPECIFIED"}


def test_an_address_that_is_none_is_an_error_of_its_row(v4):
    reply = read(v4, ADA, "nobody")
    assert (reply.status_code, reply.json()["numErrors"], len(reply.json()["results"])) == (207, 1, 1)
    assert reply.json()["errors"][0]["context"] == {"subscriberIdString": ["nobody"]}


def test_many_states_are_written_at_once(v4, portal):
    portal.unsubscribe(BEA, 1001)
    reply = v4("POST", "statuses/batch/write", {"inputs": [written(), written(BEA), written(BEA, "UNSUBSCRIBED", 1002)]})
    told = {(one["subscriberIdString"], one["subscriptionId"]): one for one in reply.json()["results"]}
    assert (reply.status_code, reply.json()["status"]) == (200, "COMPLETE")
    assert {key: one["setStatusSuccessReason"] for key, one in told.items()} == {
        (ADA, 1001): "REQUESTED_CHANGE_OCCURRED", (BEA, 1001): "RESUBSCRIBE_OCCURRED",
        (BEA, 1002): "REQUESTED_CHANGE_OCCURRED",
    }  # fmt: skip
    assert [portal.subscription(BEA, one) for one in (1001, 1002)] == ["SUBSCRIBED", "UNSUBSCRIBED"]


def test_a_bad_row_leaves_the_others_alone(v4, portal):
    portal.unsubscribe_all(BEA)
    rows = [written(BEA), written(), written("cyd@example.com", legalBasis="BECAUSE")]
    reply = v4("POST", "statuses/batch/write", {"inputs": rows})
    assert (reply.status_code, reply.json()["numErrors"]) == (207, 2)
    assert [one["subscriberIdString"] for one in reply.json()["results"]] == [ADA]
    assert reply.json()["errors"][0]["context"] == {"subscriberIdString": [BEA], "subscriptionId": ["1001"]}


def test_opt_outs_of_all_are_read_at_once(v4, portal):
    portal.unsubscribe_all(ADA)
    reply = v4("POST", "statuses/batch/unsubscribe-all/read?channel=EMAIL", {"inputs": [ADA, BEA]})
    told = {one["subscriberIdString"]: one["wideStatuses"] for one in reply.json()["results"]}
    assert [one["wideStatusType"] for one in told[ADA]] == ["PORTAL_WIDE"]
    assert told[BEA] == []


def test_many_are_opted_out_of_all_at_once(v4, portal):
    reply = v4("POST", "statuses/batch/unsubscribe-all?channel=EMAIL&verbose=true", {"inputs": [ADA, BEA]})
    assert {one["subscriberIdString"] for one in reply.json()["results"]} == {ADA, BEA}
    assert portal.preferences(BEA)["opted_out_of_all"]


@pytest.mark.parametrize("call", ["read?channel=EMAIL", "unsubscribe-all/read?channel=EMAIL", "write"])
def test_a_hundred_rows_are_the_most(v4, call):
    rows = [f"p{n}@example.com" for n in range(101)]
    inputs = [written(one) for one in rows] if call == "write" else rows
    assert v4("POST", f"statuses/batch/{call}", {"inputs": inputs}).status_code == 400
    assert v4("POST", f"statuses/batch/{call}", {"inputs": inputs[:100]}).status_code == 200
    assert v4("POST", f"statuses/batch/{call}", {"inputs": []}).status_code == 400


def test_a_portal_may_have_no_batches(v4, portal):
    portal.batch_subscriptions = False
    reply = read(v4, ADA)
    assert (reply.status_code, reply.json()["category"]) == (403, "MISSING_SCOPES")
    assert v4("GET", f"statuses/{ADA}?channel=EMAIL").status_code == 200


def test_a_portal_may_have_no_v4(v4, portal):
    portal.v4_subscriptions = False
    assert [v4("GET", f"statuses/{ADA}?channel=EMAIL").status_code, read(v4, ADA).status_code] == [403, 403]
    assert v4("GET", "/communication-preferences/v3/definitions").status_code == 200


def test_batches_have_scopes_of_their_own(v4, portal):
    portal.scopes -= {"communication_preferences.statuses.batch.write"}
    reply = v4("POST", "statuses/batch/write", {"inputs": [written()]})
    assert reply.json()["context"]["missingScopes"] == ["communication_preferences.statuses.batch.write"]
    assert read(v4, ADA).status_code == 200


def test_reading_alone_is_a_scope_too(v4, portal):
    portal.scopes -= {"communication_preferences.read_write"}
    portal.scopes |= {"communication_preferences.read"}
    assert v4("GET", f"statuses/{ADA}?channel=EMAIL").status_code == 200
    assert v4("POST", f"statuses/{ADA}", written()).status_code == 403


def test_switches_are_given_to_a_portal_by_name(url):
    assert not Portal(data_privacy=False).data_privacy
    assert Portal().data_privacy
    for wrong in ({"data_privasy": False}, {"data_privacy": "no"}):
        with pytest.raises(ValueError, match="data_priva"):
            Portal(**wrong)


def test_switches_are_set_over_http(v4, portal):
    assert v4("PUT", "/sandbox/switches", {"v4_subscriptions": False}).json()["v4_subscriptions"] is False
    assert not portal.v4_subscriptions
    for wrong in ({"v5": False}, {"data_privacy": 1}, {"refuses_resubscription_of": ADA}, {"self": 1}):
        assert v4("PUT", "/sandbox/switches", wrong).status_code == 400
    assert v4("GET", "/sandbox/switches").json()["data_privacy"] is True


def test_subscription_calls_are_counted_like_others(v4, portal):
    read(v4, ADA)
    v4("POST", "statuses/batch/unsubscribe-all/read?channel=EMAIL", {"inputs": [ADA]})
    v4("POST", f"statuses/{ADA}", written())
    assert [one.path.removeprefix(PREFIX) for one in portal.calls] == [
        "/statuses/batch/read", "/statuses/batch/unsubscribe-all/read", "/statuses/{email}",
    ]  # fmt: skip
    assert portal.count(PREFIX, writes_only=True) == 1


def test_faults_and_limits_apply_to_subscriptions(v4, portal):
    portal.faults.results_empty = portal.faults.reads_empty = True
    assert v4("POST", "statuses/batch/write", {"inputs": [written()]}).json()["results"] == []
    assert read(v4, ADA).json()["results"] == []
    assert portal.subscription(ADA, 1001) == "SUBSCRIBED"
    portal.faults.status_queue.append(Answer(503, prefix=PREFIX))
    portal.faults.burst_limit = 4
    assert [read(v4, ADA).status_code for _ in range(3)] == [503, 200, 429]
