"""What nobody rang for: due rows whose ring was lost, leases whose worker died, rows kept long enough."""

import os
from collections.abc import Callable
from datetime import timedelta

from connector.errors import Unavailable
from connector.store import Tx
from connector.sync import activities, health, recent, reconcile, subscriptions
from connector.sync.sender import LOCK
from connector.sync.work import Work, here

SWEPT = "sweep"
"""The mark that says when the last sweep was."""

SLICE = 5000
"""Rows that are deleted in one transaction."""

MOST = 1000
"""Of what waits, so many rows, links and events are counted: more of them ask for no other answer."""


def sweep(work: Work) -> int:
    """Recover leases of dead processes. Returns how many rows, links and events wait for a worker, `MOST` of each at most."""
    activities.wake(work)
    recent.begin(work)
    subscriptions.ring_owed(work)
    with work.store.write() as tx:
        dead = [owner for owner in tx.links.owners() if not alive(owner)]
        if dead:
            tx.links.release(dead)
        for name, holder in (tx.runs.holders(LOCK) | tx.runs.holders(subscriptions.LOCK)).items():
            if not alive(holder.rpartition("/")[0]):
                tx.runs.unlock(name, holder)
        reconcile.bury(tx, alive)
        tx.cursors.set(SWEPT)
        health.tell(tx)
        return tx.inbox.waiting(MOST) + tx.links.waiting(providers=work.mappings, most=MOST) + activities.waiting(work, tx)


def expire(work: Work, deliveries: timedelta, history: timedelta) -> int:
    """Delete deliveries that are done with, and history, older than these; zero keeps them. Returns how many rows went.

    Events that nobody was linked for go with the deliveries, those that were sent with the history. Some rows at a time: other
    writers have their turn between two transactions, and none takes longer than a database allows. Where one does, the others'
    rows go all the same; then raises Unavailable.
    """
    kinds: list[Callable[[Tx], int]] = [lambda tx: activities.tidy(work, tx, deliveries, SLICE)]
    if deliveries:
        kinds.append(lambda tx: tx.inbox.expire(tx.now - deliveries, SLICE))
    if history:
        kinds.append(lambda tx: tx.activities.expire(tx.now - history, SLICE))
        kinds.append(lambda tx: tx.history.expire(tx.now - history, SLICE))
    gone, failed = 0, None
    for some in kinds:
        try:
            gone += _in_slices(work, some)
        except Unavailable as error:
            failed = failed or error
    if failed:
        raise failed
    return gone


def _in_slices(work: Work, some: Callable[[Tx], int]) -> int:
    gone = 0
    while True:
        with work.store.write() as tx:
            rows = some(tx)
        gone += rows
        if not rows:
            return gone


def alive(owner: str) -> bool:
    """Whether the process that holds a lease (`here()/pid`) may be running. Elsewhere nobody knows: its lease must lapse."""
    place, _, pid = owner.rpartition("/")
    if place != here() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
