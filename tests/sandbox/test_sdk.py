"""HubSpot's own Python client against the portal."""

import hubspot
import pytest
from hubspot.crm.contacts import ApiException
from hubspot.crm.properties import ApiException as PropertyException


@pytest.fixture
def crm(portal, url):
    return hubspot.HubSpot(access_token="sandbox-token", host=url, retry=False).crm


def rows(*emails):
    return [
        {"id": f"u-{n}", "idProperty": "members_user_id", "objectWriteTraceId": f"t{n}", "properties": {"email": email}}
        for n, email in enumerate(emails)
    ]


def test_batches(crm, portal):
    batch = crm.contacts.batch_api
    told = batch.upsert({"inputs": rows("a@example.com", "b@example.com")})
    assert sorted((one.properties["email"], one.new) for one in told.results) == [
        ("a@example.com", True),
        ("b@example.com", True),
    ]
    ids = sorted(one.id for one in told.results)
    read = batch.read({"inputs": [{"id": one} for one in [*ids, "1"]], "properties": ["email", "members_user_id"]})
    assert sorted(one.properties["members_user_id"] for one in read.results) == ["u-0", "u-1"]
    assert (read.num_errors, read.errors[0].context) == (1, {"ids": ["1"]})
    batch.update({"inputs": [{"id": one, "properties": {"city": "Oslo"}} for one in ids]})
    assert len(portal.by("city", "Oslo")) == 2
    batch.archive({"inputs": [{"id": one} for one in ids]})
    assert portal.contacts() == []


def test_a_partial_batch_is_told_with_errors(crm, portal):
    portal.create({"email": "a@example.com"})
    told = crm.contacts.batch_api.upsert({"inputs": rows("a@example.com", "b@example.com")})
    assert told.num_errors == 1
    assert told.errors[0].context == {"objectWriteTraceId": ["t0"]}


def test_single_contacts(crm):
    basic = crm.contacts.basic_api
    made = basic.create({"properties": {"email": "ada+x@example.com"}})
    found = basic.get_by_id("ada+x@example.com", id_property="email", properties=["phone"], properties_with_history=["email"])
    assert found.id == made.id
    assert found.properties_with_history["email"][0].source_type == "INTEGRATION"
    assert basic.update(made.id, {"properties": {"phone": "1"}}).properties["phone"] == "1"
    with pytest.raises(ApiException) as refused:
        basic.create({"properties": {"email": "ada+x@example.com"}})
    assert refused.value.status == 409
    other = basic.create({"properties": {"email": "b@example.com"}})
    survivor = basic.merge({"primaryObjectId": made.id, "objectIdToMerge": other.id})
    assert basic.get_by_id(other.id).id == survivor.id
    basic.archive(survivor.id)
    basic.purge({"objectId": survivor.id})
    assert basic.get_page(archived=True).results == []


def test_search(crm, portal):
    made = portal.create({"email": "ada@example.com"})
    told = crm.contacts.search_api.do_search(
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "EQ", "value": "ada@example.com"}]}], "limit": 1}
    )
    assert (told.total, told.results[0].id) == (1, made)


def test_listing(crm, portal):
    made = [portal.create({"firstname": f"P{number}"}) for number in range(120)]
    assert [one.id for one in crm.contacts.get_all()] == made


def test_properties(crm):
    new = {"name": "plan", "label": "Plan", "type": "enumeration", "fieldType": "select", "groupName": "contactinformation"}
    new["options"] = [{"label": "Gold", "value": "gold", "hidden": False}]
    assert crm.properties.core_api.create("contacts", new).options[0].value == "gold"
    assert "plan" in [one.name for one in crm.properties.core_api.get_all("contacts").results]
    with pytest.raises(PropertyException) as refused:
        crm.properties.core_api.create("contacts", new)
    assert refused.value.status == 409
    assert crm.properties.groups_api.get_all("contacts").results
