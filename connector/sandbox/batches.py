"""The contacts API, up to a hundred contacts at a time.

Facts (HubSpot API, contacts reference, "Error handling"; reports of others):
- 100 rows, 50 when history is read; two rows about one contact make the whole call fail;
- create is all or nothing unless every row has its own objectWriteTraceId; update and upsert answer 207 by row;
- update takes record ids or a unique property, not the email; upsert takes the email or a unique property, not record ids;
- an update that names a contact by email without saying so is accepted and does nothing;
- what a read does not find is one error that names the ids; results come in no promised order.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from connector.sandbox.contacts import Contacts, by_key, properties
from connector.sandbox.events import Source
from connector.sandbox.faults import Faults
from connector.sandbox.records import EMAIL, Record, Records
from connector.sandbox.replies import Refusal, bad_request, non_unique, not_found
from connector.sandbox.schema import Schema
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told

MOST, MOST_WITH_HISTORY = 100, 50
TRACE = "objectWriteTraceId"

Row = Mapping[str, Any]
Shown = dict[str, Any]
Write = Callable[[], Shown]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the rows."""

    results: list[Shown]
    errors: list[Shown]


class Batches:
    """Batch calls about contacts. Every method takes a request and gives its answer, or raises Refusal."""

    def __init__(
        self, contacts: Contacts, schema: Schema, faults: Callable[[], Faults], source: Source, shuffle: random.Random
    ) -> None:
        self._contacts = contacts
        self._records: Records = contacts.records
        self._schema = schema
        self._faults = faults
        self._source = source
        self._shuffle = shuffle

    def read(self, asked: Asked) -> Told:
        """Contacts by id, email or unique property."""
        history = asked.texts("propertiesWithHistory")
        wanted = asked.texts("properties")
        rows = _rows(asked, MOST_WITH_HISTORY if history else MOST)
        key, archived = asked.body.get("idProperty"), asked.flag("archived")
        with self._records.lock:
            found = {str(row.get("id")): self._find(key, str(row.get("id")), archived) for row in rows}
            records = {one.id: one for one in found.values() if one}
            results = [self._contacts.shown(one, wanted, history) for one in records.values()]
        missing = [one for one, record in found.items() if record is None]
        error = not_found(missing).told(self._faults().localised)
        if self._faults().reads_empty:
            return self._told(Done([], []), 200)
        return self._told(Done(results, [error] if missing else []), 200)

    def create(self, asked: Asked) -> Told:
        """New contacts."""
        rows = _rows(asked)
        traces = [row.get(TRACE) for row in rows]
        with self._records.lock:
            if all(traces) and len(set(traces)) == len(rows):
                return self._wrote(self._each(rows, self._create), 201)
            prepared = [self._records.prepare(properties(row), None) for row in rows]
            self._refuse_twins(prepared)
            writes = [self._creation(one, properties(row)) for one, row in zip(prepared, rows, strict=True)]
            return self._wrote(Done([write() for write in writes], []), 201)

    def update(self, asked: Asked) -> Told:
        """Contacts that exist."""
        rows = _rows(asked)
        for row in rows:
            key = row.get("idProperty")
            if key is not None and (key == EMAIL or not self._schema.unique(str(key))):
                raise non_unique(str(key))
        with self._records.lock:
            named = [row for row in rows if row.get("idProperty") or str(row.get("id", "")).isdecimal()]
            self._refuse_repeats(named)
            return self._wrote(self._each(named, self._update), 200)

    def upsert(self, asked: Asked) -> Told:
        """Contacts, whether they exist or not."""
        rows = _rows(asked)
        for row in rows:
            key = str(row.get("idProperty") or "hs_object_id")
            if key != EMAIL and not self._schema.unique(key):
                raise non_unique(key)
        with self._records.lock:
            self._refuse_repeats(rows)
            return self._wrote(self._each(rows, self._upsert), 200)

    def archive(self, asked: Asked) -> Told:
        """Contacts into the recycle bin; unknown ids are ignored."""
        with self._records.lock:
            for row in _rows(asked):
                record = self._records.get(str(row.get("id")))
                if record is not None:
                    self._records.archive(record, self._source)
        return Told(status=204)

    def _each(self, rows: Sequence[Row], plan: Callable[[Row], Write]) -> Done:
        """Write row by row; what is refused becomes an error of its row, unless one bad row spoils the batch."""
        if self._faults().whole_batch:
            for row in rows:
                plan(row)
        done = Done([], [])
        for row in rows:
            try:
                result = plan(row)()
            except Refusal as refused:
                done.errors.append(self._error(row, refused))
                continue
            if row.get(TRACE) and self._faults().trace_ids:
                result[TRACE] = row[TRACE]
            done.results.append(result)
        return done

    def _error(self, row: Row, refused: Refusal) -> Shown:
        error = {**refused.told(self._faults().localised), "id": str(uuid4())}
        error.setdefault("context", {})
        if row.get(TRACE) and self._faults().trace_ids:
            error["context"] = {**error["context"], TRACE: [row[TRACE]]}
        return error

    def _create(self, row: Row) -> Write:
        given = properties(row)
        return self._creation(self._records.prepare(given, None), given)

    def _creation(self, stored: Mapping[str, str], given: Mapping[str, Any]) -> Write:
        return lambda: self._contacts.written(self._records.create(stored, self._source), given)

    def _update(self, row: Row) -> Write:
        record, given = self._find(row.get("idProperty"), str(row.get("id"))), properties(row)
        if record is None:
            raise not_found([str(row.get("id"))])
        return self._change(record, given)

    def _change(self, record: Record, given: Mapping[str, Any]) -> Write:
        stored = self._records.prepare(given, record)

        def write() -> Shown:
            self._records.update(record, stored, self._source)
            return self._contacts.written(record, given)

        return write

    def _upsert(self, row: Row) -> Write:
        key, given = str(row["idProperty"]), properties(row)
        record = self._find(key, str(row.get("id")))
        if record is None:
            stored = self._records.prepare({key: row.get("id"), **given}, None)
            write = self._creation(stored, given)
        else:
            write = self._change(record, given)
        return lambda: {**write(), "new": record is None}

    def _find(self, key: Any, wanted: str, archived: bool = False) -> Record | None:
        if key and not archived:
            return by_key(self._records, self._schema, str(key), wanted)
        return self._records.get(wanted, archived)

    def _refuse_repeats(self, rows: Sequence[Row]) -> None:
        """Two rows about one contact. Raises Refusal."""
        seen: set[object] = set()
        for row in rows:
            key, wanted = row.get("idProperty"), str(row.get("id"))
            record = self._find(key, wanted)
            about = record.id if record else (key, wanted.strip().lower() if key == EMAIL else wanted)
            if about in seen:
                raise bad_request(f"Duplicate IDs found in batch input: [{wanted}]. IDs must be unique.")
            seen.add(about)

    def _refuse_twins(self, prepared: Sequence[Mapping[str, str]]) -> None:
        """Two new contacts with one unique value. Raises Refusal."""
        for key in (EMAIL, *self._schema.unique_names):
            values = [one[key] for one in prepared if one.get(key)]
            if len(set(values)) < len(values):
                raise bad_request(f"Duplicate values of {key} found in batch input.")

    def _wrote(self, done: Done, status: int) -> Told:
        """The answer to a write."""
        return self._told(Done([], done.errors) if self._faults().results_empty else done, status)

    def _told(self, done: Done, status: int) -> Told:
        faults, now = self._faults(), iso(self._records.now())
        results = done.results
        if faults.shuffle_results:
            self._shuffle.shuffle(results)
        body: Shown = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if done.errors:
            body |= {"numErrors": len(done.errors), "errors": done.errors}
        return Told(body, 207 if done.errors else status)


def _rows(asked: Asked, most: int = MOST) -> list[Row]:
    rows = asked.body.get("inputs")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise bad_request("Invalid input JSON: inputs must be a list of objects, and not empty")
    if len(rows) > most:
        raise bad_request(f"The maximum number of inputs supported in a batch request is {most}, found {len(rows)} inputs")
    return rows
