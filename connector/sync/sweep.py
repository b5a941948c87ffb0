"""What nobody rang for: due rows whose ring was lost, leases whose worker died, rows kept long enough."""

import os
import socket
from datetime import timedelta

from connector.sync import activities
from connector.sync.sender import LOCK
from connector.sync.work import Work

SWEPT = "sweep"
"""The mark that says when the last sweep was."""


def sweep(work: Work) -> int:
    """Recover leases of dead processes and count what is due. Returns how many rows, links and events wait for a worker."""
    activities.wake(work)
    with work.store.write() as tx:
        dead = [owner for owner in tx.links.owners() if not alive(owner)]
        if dead:
            tx.links.release(dead)
        for name, holder in tx.runs.holders(LOCK).items():
            if not alive(holder.rpartition("/")[0]):
                tx.runs.unlock(name, holder)
        tx.cursors.set(SWEPT)
        return tx.inbox.waiting() + tx.links.waiting() + activities.waiting(work, tx)


def forget(work: Work, deliveries: timedelta, history: timedelta) -> int:
    """Delete deliveries that are done with, and history, older than these; zero keeps them. Returns how many rows went.

    Events that nobody was linked for go with the deliveries, those that were sent with the history.
    """
    with work.store.write() as tx:
        gone = tx.inbox.forget(tx.now - deliveries) if deliveries else 0
        gone += activities.tidy(work, tx, deliveries, history)
        return gone + (tx.history.forget(tx.now - history) if history else 0)


def alive(owner: str) -> bool:
    """Whether the process that holds a lease (`host/pid`) may be running. Of another host nobody knows: its lease must lapse."""
    host, _, pid = owner.rpartition("/")
    if host != socket.gethostname() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
