"""Providers that are asked instead of telling: what their listings show is noticed, and nothing else is believed of them."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
import responses

from connector.errors import Locked, Rejected, Unavailable
from connector.model import LinkState
from connector.providers import patience
from connector.providers.base import Capabilities
from connector.providers.http import Rest
from connector.sync import recent, reconcile

from .world import START, USER, World

CAN = Capabilities(read=True, find=True, list=True, create=True, update=True, delete=True, erase=True)
WAYS = {"asked for changes": replace(CAN, list_changed=True), "gone through as a whole": CAN}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def world(request, tmp_path):
    return World(tmp_path, idp={"capabilities": request.param})


@pytest.fixture
def whole(tmp_path):
    """A provider that cannot say what changed."""
    return World(tmp_path, idp={"capabilities": CAN})


def poll(world, after=400):
    """Nobody tells anything; some time later the users are listed. Returns how many were rung."""
    world.idp.events.clear()
    world.clock.pass_(after)
    rung = recent.users(world.work, "members")
    world.work_off()
    world.crm.events.clear()
    return rung


def timeless(world):
    """The provider tells no times of change."""
    world.idp.users = {user_id: replace(user, updated_at=None) for user_id, user in world.idp.users.items()}


def switch_off(world, user, readable=False):
    """The provider lists the user as gone, and mostly does not let it be read any more."""
    if not readable:
        world.idp.users.pop(user.id, None)
    listed = replace(user, gone=True, updated_at=world.clock.now)
    world.idp.pages = lambda: iter([[listed]])
    world.idp.changed_since = lambda since: iter([[listed]])


class Flaky:
    """A listing of two pages, each a call to a provider that stumbles before the second."""

    def __init__(self, world, monkeypatch):
        monkeypatch.setattr(patience, "PAUSES", (0.0,))
        self.world = world
        self.answers = iter([200, 500, 200])
        world.idp.pages = self.pages
        world.idp.changed_since = lambda since: self.pages()

    def pages(self):
        with responses.RequestsMock() as web:
            web.add_callback("GET", "https://id.test/", lambda request: (next(self.answers), {}, "{}"))
            for user_id in list(self.world.idp.users):
                Rest("members", "https://id.test/", None).call("list users", "GET", "")
                yield [self.world.idp.users[user_id]]


class TestStumbling:
    def test_a_poll_goes_on(self, world, monkeypatch):
        poll(world)
        for name in ("ada", "grace"):
            world.idp.register({**USER, "email": f"{name}@example.com"})
        Flaky(world, monkeypatch)
        assert poll(world, 200) == 2

    @pytest.mark.parametrize("backfill", [False, True])
    def test_a_reconcile_goes_on(self, world, monkeypatch, backfill):
        for name in ("ada", "grace"):
            world.idp.register({**USER, "email": f"{name}@example.com"})
        world.idp.events.clear()
        Flaky(world, monkeypatch)
        reconcile.reconcile(world.work, lambda seconds: None, ["members"], lambda *told: None, backfill=backfill)
        assert len(world.crm.contacts) == 2


class TestListedAsGone:
    def test_who_is_listed_as_gone_is_read_and_archived(self, world):
        poll(world)
        user_id = world.idp.register(USER)
        poll(world, 200)
        contact = world.contact_of(user_id)
        switch_off(world, world.idp.users[user_id])
        assert poll(world, 200) == 1
        assert (world.link(user_id).state, contact in world.crm.contacts) == (LinkState.DELETED, False)
        assert poll(world, 200) == 0

    def test_who_can_still_be_read_is_there(self, world):
        poll(world)
        user_id = world.idp.register(USER)
        poll(world, 200)
        switch_off(world, world.idp.users[user_id], readable=True)
        poll(world, 200)
        assert world.link(user_id).state == LinkState.ACTIVE
        assert world.contact_of(user_id) in world.crm.contacts

    def test_a_stranger_who_is_gone_is_nobody(self, world):
        user = world.idp.users[world.idp.register(USER)]
        switch_off(world, user)
        assert poll(world) == 0
        assert world.crm.contacts == {}


class TestWhatIsShown:
    def test_a_new_user_becomes_a_contact(self, world):
        poll(world)
        user_id = world.idp.register(USER)
        assert poll(world, 200) == 1
        assert world.crm.contacts[world.contact_of(user_id)]["firstname"] == "Ada"

    def test_an_edit_follows(self, world):
        poll(world)
        user_id = world.idp.register(USER)
        poll(world, 200)
        world.idp.edit(user_id, {"first_name": "Augusta"})
        assert poll(world, 200) == 1
        assert world.crm.contacts[world.contact_of(user_id)]["firstname"] == "Augusta"

    def test_what_is_shown_again_rings_nobody(self, world):
        poll(world)
        world.idp.register(USER)
        poll(world, 200)
        calls = world.crm.calls
        assert [poll(world, 200), poll(world, 200)] == [0, 0]
        assert world.crm.calls == calls

    def test_a_change_just_before_the_last_look_is_not_lost(self, world):
        """Listings overlap: clocks differ, and search indexes lag."""
        poll(world)
        user_id = world.idp.register(USER)
        shown = dict(world.idp.users)
        world.idp.users.clear()
        poll(world, 200)
        world.idp.users = shown  # the index has caught up; the user's time is before the last look
        assert poll(world, 60) == 1
        assert world.contact_of(user_id)


class TestGone:
    def test_who_is_not_listed_is_left_alone(self, world):
        poll(world)
        user_id = world.idp.register(USER)
        poll(world, 200)
        world.idp.remove(user_id)
        for _ in range(3):
            poll(world, 400)
        assert world.contact_of(user_id)
        assert world.link(user_id).state is LinkState.ACTIVE

    def test_a_full_reconcile_finds_out(self, world):
        """It reads those by id whom a complete listing did not show."""
        poll(world)
        user_id, other = world.idp.register(USER), world.idp.register({**USER, "email": "grace@example.com"})
        poll(world, 200)
        world.idp.remove(user_id)
        world.sweep()
        assert world.link(user_id).state is LinkState.DELETED
        assert world.link(other).state is LinkState.ACTIVE

    @pytest.mark.parametrize("state", [LinkState.DELETED, LinkState.UNLINKED, LinkState.MERGED])
    def test_nobody_comes_back(self, world, state):
        poll(world)
        user_id = world.idp.register(USER)
        poll(world, 200)
        link = world.link(user_id)
        with world.store.write() as tx:
            tx.links.notice(link.id, {"state": state}, None)
        world.idp.edit(user_id, {"first_name": "Augusta"})
        assert poll(world, 200) == 0
        assert world.link(user_id).state is state

    def test_who_was_erased_stays_erased(self, world):
        user_id = world.idp.register(USER)
        with world.store.write() as tx:
            tx.tombstones.bury("members", user_id)
        assert poll(world, 0) == 0
        assert world.link(user_id) is None


class TestBrokenListings:
    @pytest.mark.parametrize("error", [Unavailable("500"), Rejected("the listing repeats itself")])
    def test_the_mark_stays(self, world, error):
        """What a listing that broke off did not show is shown by the next one."""
        poll(world)
        user_id = world.idp.register(USER)
        world.clock.pass_(3600)
        world.idp.events.clear()
        whole_page = {"pages": world.idp.pages, "changed_since": world.idp.changed_since}

        def broken(*given):
            yield []
            raise error

        world.idp.pages = world.idp.changed_since = broken
        with pytest.raises(type(error)):
            recent.users(world.work, "members")
        vars(world.idp).update(whole_page)
        assert poll(world, 3600) == 1
        assert world.contact_of(user_id)

    def test_pages_before_the_break_are_kept(self, world):
        poll(world)
        user_id = world.idp.register(USER)
        world.idp.events.clear()

        def broken(*given):
            yield [world.idp.users[user_id]]
            raise Unavailable("500")

        world.idp.pages = world.idp.changed_since = broken
        with pytest.raises(Unavailable):
            recent.users(world.work, "members")
        world.work_off()
        assert world.contact_of(user_id)


class TestAsAWhole:
    def test_a_listing_without_times_is_compared(self, whole):
        user_id = whole.idp.register(USER)
        timeless(whole)
        assert poll(whole) == 1
        whole.idp.edit(user_id, {"first_name": "Augusta"})
        timeless(whole)
        assert poll(whole) == 1
        assert whole.crm.contacts[whole.contact_of(user_id)]["firstname"] == "Augusta"
        assert poll(whole) == 0

    def test_a_listing_without_times_is_compared_with_what_a_delivery_told(self, whole):
        user_id = whole.idp.register(USER)
        whole.run()
        whole.idp.edit(user_id, {"first_name": "Augusta"})
        timeless(whole)
        assert poll(whole) == 1
        assert whole.crm.contacts[whole.contact_of(user_id)]["firstname"] == "Augusta"

    def test_an_old_page_undoes_no_newer_delivery(self, whole):
        """A delivery came while the listing was under way; the listing's row is from before it."""
        user_id = whole.idp.register(USER)
        poll(whole)
        for times in (True, False):
            old = whole.idp.users[user_id] if times else replace(whole.idp.users[user_id], updated_at=None)
            whole.clock.pass_(4000)
            whole.idp.edit(user_id, {"first_name": f"Augusta {times}"})
            whole.run()
            whole.idp.pages = lambda old=old: iter([[old]])
            poll(whole, 0)
            assert whole.crm.contacts[whole.contact_of(user_id)]["firstname"] == f"Augusta {times}"
            assert whole.idp.users[user_id].values["first_name"] == f"Augusta {times}"

    def test_it_takes_a_tenth_of_the_time(self, whole):
        whole.idp.register(USER)
        pages = whole.idp.pages

        def slow():
            whole.clock.pass_(60)
            yield from pages()

        whole.idp.pages = slow
        began = whole.clock()
        times = []
        while whole.clock() < began + timedelta(hours=2):
            before = whole.idp.made["pages"]
            poll(whole, 60)
            times += [whole.clock()] * (whole.idp.made["pages"] - before)
        apart = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(apart) >= timedelta(seconds=600)
        assert len(times) >= 10

    def test_two_at_once_list_once(self, whole):
        whole.idp.register(USER)
        pages, seen = whole.idp.pages, []

        def meanwhile():
            seen.append(recent.users(whole.worker("other"), "members"))
            yield from pages()

        whole.idp.pages = meanwhile
        assert poll(whole) == 1
        assert seen == [0]

    def test_two_at_once_in_one_process_list_once(self, whole):
        whole.idp.register(USER)
        pages, seen = whole.idp.pages, []

        def meanwhile():
            whole.idp.pages = pages
            seen.append(recent.users(whole.work, "members"))
            yield from pages()

        whole.idp.pages = meanwhile
        assert poll(whole) == 1
        assert seen == [0]

    def test_a_listing_that_stood_still_gives_way(self, whole):
        whole.idp.register(USER)
        pages = whole.idp.pages

        def slow():
            whole.idp.pages = pages
            whole.clock.pass_(recent.LASTING.total_seconds() + 1)
            recent.users(whole.worker("other"), "members")
            yield from pages()

        whole.idp.pages = slow
        with pytest.raises(Locked):
            poll(whole)

    def test_the_lock_of_a_dead_worker_lapses(self, whole):
        whole.idp.register(USER)
        with whole.store.write() as tx:
            tx.runs.lock("listing:members", "dead", timedelta(minutes=2))
        assert [poll(whole, 60), poll(whole, 61)] == [0, 1]

    def test_who_cannot_be_listed_is_not_asked(self, tmp_path):
        world = World(tmp_path, idp={"capabilities": replace(CAN, list=False)})
        world.idp.register(USER)
        assert poll(world) == 0
        assert world.idp.made["pages"] == 0
        assert world.clock() > START
