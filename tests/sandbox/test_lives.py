"""Merging, restoring, erasing."""

import pytest

from connector.sandbox.replies import Refusal
from tests.sandbox.conftest import row


@pytest.fixture
def merged(api, portal):
    primary = portal.create({"email": "a@example.com", "firstname": "Ada"})
    other = portal.create({"email": "b@example.com", "firstname": "Bea", "city": "Oslo", "members_user_id": "u-2"})
    reply = api("POST", "merge", {"primaryObjectId": primary, "objectIdToMerge": other})
    return primary, other, reply.json()["id"]


def test_a_merge_makes_a_new_id(merged):
    assert len(set(merged)) == 3


def test_the_primary_wins_and_the_other_fills_the_blanks(merged, portal):
    told = portal.contact(merged[2])["properties"]
    assert (told["firstname"], told["city"], told["members_user_id"]) == ("Ada", "Oslo", "u-2")
    assert (told["email"], told["hs_additional_emails"]) == ("a@example.com", "b@example.com")


def test_old_ids_answer_with_the_new_one(merged, api):
    for old in merged[:2]:
        assert api("GET", old).json()["id"] == merged[2]
    read = api("POST", "batch/read", {"inputs": [{"id": merged[0]}, {"id": merged[1]}], "properties": ["hs_merged_object_ids"]})
    assert [one["id"] for one in read.json()["results"]] == [merged[2]]
    assert read.json()["results"][0]["properties"]["hs_merged_object_ids"].split(";") == list(merged[:2])


def test_an_old_id_can_be_written(merged, api, portal):
    assert api("POST", "batch/update", {"inputs": [row(merged[1], {"city": "Bergen"})]}).status_code == 200
    assert portal.contact(merged[2])["properties"]["city"] == "Bergen"


def test_old_ids_are_not_listed(merged, api):
    assert [one["id"] for one in api("GET", "").json()["results"]] == [merged[2]]
    assert api("GET", "?archived=true").json()["results"] == []


def test_a_chain_of_merges_leads_to_the_last(merged, api, portal):
    last = portal.merge(portal.create({"email": "c@example.com"}), merged[2])
    assert api("GET", merged[0]).json()["id"] == last
    assert set(merged) <= set(portal.contact(last)["properties"]["hs_merged_object_ids"].split(";"))


def test_a_contact_does_not_merge_with_itself_or_nobody(merged, api):
    for pair in ((merged[0], merged[2]), (merged[2], "1")):
        reply = api("POST", "merge", {"primaryObjectId": pair[0], "objectIdToMerge": pair[1]})
        assert reply.status_code in (400, 404)


def test_a_restored_contact_is_the_same_one(api, portal):
    contact = portal.create({"email": "a@example.com", "members_user_id": "u-1"})
    later = portal.create({"email": "b@example.com"})
    portal.delete(contact)
    portal.restore(contact)
    assert api("GET", "u-1?idProperty=members_user_id").json()["id"] == contact
    assert [one["id"] for one in api("GET", "").json()["results"]] == [contact, later]


def test_a_contact_whose_email_was_taken_meanwhile_stays_archived(portal):
    contact = portal.create({"email": "a@example.com"})
    portal.delete(contact)
    portal.create({"email": "a@example.com"})
    with pytest.raises(Refusal):
        portal.restore(contact)


def test_an_erased_contact_is_gone_for_good(api, portal):
    contact = portal.create({"email": "a@example.com"})
    assert api("POST", "gdpr-delete", {"objectId": contact}).status_code == 204
    assert api("GET", f"{contact}?archived=true").status_code == 404
    with pytest.raises(Refusal):
        portal.restore(contact)


def test_an_archived_contact_can_be_erased(api, portal):
    contact = portal.create({"email": "a@example.com"})
    portal.delete(contact)
    assert api("POST", "gdpr-delete", {"objectId": contact}).status_code == 204
    assert api("GET", f"{contact}?archived=true").status_code == 404


def test_an_erased_address_may_come_back(api, portal):
    portal.create({"email": "a@example.com"})
    api("POST", "gdpr-delete", {"objectId": "A@example.com", "idProperty": "email"})
    assert portal.contacts() == []
    assert api("POST", "", {"properties": {"email": "a@example.com"}}).status_code == 201


def test_erasing_an_unknown_address_blocks_it(api):
    assert api("POST", "gdpr-delete", {"objectId": "a@example.com", "idProperty": "email"}).status_code == 204
    assert api("POST", "", {"properties": {"email": "a@example.com"}}).status_code == 400


def test_erasing_an_unknown_id_is_not_found(api):
    assert api("POST", "gdpr-delete", {"objectId": "1"}).status_code == 404
