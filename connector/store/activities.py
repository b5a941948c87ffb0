"""Identity events on their way to the sinks: one row per event and sink, each sent once."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import Case, Text, and_, bindparam, case, cast, delete, exists, false, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from connector.model import LinkState
from connector.store.portions import portions
from connector.store.removals import Made
from connector.store.tables import activity, link, storable

if TYPE_CHECKING:
    from connector.store.store import Tx

CRM = "crm"
"""The sink of that name is the CRM; others are `segment:...`."""

OPEN = ("pending", "sending")
STATES = ("pending", "sent", "refused", "dropped")

LOOKED_AT = 5000
"""Rows whose link is compared in one go."""

LONGEST_ID = 300


@dataclass(frozen=True, slots=True)
class Activity:
    """One event for one sink, as stored.

    key: what the sink sees as the event's id; None until it is first sent.
    state: pending, sending (an attempt is under way, or nobody knows what became of it), sent, refused, dropped.
    due_at: None while it waits for its link, and once it is done.
    attempts: those that failed for a reason of its own. record_id: what the CRM made of it.
    link_id, contact_id, link_state: of its link, when it was taken to be sent.
    """

    id: int
    provider: str
    event_id: str
    sink: str
    key: str | None
    user_id: str
    kind: str
    occurred_at: datetime
    entry_point: str | None
    details: dict[str, Any]
    state: str
    due_at: datetime | None
    attempts: int
    reason: str | None
    record_id: str | None
    noticed_at: datetime
    link_id: int = 0
    contact_id: str = ""
    link_state: str = ""

    @property
    def sent_before(self) -> bool:
        """Whether an earlier attempt may have got through."""
        return self.state == "sending" or self.attempts > 0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt, as columns."""

    id: int
    state: str
    attempts: int
    due_at: datetime | None = None
    reason: str | None = None
    record_id: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an event tells, as JSON."""

    id: int
    body: bytes


_COLUMNS = [activity.c[name] for name in Activity.__slots__[:-3]]


class Activities:
    """Queries on `activity`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def of_user(self, provider: str, user_id: str) -> list[Activity]:
        """All events of one user, for all sinks, oldest first."""
        query = select(*_COLUMNS).where(_of(provider, [user_id])).order_by(activity.c.occurred_at, activity.c.id)
        return [Activity(*row) for row in self._db.execute(query)]

    def forget(self, provider: str, user_id: str) -> list[Made]:
        """Delete all events of one user. Returns the records that were made of them, or may have been."""
        rows = self.of_user(provider, user_id)
        self._db.execute(delete(activity).where(_of(provider, [user_id])))
        told = [Made(row.sink, record_id=row.record_id) for row in rows if row.record_id]
        return told + [Made(row.sink, key=row.key) for row in rows if row.sink == CRM and row.state == "sending" and row.key]

    def page(self, after: int, limit: int) -> list[Told]:
        """A page, by id, of what events tell, of those with an address in it, be it in a link."""
        details = cast(activity.c.details, Text)
        return self._told((details.contains("@") | details.contains("%40", autoescape=True)) & (activity.c.id > after), limit)

    def told(self, provider: str, event_ids: Iterable[str]) -> list[Told]:
        """What these events of a provider tell, those in all sinks."""
        here = activity.c.provider == provider
        told = (self._told(here & activity.c.event_id.in_(some), None) for some in portions(map(kept, event_ids)))
        return list(chain.from_iterable(told))

    def among(self, ids: Iterable[int]) -> list[Told]:
        """What these events tell."""
        return list(chain.from_iterable(self._told(activity.c.id.in_(some), None) for some in portions(ids)))

    def _told(self, condition: Any, limit: int | None) -> list[Told]:
        query = select(activity.c.id, cast(activity.c.details, Text)).where(condition).order_by(activity.c.id).limit(limit)
        return [Told(row_id, details.encode()) for row_id, details in self._db.execute(query)]

    def rewrite(self, said: Mapping[int, dict[str, Any]]) -> None:
        """Let events tell something else, unless they tell nothing any more."""
        values = [{"row": row, "said": details} for row, details in said.items()]
        if values:
            self._tx.forgot = True
            tells = (activity.c.id == bindparam("row")) & (activity.c.details != {})
            self._db.execute(update(activity).where(tells).values(details=bindparam("said")), values)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep events from attributes of `Activity`; one that is there already, for its sink, is left alone."""
        make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        blank = {"state": "pending", "due_at": None, "noticed_at": self._tx.now}
        new = [{**blank, **row, "event_id": kept(row["event_id"])} for row in rows]
        if new:
            self._db.execute(make(activity).on_conflict_do_nothing(), new)

    def ended(self, provider: str, user_ids: Iterable[str]) -> set[str]:
        """Those of a provider's users whose link has ended."""
        here = and_(link.c.provider == provider, link.c.user_id.in_(list(user_ids)))
        return {user_id for user_id in self._db.execute(select(link.c.user_id).where(here, _ended())).scalars() if user_id}

    def restless(self, provider: str | None = None, user_ids: Iterable[str] = ()) -> dict[str, list[int]]:
        """Open events whose link changed under them, of these users or of everybody: {"wake", "drop", "rest"} -> ids.

        wake: the link is settled. drop: it is gone, or has ended. rest: it cannot take events for now.
        """
        verdict = _verdict()
        due = activity.c.due_at.is_not(None)
        moves = or_(and_(verdict == "wake", ~due), verdict == "drop", and_(verdict == "rest", due))
        here = [] if provider is None else [_of(provider, user_ids)]
        query = select(activity.c.id, verdict).select_from(activity.outerjoin(link, _its_link())).limit(LOOKED_AT)
        found: dict[str, list[int]] = {"wake": [], "drop": [], "rest": []}
        for row_id, what in self._db.execute(query.where(activity.c.state.in_(OPEN), *here, moves)):
            found[what].append(row_id)
        return found

    def calm(self, found: Mapping[str, Sequence[int]]) -> None:
        """Do what `restless` says."""
        self._set(found["wake"], due_at=self._tx.now)
        self._set(found["rest"], due_at=None)
        self.drop(found["drop"], "the person has no contact any more, or never got one")

    def drop(self, ids: Sequence[int], reason: str) -> None:
        """These will not be sent; nothing of what they told is kept."""
        if ids:
            self._drop(and_(activity.c.id.in_(ids), activity.c.state.in_(OPEN)), reason)

    def ready(self, sink: str, providers: Collection[str], most: int) -> tuple[int, datetime | None]:
        """How many events of these providers could go to a sink now, `most` at most, and when the oldest of them became due."""
        some = select(activity.c.due_at).select_from(activity.join(link, _its_link())).where(self._ready(sink, providers))
        query = some.limit(most).subquery()
        count, oldest = self._db.execute(select(func.count(), func.min(query.c.due_at)).select_from(query)).one()
        return count, oldest

    def take(self, sink: str, providers: Collection[str], most: int) -> list[Activity]:
        """Events to send to a sink now, each person's in the order they happened. They are `sending` from then on.

        Only for whoever holds the sink's lock: keys are given here.
        """
        columns = [*_COLUMNS, link.c.id, link.c.contact_id, link.c.state]
        query = select(*columns).select_from(activity.join(link, _its_link()))
        query = query.where(self._ready(sink, providers)).order_by(activity.c.occurred_at, activity.c.id).limit(most)
        rows = [Activity(*row) for row in self._db.execute(query)]
        keys = self._keys(sink, [row for row in rows if row.key is None])
        if rows:
            statement = update(activity).where(activity.c.id == bindparam("row")).values(state="sending", key=bindparam("given"))
            self._db.execute(statement, [{"row": row.id, "given": row.key or keys[row.id]} for row in rows])
        return [replace(row, key=row.key or keys[row.id]) for row in rows]

    def record(self, results: Sequence[Result]) -> set[int]:
        """Write what became of events that were taken. Returns the ids of those that somebody deleted meanwhile."""
        ids = [one.id for one in results]
        here = select(activity.c.id).where(activity.c.id.in_(ids)).order_by(activity.c.id).with_for_update()
        there = set(self._db.execute(here).scalars())
        names = [name for name in Result.__slots__ if name != "id"]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        known = [{"row": one.id} | {f"new_{name}": getattr(one, name) for name in names} for one in results if one.id in there]
        if known:
            self._db.execute(update(activity).where(activity.c.id == bindparam("row")).values(values), known)
        return set(ids) - there

    def blame(self, row_id: int, most: int) -> None:
        """The sink works, so the event's last failure was its own; after `most` of them it is given up."""
        over = activity.c.attempts + 1 >= most
        values = {
            "attempts": activity.c.attempts + 1,
            "state": case((over, "refused"), else_=activity.c.state),
            "due_at": case((over, null()), else_=activity.c.due_at),
        }
        self._set([row_id], **values)

    def retry(self) -> int:
        """Try again what was refused. Returns how many events."""
        values: dict[str, Any] = {"state": "sending", "attempts": 0, "reason": None, "due_at": None}
        return self._db.execute(update(activity).where(activity.c.state == "refused").values(values)).rowcount

    def counts(self) -> dict[str, int]:
        """Events by state. One that goes to several sinks is pending until all are through, then refused when one refused it."""
        first, last = self._db.execute(select(func.min(activity.c.sink), func.max(activity.c.sink))).one()
        found = self._by_state() if first == last else self._by_event()
        found["pending"] = found.get("pending", 0) + found.pop("sending", 0)
        return {state: found.get(state, 0) for state in STATES}

    def expire(self, done: datetime, most: int) -> int:
        """Delete what was done with before a time, `most` at once. Returns how many rows went."""
        old = activity.c.state.not_in(OPEN) & (activity.c.noticed_at < done)
        return self._db.execute(delete(activity).where(_some(old, most))).rowcount

    def give_up(self, waiting: datetime, sinks: Mapping[str, Collection[str]], most: int) -> int:
        """Drop what has waited since before a time for a link, or for a sink that is not among `sinks` (name -> providers);
        `most` of each at once. Returns how many rows that were."""
        old = and_(activity.c.state.in_(OPEN), activity.c.noticed_at < waiting)
        known = [and_(activity.c.sink == name, activity.c.provider.in_(list(who))) for name, who in sinks.items()]
        unlinked, unknown = and_(old, activity.c.due_at.is_(None)), and_(old, ~or_(false(), *known))
        gone = self._drop(_some(unlinked, most), "nobody was linked in time")
        return gone + self._drop(_some(unknown, most), "the mapping does not name this sink any more")

    def shorten(self, room: int, most: int) -> int:
        """Drop what a sink has beyond `room`, `most` at once: first what waits for a link, the oldest first."""
        gone = 0
        pending = select(activity.c.sink, func.count().label("rows")).where(activity.c.state.in_(OPEN)).group_by(activity.c.sink)
        for sink, rows in self._db.execute(pending).all():
            here = select(activity.c.id).where(activity.c.sink == sink, activity.c.state.in_(OPEN))
            excess = here.order_by(activity.c.due_at.is_not(None), activity.c.id).limit(max(0, min(rows - room, most)))
            gone += self._drop(activity.c.id.in_(excess), "too many events wait") if rows > room else 0
        return gone

    def _ready(self, sink: str, providers: Collection[str]) -> Any:
        """Due, with a link that lets it go, and nothing earlier of the same person left to send."""
        earlier = activity.alias()
        before = or_(
            earlier.c.occurred_at < activity.c.occurred_at,
            and_(earlier.c.occurred_at == activity.c.occurred_at, earlier.c.id < activity.c.id),
        )
        same = and_(earlier.c.provider == activity.c.provider, earlier.c.user_id == activity.c.user_id, earlier.c.sink == sink)
        waits = or_(earlier.c.due_at.is_(None), earlier.c.due_at > self._tx.moment)
        blocked = exists().where(same, earlier.c.state.in_(OPEN), waits, before)
        due = and_(activity.c.sink == sink, activity.c.due_at <= self._tx.moment, activity.c.provider.in_(list(providers)))
        return and_(due, activity.c.state.in_(OPEN), _going(), ~blocked)

    def _keys(self, sink: str, rows: Sequence[Activity]) -> dict[int, str]:
        """The sender's own id, unless another provider's event has it in this sink."""
        wished = {row.id: _names(row) for row in rows}
        names = [name for one in wished.values() for name in one]
        known = select(activity.c.key).where(activity.c.sink == sink, activity.c.key.in_(names))
        taken = set(self._db.execute(known).scalars()) if names else set()
        given = {}
        for row_id, one in wished.items():
            given[row_id] = next(name for name in one if name not in taken)
            taken.add(given[row_id])
        return given

    def _by_state(self) -> dict[str, int]:
        query = select(activity.c.state, func.count()).group_by(activity.c.state)
        return dict(self._db.execute(query).all())

    def _by_event(self) -> dict[str, int]:
        order = case({"pending": 4, "sending": 4, "refused": 3, "sent": 2}, value=activity.c.state, else_=1)
        event = select(func.max(order).label("state")).group_by(activity.c.provider, activity.c.event_id).subquery()
        query = select(event.c.state, func.count()).group_by(event.c.state)
        names = {4: "pending", 3: "refused", 2: "sent", 1: "dropped"}
        return {names[state]: count for state, count in self._db.execute(query)}

    def _drop(self, here: Any, reason: str) -> int:
        values: dict[str, Any] = {"state": "dropped", "due_at": None, "details": {}, "entry_point": None, "reason": reason}
        return self._db.execute(update(activity).where(here).values(values)).rowcount

    def _set(self, ids: Sequence[int], **values: Any) -> None:
        if ids:
            self._db.execute(update(activity).where(activity.c.id.in_(ids), activity.c.state.in_(OPEN)).values(values))


def kept(event_id: str) -> str:
    """An event's id as the column can hold it; one that is too long or odd is known by its digest."""
    if len(event_id) <= LONGEST_ID and storable(event_id) == event_id:
        return event_id
    return f"sha256:{hashlib.sha256(event_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _names(row: Activity) -> tuple[str, str, str]:
    """Keys for an event, in order of preference; the last one is nobody else's."""
    whole = f"{row.provider}:{row.event_id}"
    return row.event_id, whole, f"{row.provider}:sha256:{hashlib.sha256(whole.encode()).hexdigest()}"


def _of(provider: str, user_ids: Iterable[str]) -> Any:
    return and_(activity.c.provider == provider, activity.c.user_id.in_(list(user_ids)))


def _some(here: Any, most: int) -> Any:
    return activity.c.id.in_(select(activity.c.id).where(here).limit(most))


def _its_link() -> Any:
    return and_(link.c.provider == activity.c.provider, link.c.user_id == activity.c.user_id)


def _going() -> Any:
    """Whether the link lets the event go out: it is settled; or the event tells that the user left, and nobody erases it.

    That a user left waits until that was dealt with: it may be about to be erased, or turn out to be there.
    """
    known = and_(link.c.contact_id.is_not(None), ~link.c.erasure)
    leaving = and_(activity.c.kind == "user.deleted", link.c.user_gone)
    farewell = and_(leaving, link.c.state == LinkState.DELETED)
    return and_(known, or_(and_(link.c.state == LinkState.ACTIVE, ~leaving), farewell))


def _verdict() -> Case[str]:
    """What an event should do, by its link as it stands."""
    return case((link.c.id.is_(None), "drop"), (_going(), "wake"), (_ended(), "drop"), else_="rest")


def _ended() -> Any:
    return link.c.state.not_in((LinkState.PENDING, LinkState.ACTIVE, LinkState.HELD))
