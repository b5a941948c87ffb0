"""The inbox: deliveries as raw bytes, one row per event, each key once."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from connector.model import Item
from connector.store.portions import portions
from connector.store.tables import inbox, storable

if TYPE_CHECKING:
    from connector.store.store import Tx

CRM = "crm"
"""The source of CRM deliveries; every other source is a provider's name."""

LONGEST_KEY = 300

WRITING = 7305212
"""PostgreSQL's number for the lock that writers of the inbox take in turn; any will do."""

BLANK: dict[str, Any] = {"body": b"", "meta": {}, "record": None, "state": "done", "due_at": None, "reason": "erased"}
"""A row of which nothing is left."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One row on its way through intake. readable: False for one that is in quarantine since it came."""

    id: int
    source: str
    sender_id: str
    body: bytes
    meta: dict[str, str]
    received_at: datetime
    tries: int
    readable: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """One row as it is kept. record: the user or contact it is about, once that is known."""

    id: int
    source: str
    sender_id: str
    received_at: datetime
    state: str
    reason: str | None
    body: bytes
    record: str | None


_READABLE = (inbox.c.state != "quarantined").label("readable")
_STORED = [*(inbox.c[name] for name in Stored.__dataclass_fields__ if name != "readable"), _READABLE]


class Inbox:
    """Queries on `inbox`, inside one transaction."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def add(self, rows: Sequence[tuple[str, Item]]) -> set[tuple[str, str]]:
        """Keep (source, item) pairs; returns the (source, key) of those that were new. Repeats are left alone."""
        if not rows:
            return set()
        now = self._alone()
        insert = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        statement = insert(inbox).on_conflict_do_nothing().returning(inbox.c.source, inbox.c.key)
        named = {(source, _kept(item.key)): (source, item.key) for source, item in rows}
        values = {(source, _kept(item.key)): _row(source, item, now) for source, item in reversed(rows)}
        return {named[source, key] for source, key in self._db.execute(statement, list(reversed(values.values())))}

    def _alone(self) -> datetime:
        """The time, and on PostgreSQL in the same breath the turn to write: two writers of the same keys would wait for each
        other in a ring."""
        if self._db.dialect.name != "postgresql":
            return self._tx.now
        query = select(self._tx.moment.label("now"), func.pg_advisory_xact_lock(WRITING))
        found: datetime = self._db.execute(query).one().now
        return found

    def claim(self, limit: int) -> list[Stored]:
        """Rows to be looked at, those that have been due for longest, in the order they came. Locked for this transaction; others
        skip them."""
        query = (
            select(*_STORED)
            .where(inbox.c.due_at <= self._tx.moment)
            .order_by(inbox.c.due_at, inbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return sorted((Stored(*row) for row in self._db.execute(query)), key=lambda row: row.id)

    def done(self, rows: Mapping[int, str | None]) -> None:
        """These rows were understood and turned into work. By row: the user or contact it is about. Blanked ones stay blank."""
        values: dict[str, Any] = {"state": "done", "due_at": None, "record": bindparam("whom")}
        if rows:
            statement = update(inbox).where(inbox.c.id == bindparam("row"), inbox.c.state == "pending").values(values)
            self._db.execute(statement, [{"row": row, "whom": whom} for row, whom in rows.items()])

    def quarantine(self, row: int, reason: str) -> None:
        """Set one row aside, with why."""
        self._db.execute(update(inbox).where(inbox.c.id == row).values(state="quarantined", due_at=None, reason=reason))

    def leave(self, ids: Sequence[int]) -> None:
        """These rows, in quarantine, were looked at."""
        self._db.execute(update(inbox).where(inbox.c.id.in_(ids)).values(due_at=None))

    def postpone(self, ids: Sequence[int], wait: timedelta) -> None:
        """Look at these rows again after `wait`."""
        values = {"tries": inbox.c.tries + 1, "due_at": self._tx.now + wait}
        self._db.execute(update(inbox).where(inbox.c.id.in_(ids)).values(values))

    def expire(self, before: datetime, most: int) -> int:
        """Delete what is done, or in quarantine, and was received before a time, `most` at once. Returns how many rows went."""
        old = inbox.c.state.in_(("done", "quarantined")) & (inbox.c.received_at < before)
        some = select(inbox.c.id).where(old).order_by(inbox.c.received_at).limit(most)
        return self._db.execute(delete(inbox).where(inbox.c.id.in_(some))).rowcount

    def of(self, source: str, records: Iterable[str]) -> list[Kept]:
        """What a source said of these users or contacts, oldest first."""
        return self._kept(inbox.c.record.in_(list(records)), source, None)

    def about(self, source: str, record: str, since: datetime | None) -> list[Stored]:
        """What a source said of one user or contact after a time, oldest first; None: all that is kept."""
        here = (inbox.c.source == source) & (inbox.c.record == record)
        late = [] if since is None else [inbox.c.received_at > since]
        return [Stored(*row) for row in self._db.execute(select(*_STORED).where(here, *late).order_by(inbox.c.id))]

    def unattributed(self, after: int, limit: int) -> list[Kept]:
        """A page, by id, of rows, of all sources, that nobody could attribute to a person, or did so far."""
        return self._kept(inbox.c.record.is_(None) & (inbox.c.body != b"") & (inbox.c.id > after), None, limit)

    def page(self, after: int, limit: int) -> list[Kept]:
        """A page, by id, of all rows that say something, of all sources."""
        return self._kept((inbox.c.body != b"") & (inbox.c.id > after), None, limit)

    def among(self, ids: Iterable[int]) -> list[Kept]:
        """Those of these rows that still say something."""
        told = (self._kept(inbox.c.id.in_(some) & (inbox.c.body != b""), None, None) for some in portions(ids))
        return list(chain.from_iterable(told))

    def rewrite(self, said: Mapping[int, bytes]) -> None:
        """Let rows that were dealt with say something else, or nothing. Blanked ones stay blank."""
        values = [{"row": row, "said": body} for row, body in said.items()]
        if values:
            self._tx.forgot = True
            told = (inbox.c.id == bindparam("row")) & (inbox.c.state != "pending") & (inbox.c.body != b"")
            self._db.execute(update(inbox).where(told).values(body=bindparam("said")), values)
            for some in portions(row for row, body in said.items() if not body):
                self._db.execute(update(inbox).where(inbox.c.id.in_(some), inbox.c.body == b"").values(BLANK))

    def blank(self, ids: Sequence[int]) -> None:
        """Take away what these rows say and of whom; a repeat of the delivery is recognised all the same."""
        for some in portions(ids):
            self._tx.forgot = True
            self._db.execute(update(inbox).where(inbox.c.id.in_(some)).values(BLANK))

    def _kept(self, condition: Any, source: str | None, limit: int | None) -> list[Kept]:
        columns = [inbox.c[name] for name in Kept.__dataclass_fields__]
        here = [] if source is None else [inbox.c.source == source]
        query = select(*columns).where(condition, *here).order_by(inbox.c.id).limit(limit)
        return [Kept(*row) for row in self._db.execute(query)]

    def quarantined(self, limit: int) -> list[dict[str, Any]]:
        """Rows that wait for a person, newest first: id, source, sender_id, received_at, reason, body."""
        columns = [inbox.c[name] for name in ("id", "source", "sender_id", "received_at", "reason", "body")]
        query = select(*columns).where(inbox.c.state == "quarantined").order_by(inbox.c.id.desc()).limit(limit)
        return [dict(row._mapping) for row in self._db.execute(query)]

    def waiting(self, most: int | None = None) -> int:
        """How many rows are due; counted up to `most`."""
        first = [inbox.c.due_at] if most else []  # PostgreSQL hopes to meet one soon, and reads all that is done before
        some = select(inbox.c.id).where(inbox.c.due_at <= self._tx.moment).order_by(*first).limit(most).subquery()
        return self._db.execute(select(func.count()).select_from(some)).scalar_one()

    def counts(self) -> dict[str, int]:
        """Rows by state."""
        found: dict[str, int] = dict(self._db.execute(select(inbox.c.state, func.count()).group_by(inbox.c.state)).all())
        return {state: found.get(state, 0) for state in ("pending", "done", "quarantined")}

    def last(self, source: str) -> datetime | None:
        """When something last came from a source, as far as it is still kept."""
        return self._db.execute(select(func.max(inbox.c.received_at)).where(inbox.c.source == source)).scalar()

    def oldest_due(self) -> datetime | None:
        """When the row that has waited longest became due."""
        return self._db.execute(select(func.min(inbox.c.due_at)).where(inbox.c.due_at <= self._tx.moment)).scalar()


def _kept(key: str) -> str:
    """A key as the column can hold it; one that is too long or odd is known by its digest."""
    if len(key) <= LONGEST_KEY and storable(key) == key:
        return key
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _row(source: str, item: Item, now: datetime) -> dict[str, Any]:
    return {
        "source": source,
        "key": _kept(item.key),
        "sender_id": item.sender_id,
        "body": item.body,
        "meta": dict(item.meta),
        "state": "quarantined" if item.problem else "pending",
        "reason": item.problem,
        "received_at": now,
        "due_at": now,
    }
