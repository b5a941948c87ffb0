"""Who was erased is recognised, and nobody else; the table does not say who it was."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from connector.store import Store

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def statements(store):
    """The statements made so far."""
    told = []
    event.listen(store.engine, "before_cursor_execute", lambda conn, cursor, statement, *rest: told.append(statement))
    return told


def test_what_was_buried_is_found_and_nothing_else(store):
    with store.write() as tx:
        tx.tombstones.bury("members", "u-1", ["c-1", "c-old"], ["Ada@Example.com "])
        assert tx.tombstones.users("members", ["u-1", "u-2"]) == {"u-1"}
        assert tx.tombstones.users("others", ["u-1"]) == set()
        assert tx.tombstones.contacts(["c-1", "c-old", "u-1"]) == {"c-1", "c-old"}
        assert set(tx.tombstones.emails(["ADA@example.com", "u-1"])) == {"ADA@example.com"}


def test_a_contact_without_a_user_can_be_buried(store):
    with store.write() as tx:
        tx.tombstones.bury("members", None, ["c-1"])
        assert tx.tombstones.contacts(["c-1"]) == {"c-1"}


def test_the_later_time_counts(migrated_url):
    now = [START]
    store = Store(migrated_url, clock=lambda: now[0])
    for email in ("a@example.com", "b@example.com"):
        with store.write() as tx:
            tx.tombstones.bury("members", "u-1", [], [email])
            tx.tombstones.moved("e@example.com")
    now[0] += timedelta(days=1)
    with store.write() as tx:
        tx.tombstones.bury("members", "u-2", [], ["a@example.com", "e@example.com"])
        tx.tombstones.moved("b@example.com")
        tx.tombstones.moved("c@example.com")
    with store.read() as tx:
        found = tx.tombstones.emails([f"{one}@example.com" for one in "abcde"])
    assert found == {f"{one}@example.com": now[0] for one in "abce"}
    store.close()


def test_no_table_tells_whose_they_are(store):
    with store.write() as tx:
        tx.tombstones.bury("members", "u-canary", ["c-canary"], ["canary@example.com"])
        assert "canary" not in str(tx.connection.execute(text("select * from tombstone")).all())


def test_a_question_is_one_query_and_none_about_nobody(store, statements):
    with store.write() as tx:
        tx.tombstones.bury("members", "u-1")
    with store.read() as tx:
        tx.tombstones.users("members", ["u-1"])  # the key is known from here on
        statements.clear()
        tx.tombstones.users("members", [f"u-{number}" for number in range(500)])
        tx.tombstones.emails([f"{number}@example.com" for number in range(500)])
        assert len(statements) == 2
        tx.tombstones.users("members", [])
        tx.tombstones.contacts([])
        tx.tombstones.emails([])
        assert len(statements) == 2


def test_any_number_of_addresses_can_be_asked_for(store):
    with store.write() as tx:
        tx.tombstones.bury("members", None, emails=["first@example.com"], former=["last@example.com"])
        many = ["first@example.com", *(f"{n}@example.com" for n in range(40_000)), "last@example.com"]
        assert set(tx.tombstones.emails(many, ["email", "former"])) == {"first@example.com", "last@example.com"}
        assert set(tx.tombstones.emails(many)) == {"first@example.com"}
