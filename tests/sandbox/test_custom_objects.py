"""Custom objects: their schemas, their records, and notes."""

import hubspot
import pytest

from connector.sandbox.faults import Answer
from connector.sandbox.portal import Portal
from tests.sandbox.conftest import PROPERTIES, Api, code_of, row

OBJECTS = "/crm/v3/objects/login_event"
LOGIN = {
    "name": "login_event",
    "labels": {"singular": "Login", "plural": "Logins"},
    "primaryDisplayProperty": "event_id",
    "requiredProperties": ["event_id"],
    "searchableProperties": ["event_id"],
    "properties": [
        {"name": "event_id", "label": "Event id", "type": "string", "fieldType": "text", "hasUniqueValue": True},
        {
            "name": "method", "label": "Method", "type": "enumeration", "fieldType": "select",
            "options": [{"label": "Password", "value": "password"}, {"label": "Passkey", "value": "passkey"}],
        },
        {"name": "happened_at", "label": "When", "type": "datetime", "fieldType": "date"},
    ],
    "associatedObjects": ["CONTACT"],
}  # fmt: skip
NOTES = "/crm/v3/objects/notes"


@pytest.fixture
def schemas(portal, url):
    return Api(url, base="/crm/v3/schemas")


@pytest.fixture
def login(schemas):
    """The schema, as HubSpot answers it."""
    return schemas("POST", "", LOGIN).json()


@pytest.fixture
def logins(login, url):
    return Api(url, base=OBJECTS)


def event(number, **properties):
    return {"properties": {"event_id": f"e-{number}", **properties}}


def test_a_schema_is_made_and_read_by_any_of_its_names(schemas, portal):
    made = schemas("POST", "", LOGIN)
    assert (made.status_code, made.json()["fullyQualifiedName"]) == (201, "p12345678_login_event")
    assert made.json()["objectTypeId"].startswith("2-")
    for name in (made.json()["objectTypeId"], "login_event", "p12345678_login_event"):
        assert schemas("GET", name).json()["id"] == made.json()["id"]
    assert [one["name"] for one in schemas("GET", "/crm-object-schemas/v3/schemas").json()["results"]] == ["login_event"]


def test_a_schema_tells_its_properties_and_association_types(login):
    named = {one["name"]: one for one in login["properties"]}
    assert named["event_id"]["hasUniqueValue"]
    assert named["hs_object_id"]["modificationMetadata"]["readOnlyValue"]
    assert {(one["fromObjectTypeId"], one["toObjectTypeId"]) for one in login["associations"]} == {
        (login["objectTypeId"], "0-1"), ("0-1", login["objectTypeId"]),
    }  # fmt: skip


def test_a_schema_that_exists_conflicts(login, schemas):
    assert schemas("POST", "", LOGIN).status_code == 409


@pytest.mark.parametrize(
    "change",
    [
        {"name": "no such name"},
        {"requiredProperties": ["nope"]},
        {"primaryDisplayProperty": "nope"},
        {"associatedObjects": ["nope"]},
        {"properties": [{"name": "event_id"}]},
        {"properties": ["event_id"]},
        {"properties": [LOGIN["properties"][0] | {"type": "text"}]},
    ],
    ids=str,
)
def test_a_schema_that_makes_no_sense_is_refused_as_a_whole(schemas, change):
    assert schemas("POST", "", {**LOGIN, **change}).status_code == 400
    assert schemas("GET", "").json()["results"] == []


def test_ten_schemas_are_the_most(schemas):
    statuses = [schemas("POST", "", {**LOGIN, "name": f"object_{n}"}).status_code for n in range(11)]
    assert statuses == [201] * 10 + [400]


def test_a_schema_is_changed_but_keeps_its_labels(login, schemas, logins):
    changed = schemas("PATCH", "login_event", {"requiredProperties": ["event_id", "method"], "description": "Who came in"})
    assert (changed.json()["description"], changed.json()["requiredProperties"]) == ("Who came in", ["event_id", "method"])
    assert logins("POST", "", event(1)).status_code == 400
    assert schemas("PATCH", "login_event", {"labels": {"singular": "Visit"}}).status_code == 400


def test_an_object_type_nobody_made_is_not_inferred(schemas):
    reply = schemas("GET", "/crm/v3/objects/widgets")
    assert (reply.status_code, reply.json()["message"]) == (400, "Unable to infer object type from: widgets")
    assert "category" not in reply.json()


def test_records_are_written_and_read_by_any_name_of_their_type(login, logins, api):
    made = logins("POST", "", event(1, method="passkey"))
    assert (made.status_code, made.json()["properties"]["method"]) == (201, "passkey")
    for name in (login["objectTypeId"], "p12345678_login_event"):
        told = api("GET", f"/crm/v3/objects/{name}/{made.json()['id']}?properties=event_id").json()
        assert told["properties"]["event_id"] == "e-1"
        assert {"hs_createdate", "hs_lastmodifieddate", "hs_object_id"} <= told["properties"].keys()
    assert logins("GET", "e-1?idProperty=event_id").json()["id"] == made.json()["id"]


def test_records_in_batches(logins, portal):
    made = logins("POST", "batch/create", {"inputs": [event(1), event(2)]})
    ids = {one["properties"]["event_id"]: one["id"] for one in made.json()["results"]}
    assert made.status_code == 201
    rows = [row("e-2", {"method": "password"}, "event_id"), row("e-3", {"method": "passkey"}, "event_id")]
    told = {one["id"]: one["new"] for one in logins("POST", "batch/upsert", {"inputs": rows}).json()["results"]}
    assert told.pop(ids["e-2"]) is False
    assert list(told.values()) == [True]
    logins("POST", "batch/update", {"inputs": [row(ids["e-1"], {"method": "passkey"})]})
    read = logins("POST", "batch/read", {"inputs": [{"id": one} for one in ids.values()], "properties": ["method"]})
    assert sorted(one["properties"]["method"] for one in read.json()["results"]) == ["passkey", "password"]
    assert logins("POST", "batch/archive", {"inputs": [{"id": ids["e-1"]}]}).status_code == 204
    assert [one["id"] for one in logins("GET", "?archived=true").json()["results"]] == [ids["e-1"]]
    assert len(portal.objects("login_event")) == 2


def test_a_required_property_is_required(logins):
    assert logins("POST", "", {"properties": {"method": "passkey"}}).status_code == 400


def test_an_option_that_does_not_exist_is_refused(logins):
    assert code_of(logins("POST", "", event(1, method="magic")).json()) == {"method": "INVALID_OPTION"}


def test_a_unique_value_is_unique(logins):
    logins("POST", "", event(1))
    reply = logins("POST", "batch/create", {"inputs": [event(1), event(2)]})
    assert reply.status_code == 400
    assert code_of(logins("POST", "", event(1)).json()) == {"event_id": "CONFLICTING_UNIQUE_VALUE"}
    refused = logins("POST", "batch/upsert", {"inputs": [row("x", {}, "method")]}).json()
    assert refused["message"].startswith("Unable to perform update/upsert by non-unique 2-")


def test_records_of_two_types_may_have_the_same_id(logins, portal):
    contact = portal.create({"firstname": "Ada"})
    assert logins("POST", "", event(1)).json()["id"] == contact


def test_records_are_searched(logins):
    logins("POST", "batch/create", {"inputs": [event(1, method="passkey"), event(2)]})
    wanted = {"filterGroups": [{"filters": [{"propertyName": "method", "operator": "EQ", "value": "passkey"}]}]}
    assert logins("POST", "search", wanted).json()["total"] == 1
    assert logins("POST", "search", {"query": "e-2"}).json()["total"] == 1


def test_properties_of_a_custom_object_are_read_and_added(logins, url):
    properties = Api(url, base="/crm/v3/properties/login_event")
    new = {"name": "email", "label": "Where", "type": "string", "fieldType": "text", "groupName": "login_event_information"}
    assert properties("POST", "", new).status_code == 201
    assert logins("POST", "", event(1, email="not an address")).status_code == 201
    assert properties("GET", "/crm/v3/properties/contacts/event_id").status_code == 404


def test_nobody_is_told_of_custom_objects(logins, portal):
    logins("POST", "", event(1))
    assert portal.events == []


def test_custom_objects_have_scopes_of_their_own(logins, schemas, portal):
    portal.scopes -= {"crm.objects.custom.write", "crm.schemas.custom.write"}
    assert logins("POST", "", event(1)).json()["context"]["missingScopes"] == ["crm.objects.custom.write"]
    assert schemas("POST", "", LOGIN).status_code == 403
    assert logins("GET", "").status_code == 200
    assert logins("GET", "/crm/v3/objects/contacts").status_code == 200


def test_a_tier_may_have_no_custom_objects(logins, schemas, portal):
    portal.custom_objects = False
    for reply in (logins("GET", ""), logins("POST", "batch/create", {"inputs": [event(1)]}), schemas("GET", "")):
        assert (reply.status_code, reply.json()["category"]) == (403, "MISSING_SCOPES")
    assert schemas("GET", NOTES).status_code == 200
    assert not Portal(custom_objects=False).custom_objects


def test_faults_and_counting_apply_to_custom_objects(logins, portal):
    portal.calls.clear()
    portal.faults.status_queue.append(Answer(502, prefix=OBJECTS, after=True))
    assert logins("POST", "batch/create", {"inputs": [event(1)]}).status_code == 502
    assert len(portal.objects("login_event")) == 1
    assert portal.count("/crm/v3/objects/{type}", writes_only=True) == 1


def test_hubspots_own_client_speaks_schemas_and_objects(portal, url):
    crm = hubspot.HubSpot(access_token="sandbox-token", host=url, retry=False).crm
    made = crm.schemas.core_api.create(LOGIN)
    assert [one.name for one in crm.schemas.core_api.get_all().results] == ["login_event"]
    record = crm.objects.basic_api.create(made.object_type_id, event(1))
    assert crm.objects.basic_api.get_by_id("login_event", record.id, properties=["event_id"]).properties["event_id"] == "e-1"
    told = crm.objects.batch_api.upsert("login_event", {"inputs": [row("e-2", {}, "event_id")]})
    assert [one.new for one in told.results] == [True]


def test_a_note_is_made_with_its_contact(api, portal):
    contact = portal.create({"firstname": "Ada"})
    to_contact = {"to": {"id": contact}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}
    note = {"properties": {"hs_timestamp": "2026-11-20T10:00:00Z", "hs_note_body": "Logged in"}, "associations": [to_contact]}
    made = api("POST", f"{NOTES}/batch/create", {"inputs": [note]})
    assert made.status_code == 201
    number = made.json()["results"][0]["id"]
    assert portal.associated("contacts", contact, "notes") == [number]
    read = api("POST", f"{NOTES}/batch/read", {"inputs": [{"id": number}], "properties": ["hs_note_body"]})
    assert read.json()["results"][0]["properties"]["hs_note_body"] == "Logged in"
    assert api("POST", f"{NOTES}/batch/archive", {"inputs": [{"id": number}]}).status_code == 204
    assert portal.associated("contacts", contact, "notes") == []
    assert portal.objects("notes") == []


def test_a_note_needs_its_time(api):
    assert api("POST", f"{NOTES}/batch/create", {"inputs": [{"properties": {"hs_note_body": "Logged in"}}]}).status_code == 400


def test_a_note_about_nobody_is_refused(api, portal):
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}
    times = {"properties": {"hs_timestamp": "2026-11-20T10:00:00Z"}}
    for wrong in ({"to": {"id": "1"}, "types": [kind]}, {"to": {"id": "1"}, "types": []}):
        assert api("POST", NOTES, {**times, "associations": [wrong]}).status_code in (400, 404)
    assert portal.objects("notes") == []


def test_custom_objects_are_seen_over_http(logins, portal, url):
    made = logins("POST", "", event(1)).json()["id"]
    hands = Api(url, token=None, base="/sandbox")
    assert [one["id"] for one in hands("GET", "objects/login_event").json()] == [made]
    assert hands("GET", f"objects/login_event/{made}/contacts").json() == []


def test_the_account_tells_how_many_properties_there_may_be(logins, api, portal, url):
    told = api("GET", "/crm/v3/limits/custom-properties").json()
    usage = {one["objectTypeId"]: (one["usage"], one["limit"]) for one in told["byObjectType"]}
    assert usage["0-1"] == (6, 1000)
    assert (told["overallUsage"], told["overallLimit"]) == (9, 10_000)
    portal.schema.most = 6
    new = {"name": "plan", "label": "Plan", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
    assert "PROPERTY_LIMIT_REACHED" in Api(url, base=PROPERTIES)("POST", "", new).text
