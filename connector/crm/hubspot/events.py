"""Identity events as records of the portal: custom objects, custom events or notes.

What they have in common is here; how each is made, and kept from being made twice, is in a module of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from connector.crm.base import EventOutcome, EventRecord, EventSchema, EventType
from connector.crm.hubspot.associations import Associations
from connector.crm.hubspot.custom_events import CustomEvents
from connector.crm.hubspot.event_objects import EventObjects
from connector.crm.hubspot.notes import Notes
from connector.crm.hubspot.transport import Transport
from connector.errors import Transient


class Sink(Protocol):
    """One kind of record. name: of the object or event. most: rows in one `record`."""

    most: int

    def record(self, name: str, rows: Sequence[EventRecord]) -> Mapping[str, EventOutcome]:
        """Make a record of each, with different keys: outcomes by ref. Raises Transient when nothing is known of any."""

    def find(self, name: str, keys: Iterable[str]) -> list[str]:
        """See Crm.find_events."""

    def remove(self, name: str, record_ids: Iterable[str]) -> None:
        """See Crm.remove_events."""

    def look(self, name: str) -> EventType | None:
        """See Crm.event_schema."""

    def create(self, name: str, details: Sequence[str]) -> None:
        """See Crm.create_event_schema."""


class Events:
    """Events of every kind."""

    def __init__(self, transport: Transport, portal_id: int) -> None:
        self._sinks: Mapping[str, Sink] = {
            "custom_object": EventObjects(transport, Associations(transport), portal_id),
            "custom_event": CustomEvents(transport, portal_id),
            "note": Notes(transport, Associations(transport)),
        }

    def record(self, schema: EventSchema, rows: Sequence[EventRecord]) -> list[EventOutcome]:
        """See Crm.record_events. Of rows with the same key one is sent."""
        first: dict[str, EventRecord] = {}
        for row in rows:
            first.setdefault(row.key, row)
        done = self._record(self._sinks[schema.kind], schema, list(first.values()))
        return [replace(done[first[row.key].ref], ref=row.ref) for row in rows]

    def _record(self, sink: Sink, schema: EventSchema, rows: Sequence[EventRecord]) -> dict[str, EventOutcome]:
        """As many at a time as the kind takes. What is wrong with all of them is raised while nothing is known of any."""
        done: dict[str, EventOutcome] = {}
        for start in range(0, len(rows), sink.most):
            some = rows[start : start + sink.most]
            try:
                done |= sink.record(schema.name, some)
            except Transient as error:
                if not done:
                    raise
                done |= {row.ref: EventOutcome(row.ref, error=error) for row in some}
        return done

    def find(self, schema: EventSchema, keys: Sequence[str]) -> list[str]:
        """See Crm.find_events."""
        return self._sinks[schema.kind].find(schema.name, keys)

    def remove(self, schema: EventSchema, record_ids: Sequence[str]) -> None:
        """See Crm.remove_events."""
        self._sinks[schema.kind].remove(schema.name, record_ids)

    def look(self, schema: EventSchema) -> EventType | None:
        """See Crm.event_schema."""
        return self._sinks[schema.kind].look(schema.name)

    def create(self, schema: EventSchema, details: Sequence[str]) -> None:
        """See Crm.create_event_schema."""
        self._sinks[schema.kind].create(schema.name, details)
