"""Contacts whose creation no webhook told: what the listing of changed contacts makes of them, and of whom it makes nothing."""

from datetime import timedelta

import pytest

from connector.errors import Unavailable
from connector.model import Change, LinkState
from connector.sync import batch, contact_events, intake, recent, reconcile, repair, sweep

from .scenes import BOB, CREATE_USER, HOUR, RECEIVE_ONLY
from .test_two_providers import Two
from .world import MAPPING, USER, World

LINK_ONLY = MAPPING + "lifecycle: {contact_created: link_only}\n"
ADA = {"email": "ada@example.com", "firstname": "Ada"}


@pytest.fixture
def world(tmp_path):
    return watching(World(tmp_path, mapping=CREATE_USER))


def watching(world):
    """Somebody looked before; that was an hour ago."""
    recent.contacts(world.work)
    world.clock.pass_(HOUR)
    return world


def look(world):
    """The webhooks about contacts are lost; what changed is listed. Returns how many were rung."""
    world.crm.events.clear()
    rung = recent.contacts(world.work)
    world.work_off()
    return rung


def change_mapping(world, mapping):
    """Another lifecycle is put in force."""
    other = World(world.folder, mapping=mapping, store=world.store, clock=world.clock)
    world.work.mappings["members"] = other.mapping


def links_of(world, contact):
    with world.store.read() as tx:
        return tx.links.by_contacts([contact]).get(contact, [])


class TestNew:
    def test_it_gets_its_user(self, world):
        contact = world.crm.create(ADA)
        assert look(world) == 1
        (user,) = world.idp.users.values()
        assert (user.values["email"], world.contact_of(user.id)) == ("ada@example.com", contact)
        assert world.link(user.id).state is LinkState.ACTIVE

    def test_whoever_meets_it_second_makes_nothing_of_it(self, world):
        """The webhook's and the listing's transaction have both seen no link before."""
        contact = world.crm.create(ADA)
        for made in (1, 0):
            with world.store.write() as tx:
                assert contact_events.created(tx, contact, ["members"]) == made
        assert len(links_of(world, contact)) == 1

    def test_looking_again_makes_no_second_user(self, world):
        world.crm.create(ADA)
        look(world)
        world.run()
        writes = world.crm.writes, world.idp.writes
        assert [look(world), look(world)] == [0, 0]
        assert (world.crm.writes, world.idp.writes, len(world.idp.users)) == (*writes, 1)

    def test_one_without_an_address_waits_for_it(self, world):
        contact = world.crm.create({"firstname": "Ada"})
        look(world)
        assert (world.idp.users, len(links_of(world, contact))) == ({}, 1)
        world.crm.edit(contact, {"email": "ada@example.com"})
        world.run()
        assert len(world.idp.users) == 1

    def test_it_is_linked_to_the_user_who_is_there(self, tmp_path):
        world = watching(World(tmp_path, mapping=LINK_ONLY))
        user = world.idp.register(USER)
        world.idp.events.clear()
        contact = world.crm.create(ADA)
        assert look(world) == 1
        assert world.contact_of(user) == contact

    def test_link_only_makes_no_user(self, tmp_path):
        world = watching(World(tmp_path, mapping=LINK_ONLY))
        contact = world.crm.create(ADA)
        look(world)
        assert (world.idp.users, links_of(world, contact)) == ({}, [])

    def test_ignore_makes_nothing(self, tmp_path):
        world = watching(World(tmp_path))
        world.crm.create(ADA)
        assert look(world) == 0

    def test_one_that_the_index_shows_late_is_seen_by_the_next_look(self, world):
        contact = world.crm.create(ADA)
        world.crm.unindexed = {contact}
        world.clock.pass_(30)
        assert look(world) == 0
        world.crm.unindexed = set()
        world.clock.pass_(HOUR)
        assert look(world) == 1

    def test_a_listing_that_broke_off_forgets_nobody(self, world):
        whole = world.crm.changed_since

        def broken(since, properties):
            yield []
            raise Unavailable("500")

        world.crm.create(ADA)
        world.crm.changed_since = broken
        with pytest.raises(Unavailable):
            recent.contacts(world.work)
        world.crm.changed_since = whole
        world.clock.pass_(3 * HOUR)
        assert look(world) == 1

    def test_an_address_that_nobody_told_is_found_by_the_next_look(self, world):
        contact = world.crm.create({"firstname": "Ada"})
        look(world)
        world.clock.pass_(HOUR)
        world.crm.edit(contact, {"email": "ada@example.com"})
        look(world)
        (user,) = world.idp.users.values()
        assert world.contact_of(user.id) == contact


class TestBefore:
    def test_the_first_look_makes_nobody_of_those_who_are_there(self, tmp_path):
        world = World(tmp_path, mapping=CREATE_USER)
        world.crm.create(ADA)
        world.clock.pass_(60)  # within what listings overlap
        assert [look(world), look(world)] == [0, 0]
        world.sweep()
        assert world.idp.users == {}

    def test_nor_does_an_edit_of_one_of_them(self, tmp_path):
        world = World(tmp_path, mapping=CREATE_USER)
        contact = world.crm.create(ADA)
        world.clock.pass_(60)
        watching(world)
        world.crm.edit(contact, {"firstname": "Augusta"})
        assert look(world) == 0
        world.sweep()
        assert world.idp.users == {}

    def test_those_who_came_while_the_mapping_said_ignore_stay_as_they_are(self, world):
        change_mapping(world, MAPPING)
        look(world)
        world.clock.pass_(60)
        world.crm.create(ADA)
        world.clock.pass_(60)
        change_mapping(world, CREATE_USER)
        assert look(world) == 0
        world.crm.create({"email": "bob@example.com"})
        assert look(world) == 1

    def test_after_a_long_stop_those_who_came_meanwhile_are_new(self, world):
        world.clock.pass_(24 * HOUR)
        world.crm.create(ADA)
        world.clock.pass_(24 * HOUR)
        assert look(world) == 1


class TestNotNew:
    def test_our_own(self, world):
        user = world.idp.register(USER)
        world.run()
        assert look(world) == 0
        assert list(world.idp.users) == [user]

    def test_our_own_whose_link_is_not_recorded_yet(self, world):
        """Another worker has made the contact, and not heard of it so far."""
        world.idp.register(USER)
        seen = []
        world.crash_at("contact.create", lambda: seen.append(recent.contacts(world.work)))
        world.run()
        assert (seen, len(world.idp.users)) == ([0], 1)

    def test_our_own_that_the_database_does_not_know(self, world):
        """It was restored from a backup."""
        world.crm.create({**ADA, "members_user_id": "u-9"})
        assert look(world) == 0

    def test_an_erased_one(self, world):
        contact = world.crm.create(ADA)
        with world.store.write() as tx:
            tx.tombstones.bury("crm", None, [contact])
        assert look(world) == 0

    @pytest.mark.parametrize("state", [LinkState.UNLINKED, LinkState.DELETED, LinkState.MERGED, LinkState.HELD])
    def test_one_whose_link_has_ended(self, world, state):
        user = world.idp.register(USER)
        world.run()
        link, contact = world.link(user), world.contact_of(user)
        with world.store.write() as tx:
            tx.links.notice(link.id, {"state": state}, None)
        world.crm.edit(contact, {"members_user_id": ""})
        assert look(world) == 0
        assert world.link(user).state is state

    def test_one_that_a_person_unlinked(self, world):
        world.crm.create(ADA)
        look(world)
        (user,) = world.idp.users
        link = world.link(user)
        with world.store.write() as tx:
            repair.unlink(tx, link)
        world.crm.edit(world.contact_of(user), {"members_user_id": "", "email": "other@example.com"})
        assert look(world) == 0
        assert list(world.idp.users) == [user]

    def test_one_that_its_user_was_relinked_from(self, world):
        """It has neither a link nor an id any more; an edit long after makes nobody new of it."""
        user = world.idp.register(USER)
        world.run()
        watching(watching(world))
        former, other = world.contact_of(user), world.crm.create({"firstname": "Ada"}, by="nobody")
        world.crm.check_portal = lambda: None
        repair.relink(world.work, world.link(user), other)
        world.work_off()
        watching(world)
        world.crm.edit(former, {"email": "other@example.com"})
        assert look(world) == 0
        assert list(world.idp.users) == [user]

    def test_the_former_contact_of_a_merge(self, world):
        user = world.idp.register(USER)
        world.run()
        former, other = world.contact_of(user), world.crm.create({"email": "x@example.com"}, by="nobody")
        world.crm.events.clear()
        world.crm.merge(other, former)
        world.run()
        with world.store.write() as tx:
            assert tx.links.by_contacts([former])
        assert look(world) == 0
        assert list(world.idp.users) == [user]

    def test_what_was_merged_of_contacts_that_nobody_is_linked_to(self, tmp_path):
        world = World(tmp_path, mapping=CREATE_USER)
        one, two = world.crm.create(ADA), world.crm.create({"email": "bob@example.com"})
        watching(world)
        world.crm.merge(one, two)
        assert look(world) == 0

    def test_one_without_a_time(self, world):
        world.crm.create(ADA)
        world.crm._computed = lambda contact_id: {"createdate": None}
        assert look(world) == 0


class TestBesideTheWebhook:
    def test_the_webhook_after_the_look(self, world):
        contact = world.crm.create(ADA)
        recent.contacts(world.work)
        world.run()
        assert (len(world.idp.users), len(links_of(world, contact))) == (1, 1)

    def test_the_look_after_the_webhook(self, world):
        contact = world.crm.create(ADA)
        world.deliver_all()
        intake.take(world.work)
        assert recent.contacts(world.work) == 0
        world.run()
        assert (len(world.idp.users), len(links_of(world, contact))) == (1, 1)

    def test_both_at_once_make_one_user(self, world):
        """On PostgreSQL neither of two transactions sees the other's link; the contact's id is the key of the creation."""
        contact = world.crm.create(ADA)
        with world.store.write() as tx:
            tx.links.create([{"provider": "members", "contact_id": contact}] * 2)
        world.run()
        assert (len(world.idp.users), len(links_of(world, contact))) == (1, 1)
        assert links_of(world, contact)[0].state is LinkState.ACTIVE

    def test_the_user_of_the_contact_registers_at_the_same_time(self, world):
        contact = world.crm.create(ADA)
        user = world.idp.register(USER)
        recent.contacts(world.work)
        world.run()
        world.later(HOUR)
        assert (list(world.idp.users), world.contact_of(user), len(links_of(world, contact))) == ([user], contact, 1)


def test_an_event_waits_only_once_for_a_creation_that_may_be_ours(world):
    """Somebody is always being created: whoever was not ours after the first wait is new."""
    world.idp.register(BOB)
    world.deliver_all()
    intake.take(world.work)
    batch.lease(world.work)
    contact = world.crm.create(ADA)
    world.deliver_all()
    for links in (0, 1):
        intake.take(world.work)
        assert len(links_of(world, contact)) == links
        world.clock.pass_(intake.SECOND_LOOK / timedelta(seconds=1))


@pytest.mark.parametrize("told", [True, False])
class TestTwoProviders:
    """As by the webhook, so by the look."""

    def new(self, two, told):
        watching(two)
        return two, (lambda: two.run()) if told else (lambda: (look(two), two.run()))

    def test_a_new_contact_becomes_a_user_of_both(self, tmp_path, told):
        two, go = self.new(Two(tmp_path, mapping=CREATE_USER), told)
        two.crm.create(ADA)
        go()
        assert (len(two.idp.users), len(two.shop.users)) == (1, 1)

    def test_a_contact_of_one_becomes_no_user_of_the_other(self, tmp_path, told):
        two, go = self.new(Two(tmp_path, mapping=CREATE_USER), told)
        two.idp.register(BOB)
        two.deliver_all()
        two.work_off()
        go()
        assert (len(two.idp.users), len(two.shop.users)) == (1, 0)


def test_a_provider_that_cannot_make_users_says_so(tmp_path):
    world = watching(World(tmp_path, mapping=CREATE_USER, idp=RECEIVE_ONLY))
    contact = world.crm.create(ADA)
    look(world)
    (link,) = links_of(world, contact)
    assert (link.state, "cannot create users" in link.reason) == (LinkState.HELD, True)


def test_the_overlap_is_counted_for_creations_too(world):
    """It was made just before the last look, whose listing did not show it yet."""
    contact = world.crm.create(ADA)
    world.crm.unindexed = {contact}
    world.clock.pass_(recent.OVERLAP / timedelta(seconds=1) - 1)
    look(world)
    world.crm.unindexed = set()
    assert look(world) == 1


def test_a_deletion_told_before_the_look_is_final(world):
    contact = world.crm.create(ADA)
    look(world)
    world.crm.delete(contact)
    world.run()
    world.later(HOUR)
    world.crm.restore(contact)
    world.deliver(Change("contact.created", contact))
    assert look(world) == 0
    (user,) = world.idp.users
    assert world.link(user).state is LinkState.UNLINKED


class TestFromTheBeginning:
    def test_the_first_sweep_begins_to_watch(self, tmp_path):
        """The first listing comes an hour later, and finds what was created since."""
        world = World(tmp_path, mapping=CREATE_USER)
        old = world.crm.create({"email": "old@example.com"})
        world.crm.events.clear()
        world.clock.pass_(HOUR)
        sweep.sweep(world.work)
        world.clock.pass_(60)
        contact = world.crm.create(ADA)
        world.clock.pass_(HOUR)
        sweep.sweep(world.work)
        assert look(world) == 1
        assert [user.values["email"] for user in world.idp.users.values()] == ["ada@example.com"]
        assert (links_of(world, old), len(links_of(world, contact))) == ([], 1)

    def test_so_it_is_with_users(self, tmp_path):
        world = World(tmp_path)
        sweep.sweep(world.work)
        world.clock.pass_(60)
        user = world.idp.register(USER)
        world.idp.events.clear()
        world.clock.pass_(HOUR)
        recent.users(world.work, "members")
        world.work_off()
        assert world.contact_of(user)

    def test_a_reconcile_settles_them_too(self, world):
        contact = world.crm.create(ADA)
        world.crm.events.clear()
        reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None)
        (user,) = world.idp.users.values()
        assert (world.contact_of(user.id), world.link(user.id).state) == (contact, LinkState.ACTIVE)

    def test_a_backfill_does_not(self, world):
        world.crm.create(ADA)
        world.crm.events.clear()
        reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None, backfill=True)
        assert world.idp.users == {}
