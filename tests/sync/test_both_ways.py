"""The main job on fakes: what one change on one side does to the other."""

import pytest

from .world import USER, World


@pytest.fixture
def world(tmp_path, migrated_url):
    world = World(tmp_path, migrated_url)
    yield world
    world.close()


@pytest.fixture
def linked(world):
    user = world.idp.register(USER)
    world.run()
    return world, user, world.contact_of(user)


def test_a_registration_makes_a_contact(world):
    user = world.idp.register(USER)
    world.run()
    contact = world.crm.contacts[world.contact_of(user)]
    assert contact == {
        "email": "ada@example.com", "firstname": "Ada", "lastname": "Lovelace", "country": "Spain", "tier": "gold",
        "interests": "film", "members_user_id": user,
    }  # fmt: skip
    assert world.link(user).state == "active"
    assert world.crm.made == {"upsert": 1}


def test_an_edit_by_the_user_reaches_the_contact(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Augusta"


def test_an_edit_in_the_crm_reaches_the_user(linked):
    world, user, contact = linked
    world.crm.edit(contact, {"firstname": "Augusta", "country": "Norway", "score": "12.50"})
    world.run()
    assert world.idp.users[user].values["first_name"] == "Augusta"
    assert world.idp.users[user].values["country"] == "NO"
    assert world.idp.users[user].values["custom.score"] == 12.5


def test_own_writes_that_come_back_cause_no_call(linked):
    world, user, contact = linked
    world.crm.made.clear()
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert world.crm.made == {"read": 1, "update": 1}
    world.crm.edit(contact, {"firstname": "Ada"})
    world.run()
    assert world.crm.made == {"read": 2, "update": 1}


def test_an_existing_contact_is_linked_and_its_blanks_filled(world):
    contact = world.crm.create({"email": "ada@example.com", "lastname": "King"})
    world.clock.pass_(5)
    user = world.idp.register({**USER, "last_name": None})
    world.run()
    assert world.contact_of(user) == contact
    assert world.crm.contacts[contact]["firstname"] == "Ada"
    assert world.idp.users[user].values["last_name"] == "King"
    assert len(world.crm.contacts) == 1


def test_an_existing_contact_is_found_by_email_when_the_crm_names_no_id(world):
    world.crm.names_existing = False
    contact = world.crm.create({"email": "ada@example.com"})
    user = world.idp.register(USER)
    world.run()
    assert world.contact_of(user) == contact


def test_sets_are_merged_element_by_element(linked):
    world, user, contact = linked
    world.idp.edit(user, {"custom.interests": ["film", "sport"]})
    world.crm.edit(contact, {"interests": "film;music"})
    world.run()
    assert world.crm.contacts[contact]["interests"] == "film;music;sport"
    assert sorted(world.idp.users[user].values["custom.interests"]) == ["film", "music", "sport"]


def test_a_crm_edit_of_a_one_way_field_is_left_and_counted(linked):
    world, user, contact = linked
    world.crm.edit(contact, {"tier": "silver"})
    world.run()
    assert world.crm.contacts[contact]["tier"] == "silver"
    assert world.idp.users[user].values["custom.tier"] == "gold"
    assert world.link(user).drift == ("custom.tier",)


def test_clearing_a_field_clears_the_other_side_where_the_mapping_says_so(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": None, "last_name": None})
    world.run()
    assert world.crm.contacts[contact]["firstname"] == ""
    assert world.crm.contacts[contact]["lastname"] == "Lovelace"


def test_the_newer_of_two_edits_wins_and_the_loser_is_recorded(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Older"})
    world.clock.pass_(10)
    world.crm.edit(contact, {"firstname": "Newer"})
    world.run()
    assert world.idp.users[user].values["first_name"] == "Newer"
    with world.store.read() as tx:
        told = [change for entry in tx.history.of_link(world.link(user).id) for change in entry.changes]
    assert any(change["user"] == "Older" and change["contact"] == "Newer" for change in told)


def test_a_deleted_user_takes_the_contact_along(linked):
    world, user, contact = linked
    world.idp.remove(user)
    world.run()
    assert contact not in world.crm.contacts
    assert world.link(user).state == "deleted"


def test_a_deleted_contact_cuts_the_link_after_the_grace(linked):
    world, user, contact = linked
    world.crm.delete(contact)
    world.run()
    assert world.link(user).state == "active"
    world.later(61)
    assert world.link(user).state == "unlinked"
    world.idp.edit(user, {"first_name": "Back"})
    world.later(3600)
    assert world.crm.contacts == {}
    assert user in world.idp.users


def test_a_late_event_brings_no_deleted_user_back(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Late"})
    late = world.idp.events.pop()
    world.idp.remove(user)
    world.run()
    world.deliver(late)
    world.later(3600)
    assert world.crm.contacts == {}


def test_a_creation_that_arrives_after_the_deletion_is_nobody(world):
    user = world.idp.register(USER)
    created = world.idp.events.pop()
    world.idp.remove(user)
    world.run()
    world.deliver(created)
    world.run()
    assert world.crm.contacts == {}


def test_a_merge_moves_the_link_to_the_survivor(linked):
    world, user, contact = linked
    other = world.crm.create({"email": "old@example.com", "firstname": "Old"})
    world.run()
    survivor = world.crm.merge(contact, other)
    world.run()
    world.later(120)
    assert world.link(user).contact_id == survivor
    assert world.link(user).state == "active"
    world.idp.edit(user, {"first_name": "After"})
    world.run()
    assert world.crm.contacts[survivor]["firstname"] == "After"


def test_a_merge_nobody_told_about_is_followed_all_the_same(linked):
    world, user, contact = linked
    other = world.crm.create({"email": "old@example.com"})
    survivor = world.crm.merge(contact, other)
    world.crm.events.clear()
    world.idp.edit(user, {"first_name": "After"})
    world.run()
    assert world.link(user).contact_id == survivor
    assert world.crm.contacts[survivor]["firstname"] == "After"


def test_two_users_on_one_survivor_wait_for_a_person(world):
    one, two = world.idp.register(USER), world.idp.register({**USER, "email": "bob@example.com"})
    world.run()
    world.crm.merge(world.contact_of(one), world.contact_of(two))
    world.run()
    assert {world.link(one).state, world.link(two).state} == {"held"}


def test_a_refused_property_is_parked_and_the_rest_goes_on(linked):
    world, user, contact = linked
    world.crm.refuses = {"country": "INVALID_OPTION"}
    world.idp.edit(user, {"country": "NO", "first_name": "Augusta"})
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Augusta"
    assert world.crm.contacts[contact]["country"] == "Spain"
    with world.store.read() as tx:
        assert [(row.what, row.link) for row in tx.parked.rows()] == [("country", f"members:{user}")]
    world.crm.refuses = {}
    world.idp.edit(user, {"first_name": "Ada"})
    world.run()
    assert world.crm.contacts[contact]["country"] == "Spain"
    world.idp.edit(user, {"country": None})
    world.run()
    with world.store.read() as tx:
        assert tx.parked.rows() == []


def test_a_write_that_changes_nothing_is_a_failure(linked):
    world, user, contact = linked
    world.crm.noop = {"firstname"}
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    with world.store.read() as tx:
        assert "did not change" in tx.parked.rows()[0].reason
    assert world.link(user).base["first_name"] == "Ada"


def test_an_unreadable_value_is_held_and_the_rest_goes_on(linked):
    world, user, contact = linked
    world.crm.edit(contact, {"score": "many", "firstname": "Augusta"})
    world.run()
    assert world.idp.users[user].values["first_name"] == "Augusta"
    assert world.link(user).held == {"custom.score": "the contact's value is not a number"}


def test_an_unknown_option_is_held(linked):
    world, user, contact = linked
    world.idp.edit(user, {"country": "FR", "first_name": "Augusta"})
    world.run()
    assert world.crm.contacts[contact]["country"] == "Spain"
    assert world.crm.contacts[contact]["firstname"] == "Augusta"
    assert list(world.link(user).held) == ["country"]
