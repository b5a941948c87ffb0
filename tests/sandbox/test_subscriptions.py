"""Email subscriptions: v3, v4 for one address, what a contact shows, and the preference page."""

import hubspot
import pytest
from hubspot.communication_preferences import ApiException

from tests.sandbox.conftest import PROPERTIES, Api

ADA = "ada@example.com"
BASIS = {"legalBasis": "CONSENT_WITH_NOTICE", "legalBasisExplanation": "asked for it on the website"}
OPTOUTS = "properties=hs_email_optout,hs_email_optout_1001,lastmodifieddate"


@pytest.fixture
def v3(portal, url):
    return Api(url, base="/communication-preferences/v3")


@pytest.fixture
def v4(portal, url):
    return Api(url, base="/communication-preferences/v4")


def wanted(email=ADA, subscription="1001", **more):
    return {"emailAddress": email, "subscriptionId": subscription, **BASIS, **more}


def state(status="SUBSCRIBED", subscription=1001, **more):
    return {"subscriptionId": subscription, "statusState": status, "channel": "EMAIL", **BASIS, **more}


def statuses(v4, email=ADA):
    return {one["subscriptionId"]: one for one in v4("GET", f"statuses/{email}?channel=EMAIL").json()["results"]}


def test_both_versions_list_the_types(v3, v4, portal):
    assert portal.add_subscription_type("Events", "Where to meet us.") == 1003
    listed = [v3("GET", "definitions").json()["subscriptionDefinitions"], v4("GET", "definitions").json()["results"]]
    for one in listed:
        assert {(kind["id"], kind["name"]) for kind in one} == {
            ("1001", "Newsletter"), ("1002", "Product news"), ("1003", "Events"),
        }  # fmt: skip
        assert all(kind["isActive"] for kind in one)


def test_v3_subscribes_an_address_without_a_contact(v3):
    reply = v3("POST", "subscribe", wanted())
    assert (reply.status_code, reply.json()["status"], reply.json()["id"]) == (200, "SUBSCRIBED", "1001")
    told = {one["id"]: one for one in v3("GET", "status/email/ADA@example.com").json()["subscriptionStatuses"]}
    assert [told[one]["status"] for one in ("1001", "1002")] == ["SUBSCRIBED", "NOT_SUBSCRIBED"]
    assert told["1001"]["sourceOfStatus"] == "SUBSCRIPTION_STATUS"
    assert "timestamp" not in told["1001"]


def test_v3_does_not_tell_who_never_chose_from_who_unsubscribed(v3, portal):
    portal.unsubscribe(ADA, 1001)
    assert {one["status"] for one in v3("GET", f"status/email/{ADA}").json()["subscriptionStatuses"]} == {"NOT_SUBSCRIBED"}


def test_v3_refuses_who_is_subscribed_already(v3):
    assert [v3("POST", "subscribe", wanted()).status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize("way", ["person", "v3", "all"])
def test_v3_refuses_who_opted_out(v3, portal, way):
    if way == "v3":
        assert v3("POST", "unsubscribe", wanted()).json()["status"] == "NOT_SUBSCRIBED"
    elif way == "person":
        portal.unsubscribe(ADA, 1001)
    else:
        portal.unsubscribe_all(ADA)
    reply = v3("POST", "subscribe", wanted())
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")


def test_v3_tells_an_opt_out_of_all_by_its_source(v3, portal):
    portal.unsubscribe_all(ADA)
    told = v3("GET", f"status/email/{ADA}").json()["subscriptionStatuses"]
    assert {one["sourceOfStatus"] for one in told} == {"PORTAL_WIDE_STATUS"}


@pytest.mark.parametrize(
    "change",
    [
        {"legalBasis": None},
        {"legalBasisExplanation": ""},
        {"legalBasis": "BECAUSE"},
        {"subscriptionId": "9"},
        {"emailAddress": "ada"},
        {"emailAddress": None},
    ],
    ids=str,
)
def test_v3_refuses_what_it_cannot_read(v3, change):
    assert v3("POST", "subscribe", wanted() | change).status_code == 400


def test_without_data_privacy_no_legal_basis_is_needed(v3, v4, portal):
    portal.data_privacy = False
    assert v3("POST", "subscribe", {"emailAddress": ADA, "subscriptionId": "1001"}).status_code == 200
    row = {"subscriptionId": 1002, "statusState": "SUBSCRIBED", "channel": "EMAIL"}
    assert v4("POST", f"statuses/{ADA}", row).status_code == 200
    assert v4("POST", f"statuses/{ADA}", state("UNSUBSCRIBED", legalBasis="BECAUSE")).status_code == 400


def test_unsubscribing_needs_no_legal_basis(v3, v4):
    assert v3("POST", "unsubscribe", {"emailAddress": ADA, "subscriptionId": "1001"}).status_code == 200
    row = {"subscriptionId": 1002, "statusState": "UNSUBSCRIBED", "channel": "EMAIL"}
    assert v4("POST", f"statuses/{ADA}", row).status_code == 200


def test_hubspots_own_client_speaks_v3(portal, url):
    api = hubspot.HubSpot(access_token="sandbox-token", host=url, retry=False).communication_preferences
    assert [one.id for one in api.definition_api.get_page().subscription_definitions] == ["1001", "1002"]
    assert api.status_api.subscribe(wanted()).status == "SUBSCRIBED"
    assert api.status_api.get_email_status(ADA).subscription_statuses[0].legal_basis == "CONSENT_WITH_NOTICE"
    api.status_api.unsubscribe(wanted())
    with pytest.raises(ApiException) as refused:
        api.status_api.subscribe(wanted())
    assert refused.value.status == 400


def test_v4_tells_since_when_and_from_where(v4, portal, clock):
    first = v4("POST", f"statuses/{ADA}", state()).json()["results"][0]
    clock.forward(60)
    portal.unsubscribe(ADA, "Newsletter")
    later = statuses(v4)[1001]
    assert (first["status"], first["source"], first["subscriptionName"]) == (
        "SUBSCRIBED", "Public status API, App ID:9318066", "Newsletter",
    )  # fmt: skip
    assert (later["status"], later["source"]) == ("UNSUBSCRIBED", "Email preferences page")
    assert later["timestamp"] > first["timestamp"]


def test_v4_tells_who_never_chose(v4):
    assert {(one["status"], one["timestamp"]) for one in statuses(v4).values()} == {("NOT_SPECIFIED", None)}


def test_v4_says_what_a_write_did(v4):
    def reason(status):
        return v4("POST", f"statuses/{ADA}", state(status)).json()["results"][0]["setStatusSuccessReason"]

    assert [reason(one) for one in ("SUBSCRIBED", "SUBSCRIBED", "UNSUBSCRIBED", "UNSUBSCRIBED", "SUBSCRIBED")] == [
        "REQUESTED_CHANGE_OCCURRED", "NO_STATUS_CHANGE", "REQUESTED_CHANGE_OCCURRED", "NO_STATUS_CHANGE",
        "RESUBSCRIBE_OCCURRED",
    ]  # fmt: skip
    assert statuses(v4)[1001]["setStatusSuccessReason"] is None


def test_what_does_not_change_keeps_its_time(v4, clock):
    first = v4("POST", f"statuses/{ADA}", state()).json()["results"][0]["timestamp"]
    clock.forward(60)
    v4("POST", f"statuses/{ADA}", state())
    assert statuses(v4)[1001]["timestamp"] == first


@pytest.mark.parametrize(
    "change",
    [
        {"channel": "SMS"},
        {"subscriptionId": 9},
        {"subscriptionId": "1001"},
        {"statusState": "NOT_SPECIFIED"},
        {"legalBasis": "BECAUSE"},
        {"legalBasisExplanation": None},
    ],
    ids=str,
)
def test_v4_refuses_what_it_cannot_read(v4, change):
    assert v4("POST", f"statuses/{ADA}", state() | change).status_code == 400


def test_v4_wants_to_know_the_channel(v4):
    assert v4("GET", f"statuses/{ADA}").status_code == 400


def test_v4_subscribes_again_who_unsubscribed_in_person(v4, portal):
    portal.unsubscribe(ADA, 1001)
    told = v4("POST", f"statuses/{ADA}", state()).json()["results"][0]
    assert told["setStatusSuccessReason"] == "RESUBSCRIBE_OCCURRED"
    assert portal.subscription(ADA, 1001) == "SUBSCRIBED"


@pytest.mark.parametrize("strict", [{"refuses_resubscription": True}, {"refuses_resubscription_of": [ADA]}], ids=str)
def test_a_portal_may_refuse_to_subscribe_again_who_unsubscribed_in_person(v4, portal, strict):
    portal.switch(**strict)
    portal.unsubscribe("Ada@example.com", 1001)
    assert v4("POST", f"statuses/{ADA}", state()).status_code == 400
    v4("POST", f"statuses/{ADA}", state("UNSUBSCRIBED", 1002))
    assert v4("POST", f"statuses/{ADA}", state(subscription=1002)).status_code == 200


def test_who_opted_out_of_all_reads_unsubscribed_everywhere(v4, portal):
    portal.subscribe(ADA, 1001)
    portal.unsubscribe_all("ADA@example.com")
    portal.add_subscription_type("Events")
    assert {one: told["status"] for one, told in statuses(v4).items()} == dict.fromkeys((1001, 1002, 1003), "UNSUBSCRIBED")
    wide = v4("GET", f"statuses/{ADA}/unsubscribe-all?channel=EMAIL").json()["results"]
    assert [(one["wideStatusType"], one["status"]) for one in wide] == [("PORTAL_WIDE", "UNSUBSCRIBED")]
    assert v4("GET", "statuses/bea@example.com/unsubscribe-all?channel=EMAIL").json()["results"] == []


def test_who_opted_out_of_all_is_not_subscribed_to_one(v4, portal):
    portal.unsubscribe_all(ADA)
    assert v4("POST", f"statuses/{ADA}", state()).status_code == 400


def test_an_app_opts_out_of_all_and_is_told_nothing_unless_it_asks(v4, portal):
    path = f"statuses/{ADA}/unsubscribe-all?channel=EMAIL"
    assert v4("POST", path).json()["results"] == []
    assert portal.preferences(ADA)["opted_out_of_all"]
    told = v4("POST", path.replace("ada", "bea") + "&verbose=true").json()["results"]
    assert {one["setStatusSuccessReason"] for one in told} == {"UNSUBSCRIBE_FROM_ALL_OCCURRED"}


def test_a_person_comes_back_to_one_type_only(v4, portal):
    portal.unsubscribe_all(ADA)
    portal.subscribe(ADA, 1001)
    assert {one: told["status"] for one, told in statuses(v4).items()} == {1001: "SUBSCRIBED", 1002: "UNSUBSCRIBED"}
    assert v4("GET", f"statuses/{ADA}/unsubscribe-all?channel=EMAIL").json()["results"] == []


def test_a_state_outlives_the_contact(v4, portal):
    contact = portal.create({"email": ADA})
    portal.unsubscribe(ADA, 1001)
    portal.gdpr_delete(contact)
    assert statuses(v4)[1001]["status"] == "UNSUBSCRIBED"


def test_a_state_is_there_before_the_contact(api, portal):
    portal.unsubscribe(ADA, 1001)
    contact = portal.create({"email": "Ada@example.com"})
    assert api("GET", f"{contact}?{OPTOUTS}").json()["properties"]["hs_email_optout_1001"] == "true"


def test_a_contact_shows_its_opt_outs_everywhere_without_having_changed(api, portal, clock):
    contact = portal.create({"email": ADA})
    before = api("GET", f"{contact}?{OPTOUTS}").json()["properties"]
    clock.forward(60)
    portal.unsubscribe_all(ADA)
    filters = {"filterGroups": [{"filters": [{"propertyName": "hs_email_optout", "operator": "EQ", "value": "true"}]}]}
    names = ["hs_email_optout", "hs_email_optout_1001", "lastmodifieddate"]
    shown = [
        api("GET", f"{contact}?{OPTOUTS}").json(),
        api("GET", f"?{OPTOUTS}").json()["results"][0],
        api("POST", "batch/read", {"inputs": [{"id": contact}], "properties": names}).json()["results"][0],
        api("POST", "search", {**filters, "properties": names}).json()["results"][0],
    ]
    assert before["hs_email_optout"] is None
    for one in shown:
        assert [one["properties"][name] for name in names] == ["true", "true", before["lastmodifieddate"]]


def test_a_contact_that_moves_to_another_address_shows_that_ones_state(api, portal):
    portal.unsubscribe(ADA, 1001)
    contact = portal.create({"email": ADA})
    portal.edit(contact, {"email": "new@example.com"})
    assert not api("GET", f"{contact}?{OPTOUTS}").json()["properties"]["hs_email_optout_1001"]


def test_a_survivor_shows_the_state_of_its_own_address(api, portal):
    portal.unsubscribe("bea@example.com", 1001)
    survivor = portal.merge(portal.create({"email": ADA}), portal.create({"email": "bea@example.com"}))
    assert not api("GET", f"{survivor}?{OPTOUTS}").json()["properties"]["hs_email_optout_1001"]
    portal.unsubscribe(ADA, 1001)
    assert api("GET", f"{survivor}?{OPTOUTS}").json()["properties"]["hs_email_optout_1001"] == "true"


def test_a_restored_contact_shows_what_was_chosen_meanwhile(api, portal):
    contact = portal.create({"email": ADA})
    portal.delete(contact)
    portal.unsubscribe(ADA, 1001)
    portal.restore(contact)
    assert api("GET", f"{contact}?{OPTOUTS}").json()["properties"]["hs_email_optout_1001"] == "true"


def test_opt_outs_are_defined_and_read_only(api, portal, url):
    told = Api(url, base=PROPERTIES)("GET", "hs_email_optout_1002").json()
    assert (told["type"], told["modificationMetadata"]["readOnlyValue"]) == ("bool", True)
    contact = portal.create({"email": ADA})
    assert "READ_ONLY_VALUE" in api("PATCH", contact, {"properties": {"hs_email_optout_1002": "true"}}).text


def test_changing_a_subscription_is_told_only_where_the_portal_does_that(portal):
    portal.create({"email": ADA})
    before = len(portal.events)
    portal.unsubscribe(ADA, 1001)
    assert len(portal.events) == before
    portal.optout_webhooks = True
    portal.unsubscribe_all(ADA)
    told = portal.events[before:]
    assert {(one["propertyName"], one["propertyValue"]) for one in told} == {
        ("hs_email_optout", "true"), ("hs_email_optout_1002", "true"),
    }  # fmt: skip
    assert {one["subscriptionType"] for one in told} == {"contact.propertyChange"}


def test_preferences_by_hand_over_http(portal, url):
    hands = Api(url, token=None, base="/sandbox")
    assert hands("POST", "subscription-types", {"name": "Events"}).json()["id"] == 1003
    told = hands("POST", f"subscriptions/{ADA}/unsubscribe", {"subscription": "Events"}).json()
    assert {one["name"]: one["status"] for one in told["subscriptions"]}["Events"] == "UNSUBSCRIBED"
    hands("POST", f"subscriptions/{ADA}/subscribe", {"subscription": 1003})
    assert portal.subscription(ADA, 1003) == "SUBSCRIBED"
    assert hands("POST", f"subscriptions/{ADA}/unsubscribe-all").json()["opted_out_of_all"]
    assert hands("POST", f"subscriptions/{ADA}/subscribe", {"subscription": 9}).status_code == 404
    assert portal.count() == 0
