"""Events as occurrences of a custom event, on the contact's timeline.

Facts (HubSpot API, event definitions and "Send custom event occurrences"; announcement of 2021 on property limits):
- a definition is called `pe<portal>_<name>`; its property names start with a letter, then a-z, 0-9 and _, 50 characters at most;
- sending answers 204 without a body: what was accepted is not confirmed row by row, and has no record id;
- the first occurrence with a `uuid` counts, later ones do not; an occurrence cannot be changed or deleted;
- 50 properties an occurrence; values of 50 characters, `url` and `referrer` 200: longer ones make the request fail;
- sending and definitions have a scope each.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crm.base import BATCH, EventOutcome, EventRecord, EventType, Property, event_property
from connector.crm.hubspot import answers, event_records, narrowing, paths, schema
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.narrowing import Fault, Steps, Told
from connector.crm.hubspot.transport import Transport
from connector.errors import Denied, Exists, Missing, Permanent, Rejected, Transient

WHAT = "events: send"
FIXED = {"kind": "Kind", "provider": "Provider", "entry_point": "Entry point", "user_id": "User ID"}
MOST_PROPERTIES, LONGEST_NAME, LONGEST_VALUE = 50, 50, 50
LONGER = {"url": 200, "referrer": 200}
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "crm-connector")
WAY_OUT = (
    "custom events need an Enterprise tier and the scopes analytics.behavioral_events.send and "
    "behavioral_events.event_definitions.read_write; or set events.as: note or none"
)
PAUSE = 60.0
"""Seconds until somebody may have made the event."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A custom event as the portal has it."""

    name: str
    properties: Mapping[str, Property]


class CustomEvents:
    """See `events.Sink`."""

    most = BATCH

    def __init__(self, transport: Transport, portal_id: int) -> None:
        self._transport = transport
        self._portal_id = portal_id
        self._known: dict[str, Definition] = {}

    def record(self, name: str, rows: Sequence[EventRecord]) -> dict[str, EventOutcome]:
        """See Sink. Properties the definition does not have are left out."""
        definition = self._require(name)

        def send(some: Sequence[EventRecord]) -> Reply:
            body = {"inputs": [_occurrence(row, definition) for row in some]}
            return self._transport.http(WHAT, "POST", paths.EVENTS_SEND, body, refusals=True, way_out=WAY_OUT)

        steps = Steps(WHAT, send, _tell, _refuse, lambda row, error: EventOutcome(row.ref, error=error), lambda *_: {})
        return narrowing.settle(steps, rows)

    def find(self, name: str, keys: Iterable[str]) -> list[str]:
        """See Sink: they cannot be removed."""
        return []

    def remove(self, name: str, record_ids: Iterable[str]) -> None:
        """See Sink: they cannot be removed."""

    def look(self, name: str) -> EventType | None:
        """See Sink."""
        found = self._definition(name)
        return EventType(found.properties) if found else None

    def create(self, name: str, details: Sequence[str]) -> None:
        """See Sink."""
        wanted = {**FIXED, **{event_property(one): one for one in details}}
        properties = [{"name": one, "label": label[:LONGEST_NAME], "type": "string"} for one, label in wanted.items()]
        body = {
            "name": name,
            "label": name.replace("_", " ").capitalize(),
            "description": "What happened to people at the identity provider.",
            "primaryObject": "CONTACT",
            "propertyDefinitions": properties,
            "includeDefaultProperties": False,
        }
        self._known.pop(name, None)
        try:
            self._transport.http(
                f"custom event {name}: create", "POST", paths.EVENT_DEFINITIONS, body, way_out=WAY_OUT, words=True
            )
        except Exists:
            if self._definition(name) is None:
                raise Rejected(event_records.taken(f"custom event {name}")) from None
            self._complete(name, properties)

    def _complete(self, name: str, wanted: Sequence[dict[str, str]]) -> None:
        """Add the properties that a definition lacks."""
        definition = self._require(name)
        for one in wanted:
            if one["name"] not in definition.properties:
                path = paths.under(paths.EVENT_DEFINITIONS, definition.name, "property")
                try:
                    self._transport.http(
                        f"custom event {name}: add {one['name']}", "POST", path, one, way_out=WAY_OUT, words=True
                    )
                except Exists:
                    continue
        self._known.pop(name, None)

    def _require(self, name: str) -> Definition:
        """A definition; read once. Raises Denied when there is none."""
        found = self._known.get(name) or self._definition(name)
        if found is None:
            raise Denied(f"hubspot: {WHAT}: there is no custom event {name}; make it with `connector setup --apply`", PAUSE)
        self._known[name] = found
        return found

    def _definition(self, name: str) -> Definition | None:
        full = f"pe{self._portal_id}_{name}"
        path = paths.under(paths.EVENT_DEFINITIONS, full)
        try:
            body = self._transport.http(f"custom event {name}: read", "GET", path, way_out=WAY_OUT).body or {}
        except Missing:
            return None
        return Definition(str(body.get("fullyQualifiedName") or full), schema.event_properties(body))


def _occurrence(row: EventRecord, definition: Definition) -> dict[str, Any]:
    given = {"kind": row.kind, "provider": row.provider, "entry_point": row.entry_point, "user_id": row.user_id}
    given |= {event_property(name): value for name, value in row.details.items()}
    told = {name: event_records.text(value) for name, value in given.items() if value is not None}
    kept = [(name, value) for name, value in told.items() if name in definition.properties][:MOST_PROPERTIES]
    return {
        "eventName": definition.name,
        "objectId": row.contact_id,
        "occurredAt": event_records.moment(row.occurred_at),
        "uuid": str(uuid.uuid5(NAMESPACE, row.key)),
        "properties": {name: value[: LONGER.get(name, LONGEST_VALUE)] for name, value in kept},
    }


def _tell(rows: Sequence[EventRecord], reply: Reply) -> Told[EventRecord, EventOutcome]:
    """Accepted as a whole, or refused as a whole."""
    if reply.ok:
        return Told(done={row.ref: EventOutcome(row.ref) for row in rows})
    return Told(open=list(rows), faults=narrowing.faults(reply))


def _refuse(row: EventRecord, fault: Fault, reply: Reply) -> EventOutcome:
    """A `uuid` that was there before is no refusal."""
    problem = answers.row_error(f"hubspot: {WHAT} of contact {row.contact_id}:", fault)
    if isinstance(problem, Exists):
        return EventOutcome(row.ref)
    return EventOutcome(row.ref, error=problem if isinstance(problem, Permanent | Transient) else Rejected(str(problem)))
