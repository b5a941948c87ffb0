"""When to start a batch: at once when a hundred links wait, else when it has been quiet for a moment.

A burst of events arrives over some seconds. Starting on the first of them would spend one CRM call on one link; waiting a
little makes full batches, and an event that comes alone still reaches the other side well within a second.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from connector.crm.base import BATCH
from connector.model import Link
from connector.sync import activities, batch, intake
from connector.sync.burst import LARGE, burst
from connector.sync.work import Work


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds without news after which what is there is taken, and seconds that a link waits for company at most."""

    quiet: float
    longest: float


ALONE = Patience(quiet=0.12, longest=0.6)
IN_BURST = Patience(quiet=1.0, longest=4.0)
AFTER_BURST = Patience(quiet=0.5, longest=2.0)

STEP = 0.02
"""Seconds between two looks."""


def gather(work: Work, limit: int = BATCH, sleep: Callable[[float], None] = time.sleep) -> list[Link]:
    """Take in deliveries until a batch is worth starting, and lease it. Empty when nothing is due. Raises Unavailable."""
    started = changed = time.monotonic()
    before = 0
    while True:
        took = intake.take(work)
        with work.store.read() as tx:
            waiting = tx.links.waiting(providers=work.mappings, most=max(limit, LARGE))
        if not took and not waiting:
            return []
        now = time.monotonic()
        if took or waiting != before:
            before, changed = waiting, now
        patience = IN_BURST if waiting >= LARGE else AFTER_BURST if burst.goes_on else ALONE
        over = now - changed >= patience.quiet or now - started >= patience.longest
        if (over or waiting >= limit) and (links := batch.lease(work, limit, at_least=1 if over else limit)):
            burst.seen(len(links))
            return links
        sleep(STEP)


WORKING = 20.0
"""Seconds after which a worker lets others have a turn."""

_turn = threading.Lock()
_next_in_line = threading.Semaphore(1)


def work_off(work: Work) -> int:
    """Settle what is due, batch after batch. Returns how many links were settled.

    In one process one thread gathers while others settle; a second may wait for its turn, a third has nothing to add.
    """
    settled = 0
    started = time.monotonic()
    while (links := _gather_in_turn(work)) or activities.linger(work):
        settled += batch.settle(work, links) if links else 0
        activities.follow(work, links)
        if time.monotonic() - started > WORKING:
            work.ring()
            break
    return settled


def _gather_in_turn(work: Work) -> list[Link]:
    if not _next_in_line.acquire(blocking=False):
        return []  # whoever waits will see what we would see
    try:
        _turn.acquire()
    finally:
        _next_in_line.release()
    try:
        links = gather(work)
        if len(links) == BATCH:
            work.ring()  # there is probably more: another worker can begin on it
        return links
    finally:
        _turn.release()
