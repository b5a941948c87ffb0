"""Telling one link that fails from a side that is down: in an outage nobody fails, everybody waits.

For each kind of call (reading users, writing contacts ...) a mark says when it last worked for some link of the provider. A
link whose call fails while the same call works for others has a problem of its own; that counts as an attempt.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from connector.store import Tx
from connector.sync.case import Case

OFTEN = timedelta(seconds=5)
"""How often at most a mark is renewed."""


def mark(tx: Tx, batch: Iterable[Case]) -> None:
    """Remember which kinds of call worked in this batch. When a side is back, who waited for it need not wait any longer."""
    failing = [case.link.failed_since for case in batch if case.link.failed_since]
    for provider, call in sorted({(case.link.provider, call) for case in batch for call in case.answered}):
        name = f"healthy:{provider}:{call}"
        found = tx.cursors.get(name)
        if found is None or tx.now - found[1] > OFTEN or any(found[1] < since for since in failing):
            tx.cursors.set(name)
    for provider in sorted({case.link.provider for case in batch if case.link.failed_since and case.error is None}):
        tx.links.bring_forward(provider)


def others_settle(tx: Tx, case: Case, since: datetime) -> bool:
    """Whether the call this link fails in has worked for another link since."""
    found = tx.cursors.get(f"healthy:{case.link.provider}:{case.call}")
    return found is not None and found[1] > since
