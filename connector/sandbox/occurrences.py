"""Custom events: their definitions, and what was sent of them.

Facts (HubSpot API, event definitions and event completions references):
- a definition is called `pe<portal>_<name>`; properties have a name, a label and a type, enumerations their options;
- an occurrence is of a contact, by record id or email; the first with a `uuid` counts, later ones do not;
- it needs `properties`, if only empty ones, of which there are 50 at most; a missing time is now.
Assumed, for want of a document: who is not there, a property that is not defined and an option that does not exist are dropped
without a word, as sending answers nothing but 204.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.contact_records import EMAIL, ContactRecords
from connector.sandbox.replies import CONFLICT, Refusal, bad_request, not_found
from connector.sandbox.values import iso, millis

MOST, MOST_PROPERTIES = 500, 50
TYPES = ("string", "number", "enumeration", "datetime", "bool")


@dataclass
class Definition:
    """A custom event. properties: name -> definition as it was asked for. made: epoch milliseconds."""

    number: int
    name: str
    label: str
    description: str
    primary: str
    made: int
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened. at: epoch milliseconds."""

    name: str
    at: int
    uuid: str
    properties: dict[str, str]

    def told(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {"eventName": self.name, "occurredAt": iso(self.at), "uuid": self.uuid, "properties": self.properties}


class Occurrences:
    """Definitions and occurrences. dropped: how many were accepted and lost. Callers hold the portal's lock."""

    def __init__(self, contacts: ContactRecords, portal_id: int) -> None:
        self.definitions: dict[str, Definition] = {}
        self.dropped = 0
        self._contacts = contacts
        self._prefix = f"pe{portal_id}_"
        self._kept: dict[int, list[Occurrence]] = {}
        self._uuids: set[str] = set()
        self._numbers = itertools.count(1_880_001)

    def get(self, name: str) -> Definition:
        """A definition by its whole name, or without what is before it. Raises Refusal."""
        found = self.definitions.get(name) or self.definitions.get(self._prefix + name)
        if found is None:
            raise not_found(what=f"Event definition '{name}'")
        return found

    def define(self, name: str, label: str, description: str, primary: str) -> Definition:
        """A new definition. Raises Refusal for one that exists, or that is too many."""
        if self._prefix + name in self.definitions:
            raise Refusal(409, CONFLICT, f"An event named '{name}' already exists.")
        if len(self.definitions) >= MOST:
            raise bad_request(f"An account may have {MOST} custom events at most.")
        made = Definition(next(self._numbers), self._prefix + name, label, description, primary, self._contacts.now())
        self.definitions[made.name] = made
        return made

    def check(self, raw: Mapping[str, Any]) -> None:
        """What is wrong with an occurrence as a whole. Raises Refusal."""
        if str(raw.get("eventName")) not in self.definitions:
            raise bad_request(f"There is no event named {raw.get('eventName')}.")
        if not isinstance(raw.get("properties"), dict):
            raise bad_request("Invalid input JSON: required fields were not set: [properties]")
        if len(raw["properties"]) > MOST_PROPERTIES:
            raise bad_request(f"At most {MOST_PROPERTIES} properties are allowed.")
        if not any(raw.get(name) for name in ("objectId", "email", "utk")):
            raise bad_request("One of objectId, email and utk is required.")
        _moment(raw, 0)

    def keep(self, raw: Mapping[str, Any]) -> None:
        """Take an occurrence that `check` let pass."""
        uuid = str(raw.get("uuid") or "")
        contact = self._contact(raw)
        if contact is None or uuid in self._uuids:
            self.dropped += 1
            return
        if uuid:
            self._uuids.add(uuid)
        definition = self.definitions[str(raw["eventName"])]
        known = {name: str(value) for name, value in raw["properties"].items() if _fits(definition, name, value)}
        made = Occurrence(definition.name, _moment(raw, self._contacts.now()), uuid, known)
        self._kept.setdefault(contact, []).append(made)

    def of(self, contact_id: int) -> list[dict[str, Any]]:
        """What happened to a contact, and to those it absorbed, oldest first."""
        return [one.told() for one in sorted(self._kept.get(contact_id, []), key=lambda one: one.at)]

    def move(self, old: int, new: int) -> None:
        """What happened to one contact happened to another."""
        self._kept.setdefault(new, []).extend(self._kept.pop(old, []))

    def _contact(self, raw: Mapping[str, Any]) -> int | None:
        wanted = raw.get("objectId")
        found = self._contacts.get(str(wanted)) if wanted else self._contacts.find(EMAIL, str(raw.get("email") or ""))
        return found.id if found else None


def _moment(raw: Mapping[str, Any], now: int) -> int:
    """When it happened, epoch milliseconds. Raises Refusal."""
    told = raw.get("occurredAt")
    try:
        return now if told is None else millis(str(told))
    except (ValueError, OverflowError) as error:
        raise bad_request(f"occurredAt: {told} is not a moment in ISO 8601") from error


def _fits(definition: Definition, name: str, value: object) -> bool:
    known = definition.properties.get(name)
    if known is None:
        return False
    return known["type"] != "enumeration" or str(value) in [one["value"] for one in known["options"]]
