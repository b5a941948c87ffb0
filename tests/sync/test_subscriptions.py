"""Looking at everybody's subscription statuses in turn: how far each round comes, and how late that makes us."""

import pytest

from connector.sync import subscriptions

from .consenting import CONSENTS
from .world import USER, World

EVERY = 900


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(subscriptions, "PAGE", 2)
    world = World(tmp_path, mapping=CONSENTS)
    for number in range(5):
        world.idp.register({**USER, "email": f"u{number}@example.com"})
    world.run()
    return world


def lag(world, every=EVERY):
    with world.store.read() as tx:
        return subscriptions.lag(tx, every)["lag_seconds"]


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
        assert lag(world) == 2 * EVERY + EVERY + 60

    def test_a_quick_look_at_everybody_adds_nothing(self, world):
        subscriptions.roll(world.work)
        assert lag(world) == EVERY + 60

    def test_the_first_look_counts_while_it_goes_on(self, world):
        assert lag(world) == EVERY + 60
        subscriptions.roll(world.work, 1)
        world.clock.pass_(7200)
        assert lag(world) == 7200 + EVERY + 60

    def test_where_each_address_is_a_call_it_takes_as_long_as_it_takes(self, world, monkeypatch):
        slowly(world, monkeypatch, 1000)
        for _ in range(3):
            subscriptions.roll(world.work)
        assert lag(world) == 3000 + EVERY + 60

    def test_the_time_in_which_nobody_could_look_counts(self, world):
        """The first page fails again and again."""
        subscriptions.roll(world.work)
        world.clock.pass_(EVERY)
        world.crm.fails = [RuntimeError()]
        with pytest.raises(RuntimeError):
            subscriptions.roll(world.work)
        world.clock.pass_(5000)
        subscriptions.roll(world.work)
        assert lag(world) == 5000 + EVERY + 60

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
