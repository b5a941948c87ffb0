"""Stopping mass harm before its first effect beyond the limit."""

import threading
from datetime import datetime, timedelta

from connector.errors import Paused
from connector.model import LinkState
from connector.settings import Brakes
from connector.store.history import History
from connector.sync.case import Case
from connector.sync.work import LEASE, Work

LOCK = "deletes"

HOUR = timedelta(hours=1)
APPROVED = "released from a brake"
"""The reason of a link that a person let go on: no brake stops it again."""

DELETIONS = ("contact.archive", "contact.erase", "user.delete")


def check_deletes(work: Work, batch: list[Case]) -> None:
    """Hold the deletions that would go beyond the limit, counted per run and, for live deliveries, per rolling hour.

    One batch at a time deletes: two that count side by side would both stay below the limit, and together pass it.
    """
    if not batch:
        return
    with work.store.write() as tx:
        if not tx.runs.lock(LOCK, _holder(work), LEASE):
            for case in batch:
                case.error = Paused("another batch is deleting", retry_in=0.5)
            return
        allowed = _allowed(work.brakes, tx.links.counts()[LinkState.ACTIVE])
        done = {run: _done(tx.history, run, tx.now - HOUR) for run in {case.link.run for case in batch}}
    if allowed is None:
        return
    for case in batch:
        if case.link.reason == APPROVED:
            continue
        done[case.link.run] += 1
        if done[case.link.run] > allowed:
            where = f"run {case.link.run}" if case.link.run else "one hour"
            reason = f"brake: more than {allowed} deletions in {where} (brakes.deletes, brakes.deletes_percent)"
            case.end(LinkState.HELD, reason, "brake")


def done(work: Work) -> None:
    """The batch is recorded: the next one may delete."""
    with work.store.write() as tx:
        tx.runs.unlock(LOCK, _holder(work))


def _holder(work: Work) -> str:
    return f"{work.owner}/{threading.get_ident()}"


def _allowed(brakes: Brakes, active: int) -> int | None:
    """The most deletions allowed among `active` links; None: no limit."""
    limits = [brakes.deletes] if brakes.deletes else []
    if brakes.deletes_percent:
        limits.append(max(brakes.floor, int(active * brakes.deletes_percent / 100)))
    return min(limits) if limits else None


def _done(history: History, run: int | None, since: datetime) -> int:
    if run is not None:
        kinds = history.kinds_of_run(run)
        return sum(kinds.get(kind, 0) for kind in DELETIONS)
    return sum(history.count_since(kind, since) for kind in DELETIONS)
