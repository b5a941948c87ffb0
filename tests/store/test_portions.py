"""Somebody may be named in more rows than a database takes parameters in one statement."""

from connector.store.portions import MOST, portions

MANY = range(1, 70_001)
EVENT = {"provider": "members", "user_id": "u-1", "sink": "crm", "kind": "user.login", "entry_point": None, "details": {}}


def test_any_number_of_events_of_a_person_is_forgotten(store):
    with store.write() as tx:
        tx.activities.add([EVENT | {"event_id": str(number), "occurred_at": tx.now} for number in MANY])
        assert tx.activities.forget("members", "u-1") == []
        assert tx.activities.of_user("members", "u-1") == []


def test_portions_are_whole_and_in_order():
    assert [len(some) for some in portions(range(2 * MOST + 1))] == [MOST, MOST, 1]
    assert [one for some in portions(range(2 * MOST + 1)) for one in some] == list(range(2 * MOST + 1))
    assert list(portions([])) == []


def test_any_number_of_rows_may_name_a_person(store):
    emails = [f"u{number}@example.com" for number in MANY]
    with store.write() as tx:
        assert tx.inbox.among(MANY) == []
        tx.inbox.blank(MANY)
        tx.inbox.rewrite(dict.fromkeys(MANY, b""))
        assert tx.activities.among(MANY) == []
        tx.activities.rewrite({row: {} for row in MANY})
        assert tx.activities.told("members", map(str, MANY)) == []
        assert (tx.links.in_use(emails), tx.links.erasing(emails)) == (set(), set())
        assert tx.tombstones.emails(emails) == {}
