"""The schemas API: custom object types, made and changed.

Facts (HubSpot API, schemas reference; its Python client for the fields):
- a schema needs name, labels, properties, requiredProperties and associatedObjects; name and labels stay as they are;
- its answer names the association types, both ways, with their numbers.
Assumed: a property named where none is (required, searchable, display) is answered 400; required properties that are needed later
are not asked of records there are.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from connector.sandbox.associations import LinkType
from connector.sandbox.kinds import Kind
from connector.sandbox.object_types import ObjectType, ObjectTypes
from connector.sandbox.replies import bad_request, missing_scope, objects_of
from connector.sandbox.schema import Property, Schema, options_of
from connector.sandbox.scopes import CUSTOM_SCHEMA_READ
from connector.sandbox.standard import YES_NO, of_object
from connector.sandbox.switches import Switches
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told

NAMING = ("requiredProperties", "searchableProperties", "secondaryDisplayProperties")
CHANGEABLE = (*NAMING, "primaryDisplayProperty", "description")


class Schemas:
    """Every method takes a request and gives its answer, or raises Refusal. switches: whether the tier has custom objects."""

    def __init__(self, types: ObjectTypes, portal_id: int, switches: Switches) -> None:
        self._types = types
        self._portal_id = portal_id
        self._switches = switches

    def listed(self, asked: Asked) -> Told:
        """All custom object types."""
        self._has()
        return Told({"results": [] if asked.flag("archived") else [self._told(one) for one in self._types.custom()]})

    def read(self, asked: Asked) -> Told:
        """One of them."""
        self._has()
        return Told(self._told(self._types.get(asked.params["type"])))

    def create(self, asked: Asked) -> Told:
        """A new one."""
        self._has()
        body = asked.body
        needed = ("name", "labels", "properties", "requiredProperties", "associatedObjects")
        missing = [name for name in needed if name not in body]
        if missing:
            raise bad_request(f"Invalid input JSON: required fields were not set: {missing}")
        name = str(body["name"])
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise bad_request(f"name: {name} is not letters, digits and underscores, starting with a letter")
        schema = _schema(name, body)
        _check_names(schema, body)
        return Told(self._told(self._types.create(self._kind(name, body), schema, body)), 201)

    def update(self, asked: Asked) -> Told:
        """Other required, searchable or displayed properties, or another description."""
        self._has()
        found = self._types.get(asked.params["type"])
        if "labels" in asked.body and asked.body["labels"] != found.body.get("labels"):
            raise bad_request("labels cannot be changed.")
        changes = {name: asked.body[name] for name in CHANGEABLE if name in asked.body}
        _check_names(found.schema, changes)
        found.body |= changes
        found.kind.required = list(found.body["requiredProperties"])
        found.kind.searched = tuple(found.body.get("searchableProperties") or ())
        found.changed = found.records.now()
        return Told(self._told(found))

    def _has(self) -> None:
        if not self._switches.custom_objects:
            raise missing_scope(*CUSTOM_SCHEMA_READ)

    def _kind(self, name: str, body: Mapping[str, Any]) -> Kind:
        number = self._types.next_id()
        names = (number, name.lower(), f"p{self._portal_id}_{name}".lower())
        required, searched = list(body["requiredProperties"]), tuple(body.get("searchableProperties") or ())
        return Kind(number, name, name, required=required, searched=searched, names=names)

    def _told(self, one: ObjectType) -> dict[str, Any]:
        links = [link for other in self._types.all for link in self._types.links.types(other.kind.id)]
        body = one.body
        return {
            "id": one.kind.id.removeprefix("2-"), "objectTypeId": one.kind.id, "name": one.kind.singular,
            "fullyQualifiedName": f"p{self._portal_id}_{one.kind.singular}", "labels": body.get("labels", {}),
            "description": body.get("description"), "requiredProperties": list(one.kind.required),
            "searchableProperties": list(one.kind.searched), "primaryDisplayProperty": body.get("primaryDisplayProperty"),
            "secondaryDisplayProperties": body.get("secondaryDisplayProperties") or [], "archived": False,
            "properties": [each.told() for each in one.schema.listed()],
            "associations": [_link(each) for each in links if one.kind.id in (each.of, each.to)],
            "createdAt": iso(one.made), "updatedAt": iso(one.changed), "metaType": "PORTAL_SPECIFIC",
        }  # fmt: skip


def _schema(name: str, body: Mapping[str, Any]) -> Schema:
    group = f"{name.lower()}_information"
    schema = Schema(of_object(group), {group: f"{name} information"})
    for raw in objects_of(body, "properties"):
        missing = [one for one in ("name", "label", "type", "fieldType") if not raw.get(one)]
        if missing:
            raise bad_request(f"Invalid input JSON: required fields were not set: {missing}")
        options = options_of(raw) or (dict(YES_NO) if raw["type"] == "bool" else {})
        new = Property(str(raw["name"]), str(raw["type"]), str(raw["fieldType"]), str(raw["label"]), options=options)
        new.group, new.unique = str(raw.get("groupName") or group), bool(raw.get("hasUniqueValue"))
        schema.add(new)
    return schema


def _check_names(schema: Schema, body: Mapping[str, Any]) -> None:
    """Every property that is named exists. Raises Refusal."""
    named: Iterable[str] = [one for name in NAMING for one in body.get(name) or []]
    display = body.get("primaryDisplayProperty")
    unknown = [one for one in [*named, *([display] if display else [])] if not schema.get(one)]
    if unknown:
        raise bad_request(f"Property {unknown[0]} does not exist.")


def _link(link: LinkType) -> dict[str, Any]:
    return {"id": str(link.id), "fromObjectTypeId": link.of, "toObjectTypeId": link.to, "name": link.name}
