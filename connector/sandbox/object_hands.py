"""What a person sees in the portal beside contacts: custom objects, notes, what belongs to a contact, what happened to it."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from connector.sandbox.contact_records import EMAIL, ContactRecords
from connector.sandbox.object_types import ObjectTypes
from connector.sandbox.occurrences import Occurrences
from connector.sandbox.records import Record
from connector.sandbox.replies import not_found
from connector.sandbox.wire import Asked, Told, Work

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

Seen = dict[str, Any]


class ObjectHands:
    """A part of `portal.Portal`. object_type: by any of its names. Raises `replies.Refusal` for one that does not exist."""

    lock: AbstractContextManager[Any]
    records: ContactRecords
    object_types: ObjectTypes
    occurrences: Occurrences

    def objects(self, object_type: str, archived: bool = False) -> list[Seen]:
        """All records of a type, as `Portal.contacts` shows them."""
        with self.lock:
            return [seen(one) for one in self.object_types.get(object_type).records.all(archived)]

    def associated(self, object_type: str, record_id: str | int, with_type: str) -> list[str]:
        """Ids of what is associated with a record."""
        with self.lock:
            of, to = self.object_types.get(object_type), self.object_types.get(with_type)
            record = of.records.get(record_id)
            found = self.object_types.links.of(of.kind.id, record.id, to.kind.id) if record else {}
            return [str(one) for one in sorted(found)]

    def happened(self, id_or_email: str | int) -> list[Seen]:
        """Custom events of a contact, and of those it absorbed, oldest first: `eventName, occurredAt, uuid, properties`."""
        with self.lock:
            found = self.records.get(id_or_email) or self.records.find(EMAIL, str(id_or_email))
            if found is None:
                raise not_found([str(id_or_email)])
            return self.occurrences.of(found.id)


def seen(record: Record) -> Seen:
    """A record with every property that has a value."""
    valued = {name: value for name, value in record.properties.items() if value}
    return {"id": str(record.id), "properties": valued, "archived": record.archived_at is not None}


def object_lines(portal: "Portal") -> list[tuple[str, str, Work]]:
    """The same over HTTP."""

    def associated(asked: Asked) -> Told:
        return Told(portal.associated(asked.params["type"], asked.params["id"], asked.params["other"]))

    return [
        ("GET", "/objects/{type}", lambda asked: Told(portal.objects(asked.params["type"], asked.flag("archived")))),
        ("GET", "/objects/{type}/{id}/{other}", associated),
        ("GET", "/contacts/{id}/events", lambda asked: Told(portal.happened(asked.params["id"]))),
    ]
