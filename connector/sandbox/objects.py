"""The objects API, one record at a time: list, read, create, update, archive, search.

Facts (HubSpot API, objects and contacts references; reports of others):
- a list gives 100 at most, 50 with history; its cursor is opaque; archived records are listed apart;
- without `properties` an answer holds a small default set, and names that do not exist are ignored;
- answers to writes hold what was written and the default set; a value never set is null, a cleared one "";
- `idProperty` may be a contact's email or a unique property, not hs_object_id; a contact merged away answers with its new id;
- records of two types may have the same id.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.datastructures import QueryParams

from connector.sandbox.associations import Links
from connector.sandbox.events import Source
from connector.sandbox.records import Record, Records
from connector.sandbox.replies import bad_request, non_unique, not_found
from connector.sandbox.schema import Schema
from connector.sandbox.search import search
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told

PAGE, MOST_PAGE, MOST_WITH_HISTORY = 10, 100, 50
LONGEST_QUERY = 8_000
"""Characters; a longer one is answered 414."""


class Objects:
    """Calls about single records of a type. Every method takes a request and gives its answer, or raises Refusal."""

    def __init__(self, records: Records, schema: Schema, source: Source, links: Links) -> None:
        self.records = records
        self.links = links
        self._kind = records.kind
        self._schema = schema
        self._source = source

    def page(self, asked: Asked) -> Told:
        """A page of records."""
        history = names(asked.query, "propertiesWithHistory")
        most = MOST_WITH_HISTORY if history else MOST_PAGE
        limit = asked.query.get("limit", str(PAGE))
        if not limit.isdecimal() or not 1 <= int(limit) <= most:
            raise bad_request(f"limit must be between 1 and {most}.")
        if len(str(asked.query)) > LONGEST_QUERY:
            return Told({"status": "error", "message": "URI Too Long"}, 414)
        after, archived = _position(asked.query.get("after")), asked.flag("archived")
        found = self.records.page(after, int(limit) + 1, archived)
        shown = found[: int(limit)]
        results = [self.shown(one, names(asked.query, "properties"), history) for one in shown]
        return Told({"results": results, **(_paging(_cursor(shown[-1].id)) if len(found) > len(shown) else {})})

    def read(self, asked: Asked) -> Told:
        """One record."""
        if len(str(asked.query)) > LONGEST_QUERY:
            return Told({"status": "error", "message": "URI Too Long"}, 414)
        record = self._named(asked, asked.flag("archived"))
        history = names(asked.query, "propertiesWithHistory")
        return Told(self.shown(record, names(asked.query, "properties"), history))

    def create(self, asked: Asked) -> Told:
        """A new record."""
        given = properties(asked.body)
        links = self.links.wanted(self._kind.id, asked.body)
        record = self.records.create(self.records.prepare(given, None), self._source)
        self.links.join(record.id, links)
        return Told(self.written(record, given), 201)

    def update(self, asked: Asked) -> Told:
        """Some properties of one record."""
        given = properties(asked.body)
        record = self._named(asked)
        self.records.update(record, self.records.prepare(given, record), self._source)
        return Told(self.written(record, given))

    def archive(self, asked: Asked) -> Told:
        """One record into the recycle bin; one that is there already is fine."""
        record = self.records.get(asked.params["id"])
        if record is not None:
            self.records.archive(record, self._source)
        elif self.records.get(asked.params["id"], archived=True) is None:
            raise not_found([asked.params["id"]])
        return Told(status=204)

    def search(self, asked: Asked) -> Told:
        """Records as the index has them."""
        wanted = asked.texts("properties")
        seen = self.records.index.seen()
        page = search(seen, self._schema, self._kind.searched, asked.body, asked.size)
        results = [self._indexed(one, dict(seen[one]), wanted) for one in page.ids]
        return Told({"total": page.total, "results": results, **(_paging(page.after) if page.after else {})})

    def shown(self, record: Record, wanted: Iterable[str], history: Iterable[str] = ()) -> dict[str, Any]:
        """A record as a read tells it."""
        asked = [one for one in wanted if self._schema.get(one)]
        told = self._record(record.id, record.properties, [*asked, *self._kind.core] if wanted else self._kind.shown)
        told["archived"] = record.archived_at is not None
        if record.archived_at is not None:
            told["archivedAt"] = iso(record.archived_at)
        if history:
            told["propertiesWithHistory"] = {one: _history(record, one) for one in history if self._schema.get(one)}
        return told

    def written(self, record: Record, given: Iterable[str]) -> dict[str, Any]:
        """A record as a write tells it."""
        return self._record(record.id, record.properties, dict.fromkeys([*self._kind.shown, *given]))

    def _indexed(self, record_id: int, values: dict[str, str], wanted: Iterable[str]) -> dict[str, Any]:
        asked = [one for one in wanted if self._schema.get(one)]
        return self._record(record_id, values, [*asked, *self._kind.core] if wanted else self._kind.shown)

    def _record(self, record_id: int, values: dict[str, str], shown: Iterable[str]) -> dict[str, Any]:
        return {
            "id": str(record_id),
            "properties": {name: values.get(name) for name in shown},
            "createdAt": values[self._kind.created],
            "updatedAt": values[self._kind.modified],
            "archived": False,
        }

    def _named(self, asked: Asked, archived: bool = False) -> Record:
        key, wanted = asked.query.get("idProperty"), asked.params["id"]
        found = by_key(self.records, self._schema, key, wanted) if key and not archived else self.records.get(wanted, archived)
        if found is None:
            raise not_found([wanted])
        return found


def by_key(records: Records, schema: Schema, key: str, value: str) -> Record | None:
    """The record that a value of a unique property names. Raises Refusal when the property is not unique."""
    if key != records.kind.key and not schema.unique(key):
        raise non_unique(key, records.kind.id)
    return records.find(key, value)


def names(query: QueryParams, name: str) -> list[str]:
    """A list in a query: repeated, or separated by commas."""
    return [one for value in query.getlist(name) for one in value.split(",") if one]


def properties(body: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a request or a row. Raises Refusal."""
    found = body.get("properties")
    if not isinstance(found, dict):
        raise bad_request("Invalid input JSON: properties are missing")
    return found


def _history(record: Record, name: str) -> list[dict[str, Any]]:
    return [
        {
            "value": one.value, "timestamp": iso(one.at), "sourceType": one.source.kind, "sourceId": one.source.id,
            **({"sourceLabel": one.source.label} if one.source.label else {}),
        }
        for one in reversed(record.history.get(name, []))
    ]  # fmt: skip


def _paging(after: str) -> dict[str, Any]:
    return {"paging": {"next": {"after": after, "link": f"?after={after}"}}}


def _cursor(record_id: int) -> str:
    return base64.urlsafe_b64encode(f"record:{record_id}".encode()).decode().rstrip("=")


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        return int(text.removeprefix("record:"))
    except (ValueError, binascii.Error) as error:
        raise bad_request("after is not a cursor of this listing.") from error
