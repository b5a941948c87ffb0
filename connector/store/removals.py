"""Records of events whose person was erased, until they are gone from their sink too. Ids alone: nothing of a person."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from connector.store.tables import removal

if TYPE_CHECKING:
    from connector.store.store import Tx


@dataclass(frozen=True, slots=True)
class Made:
    """What a sink made of an event, or may have made: known by its own id, or by the event's key."""

    sink: str
    record_id: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """One record to take back. attempts: those that failed.

    record_id: None where it was never told; then the record, if there is one, is that of the event with this key.
    """

    id: int
    record_id: str | None
    key: str | None
    attempts: int


class Removals:
    """Queries on `removal`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def add(self, provider: str, records: Iterable[Made]) -> None:
        """Take back what was made of a provider's events. Saying it twice is fine."""
        make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        common = {"provider": provider, "since": self._tx.now, "due_at": self._tx.now}
        rows = [{**asdict(one), **common} for one in records]
        if rows:
            self._db.execute(make(removal).on_conflict_do_nothing(), rows)

    def due(self, sink: str, providers: Collection[str], most: int) -> list[Removal]:
        """Records of these providers' events that a sink should take back now."""
        query = select(removal.c.id, removal.c.record_id, removal.c.key, removal.c.attempts)
        query = query.where(self._due(sink, providers)).order_by(removal.c.id).limit(most)
        return [Removal(*row) for row in self._db.execute(query)]

    def done(self, ids: Sequence[int]) -> None:
        """These records are gone."""
        self._db.execute(delete(removal).where(removal.c.id.in_(ids)))

    def postpone(self, row_id: int, until: datetime, reason: str) -> None:
        """This record could not be taken back."""
        self._postpone(removal.c.id == row_id, until, reason)

    def postpone_due(self, sink: str, providers: Collection[str], until: datetime, reason: str) -> None:
        """Nothing that is due can be taken back for now."""
        self._postpone(self._due(sink, providers), until, reason)

    def ring(self) -> None:
        """Try all of them now."""
        self._db.execute(update(removal).values(due_at=self._tx.now))

    def count(self) -> int:
        """How many records are still there."""
        return self._db.execute(select(func.count()).select_from(removal)).scalar_one()

    def overdue(self, since: datetime) -> dict[str, int]:
        """How many should have been gone since before a time, by the reason why they are not; "" when nobody has tried."""
        query = select(removal.c.reason, func.count()).where(removal.c.since < since).group_by(removal.c.reason)
        return {reason or "": count for reason, count in self._db.execute(query)}

    def _due(self, sink: str, providers: Collection[str]) -> Any:
        return and_(removal.c.sink == sink, removal.c.provider.in_(list(providers)), removal.c.due_at <= self._tx.moment)

    def _postpone(self, here: Any, until: datetime, reason: str) -> None:
        values = {"due_at": until, "reason": reason, "attempts": removal.c.attempts + 1}
        self._db.execute(update(removal).where(here).values(values))
