"""At which entry point somebody decided about a consent, where the user's entry does not tell: what deliveries say of it.

It is kept as proof, so rather nothing than a guess. A person may use several entry points, and a decision may be learnt with a
delivery that is about something else.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from celery.exceptions import SoftTimeLimitExceeded

from connector.engine.consent import Ruling, Voice
from connector.model import Change, Statement
from connector.store import Tx
from connector.sync.case import Case
from connector.sync.work import LEASE

SAME_MOMENT = timedelta(seconds=10)
"""How far a decision's time and that of the event about it may lie apart."""

SILENT = ("user.login", "membership.added", "membership.removed")
"""Kinds of events that decide nothing about consents."""


def named(changes: Iterable[Change], said: Statement) -> str | None:
    """The entry point that deliveries name for a decision: one of them is surely about it, and all that may be name the same."""
    possible = [one for one in changes if one.kind not in SILENT and not _apart(one.occurred_at, said.at)]
    found = {_named(one) for one in possible}
    return found.pop() if len(found) == 1 and any(_surely(one, said) for one in possible) else None


def _apart(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) > SAME_MOMENT


def _surely(change: Change, said: Statement) -> bool:
    """Whether a delivery tells of a decision: by its kind, or because it is of that moment."""
    timed = change.occurred_at is not None and said.at is not None
    return timed or change.kind in ("user.created", f"consent.{said.state}")


def _named(change: Change) -> str | None:
    found = change.details.get("entry_point")
    return str(found).strip() or None if isinstance(found, str | int) and not isinstance(found, bool) else None


def lacking(ruling: Ruling) -> bool:
    """Whether what stands now is the user's own word, and that tells no entry point."""
    return ruling.said.get(Voice.USER) == ruling.now and ruling.now.entry_point is None


def heard(tx: Tx, case: Case) -> Sequence[Change]:
    """What deliveries said of a case's user since its link was last settled."""
    link, since = case.link, case.link.settled_at
    if since and (link.failed_since or tx.now - since < LEASE):
        since -= LEASE  # what that could not settle, and what came while it went on
    found = [_read(case, row.body, row.meta) for row in tx.inbox.about(link.provider, link.user_id or "", since)]
    return [one for one in found if one is not None]


def _read(case: Case, body: bytes, meta: dict[str, str]) -> Change | None:
    try:
        return case.provider.read_item(body, meta)
    except SoftTimeLimitExceeded:
        raise
    except Exception:  # read once, and not any more: the settings changed, say. That costs this proof, not the record
        return None
