"""The portal's contacts: what happens to them, and what is unique among them.

Facts (HubSpot API, contacts reference; reports of others):
- emails are unique in any case, over primary and additional addresses; other unique properties exactly;
- a merge makes a new record, which both old ids lead to; the emails of the other contact become additional ones;
- archiving leaves `lastmodifieddate` alone and frees email and unique values; the archived contact can be restored;
- erasing by an email that nobody has blocks it for the future;
- the lifecycle stage written through the API goes forward only, anything else is accepted and ignored; it can be cleared.
"""

import bisect
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from connector.sandbox import values
from connector.sandbox.events import Events, Source
from connector.sandbox.faults import Faults
from connector.sandbox.index import Index
from connector.sandbox.replies import Problem, bad_request, invalid, not_found, taken
from connector.sandbox.schema import Schema
from connector.sandbox.standard import STAGES

EMAIL = "email"
ADDITIONAL = "hs_additional_emails"
NAMED_BY = (EMAIL, "firstname", "lastname")
"""A new contact needs one of these."""
FIRST_ID = 70_000_000_101
STEP = 50
HISTORY = 45
"""Entries kept of each property."""
STAGE_ORDER = {stage: place for place, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One value a property had. at: epoch milliseconds."""

    value: str
    at: int
    source: Source


@dataclass(slots=True)
class Record:
    """A contact as stored. properties: "" is a value that was cleared. history: newest last."""

    id: int
    created: int
    updated: int
    properties: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Entry]] = field(default_factory=dict)
    archived_at: int | None = None

    def value(self, name: str) -> str:
        """A property's text, "" for blank."""
        return self.properties.get(name, "")

    def emails(self) -> list[str]:
        """All addresses, the primary one first."""
        return [one for one in [self.value(EMAIL), *self.value(ADDITIONAL).split(";")] if one]


class Records:
    """All contacts. Callers hold `lock` around whatever must be seen as one step."""

    def __init__(self, schema: Schema, faults: Callable[[], Faults], events: Events, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
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
        self._blocked: set[str] = set()
        self._ids = itertools.count(FIRST_ID, STEP)

    def now(self) -> int:
        """Epoch milliseconds."""
        return int(self._clock() * 1000)

    def all(self, archived: bool = False) -> list[Record]:
        """Every contact, by id."""
        if archived:
            return [self._archived[one] for one in sorted(self._archived)]
        return [self._live[one] for one in self._order]

    def page(self, after: int, limit: int, archived: bool) -> list[Record]:
        """Up to `limit` contacts with ids above `after`."""
        if archived:
            return [one for one in self.all(archived=True) if one.id > after][:limit]
        start = bisect.bisect_right(self._order, after)
        return [self._live[one] for one in self._order[start : start + limit]]

    def get(self, contact_id: str | int, archived: bool = False) -> Record | None:
        """A contact by its id or one it absorbed; None when there is none (any more)."""
        if not str(contact_id).isdecimal():
            return None
        number = int(contact_id)
        while number in self._leads_to:
            number = self._leads_to[number]
        return (self._archived if archived else self._live).get(number)

    def find(self, key: str, value: str) -> Record | None:
        """The contact that holds a value of a unique property; any of its addresses when that is the email."""
        holder = self._holders.get(key, {}).get(value.strip().lower() if key == EMAIL else value)
        return self._live.get(holder) if holder is not None else None

    def prepare(self, raw: Mapping[str, object], record: Record | None, hand: bool = False) -> dict[str, str]:
        """What would be stored, by name. Raises Refusal. hand: a person in HubSpot, or HubSpot itself, writes."""
        checked = {name: self._checked(name, value, record, hand) for name, value in raw.items() if value is not None}
        problems = [one for one in checked.values() if isinstance(one, Problem)]
        stored = {name: one for name, one in checked.items() if isinstance(one, str)}
        if not problems and record is None and not any(stored.get(name) for name in NAMED_BY):
            raise bad_request("A contact needs at least one of email, firstname and lastname.")
        problems += self._collisions(stored, record)
        if problems:
            raise invalid(problems)
        holder = self._holders.get(EMAIL, {}).get(stored.get(EMAIL, ""))
        if holder is not None and (record is None or holder != record.id):
            raise taken(holder)
        return stored if hand else self._bent(stored, record)

    def create(self, stored: Mapping[str, str], source: Source) -> Record:
        """Make a contact from what `prepare` gave."""
        now = self.now()
        record = Record(next(self._ids), now, now)
        record.properties = {"createdate": values.iso(now), "hs_object_id": str(record.id)}
        self._live[record.id] = record
        self._order.append(record.id)
        changes = self._set(record, {name: value for name, value in stored.items() if value}, now, source)
        self._events.created(record.id, now, source, self._told(changes))
        return record

    def update(self, record: Record, stored: Mapping[str, str], source: Source) -> None:
        """Write what `prepare` gave. Only values that become others are told."""
        now = max(self.now(), record.updated)
        changes = self._set(record, self._with_addresses(record, stored), now, source)
        self._events.changed(record.id, now, source, self._told(changes))

    def archive(self, record: Record, source: Source) -> None:
        """Move a contact to the recycle bin."""
        self._take_out(record)
        record.archived_at = self.now()
        self._archived[record.id] = record
        self._events.deleted([record.id], record.archived_at, source)

    def restore(self, record: Record, source: Source) -> None:
        """Bring a contact back. Raises Refusal when its email or a unique value belongs to another one by now."""
        for key, value in self._keys(record):
            if holder := self.find(key, value):
                raise taken(holder.id)
        del self._archived[record.id]
        record.archived_at = None
        self._live[record.id] = record
        bisect.insort(self._order, record.id)
        self._claim(record)
        self.index.note(record.id, record.properties)
        self._events.restored(record.id, self.now(), source)

    def merge(self, primary: Record, other: Record, source: Source) -> Record:
        """Make one contact of two: the primary's values, the other's where the primary has none, and a new id."""
        if primary is other:
            raise bad_request("A contact cannot be merged with itself.")
        now = self.now()
        for one in (primary, other):
            self._take_out(one)
        record = Record(next(self._ids), min(primary.created, other.created), now)
        record.history = {name: list(entries) for name, entries in primary.history.items()}
        record.properties = {**primary.properties, "hs_object_id": str(record.id), "createdate": values.iso(record.created)}
        absorbed = [*(primary.value("hs_merged_object_ids").split(";")), str(primary.id), str(other.id)]
        absorbed += other.value("hs_merged_object_ids").split(";")
        emails = list(dict.fromkeys([*primary.emails(), *other.emails()]))
        moved = {name: value for name, value in other.properties.items() if value and not record.value(name)}
        moved |= {EMAIL: emails[0] if emails else "", ADDITIONAL: ";".join(emails[1:])}
        moved["hs_merged_object_ids"] = ";".join(one for one in absorbed if one)
        moved["hs_calculated_merged_vids"] = f"{primary.id}:{now};{other.id}:{now}"
        self._leads_to |= {primary.id: record.id, other.id: record.id}
        self._live[record.id] = record
        self._order.append(record.id)
        changes = self._set(record, moved, now, source)
        self._events.merged(primary.id, [other.id], record.id, len(changes), now, source)
        return record

    def erase(self, record: Record, source: Source) -> None:
        """Delete a contact for good, live or archived."""
        if record.id in self._live:
            self._take_out(record)
        self._archived.pop(record.id, None)
        self._events.erased(record.id, self.now(), source)

    def block(self, email: str) -> None:
        """Keep an address out of the portal from now on."""
        self._blocked.add(email.strip().lower())

    def any_state(self, contact_id: str | int) -> Record:
        """A contact, live or archived. Raises Refusal."""
        found = self.get(contact_id) or self.get(contact_id, archived=True)
        if found is None:
            raise not_found([str(contact_id)])
        return found

    def _checked(self, name: str, raw: object, record: Record | None, hand: bool) -> str | Problem:
        definition = self._schema.get(name)
        if definition is None:
            return Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        if not definition.writable and not hand:
            return Problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
        kept = values.check(definition, raw, record.value(name) if record else "", self._faults().refused_domains)
        if name == EMAIL and isinstance(kept, str) and kept in self._blocked:
            return Problem(name, "INVALID_EMAIL", f"Email address {kept} is blocked.")
        return kept

    def _collisions(self, stored: Mapping[str, str], record: Record | None) -> Iterable[Problem]:
        """Unique values, other than the email, that another contact holds."""
        for name, value in stored.items():
            if name == EMAIL or not value or not self._schema.unique(name):
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
        stage, current = kept.get("lifecyclestage"), record.value("lifecyclestage") if record else ""
        if stage and current and STAGE_ORDER.get(stage, 99) < STAGE_ORDER.get(current, -1):
            del kept["lifecyclestage"]
        return kept

    def _with_addresses(self, record: Record, stored: Mapping[str, str]) -> Mapping[str, str]:
        """A contact whose primary address becomes one of its additional ones keeps the old one as an additional."""
        new, old = stored.get(EMAIL), record.value(EMAIL)
        additional = record.emails()[1:] if old else record.emails()
        if not new or new == old or new not in additional:
            return stored
        rest = [one for one in [*additional, old] if one and one != new]
        return {**stored, ADDITIONAL: ";".join(rest)}

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
        record.properties["lastmodifieddate"] = values.iso(now)
        self._claim(record)
        self.index.note(record.id, record.properties)
        return changes

    def _told(self, changes: Mapping[str, str]) -> dict[str, str]:
        """Changes that somebody may subscribe to."""
        return {name: value for name, value in changes.items() if self._schema[name].writable}

    def _take_out(self, record: Record) -> None:
        self._release(record)
        del self._live[record.id]
        del self._order[bisect.bisect_left(self._order, record.id)]
        self.index.note(record.id, None)

    def _keys(self, record: Record) -> Iterable[tuple[str, str]]:
        yield from ((EMAIL, address) for address in record.emails())
        for name in self._schema.unique_names:
            if value := record.value(name):
                yield name, value

    def _claim(self, record: Record) -> None:
        for key, value in self._keys(record):
            self._holders.setdefault(key, {})[value] = record.id

    def _release(self, record: Record) -> None:
        for key, value in self._keys(record):
            self._holders.get(key, {}).pop(value, None)
