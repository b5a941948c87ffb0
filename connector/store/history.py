"""The history: every effect and every decision worth explaining, append-only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from connector.store.tables import history

if TYPE_CHECKING:
    from connector.store.store import Tx


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect on one link.

    kind: contact.create, contact.update, contact.link, contact.archive, user.create, user.update, conflict, hold, unlink ...
    changes: per property or field: {"field", "side", "from", "to", "base", "user", "contact", "rule"}.
    request, answer: the remote side's id of the call, and what it said.
    """

    link_id: int
    kind: str
    delivery: str | None = None
    run: int | None = None
    mapping: str | None = None
    changes: Sequence[dict[str, Any]] = field(default_factory=list)
    request: str | None = None
    answer: str | None = None
    at: datetime | None = None


WRITTEN = ("contact.update", "user.update", "user.membership")
"""Kinds of effects that may blank something."""


class History:
    """Queries on `history`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def add(self, entries: Sequence[Entry]) -> None:
        """Append entries; `at` is now."""
        if entries:
            now = self._tx.now
            self._db.execute(insert(history), [_row(entry) | {"at": now} for entry in entries])

    def blank(self, link_id: int) -> None:
        """Of a link's entries only what was done, when, and by which mapping stays."""
        nothing: dict[str, Any] = {"changes": [], "request": None, "answer": None, "delivery": None}
        self._db.execute(update(history).where(history.c.link_id == link_id).values(nothing))

    def of_link(self, link_id: int, limit: int | None = 100) -> list[Entry]:
        """A link's latest entries, oldest first; all of them with `limit` None."""
        columns = [history.c[name] for name in Entry.__dataclass_fields__]
        query = select(*columns).where(history.c.link_id == link_id).order_by(history.c.id.desc()).limit(limit)
        return [Entry(**row._mapping) for row in self._db.execute(query)][::-1]

    def kinds_of_run(self, run: int) -> dict[str, int]:
        """How many effects of each kind a run had."""
        query = select(history.c.kind, func.count()).where(history.c.run == run).group_by(history.c.kind)
        return dict(self._db.execute(query).all())

    def links_of_run(self, run: int) -> int:
        """How many links a run did something to."""
        query = select(func.count(history.c.link_id.distinct())).where(history.c.run == run)
        return self._db.execute(query).scalar_one()

    def clears_of_run(self, run: int) -> int:
        """How many fields a run blanked."""
        query = select(history.c.changes).where((history.c.run == run) & history.c.clears)
        rows = self._db.execute(query.execution_options(yield_per=500)).scalars()
        return sum(_cleared(change) for changes in rows for change in changes)

    def links_with(self, kinds: Sequence[str], run: int | None, span: timedelta) -> int:
        """How many links had an effect of these kinds in a run, or lately (within `span`) by live deliveries."""
        query = select(func.count(history.c.link_id.distinct())).where(self._when(run, span) & history.c.kind.in_(kinds))
        return self._db.execute(query).scalar_one()

    def links_that_cleared(self, run: int | None, span: timedelta) -> int:
        """How many links had a field blanked in a run, or lately (within `span`) by live deliveries."""
        query = select(func.count(history.c.link_id.distinct())).where(self._when(run, span) & history.c.clears)
        return self._db.execute(query).scalar_one()

    def _when(self, run: int | None, span: timedelta) -> ColumnElement[bool]:
        return history.c.run == run if run is not None else history.c.run.is_(None) & (history.c.at >= self._tx.now - span)

    def expire(self, before: datetime, most: int) -> int:
        """Of the first `most` entries delete those older than a time. Returns how many went."""
        first = select(history.c.id, history.c.at).order_by(history.c.id).limit(most).subquery()
        old = select(first.c.id).where(first.c.at < before)
        return self._db.execute(delete(history).where(history.c.id.in_(old))).rowcount

    def latest(self, after: int, limit: int = 200) -> list[tuple[int, Entry]]:
        """Entries with a higher id than `after`, oldest first, with their ids."""
        columns = [history.c[name] for name in Entry.__dataclass_fields__]
        query = select(history.c.id, *columns).where(history.c.id > after).order_by(history.c.id).limit(limit)
        return [(row.id, Entry(**{k: v for k, v in row._mapping.items() if k != "id"})) for row in self._db.execute(query)]


def _row(entry: Entry) -> dict[str, Any]:
    clears = entry.kind in WRITTEN and any(map(_cleared, entry.changes))
    return asdict(entry) | {"changes": list(entry.changes), "clears": clears}


def _cleared(change: dict[str, Any]) -> bool:
    return change.get("to") is None and change.get("from") is not None
