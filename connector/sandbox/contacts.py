"""The contacts API, beyond what it shares with all objects: merge and privacy deletion.

Facts (HubSpot API, contacts reference): a merge gives a contact with a new id; a privacy deletion by an email that nobody has
keeps that email out of the portal.
"""

from connector.sandbox.associations import Links
from connector.sandbox.contact_records import EMAIL, ContactRecords
from connector.sandbox.events import Source
from connector.sandbox.objects import Objects
from connector.sandbox.replies import not_found
from connector.sandbox.schema import Schema
from connector.sandbox.wire import Asked, Told


class Contacts(Objects):
    """Calls about single contacts. Every method takes a request and gives its answer, or raises Refusal."""

    def __init__(self, records: ContactRecords, schema: Schema, source: Source, links: Links) -> None:
        super().__init__(records, schema, source, links)
        self._contacts = records

    def merge(self, asked: Asked) -> Told:
        """Two contacts into a new one."""
        ids = [str(asked.body.get(name, "")) for name in ("primaryObjectId", "objectIdToMerge")]
        found = [self._contacts.get(one) for one in ids]
        primary, other = found
        if primary is None or other is None:
            raise not_found([one for one, record in zip(ids, found, strict=True) if record is None])
        return Told(self.shown(self._contacts.merge(primary, other, self._source), []))

    def erase(self, asked: Asked) -> Told:
        """One contact for good. An email that nobody has is blocked instead."""
        wanted, key = str(asked.body.get("objectId", "")), asked.body.get("idProperty")
        if key == EMAIL:
            record = self._contacts.find(EMAIL, wanted)
            if record is None:
                self._contacts.block(wanted)
        else:
            record = self._contacts.any_state(wanted)
        if record is not None:
            self._contacts.erase(record, self._source)
        return Told(status=204)
