"""What a person does to links and parked work, while workers are at it, too."""

import pytest

from connector.errors import Locked, Rejected, Unavailable
from connector.model import LinkState
from connector.sync import batch, intake, repair

from .scenes import BOB, PAST_LEASE, link
from .world import USER, Crash, World


def do(world, what, user, *given):
    found = world.link(user)
    with world.store.write() as tx:
        return what(tx, found, *given)


def refuses(contact_id):
    raise Rejected("no")


def retry_all(world):
    with world.store.write() as tx:
        return repair.retry(tx, tx.parked.rows())


def rung_and_leased(world, user):
    found = world.link(user)
    with world.store.write() as tx:
        tx.links.notice(found.id, {}, tx.now)
    return batch.lease(world.work)


@pytest.fixture
def world(world):
    world.crm.check_portal = lambda: None
    return world


@pytest.fixture
def merged(world):
    """Two users whose contacts were merged; the first one's link was released."""
    ada, bob = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    contact = world.crm.merge(world.contact_of(ada), world.contact_of(bob))
    world.run()
    do(world, repair.release, ada)
    world.run()
    return world, ada, bob, contact


class TestRetry:
    @pytest.fixture
    def parked(self, world):
        world.crm.refuses = {"firstname": "no"}
        _, user, _ = link(world)
        world.crm.refuses = {}
        return world, user

    def test_what_is_parked_is_tried_again(self, parked):
        world, user = parked
        assert retry_all(world) == 1
        world.run()
        assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Ada"
        assert world.parked() == []

    def test_cutting_a_link_drops_what_is_parked_of_it(self, parked):
        world, user = parked
        do(world, repair.unlink, user)
        assert world.parked() == []

    @pytest.mark.parametrize("state", [LinkState.UNLINKED, LinkState.DELETED, LinkState.MERGED])
    def test_a_link_that_has_ended_stays_so(self, parked, state):
        world, user = parked
        found = world.link(user)
        with world.store.write() as tx:
            tx.links.notice(found.id, {"state": state}, None)
        world.idp.edit(user, {"last_name": "King"})
        world.run()
        assert retry_all(world) == 0
        world.run()
        assert (world.link(user).state, world.link(user).due_at, world.parked()) == (state, None, [])

    def test_an_erasure_that_was_refused_is_tried_again_after_the_link_was_cut(self, world, monkeypatch):
        _, user, _ = link(world)
        do(world, repair.unlink, user)
        monkeypatch.setattr(world.crm, "erase", refuses)
        world.idp.ask_to_be_forgotten(user)
        world.run()
        monkeypatch.undo()
        assert retry_all(world) == 1
        world.run()
        assert (world.link(user).state, world.crm.contacts) == (LinkState.ERASED, {})


class TestUnlink:
    def asked(self, world):
        """Somebody who wants to be forgotten; nobody has come to it yet."""
        _, user, _ = link(world)
        world.idp.ask_to_be_forgotten(user)
        world.deliver_all()
        intake.take(world.work)
        return user

    def test_who_is_to_be_forgotten_is_forgotten_all_the_same(self, world):
        user = self.asked(world)
        do(world, repair.unlink, user)
        world.run()
        assert (world.link(user).state, world.crm.contacts) == (LinkState.ERASED, {})

    def test_an_erasure_that_was_refused_is_tried_again(self, world, monkeypatch):
        user = self.asked(world)
        with monkeypatch.context() as patched:
            patched.setattr(world.crm, "erase", refuses)
            world.run()
        assert world.parked() == [("link", "no")]
        do(world, repair.unlink, user)
        world.run()
        assert (world.link(user).state, world.crm.contacts) == (LinkState.ERASED, {})


class TestRelease:
    def test_a_contact_that_is_linked_to_another_user_keeps_that_ones_values(self, merged):
        world, ada, bob, contact = merged
        way_out = f"contact {contact} is linked to members:{ada}; unlink that one first: connector link unlink members:{ada}"
        with pytest.raises(Rejected, match=way_out):
            do(world, repair.release, bob)
        world.run()
        assert (world.link(ada).state, world.link(bob).state) == (LinkState.ACTIVE, LinkState.HELD)
        assert world.crm.contacts[contact]["firstname"] == "Ada"

    def test_once_that_one_is_cut_it_goes_on(self, merged):
        world, ada, bob, contact = merged
        do(world, repair.unlink, ada)
        do(world, repair.release, bob)
        world.run()
        assert (world.link(bob).state, world.link(bob).contact_id) == (LinkState.ACTIVE, contact)


class TestWhileAWorkerHasTheLink:
    @pytest.mark.parametrize(
        ("what", "state"), [(repair.unlink, LinkState.UNLINKED), (lambda tx, one: repair.hold(tx, one, "wait"), LinkState.HELD)]
    )
    def test_what_was_found_before_it_was_leased_is_changed_all_the_same(self, linked, what, state):
        world, user, _ = linked
        found = world.link(user)
        leased = rung_and_leased(world, user)
        with world.store.write() as tx:
            what(tx, found)
        batch.settle(world.work, leased)
        world.run()
        assert world.link(user).state is state

    def test_the_worker_writes_nothing_and_makes_nothing_of_it_any_more(self, world):
        """It would tie the link to a contact, and make it active by that."""
        user = world.idp.register(USER)
        world.crash_at("leased", lambda: do(world, repair.hold, user, "wait"))
        world.run()
        assert (world.link(user).state, world.link(user).reason, world.crm.contacts) == (LinkState.HELD, "wait", {})

    def test_what_ended_since_it_was_found_is_refused(self, linked):
        world, user, _ = linked
        found = world.link(user)
        do(world, repair.unlink, user)
        with pytest.raises(Rejected, match="is unlinked, cannot hold it"), world.store.write() as tx:
            repair.hold(tx, found, "wait")
        assert world.link(user).state is LinkState.UNLINKED

    def test_relinking_waits_for_the_worker(self, linked):
        world, user, contact = linked
        other = world.crm.create({"email": "ada.private@example.com"})
        world.crm.events.clear()
        leased = rung_and_leased(world, user)
        with pytest.raises(Locked, match="try again in a minute"):
            repair.relink(world.work, world.link(user), other)
        assert world.crm.contacts[contact]["members_user_id"] == user
        batch.settle(world.work, leased)
        repair.relink(world.work, world.link(user), other)
        assert world.link(user).contact_id == other


class TestRelink:
    @pytest.fixture
    def other(self, linked):
        """Another contact for the same person."""
        world, _, _ = linked
        other = world.crm.create({"email": "ada.private@example.com"})
        world.run()
        return other

    def test_the_users_id_moves(self, linked, other):
        world, user, contact = linked
        repair.relink(world.work, world.link(user), other)
        world.run()
        assert world.contact_of(user) == other
        assert not world.crm.contacts[contact].get("members_user_id")

    def test_a_contact_that_is_not_there_is_refused(self, linked):
        world, user, contact = linked
        with pytest.raises(Rejected, match="has no contact 999; nothing was changed"):
            repair.relink(world.work, world.link(user), "999")
        world.run()
        assert (world.link(user).contact_id, world.contact_of(user)) == (contact, contact)

    def test_no_worker_writes_while_the_id_is_between_two_contacts(self, linked, other):
        world, user, _ = linked
        leased = []
        world.crash_at("handed back", lambda: leased.extend(rung_and_leased(world, user)))
        repair.relink(world.work, world.link(user), other)
        assert leased == []
        assert world.link(user).contact_id == other

    def test_a_crm_that_fails_leaves_everything_as_it_was(self, linked, other, monkeypatch):
        world, user, contact = linked

        def fails(rows, properties):
            raise Unavailable("down")

        with pytest.raises(Unavailable), monkeypatch.context() as patch:
            patch.setattr(world.crm, "update", fails)
            repair.relink(world.work, world.link(user), other)
        world.run()
        assert (world.link(user).contact_id, world.contact_of(user)) == (contact, contact)

    def test_a_link_that_stays_gets_its_id_back(self, linked, other):
        """Another user took the new contact while the CRM was asked."""
        world, user, contact = linked
        bob = world.idp.register(BOB)
        world.run()
        bobs = world.link(bob).id

        def meanwhile():
            with world.store.write() as tx:
                tx.links.notice(bobs, {"contact_id": other}, None)

        world.crash_at("handed back", meanwhile)
        with pytest.raises(Rejected, match=f"is linked to members:{bob}"):
            repair.relink(world.work, world.link(user), other)
        assert not world.crm.contacts[contact]["members_user_id"]
        world.run()
        assert (world.link(user).contact_id, world.contact_of(user)) == (contact, contact)

    def test_a_command_that_died_halfway_is_repeated(self, linked, other):
        world, user, _ = linked
        do(world, repair.unlink, user)
        world.crash_at("handed back")
        with pytest.raises(Crash):
            repair.relink(world.work, world.link(user), other)
        world.clock.pass_(PAST_LEASE)
        repair.relink(world.work, world.link(user), other)
        world.run()
        assert (world.link(user).state, world.contact_of(user)) == (LinkState.ACTIVE, other)


def test_two_processes_on_postgresql_agree_who_has_the_link(postgres, tmp_path):
    """A worker leases between the command's look and its change."""
    world, user, _ = link(World(tmp_path, postgres(migrated=True)))
    with world.store.write() as tx:
        found = tx.links.get(1)
        leased = rung_and_leased(world, user)
        repair.unlink(tx, found)
    assert leased
    batch.settle(world.work, leased)
    assert world.link(user).state is LinkState.UNLINKED
    world.close()
