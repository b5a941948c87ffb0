"""The custom events API: define, read definitions, send.

Facts (HubSpot API, event definitions and event completions references): sending answers 204 without a body, for 500 at most; a
definition's name is lower-case letters, digits and underscores; its properties are told with `includeProperties` only.
Assumed: one row that is wrong refuses the whole batch; a definition or property that exists is answered 409.
"""

import re
from collections.abc import Mapping
from typing import Any

from connector.sandbox.answers import rows_of
from connector.sandbox.occurrences import TYPES, Definition, Occurrences
from connector.sandbox.replies import CONFLICT, Refusal, bad_request, missing_scope, objects_of
from connector.sandbox.scopes import EVENTS_DEFINE
from connector.sandbox.switches import Switches
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told

MOST = 500
OBJECTS = {"CONTACT": "0-1", "COMPANY": "0-2", "DEAL": "0-3", "TICKET": "0-5"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


class CustomEvents:
    """Every method takes a request and gives its answer, or raises Refusal."""

    def __init__(self, occurrences: Occurrences, switches: Switches) -> None:
        self._occurrences = occurrences
        self._switches = switches

    def listed(self, asked: Asked) -> Told:
        """All definitions."""
        self._has()
        wanted = asked.flag("includeProperties")
        found = [_told(one, wanted) for one in self._occurrences.definitions.values()]
        return Told({"total": len(found), "results": found})

    def read(self, asked: Asked) -> Told:
        """One definition."""
        self._has()
        return Told(_told(self._occurrences.get(asked.params["name"])))

    def create(self, asked: Asked) -> Told:
        """A new definition."""
        self._has()
        body = asked.body
        if not body.get("label"):
            raise bad_request("Invalid input JSON: required fields were not set: [label]")
        name = str(body.get("name") or re.sub(r"\W+", "_", str(body["label"]).lower()).strip("_"))
        primary = str(body.get("primaryObject") or "CONTACT").upper()
        if not NAME.fullmatch(name) or primary not in OBJECTS:
            raise bad_request(f"There is no event with name {name} and primaryObject {primary}.")
        properties = [_property(one) for one in objects_of(body, "propertyDefinitions")]
        made = self._occurrences.define(name, str(body["label"]), str(body.get("description") or ""), primary)
        made.properties = {one["name"]: one for one in properties}
        return Told(_told(made), 201)

    def add_property(self, asked: Asked) -> Told:
        """One more property."""
        self._has()
        definition, new = self._occurrences.get(asked.params["name"]), _property(asked.body)
        if new["name"] in definition.properties:
            raise Refusal(409, CONFLICT, f"A property named '{new['name']}' already exists.")
        definition.properties[new["name"]] = new
        return Told(new, 201)

    def send(self, asked: Asked) -> Told:
        """One occurrence."""
        self._has()
        self._occurrences.check(asked.body)
        self._occurrences.keep(asked.body)
        return Told(status=204)

    def send_many(self, asked: Asked) -> Told:
        """Many."""
        self._has()
        rows = rows_of(asked, MOST)
        for row in rows:
            self._occurrences.check(row)
        for row in rows:
            self._occurrences.keep(row)
        return Told(status=204)

    def _has(self) -> None:
        if not self._switches.custom_events:
            raise missing_scope(*EVENTS_DEFINE)


def _property(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A property of an event. Raises Refusal."""
    label, kind = str(raw.get("label") or ""), str(raw.get("type") or "string")
    name = str(raw.get("name") or re.sub(r"\W+", "_", label.lower()).strip("_"))
    if not label or not NAME.fullmatch(name) or kind not in TYPES:
        raise bad_request(f"There is no event property with name {name}, label {label} and type {kind}.")
    options = [{"label": str(one.get("label", "")), "value": str(one.get("value", ""))} for one in objects_of(raw, "options")]
    return {"name": name, "label": label, "type": kind, "options": options, "archived": False}


def _told(one: Definition, with_properties: bool = True) -> dict[str, Any]:
    told = {
        "id": str(one.number), "objectTypeId": f"6-{one.number}", "name": one.name.partition("_")[2],
        "fullyQualifiedName": one.name, "labels": {"singular": one.label, "plural": one.label},
        "description": one.description, "primaryObject": one.primary, "primaryObjectId": OBJECTS[one.primary],
        "archived": False, "createdAt": iso(one.made), "associations": [],
    }  # fmt: skip
    return {**told, "properties": list(one.properties.values())} if with_properties else told
