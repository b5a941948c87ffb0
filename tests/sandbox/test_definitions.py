"""Properties, groups and the account."""

import pytest

from tests.sandbox.conftest import PROPERTIES, Api, code_of

NEW = {"name": "plan", "label": "Plan", "type": "string", "fieldType": "text", "groupName": "contactinformation"}


@pytest.fixture
def schema(portal, url):
    return Api(url, base=PROPERTIES)


def test_definitions_are_listed_with_what_a_writer_must_know(schema):
    listed = {one["name"]: one for one in schema("GET", "").json()["results"]}
    assert listed["createdate"]["modificationMetadata"]["readOnlyValue"]
    assert not listed["email"]["modificationMetadata"]["readOnlyValue"]
    assert listed["members_user_id"]["hasUniqueValue"]
    assert [one["value"] for one in listed["interests"]["options"]] == ["film", "sport"]
    assert {"date_of_birth", "hs_language", "lifecyclestage", "mobilephone", "salutation"} <= set(listed)


def test_a_created_property_can_be_written(schema, api, portal):
    assert schema("POST", "", NEW).status_code == 201
    assert api("POST", "", {"properties": {"firstname": "Ada", "plan": "gold"}}).json()["properties"]["plan"] == "gold"
    assert schema("GET", "plan").json()["label"] == "Plan"


def test_a_property_that_exists_conflicts(schema):
    schema("POST", "", NEW)
    assert schema("POST", "", NEW).status_code == 409


@pytest.mark.parametrize(
    "change",
    [{"name": "No Such Name"}, {"type": "text"}, {"groupName": "nowhere"}, {"label": ""}, {"type": "bool", "options": []}],
    ids=str,
)
def test_a_property_that_makes_no_sense_is_refused(schema, change):
    assert schema("POST", "", {**NEW, **change}).status_code == 400


def test_ten_properties_may_be_unique(schema):
    statuses = [schema("POST", "", {**NEW, "name": f"key_{n}", "hasUniqueValue": True}).status_code for n in range(10)]
    assert statuses == [201] * 9 + [400]


def test_changing_options_replaces_them(schema, api):
    schema("PATCH", "interests", {"options": [{"label": "Chess", "value": "chess"}]})
    reply = api("POST", "", {"properties": {"firstname": "Ada", "interests": "film"}})
    assert code_of(reply.json()) == {"interests": "INVALID_OPTION"}


def test_an_archived_property_is_as_if_it_had_never_been(schema, api, portal):
    contact = portal.create({"firstname": "Ada", "shoe_size": "40"})
    assert schema("DELETE", "shoe_size").status_code == 204
    reply = api("PATCH", contact, {"properties": {"shoe_size": "41"}})
    assert code_of(reply.json()) == {"shoe_size": "PROPERTY_DOESNT_EXIST"}
    assert "shoe_size" not in api("GET", f"{contact}?properties=shoe_size").json()["properties"]
    assert schema("GET", "shoe_size").status_code == 404
    assert [one["name"] for one in schema("GET", "?archived=true").json()["results"]] == ["shoe_size"]


def test_hubspots_own_properties_stay(schema):
    assert schema("DELETE", "email").status_code == 400


def test_groups(schema):
    group = {"name": "connector", "label": "Connector"}
    assert schema("POST", "groups", group).status_code == 201
    assert schema("POST", "groups", group).status_code == 409
    assert schema("POST", "", {**NEW, "groupName": "connector"}).status_code == 201
    assert "connector" in [one["name"] for one in schema("GET", "groups").json()["results"]]


def test_batches_of_properties_are_row_by_row(schema):
    reply = schema("POST", "batch/create", {"inputs": [NEW, {**NEW, "name": "email"}]})
    assert (reply.status_code, reply.json()["numErrors"]) == (207, 1)
    reply = schema("POST", "batch/read", {"inputs": [{"name": "plan"}, {"name": "nope"}]})
    assert [one["name"] for one in reply.json()["results"]] == ["plan"]


def test_the_account_says_which_portal_it_is(api):
    told = api("GET", "/account-info/v3/details").json()
    assert told["portalId"] == 12345678
    assert told["timeZone"]


def test_usage_counts_the_calls_of_today(api):
    for _ in range(3):
        api("GET", "")
    usage = api("GET", "/account-info/v3/api-usage/daily/private-apps").json()["results"][0]
    assert usage["currentUsage"] == 4
    assert usage["usageLimit"] == 650_000


def test_the_token_tells_its_scopes(api):
    told = api("POST", "/oauth/v2/private-apps/get/access-token-info", {"tokenKey": "sandbox-token"}).json()
    assert told["hubId"] == 12345678
    assert "crm.objects.contacts.write" in told["scopes"]


def test_asking_about_the_token_needs_no_scope_but_the_token(api, portal):
    path = "/oauth/v2/private-apps/get/access-token-info"
    portal.scopes.clear()
    assert api("POST", path, {"tokenKey": "sandbox-token"}).json()["scopes"] == []
    assert api("POST", path, {"tokenKey": "another"}).status_code == 404
    assert api("POST", path, {}).status_code == 400
    assert api("GET", "/account-info/v3/details").status_code == 403
