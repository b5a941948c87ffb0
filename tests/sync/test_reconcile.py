"""Comparing everybody: one run at a time, beside deliveries that tell what a listing does not know yet."""

from dataclasses import replace

import pytest

from connector.errors import Locked, Rejected, Unavailable
from connector.providers.base import Capabilities
from connector.settings import Brakes
from connector.store.links import Links
from connector.sync import listing, reconcile

from .scenes import HOUR, link
from .world import MAPPING, USER, World, empty


def run(world, progress=lambda *told: None, **how):
    return reconcile.reconcile(world.work, world.doze, ["members"], progress, **how)


class TestOneAtATime:
    def test_a_second_one_in_the_same_process_is_refused(self, linked):
        world, _, _ = linked

        def meanwhile(*told):
            with pytest.raises(Locked, match="another reconcile is running"):
                run(world)

        assert run(world, meanwhile).summary["read"] == 1
        run(world)

    @pytest.mark.parametrize("how", [{}, {"backfill": True}])
    def test_one_that_stood_still_gives_way_to_the_next(self, linked, how):
        """Its lock lapsed and another one began: it must not go on beside that one."""
        world, _, _ = linked
        pages = world.idp.pages

        def slow():
            world.idp.pages = pages
            world.clock.pass_(reconcile.LASTING.total_seconds() + 1)
            run(world)
            yield from pages()

        world.idp.pages = slow
        with pytest.raises(Locked, match="start it again"):
            run(world, **how)
        run(world)


class TestListingsWithoutTimes:
    """Nobody knows whether such a row is older than what a delivery told."""

    @staticmethod
    def listed(world, **values):
        """The listing shows everybody so, without a time."""
        shown = [replace(user, values={**user.values, **values}, updated_at=None) for user in world.idp.users.values()]
        world.idp.pages = lambda: iter([shown])

    def test_an_old_row_undoes_no_newer_delivery(self, linked):
        world, user, contact = linked
        self.listed(world)
        world.clock.pass_(10)
        world.idp.edit(user, {"email": "new@example.com"})
        world.run()
        run(world)
        world.run()
        assert world.crm.contacts[contact]["email"] == world.idp.users[user].values["email"] == "new@example.com"

    def test_what_is_as_known_is_not_read(self, linked):
        world, user, _ = linked
        known = world.link(user).user.updated_at
        self.listed(world)
        before = world.idp.made["fetch"]
        run(world)
        assert world.idp.made["fetch"] == before
        assert world.link(user).user.updated_at == known

    def test_who_differs_is_read(self, linked):
        world, user, contact = linked
        world.idp.edit(user, {"first_name": "Augusta"})
        world.idp.events.clear()
        self.listed(world)
        before = world.idp.made["fetch"]
        run(world)
        assert world.idp.made["fetch"] == before + 1
        assert world.crm.contacts[contact]["firstname"] == "Augusta"

    def test_who_cannot_be_read_is_believed(self, tmp_path):
        world, user, contact = link(World(tmp_path, idp={"capabilities": Capabilities(list=True)}))
        self.listed(world, first_name="Augusta")
        run(world)
        assert world.crm.contacts[contact]["firstname"] == "Augusta"


def test_a_row_that_is_older_by_its_own_time_shows_nothing(linked):
    world, user, contact = linked
    old = world.idp.users[user]
    world.clock.pass_(10)
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    world.idp.pages = lambda: iter([[old]])
    before = world.idp.made["fetch"]
    run(world)
    assert (world.crm.contacts[contact]["firstname"], world.idp.made["fetch"]) == ("Augusta", before)


def test_a_field_that_is_told_again_is_heard_although_it_is_blank(linked):
    world, user, contact = linked
    world.idp.hides = {"first_name"}
    world.clock.pass_(10)
    world.idp.edit(user, {"first_name": None})
    world.run()
    assert world.crm.contacts[contact]["firstname"]
    world.idp.hides = set()
    run(world)
    assert not world.crm.contacts[contact]["firstname"]


def test_whom_a_delivery_brought_meanwhile_is_not_made_twice(world, monkeypatch):
    """The listing had looked whom it knows, then somebody else made the link."""
    user = world.idp.register(USER)
    strangers = listing.strangers

    def meanwhile(tx, *given):
        found = strangers(tx, *given)
        tx.links.create([{"provider": "members", "user_id": user, "user": world.idp.users[user]}])
        return found

    monkeypatch.setattr(listing, "strangers", meanwhile)
    run(world)
    assert len(world.crm.contacts) == 1


def test_a_backfill_takes_over_whom_a_broken_one_left(world):
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    known = world.crm.create({"email": "u0@example.com", "lastname": "King"})
    shown = list(world.idp.users.values())

    def breaks():
        yield shown[:2]
        raise Rejected("members: list users: 400")

    whole, world.idp.pages = world.idp.pages, breaks
    with pytest.raises(Rejected):
        run(world, backfill=True)
    assert world.crm.writes == 0
    world.idp.pages = whole
    run(world, backfill=True, first=2)
    assert [bool(world.contact_of(user)) for user in users] == [True, True, False]
    assert world.contact_of(users[0]) == known
    run(world, backfill=True)
    assert world.contact_of(users[2])


@pytest.mark.parametrize(("how", "stays"), [({"backfill": True}, True), ({}, False)])
def test_a_backfill_after_a_restored_backup_leaves_what_was_edited_in_the_crm_meanwhile(how, stays, tmp_path):
    """The backup knows nobody; whoever is new is otherwise written first."""
    world = World(tmp_path)
    user = world.idp.register(USER)
    world.run()
    contact = world.contact_of(user)
    world.clock.pass_(HOUR)
    world.crm.edit(contact, {"firstname": "Augusta"})
    world.crm.events.clear()
    empty(world.store)
    run(world, **how)
    run(world)
    names = (world.idp.users[user].values["first_name"], world.crm.contacts[contact]["firstname"])
    assert (names == ("Augusta", "Augusta")) is stays
    assert len(world.crm.contacts) == 1


def test_a_backfill_that_cannot_list_begins_with_nobody(tmp_path):
    world = World(tmp_path, idp={"capabilities": Capabilities()})
    with pytest.raises(Rejected, match="cannot list its users"):
        run(world, backfill=True)


def test_an_erased_contact_counts_as_deleted(tmp_path):
    world, user, _ = link(World(tmp_path, mapping=MAPPING + "lifecycle: {user_deleted: erase_contact}\n"))
    world.idp.register({**USER, "email": "bob@example.com"})
    world.idp.remove(user)
    world.idp.events.clear()
    assert run(world).summary["deletes"] == 1


class TestTheEnd:
    """What is left of a run when it is over."""

    def left(self, tmp_path, number=6):
        """Two deletions by a run that is over, and links that it could not let go of. More than two of one run are braked."""
        world = World(tmp_path, brakes=Brakes(deletes=2, deletes_percent=0))
        users = [world.idp.register({**USER, "email": f"u{one}@example.com"}) for one in range(number)]
        world.run()
        for user in users[:2]:
            world.idp.remove(user)
        world.idp.events.clear()
        run_id = run(world).run
        left = [world.link(user).id for user in users[2:]]
        with world.store.write() as tx:
            tx.links.ring_for(run_id, left)
        return world, users[2:]

    def test_what_happens_to_its_links_later_counts_for_no_brake_of_it(self, tmp_path):
        world, users = self.left(tmp_path)
        for user in users[:3]:
            world.idp.remove(user)
            world.later(2 * HOUR)
        assert [world.link(user).state.value for user in users] == ["deleted"] * 3 + ["active"]

    def test_who_is_settled_is_out_of_it(self, world, monkeypatch):
        user = world.idp.register(USER)
        world.run()
        monkeypatch.setattr(Links, "end_run", lambda *given: 0)
        run(world)
        assert world.link(user).run is None

    def test_it_is_over_also_when_the_database_is_too_slow_for_the_rest(self, linked, monkeypatch):
        world, _, _ = linked

        def slow(self, run, limit):
            raise Unavailable("database: canceling statement due to statement timeout")

        monkeypatch.setattr(Links, "end_run", slow)
        done = run(world)
        with world.store.write() as tx:
            assert not tx.runs.running([done.run])
            assert tx.runs.lock(reconcile.LOCK, "next", reconcile.LASTING)

    def test_a_summary_that_cannot_be_made_fails_it(self, linked, monkeypatch):
        world, _, _ = linked
        monkeypatch.setattr(reconcile, "_summary", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(world)
        with world.store.write() as tx:
            assert tx.runs.lock(reconcile.LOCK, "next", reconcile.LASTING)

    def test_the_next_one_ends_what_died(self, linked):
        world, _, _ = linked
        with world.store.write() as tx:
            died, erasing = tx.runs.start("backfill", "members"), tx.runs.start("erase", "members")
        run(world)
        with world.store.read() as tx:
            assert tx.runs.running([died, erasing]) == {erasing}


def test_a_contact_that_came_after_its_user_is_found(tmp_path):
    world = World(tmp_path, mapping=MAPPING + "lifecycle: {user_created: link_only}\n")
    user = world.idp.register(USER)
    world.run()
    contact = world.crm.create({"email": USER["email"]})
    world.run()
    assert world.link(user).state == "pending"
    run(world)
    assert (world.link(user).state, world.contact_of(user)) == ("active", contact)
