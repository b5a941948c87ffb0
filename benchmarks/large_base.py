"""How long the store's queries take on a large base: python benchmarks/large_base.py DATABASE_URL

Fills a new database (an empty PostgreSQL database, or a SQLite file that is not there yet) with a run's links that are all due,
deliveries that are done, some that wait behind them, and what the run did so far. Then it times what workers ask again and again.
Nothing is taken away again.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from connector.errors import ConnectorError
from connector.store import Store, Tx
from connector.store.history import Entry
from connector.store.migrate import upgrade
from connector.store.tables import inbox, link
from connector.sync.brakes import BRAKES, HOUR
from connector.sync.status import status

AT_ONCE = 20_000
"""Rows in one transaction."""
WORKERS = 8
RUN = 1
LEASE = timedelta(minutes=5)
PERSON = {f"custom.field_{number}": f"some value of it, number {number}" for number in range(25)}
LINK = {
    "provider": "members", "state": "active", "base": PERSON, "user": {"id": "u", "values": PERSON, "etag": None},
    "contact": {"id": "c", "properties": PERSON},
    "echo": {}, "held": {}, "drift": [], "intent": [], "user_gone": False, "refetch": False, "lone": False, "run": RUN,
}  # fmt: skip
DELIVERY = {"source": "members", "body": b"x" * 600, "meta": {}}
CHANGE = {"field": "a", "property": "a", "side": "contact", "from": "x", "base": None, "user": "y", "contact": "x"}


def main() -> None:
    """Fill a database, time the queries, print a line for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("database_url")
    options.add_argument("--links", type=int, default=500_000)
    options.add_argument("--deliveries", type=int, default=1_500_000, help="Those that are done; one for ten links waits.")
    given = options.parse_args()
    store = Store(given.database_url)
    upgrade(store)
    with store.read() as tx:
        if any(tx.links.counts().values()):
            sys.exit("the database has links: name a new one")
    began = time.monotonic()
    fill(store, given.links, given.deliveries)
    print(f"{given.links:,} links, {given.deliveries:,} deliveries: filled in {time.monotonic() - began:.0f} s", flush=True)
    measure(store)
    store.close()


def fill(store: Store, links: int, deliveries: int) -> None:
    """Everything happened in the last hour. Of ten links the run updated, one had a field blanked."""
    with store.read() as tx:
        now = tx.now
    began = now - timedelta(hours=1)
    add(store, link, links, lambda number: {
        **LINK, "user_id": f"u-{number}", "contact_id": f"c-{number}", "email": f"{number}@example.com", "created_at": began,
        "due_at": began + timedelta(milliseconds=number),
    })  # fmt: skip
    add(store, inbox, deliveries, lambda number: {
        **DELIVERY, "key": f"done-{number}", "sender_id": f"done-{number}", "received_at": began, "state": "done",
        "record": f"u-{number % links}",
    })  # fmt: skip
    add(store, inbox, links // 10, lambda number: {
        **DELIVERY, "key": f"new-{number}", "sender_id": f"new-{number}", "received_at": began, "state": "pending",
        "due_at": began + timedelta(milliseconds=number),
    })  # fmt: skip
    for some in parts(links):
        changes = {one: [CHANGE | {"to": "y" if one % 10 else None}] for one in some}
        with store.write() as tx:
            tx.history.add([Entry(one, "contact.update", run=RUN, changes=changes[one]) for one in some])
    if store.engine.dialect.name == "postgresql":  # which does it by itself, sooner or later
        with store.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("vacuum analyze"))


def add(store: Store, table: Table, count: int, row: Callable[[int], dict[str, Any]]) -> None:
    """Rows numbered from 1."""
    for some in parts(count):
        with store.write() as tx:
            tx.connection.execute(insert(table), [row(number) for number in some])


def parts(count: int) -> Iterator[range]:
    """1 to `count`, some at a time."""
    return (range(first, min(first + AT_ONCE, count + 1)) for first in range(1, count + 1, AT_ONCE))


def measure(store: Store) -> None:
    """The middle one of three times each; what waits and what is leased changes little by it."""
    clears = BRAKES[-1].done
    show("is a link due", store, lambda tx: tx.links.waiting(RUN, ["members"], 1))
    show("how many links are due", store, lambda tx: tx.links.waiting(RUN, ["members"]))
    show("lease 100 links of the run", store, lease)
    show("lease 100 links", store, lambda tx: tx.links.lease(100, "host/1", LEASE, None, ["members"]))
    workers(store)
    show("who holds leases", store, lambda tx: tx.links.owners())
    show("is a contact being created", store, lambda tx: tx.links.creating())
    show("is the run's work under way", store, lambda tx: tx.links.busy(RUN))
    show("claim 500 deliveries", store, lambda tx: tx.inbox.claim(500))
    show("links the run blanked a field of", store, lambda tx: clears(tx.history, RUN, HOUR))
    took([timed(lambda: status(store)) for _ in range(3)], "status")


def lease(tx: Tx) -> int:
    """What a worker does for each batch."""
    return len(tx.links.lease(100, "host/1", LEASE, RUN, ["members"]))


def workers(store: Store) -> None:
    """Some that take a batch at once."""
    times: list[float] = []

    def work() -> None:
        try:
            times.append(timed(lambda: run(store, lease)))
        except ConnectorError as error:
            print(f"  {error}", flush=True)

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    print(f"{f'lease 100, {WORKERS} at once: the last of {len(times)}':40} {max(times, default=0):7.3f} s", flush=True)


def show(name: str, store: Store, ask: Callable[[Tx], object]) -> None:
    """Time a query by itself."""
    took([timed(lambda: run(store, ask)) for _ in range(3)], name)


def run(store: Store, ask: Callable[[Tx], object]) -> None:
    """In a transaction of its own."""
    with store.write() as tx:
        ask(tx)


def timed(what: Callable[[], object]) -> float:
    """Seconds it takes."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def took(times: list[float], name: str) -> None:
    """One line."""
    print(f"{name:40} {sorted(times)[1]:7.3f} s", flush=True)


if __name__ == "__main__":
    main()
