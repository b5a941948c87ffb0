"""What nobody rang for: due rows whose ring was lost, leases whose worker died, deliveries kept long enough."""

import os
import socket
from datetime import timedelta

from connector.sync.work import Work

SWEPT = "sweep"
"""The mark that says when the last sweep was."""


def sweep(work: Work, retention: timedelta | None = None) -> int:
    """Recover leases of dead processes and count what is due. Returns how many rows and links wait for a worker.

    retention: how long deliveries that are done with are kept; None keeps them.
    """
    with work.store.write() as tx:
        dead = [owner for owner in tx.links.owners() if not alive(owner)]
        if dead:
            tx.links.release(dead)
        if retention is not None:
            tx.inbox.forget(tx.now - retention)
        tx.cursors.set(SWEPT)
        return tx.inbox.waiting() + tx.links.waiting()


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
