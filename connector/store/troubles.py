"""How both sides and the sinks of identity events are doing: marks that outlive a process, kept in `cursor`."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from connector.store.tables import cursor, link

if TYPE_CHECKING:
    from connector.store.store import Tx

PAUSED = "paused:activities"
"""The mark that says why the CRM takes no events for now. Of another sink: its name comes after it."""


OUTAGE = "outage:"
"""Begins the mark that says what is wrong with a side; a provider's name comes after it, nothing for the CRM."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A side that is down or refuses us, and that links wait for. provider: "" for the CRM. why: never names a person. call: the
    kind of call, like "user.write"."""

    provider: str
    why: str
    since: datetime
    links: int
    call: str = ""


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
    """Marks of sides and sinks that fail."""

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

    def fails(self, provider: str, call: str, why: str) -> None:
        """A kind of call to a side fails, and not for one link alone. provider: "" for the CRM."""
        since, told = self._tx.now.timestamp(), 0.0
        if known := self._tx.cursors.get(OUTAGE + provider):
            kept = json.loads(known[0])
            since, told = kept["since"], kept["told"]
        self._tx.cursors.set(OUTAGE + provider, json.dumps({"since": since, "told": told, "call": call, "why": why[:500]}))

    def works(self, provider: str, call: str) -> None:
        """The same kind of call works again."""
        known = self._tx.cursors.get(OUTAGE + provider)
        if known and json.loads(known[0])["call"] == call:
            self._db.execute(delete(cursor).where(cursor.c.name == OUTAGE + provider))

    def outages(self) -> list[Outage]:
        """Sides that links wait for at this moment."""
        marks = self._outages()
        found = [
            Outage(name, mark["why"], datetime.fromtimestamp(mark["since"], UTC), self._waiting(name, marks), mark["call"])
            for name, mark in marks.items()
        ]
        return [one for one in found if one.links]

    def untold(self, every: timedelta) -> list[Outage]:
        """The same, of which nothing was told for so long; they count as told now."""
        now = self._tx.now.timestamp()
        late = {name: mark for name, mark in self._outages().items() if now - mark["told"] >= every.total_seconds()}
        if not late:
            return []
        found = [one for one in self.outages() if one.provider in late]
        for one in found:
            self._tx.cursors.set(OUTAGE + one.provider, json.dumps(late[one.provider] | {"told": now}))
        return found

    def _outages(self) -> dict[str, dict[str, Any]]:
        query = select(cursor.c.name, cursor.c.value).where(cursor.c.name.startswith(OUTAGE, autoescape=True))
        return {name.removeprefix(OUTAGE): json.loads(value) for name, value in self._db.execute(query.order_by(cursor.c.name))}

    def _waiting(self, provider: str, marks: Iterable[str]) -> int:
        """Links that wait for a side, and not because of a trouble of their own; for the CRM, those that wait for no provider."""
        here = link.c.provider == provider if provider else link.c.provider.not_in([one for one in marks if one])
        waits = link.c.failed_since.is_not(None) & link.c.due_at.is_not(None) & ~link.c.lone & (link.c.attempts == 0)
        return self._db.execute(select(func.count()).select_from(link).where(here & waits)).scalar_one()

    def paused(self) -> dict[str, str]:
        """Why, by sink, of those that take no events for now."""
        query = select(cursor.c.name, cursor.c.value).where(cursor.c.name.startswith(PAUSED, autoescape=True))
        return {name.removeprefix(PAUSED).lstrip(":") or "crm": value for name, value in self._db.execute(query)}


def _mark(sink: str) -> str:
    return f"trouble:{sink}"


def _paused(sink: str) -> str:
    return PAUSED if sink == "crm" else f"{PAUSED}:{sink}"
