"""When a batch starts: soon for one event, and full in a burst, however unevenly it comes."""

import pytest

from connector.store.inbox import Inbox
from connector.store.links import Links
from connector.sync import activities, batch, burst, pace, sweep

from .events import EVENTS, login
from .world import USER, World


class Timeline:
    """A clock that sleeping moves, and users who register as it goes. `arrivals`: seconds, in order."""

    def __init__(self, world, arrivals):
        self.world, self.arrivals, self.now = world, list(arrivals), 100.0
        self.start = self.now

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        while self.arrivals and self.start + self.arrivals[0] <= self.now:
            number = len(self.world.idp.users)
            self.world.idp.register({**USER, "email": f"u{number}@example.com"})
            del self.arrivals[0]
        self.world.deliver_all()


@pytest.fixture
def batches(tmp_path, monkeypatch):
    """batches(arrivals): how many links each batch had, and how long after the last arrival before it, in seconds, it began."""

    def run(*arrivals):
        world = World(tmp_path)
        line = Timeline(world, arrivals)
        monkeypatch.setattr(pace, "time", line)
        monkeypatch.setattr(burst, "time", line)
        monkeypatch.setattr(burst.burst, "until", 0.0)
        told = []
        while True:
            line.sleep(0.02)
            if links := pace.gather(world.work, sleep=line.sleep):
                last = max(at for at in arrivals if line.start + at <= line.now)
                told.append((len(links), line.now - line.start - last))
                batch.settle(world.work, links)
            elif not line.arrivals:
                return told

    return run


def test_one_event_waits_a_moment_only(batches):
    [(size, waited)] = batches(0.1)
    assert size == 1
    assert waited < 0.2


def test_a_burst_in_fits_and_starts_makes_full_batches(batches):
    """Fifty a second, and nothing at all for most of every second one."""
    arrivals = [second + n / 50 for second in range(0, 12, 2) for n in range(50)]
    assert [size for size, _ in batches(*arrivals)] == [100, 100, 100]


def test_the_rest_of_a_burst_is_waited_for(batches):
    arrivals = [n / 100 for n in range(110)]
    late = [1.5 + n * 0.4 for n in range(3)]
    assert [size for size, _ in batches(*arrivals, *late)] == [100, 13]


def test_whoever_comes_soon_after_a_burst_is_served_within_a_second(batches):
    told = batches(*(n / 100 for n in range(100)), 3)
    assert [size for size, _ in told] == [100, 1]
    assert 0.3 < told[1][1] < 0.8


def test_whoever_comes_long_after_a_burst_waits_a_moment_only(batches):
    told = batches(*(n / 100 for n in range(100)), 1 + burst.AFTER + 0.5)
    assert [size for size, _ in told] == [100, 1]
    assert told[1][1] < 0.2


def test_nobody_waits_longer_than_that_for_a_full_batch(batches):
    """Ten a second never fill a batch before patience ends."""
    told = batches(*(n / 10 for n in range(100)))
    assert max(size for size, _ in told) <= 10 * pace.IN_BURST.longest + 10


def test_of_what_waits_no_more_is_counted_than_matters(tmp_path, monkeypatch):
    """A reconcile makes everybody due at once, and each batch asks several times whether there is work."""
    world = World(tmp_path, mapping=EVENTS)
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    login(world, users[0], "l-1")
    counted = []
    for table in (Links, Inbox):
        count = table.waiting

        def waiting(self, *given, count=count, **named):
            counted.append(named.get("most") or (given[-1] if given else None))
            return count(self, *given, **named)

        monkeypatch.setattr(table, "waiting", waiting)
    world.deliver_all()
    sweep.sweep(world.work)
    while links := pace.gather(world.work, sleep=lambda seconds: None):
        batch.settle(world.work, links)
    activities.linger(world.work)
    assert len(counted) > 8
    assert all(counted)
    assert max(counted) <= 1000


def test_what_waits_is_counted_so_far_and_no_further(tmp_path):
    world = World(tmp_path)
    for number in range(3):
        world.idp.register({**USER, "email": f"u{number}@example.com"})
    world.deliver_all()
    with world.store.read() as tx:
        assert [tx.inbox.waiting(most) for most in (1, 2, None)] == [1, 2, 3]
    pace.intake.take(world.work)
    with world.store.read() as tx:
        assert [tx.links.waiting(most=most) for most in (1, 2, None)] == [1, 2, 3]
