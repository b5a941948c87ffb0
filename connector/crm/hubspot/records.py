"""The calls that give contacts, as HubSpot's own records: by batch, by id, by search.

Facts (HubSpot API, contacts reference, "Search the CRM"):
- a batch call takes 100 rows, 50 with history;
- a search takes a body of 3,000 characters, gives 200 per page and 10,000 per query, and sees no archived contacts;
- a name that does not exist in `properties` is ignored, and a name left out is not told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from connector.crm.base import BATCH
from connector.crm.hubspot import answers
from connector.crm.hubspot.transport import Transport
from connector.errors import Missing, Rejected, Unavailable

ID = "hs_object_id"
MODIFIED = "lastmodifieddate"
MERGES = ("hs_merged_object_ids", "hs_calculated_merged_vids")
EMAIL = "email"
ADDITIONAL_EMAILS = "hs_additional_emails"
LONGEST_SEARCH = 2900
"""Characters; HubSpot's 3,000 less a margin."""
SEARCH_PAGE = 200
SEARCH_CAP = 10_000

T = TypeVar("T")
Record = dict[str, Any]


class Records:
    """Reading calls about contacts."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def batch(
        self,
        inputs: Iterable[str],
        properties: Iterable[str],
        key: str | None = None,
        *,
        history: Iterable[str] = (),
    ) -> list[Record]:
        """One read of at most 100 ids, or values of the unique property `key`. Those not found are left out."""
        names = list(dict.fromkeys([*properties, ID, *MERGES]))
        body: Record = {"inputs": [{"id": one} for one in inputs], "properties": names, "propertiesWithHistory": list(history)}
        if not body["inputs"]:
            return []
        if key:
            body["idProperty"] = key
        what = "contacts: read"
        try:
            reply = self._transport.call(what, lambda api, options: api.batch.read(body, **options))
        except Missing:
            return []
        return answers.records(what, reply)

    def survivor(self, contact_id: str) -> str | None:
        """The id of the contact that an id leads to now; None when it is gone."""
        what = f"contact {contact_id}: read"
        try:
            reply = self._transport.call(
                what, lambda api, options: api.contacts.get_by_id(contact_id, properties=[ID], **options)
            )
        except Missing:
            return None
        if not (reply.body or {}).get("id"):
            raise Unavailable(f"hubspot: {what}: {reply.status} without an id")
        return answers.contact(reply.body or {}).id

    def search(self, filters: Sequence[Record], sort: str) -> Iterator[tuple[list[Record], bool]]:
        """Ids (and `sort`) of what matches, as the index has it, in ascending order: pages, each with whether there is
        more; after the last page there is when the query was cut. Raises Rejected when a page leads to one that was seen."""
        body: Record = {"filterGroups": [{"filters": list(filters)}], "sorts": [{"propertyName": sort, "direction": "ASCENDING"}]}
        body |= {"limit": SEARCH_PAGE, "after": "0", "properties": [ID, sort]}
        seen: set[str] = set()
        what = "contacts: search"
        for _ in range(SEARCH_CAP // SEARCH_PAGE):
            reply = self._transport.call(what, lambda api, options: api.search.do_search(body, **options), search=True)
            after = answers.next_cursor(reply)
            yield answers.records(what, reply), after is not None
            if after is None:
                return
            _advance(seen, after, what)
            body["after"] = after

    def stored(self, ids: Iterable[str], properties: Iterable[str]) -> dict[str, Record]:
        """Any number of contacts from the store, by the id asked for, in that order; those not found are left out."""
        names = [MODIFIED, *properties]
        found: dict[str, Record] = {}
        for some in chunks(ids, BATCH):
            found |= claim(some, self.batch(some, names))
        return found


def _advance(seen: set[str], cursor: str, what: str) -> None:
    """Note a cursor. Raises Rejected for one that was followed before: such a listing never ends."""
    if cursor in seen:
        raise Rejected(f"hubspot: {what}: the listing does not end")
    seen.add(cursor)


def chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """The items without repeats, in lists of at most `size`."""
    unique = list(dict.fromkeys(items))
    for start in range(0, len(unique), size):
        yield unique[start : start + size]


def fitting(values: Iterable[str]) -> Iterator[list[str]]:
    """The values without repeats, in lists that fit into one search: at most 100, and two thirds of its characters."""
    some: list[str] = []
    room = LONGEST_SEARCH * 2 // 3
    for value in dict.fromkeys(values):
        size = len(orjson.dumps(value)) + 1
        if some and (room < size or len(some) == BATCH):
            yield some
            some, room = [], LONGEST_SEARCH * 2 // 3
        some.append(value)
        room -= size
    if some:
        yield some


def claim(ids: Iterable[str], found: Iterable[Record]) -> dict[str, Record]:
    """Records by the id asked for, which may be one the record absorbed in a merge."""
    by_id: dict[str, Record] = {}
    absorbed: dict[str, Record] = {}
    for record in found:
        by_id |= {record["id"]: record, text(record, ID) or record["id"]: record}
        for name in MERGES:
            absorbed |= {entry.split(":")[0].strip(): record for entry in text(record, name).split(";")}
    return {one: by_id.get(one) or absorbed[one] for one in ids if one in by_id or one in absorbed}


def by_value(found: Iterable[Record], key: str) -> dict[str, Record]:
    """Records by what they hold in a unique property; by each of their addresses where that is the email."""
    return {value: one for one in found for value in (addresses(one) if key == EMAIL else {text(one, key)})}


def addresses(record: Mapping[str, Any]) -> set[str]:
    """A contact's email addresses, primary and additional, in lower case."""
    return {one.strip().lower() for one in [text(record, EMAIL), *text(record, ADDITIONAL_EMAILS).split(";")]} - {""}


def text(record: Mapping[str, Any], name: str) -> str:
    """A property's text; "" when blank or not told."""
    properties = record.get("properties")
    return str(properties.get(name) or "") if isinstance(properties, Mapping) else ""
