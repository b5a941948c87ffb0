"""When a link is looked at again."""

import random
from dataclasses import replace
from datetime import datetime
from typing import Any

from connector.model import ANSWERABLE, Link, LinkState
from connector.store import Tx
from connector.sync.brakes import may_withdraw
from connector.sync.case import Case
from connector.sync.work import Work


def next_look(work: Work, tx: Tx, case: Case, row: Link, values: dict[str, Any]) -> datetime | None:
    """When a link that was worked on is looked at again, as these values are recorded: now, if something happened meanwhile.

    What waits for a person makes neither a withdrawal nor an erasure wait.
    """
    planned: datetime | None = values["due_at"]
    then = replace(row, state=values.get("state", row.state), reason=values.get("reason", row.reason))
    happened = row.rung != case.link.rung
    if case.says_stop and "state" in case.values and may_withdraw(work, then):
        return tx.now
    if not _goes_on(work, case, then, happened):
        return None
    more = case.again or case.moved or case.grants_later
    return tx.now if happened or (more and planned is None and "state" not in case.values) else planned


def _goes_on(work: Work, case: Case, then: Link, happened: bool) -> bool:
    """Whether there is anything to do without a person."""
    if then.erasure and then.state is not LinkState.ERASED:
        return True
    if then.state is LinkState.HELD:
        return bool(case.error or case.again or (happened and may_withdraw(work, then)))
    return then.state in ANSWERABLE


def backoff(work: Work, since: datetime, now: datetime) -> float:
    """Seconds: as long again as it has failed already, within the configured bounds, with jitter."""
    plain = max(work.retries.first, min(work.retries.longest, (now - since).total_seconds()))
    return plain * (0.75 + 0.5 * random.random())  # noqa: S311 - spreads load, guards nothing
