"""Looking at everybody's subscription statuses in turn: how far each round comes, and how late that makes us."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from connector.errors import Locked, Paused, Unavailable
from connector.sync import subscriptions, sweep
from connector.sync.work import here

from .consenting import CONSENTS
from .world import USER, World

EVERY = 900


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    world.crm.statuses_per_read = 2
    for number in range(5):
        world.idp.register({**USER, "email": f"u{number}@example.com"})
    world.run()
    return world


def told(world, every=EVERY):
    with world.store.read() as tx:
        return subscriptions.lag(tx, every)


def lag(world, every=EVERY):
    return told(world, every)["lag_seconds"]


def links(world):
    with world.store.read() as tx:
        return tx.links.page("members", 0, 100)


def slowly(world, monkeypatch, seconds):
    """Each page takes so long."""
    statuses = world.crm.statuses

    def slow(emails):
        world.clock.pass_(seconds)
        return statuses(emails)

    monkeypatch.setattr(world.crm, "statuses", slow)
    monkeypatch.setattr("time.monotonic", lambda: world.clock().timestamp())


class TestLag:
    def test_it_is_what_the_last_look_at_everybody_took_and_the_pause_after_it(self, world):
        while world.clock.pass_(EVERY) or subscriptions.roll(world.work, 1) or not passed(world):
            pass
        assert lag(world) == 2 * EVERY + EVERY + subscriptions.ROUND + 60

    def test_a_quick_look_at_everybody_adds_nothing(self, world):
        subscriptions.roll(world.work)
        assert lag(world) == EVERY + 60

    def test_who_is_missed_at_the_beginning_of_one_look_may_be_found_at_the_end_of_the_next(self, world, monkeypatch):
        slowly(world, monkeypatch, 10)
        subscriptions.roll(world.work)
        assert lag(world) == 30 + EVERY + 30 + 60

    def test_the_first_look_counts_while_it_goes_on(self, world):
        assert lag(world) == EVERY + 60
        subscriptions.roll(world.work, 1)
        world.clock.pass_(7200)
        assert lag(world) == 7200 + EVERY + subscriptions.ROUND + 60

    def test_where_each_address_is_a_call_it_takes_as_long_as_it_takes(self, world, monkeypatch):
        slowly(world, monkeypatch, 1000)
        for _ in range(3):
            subscriptions.roll(world.work)
        assert lag(world) == 3000 + EVERY + subscriptions.ROUND + 60

    def test_the_time_in_which_nobody_could_look_counts(self, world):
        """The first page fails again and again."""
        subscriptions.roll(world.work)
        world.clock.pass_(EVERY)
        world.crm.fails = [RuntimeError()]
        with pytest.raises(RuntimeError):
            subscriptions.roll(world.work)
        world.clock.pass_(5000)
        subscriptions.roll(world.work)
        assert lag(world) == 5000 + EVERY + subscriptions.ROUND + 60

    def test_without_rounds_there_is_none(self, world):
        assert lag(world, every=0) is None

    def test_a_mark_of_an_earlier_version_tells_no_time(self, world):
        with world.store.write() as tx:
            tx.cursors.set(subscriptions.PASSED)
        assert lag(world) == EVERY + 60


def passed(world):
    with world.store.read() as tx:
        return tx.cursors.get(subscriptions.PASSED)


def test_a_round_of_slow_calls_ends_after_a_while(world, monkeypatch):
    slowly(world, monkeypatch, subscriptions.ROUND + 1)
    before = world.crm.made["statuses"]
    subscriptions.roll(world.work)
    assert (world.crm.made["statuses"], passed(world)) == (before + 1, None)


class TestUnreadable:
    """An address whose statuses HubSpot fails to tell, again and again, hides nobody else's."""

    @pytest.fixture
    def calls(self, world, monkeypatch):
        """The addresses of each call from now on; those in `broken` fail."""
        calls, statuses = [], world.crm.statuses

        def failing(emails):
            calls.append(list(emails))
            if self.down or self.broken & set(emails):
                raise Unavailable("hubspot: subscriptions: read: 500")
            return statuses(emails)

        self.broken, self.down = set(), False
        monkeypatch.setattr(world.crm, "statuses", failing)
        return calls

    def heard(self, world):
        """Who of the five is known to have opted out."""
        return {link.contact.properties["email"][:2] for link in links(world) if link.due_at}

    def everybody_opts_out(self, world):
        for number in range(5):
            world.crm.prefer(f"u{number}@example.com", "Newsletter", False)

    @pytest.mark.parametrize("page", [1, 2, 4, 5, 100])
    @pytest.mark.parametrize("broken", [{0}, {2}, {4}, {0, 1}, {1, 3, 4}, {3, 4}])
    def test_all_others_are_looked_at(self, world, calls, page, broken):
        world.crm.statuses_per_read = page
        self.everybody_opts_out(world)
        self.broken = {f"u{number}@example.com" for number in broken}
        subscriptions.roll(world.work)
        assert self.heard(world) == {f"u{number}" for number in range(5) if number not in broken}
        assert passed(world)

    def test_so_they_are_where_only_the_opt_out_of_everything_cannot_be_read(self, world, monkeypatch):
        self.everybody_opts_out(world)
        opted_out = world.crm.opted_out_of_all

        def failing(emails):
            if "u0@example.com" in emails:
                raise Unavailable("hubspot: subscriptions: read opt-outs of everything: 500")
            return opted_out(emails)

        monkeypatch.setattr(world.crm, "opted_out_of_all", failing)
        subscriptions.roll(world.work)
        assert self.heard(world) == {"u1", "u2", "u3", "u4"}

    def test_how_many_is_told_until_they_can_be_read(self, world, calls):
        self.broken = {"u1@example.com", "u4@example.com"}
        with capture_logs() as logs:
            subscriptions.roll(world.work)
        assert (told(world)["unread"], [one["event"] for one in logs]) == (2, ["subscriptions.unread"] * 2)
        assert "example.com" not in str(logs)
        self.broken = set()
        world.clock.pass_(EVERY)
        subscriptions.roll(world.work)
        assert told(world)["unread"] == 0

    def test_while_hubspot_is_down_one_more_call_shows_it_and_the_place_is_kept(self, world, calls):
        subscriptions.roll(world.work, 1)
        calls.clear()
        self.down = True
        for _ in range(3):
            with pytest.raises(Unavailable):
                subscriptions.roll(world.work)
        assert calls == [["u2@example.com", "u3@example.com"], [subscriptions.NOBODY]] * 3
        self.down = False
        calls.clear()
        subscriptions.roll(world.work)
        assert (calls, told(world)["unread"]) == ([["u2@example.com", "u3@example.com"], ["u4@example.com"]], 0)

    def test_who_is_asked_to_wait_waits(self, world, calls):
        world.crm.fails = [Paused("hubspot: 429", 10)]
        with pytest.raises(Paused):
            subscriptions.roll(world.work)
        assert len(calls) == 1

    def test_a_round_in_which_many_cannot_be_read_ends_and_the_next_one_goes_on_behind_them(self, world, calls, monkeypatch):
        monkeypatch.setattr(subscriptions, "MOST_UNREAD", 2)
        self.everybody_opts_out(world)
        self.broken = {f"u{number}@example.com" for number in range(4)}
        subscriptions.roll(world.work)
        assert (passed(world), told(world)["unread"]) == (None, 2)
        subscriptions.roll(world.work)
        subscriptions.roll(world.work)
        assert (self.heard(world), told(world)["unread"]) == ({"u4"}, 4)


class TestTurns:
    def test_one_round_at_a_time(self, world):
        """Several at once would each take as many times as long, and leave no worker for what they find."""
        before = world.crm.made["statuses"]
        with world.store.write() as tx:
            assert tx.runs.lock(subscriptions.LOCK, "another", timedelta(seconds=60))
        with pytest.raises(Locked):
            subscriptions.roll(world.work)
        assert world.crm.made["statuses"] == before
        world.clock.pass_(61)
        subscriptions.roll(world.work)
        subscriptions.roll(world.work)
        assert world.crm.made["statuses"] == before + 6

    def test_a_round_that_fails_lets_the_next_one_begin(self, world):
        world.crm.fails = [RuntimeError()]
        with pytest.raises(RuntimeError):
            subscriptions.roll(world.work)
        subscriptions.roll(world.work)
        assert passed(world)

    def test_the_lock_of_a_dead_process_is_given_back(self, world):
        with world.store.write() as tx:
            tx.runs.lock(subscriptions.LOCK, f"{here()}/999999999/1", timedelta(seconds=60))
        sweep.sweep(world.work)
        subscriptions.roll(world.work)

    def test_a_worker_is_rung_for_with_each_page_and_has_its_turn_before_the_next(self, world, monkeypatch):
        told = []
        statuses = world.crm.statuses
        monkeypatch.setattr(world.crm, "statuses", lambda emails: told.append("page") or statuses(emails))
        monkeypatch.setattr("time.sleep", lambda seconds: told.append("wait") or world.work_off())
        monkeypatch.setattr("time.monotonic", ticking())
        world.crm.prefer("u0@example.com", "Newsletter", False)
        subscriptions.roll(replace(world.work, ring=lambda: told.append("ring")))
        assert told[:4] == ["page", "ring", "wait", "page"]


def ticking():
    """A clock that goes on by a second with each look."""
    seconds = itertools.count()
    return lambda: float(next(seconds))
