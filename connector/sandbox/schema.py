"""The properties of one object type: definitions, as listed and changed through the API.

Facts (HubSpot API, properties reference):
- a name is fixed, `hasUniqueValue` too, and at most ten properties of an object are unique;
- making a property or group that exists is answered 409; the group must exist first;
- changing the options replaces the whole list;
- an archived property can be listed with `archived=true`, and writing it fails as if it had never been;
- a sensitive one is listed, and read by its name, with `dataSensitivity` only.
Assumed: an archived property keeps its name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.replies import CONFLICT, Problem, Refusal, bad_request, invalid, not_found, objects_of

TYPES = ("string", "number", "date", "datetime", "enumeration", "bool", "phone_number")
FIELD_TYPES = (
    "text", "textarea", "file", "html", "phonenumber", "number", "date", "select", "radio", "checkbox", "booleancheckbox",
    "calculation_equation",
)  # fmt: skip
ORDINARY = "non_sensitive"
MOST_UNIQUE = 10
MOST = 1_000


@dataclass
class Property:
    """A property's definition. options: internal value -> label."""

    name: str
    type: str = "string"
    field_type: str = "text"
    label: str = ""
    group: str = "contactinformation"
    options: dict[str, str] = field(default_factory=dict)
    unique: bool = False
    read_only: bool = False
    calculated: bool = False
    free_options: bool = False
    description: str = ""
    archived: bool = False
    ours: bool = True
    sensitivity: str = ORDINARY

    @property
    def many(self) -> bool:
        """May hold several options, separated by semicolons."""
        return self.type == "enumeration" and self.field_type == "checkbox"

    @property
    def writable(self) -> bool:
        """May be written through the API."""
        return not (self.read_only or self.calculated)

    def told(self) -> dict[str, Any]:
        """The definition as HubSpot lists it."""
        options = [
            {"label": label, "value": value, "displayOrder": place, "hidden": False}
            for place, (value, label) in enumerate(self.options.items())
        ]
        guard = {"archivable": self.ours, "readOnlyDefinition": not self.ours, "readOnlyValue": self.read_only}
        return {
            "name": self.name, "label": self.label or self.name, "type": self.type, "fieldType": self.field_type,
            "groupName": self.group, "description": self.description, "options": options, "displayOrder": -1,
            "calculated": self.calculated, "externalOptions": False, "hasUniqueValue": self.unique, "hidden": False,
            "hubspotDefined": not self.ours, "formField": self.writable, "archived": self.archived,
            "modificationMetadata": guard, "dataSensitivity": self.sensitivity,
        }  # fmt: skip


def options_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The options of a request: value -> label. Raises Refusal when two have one value."""
    found: dict[str, str] = {}
    for one in objects_of(body, "options"):
        value = str(one.get("value", ""))
        if value in found:
            raise invalid([Problem(value, "DUPLICATE_OPTION", "Option values must be unique.")])
        found[value] = str(one.get("label", value))
    return found


class Schema:
    """Properties and groups of one object type, by name. groups: name -> label. most: how many somebody may make."""

    def __init__(self, properties: Iterable[Property], groups: Mapping[str, str]) -> None:
        self._properties = {one.name: one for one in properties}
        self.unique_names = [one.name for one in self._properties.values() if one.unique]
        self.groups = dict(groups)
        self.most = MOST

    def __getitem__(self, name: str) -> Property:
        return self._properties[name]

    def get(self, name: str) -> Property | None:
        """A property that is in use."""
        found = self._properties.get(name)
        return found if found and not found.archived else None

    def listed(self, archived: bool = False, sensitivity: str = ORDINARY) -> list[Property]:
        """All that are in use, or all that are archived, and as sensitive as that."""
        return [one for one in self._properties.values() if (one.archived, one.sensitivity) == (archived, sensitivity)]

    def made(self) -> int:
        """How many are not HubSpot's own."""
        return sum(one.ours for one in self.listed())

    def unique(self, name: str) -> bool:
        """Does a value of it identify one contact?"""
        found = self.get(name)
        return found is not None and found.unique

    def add(self, new: Property, replace: bool = False) -> Property:
        """Make a property. Raises Refusal for one that makes no sense, and, unless it may be replaced, for one that exists."""
        if new.name in self._properties and not replace:
            raise Refusal(409, CONFLICT, f"A property named '{new.name}' already exists.")
        problem = self._problem(new)
        if problem:
            raise invalid([Problem(new.name, *problem)])
        self._properties[new.name] = new
        if new.unique and new.name not in self.unique_names:
            self.unique_names.append(new.name)
        return new

    def create(self, body: Mapping[str, Any]) -> Property:
        """Make a property as the API describes it."""
        missing = [name for name in ("name", "label", "type", "fieldType", "groupName") if not body.get(name)]
        if missing:
            raise bad_request(f"Invalid input JSON: required fields were not set: {missing}")
        new = Property(
            name=str(body["name"]), type=str(body["type"]), field_type=str(body["fieldType"]), label=str(body["label"]),
            group=str(body["groupName"]), options=options_of(body), unique=bool(body.get("hasUniqueValue")),
            description=str(body.get("description") or ""),
        )  # fmt: skip
        return self.add(new)

    def update(self, name: str, body: Mapping[str, Any]) -> Property:
        """Change label, group, description, field type or options."""
        found = self.get(name)
        if found is None:
            raise not_found(what=f"Property '{name}'")
        if "options" in body:
            found.options = options_of(body)
        found.label = str(body.get("label", found.label))
        found.description = str(body.get("description", found.description))
        found.field_type = str(body.get("fieldType", found.field_type))
        if "groupName" in body:
            self._check_group(str(body["groupName"]))
            found.group = str(body["groupName"])
        return found

    def archive(self, name: str) -> None:
        """Put a property away; HubSpot's own cannot be."""
        found = self.get(name)
        if found is None:
            raise not_found(what=f"Property '{name}'")
        if not found.ours:
            raise bad_request(f"Property '{name}' cannot be archived.")
        found.archived = True

    def purge(self, name: str) -> None:
        """Take a property away for good, as HubSpot does with archived ones after a while."""
        del self._properties[name]

    def add_group(self, name: str, label: str) -> None:
        """Make a group. Raises Refusal for one that exists."""
        if name in self.groups:
            raise Refusal(409, CONFLICT, f"A property group named '{name}' already exists.")
        self.groups[name] = label or name

    def _check_group(self, name: str) -> None:
        if name not in self.groups:
            raise invalid([Problem("groupName", "GROUP_DOESNT_EXIST", f"Group {name} does not exist.")])

    def _problem(self, new: Property) -> tuple[str, str] | None:
        """Code and message of what is wrong with a definition."""
        self._check_group(new.group)
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", new.name):
            return "INVALID_NAME", "Names are lower-case letters, digits and underscores, starting with a letter."
        if new.type not in TYPES or new.field_type not in FIELD_TYPES:
            return "INVALID_TYPE", f"There is no type {new.type} with field type {new.field_type}."
        if new.type == "bool" and set(new.options) != {"true", "false"}:
            return "INVALID_OPTIONS", "A boolean has the options true and false."
        if new.ours and self.made() >= self.most:
            return "PROPERTY_LIMIT_REACHED", f"At most {self.most} custom properties are allowed."
        if new.unique and sum(one.unique and one.ours for one in self.listed()) >= MOST_UNIQUE:
            return "TOO_MANY_UNIQUE_PROPERTIES", f"At most {MOST_UNIQUE} properties may be unique."
        return None
