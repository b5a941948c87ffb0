"""Associations between contacts, custom objects and notes."""

import hubspot
import pytest

from tests.sandbox.conftest import Api
from tests.sandbox.test_custom_objects import LOGIN

LOGINS = "/crm/v4/associations/login_event/contacts"


@pytest.fixture
def links(portal, url):
    api = Api(url, base=LOGINS)
    api("POST", "/crm/v3/schemas", LOGIN)
    return api


@pytest.fixture
def made(links, portal):
    """A login and two contacts; the login's id is no contact's."""
    contacts = [portal.create({"email": f"{one}@example.com"}) for one in "ab"]
    rows = [{"properties": {"event_id": f"e-{number}"}} for number in range(3)]
    logins = links("POST", "/crm/v3/objects/login_event/batch/create", {"inputs": rows}).json()["results"]
    return max(one["id"] for one in logins), *contacts


def kind(links):
    told = links("GET", "labels").json()["results"][0]
    return {"associationCategory": told["category"], "associationTypeId": told["typeId"]}


def joined(left, right, **more):
    return {"from": {"id": left}, "to": {"id": right}, **more}


def read(links, *ids):
    return links("POST", "batch/read", {"inputs": [{"id": one} for one in ids]})


def test_the_labels_tell_the_portals_own_type(links, portal):
    there = links("GET", "labels").json()["results"]
    back = links("GET", "/crm/v4/associations/0-1/login_event/labels").json()["results"]
    assert [one["category"] for one in there + back] == ["USER_DEFINED", "USER_DEFINED"]
    assert there[0]["typeId"] != back[0]["typeId"]
    assert links("GET", "/crm/v4/associations/notes/contacts/labels").json()["results"][0]["typeId"] == 202


def test_associations_are_made_with_their_types_and_read_from_either_side(links, made, portal):
    login, first, second = made
    rows = [joined(login, one, types=[kind(links)]) for one in (first, second)]
    reply = links("POST", "batch/create", {"inputs": rows})
    assert reply.status_code == 201
    assert {one["toObjectId"] for one in reply.json()["results"]} == {first, second}
    told = read(links, login).json()["results"][0]
    assert {one["toObjectId"] for one in told["to"]} == {first, second}
    assert told["to"][0]["associationTypes"][0]["typeId"] == kind(links)["associationTypeId"]
    assert portal.associated("contacts", first, "login_event") == [login]


def test_associating_twice_is_fine(links, made, portal):
    login, first, _ = made
    for _ in range(2):
        links("POST", "batch/create", {"inputs": [joined(login, first, types=[kind(links)])]})
    assert portal.associated("login_event", login, "contacts") == [first]


def test_the_default_type_need_not_be_named(links, made, portal):
    login, first, second = made
    told = links("POST", "batch/associate/default", {"inputs": [joined(login, first)]}).json()["results"][0]
    assert (told["from"], told["to"], told["associationSpec"]) == ({"id": login}, {"id": first}, kind(links))
    reply = links("PUT", f"/crm/v4/objects/login_event/{login}/associations/default/contacts/{second}")
    assert (reply.status_code, reply.json()["status"]) == (200, "COMPLETE")
    assert portal.associated("login_event", login, "contacts") == [first, second]


def test_a_record_without_associations_is_an_error_of_its_row(links, made):
    login = made[0]
    reply = read(links, login)
    assert (reply.status_code, reply.json()["results"]) == (207, [])
    error = reply.json()["errors"][0]
    assert error["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert error["context"] == {"fromObjectId": [login], "fromObjectType": ["login_event"], "toObjectType": ["contact"]}


@pytest.mark.parametrize("wrong", [{"to": {"id": "1"}}, {"types": []}, {"types": [{"associationTypeId": 202}]}], ids=str)
def test_a_bad_row_leaves_the_others_alone(links, made, wrong):
    login, first, second = made
    good = joined(login, first, types=[kind(links)])
    reply = links("POST", "batch/create", {"inputs": [good, {**joined(login, second, types=[kind(links)]), **wrong}]})
    assert (reply.status_code, reply.json()["numErrors"], len(reply.json()["results"])) == (207, 1, 1)


@pytest.mark.parametrize("wrong", [{"from": "1"}, {"to": {}}, {"types": "all"}, {"types": [{"associationTypeId": "x"}]}], ids=str)
def test_what_cannot_be_read_is_an_error_of_its_row(links, made, wrong):
    login, first, _ = made
    reply = links("POST", "batch/create", {"inputs": [{**joined(login, first, types=[kind(links)]), **wrong}]})
    assert (reply.status_code, reply.json()["numErrors"]) == (207, 1)


def test_types_that_nobody_made_are_refused(links, made):
    login, first, _ = made
    reply = links("POST", "/crm/v4/associations/login_event/notes/batch/associate/default", {"inputs": [joined(login, first)]})
    assert (reply.status_code, reply.json()["numErrors"]) == (207, 1)
    assert links("GET", "/crm/v4/associations/login_event/widgets/labels").status_code == 400


def test_two_thousand_rows_are_created_and_a_thousand_read(links, made):
    login, first, _ = made
    rows = [joined(login, first, types=[kind(links)])] * 2000
    assert links("POST", "batch/create", {"inputs": rows}).status_code == 201
    assert links("POST", "batch/create", {"inputs": rows + rows[:1]}).status_code == 400
    assert read(links, *[login] * 1000).status_code == 200
    assert read(links, *[login] * 1001).status_code == 400


def test_a_merged_contacts_associations_move_to_the_survivor(links, made, portal):
    login, first, second = made
    links("POST", "batch/create", {"inputs": [joined(login, one, types=[kind(links)]) for one in (first, second)]})
    survivor = portal.merge(first, second)
    assert [one["toObjectId"] for one in read(links, login).json()["results"][0]["to"]] == [survivor]
    assert portal.associated("contacts", second, "login_event") == [login]


def test_an_association_with_a_merged_away_id_is_one_with_the_survivor(links, made, portal):
    login, first, second = made
    survivor = portal.merge(first, second)
    links("POST", "batch/associate/default", {"inputs": [joined(login, first)]})
    assert portal.associated("login_event", login, "contacts") == [survivor]


def test_what_is_deleted_is_not_associated_until_it_is_back(links, made, portal):
    login, first, _ = made
    links("POST", "batch/associate/default", {"inputs": [joined(login, first)]})
    portal.delete(first)
    assert portal.associated("login_event", login, "contacts") == []
    portal.restore(first)
    assert portal.associated("login_event", login, "contacts") == [first]


def test_the_scopes_of_both_sides_are_needed(links, made, portal):
    login, first, _ = made
    portal.scopes -= {"crm.objects.contacts.write"}
    reply = links("POST", "batch/associate/default", {"inputs": [joined(login, first)]})
    assert reply.json()["context"]["missingScopes"] == ["crm.objects.contacts.write"]
    assert links("GET", "labels").status_code == 200


def test_a_custom_object_is_made_with_its_contact(links, made, portal):
    record = {"properties": {"event_id": "e-9"}, "associations": [{"to": {"id": made[1]}, "types": [kind(links)]}]}
    number = links("POST", "/crm/v3/objects/login_event", record).json()["id"]
    assert portal.associated("login_event", number, "contacts") == [made[1]]


def test_an_upsert_has_no_place_for_associations(links, made, portal):
    row = {"id": "e-9", "idProperty": "event_id", "properties": {}}
    row["associations"] = [{"to": {"id": made[1]}, "types": [kind(links)]}]
    number = links("POST", "/crm/v3/objects/login_event/batch/upsert", {"inputs": [row]}).json()["results"][0]["id"]
    assert portal.associated("login_event", number, "contacts") == []


def test_hubspots_own_client_speaks_associations(links, made, url):
    api = hubspot.HubSpot(access_token="sandbox-token", host=url, retry=False).crm.associations.v4.batch_api
    login, first, _ = made
    row = {"from": {"id": login}, "to": {"id": first}}
    api.create("login_event", "contacts", {"inputs": [{**row, "types": [kind(links)]}]})
    told = api.get_page("login_event", "contacts", {"inputs": [{"id": login}]})
    assert told.results[0].to[0].to_object_id == first
    assert api.create_default("login_event", "contacts", {"inputs": [row]}).results[0].association_spec.association_type_id
