"""The receiver on a real database, SQLite and PostgreSQL: what is answered 200 is there, byte for byte."""

import sqlite3
import time

import pytest
from sqlalchemy.event import listen

from connector.store import Store
from connector.store.tables import inbox
from connector.web import group_commit
from connector.web.app import StoredInbox

from . import harness
from .harness import counts, envelope, event


@pytest.fixture
def stored(migrated_url):
    store = Store(migrated_url)
    with harness.Site(StoredInbox(store)) as site:
        site.store = store
        yield site
    store.close()


def rows(site):
    with site.store.engine.connect() as connection:
        return {row.key: row for row in connection.execute(inbox.select().order_by(inbox.c.id))}


def test_raw_bytes_are_kept(stored):
    body = envelope(note="é 😀 \u202e").replace(b", ", b" ,\t")
    assert stored.members(body).json == counts(1)
    assert stored.members(body).json == counts(duplicates=1)
    kept = rows(stored)["msg_1"]
    assert (kept.source, kept.sender_id, kept.body, kept.state, kept.reason) == ("members", "msg_1", body, "pending", None)


def test_good_and_bad_items(stored):
    events = [
        event(1),
        event(2, objectId=2**63),
        event(3, propertyValue="a\0"),
        event(4, portalId=7),
        None,
        event(5, eventId=10**40),
    ]
    assert stored.hubspot(events).json == counts(2, quarantined=4)
    assert stored.hubspot(events).json == counts(duplicates=6)
    assert [row.reason for row in rows(stored).values()] == [
        None, "bad_object_id", "unstorable_text", "unknown_portal", "not_an_object", None,
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"\xff\x00", b"", b'{"a": "\\u0000"', b"[" * 100])
def test_whatever_was_signed(stored, body):
    assert stored.members(body).status == 400
    (kept,) = rows(stored).values()
    assert (bytes(kept.body), kept.state) == (body, "quarantined")
    assert kept.reason


@pytest.mark.parametrize("message_id", ["x" * 4000, "ü" * 10, "a\tb"], ids=["long", "not ASCII", "tab"])
def test_odd_ids(stored, message_id):
    body = envelope()
    headers = harness.signed(body, message_id) | {"webhook-id": message_id.encode()}
    assert stored.members(body, headers).json == counts(1)
    assert stored.members(body, headers).json == counts(duplicates=1)


def test_a_thousand_items_in_one_delivery(stored):
    assert stored.hubspot([event(number) for number in range(1000)]).json == counts(1000)
    assert stored.hubspot([event(number) for number in range(500, 1500)]).json == counts(500, 500)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_locked_database_is_not_waited_for(stored, monkeypatch):
    monkeypatch.setattr(group_commit, "PATIENCE", 0.5)
    other = sqlite3.connect(stored.store.engine.url.database)
    other.execute("begin exclusive")
    started = time.monotonic()
    answer = stored.members(envelope())
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert time.monotonic() - started < 4
    other.close()
    assert stored.members(envelope()).status == 200
    assert len(rows(stored)) == 1


def test_a_database_that_is_not_there():
    with harness.Site(StoredInbox(Store("postgresql://nobody@127.0.0.1:1/nothing"))) as site:
        started = time.monotonic()
        answer = site.hubspot([event()])
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_full_database(stored):
    with stored.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar()
    stored.store.engine.dispose()
    events = [event(number, propertyValue="x" * 5000) for number in range(100)]
    listen(stored.store.engine, "connect", lambda connection, _: connection.execute(f"pragma max_page_count={pages + 5}"))
    assert stored.hubspot(events).status == 503
    assert rows(stored) == {}
    assert stored.members(envelope()).json == counts(1)
