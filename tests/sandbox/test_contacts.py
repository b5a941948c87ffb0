"""One contact at a time."""

import threading

import pytest

from tests.sandbox.conftest import Api, code_of


def test_a_created_contact_is_answered_with_what_was_written_and_the_default_set(api):
    reply = api("POST", "", {"properties": {"email": "Ada@Example.com", "city": "Oslo"}})
    assert reply.status_code == 201
    told = reply.json()
    assert told["properties"]["email"] == "ada@example.com"
    assert set(told["properties"]) == {
        "createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname", "city",
    }  # fmt: skip
    assert told["properties"]["hs_object_id"] == told["id"]


def test_a_contact_is_read_by_id_email_or_unique_property(api, portal):
    contact = portal.create({"email": "ada+x@example.com", "members_user_id": "u-1"})
    assert api("GET", contact).json()["id"] == contact
    assert api("GET", "ADA%2Bx@example.com?idProperty=email").json()["id"] == contact
    assert api("GET", "u-1?idProperty=members_user_id").json()["id"] == contact


def test_a_property_that_is_not_unique_names_nobody(api, portal):
    portal.create({"email": "ada@example.com", "city": "Oslo"})
    assert api("GET", "Oslo?idProperty=city").status_code == 400


def test_hs_object_id_is_no_id_property(api, portal):
    contact = portal.create({"email": "ada@example.com"})
    assert api("GET", f"{contact}?idProperty=hs_object_id").status_code == 400


def test_unknown_names_are_ignored_on_read(api, portal):
    contact = portal.create({"email": "ada@example.com"})
    told = api("GET", f"{contact}?properties=emial,phone").json()["properties"]
    assert "emial" not in told
    assert told["phone"] is None


def test_a_cleared_value_is_an_empty_text(api, portal):
    contact = portal.create({"email": "ada@example.com", "phone": "1"})
    assert api("PATCH", contact, {"properties": {"phone": ""}}).json()["properties"]["phone"] == ""
    assert portal.contact(contact)["properties"].get("phone") is None


def test_a_null_is_ignored(api, portal):
    contact = portal.create({"email": "ada@example.com", "phone": "1"})
    api("PATCH", contact, {"properties": {"phone": None}})
    assert portal.contact(contact)["properties"]["phone"] == "1"


def test_a_second_contact_with_an_email_in_any_case_conflicts_and_names_the_first_in_its_text(api, portal):
    contact = portal.create({"email": "ada@example.com"})
    reply = api("POST", "", {"properties": {"email": "ADA@example.com"}})
    assert reply.status_code == 409
    assert reply.json()["category"] == "CONFLICT"
    assert reply.json()["message"] == f"Contact already exists. Existing ID: {contact}"
    assert reply.json()["correlationId"]


def test_an_additional_email_conflicts_too(api, portal):
    first, second = portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"})
    survivor = portal.merge(first, second)
    reply = api("POST", "", {"properties": {"email": "b@example.com"}})
    assert reply.json()["message"].endswith(survivor)


def test_taking_the_email_of_another_contact_conflicts(api, portal):
    portal.create({"email": "a@example.com"})
    second = portal.create({"email": "b@example.com"})
    assert api("PATCH", second, {"properties": {"email": "a@example.com"}}).status_code == 409


def test_an_additional_address_made_primary_swaps_the_two(api, portal):
    survivor = portal.merge(portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"}))
    api("PATCH", survivor, {"properties": {"email": "b@example.com"}})
    told = portal.contact(survivor)["properties"]
    assert (told["email"], told["hs_additional_emails"]) == ("b@example.com", "a@example.com")


def test_a_unique_value_of_another_contact_is_refused_with_its_code(api, portal):
    portal.create({"email": "a@example.com", "members_user_id": "u-1"})
    reply = api("POST", "", {"properties": {"email": "b@example.com", "members_user_id": "u-1"}})
    assert reply.status_code == 400
    assert code_of(reply.json()) == {"members_user_id": "CONFLICTING_UNIQUE_VALUE"}


def test_concurrent_creates_of_one_email_make_one_contact(url, portal):
    statuses = []

    def create():
        body = {"properties": {"email": "ada@example.com"}}
        statuses.append(Api(url, base="/crm/v3/objects/contacts")("POST", "", body).status_code)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 7
    assert len(portal.contacts()) == 1


def test_a_contact_needs_a_name_or_an_email(api):
    assert api("POST", "", {"properties": {"city": "Oslo"}}).status_code == 400


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_id_is_not_found(api, method):
    reply = api(method, "123", {"properties": {}} if method == "PATCH" else None)
    assert reply.status_code == 404
    assert reply.json()["category"] == "OBJECT_NOT_FOUND"


def test_an_archived_contact_is_gone_except_for_those_who_ask_for_archived(api, portal):
    contact = portal.create({"email": "ada@example.com"})
    assert api("DELETE", contact).status_code == 204
    assert api("GET", contact).status_code == 404
    assert api("GET", "").json()["results"] == []
    told = api("GET", f"{contact}?archived=true").json()
    assert told["archived"]
    assert told["archivedAt"]
    assert [one["id"] for one in api("GET", "?archived=True").json()["results"]] == [contact]


def test_archiving_leaves_the_modified_date_alone(api, portal, clock):
    contact = portal.create({"email": "ada@example.com"})
    before = portal.contact(contact)["properties"]["lastmodifieddate"]
    clock.forward(60)
    api("DELETE", contact)
    assert api("GET", f"{contact}?archived=true").json()["properties"]["lastmodifieddate"] == before


def test_archiving_twice_is_fine(api, portal):
    contact = portal.create({"email": "ada@example.com"})
    assert [api("DELETE", contact).status_code for _ in range(2)] == [204, 204]


def test_the_email_of_an_archived_contact_makes_a_new_contact(api, portal):
    contact = portal.create({"email": "ada@example.com"})
    portal.delete(contact)
    reply = api("POST", "", {"properties": {"email": "ada@example.com"}})
    assert reply.status_code == 201
    assert reply.json()["id"] != contact


def test_a_write_moves_the_modified_date(api, portal, clock):
    contact = portal.create({"email": "ada@example.com"})
    before = portal.contact(contact)["properties"]
    clock.forward(1)
    after = api("PATCH", contact, {"properties": {"city": "Oslo"}}).json()["properties"]
    assert after["lastmodifieddate"] > before["lastmodifieddate"]
    assert after["createdate"] == before["createdate"]


def test_history_tells_who_wrote_what_newest_first(api, portal):
    contact = portal.create({"email": "ada@example.com", "city": "Oslo"})
    api("PATCH", contact, {"properties": {"city": "Bergen"}})
    history = api("GET", f"{contact}?propertiesWithHistory=city").json()["propertiesWithHistory"]["city"]
    assert [(one["value"], one["sourceType"]) for one in history] == [("Bergen", "INTEGRATION"), ("Oslo", "CRM_UI")]
    assert all(one["timestamp"].endswith("Z") for one in history)


def test_writing_the_same_value_adds_no_history(api, portal):
    contact = portal.create({"email": "ada@example.com", "city": "Oslo"})
    api("PATCH", contact, {"properties": {"city": "Oslo"}})
    history = api("GET", f"{contact}?propertiesWithHistory=city").json()["propertiesWithHistory"]["city"]
    assert len(history) == 1


def test_a_listing_is_paged_by_an_opaque_cursor(api, portal):
    made = [portal.create({"email": f"p{number}@example.com"}) for number in range(25)]
    found, after, pages = [], "", 0
    while after is not None:
        page = api("GET", f"?limit=10&after={after}").json()
        found += [one["id"] for one in page["results"]]
        after = page.get("paging", {}).get("next", {}).get("after")
        pages += 1
    assert found == made
    assert pages == 3


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "limit=x", "limit=51&propertiesWithHistory=city", "after=zz"])
def test_a_listing_refuses(api, query):
    assert api("GET", f"?{query}").status_code == 400


def test_a_very_long_query_is_414(api):
    assert api("GET", "?properties=" + "x" * 9000).status_code == 414


def test_the_lifecycle_stage_refuses_to_go_back_without_a_word(api, portal):
    contact = portal.create({"email": "ada@example.com", "lifecyclestage": "customer"})
    reply = api("PATCH", contact, {"properties": {"lifecyclestage": "lead"}})
    assert reply.status_code == 200
    assert reply.json()["properties"]["lifecyclestage"] == "customer"


def test_the_lifecycle_stage_goes_back_in_two_steps(api, portal):
    contact = portal.create({"email": "ada@example.com", "lifecyclestage": "customer"})
    for stage in ("", "lead"):
        api("PATCH", contact, {"properties": {"lifecyclestage": stage}})
    assert portal.contact(contact)["properties"]["lifecyclestage"] == "lead"


def test_dated_paths_answer_as_v3_does(api, portal):
    contact = portal.create({"email": "ada@example.com"})
    assert api("GET", f"/crm/objects/2026-03/contacts/{contact}").json()["id"] == contact


def test_a_body_that_is_no_json_is_a_bad_request(api, url):
    reply = api.session.post(url + "/crm/v3/objects/contacts", data=b"{", timeout=5)
    assert reply.status_code == 400
    assert reply.json()["status"] == "error"
