"""What was kept long enough goes in slices: one delete of everything old would be cut off by PostgreSQL, again and again."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from connector.errors import Unavailable
from connector.model import Item
from connector.store.activities import Activities
from connector.store.history import Entry
from connector.sync import sweep

from .events import EVENTS
from .world import World

EVENT = {"provider": "members", "sink": "crm", "kind": "user.login", "details": {}}
COUNTS = (
    "select count(*) from inbox", "select count(*) from history", "select count(*) from activity",
    "select count(*) from activity where state = 'pending'",
)  # fmt: skip


@pytest.fixture
def world(tmp_path, migrated_url):
    """Five old rows of each kind: deliveries, history, events that were sent, events that nobody was linked for."""
    world = World(tmp_path, migrated_url, EVENTS)
    with world.store.write() as tx:
        tx.inbox.add([("members", Item(f"k-{n}", f"s-{n}", b"{}", problem="odd")) for n in range(5)])
        tx.links.create([{"provider": "members", "user_id": "u-1"}])
        tx.history.add([Entry(tx.links.by_users("members", ["u-1"])["u-1"].id, "hold")] * 5)
        for user, state in (("u-1", "sent"), ("u-2", "pending")):
            rows = [{"event_id": f"{state}-{n}", "user_id": user, "state": state, "occurred_at": tx.now} for n in range(5)]
            tx.activities.add([EVENT | row for row in rows])
    world.clock.pass_(10 * 86400)
    yield world
    world.close()


def count(tx):
    return [tx.connection.execute(text(query)).scalar_one() for query in COUNTS]


def test_old_rows_go_some_at_a_time_each_time_in_a_transaction_of_its_own(world, monkeypatch):
    monkeypatch.setattr(sweep, "SLICE", 2)
    write, gone = world.store.write, []

    @contextmanager
    def watched():
        with write() as tx:
            before = count(tx)
            yield tx
            gone.append([one - left for one, left in zip(before, count(tx), strict=True)])

    monkeypatch.setattr(world.store, "write", watched)
    assert sweep.expire(world.work, timedelta(days=9), timedelta(days=9)) == 25
    assert max(max(rows) for rows in gone) == 2
    with world.store.read() as tx:
        assert count(tx) == [0, 0, 0, 0]


def test_what_cannot_go_keeps_nothing_else(world, monkeypatch):
    def slow(*given):
        raise Unavailable("database: QueryCanceled")

    monkeypatch.setattr(Activities, "expire", slow)
    with pytest.raises(Unavailable, match="QueryCanceled"):
        sweep.expire(world.work, timedelta(days=9), timedelta(days=9))
    with world.store.read() as tx:
        assert count(tx)[:2] == [0, 0]


def test_zero_keeps_everything(world):
    assert sweep.expire(world.work, timedelta(0), timedelta(0)) == 0
