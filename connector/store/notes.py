"""Small tables beside the links: former ids, parked work, cursors and marks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, Text, cast, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from connector.model import Value
from connector.store.tables import alias, cursor, link, parked

if TYPE_CHECKING:
    from connector.store.store import Tx


class Aliases:
    """Contact ids that lead to a link's present contact."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def add(self, link_id: int, provider: str, former_id: str) -> None:
        """Remember that a link used to be reached by this contact id; saying it twice is fine."""
        make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        row = {"provider": provider, "former_id": former_id, "link_id": link_id, "at": self._tx.now}
        self._db.execute(make(alias).on_conflict_do_nothing(), row)

    def of_link(self, link_id: int) -> list[str]:
        """Contact ids that a link used to be reached by, oldest first."""
        query = select(alias.c.former_id).where(alias.c.link_id == link_id).order_by(alias.c.id)
        return list(self._db.execute(query).scalars())

    def drop(self, link_id: int) -> None:
        """Forget by what ids a link used to be reached."""
        self._db.execute(delete(alias).where(alias.c.link_id == link_id))


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """Work that waits for a person. `link` is the link's name, `what` the property or "link", `value` what was refused.

    Of a set whose other elements were written: the options that the portal lacks, as one text, which is the value of no set.
    """

    id: int
    link_id: int
    link: str
    what: str
    reason: str
    since: datetime
    attempts: int
    value: Value = None


class Parked:
    """Queries on `parked`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def put(self, link_id: int, what: str, reason: str, attempts: int, value: Value = None) -> None:
        """Park a property ("link": the whole link) with its reason; parking it again renews reason and value."""
        values: dict[str, Any] = {"reason": reason, "attempts": attempts, "value": value}
        here = (parked.c.link_id == link_id) & (parked.c.what == what)
        if not self._db.execute(update(parked).where(here).values(values)).rowcount:
            self._db.execute(insert(parked).values(link_id=link_id, what=what, since=self._tx.now, **values))

    def of_links(self, link_ids: Iterable[int]) -> dict[int, list[ParkedRow]]:
        """Rows by link."""
        found: dict[int, list[ParkedRow]] = {}
        for row in self._rows(parked.c.link_id.in_(list(link_ids))):
            found.setdefault(row.link_id, []).append(row)
        return found

    def rows(self) -> list[ParkedRow]:
        """All rows, oldest first."""
        return self._rows(parked.c.id > 0)

    def drop(self, ids: Sequence[int]) -> None:
        """Forget these rows."""
        self._db.execute(delete(parked).where(parked.c.id.in_(ids)))

    def count(self) -> int:
        """How many rows there are."""
        return self._db.execute(select(func.count()).select_from(parked)).scalar_one()

    def _rows(self, condition: Any) -> list[ParkedRow]:
        columns = [parked.c[name] for name in ("id", "link_id", "what", "reason", "since", "attempts", "value")]
        query = select(*columns, link.c.provider, link.c.user_id, link.c.contact_id).join_from(parked, link).where(condition)
        return [
            ParkedRow(
                row.id,
                row.link_id,
                f"{row.provider}:{row.user_id or f'contact {row.contact_id}'}",
                row.what,
                row.reason,
                row.since,
                row.attempts,
                tuple(row.value) if isinstance(row.value, list) else row.value,
            )
            for row in self._db.execute(query.order_by(parked.c.id))
        ]


class Cursors:
    """Named marks with the time they were set."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def get(self, name: str) -> tuple[str, datetime] | None:
        """Value and time of a mark."""
        row = self._db.execute(select(cursor.c.value, cursor.c.at).where(cursor.c.name == name)).first()
        return (row.value, row.at) if row else None

    def beginning(self, start: str) -> dict[str, str]:
        """Values of the marks whose names begin so, by the rest of the name."""
        query = select(cursor.c.name, cursor.c.value).where(cursor.c.name.startswith(start, autoescape=True))
        return {name.removeprefix(start): value for name, value in self._db.execute(query)}

    def set(self, name: str, value: str = "") -> None:
        """Set a mark now."""
        make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        values = {"value": value, "at": self._tx.now}
        self._db.execute(make(cursor).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values))

    def count(self, name: str, more: int) -> None:
        """Add to a mark that is a number; several may do so at once."""
        make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        row = make(cursor).values(name=name, value=str(more), at=self._tx.now)
        total = cast(cast(cursor.c.value, Integer) + more, Text)
        self._db.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": total, "at": self._tx.now}))

    def add(self, name: str, value: str) -> None:
        """Set a mark unless it is there already."""
        make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        self._db.execute(make(cursor).on_conflict_do_nothing(), {"name": name, "value": value, "at": self._tx.now})
