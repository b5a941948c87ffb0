"""Deliveries are kept once, in order, and each is worked on by one worker."""

import threading
from datetime import timedelta

import pytest

from connector.model import Item


def item(key, **more):
    return Item(key, f"sender-{key}"[:300], b"\x00\xff raw", **more)


def add(store, *items, source="members"):
    with store.write() as tx:
        return tx.inbox.add([(source, one) for one in items])


def test_a_delivery_is_kept_as_raw_bytes(store):
    add(store, item("a", meta={"topic": "x"}))
    with store.write() as tx:
        (row,) = tx.inbox.claim(10)
    assert (row.source, row.sender_id, row.body, row.meta) == ("members", "sender-a", b"\x00\xff raw", {"topic": "x"})


def test_a_repeat_is_told_from_what_is_new(store):
    assert add(store, item("a")) == {("members", "a")}
    assert add(store, item("a"), item("b")) == {("members", "b")}
    with store.read() as tx:
        assert tx.inbox.counts() == {"pending": 2, "done": 0, "quarantined": 0}


def test_a_key_twice_in_one_delivery_is_one_row(store):
    assert add(store, item("a"), item("a")) == {("members", "a")}


def test_the_same_key_of_two_senders_is_two_rows(store):
    add(store, item("a"))
    assert add(store, item("a"), source="crm") == {("crm", "a")}


def test_a_repeat_after_it_was_done_is_not_worked_on_again(store):
    add(store, item("a"))
    with store.write() as tx:
        tx.inbox.done({row.id: None for row in tx.inbox.claim(10)})
    assert add(store, item("a")) == set()
    with store.read() as tx:
        assert tx.inbox.waiting() == 0


def test_rows_come_in_the_order_they_were_kept(store):
    add(store, *(item(str(number)) for number in range(20)))
    with store.write() as tx:
        assert [row.sender_id for row in tx.inbox.claim(20)] == [f"sender-{number}" for number in range(20)]


def test_those_that_waited_longest_are_taken_first_and_in_the_order_they_came(store):
    add(store, item("a"), item("b"), item("c"), item("d"))
    with store.write() as tx:
        for row, ago in ((1, 1), (2, 4), (3, 3), (4, 5)):
            tx.inbox.postpone([row], timedelta(seconds=-ago))
        taken = tx.inbox.claim(3)
        tx.inbox.done({row.id: None for row in taken})
        assert [row.id for row in taken] == [2, 3, 4]
        assert [row.id for row in tx.inbox.claim(3)] == [1]


def test_an_item_with_a_problem_is_quarantined_and_claimed_once_as_such(store):
    add(store, item("a", problem="no user id"), item("b"))
    with store.write() as tx:
        assert [(row.id, row.readable) for row in tx.inbox.claim(10)] == [(1, False), (2, True)]
        tx.inbox.leave([1])
        assert [row.id for row in tx.inbox.claim(10)] == [2]
        assert (tx.inbox.counts()["quarantined"], tx.inbox.quarantined(1)[0]["reason"]) == (1, "no user id")


def test_a_quarantined_row_is_set_aside_for_good(store):
    add(store, item("a"))
    with store.write() as tx:
        tx.inbox.quarantine(tx.inbox.claim(1)[0].id, "unreadable")
        assert (tx.inbox.claim(1), tx.inbox.counts()["quarantined"]) == ([], 1)


def test_a_postponed_row_waits_and_counts_its_tries(store):
    add(store, item("a"))
    with store.write() as tx:
        tx.inbox.postpone([tx.inbox.claim(1)[0].id], timedelta(hours=1))
        assert tx.inbox.claim(1) == []
    with store.write() as tx:
        tx.inbox.postpone([1], timedelta(seconds=-1))
        assert tx.inbox.claim(1)[0].tries == 2


def test_a_crash_before_the_commit_leaves_the_row_pending(store):
    add(store, item("a"))
    with pytest.raises(KeyboardInterrupt), store.write() as tx:
        tx.inbox.done({row.id: None for row in tx.inbox.claim(10)})
        raise KeyboardInterrupt
    with store.read() as tx:
        assert tx.inbox.waiting() == 1


def test_the_same_delivery_from_many_threads_is_one_row(store):
    """F40: a sender that retries impatiently. Everybody is answered, one row is kept."""
    new, errors = [], []

    def deliver(order):
        try:
            for _ in range(5):
                new.extend(add(store, *(item(key) for key in order)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=deliver, args=(order,)) for order in ("abcd", "dcba", "bdac", "cadb")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    assert sorted(new) == [("members", key) for key in "abcd"]


def test_two_workers_never_claim_the_same_row(store):
    add(store, *(item(str(number)) for number in range(40)))
    claimed, together = [], threading.Barrier(4)

    def work():
        together.wait()
        while True:
            with store.write() as tx:
                rows = tx.inbox.claim(5)
                tx.inbox.done({row.id: None for row in rows})
            if not rows:
                return
            claimed.extend(row.id for row in rows)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 40


@pytest.mark.parametrize(("key", "sender_id"), [
    ("k" * 1000, "s" * 1000), ("a\x00b", "a\x00b"), ("a\ud800b", "a\ud800b"), ("", ""), ("ключ 🎉" * 60, "ключ 🎉" * 60),
])  # fmt: skip
def test_whatever_a_sender_calls_its_event_is_kept_once(store, key, sender_id):
    """Signed events are never lost because of their names, and repeats of them are still recognised."""
    strange = Item(key, sender_id, b"{}", {"topic": "a\x00\ud800"}, problem="odd \x00\ud800")
    assert len(add(store, strange)) == 1
    assert add(store, strange) == set()


def test_what_was_said_of_a_person_is_found_and_can_be_blanked(store):
    add(store, item("a"), item("b"), item("c", problem="odd"), item("d"))
    with store.write() as tx:
        ids = [row.id for row in tx.inbox.claim(2)]
        tx.inbox.done({ids[0]: "u-1", ids[1]: "u-2"})
        assert [row.id for row in tx.inbox.of("members", ["u-1", "u-9"])] == [ids[0]]
        assert tx.inbox.of("crm", ["u-1"]) == tx.inbox.of("members", []) == []
        assert [row.state for row in tx.inbox.unattributed(0, 10)] == ["quarantined", "pending"]
        tx.inbox.blank([ids[0], *(row.id for row in tx.inbox.unattributed(0, 10))])
        assert tx.inbox.of("members", ["u-1"]) == tx.inbox.unattributed(0, 10) == []
        assert tx.inbox.counts() == {"pending": 0, "done": 4, "quarantined": 0}
    assert add(store, item("a"), item("c"), item("d")) == set()


def test_what_was_said_of_a_person_after_a_time_is_found_as_it_came(store):
    add(store, item("a", meta={"topic": "x"}), item("b"))
    with store.write() as tx:
        rows = tx.inbox.claim(2)
        tx.inbox.done({rows[0].id: "u-1", rows[1].id: "u-2"})
        before, at = rows[0].received_at - timedelta(seconds=1), rows[0].received_at
        assert tx.inbox.about("members", "u-1", None) == tx.inbox.about("members", "u-1", before) == [rows[0]]
        assert tx.inbox.about("members", "u-1", at) == tx.inbox.about("crm", "u-1", None) == []


def test_a_blanked_row_stays_blank_when_intake_is_through_with_it(store):
    add(store, item("a"))
    with store.write() as tx:
        (row,) = tx.inbox.claim(1)
        tx.inbox.blank([row.id])
        tx.inbox.done({row.id: "u-1"})
        assert tx.inbox.of("members", ["u-1"]) == []


def test_what_is_done_or_in_quarantine_is_forgotten_after_a_while(store):
    add(store, item("a"), item("b"), item("c", problem="odd"))
    with store.write() as tx:
        tx.inbox.done({tx.inbox.claim(1)[0].id: None})
        assert tx.inbox.expire(tx.now - timedelta(minutes=1), 10) == 0
        assert tx.inbox.expire(tx.now + timedelta(minutes=1), 1) == 1
        assert tx.inbox.expire(tx.now + timedelta(minutes=1), 10) == 1
        assert tx.inbox.counts() == {"pending": 1, "done": 0, "quarantined": 0}


def test_only_what_was_dealt_with_and_still_says_something_is_rewritten(store):
    add(store, item("a"), item("b"), item("c"))
    with store.write() as tx:
        gone, done, waits = [row.id for row in tx.inbox.page(0, 9)]
        tx.inbox.done({gone: "u-1", done: "u-1"})
        tx.inbox.blank([gone])
        tx.inbox.rewrite({})
        tx.inbox.rewrite(dict.fromkeys((gone, done, waits), b"else"))
        assert [(row.id, row.body == b"else") for row in tx.inbox.page(0, 9)] == [(done, True), (waits, False)]
        tx.inbox.rewrite({done: b"", waits: b""})
        assert [row.id for row in tx.inbox.page(0, 9)] == [waits]
