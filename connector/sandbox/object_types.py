"""All object types of a portal: contacts, notes, and the custom objects somebody made.

Facts (HubSpot API, objects and schemas references; captured bodies):
- a custom object is addressed by `2-<n>`, its name, or `p<portal>_<name>`; an unknown type is answered 400, without a category;
- a tier has ten of them at most;
- `associatedObjects` gives an association type per object type, with a number of the portal's own.
Assumed: making a name that exists is answered 409.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connector.sandbox import standard
from connector.sandbox.associations import Links
from connector.sandbox.events import Listener
from connector.sandbox.kinds import CONTACT, NOTE, Kind
from connector.sandbox.records import Records
from connector.sandbox.replies import CONFLICT, Refusal, bad_request, missing_scope
from connector.sandbox.schema import Schema
from connector.sandbox.scopes import Scopes

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

MOST = 10
FIRST, STEP = 3_465_001, 13
"""Of the numbers after `2-`."""


@dataclass
class ObjectType:
    """One type. body: of the request that made it; empty for HubSpot's own. made, changed: epoch milliseconds."""

    kind: Kind
    schema: Schema
    records: Records
    body: dict[str, Any] = field(default_factory=dict)
    made: int = 0
    changed: int = 0


class ObjectTypes:
    """By any of their names. Callers hold the portal's lock."""

    def __init__(self, portal: "Portal") -> None:
        self._portal = portal
        self.links = Links(lambda name: self.get(name).records, portal.portal_id)
        self.all = [ObjectType(CONTACT, portal.schema, portal.records), self._note()]
        self._numbers = itertools.count(FIRST, STEP)

    def get(self, name: str) -> ObjectType:
        """Raises Refusal for one that is not there."""
        wanted = name.lower()
        found = next((one for one in self.all if wanted in one.kind.names), None)
        if found is None:
            raise Refusal(400, "", f"Unable to infer object type from: {name}")
        return found

    def custom(self) -> list[ObjectType]:
        """Those that somebody made."""
        return [one for one in self.all if one.body]

    def create(self, kind: Kind, schema: Schema, body: Mapping[str, Any]) -> ObjectType:
        """A custom object. Raises Refusal for one that exists, or that is too many."""
        if any(set(kind.names) & set(one.kind.names) for one in self.all):
            raise Refusal(409, CONFLICT, f"An object type named '{kind.singular}' already exists.")
        if len(self.custom()) >= MOST:
            raise bad_request(f"An account may have {MOST} custom objects at most.")
        associated = [self.get(str(one)) for one in body.get("associatedObjects") or []]
        made = ObjectType(kind, schema, self._records(kind, schema), dict(body))
        made.made = made.changed = made.records.now()
        self.all.append(made)
        for one in associated:
            self.links.define(kind.id, one.kind.id, f"{kind.singular}_to_{one.kind.singular}")
        return made

    def allow(self, one: ObjectType, scopes: Scopes) -> None:
        """Raises Refusal where the token may not, or the tier has no custom objects."""
        lacking = bool(one.body) and not self._portal.custom_objects
        if lacking or not self._portal.scopes & set(scopes):
            raise missing_scope(*scopes)

    def next_id(self) -> str:
        """Of a custom object."""
        return f"2-{next(self._numbers)}"

    def _note(self) -> ObjectType:
        group = "engagement"
        schema = Schema(standard.of_note(group), {group: "Note information"})
        return ObjectType(NOTE, schema, self._records(NOTE, schema))

    def _records(self, kind: Kind, schema: Schema) -> Records:
        portal = self._portal
        return Records(kind, schema, lambda: portal.faults, Listener(), portal.clock)
