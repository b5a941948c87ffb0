"""Batch writes that end with an answer for every row, whatever HubSpot makes of the batch.

A batch is sent once. What its answer leaves open is narrowed down: rows that are fine go out again without the refused
ones, a conflict that names no row is settled by reading who holds the emails, anything else by halving. Rows an answer is
silent about are read back, and so are rows whose answer leaves out a property that was written or asked for. Everything
here may be sent twice: upserts name a unique value, updates a record id.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connector.crm.base import Outcome, Write
from connector.crm.hubspot import answers, outcomes
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.outcomes import Told, failed
from connector.crm.hubspot.records import ADDITIONAL_EMAILS, EMAIL, Record, Records, addresses, by_value, claim, text
from connector.crm.hubspot.sdk import Apis
from connector.crm.hubspot.transport import Transport
from connector.errors import ConnectorError, Exists, Permanent, Transient, Unavailable

MOST_SENDS = 64
"""Calls one batch may cost while it is narrowed down: enough for four bad rows of a hundred that nobody names."""
FRESH = 2.0
"""Seconds an update may wait for its turn. What it was decided on is older then, and a set is written as a whole: an option that
somebody added meanwhile would be lost."""
CONFLICT_ROUNDS = 2
"""Times a batch goes out again without the rows whose email is taken."""


@dataclass(slots=True)
class _Batch:
    """What is known of a batch so far. key: as in `outcomes.tell`."""

    key: str | None
    done: dict[str, Outcome] = field(default_factory=dict)
    silent: list[Write] = field(default_factory=list)
    sends: int = 0

    @property
    def what(self) -> str:
        return "contacts: upsert" if self.key else "contacts: update"

    def fail(self, rows: Sequence[Write], error: Exists | Transient) -> None:
        self.done |= {row.ref: failed(row, error) for row in rows}


class Writes:
    """Upsert and update of contacts."""

    def __init__(self, transport: Transport, records: Records) -> None:
        self._transport = transport
        self._records = records

    def upsert(self, key: str, rows: Sequence[Write], properties: Sequence[str]) -> list[Outcome]:
        """See Crm.upsert. The key is written along, so that the answer tells it; not so an email, since HubSpot may find a
        contact by an additional address, and writing it would make that its primary one."""
        named = rows if key == EMAIL else [replace(row, properties={**row.properties, key: row.id}) for row in rows]
        return self._write(_Batch(key), named, properties)

    def update(self, rows: Sequence[Write], properties: Sequence[str]) -> list[Outcome]:
        """See Crm.update."""
        return self._write(_Batch(None), rows, properties)

    def _write(self, batch: _Batch, rows: Sequence[Write], properties: Sequence[str]) -> list[Outcome]:
        if rows:
            self._settle(batch, rows, self._send(batch, rows))
            self._read_back(batch, rows, properties)
        return [batch.done[row.ref] for row in rows]

    def _send(self, batch: _Batch, rows: Sequence[Write]) -> Reply:
        extra = {"idProperty": batch.key} if batch.key else {}
        inputs = [{"id": row.id, "objectWriteTraceId": row.ref, "properties": dict(row.properties), **extra} for row in rows]

        def send(api: Apis, options: dict[str, Any]) -> Any:
            call: Callable[..., Any] = api.batch.upsert if batch.key else api.batch.update
            return call({"inputs": inputs}, **options)

        batch.sends += 1
        return self._transport.call(batch.what, send, refusals=True, fresh=math.inf if batch.key else FRESH)

    def _send_again(self, batch: _Batch, rows: Sequence[Write], conflicts: int) -> None:
        if batch.sends >= MOST_SENDS:
            batch.fail(rows, Unavailable(f"hubspot: {batch.what}: too many rows of one batch refused, left for the next"))
            return
        try:
            reply = self._send(batch, rows)
        except Transient as error:
            batch.fail(rows, error)
        else:
            self._settle(batch, rows, reply, conflicts)

    def _settle(self, batch: _Batch, rows: Sequence[Write], reply: Reply, conflicts: int = 0) -> None:
        """Take an answer, and go after what it leaves open. conflicts: rounds of `_resolve` behind us."""
        told = outcomes.tell(batch.what, rows, reply, batch.key)
        batch.done |= told.done
        if not told.open:
            return
        if told.conflicts:
            self._resolve(batch, told, conflicts)
        elif told.faults and len(told.open) > 1:
            half = len(told.open) // 2
            for part in (told.open[:half], told.open[half:]):
                self._send_again(batch, part, conflicts)
        elif reply.ok:
            batch.silent += told.open
        else:  # refused as a whole, and the rows to blame are known now
            self._send_again(batch, told.open, conflicts)

    def _resolve(self, batch: _Batch, told: Told, conflicts: int) -> None:
        """Settle a conflict that names no row: rows whose email another contact holds are taken out, the rest goes again."""
        try:
            holders = self._holders(batch, told, conflicts)
        except Transient as error:
            batch.fail(told.open, error)
            return
        except Permanent:  # it will not even look these values up
            holders = {}
        for row in told.open:
            if row.ref in holders:
                batch.fail([row], Exists(f"hubspot: {batch.what}: CONFLICT", holders[row.ref]))
        rest = [row for row in told.open if row.ref not in holders]
        if rest and holders and conflicts < CONFLICT_ROUNDS:
            self._send_again(batch, rest, conflicts + 1)
        else:
            batch.fail(rest, Exists(f"hubspot: {batch.what}: CONFLICT, and no row is named"))

    def _holders(self, batch: _Batch, told: Told, conflicts: int) -> dict[str, str]:
        """Which rows' emails belong to another contact, and to which: ref -> contact id.

        First those that the messages name; when these explain nothing, or were not all, whoever holds one of the emails.
        """
        named = [one for fault in told.conflicts if (one := answers.existing_id(fault))]
        asked = [EMAIL, ADDITIONAL_EMAILS, *([batch.key] if batch.key else [])]
        found = self._records.batch(dict.fromkeys(named), asked)
        holders = _match(told.open, found, batch.key)
        if not holders or conflicts:
            emails = dict.fromkeys(email for row in told.open if (email := _email(row, batch.key)))
            holders |= _match(told.open, self._records.batch(emails, asked, EMAIL), batch.key)
        return holders

    def _read_back(self, batch: _Batch, rows: Sequence[Write], properties: Sequence[str]) -> None:
        """Read rows that no answer settled, and contacts that an answer tells only in part."""
        silent = [row for row in rows if row in batch.silent]
        partly = [row for row in rows if row not in silent and _partly(batch.done[row.ref], row, properties)]
        names = dict.fromkeys([*properties, *(name for row in (*silent, *partly) for name in row.properties)])
        try:
            self._complete(batch, partly, list(names))
            self._look_up(batch, silent, list(names))
        except ConnectorError as error:
            unread = Unavailable(f"hubspot: {batch.what}: accepted, but not read back", getattr(error, "retry_in", 0.0))
            batch.fail([row for row in (*partly, *silent) if row.ref not in batch.done or row in partly], unread)

    def _complete(self, batch: _Batch, rows: Sequence[Write], names: Sequence[str]) -> None:
        ids = {row.ref: contact.id for row in rows if (contact := batch.done[row.ref].contact)}
        found = claim(ids.values(), self._records.batch(ids.values(), names))
        for row in rows:
            self._take(batch, row, found.get(ids[row.ref]), names)

    def _look_up(self, batch: _Batch, rows: Sequence[Write], names: Sequence[str]) -> None:
        ids, key = [row.id for row in rows], batch.key
        asked = [*names, EMAIL, ADDITIONAL_EMAILS, *([key] if key else [])]
        found = self._records.batch(ids, asked, key)
        by_id = by_value(found, key) if key else claim(ids, found)
        for row in rows:
            self._take(batch, row, by_id.get(outcomes.kept(row.id, key)), names)

    def _take(self, batch: _Batch, row: Write, record: Record | None, names: Sequence[str]) -> None:
        known = batch.done.get(row.ref) or Outcome(row.ref)
        if record is None:
            batch.fail([row], Unavailable(f"hubspot: {batch.what}: accepted, but the contact cannot be read back"))
        else:
            batch.done[row.ref] = replace(known, contact=answers.contact(record, names))


def _partly(outcome: Outcome, row: Write, properties: Sequence[str]) -> bool:
    """The answer leaves out what was written or asked for, so nobody can say what the contact holds now."""
    told = outcome.contact.properties if outcome.contact else None
    return told is not None and any(name not in told for name in (*row.properties, *properties))


def _email(row: Write, key: str | None) -> str:
    return (row.id if key == EMAIL else row.properties.get(EMAIL, "")).strip().lower()


def _match(rows: Sequence[Write], found: Sequence[Record], key: str | None) -> dict[str, str]:
    """Rows whose email one of these contacts holds, unless it is the contact the row is about: ref -> contact id."""
    holders: dict[str, str] = {}
    for record in found:
        own = text(record, key) if key else record["id"]
        for row in rows:
            if outcomes.kept(own, key) != outcomes.kept(row.id, key) and _email(row, key) in addresses(record):
                holders[row.ref] = answers.contact(record).id
    return holders
