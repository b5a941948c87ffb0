"""How the sinks of identity events are doing: marks that outlive a process, kept in `cursor`."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from connector.store.tables import cursor

if TYPE_CHECKING:
    from connector.store.store import Tx

PAUSED = "paused:activities"
"""The mark that says why the CRM takes no events for now. Of another sink: its name comes after it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a sink.

    failures: pauses in a row. until: nobody tries before, seconds since 1970. suspect: the event that failed alone when nobody
    knew yet whether the sink works; 0: none.
    """

    failures: int = 0
    until: float = 0
    suspect: int = 0

    def over(self, now: datetime) -> bool:
        """Whether the sink may be tried."""
        return self.until <= now.timestamp()


class Troubles:
    """Marks of sinks that fail."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def of(self, sink: str) -> Trouble:
        """What is wrong with a sink; nothing, as a rule."""
        found = self._tx.cursors.get(_mark(sink))
        return Trouble(**json.loads(found[0])) if found else Trouble()

    def keep(self, sink: str, trouble: Trouble, reason: str = "") -> None:
        """Remember it. reason: why the whole sink waits, for people."""
        self._tx.cursors.set(_mark(sink), json.dumps(asdict(trouble)))
        if reason:
            self._tx.cursors.set(_paused(sink), reason[:500])

    def over(self, sink: str) -> None:
        """The sink works again."""
        self._db.execute(delete(cursor).where(cursor.c.name.in_([_mark(sink), _paused(sink)])))

    def paused(self) -> dict[str, str]:
        """Why, by sink, of those that take no events for now."""
        query = select(cursor.c.name, cursor.c.value).where(cursor.c.name.startswith(PAUSED, autoescape=True))
        return {name.removeprefix(PAUSED).lstrip(":") or "crm": value for name, value in self._db.execute(query)}


def _mark(sink: str) -> str:
    return f"trouble:{sink}"


def _paused(sink: str) -> str:
    return PAUSED if sink == "crm" else f"{PAUSED}:{sink}"
