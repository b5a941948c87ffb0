"""What a person does in the portal, from Python and over HTTP."""

import pytest

from connector.sandbox.replies import Refusal
from tests.sandbox.conftest import Api


@pytest.fixture
def hands(portal, url):
    return Api(url, token=None, base="/sandbox/contacts")


def test_hands_are_not_counted(hands, portal):
    hands("POST", "", {"email": "ada@example.com"})
    portal.edit("ada@example.com", {"city": "Oslo"})
    assert portal.count() == 0


def test_a_life_over_http(hands, portal):
    contact = hands("POST", "", {"email": "ada@example.com", "firstname": "Ada"}).json()
    assert contact["properties"]["firstname"] == "Ada"
    assert hands("PATCH", "ada@example.com", {"firstname": "Augusta"}).json()["properties"]["firstname"] == "Augusta"
    assert hands("DELETE", contact["id"]).status_code == 204
    assert hands("GET", "").json() == []
    assert [one["archived"] for one in hands("GET", "?archived=true").json()] == [True]
    assert hands("POST", f"{contact['id']}/restore").status_code == 204
    other = hands("POST", "", {"email": "bea@example.com"}).json()
    survivor = hands("POST", f"{contact['id']}/merge", {"other": other["id"]}).json()
    assert survivor["properties"]["hs_additional_emails"] == "bea@example.com"
    assert hands("GET", other["id"]).json()["id"] == survivor["id"]
    assert hands("POST", f"{survivor['id']}/gdpr-delete").status_code == 204
    assert hands("GET", survivor["id"]).status_code == 404


def test_a_contact_is_addressed_by_email_even_while_that_changes(hands, portal):
    portal.create({"email": "ada@example.com"})
    assert hands("PATCH", "ada@example.com", {"email": "new@example.com"}).json()["properties"]["email"] == "new@example.com"
    assert hands("POST", "new@example.com/gdpr-delete").status_code == 204


def test_hands_meet_hubspots_rules(hands, portal):
    portal.create({"email": "ada@example.com"})
    assert hands("POST", "", {"email": "ADA@example.com"}).status_code == 409
    assert hands("POST", "", {"email": "ada@example.com", "nope": "1"}).status_code == 400
    with pytest.raises(Refusal, match="already exists"):
        portal.create({"email": "ada@example.com"})


def test_a_person_may_take_a_lifecycle_stage_back(portal):
    contact = portal.create({"firstname": "Ada", "lifecyclestage": "customer"})
    portal.edit(contact, {"lifecyclestage": "lead"})
    assert portal.contact(contact)["properties"]["lifecyclestage"] == "lead"


def test_contacts_are_found_by_any_of_their_addresses_and_values(portal):
    survivor = portal.merge(portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com", "city": "Oslo"}))
    assert portal.contact("B@example.com")["id"] == survivor
    assert [one["id"] for one in portal.by("city", "Oslo")] == [survivor]
    assert portal.contact("c@example.com") is None


def test_a_property_is_added_over_http(portal, url):
    body = {"name": "plan", "type": "enumeration", "field_type": "select", "options": {"gold": "Gold"}}
    assert Api(url, None)("POST", "/sandbox/properties", body).status_code == 201
    with pytest.raises(Refusal, match="INVALID_OPTION"):
        portal.create({"firstname": "Ada", "plan": "silver"})
    for wrong in ({"type": "string"}, {"name": "x", "options": 3}, {"name": "x", "colour": "red"}):
        assert Api(url, None)("POST", "/sandbox/properties", wrong).status_code == 400


def test_calls_are_listed_and_forgotten_over_http(api, portal):
    api("GET", "")
    api("POST", "", {"properties": {"firstname": "Ada"}})
    told = api("GET", "/sandbox/calls?writes_only=true").json()
    assert told["count"] == 1
    assert [one["write"] for one in told["calls"]] == [False, True]
    api("DELETE", "/sandbox/calls")
    assert portal.count() == 0


def test_the_page_says_what_this_is_and_escapes_what_it_lists(api, portal, url):
    portal.create({"firstname": "<script>alert(1)</script>", "email": "ada@example.com"})
    page = api.session.get(url + "/", headers={"Accept": "text/html"}, timeout=5)
    assert "A HubSpot portal in memory" in page.text
    assert "ada@example.com" in page.text
    assert "<script>alert" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    told = api.session.get(url + "/", timeout=5).json()
    assert told["contacts"][0]["email"] == "ada@example.com"
