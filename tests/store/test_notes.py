"""Locks, cursors, parked work and history."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from connector.model import LinkState
from connector.store.history import Entry

LASTING = timedelta(seconds=60)


@pytest.fixture
def link(store):
    with store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": "u-1"}])
        return tx.links.by_users("members", ["u-1"])["u-1"]


def lock(store, holder, lasting=LASTING):
    with store.write() as tx:
        return tx.runs.lock("reconcile", holder, lasting)


def test_a_lock_has_one_holder_who_may_extend_it(store):
    assert lock(store, "one")
    assert not lock(store, "two")
    assert lock(store, "one")


def test_a_lock_lapses_when_its_holder_dies(store):
    assert lock(store, "one", timedelta(seconds=-1))
    assert lock(store, "two")


def test_a_lock_given_back_is_free_and_somebody_elses_stays(store):
    lock(store, "one")
    with store.write() as tx:
        tx.runs.unlock("reconcile", "two")
    assert not lock(store, "two")
    with store.write() as tx:
        tx.runs.unlock("reconcile", "one")
    assert lock(store, "two")


def test_a_holder_whose_name_begins_like_anothers_is_somebody_else(store):
    lock(store, "host/12")
    with store.write() as tx:
        tx.runs.unlock("reconcile", "host/1")
    assert not lock(store, "host/1")


def test_a_mark_keeps_its_value_and_time(store):
    with store.write() as tx:
        assert tx.cursors.get("mark") is None
        tx.cursors.set("mark", "a")
        tx.cursors.set("mark", "b")
        value, at = tx.cursors.get("mark")
        assert value == "b"
        assert abs(tx.now - at) < timedelta(seconds=5)


def test_parking_again_renews_reason_and_value_and_keeps_the_time(store, link):
    with store.write() as tx:
        tx.parked.put(link.id, "interests", "first", 1, ("a", "b"))
        since = tx.parked.rows()[0].since
        tx.parked.put(link.id, "interests", "second", 2, None)
        (row,) = tx.parked.rows()
        assert (row.link, row.what, row.reason, row.attempts, row.value, row.since) == (
            "members:u-1", "interests", "second", 2, None, since,
        )  # fmt: skip


def test_a_set_that_was_refused_is_recognised_again(store, link):
    with store.write() as tx:
        tx.parked.put(link.id, "interests", "no", 1, ("a", "b"))
        assert tx.parked.of_links([link.id])[link.id][0].value == ("a", "b")


def test_a_reason_of_any_text_can_be_parked(store, link):
    with store.write() as tx:
        tx.parked.put(link.id, "x" * 500, "odd \x00 \ud800 " + "y" * 5000, 1, "\x00")
        assert "odd" in tx.parked.rows()[0].reason


def test_history_is_told_oldest_first(store, link):
    with store.write() as tx:
        tx.history.add([Entry(link.id, "contact.create", "d-1", None, "m", [{"to": "a"}]), Entry(link.id, "contact.update")])
        tx.history.add([])
        told = tx.history.of_link(link.id)
    assert [entry.kind for entry in told] == ["contact.create", "contact.update"]
    assert told[0].changes == [{"to": "a"}]


def test_any_text_can_be_history(store, link):
    with store.write() as tx:
        tx.history.add([Entry(link.id, "refused", "\x00" * 400, None, "m", [{"to": "\x00\ud800"}], "r\x00", "a\ud800\x00")])
        assert tx.history.of_link(link.id)[0].changes == [{"to": "\x00\ud800"}]


def test_what_belongs_to_a_link_goes_with_it(store, link):
    with store.write() as tx:
        tx.history.add([Entry(link.id, "contact.create")])
        tx.parked.put(link.id, "link", "why", 1)
        tx.aliases.add(link.id, "members", "old")
        tx.links.remove(link.id)
        assert (tx.parked.count(), tx.history.of_link(link.id), tx.aliases.of_link(link.id)) == (0, [], [])


def test_old_history_goes_some_entries_at_a_time(store, link):
    with store.write() as tx:
        tx.history.add([Entry(link.id, str(number)) for number in range(5)])
        assert tx.history.expire(tx.now - timedelta(hours=1), 2) == 0
        assert tx.history.expire(tx.now + timedelta(hours=1), 2) == 2
        assert [entry.kind for entry in tx.history.of_link(link.id)] == ["2", "3", "4"]


def test_a_run_is_started_finished_and_found(store):
    with store.write() as tx:
        run = tx.runs.start("reconcile", "members")
        tx.runs.finish(run, "done", {"read": 1})
        assert tx.runs.kinds([run]) == {run: "reconcile"}


def test_links_that_had_a_field_blanked_are_counted(store):
    """In a run, or lately by live deliveries: each once, and only what something was in before."""
    changes = {"blanked": {"from": "x", "to": None}, "changed": {"from": "x", "to": "y"}, "nothing": {"from": None, "to": None}}
    written = [
        (1, "contact.update", 7, "blanked"), (1, "user.update", 7, "blanked"), (2, "user.membership", 7, "blanked"),
        (3, "contact.update", 7, "changed"), (4, "user.update", 7, "nothing"), (5, "conflict", 7, "blanked"),
        (6, "contact.update", None, "blanked"),
    ]  # fmt: skip
    with store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": f"u-{number}"} for number in range(1, 7)])
        tx.history.add(
            [Entry(one, kind, run=run, changes=[changes["changed"], changes[what]]) for one, kind, run, what in written]
        )
        counts = [tx.history.links_that_cleared(run, timedelta(hours=1)) for run in (7, 8, None)]
        assert (counts, tx.history.clears_of_run(7)) == ([2, 0, 1], 3)
        tx.connection.execute(text("update history set at = at - 3601"))
        assert [tx.history.links_that_cleared(run, timedelta(hours=1)) for run in (7, None)] == [2, 0]


def test_the_effects_of_the_last_hour_leave_out_those_of_runs(store, link):
    with store.write() as tx:
        tx.history.add([Entry(link.id, "contact.archive"), Entry(link.id, "contact.archive", run=7)])
        assert tx.history.links_with(["contact.archive"], None, timedelta(hours=1)) == 1
        assert tx.history.kinds_of_run(7) == {"contact.archive": 1}
        assert tx.links.counts()[LinkState.PENDING] == 1
