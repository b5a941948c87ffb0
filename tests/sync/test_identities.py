"""Addresses that move between people, merges, shared contacts."""

import pytest

from connector.sync import intake, repair

from .scenes import BOB, CREATE_USER, HOUR, PAST_LEASE, crash, link, values_of
from .world import MAPPING, USER, World

# identities (F45)


def test_two_users_who_swap_their_addresses_are_parked_not_looped(world):
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    world.idp.edit(one, {"email": BOB["email"]})
    world.idp.edit(two, {"email": USER["email"]})
    world.run()
    calls = world.crm.calls
    for _ in range(60):
        world.later(1)
    assert world.crm.calls - calls < 25
    for _ in range(10):
        world.later(HOUR)
    calls = world.crm.calls
    world.later(HOUR)
    assert world.crm.calls == calls
    assert {what for what, _ in world.parked()} == {"email"}
    assert all("another contact has this address" in reason for _, reason in world.parked())


def test_an_address_handed_on_from_one_user_to_another_arrives_whatever_the_order(world):
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    world.idp.edit(two, {"email": "new@example.com"})
    world.idp.edit(one, {"email": BOB["email"]})
    world.idp.events.reverse()
    world.run()
    for _ in range(4):
        world.later(60)
    assert world.crm.contacts[world.contact_of(one)]["email"] == BOB["email"]
    assert world.crm.contacts[world.contact_of(two)]["email"] == "new@example.com"
    assert world.parked() == []


def test_an_address_taken_over_from_a_deleted_user_makes_a_new_contact(world):
    one = world.idp.register(USER)
    world.run()
    old = world.contact_of(one)
    world.idp.remove(one)
    two = world.idp.register(USER)
    world.run()
    world.later(60)
    assert old not in world.crm.contacts
    assert world.link(two).state == "active"
    assert world.contact_of(two) != old


def test_two_new_users_with_one_address_do_not_share_a_contact(world):
    contact = world.crm.create({"email": "ada@example.com", "lastname": "King"})
    world.run()
    one, two = world.idp.register(USER), world.idp.register({**USER, "first_name": "Other"})
    world.run()
    world.later(HOUR)
    assert sorted([world.link(one).state, world.link(two).state]) == ["active", "held"]
    assert values_of(world, one)["first_name"] == "Ada"
    assert values_of(world, two)["first_name"] == "Other"
    assert world.crm.contacts[contact]["members_user_id"] == one


def test_a_contact_that_a_person_cut_off_is_linked_to_no_other_user(linked):
    world, user, contact = linked
    cut = world.link(user)
    with world.store.write() as tx:
        repair.unlink(tx, cut)
    world.crm.edit(contact, {"members_user_id": ""})
    other = world.idp.register({**USER, "first_name": "Other"})
    world.run()
    assert (world.link(other).state, world.link(other).contact_id) == ("held", None)
    assert "was unlinked before" in world.link(other).reason
    assert (world.crm.contacts[contact]["firstname"], world.contact_of(other)) == ("Ada", None)


def test_a_merge_told_while_a_worker_believes_the_contact_deleted_cuts_no_link(linked):
    world, user, contact = linked
    survivor = world.crm.merge(world.crm.create({"email": BOB["email"]}), contact)
    merged = world.crm.events.pop()
    world.run()
    read = world.crm.read

    def behind(ids, properties):
        """The CRM's answer is older than the event about it."""
        world.crm.read = read
        world.deliver(merged)
        intake.take(world.work)
        return {}

    world.crm.read = behind
    world.later(61)
    assert world.crm.read == read
    assert (world.link(user).state, world.link(user).contact_id) == ("active", survivor)


def test_two_workers_who_meet_one_contact_link_it_once(world):
    contact = world.crm.create({"email": "ada@example.com"})
    world.run()
    one = world.idp.register(USER)
    world.deliver_all()
    intake.take(world.work)
    two = []

    def second():
        two.append(world.idp.register({**USER, "first_name": "Other"}))
        world.deliver_all()
        world.settle(world.worker("other")) if intake.take(world.work) else None

    world.crash_at("contact.update", second)
    world.work_off()
    world.run()
    world.later(HOUR)
    assert sorted([world.link(one).state, world.link(two[0]).state]) == ["active", "held"]
    assert values_of(world, one)["first_name"] == world.crm.contacts[contact]["firstname"] == "Ada"
    assert values_of(world, two[0])["first_name"] == "Other"


def test_a_merge_of_two_linked_contacts_nobody_told_about_mixes_no_users(world):
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    survivor = world.crm.merge(world.contact_of(two), world.contact_of(one))
    world.crm.events.clear()
    world.sweep()
    world.later(HOUR)
    assert values_of(world, one)["first_name"] == "Ada"
    assert values_of(world, two)["first_name"] == "Bob"
    assert "held" in {world.link(one).state, world.link(two).state}
    assert world.crm.contacts[survivor]["firstname"] == "Bob"


def test_a_merge_with_a_contact_that_waits_for_its_user_keeps_the_link(tmp_path):
    world, user, contact = link(World(tmp_path, mapping=CREATE_USER))
    other = world.crm.create({"firstname": "No address"})
    world.run()
    survivor = world.crm.merge(contact, other)
    world.run()
    world.later(HOUR)
    assert (world.link(user).state, world.link(user).contact_id) == ("active", survivor)


@pytest.mark.parametrize("rule", ["ignore", "link_only", "create_user"])
@pytest.mark.parametrize("properties", [{"firstname": "Ada"}, {"email": "ada@example.com"}])
def test_a_contact_nobody_is_linked_to_is_never_touched(tmp_path, rule, properties):
    world = World(tmp_path, mapping=MAPPING + f"lifecycle: {{contact_created: {rule}}}\n")
    contact = world.crm.create(properties)
    world.run()
    world.crm.edit(contact, {"firstname": "Augusta"})
    world.later(HOUR)
    assert world.crm.contacts[contact].items() >= {**properties, "firstname": "Augusta"}.items()


def test_a_contact_that_gets_its_address_later_gets_its_user_then(tmp_path):
    world = World(tmp_path, mapping=CREATE_USER)
    contact = world.crm.create({"firstname": "Ada"})
    world.run()
    assert world.idp.users == {}
    world.crm.edit(contact, {"email": "ada@example.com"})
    world.run()
    (user,) = world.idp.users
    assert world.link(user).contact_id == contact


def test_a_users_own_link_makes_no_contact_while_one_is_on_its_way_to_it(tmp_path):
    """A user was made for a contact by a worker that died; its event and the contact's second look come in one batch."""
    world = World(tmp_path, mapping=CREATE_USER)
    contact = world.crm.create({"email": "ada@example.com"})
    crash(world, "user.create")
    world.crm.edit(contact, {"email": "new@example.com"})
    world.clock.pass_(PAST_LEASE)
    world.run()
    assert (list(world.crm.contacts), list(world.idp.users)) == ([contact], ["u-1"])
    assert world.link("u-1").contact_id == contact


def test_a_user_made_for_a_contact_is_on_record(tmp_path):
    world = World(tmp_path, mapping=CREATE_USER)
    world.crm.create({"email": "ada@example.com", "firstname": "Ada"})
    world.crash_at("user.create", lambda: (world.deliver_all(), intake.take(world.work)))
    world.run()
    (user,) = world.idp.users
    with world.store.read() as tx:
        assert "user.create" in [entry.kind for entry in tx.history.of_link(world.link(user).id)]


def test_an_address_the_crm_calls_taken_but_does_not_show_yet_is_waited_for(world):
    """Searches lag behind by seconds; asking again and again in that time helps nobody."""
    world.crm.names_existing = False
    contact = world.crm.create({"email": "ada@example.com"})
    world.crm.unindexed = {contact}
    user = world.idp.register(USER)
    world.run()
    assert world.crm.calls < 5
    world.crm.unindexed = set()
    world.later(60)
    assert world.contact_of(user) == contact


def test_a_contact_shared_with_a_held_link_of_another_provider_is_not_archived(linked):
    world, user, contact = linked
    with world.store.write() as tx:
        tx.links.create([{"provider": "shop", "user_id": "s-1", "contact_id": contact, "state": "held"}])
    world.idp.remove(user)
    world.run()
    assert contact in world.crm.contacts
    assert world.link(user).state == "deleted"


def test_an_address_that_somebody_else_still_has_is_shown_as_held_while_it_is_tried_again(world):
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    world.crm.edit(world.contact_of(two), {"email": "taken@example.com"}, by="nobody")
    world.crm.events.clear()
    world.idp.edit(one, {"email": "taken@example.com"})
    world.run()
    assert world.link(one).held == {"email": "another contact has this address; tried again"}
    world.crm.edit(world.contact_of(two), {"email": "free@example.com"}, by="nobody")
    world.later(10)
    assert world.link(one).held == {}
    assert world.crm.contacts[world.contact_of(one)]["email"] == "taken@example.com"
