"""Records of one object type: what happens to them, and what is unique among them.

Facts (HubSpot API, objects and contacts references; reports of others):
- values of unique properties are unique exactly as they are;
- archiving leaves the time of the last change alone and frees unique values; the archived record can be restored.
"""

import bisect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from connector.sandbox import values
from connector.sandbox.events import Listener, Source
from connector.sandbox.faults import Faults
from connector.sandbox.index import Index
from connector.sandbox.kinds import Kind
from connector.sandbox.replies import Problem, bad_request, invalid, not_found, taken
from connector.sandbox.schema import Schema

FIRST_ID = 70_000_000_101
STEP = 50
HISTORY = 45
"""Entries kept of each property."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value a property had. at: epoch milliseconds."""

    value: str
    at: int
    source: Source


@dataclass(slots=True)
class Record:
    """A record as stored. properties: "" is a value that was cleared. history: newest last."""

    id: int
    created: int
    updated: int
    properties: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Entry]] = field(default_factory=dict)
    archived_at: int | None = None

    def value(self, name: str) -> str:
        """A property's text, "" for blank."""
        return self.properties.get(name, "")


class Records:
    """All records of a type. Callers hold the portal's lock."""

    def __init__(
        self,
        kind: Kind,
        schema: Schema,
        faults: Callable[[], Faults],
        events: Listener,
        clock: Callable[[], float],
    ) -> None:
        self.kind = kind
        self.index = Index(faults, clock)
        self._schema = schema
        self._faults = faults
        self._events = events
        self._clock = clock
        self._live: dict[int, Record] = {}
        self._archived: dict[int, Record] = {}
        self._order: list[int] = []
        self._leads_to: dict[int, int] = {}
        self._holders: dict[str, dict[str, int]] = {}
        self._ids = itertools.count(FIRST_ID, STEP)

    def now(self) -> int:
        """Epoch milliseconds."""
        return int(self._clock() * 1000)

    def all(self, archived: bool = False) -> list[Record]:
        """Every record, by id."""
        if archived:
            return [self._archived[one] for one in sorted(self._archived)]
        return [self._live[one] for one in self._order]

    def page(self, after: int, limit: int, archived: bool) -> list[Record]:
        """Up to `limit` records with ids above `after`."""
        if archived:
            return [one for one in self.all(archived=True) if one.id > after][:limit]
        start = bisect.bisect_right(self._order, after)
        return [self._live[one] for one in self._order[start : start + limit]]

    def get(self, record_id: str | int, archived: bool = False) -> Record | None:
        """A record by its id or one it absorbed; None when there is none (any more)."""
        if not str(record_id).isdecimal():
            return None
        number = int(record_id)
        while number in self._leads_to:
            number = self._leads_to[number]
        return (self._archived if archived else self._live).get(number)

    def find(self, key: str, value: str) -> Record | None:
        """The record that holds a value of a unique property; any of its addresses when that is a contact's email."""
        holder = self._holders.get(key, {}).get(value.strip().lower() if key == self.kind.key else value)
        return self._live.get(holder) if holder is not None else None

    def prepare(self, raw: Mapping[str, object], record: Record | None, hand: bool = False) -> dict[str, str]:
        """What would be stored, by name. Raises Refusal. hand: a person in HubSpot, or HubSpot itself, writes."""
        checked = {name: self._checked(name, value, record, hand) for name, value in raw.items() if value is not None}
        problems = [one for one in checked.values() if isinstance(one, Problem)]
        stored = {name: one for name, one in checked.items() if isinstance(one, str)}
        if not problems and record is None:
            self._refuse_incomplete(stored)
        problems += self._collisions(stored, record)
        if problems:
            raise invalid(problems)
        holder = self._holders.get(self.kind.key, {}).get(stored.get(self.kind.key, ""))
        if holder is not None and (record is None or holder != record.id):
            raise taken(holder)
        return stored if hand else self._bent(stored, record)

    def create(self, stored: Mapping[str, str], source: Source) -> Record:
        """Make a record from what `prepare` gave."""
        now = self.now()
        record = Record(next(self._ids), now, now)
        record.properties = {self.kind.created: values.iso(now), "hs_object_id": str(record.id)}
        self._live[record.id] = record
        self._order.append(record.id)
        changes = self._set(record, {name: value for name, value in stored.items() if value}, now, source)
        self._events.created(record.id, now, source, self._told(changes))
        return record

    def update(self, record: Record, stored: Mapping[str, str], source: Source) -> None:
        """Write what `prepare` gave. Only values that become others are told."""
        now = max(self.now(), record.updated)
        changes = self._set(record, stored, now, source)
        self._events.changed(record.id, now, source, self._told(changes))

    def archive(self, record: Record, source: Source) -> None:
        """Move a record to the recycle bin."""
        self._take_out(record)
        record.archived_at = self.now()
        self._archived[record.id] = record
        self._events.deleted([record.id], record.archived_at, source)

    def restore(self, record: Record, source: Source) -> None:
        """Bring a record back. Raises Refusal when its email or a unique value belongs to another one by now."""
        for key, value in self._keys(record):
            if holder := self.find(key, value):
                raise taken(holder.id, self.kind.singular)
        del self._archived[record.id]
        record.archived_at = None
        self._live[record.id] = record
        bisect.insort(self._order, record.id)
        self._claim(record)
        self._compute(record)
        self.index.note(record.id, record.properties)
        self._events.restored(record.id, self.now(), source)

    def erase(self, record: Record, source: Source) -> None:
        """Delete a record for good, live or archived."""
        if record.id in self._live:
            self._take_out(record)
        self._archived.pop(record.id, None)
        self._events.erased(record.id, self.now(), source)

    def any_state(self, record_id: str | int) -> Record:
        """A record, live or archived. Raises Refusal."""
        found = self.get(record_id) or self.get(record_id, archived=True)
        if found is None:
            raise not_found([str(record_id)])
        return found

    def _checked(self, name: str, raw: object, record: Record | None, hand: bool) -> str | Problem:
        definition = self._schema.get(name)
        if definition is None:
            return Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        if not definition.writable and not hand:
            return Problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
        return values.check(definition, raw, record.value(name) if record else "", self._faults().refused_domains)

    def _refuse_incomplete(self, stored: Mapping[str, str]) -> None:
        """A new record without what it needs. Raises Refusal."""
        missing = [name for name in self.kind.required if not stored.get(name)]
        if missing:
            raise bad_request(f"Error creating {self.kind.singular}. Some required properties were not set: {missing}")
        if self.kind.named_by and not any(stored.get(name) for name in self.kind.named_by):
            raise bad_request(f"A {self.kind.singular} needs at least one of {', '.join(self.kind.named_by)}.")

    def _collisions(self, stored: Mapping[str, str], record: Record | None) -> Iterable[Problem]:
        """Unique values, other than a contact's email, that another record holds."""
        for name, value in stored.items():
            if name == self.kind.key or not value or not self._schema.unique(name):
                continue
            holder = self.find(name, value)
            if holder and holder is not record:
                yield Problem(name, "CONFLICTING_UNIQUE_VALUE", f"propertyName: {name}, value: {value} belongs to {holder.id}")

    def _bent(self, stored: Mapping[str, str], record: Record | None) -> dict[str, str]:
        """What is really stored: HubSpot ignores some values and changes others."""
        faults = self._faults()
        kept = {name: value for name, value in stored.items() if name not in faults.silent_noop}
        for name in faults.normalise.keys() & kept.keys():
            kept[name] = values.reform(kept[name], faults.normalise[name])
        return kept

    def _set(self, record: Record, stored: Mapping[str, str], now: int, source: Source) -> dict[str, str]:
        """Write values, with history, keys and index. Returns those that changed."""
        changes = {name: value for name, value in stored.items() if value != record.value(name)}
        self._release(record)
        for name, value in changes.items():
            record.properties[name] = value
            entries = record.history.setdefault(name, [])
            entries.append(Entry(value, now, source))
            del entries[:-HISTORY]
        record.updated = now
        record.properties[self.kind.modified] = values.iso(now)
        self._claim(record)
        self._compute(record)
        self.index.note(record.id, record.properties)
        return changes

    def _compute(self, record: Record) -> dict[str, str]:
        """Write what follows from other values. Returns what changed."""
        return {}

    def _told(self, changes: Mapping[str, str]) -> dict[str, str]:
        """Changes that somebody may subscribe to."""
        return {name: value for name, value in changes.items() if self._schema[name].writable}

    def _take_out(self, record: Record) -> None:
        self._release(record)
        del self._live[record.id]
        del self._order[bisect.bisect_left(self._order, record.id)]
        self.index.note(record.id, None)

    def _keys(self, record: Record) -> Iterable[tuple[str, str]]:
        for name in self._schema.unique_names:
            if value := record.value(name):
                yield name, value

    def _claim(self, record: Record) -> None:
        for key, value in self._keys(record):
            self._holders.setdefault(key, {})[value] = record.id

    def _release(self, record: Record) -> None:
        for key, value in self._keys(record):
            self._holders.get(key, {}).pop(value, None)
