"""Contacts by id, by value, page by page and by time of change; archiving and erasing them.

Facts (HubSpot API, contacts reference, "Search the CRM", "Merge records"; hubspot-api-nodejs issue 24):
- what a batch read does with the id of a merged-away contact is not documented, while reading that id alone leads to the
  surviving contact, which lists the ids it absorbed;
- a batch read by email reads the store, the search index lags behind it by up to half a minute;
- `hs_additional_emails` is searchable like a set of options: equal to one of its addresses is a match;
- text in an IN filter must be lower case, options must not be changed;
- contacts are dated by `lastmodifieddate`, filtered in epoch milliseconds; an import stamps many with the same millisecond;
- erasing an email nobody has would block that address for ever, so contacts are erased by id only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.crm.base import BATCH, Property
from connector.crm.hubspot import answers
from connector.crm.hubspot.records import (
    ADDITIONAL_EMAILS,
    EMAIL,
    ID,
    MODIFIED,
    Record,
    Records,
    addresses,
    chunks,
    claim,
    fitting,
    text,
)
from connector.crm.hubspot.transport import Send, Transport
from connector.errors import Missing, Rejected, Unavailable
from connector.model import Contact

HISTORY_BATCH = 50
"""Contacts in one batch read with history, at most."""


class Contacts:
    """The portal's contacts. `definition` gives one of its properties, by name."""

    def __init__(self, transport: Transport, records: Records, definition: Callable[[str], Property | None]) -> None:
        self._transport = transport
        self._records = records
        self._definition = definition

    def read(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Contact]:
        """See Crm.read. One call per 100 ids, and one for each id those do not account for: an id is gone only when a call
        of its own says so."""
        found = self._records.stored(ids, properties)
        moved = {old: new for old in dict.fromkeys(ids) if old not in found and (new := self._records.survivor(old))}
        survivors = self._records.stored(moved.values(), properties)
        for old, new in moved.items():
            if new not in survivors:
                raise Unavailable(f"hubspot: contacts: read: contact {new} exists, but a batch read leaves it out")
            found[old] = survivors[new]
        return {asked: answers.contact(found[asked], properties) for asked in ids if asked in found}

    def find(self, key: str, values: Sequence[str], properties: Sequence[str]) -> dict[str, list[Contact]]:
        """See Crm.find. A unique property: one batch read per 100 values. Any other: a search, then a read of what it found.

        Emails: a batch read per 100 (the store, primary addresses), then one search per 2,000 characters for those left,
        since they may be additional addresses. One that the index does not know yet stays unfound here; HubSpot then
        refuses a second contact with it.
        """
        if key == EMAIL:
            plain = {value: value.strip().lower() for value in values if "@" in value}  # nobody holds anything else
            found = self._find_emails(list(plain.values()), properties)
            return _by_value(plain, found, addresses, properties)
        definition = self._definition(key)
        if definition is None:
            raise Rejected(f"hubspot: contacts: find: HubSpot has no property {key}")
        if definition.unique:
            found = [one for some in chunks(values, BATCH) for one in self._records.batch(some, [key, *properties], key)]
        else:
            lower = [] if definition.type == "enumeration" else [value.lower() for value in values]
            found = self._search(key, [*values, *lower], [key, *properties])
        return _by_value({value: value for value in values}, found, lambda record: {text(record, key)}, properties)

    def changed_since(self, since: datetime, properties: Sequence[str]) -> Iterator[list[Contact]]:
        """See Crm.changed_since. The index says which; what they hold is read from the store, which is ahead of it.

        Each query begins at the last moment seen, and repeats its contacts: pages by number leave out who moves up when one
        that was listed already changes, and so moves to the end.
        """
        mark = int(since.timestamp() * 1000)
        while True:
            found, more = self._first([_filter(MODIFIED, "GTE", str(mark))], MODIFIED)
            last = max([mark, *map(_millis, found[-1:])])
            if more and last == mark:
                yield from self._changed_at_once(mark, properties)
                mark += 1
                continue
            yield self._stored(found, properties)
            if not more:
                return
            mark = last

    def changed_at(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, datetime]]:
        """See Crm.changed_at. A property without history, and a contact that is gone, are left out."""
        times: dict[str, dict[str, datetime]] = {}
        for some in chunks(ids, HISTORY_BATCH):
            found = claim(some, self._records.batch(some, [], history=properties))
            times |= {asked: _last_changes(record) for asked, record in found.items()}
        return times

    def archive(self, ids: Sequence[str]) -> None:
        """See Crm.archive. One call per 100; one each when HubSpot finds fault with a batch."""
        for some in chunks(ids, BATCH):
            if not self._archive_batch(some):
                for one in some:
                    self._archive_one(one)

    def erase(self, contact_id: str) -> None:
        """See Crm.erase."""
        body = {"objectId": contact_id}
        self._remove(f"contact {contact_id}: erase", lambda api, options: api.contacts.purge(body, **options))

    def _find_emails(self, emails: Sequence[str], properties: Sequence[str]) -> list[Record]:
        asked = [EMAIL, ADDITIONAL_EMAILS, *properties]
        found = [one for some in chunks(emails, BATCH) for one in self._records.batch(some, asked, EMAIL)]
        known = {address for record in found for address in addresses(record)}
        return found + self._search(ADDITIONAL_EMAILS, [email for email in emails if email not in known], asked)

    def _search(self, key: str, values: Sequence[str], properties: Sequence[str]) -> list[Record]:
        """Contacts whose `key` is one of the values: which, as the index has it, but read from the store."""
        ids: list[str] = []
        for some in fitting(values):
            pages = list(self._records.search([{**_filter(key, "IN"), "values": some}], ID))
            ids += [record["id"] for found, _ in pages for record in found]
            if pages[-1][1]:
                raise Rejected(f"hubspot: contacts: find: more than 10,000 contacts match on {key}")
        return list(self._records.stored(ids, properties).values())

    def _changed_at_once(self, mark: int, properties: Sequence[str]) -> Iterator[list[Contact]]:
        """More contacts than a page has, changed in the same millisecond: in the order of their ids."""
        last, more = 0, True
        while more:
            found, more = self._first([_filter(MODIFIED, "EQ", str(mark)), _filter(ID, "GT", str(last))], ID)
            yield self._stored(found, properties)
            before, last = last, max([last, *(int(record["id"]) for record in found)])
            if more and last == before:
                raise Rejected("hubspot: contacts: search: the listing does not end")

    def _first(self, filters: Sequence[Record], sort: str) -> tuple[list[Record], bool]:
        """The first page of what matches that holds anything, and whether there is more."""
        page: tuple[list[Record], bool] = [], False
        for page in self._records.search(filters, sort):
            if page[0]:
                break
        return page

    def _stored(self, found: Iterable[Record], properties: Sequence[str]) -> list[Contact]:
        records = self._records.stored((record["id"] for record in found), properties)
        return [answers.contact(record, properties) for record in records.values()]

    def _archive_batch(self, ids: Sequence[str]) -> bool:
        body = {"inputs": [{"id": one} for one in ids]}
        reply = self._transport.call("contacts: archive", lambda api, options: api.batch.archive(body, **options), refusals=True)
        return reply.ok and not (reply.body or {}).get("errors")

    def _archive_one(self, contact_id: str) -> None:
        self._remove(f"contact {contact_id}: archive", lambda api, options: api.contacts.archive(contact_id, **options))

    def _remove(self, what: str, send: Send) -> None:
        try:
            self._transport.call(what, send)
        except Missing:
            return


def _filter(name: str, operator: str, value: str | None = None) -> Record:
    return {"propertyName": name, "operator": operator} | ({} if value is None else {"value": value})


def _by_value(
    values: Mapping[str, str], found: Iterable[Record], held: Callable[[Record], set[str]], properties: Sequence[str]
) -> dict[str, list[Contact]]:
    """Contacts by the value asked for. values: as asked -> as HubSpot keeps it."""
    holders: dict[str, dict[str, Contact]] = {}
    for record in found:
        one = answers.contact(record, properties)
        for value in held(record):
            holders.setdefault(value, {})[one.id] = one
    return {asked: list(holders[kept].values()) for asked, kept in values.items() if kept in holders}


def _last_changes(record: Record) -> dict[str, datetime]:
    changes: dict[str, datetime] = {}
    history: Any = record.get("propertiesWithHistory") or {}
    for name, entries in history.items():
        times = [time for entry in entries or [] if (time := answers.moment(entry.get("timestamp")))]
        if times:
            changes[name] = max(times)
    return changes


def _millis(record: Record) -> int:
    time = answers.moment(text(record, MODIFIED) or record.get("updatedAt"))
    return int(time.timestamp() * 1000) if time else 0
