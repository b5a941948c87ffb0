"""Events as records of a custom object, each associated with its contact.

Facts (HubSpot API, "Custom objects", "Schemas", "Associations" v4):
- a type is addressed as `p<portal>_<name>`; labels and name are fixed when it is made; making what exists is answered 409;
- `hasUniqueValue` makes a property name a record, so that an upsert makes it once however often it is sent;
- an upsert has no place for associations: they are a second call;
- two rows of one batch about the same record make it fail; results come in no promised order;
- an unknown type is answered 400, without a category.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from connector.crm.base import BATCH, EVENTS, EventOutcome, EventRecord, EventType, Outcome, Write
from connector.crm.hubspot import answers, event_records, narrowing, outcomes, paths, schema
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.associations import Associations, Pair, Problem
from connector.crm.hubspot.narrowing import Fault, Steps
from connector.crm.hubspot.records import chunks
from connector.crm.hubspot.transport import Transport
from connector.errors import Denied, Exists, Missing, Rejected, Transient, Unavailable

WHAT, READ = "events: upsert", "events: read"
CONTACT = "0-1"
KEY = "event_id"
TEXT = {"type": "string", "fieldType": "text"}
PROPERTIES: dict[str, dict[str, Any]] = {
    KEY: {**TEXT, "label": "Event ID", "hasUniqueValue": True},
    "kind": {**TEXT, "label": "Kind"},
    "occurred_at": {"type": "datetime", "fieldType": "date", "label": "Occurred at"},
    "provider": {**TEXT, "label": "Provider"},
    "entry_point": {**TEXT, "label": "Entry point"},
    "user_id": {**TEXT, "label": "User ID"},
    "details": {"type": "string", "fieldType": "textarea", "label": "Details"},
}
WAY_OUT = (
    "custom objects need an Enterprise tier and the scopes crm.schemas.custom.read, crm.schemas.custom.write, "
    "crm.objects.custom.read, crm.objects.custom.write; or set events.as: note or none"
)
PAUSE = 60.0
"""Seconds until somebody may have made the object."""


class EventObjects:
    """See `events.Sink`."""

    most = EVENTS

    def __init__(self, transport: Transport, associations: Associations, portal_id: int) -> None:
        self._transport = transport
        self._associations = associations
        self._portal_id = portal_id
        self._seen: set[str] = set()

    def record(self, name: str, rows: Sequence[EventRecord]) -> dict[str, EventOutcome]:
        """See Sink. A record that could not be associated failed, and is sent again as a whole."""
        steps = Steps(WHAT, partial(self._send, name), _tell, _refuse, _fail, partial(self._look, name))
        made: dict[str, EventOutcome] = {}
        writes = [Write(row.ref, row.key, _properties(row)) for row in rows]
        for start in range(0, len(writes), BATCH):
            some = writes[start : start + BATCH]
            made |= {ref: _event(one) for ref, one in self._upsert(steps, some, first=not made).items()}
        problems = self._join(name, [Pair(row.ref, made[row.ref].record_id or "", row.contact_id) for row in rows], made)
        return {ref: replace(one, error=problems.get(ref) or one.error) for ref, one in made.items()}

    def _upsert(self, steps: Steps[Write, Outcome], some: Sequence[Write], first: bool) -> dict[str, Outcome]:
        """One call's worth. What is wrong with the call as a whole is raised while nothing is known of any row yet."""
        try:
            return narrowing.settle(steps, some)
        except Transient as error:
            if first:
                raise
            return {row.ref: _fail(row, error) for row in some}

    def find(self, name: str, keys: Iterable[str]) -> list[str]:
        """See Sink."""
        found: list[str] = []
        for some in chunks(keys, BATCH):
            try:
                reply = self._read(name, some)
            except (Missing, Rejected) as error:
                if isinstance(error, Rejected) and self._schema(name) is not None:
                    raise
                continue
            narrowing.raise_failures(READ, reply)
            found += [str(one["id"]) for one in answers.records(READ, reply)]
        return found

    def remove(self, name: str, record_ids: Iterable[str]) -> None:
        """See Sink. Without the object there are no records of it."""
        try:
            event_records.archive(self._transport, self._type(name), record_ids, WAY_OUT)
        except Rejected:
            if self._schema(name) is not None:
                raise

    def look(self, name: str) -> EventType | None:
        """See Sink."""
        one = self._schema(name)
        found = one or self._schema(name, archived=True)
        if found is None:
            return None
        return EventType(schema.event_properties(found), _joined(found), archived=one is None)

    def _schema(self, name: str, archived: bool = False) -> dict[str, Any] | None:
        """The definition of the object that is in use, or of the archived one."""
        what = "custom objects: list"
        query = {"archived": "true"} if archived else None
        reply = self._transport.http(what, "GET", paths.SCHEMAS, query=query, way_out=WAY_OUT)
        fit = (one for one in answers.records(what, reply) if str(one.get("name", "")).lower() == name.lower())
        return next((one for one in fit if archived or not one.get("archived")), None)

    def create(self, name: str, details: Sequence[str]) -> None:
        """See Sink. Details share one property."""
        label = name.replace("_", " ").capitalize()
        body = {
            "name": name,
            "labels": {"singular": label, "plural": f"{label}s"},
            "description": "What happened to people at the identity provider.",
            "properties": [{"name": one, **definition} for one, definition in PROPERTIES.items()],
            "requiredProperties": [KEY],
            "searchableProperties": ["user_id"],
            "primaryDisplayProperty": "kind",
            "secondaryDisplayProperties": ["occurred_at", "provider"],
            "associatedObjects": ["CONTACT"],
        }
        try:
            self._transport.http(f"custom object {name}: create", "POST", paths.SCHEMAS, body, way_out=WAY_OUT, words=True)
        except Exists:
            if self._schema(name) is None:
                raise Rejected(event_records.taken(f"custom object {name}")) from None
            raise

    def _type(self, name: str) -> str:
        return f"p{self._portal_id}_{name}"

    def _send(self, name: str, writes: Sequence[Write]) -> Reply:
        inputs = [
            {"idProperty": KEY, "id": one.id, "objectWriteTraceId": one.ref, "properties": dict(one.properties)} for one in writes
        ]
        path = paths.under(paths.OBJECTS, self._type(name), "batch", "upsert")
        reply = self._transport.http(WHAT, "POST", path, {"inputs": inputs}, refusals=True, way_out=WAY_OUT)
        if not reply.ok:
            self._require(name)
        return reply

    def _require(self, name: str) -> None:
        """Raises Denied when there is no such custom object; looked at once."""
        if name in self._seen:
            return
        if self._schema(name) is None:
            raise Denied(f"hubspot: {WHAT}: there is no custom object {name}; make it with `connector setup --apply`", PAUSE)
        self._seen.add(name)

    def _look(self, name: str, writes: Sequence[Write], reply: Reply) -> dict[str, Outcome]:
        """Records that a 2xx says nothing of."""
        found = answers.records(READ, self._read(name, [one.id for one in writes]))
        by_key = {one["properties"].get(KEY): answers.contact(one) for one in found if isinstance(one.get("properties"), dict)}
        return {one.ref: Outcome(one.ref, by_key[one.id], request=reply.request) for one in writes if one.id in by_key}

    def _read(self, name: str, keys: Iterable[str]) -> Reply:
        """One read of at most 100 records, by the keys of their events."""
        body = {"idProperty": KEY, "inputs": [{"id": one} for one in keys], "properties": [KEY]}
        path = paths.under(paths.OBJECTS, self._type(name), "batch", "read")
        return self._transport.http(READ, "POST", path, body, way_out=WAY_OUT)

    def _join(self, name: str, pairs: Sequence[Pair], made: Mapping[str, EventOutcome]) -> Mapping[str, Problem]:
        """Why records could not be associated, by ref."""
        wanted = [one for one in pairs if made[one.ref].error is None]
        try:
            return self._associations.join(self._type(name), wanted, WAY_OUT)
        except Denied:
            raise
        except Transient as error:
            return {one.ref: error for one in wanted}


def _joined(definition: Mapping[str, Any]) -> bool:
    """Whether an object has an association with contacts; so it is when the answer tells of none at all, or of those only that
    it was made with.
    """
    told, wanted = definition.get("associations"), definition.get("associatedObjects")
    if isinstance(wanted, list) and {"CONTACT", CONTACT} & {str(one).upper() for one in wanted}:
        return True
    ends = [one.get(end) for one in told or [] if isinstance(one, dict) for end in ("fromObjectTypeId", "toObjectTypeId")]
    return told is None or CONTACT in ends


def _properties(row: EventRecord) -> dict[str, str]:
    given = {
        KEY: row.key,
        "kind": row.kind,
        "occurred_at": event_records.moment(row.occurred_at),
        "provider": row.provider,
        "entry_point": row.entry_point or "",
        "user_id": row.user_id,
        "details": event_records.details(row.details),
    }
    return {name: value for name, value in given.items() if value}


def _tell(writes: Sequence[Write], reply: Reply) -> outcomes.Told:
    return outcomes.tell(WHAT, writes, reply, KEY)


def _refuse(row: Write, fault: Fault, reply: Reply) -> Outcome:
    return outcomes.failed(row, answers.row_error(f"hubspot: {WHAT}:", fault, list(row.properties)), reply.request)


def _fail(row: Write, error: Transient) -> Outcome:
    return outcomes.failed(row, error)


def _event(one: Outcome) -> EventOutcome:
    """Somebody making the same record at the same moment is no refusal: the next attempt finds it."""
    error = Unavailable(str(one.error)) if isinstance(one.error, Exists) else one.error
    return EventOutcome(one.ref, one.contact.id if one.contact else None, error)
