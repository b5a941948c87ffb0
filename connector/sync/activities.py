"""Identity events become records, once each: noticed with the delivery, sent when their person is settled.

An event waits for its link, whatever that takes; the link's state, never a delay, decides when it may go. What is due goes out by
sink, in batches, each person's events in the order they happened.
"""

import hashlib
import json
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from connector import sinks
from connector.crm.base import EVENTS
from connector.model import USER_KINDS, Change, Link
from connector.sinks import Sink
from connector.store import Tx
from connector.store.activities import CRM, OPEN
from connector.store.inbox import Stored
from connector.sync.burst import burst
from connector.sync.mentions import Body
from connector.sync.search import of_erased
from connector.sync.sender import Sender
from connector.sync.work import Work

PATIENCE, IN_A_BURST = timedelta(seconds=1), timedelta(seconds=10)
"""How long events wait for company: a record on the contact is not urgent, and calls are scarce. The second in a burst, and while
links are due, which may bring some."""

_waiting_already = threading.Lock()

MOST = 1_000_000
"""Events that wait for one sink; beyond that the oldest are dropped."""

ROUNDS = 20
"""Looks at changed links in one go."""


def notice(work: Work, tx: Tx, provider: str, changes: Sequence[tuple[Stored, Change]], gone: Collection[str] = ()) -> None:
    """Keep the events among deliveries, for each sink. Call it once the links are noticed, in the same transaction.

    gone: ids of users that were erased, of whom nothing is kept.
    """
    mapping = work.mappings.get(provider)
    names = sinks.names(mapping) if mapping else []
    if mapping is None or not names:
        return
    places = {kind: names for kind in USER_KINDS if kind in mapping.events.types}
    places.setdefault(sinks.LEAVING, sinks.deleting(mapping))
    told = [(row, change) for row, change in changes if places.get(change.kind)]
    ended = tx.activities.ended(provider, {change.record_id for _, change in told})
    rows = [
        _row(provider, row, change, mapping.events.details)
        for row, change in told
        if change.record_id not in gone and change.record_id not in ended
    ]
    rule = mapping.lifecycle.user_deleted
    meant = [(row, name) for row in rows for name in places[row["kind"]] if _has_place(row["kind"], name, rule)]
    tx.activities.add([{**row, "sink": name} for row, name in meant])
    found = tx.activities.restless(provider, {row["user_id"] for row in rows})
    tx.activities.calm({**found, "drop": []})  # a link may yet be made in this transaction


def gone(work: Work, tx: Tx, link: Link) -> None:
    """A user is gone, and a look showed it, not a delivery: sinks where users are deleted hear of it all the same.

    Call it in the transaction that ends the link.
    """
    names = sinks.deleting(work.mappings[link.provider])
    if not names or not link.user_id:
        return
    if any(row.kind == sinks.LEAVING and row.state in OPEN for row in tx.activities.of_user(link.provider, link.user_id)):
        return
    what = {"kind": sinks.LEAVING, "occurred_at": tx.now, "entry_point": None, "details": {}}
    told = {"provider": link.provider, "user_id": link.user_id, "event_id": f"gone:{link.id}.{link.token}", **what}
    tx.activities.add([{**told, "sink": name} for name in names])


def leave_out_erased(tx: Tx, told: Sequence[tuple[Stored, Change]]) -> None:
    """Take the addresses of people who were erased out of the events that these deliveries told of."""
    ids: dict[str, set[str]] = {}
    for row, change in told:
        ids.setdefault(row.source, set()).add(_event_id(row, change))
    bodies = {one.id: Body(one.body) for provider, found in ids.items() for one in tx.activities.told(provider, found)}
    tx.activities.rewrite({row: json.loads(details) for row, details in of_erased(tx, bodies).items()})


def wake(work: Work, links: Iterable[Link] | None = None) -> None:
    """Let go the events whose link was settled, and drop those whose link has ended: of these links, or of all."""
    if not work.sinks:
        return
    if links is None:
        for _ in range(ROUNDS):
            if not _calm(work):
                return
        return
    users: dict[str, list[str]] = {}
    for link in links:
        users.setdefault(link.provider, []).extend([link.user_id] if link.user_id else [])
    for provider, ids in users.items():
        _calm(work, provider, ids)


def send(work: Work) -> int:
    """Send everything that can go. Returns how many events were taken by their sinks.

    A sink that is down keeps its events waiting and is left alone for a while. Only the database's absence is raised
    (Unavailable).
    """
    wake(work)
    return sum(Sender(work, sink).run() for sink in work.sinks)


def follow(work: Work, links: Sequence[Link] = ()) -> int:
    """After a batch of links: send where full calls can be made, or events have waited long enough for them.

    links: those that were just settled. Returns as `send`.
    """
    if links:
        wake(work, links)
    return sum(_sender(work, sink).run() for sink in work.sinks if _worth(work, sink))


def waiting(work: Work, tx: Tx) -> int:
    """How many events could be sent, and how many records taken back, now; a thousand a sink at most."""
    open_ = [sink for sink in work.sinks if tx.troubles.of(sink.name).over(tx.now)]
    sent = sum(tx.activities.ready(sink.name, sink.providers, 1000)[0] for sink in open_)
    return sent + sum(len(tx.removals.due(sink.name, sink.providers, 1000)) for sink in open_)


def tidy(work: Work, tx: Tx, waiting: timedelta, most: int) -> int:
    """Drop what has waited in vain for so long (zero: for ever) and what is too much, some `most` events at once. Returns how
    many that were."""
    known: dict[str, set[str]] = {}
    for sink in work.sinks:
        known.setdefault(sink.name, set()).update(sink.providers)
    gone = tx.activities.give_up(tx.now - waiting, known, most) if waiting else 0
    return gone + tx.activities.shorten(MOST, most)


def linger(work: Work) -> bool:
    """Nothing is due: wait a moment for company of the events that could go, then send them.

    Returns whether there is something else to do first, or more events came meanwhile. In one process one thread waits.
    """
    if not work.sinks or not _waiting_already.acquire(blocking=False):
        return False
    try:
        ends = time.monotonic() + PATIENCE.total_seconds()
        while _young(work) and (burst.goes_on or time.monotonic() < ends):
            time.sleep(PATIENCE.total_seconds() / 10)
            with work.store.read() as tx:
                if tx.inbox.waiting(most=1) or tx.links.waiting(providers=work.mappings, most=1):
                    return True
        for sink in work.sinks:
            _sender(work, sink).run()
        return any(_ready(work, sink) for sink in work.sinks)
    finally:
        _waiting_already.release()


def _sender(work: Work, sink: Sink) -> Sender:
    """One that leaves what came meanwhile to wait for company of its own."""
    return Sender(work, sink, lambda: _worth(work, sink))


def _young(work: Work) -> bool:
    """Whether events wait for company and nothing else."""
    return any(_ready(work, sink) for sink in work.sinks) and not any(_worth(work, sink) for sink in work.sinks)


def _ready(work: Work, sink: Sink) -> int:
    with work.store.read() as tx:
        return tx.activities.ready(sink.name, sink.providers, 1)[0] if tx.troubles.of(sink.name).over(tx.now) else 0


def _worth(work: Work, sink: Sink) -> bool:
    with work.store.read() as tx:
        count, oldest = tx.activities.ready(sink.name, sink.providers, EVENTS)
        patience = IN_A_BURST if burst.goes_on or tx.links.waiting(providers=work.mappings, most=1) else PATIENCE
        return count >= EVENTS or (oldest is not None and oldest < tx.now - patience)


def _calm(work: Work, provider: str | None = None, user_ids: Iterable[str] = ()) -> bool:
    """Adjust events to their links. Looks before it writes: many may be waiting, and writers of SQLite wait for each other."""
    with work.store.read() as tx:
        found = tx.activities.restless(provider, user_ids)
    if any(found.values()):
        with work.store.write() as tx:
            tx.activities.calm(found)
    return any(found.values())


def _has_place(kind: str, sink: str, rule: str) -> bool:
    """That a user left is recorded where the contact stays; other sinks hear of it unless the person is to be erased.

    rule: lifecycle.user_deleted.
    """
    return kind != sinks.LEAVING or rule == "unlink" or (sink != CRM and rule != "erase_contact")


def _row(provider: str, row: Stored, change: Change, names: Sequence[str]) -> dict[str, Any]:
    told = change.details
    return {
        "provider": provider,
        "event_id": _event_id(row, change),
        "user_id": change.record_id,
        "kind": change.kind,
        "occurred_at": change.occurred_at or row.received_at,
        "entry_point": str(told["entry_point"]) if "entry_point" in told else None,
        "details": {name: told[name] for name in names if isinstance(told.get(name), str | int | float | bool)},
    }


def _event_id(row: Stored, change: Change) -> str:
    return change.event_id or row.sender_id or f"sha256:{hashlib.sha256(row.body).hexdigest()}"
