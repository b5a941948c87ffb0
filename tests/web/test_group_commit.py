"""Many requests, one transaction: who learns what, and what happens when the database will not."""

import asyncio
import threading
import time

import pytest

from connector.errors import Unavailable
from connector.model import Item
from connector.web import group_commit
from connector.web.group_commit import GroupCommit

from .harness import FakeInbox


def row(key, body=b"{}"):
    return ("members", Item(key, key, body))


class Rings:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1


@pytest.fixture
def inbox():
    return FakeInbox()


@pytest.fixture
def rings():
    return Rings()


def together(commit, *requests):
    """What each of several requests gets that arrive at the same moment: its keys, or an error."""

    async def run():
        return await asyncio.gather(*(commit.add(rows) for rows in requests), return_exceptions=True)

    return [{key for _, key in one} if isinstance(one, set) else one for one in asyncio.run(run())]


def test_everything_that_waits_goes_into_one_transaction(inbox, rings):
    found = together(GroupCommit(inbox, rings), *[[row(f"k{n}"), row(f"j{n}")] for n in range(100)])
    assert found == [{f"k{n}", f"j{n}"} for n in range(100)]
    assert (inbox.calls, rings.count) == (1, 1)


def test_what_arrives_meanwhile_goes_into_the_next(inbox, rings):
    inbox.before = lambda rows: time.sleep(0.05)
    commit = GroupCommit(inbox, rings)

    async def run():
        first = asyncio.create_task(commit.add([row("a")]))
        await asyncio.sleep(0.02)
        return await asyncio.gather(first, *(commit.add([row(f"b{n}")]) for n in range(20)))

    assert sum(map(len, asyncio.run(run()))) == 21
    assert inbox.calls == 2


@pytest.mark.parametrize(("limit", "value"), [("MAX_REQUESTS", 10), ("MAX_BYTES", 100)])
def test_transactions_are_bounded(inbox, rings, monkeypatch, limit, value):
    monkeypatch.setattr(group_commit, limit, value)
    sizes = []
    inbox.before = lambda rows: sizes.append(len(rows))
    together(GroupCommit(inbox, rings), *[[row(f"k{n}", b"x" * 10)] for n in range(25)])
    assert sizes == [10, 10, 5]


def test_a_key_sent_twice_at_once_is_new_for_the_first(inbox, rings):
    assert together(GroupCommit(inbox, rings), [row("a")], [row("a"), row("b")], [row("b")]) == [{"a"}, {"b"}, set()]
    assert together(GroupCommit(inbox, rings), [row("a")]) == [set()]
    assert rings.count == 1


def test_nothing_to_keep(inbox, rings):
    assert together(GroupCommit(inbox, rings), []) == [set()]
    assert inbox.calls == 0


def test_the_database_is_down_for_everybody_and_up_again(inbox, rings):
    inbox.fails = [Unavailable("database: down")]
    commit = GroupCommit(inbox, rings)
    assert [type(one) for one in together(commit, [row("a")], [row("b")])] == [Unavailable, Unavailable]
    assert (inbox.rows, rings.count) == ({}, 0)
    assert together(commit, [row("a")]) == [{"a"}]


def test_one_bad_row_harms_no_other_request(inbox, rings):
    def before(rows):
        if any(item.key == "bad" for _, item in rows):
            raise ValueError("a row the database refuses")

    inbox.before = before
    found = together(GroupCommit(inbox, rings), [row("a")], [row("x"), row("bad")], [row("b")])
    assert [found[0], found[2]] == [{"a"}, {"b"}]
    assert isinstance(found[1], Unavailable)
    assert {key for _, key in inbox.rows} == {"a", "b"}


def test_the_database_goes_down_while_rows_are_tried_one_by_one(inbox, rings):
    inbox.fails = [ValueError("a bad row"), Unavailable("database: down"), Unavailable("database: down")]
    found = together(GroupCommit(inbox, rings), [row("a")], [row("b")], [row("c")])
    assert [type(one) for one in found[:2]] == [Unavailable, Unavailable]
    assert found[2] == {"c"}


def test_a_database_that_hangs_is_not_waited_for(inbox, rings, monkeypatch):
    """Senders hear within the time they have; what has given up is not stored after all, unless it was under way."""
    monkeypatch.setattr(group_commit, "PATIENCE", 0.1)
    hangs = threading.Event()
    inbox.before = lambda rows: hangs.wait(5)
    commit = GroupCommit(inbox, rings)

    async def run():
        started = time.monotonic()
        first = asyncio.create_task(commit.add([row("under way")]))
        await asyncio.sleep(0.01)
        found = await asyncio.gather(first, commit.add([row("waiting")]), return_exceptions=True)
        waited = time.monotonic() - started
        hangs.set()
        return found, waited, await commit.add([row("later")])

    found, waited, later = asyncio.run(run())
    assert [type(one) for one in found] == [Unavailable, Unavailable]
    assert waited < 1
    assert later == {("members", "later")}
    assert {key for _, key in inbox.rows} == {"under way", "later"}


def test_patience_ends_before_the_senders():
    assert 2 <= group_commit.PATIENCE < 5


def test_too_many_waiting(inbox, rings, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_WAITING", 3)
    found = together(GroupCommit(inbox, rings), *[[row(f"k{n}")] for n in range(5)])
    assert [type(one) for one in found] == [set, set, set, Unavailable, Unavailable]


def test_a_doorbell_that_fails_is_nobodys_business(inbox, monkeypatch):
    def ring():
        raise OSError("no broker")

    monkeypatch.setattr(group_commit, "PATIENCE", 1)
    inbox.before = lambda rows: time.sleep(0.05)
    commit = GroupCommit(inbox, ring)

    async def run():
        first = asyncio.create_task(commit.add([row("a")]))
        await asyncio.sleep(0.01)
        return await asyncio.gather(first, commit.add([row("b")]))

    assert asyncio.run(run()) == [{("members", "a")}, {("members", "b")}]


def test_a_request_that_was_cancelled_stops_nobody(inbox, rings):
    inbox.before = lambda rows: time.sleep(0.05)
    commit = GroupCommit(inbox, rings)

    async def run():
        first = asyncio.create_task(commit.add([row("a")]))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(commit.add([row("b")]))
        third = asyncio.create_task(commit.add([row("c")]))
        await asyncio.sleep(0.01)
        first.cancel()
        second.cancel()
        return await third

    assert asyncio.run(run()) == {("members", "c")}
    assert {key for _, key in inbox.rows} == {"a", "c"}
