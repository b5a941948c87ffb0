"""The objects API, up to a hundred records at a time.

Facts (HubSpot API, objects and contacts references, "Error handling"; reports of others):
- 100 rows, 50 when history is read; two rows about one record make the whole call fail;
- create is all or nothing unless every row has its own objectWriteTraceId; update and upsert answer 207 by row;
- update takes record ids or a unique property, not the email; upsert the email of contacts or a unique property, not record ids;
- an update that names a contact by email without saying so is accepted and does nothing;
- associations are made with a new record by create only, upsert has no place for them;
- what a read does not find is one error that names the ids; results come in no promised order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.sandbox.answers import MOST, TRACE, Answers, Done, Row, Shown, Write, rows_of
from connector.sandbox.events import Source
from connector.sandbox.objects import Objects, by_key, properties
from connector.sandbox.records import Record, Records
from connector.sandbox.replies import bad_request, non_unique, not_found
from connector.sandbox.schema import Schema
from connector.sandbox.wire import Asked, Told

MOST_WITH_HISTORY = 50


class Batches:
    """Batch calls about records of a type. Every method takes a request and gives its answer, or raises Refusal."""

    def __init__(self, objects: Objects, schema: Schema, answers: Answers, source: Source) -> None:
        self._objects = objects
        self._records: Records = objects.records
        self._kind = objects.records.kind
        self._schema = schema
        self._answers = answers
        self._source = source

    def read(self, asked: Asked) -> Told:
        """Records by id, a contact's email or unique property."""
        history = asked.texts("propertiesWithHistory")
        wanted = asked.texts("properties")
        rows = rows_of(asked, MOST_WITH_HISTORY if history else MOST)
        key, archived = asked.body.get("idProperty"), asked.flag("archived")
        found = {str(row.get("id")): self._find(key, str(row.get("id")), archived) for row in rows}
        records = {one.id: one for one in found.values() if one}
        results = [self._objects.shown(one, wanted, history) for one in records.values()]
        missing = [one for one, record in found.items() if record is None]
        return self._answers.found(results, [not_found(missing)] if missing else [])

    def create(self, asked: Asked) -> Told:
        """New records."""
        rows = rows_of(asked)
        traces = [row.get(TRACE) for row in rows]
        if all(traces) and len(set(traces)) == len(rows):
            return self._answers.wrote(self._answers.each(rows, self._create), 201)
        prepared = [self._records.prepare(properties(row), None) for row in rows]
        self._refuse_twins(prepared)
        writes = [self._creation(one, row) for one, row in zip(prepared, rows, strict=True)]
        return self._answers.wrote(Done([write() for write in writes], []), 201)

    def update(self, asked: Asked) -> Told:
        """Records that exist."""
        rows = rows_of(asked)
        for row in rows:
            key = row.get("idProperty")
            if key is not None and (key == self._kind.key or not self._schema.unique(str(key))):
                raise non_unique(str(key), self._kind.id)
        named = [row for row in rows if row.get("idProperty") or str(row.get("id", "")).isdecimal()]
        self._refuse_repeats(named)
        return self._answers.wrote(self._answers.each(named, self._update))

    def upsert(self, asked: Asked) -> Told:
        """Records, whether they exist or not."""
        rows = rows_of(asked)
        for row in rows:
            key = str(row.get("idProperty") or "hs_object_id")
            if key != self._kind.key and not self._schema.unique(key):
                raise non_unique(key, self._kind.id)
        self._refuse_repeats(rows)
        return self._answers.wrote(self._answers.each(rows, self._upsert))

    def archive(self, asked: Asked) -> Told:
        """Records into the recycle bin; unknown ids are ignored."""
        for row in rows_of(asked):
            record = self._records.get(str(row.get("id")))
            if record is not None:
                self._records.archive(record, self._source)
        return Told(status=204)

    def _create(self, row: Row) -> Write:
        return self._creation(self._records.prepare(properties(row), None), row)

    def _creation(self, stored: Mapping[str, str], row: Row) -> Write:
        links = self._objects.links.wanted(self._kind.id, row)

        def write() -> Shown:
            record = self._records.create(stored, self._source)
            self._objects.links.join(record.id, links)
            return self._objects.written(record, properties(row))

        return write

    def _update(self, row: Row) -> Write:
        record, given = self._find(row.get("idProperty"), str(row.get("id"))), properties(row)
        if record is None:
            raise not_found([str(row.get("id"))])
        return self._change(record, given)

    def _change(self, record: Record, given: Mapping[str, Any]) -> Write:
        stored = self._records.prepare(given, record)

        def write() -> Shown:
            self._records.update(record, stored, self._source)
            return self._objects.written(record, given)

        return write

    def _upsert(self, row: Row) -> Write:
        key, given = str(row["idProperty"]), properties(row)
        record = self._find(key, str(row.get("id")))
        if record is None:
            stored = self._records.prepare({key: row.get("id"), **given}, None)
            write = self._creation(stored, {"properties": given})
        else:
            write = self._change(record, given)
        return lambda: {**write(), "new": record is None}

    def _find(self, key: Any, wanted: str, archived: bool = False) -> Record | None:
        if key and not archived:
            return by_key(self._records, self._schema, str(key), wanted)
        return self._records.get(wanted, archived)

    def _refuse_repeats(self, rows: Sequence[Row]) -> None:
        """Two rows about one record. Raises Refusal."""
        seen: set[object] = set()
        for row in rows:
            key, wanted = row.get("idProperty"), str(row.get("id"))
            record = self._find(key, wanted)
            about = record.id if record else (key, wanted.strip().lower() if key == self._kind.key else wanted)
            if about in seen:
                raise bad_request(f"Duplicate IDs found in batch input: [{wanted}]. IDs must be unique.")
            seen.add(about)

    def _refuse_twins(self, prepared: Sequence[Mapping[str, str]]) -> None:
        """Two new records with one unique value. Raises Refusal."""
        for key in (self._kind.key, *self._schema.unique_names):
            values = [one[key] for one in prepared if one.get(key)]
            if len(set(values)) < len(values):
                raise bad_request(f"Duplicate values of {key} found in batch input.")
