"""Merges of which not everything is told: who is held for one, and until when."""

import pytest
from sqlalchemy import text

from connector.errors import Unavailable
from connector.model import Change, LinkState
from connector.sync import explain, reconcile, repair, who

from .scenes import BOB, CREATE_USER, HOUR
from .world import USER, World


def look(world):
    reconcile.reconcile(world.work, world.doze, ["members"], lambda *_: None)
    world.run()


@pytest.fixture
def merged(tmp_path):
    """A linked contact was merged with a stray one, and nobody told."""
    world = World(tmp_path, mapping=CREATE_USER)
    user = world.idp.register(USER)
    world.run()
    stray = world.crm.create({"email": "stray@example.com", "firstname": "Stray"})
    survivor = world.crm.merge(world.contact_of(user), stray)
    world.crm.events.clear()
    return world, user, survivor


def alone(world, user, survivor):
    with world.store.read() as tx:
        links = [link.user_id for found in tx.links.by_contacts([survivor]).values() for link in found]
    return links == [user] and world.link(user).state is LinkState.ACTIVE and len(world.idp.users) == 1


@pytest.mark.parametrize("failing", [False, True])
def test_the_survivor_of_a_merge_is_no_new_contact(merged, failing):
    world, user, survivor = merged
    world.deliver(Change("contact.created", survivor))
    if failing:
        world.crm.fails = [Unavailable("503")]
    world.run()
    world.later(HOUR)
    look(world)
    assert alone(world, user, survivor)


def test_a_contact_that_waits_for_its_user_is_nobody_else(merged):
    world, user, survivor = merged
    with world.store.write() as tx:
        tx.links.create([{"provider": "members", "contact_id": survivor, "state": LinkState.HELD, "reason": "two users"}])
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert world.link(user).state is LinkState.ACTIVE
    assert world.crm.contacts[survivor]["firstname"] == "Augusta"


@pytest.mark.parametrize("read", [True, False], ids=["read before", "erased at once"])
def test_what_was_told_of_the_other_contact_goes_with_the_person(merged, read):
    world, user, survivor = merged
    contact, stray = world.crm.merged
    world.deliver(Change("contact.changed", stray, property="lastname", value="Canarystray"))
    world.run()
    if read:
        world.idp.edit(user, {"first_name": "Augusta"})
        world.run()
        link = world.link(user)
        with world.store.read() as tx:
            assert set(tx.aliases.of_link(link.id)) == {contact, stray}
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    with world.store.read() as tx:
        assert "Canarystray" not in str(tx.connection.execute(text("select body from inbox")).all())


def test_what_was_merged_is_asked_for_again_when_that_fails(merged):
    world, user, survivor = merged
    former = set(world.crm.merged)
    world.idp.edit(user, {"first_name": "Augusta"})
    reads = []
    read = world.crm.read

    def failing(ids, properties):
        reads.append(ids)
        if len(reads) == 2:
            raise Unavailable("503")
        return read(ids, properties)

    world.crm.read = failing
    world.run()
    world.later(HOUR)
    link = world.link(user)
    with world.store.read() as tx:
        assert set(tx.aliases.of_link(link.id)) == former
    assert world.crm.contacts[survivor]["firstname"] == "Augusta"


def test_another_users_contact_is_no_former_one(tmp_path):
    world = World(tmp_path)
    user, other = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    mine, theirs = world.contact_of(user), world.contact_of(other)
    survivor = world.crm.merge(mine, theirs)
    world.crm.events.clear()
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    link = world.link(user)
    assert link.contact_id == survivor
    with world.store.read() as tx:
        assert tx.aliases.of_link(link.id) == [mine]


def test_an_address_that_is_an_additional_one_of_the_contact_now_is_told_as_that(tmp_path):
    world = World(tmp_path)
    user = world.idp.register(USER)
    world.run()
    stray = world.crm.create({"email": "stray@example.com"})
    survivor = world.crm.merge(stray, world.contact_of(user))
    world.run()
    assert world.crm.contacts[survivor]["email"] == "stray@example.com"
    link = world.link(user)
    with world.store.read() as tx:
        told = who.shown(world.work, tx, link)
        now = explain.explain(world.work, tx, link, "email")["chain"][-1]
    (email,) = (one for one in told["fields"] if one["user"] == "email")
    assert email["state"] == "agreed: the user's address is one of the contact's additional addresses"
    assert now["rule"] == "nothing is done, because the user's address is one of the contact's additional addresses"


@pytest.fixture
def two(tmp_path):
    """Two users whose contacts were merged: both wait for a person."""
    world = World(tmp_path)
    users = [world.idp.register(USER), world.idp.register(BOB)]
    world.run()
    survivor = world.crm.merge(*map(world.contact_of, users))
    world.crm.events.clear()
    look(world)
    return world, *users, survivor


def test_a_merge_that_is_told_late_ends_a_hold_for_it(two):
    world, held, other, survivor = two
    former = world.link(held).contact_id
    link = world.link(other)
    with world.store.write() as tx:
        repair.unlink(tx, link)
    world.deliver(Change("contact.merged", survivor, former_ids=(former,)))
    world.run()
    assert (world.link(held).state, world.link(held).contact_id) == (LinkState.ACTIVE, survivor)
