"""What is associated with what: types of associations, and the pairs of records they join.

Facts (HubSpot API, "Associations" v4; captured bodies):
- an association has a type per direction, and each type a category; those of custom objects have numbers of the portal's own;
- note to contact is 202, contact to note 201;
- what is associated with a contact that is merged away belongs to the survivor.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.sandbox.kinds import CONTACT, NOTE
from connector.sandbox.records import Records
from connector.sandbox.replies import bad_request, id_of, not_found, objects_of

OURS, THEIRS = "USER_DEFINED", "HUBSPOT_DEFINED"
FIRST_TYPE = 21
"""Of a portal's own types; every portal counts on from elsewhere."""


@dataclass(frozen=True, slots=True)
class LinkType:
    """A type of association in one direction. inverse: the type of the other one."""

    id: int
    category: str
    of: str
    to: str
    name: str
    inverse: int

    def told(self) -> dict[str, Any]:
        """As `types` of requests and default associations name it."""
        return {"associationCategory": self.category, "associationTypeId": self.id}


@dataclass(frozen=True, slots=True)
class Link:
    """An association about to be made."""

    type: LinkType
    to: int


class Links:
    """All associations of a portal. records: those of an object type, by its id. Callers hold the portal's lock."""

    def __init__(self, records: Callable[[str], Records], portal_id: int) -> None:
        self._records = records
        self._types = {
            201: LinkType(201, THEIRS, CONTACT.id, NOTE.id, "contact_to_note", 202),
            202: LinkType(202, THEIRS, NOTE.id, CONTACT.id, "note_to_contact", 201),
        }
        self._numbers = itertools.count(FIRST_TYPE + portal_id % 50)
        self._joined: dict[tuple[str, int, str], dict[int, set[int]]] = {}

    def define(self, of: str, to: str, name: str) -> LinkType:
        """A type of the portal's own, with its inverse."""
        there, back = next(self._numbers), next(self._numbers)
        self._types[there] = LinkType(there, OURS, of, to, name, back)
        self._types[back] = LinkType(back, OURS, to, of, f"{name}_inverse", there)
        return self._types[there]

    def types(self, of: str, to: str = "") -> list[LinkType]:
        """From one object type to another, or to any."""
        return [one for one in self._types.values() if one.of == of and to in ("", one.to)]

    def default(self, of: str, to: str) -> LinkType:
        """The type that is taken when none is named. Raises Refusal."""
        found = self.types(of, to)
        if not found:
            raise bad_request(f"No association type exists between {of} and {to}.")
        return found[0]

    def typed(self, of: str, raw: Mapping[str, Any], to: str = "") -> LinkType:
        """The type that a request names. Raises Refusal."""
        number = raw.get("associationTypeId")
        found = self._types.get(number) if isinstance(number, int) else None
        fits = found and found.of == of and to in ("", found.to) and found.category == raw.get("associationCategory")
        if found is None or not fits:
            wanted = f"{raw.get('associationCategory')} {number}"
            raise bad_request(f"Invalid association: there is no type {wanted} from {of}")
        return found

    def wanted(self, of: str, body: Mapping[str, Any]) -> list[Link]:
        """The associations of a new record, as a create describes them. Raises Refusal."""
        made: list[Link] = []
        for one in objects_of(body, "associations"):
            types = [self.typed(of, raw) for raw in objects_of(one, "types")]
            if not types:
                raise bad_request("Invalid input JSON: associations need types")
            made += [Link(kind, self.record(kind.to, id_of(one, "to"))) for kind in types]
        return made

    def record(self, of: str, wanted: str) -> int:
        """The id of a record that exists, after merges. Raises Refusal."""
        found = self._records(of).get(wanted)
        if found is None:
            raise not_found([wanted])
        return found.id

    def join(self, record_id: int, links: Sequence[Link]) -> None:
        """Associate a record with others; what is joined already stays so."""
        for one in links:
            self._one_way(one.type, record_id, one.to)
            self._one_way(self._types[one.type.inverse], one.to, record_id)

    def of(self, of: str, record_id: int, to: str) -> dict[int, list[LinkType]]:
        """What is associated with a record and not deleted: id -> types."""
        records = self._records(to)
        joined = self._joined.get((of, record_id, to), {})
        return {other: [self._types[one] for one in sorted(kinds)] for other, kinds in joined.items() if records.get(other)}

    def move(self, of: str, old: int, new: int) -> None:
        """What was associated with one record is associated with another."""
        for kind in self.types(of):
            for other, types in self._joined.pop((of, old, kind.to), {}).items():
                back = self._joined.get((kind.to, other, of), {})
                back.pop(old, None)
                self.join(new, [Link(self._types[one], other) for one in types])

    def _one_way(self, kind: LinkType, record_id: int, other: int) -> None:
        self._joined.setdefault((kind.of, record_id, kind.to), {}).setdefault(other, set()).add(kind.id)
