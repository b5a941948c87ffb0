"""What is asked again and again reads an index, never a whole table."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, insert, text

from connector.model import Item
from connector.store.history import Entry
from connector.store.tables import alias, metadata
from connector.sync.brakes import DELETIONS, HOUR

LASTING = timedelta(seconds=60)


@pytest.fixture
def filled(store):
    """Many links, all of a run and due, had another contact, and were written to."""
    rows = [{"provider": "members", "user_id": f"u-{number}", "contact_id": f"c-{number}", "run": 1} for number in range(3000)]
    with store.write() as tx:
        tx.links.create(rows)
        former = [
            {"provider": "members", "former_id": f"f-{number}", "link_id": number, "at": tx.now} for number in range(1, 3001)
        ]
        tx.connection.execute(insert(alias), former)
        blanked = [{"from": "x", "to": None}]
        tx.history.add(
            [Entry(one, "contact.update", run=one % 2 or None, changes=blanked * (one < 20)) for one in range(1, 3001)]
        )
        if tx.connection.dialect.name == "postgresql":
            tx.connection.execute(text("analyze"))
    return store


def plans(store, ask, reluctant=True):
    """How the database goes about the statements of `ask`. reluctant: PostgreSQL reads a small table whole only where it must."""
    said = []
    with store.write() as tx:
        word = "explain query plan" if tx.connection.dialect.name == "sqlite" else "explain"

        def explain(connection, cursor, statement, parameters, context, many):
            if statement.split()[0].lower() in ("select", "update", "delete"):
                cursor.execute(f"{word} {statement}", parameters)
                said.extend(str(row[-1]) for row in cursor.fetchall())

        if word == "explain" and reluctant:
            tx.connection.execute(text("set local enable_seqscan = off"))
        event.listen(tx.connection, "before_cursor_execute", explain)
        ask(tx)
        event.remove(tx.connection, "before_cursor_execute", explain)
    return "\n".join(said)


def whole(plan):
    """The steps that read a table from end to end."""
    read = re.compile(rf"Seq Scan|SCAN ({'|'.join(metadata.tables)})(_\d+)?$")
    return [line for line in plan.splitlines() if read.search(line)]


@pytest.mark.parametrize(("index", "ask"), [
    pytest.param("link_lease", lambda tx: tx.links.owners(), id="owners"),
    pytest.param("link_lease", lambda tx: tx.links.release(["dead"]), id="release"),
    pytest.param("link_lease", lambda tx: tx.links.creating(), id="creating"),
    pytest.param("link_due", lambda tx: tx.links.lease(100, "one", LASTING, providers=["members"]), id="lease"),
    pytest.param("link_run|link_due", lambda tx: tx.links.lease(100, "one", LASTING, run=1), id="lease of a run"),
    pytest.param("link_due", lambda tx: tx.links.waiting(providers=["members"]), id="waiting"),
    pytest.param("link_run|link_due", lambda tx: tx.links.busy(1), id="busy"),
    pytest.param("link_contact|link_lease", lambda tx: tx.links.taken(["7"], [1]), id="taken"),
    pytest.param("inbox_due", lambda tx: tx.inbox.claim(100), id="claim"),
    pytest.param("alias_link", lambda tx: tx.aliases.of_link(1), id="aliases"),
    pytest.param("history_run", lambda tx: tx.history.links_with(DELETIONS, 1, HOUR), id="deletions of a run"),
    pytest.param("history_kind", lambda tx: tx.history.links_with(DELETIONS, None, HOUR), id="deletions lately"),
    pytest.param("history_clears", lambda tx: tx.history.links_that_cleared(1, HOUR), id="clears of a run"),
    pytest.param("history_clears", lambda tx: tx.history.links_that_cleared(None, HOUR), id="clears lately"),
    pytest.param("activity_noticed", lambda tx: tx.activities.expire(tx.now, 10), id="events"),
])  # fmt: skip
def test_a_large_table_is_not_read_whole(filled, index, ask):
    plan = plans(filled, ask)
    assert re.search(index, plan)
    assert whole(plan) == []


@pytest.mark.parametrize("ask", [
    pytest.param(lambda tx: tx.links.waiting(1, ["members"], most=1), id="waiting"),
    pytest.param(lambda tx: tx.links.busy(1), id="busy"),
    pytest.param(lambda tx: tx.inbox.waiting(most=1), id="deliveries"),
])  # fmt: skip
def test_where_many_were_due_the_few_that_are_left_are_found_by_the_index(filled, ask):
    """Until PostgreSQL counts anew it believes that whatever it reads first is due."""
    with filled.write() as tx:
        tx.inbox.add([("members", Item(f"k-{number}", f"s-{number}", b"")) for number in range(3000)])
        if tx.connection.dialect.name == "postgresql":
            tx.connection.execute(text("analyze"))
    plan = plans(filled, ask, reluctant=False)
    assert whole(plan) == []
    assert re.search(r"link_(due|run)|inbox_due", plan)
