"""The portal itself: whose it is, and how its contact properties are defined.

Facts (HubSpot API, properties and account information reference):
- definitions come in one answer, without pages; archived ones only with `archived=true`, sensitive ones only with
  `dataSensitivity` and further scopes: both keep their names;
- a property is unwritable when its `modificationMetadata.readOnlyValue` or `calculated` is true;
- `hasUniqueValue` is fixed when the property is made; a name is never changed;
- a group must exist before a property in it; making what exists is answered 409;
- the options of an enumeration are changed by sending the full list.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connector.crm.base import NewProperty, Property
from connector.crm.hubspot import paths
from connector.crm.hubspot.answers import STRANGE, Reply
from connector.crm.hubspot.transport import Transport
from connector.errors import ConfigError, Denied, Exists, Missing, Rejected, Unavailable

READ_SCOPE = "grant the token crm.schemas.contacts.read"
WRITE_SCOPE = "grant the token crm.schemas.contacts.write"
SENSITIVE = ("sensitive", "highly_sensitive")
ASKING = ({}, {"archived": "true"}, *({"dataSensitivity": one} for one in SENSITIVE))
"""Ways to ask for one definition, since each shows its own kind only."""


class Schema:
    """Definitions, and the account they belong to."""

    def __init__(self, transport: Transport, portal_id: int) -> None:
        self._transport = transport
        self._expected = portal_id
        self._known: dict[str, Property] | None = None

    def portal_id(self) -> int:
        """See Crm.portal_id."""
        return account(self._transport)[0]

    def check_portal(self) -> None:
        """Raises ConfigError when the token belongs to another portal than the configured one."""
        actual = self.portal_id()
        if actual != self._expected:
            raise ConfigError(
                f"crm.portal_id is {self._expected}, but crm.access_token belongs to portal {actual}: correct one of the two"
            )

    def properties(self) -> dict[str, Property]:
        """See Crm.properties. Asks HubSpot each time."""
        what = "properties: list"
        reply = self._transport.call(
            what, lambda api, options: api.properties.get_all(paths.CONTACTS, **options), way_out=READ_SCOPE
        )
        found = (reply.body or {}).get("results")
        if not isinstance(found, list):
            raise Unavailable(f"hubspot: {what}: {reply.status} without results{STRANGE}")
        named = [one for one in _objects(found) if isinstance(one.get("name"), str) and one["name"]]
        self._known = {one["name"]: _property(one) for one in named if not one.get("archived")}
        return dict(self._known)

    def find_property(self, name: str) -> Property | None:
        """See Crm.find_property."""
        path = paths.under(paths.PROPERTIES, name)
        for asked in ASKING:
            try:
                reply = self._transport.http(f"property {name}: read", "GET", path, query=asked, way_out=READ_SCOPE)
            except (Denied, Missing, Rejected):
                continue
            if (found := reply.body or {}).get("name"):
                return _property({**asked, **found})
        return None

    def definition(self, name: str) -> Property | None:
        """One property, from what was read before if it is in there: what matters of it never changes."""
        if self._known is None or name not in self._known:
            self.properties()
        return (self._known or {}).get(name)

    def create_group(self, name: str, label: str) -> None:
        """See Crm.create_group."""
        body = {"name": name, "label": label, "displayOrder": -1}
        try:
            self._transport.call(
                f"property group {name}: create",
                lambda api, options: api.groups.create(paths.CONTACTS, body, **options),
                way_out=WRITE_SCOPE,
                words=True,
            )
        except Exists:
            return

    def create_property(self, new: NewProperty) -> None:
        """See Crm.create_property."""
        body: dict[str, Any] = {
            "name": new.name,
            "label": new.label,
            "type": new.type,
            "fieldType": new.field_type,
            "groupName": new.group,
        }
        body |= {"description": new.description, "hasUniqueValue": new.unique, "options": _options(new)}
        self._transport.call(
            f"property {new.name}: create",
            lambda api, options: api.properties.create(paths.CONTACTS, body, **options),
            way_out=WRITE_SCOPE,
            words=True,
        )

    def add_options(self, name: str, options: Mapping[str, str]) -> None:
        """See Crm.add_options. HubSpot takes the whole list only: what it holds goes back as it came, the new ones behind it.
        What somebody else adds between these two calls would be lost."""
        what = f"property {name}: add options"
        reply = self._transport.call(
            what, lambda api, call: api.properties.get_by_name(paths.CONTACTS, name, **call), way_out=READ_SCOPE
        )
        body = reply.body or {}
        if body.get("type") != "enumeration":
            raise Rejected(f"hubspot: {what}: it is no enumeration")
        held = _objects(body.get("options"))
        new = {value: label for value, label in options.items() if value not in {one.get("value") for one in held}}
        if new:
            places = [one["displayOrder"] for one in held if isinstance(one.get("displayOrder"), int)]
            change = {"options": [*held, *_listed(new, max(places, default=-1) + 1)]}
            self._transport.call(
                what,
                lambda api, call: api.properties.update(paths.CONTACTS, name, change, **call),
                way_out=WRITE_SCOPE,
                words=True,
            )


def account(transport: Transport) -> tuple[int, Reply]:
    """The portal the token belongs to, and the whole answer."""
    what = "account: read"
    reply = transport.http(what, "GET", paths.ACCOUNT)
    portal = str((reply.body or {}).get("portalId"))
    if not portal.isdigit():
        raise Unavailable(f"hubspot: {what}: {reply.status} without a portal id{STRANGE}")
    return int(portal), reply


def _options(new: NewProperty) -> list[dict[str, Any]]:
    """Options as HubSpot wants them; a boolean has exactly two."""
    wanted = new.options or ({"true": "Yes", "false": "No"} if new.type == "bool" else {})
    return _listed(wanted, 0)


def _listed(options: Mapping[str, str], first: int) -> list[dict[str, Any]]:
    return [
        {"value": value, "label": label, "displayOrder": place, "hidden": False}
        for place, (value, label) in enumerate(options.items(), first)
    ]


def _objects(found: Any) -> list[dict[str, Any]]:
    """The objects of a list; what else is in it says nothing."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def event_properties(definition: Mapping[str, Any]) -> dict[str, Property]:
    """The properties of an object or event, see EventType."""
    found = [one for one in _objects(definition.get("properties")) if one.get("name")]
    return {str(one["name"]): replace(_property(one), unique=one.get("hasUniqueValue") is not False) for one in found}


def _property(definition: Mapping[str, Any]) -> Property:
    guard = next(iter(_objects([definition.get("modificationMetadata")])), {})
    kind = str(definition.get("type") or "")
    options = {str(one.get("value")): str(one.get("label", "")) for one in _objects(definition.get("options"))}
    return Property(
        name=str(definition["name"]),
        type=kind,
        field_type=str(definition.get("fieldType", "")),
        options=options if kind == "enumeration" else {},
        read_only=bool(guard.get("readOnlyValue") or definition.get("calculated")),
        unique=bool(definition.get("hasUniqueValue")),
        calculated=bool(definition.get("calculated")),
        archived=bool(definition.get("archived")),
        sensitive=definition.get("dataSensitivity") in SENSITIVE,
    )
