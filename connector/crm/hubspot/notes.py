"""Events as notes on the contact, for portals that have nothing better.

Facts (HubSpot API, "Notes", "Associations" v4, "Error handling"):
- a note has `hs_timestamp` and `hs_note_body`, which is HTML; note to contact is association type 202;
- a batch create is all or nothing unless every row has an `objectWriteTraceId` of its own;
- nothing about a note is unique, so making it twice makes two. Each ends with the event's key, and before an event is sent
  again the notes of its contact are looked through;
- notes take the scopes of contacts.
Assumed: HubSpot may rewrite the HTML of a note, but not its text.
"""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from connector.crm.base import BATCH, EventOutcome, EventRecord, EventType
from connector.crm.hubspot import answers, event_records, narrowing, paths
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.associations import Associations
from connector.crm.hubspot.narrowing import Fault, Steps, Told
from connector.crm.hubspot.records import chunks
from connector.crm.hubspot.transport import Transport
from connector.errors import Denied, Permanent, Rejected, Transient

WHAT = "events: note"
BODY = "hs_note_body"
NOTE_TO_CONTACT = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}
MOST_CUT = 20
"""Details that are told where all of them would be too long."""
NEWEST = 500
"""Notes of one contact that are looked through, newest first."""
WAY_OUT = "grant the token crm.objects.contacts.read and crm.objects.contacts.write, or set events.as: none"


class Notes:
    """See `events.Sink`. The name means nothing here."""

    most = BATCH

    def __init__(self, transport: Transport, associations: Associations) -> None:
        self._transport = transport
        self._associations = associations

    def record(self, name: str, rows: Sequence[EventRecord]) -> dict[str, EventOutcome]:
        """See Sink. Rows that were sent before are looked for first."""
        done = self._find([row for row in rows if row.sent_before])
        steps = Steps(WHAT, self._send, self._tell, _refuse, lambda row, error: EventOutcome(row.ref, error=error), self._look)
        rest = [row for row in rows if row.ref not in done]
        try:
            return done | narrowing.settle(steps, rest)
        except Denied:
            raise
        except Transient as error:
            if not done:
                raise
            return done | {row.ref: EventOutcome(row.ref, error=error) for row in rest}

    def find(self, name: str, keys: Iterable[str]) -> list[str]:
        """See Sink: nothing about a note is unique."""
        return []

    def remove(self, name: str, record_ids: Iterable[str]) -> None:
        """See Sink."""
        event_records.archive(self._transport, paths.NOTES, record_ids, WAY_OUT)

    def look(self, name: str) -> EventType | None:
        """See Sink: every portal has notes."""
        return EventType({})

    def create(self, name: str, details: Sequence[str]) -> None:
        """See Sink: nothing to make."""

    def _send(self, rows: Sequence[EventRecord]) -> Reply:
        path = paths.under(paths.OBJECTS, paths.NOTES, "batch", "create")
        body = {"inputs": [_note(row) for row in rows]}
        return self._transport.http(WHAT, "POST", path, body, refusals=True, way_out=WAY_OUT, once=True)

    def _tell(self, rows: Sequence[EventRecord], reply: Reply) -> Told[EventRecord, EventOutcome]:
        """Sort an answer by row; before any row may be sent again it is looked for."""
        told: Told[EventRecord, EventOutcome] = Told(open=list(rows))
        if reply.ok:
            for one in _results(reply):
                for row in [row for row in told.open if _is_of(one, row)][:1]:
                    told.settle(row.ref, EventOutcome(row.ref, str(one["id"])))
        for fault in narrowing.faults(reply):
            named = _named(told.open, fault)
            for row in named:
                told.settle(row.ref, _refuse(row, fault, reply))
            if not named:
                told.faults.append(fault)
        if reply.ok and told.faults:
            for found in self._find(told.open).values():
                told.settle(found.ref, found)
        return told

    def _look(self, rows: Sequence[EventRecord], reply: Reply) -> dict[str, EventOutcome]:
        return self._find(rows)

    def _find(self, rows: Sequence[EventRecord]) -> dict[str, EventOutcome]:
        """Those of these events that have a note already."""
        if not rows:
            return {}
        notes = self._associations.read(paths.CONTACTS, paths.NOTES, [row.contact_id for row in rows], WAY_OUT)
        newest = {contact: sorted(set(ids), key=_number, reverse=True)[:NEWEST] for contact, ids in notes.items()}
        texts = self._texts(one for ids in newest.values() for one in ids)
        found: dict[str, EventOutcome] = {}
        for row in rows:
            for note_id in newest.get(row.contact_id, []):
                if _ends_with(texts.get(note_id, ""), row.key):
                    found[row.ref] = EventOutcome(row.ref, note_id)
        return found

    def _texts(self, ids: Iterable[str]) -> dict[str, str]:
        """Bodies of notes."""
        path = paths.under(paths.OBJECTS, paths.NOTES, "batch", "read")
        texts: dict[str, str] = {}
        for some in chunks(ids, BATCH):
            body = {"inputs": [{"id": one} for one in some], "properties": [BODY]}
            reply = self._transport.http("notes: read", "POST", path, body, way_out=WAY_OUT)
            texts |= {str(one["id"]): _body(one) for one in answers.records("notes: read", reply)}
        return texts


def _note(row: EventRecord) -> dict[str, Any]:
    properties = {"hs_timestamp": event_records.moment(row.occurred_at), BODY: _html(row)}
    associations = [{"to": {"id": row.contact_id}, "types": [NOTE_TO_CONTACT]}]
    return {"objectWriteTraceId": row.ref, "properties": properties, "associations": associations}


def _html(row: EventRecord) -> str:
    """What a person reads; the key, by which a repeat is recognised, comes last."""
    head = [row.kind, f"{row.provider} user {row.user_id}", event_records.moment(row.occurred_at)]
    via = [f"via {row.entry_point}"] if row.entry_point else []
    told = [f"{name}: {event_records.text(value)}" for name, value in row.details.items() if value is not None]
    if sum(map(len, told)) > event_records.LONGEST_TEXT // 6:  # an escaped character has six at most
        told = [one[: event_records.LONGEST_DETAIL] for one in told][:MOST_CUT]
    lines = [" · ".join([*head, *via]), *told, f"event {row.key}"]
    return "".join(f"<p>{html.escape(one)}</p>" for one in lines)


def _plain(body: str) -> str:
    """The text of a note, with single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def _ends_with(body: str, key: str) -> bool:
    return _plain(body).endswith("event " + " ".join(key.split()))


def _is_of(one: dict[str, Any], row: EventRecord) -> bool:
    """Is a result the note of a row? By its trace id, else by its text."""
    traced = answers.trace_ids(one)
    return row.ref in traced if traced else _ends_with(_body(one), row.key)


def _named(rows: Sequence[EventRecord], fault: Fault) -> list[EventRecord]:
    """The rows an error names: by trace id, or by their contact."""
    traced = answers.trace_ids(fault)
    if traced:
        return [row for row in rows if row.ref in traced]
    values = narrowing.values(fault)
    return [row for row in rows if row.contact_id in values]


def _refuse(row: EventRecord, fault: Fault, reply: Reply) -> EventOutcome:
    problem = answers.row_error(f"hubspot: {WHAT} on contact {row.contact_id}:", fault)
    return EventOutcome(row.ref, error=problem if isinstance(problem, Permanent | Transient) else Rejected(str(problem)))


def _results(reply: Reply) -> list[dict[str, Any]]:
    found = (reply.body or {}).get("results")
    return [one for one in found if isinstance(one, dict) and one.get("id")] if isinstance(found, list) else []


def _body(one: dict[str, Any]) -> str:
    properties = one.get("properties")
    return str(properties.get(BODY) or "") if isinstance(properties, dict) else ""


def _number(one: str) -> int:
    return int(one) if one.isdigit() else 0
