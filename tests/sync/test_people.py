"""The four ways a person disappears, and being forgotten for good."""

import pytest
from sqlalchemy import select

from connector.errors import Denied, Unavailable
from connector.model import Change
from connector.store.tables import metadata
from connector.sync import activities, erase, intake, recent, repair
from connector.sync.people import LEFT

from .consenting import CONSENTS, GRANTED
from .scenes import HOUR, crash, recover
from .world import USER, World

MAPPING = CONSENTS + "events: {as: custom_object, types: [user.created, user.login]}\n"
SECRET = USER | {"email": "canary@example.com", "first_name": "Canaria", "last_name": "Bird"}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=MAPPING)


def registered(world, values=SECRET):
    user = world.idp.register(values, consents=[GRANTED])
    world.run()
    return user


def everything(world):
    """All that the database holds, as text."""
    with world.store.read() as tx:
        tables = metadata.tables.values()
        return "\n".join(str(tuple(row)) for table in tables for row in tx.connection.execute(select(table)))


def forgotten(world, user):
    kept = everything(world)
    words = [word for word in ("canary@", "Canaria", f"'{user}'", f":{user}") if word in kept]
    return words == [] and world.link(user).state == "erased"


def test_who_asks_to_be_forgotten_is_erased_on_both_sides_and_here(world):
    user = registered(world)
    contact = world.contact_of(user)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert contact not in world.crm.contacts
    assert contact not in world.crm.archived
    assert forgotten(world, user)
    with world.store.read() as tx:
        assert tx.ledger.verify() == []


def test_a_contact_whose_creation_was_never_answered_is_erased_too(world):
    user = world.idp.register(SECRET)
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    assert world.link(user).contact_id is None
    world.idp.ask_to_be_forgotten(user)
    world.later(HOUR)
    assert world.crm.contacts == {}
    assert forgotten(world, user)


def test_a_record_whose_sending_was_never_answered_is_removed_too(world):
    user = registered(world)
    world.crm.loses = [Unavailable("timeout")]
    activities.send(world.work)
    assert len(world.crm.records) == 1
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.crm.records == {}


def test_while_nobody_tells_which_record_that_is_the_person_is_not_erased(world):
    user = registered(world)
    world.crm.loses = [Unavailable("timeout")]
    activities.send(world.work)
    world.crm.event_faults = dict.fromkeys(world.crm.records, Unavailable("busy"))
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.link(user).state == "active"
    world.crm.event_faults = {}
    world.later(HOUR)
    assert world.crm.records == {}
    assert forgotten(world, user)


def test_what_is_told_of_a_merged_contact_is_not_kept_once_it_is_erased(world):
    """The events of both contacts, of their merge and of the erasure come together."""
    user, other = registered(world), registered(world, USER | {"email": "bob@example.com"})
    one, two = world.contact_of(user), world.contact_of(other)
    world.crm.edit(one, {"firstname": "Canariensis"})
    world.crm.forget(world.crm.merge(one, two))
    world.run()
    assert forgotten(world, user)
    assert "Canariensis" not in everything(world)


@pytest.mark.parametrize("apart", [True, False], ids=["two deliveries", "one delivery"])
def test_a_privacy_deletion_that_is_told_before_the_merge_before_it_erases_too(world, apart):
    user = registered(world)
    between = world.crm.merge(world.contact_of(user), world.crm.create({"email": "stray@example.com", "firstname": "Stray"}))
    last = world.crm.merge(world.crm.create({"email": "other@example.com"}), between)
    merges = [one for one in world.crm.events if one.kind == "contact.merged"]
    world.crm.contacts.pop(last)
    world.crm.events.clear()
    for change in (Change("contact.erased", last), *reversed(merges)):
        world.deliver(change)
        if apart:
            world.run()
    world.run()
    assert forgotten(world, user)
    assert user in world.idp.users


def test_a_merge_into_a_contact_that_we_erased_and_somebody_restored_erases_nobody_else(world):
    """Only a privacy deletion is for good; where HubSpot keeps the id of a merge's primary contact, that one may live again."""
    user, other = registered(world), registered(world, USER | {"email": "bob@example.com"})
    contact, former = world.contact_of(user), world.contact_of(other)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert forgotten(world, user)
    world.crm.contacts[contact] = world.crm.contacts.pop(former)
    world.crm.merged[former] = contact
    world.crm.events.clear()
    world.deliver(Change("contact.merged", contact, former_ids=(former,)))
    world.run()
    assert world.link(other).state == "active"


def test_an_erasure_that_the_crm_fails_at_first_is_made_up_for(world):
    """Also of somebody who is deleted or unlinked, for whom nothing else is ever due."""
    user = registered(world)
    contact = world.contact_of(user)
    world.crm.delete(contact)
    world.run()
    world.later(120)
    assert world.link(user).state == "unlinked"
    world.idp.ask_to_be_forgotten(user)
    world.crm.fails = [Unavailable("down")]
    world.run()
    world.later(HOUR)
    assert forgotten(world, user)


def test_a_contact_that_was_merged_with_another_users_stays_before_we_are_told(world):
    user, other = registered(world), registered(world, USER | {"email": "bob@example.com"})
    world.idp.ask_to_be_forgotten(user)
    survivor = world.crm.merge(world.contact_of(user), world.contact_of(other))
    world.crm.events.clear()
    world.run()
    assert world.link(user).state == "erased"
    assert survivor in world.crm.contacts


def test_of_two_who_both_ask_and_whose_contacts_were_merged_before_we_are_told_none_stays(world):
    """Neither keeps the contact for the other."""
    user, other = registered(world), registered(world, USER | {"email": "bob@example.com"})
    for one in (user, other):
        world.idp.ask_to_be_forgotten(one)
    world.crm.merge(world.contact_of(user), world.contact_of(other))
    world.crm.events.clear()
    world.run()
    assert (world.link(user).state, world.link(other).state) == ("erased", "erased")
    assert world.crm.contacts == {}


def test_the_contact_goes_although_another_user_who_was_never_linked_to_it_has_the_address(world):
    user, other = registered(world), registered(world)
    world.later(60)
    contact = world.contact_of(user)
    assert (world.link(other).state, world.link(other).contact_id) == ("held", None)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.link(user).state == "erased"
    assert contact not in world.crm.contacts


def test_an_erasure_goes_on_although_the_contact_was_merged_with_another_users(world):
    user, other = registered(world), registered(world, USER | {"email": "bob@example.com"})
    one, two = world.contact_of(user), world.contact_of(other)
    world.idp.ask_to_be_forgotten(user)
    intake.take(world.work)
    world.crm.merge(two, one)
    world.run()
    assert forgotten(world, user)
    assert world.contact_of(other) in world.crm.contacts


def test_the_contact_is_archived_where_the_mapping_says_so(tmp_path):
    world = World(tmp_path, mapping=MAPPING + "lifecycle: {user_erased: archive_contact}\n")
    user = registered(world)
    contact = world.contact_of(user)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert contact in world.crm.archived
    assert forgotten(world, user)


def test_nothing_brings_an_erased_person_back(world):
    user = registered(world)
    early = [Change("user.updated", user, world.clock(), user=world.idp.users[user])]
    contact = world.contact_of(user)
    kept = world.idp.users[user]
    world.idp.ask_to_be_forgotten(user)
    world.run()
    world.idp.users[user] = kept  # the provider lists the user all the same
    for change in [*early, Change("user.created", user, world.clock(), user=kept), Change("contact.created", contact)]:
        world.deliver(change)
    world.run()
    world.sweep()
    world.later(HOUR)
    assert world.crm.contacts == {}
    assert forgotten(world, user)


def test_an_erasure_that_cannot_be_carried_out_now_is_carried_out_later(world):
    user = registered(world)
    world.crm.fails = [Unavailable("down")] * 3
    world.idp.ask_to_be_forgotten(user)
    world.run()
    for _ in range(5):
        world.later(HOUR)
    assert forgotten(world, user)
    assert world.crm.contacts == {}


@pytest.mark.parametrize("where", ["leased", "contact.erase"])
def test_a_worker_that_dies_while_erasing_is_followed_by_one_that_does_it(world, where):
    user = registered(world)
    world.idp.ask_to_be_forgotten(user)
    crash(world, where)
    recover(world)
    world.run()
    assert forgotten(world, user)
    assert world.crm.contacts == {}


def test_a_request_about_somebody_we_never_knew_keeps_them_out(world):
    world.deliver(Change("erasure.requested", "u-77", world.clock()))
    intake.take(world.work)
    world.deliver(Change("user.created", "u-77", world.clock()))
    world.run()
    assert world.crm.contacts == {}
    assert world.link("u-77") is None


def test_somebody_erased_who_registers_anew_is_a_new_person(world):
    user = registered(world)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    world.clock.pass_(60)
    anew = world.idp.register(SECRET)
    world.run()
    assert world.link(anew).state == "active"
    assert world.crm.contacts[world.contact_of(anew)]["communicable"] == "false"
    assert not [one for one in world.idp.users[anew].consents or () if one["state"] == "granted"]


def test_a_privacy_deletion_in_the_crm_erases_our_copies_at_once_and_leaves_the_user(world):
    user = registered(world)
    world.crm.forget(world.contact_of(user))
    world.deliver_all()
    intake.take(world.work)
    assert forgotten(world, user)
    assert user in world.idp.users


def test_an_unlinked_person_can_be_forgotten_too(world):
    user = registered(world)
    contact = world.contact_of(user)
    world.crm.delete(contact)
    world.run()
    world.later(120)
    assert world.link(user).state == "unlinked"
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert forgotten(world, user)
    assert contact not in world.crm.archived


@pytest.mark.parametrize(("rule", "state"), [("ignore", "unlinked"), ("relink", "active")])
def test_a_restored_contact(tmp_path, rule, state):
    world = World(tmp_path, mapping=MAPPING + f"lifecycle: {{contact_restored: {rule}}}\n")
    user = registered(world)
    contact = world.contact_of(user)
    world.crm.delete(contact)
    world.run()
    world.later(120)
    assert world.link(user).state == "unlinked"
    world.crm.restore(contact)
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert world.link(user).state == state
    assert (world.crm.contacts[contact]["firstname"] == "Augusta") is (state == "active")


@pytest.mark.parametrize(
    ("rule", "cut", "state"),
    [("ignore", False, "unlinked"), ("relink", False, "active"), ("relink", True, "unlinked")],
)
def test_a_restored_contact_of_which_no_webhook_tells(tmp_path, rule, cut, state):
    """The listing of contacts shows it; one whose link a person cut before stays cut."""
    world = World(tmp_path, mapping=MAPPING + f"lifecycle: {{contact_restored: {rule}}}\n")
    user = registered(world)
    contact, link = world.contact_of(user), world.link(user)
    if cut:
        with world.store.write() as tx:
            repair.unlink(tx, link)
    world.crm.delete(contact)
    world.run()
    world.later(120)
    recent.contacts(world.work)
    assert world.link(user).state == "unlinked"
    world.crm.restore(contact)
    world.crm.events.clear()
    recent.contacts(world.work)
    world.run()
    assert world.link(user).state == state


def test_events_are_recorded_once_for_linked_people_and_go_with_them(world):
    user = registered(world)
    activities.send(world.work)
    assert [one.kind for one in world.crm.records.values()] == ["user.created"]
    world.idp.ask_to_be_forgotten(user)
    world.run()
    activities.send(world.work)
    assert world.crm.records == {}


def test_who_is_deleted_for_good_at_the_provider_leaves_nothing_either(tmp_path):
    world = World(tmp_path, mapping=MAPPING + "lifecycle: {user_deleted: erase_contact, user_erased: archive_contact}\n")
    user = registered(world)
    activities.send(world.work)
    assert world.crm.records
    world.idp.remove(user)
    world.run()
    assert (world.crm.contacts, world.crm.archived, world.crm.records) == ({}, {}, {})
    assert forgotten(world, user)
    assert world.link(user).reason == "erased with the user; contact erased"


def test_records_of_events_that_cannot_be_removed_are_named_and_go_later(world):
    user = registered(world)
    activities.send(world.work)
    remove = world.crm.remove_events

    def denied(schema, ids):
        raise Denied("grant the token crm.objects.custom.write")

    world.crm.remove_events = denied
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert forgotten(world, user)
    assert LEFT in world.link(user).reason
    assert world.crm.records
    world.crm.check_portal = lambda: None
    assert LEFT in erase.erase(world.work, [world.link(user)], world.clock.pass_)[0].contact
    world.crm.remove_events = remove
    assert erase.erase(world.work, [world.link(user)], world.clock.pass_)[0].contact == "contact erased"
    assert world.crm.records == {}
