"""Records that are to be taken back: each once, when it is due, until it is gone."""

from datetime import timedelta

from connector.store.removals import Made

RECORDS = [Made("crm", "1"), Made("crm", "2")]


def test_a_record_is_kept_once(store):
    with store.write() as tx:
        tx.removals.add("members", RECORDS)
        tx.removals.add("members", RECORDS[:1])
        tx.removals.add("members", [])
        assert [one.record_id for one in tx.removals.due("crm", ["members"], 10)] == ["1", "2"]
        assert tx.removals.count() == 2


def test_a_sink_is_told_of_its_own_providers_records(store):
    with store.write() as tx:
        tx.removals.add("members", RECORDS)
        tx.removals.add("shop", RECORDS[:1])
        assert [one.record_id for one in tx.removals.due("crm", ["shop"], 10)] == ["1"]
        assert tx.removals.due("segment:a", ["shop"], 10) == []
        assert len(tx.removals.due("crm", ["members", "shop"], 2)) == 2


def test_what_cannot_be_taken_back_waits_and_says_why(store):
    with store.write() as tx:
        tx.removals.add("members", RECORDS)
        first, second = tx.removals.due("crm", ["members"], 10)
        tx.removals.postpone(first.id, tx.now + timedelta(hours=1), "no scope")
        assert tx.removals.due("crm", ["members"], 10) == [second]
        assert tx.removals.overdue(tx.now + timedelta(seconds=1)) == {"no scope": 1, "": 1}
        assert tx.removals.overdue(tx.now - timedelta(seconds=1)) == {}
        tx.removals.postpone_due("crm", ["members"], tx.now + timedelta(hours=1), "down")
        assert tx.removals.due("crm", ["members"], 10) == []
        assert tx.removals.overdue(tx.now + timedelta(seconds=1)) == {"no scope": 1, "down": 1}
        tx.removals.done([first.id, second.id])
        assert tx.removals.count() == 0


def test_a_record_of_which_only_the_event_is_known_is_kept_once(store):
    with store.write() as tx:
        tx.removals.add("members", [Made("crm", key="evt-1"), Made("crm", key="evt-2"), Made("crm", "evt-1")])
        tx.removals.add("members", [Made("crm", key="evt-1")])
        assert [(one.record_id, one.key) for one in tx.removals.due("crm", ["members"], 10)] == [
            (None, "evt-1"), (None, "evt-2"), ("evt-1", None),
        ]  # fmt: skip
