"""The calls about the records of any object type, and about its properties, under whatever path they are served."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.sandbox.batches import Batches
from connector.sandbox.contacts import Contacts
from connector.sandbox.definitions import Definitions
from connector.sandbox.object_types import ObjectType
from connector.sandbox.objects import Objects
from connector.sandbox.scopes import WRITE, Scopes
from connector.sandbox.wire import Asked, Told, Work

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

Line = tuple[str, str, Work, Scopes]
"""Method, end of the path, call, scopes."""


@dataclass(frozen=True, slots=True)
class Api:
    """The calls about one object type."""

    one: Objects
    many: Batches
    definitions: Definitions


Call = tuple[str, str, Callable[[Api], Work], bool]
"""Method, end of the path, which call, and whether it writes."""

OBJECT_CALLS: list[Call] = [
    ("POST", "/batch/read", lambda api: api.many.read, False),
    ("POST", "/batch/create", lambda api: api.many.create, True),
    ("POST", "/batch/update", lambda api: api.many.update, True),
    ("POST", "/batch/upsert", lambda api: api.many.upsert, True),
    ("POST", "/batch/archive", lambda api: api.many.archive, True),
    ("POST", "/search", lambda api: api.one.search, False),
    ("GET", "", lambda api: api.one.page, False),
    ("POST", "", lambda api: api.one.create, True),
    ("GET", "/{id}", lambda api: api.one.read, False),
    ("PATCH", "/{id}", lambda api: api.one.update, True),
    ("DELETE", "/{id}", lambda api: api.one.archive, True),
]
PROPERTY_CALLS: list[Call] = [
    ("POST", "/batch/create", lambda api: api.definitions.batch_create, True),
    ("POST", "/batch/read", lambda api: api.definitions.batch_read, False),
    ("POST", "/batch/archive", lambda api: api.definitions.batch_archive, True),
    ("GET", "/groups", lambda api: api.definitions.groups, False),
    ("POST", "/groups", lambda api: api.definitions.create_group, True),
    ("GET", "/groups/{name}", lambda api: api.definitions.read_group, False),
    ("GET", "", lambda api: api.definitions.listed, False),
    ("POST", "", lambda api: api.definitions.create, True),
    ("GET", "/{name}", lambda api: api.definitions.read, False),
    ("PATCH", "/{name}", lambda api: api.definitions.update, True),
    ("DELETE", "/{name}", lambda api: api.definitions.archive, True),
]


def contact_lines(portal: "Portal") -> list[Line]:
    """What there is for contacts."""
    api = Contacts(portal.records, portal.schema, portal.source, portal.object_types.links)
    special: list[Line] = [("POST", "/merge", api.merge, WRITE), ("POST", "/gdpr-delete", api.erase, WRITE)]
    return [*special, *object_lines(portal, "contacts")]


def object_lines(portal: "Portal", name: str = "") -> list[Line]:
    """What there is for records of one type; without a name, of the `{type}` of the path."""
    return [(method, end, _call(portal, name, pick, _needed(writes)), ()) for method, end, pick, writes in OBJECT_CALLS]


def property_lines(portal: "Portal", name: str = "") -> list[Line]:
    """What there is for the properties of a type; without a name, of the `{type}` of the path."""
    return [(method, end, _call(portal, name, pick, _schema_needed(writes)), ()) for method, end, pick, writes in PROPERTY_CALLS]


def _call(portal: "Portal", name: str, pick: Callable[[Api], Work], needed: Callable[[ObjectType], Scopes]) -> Work:
    def work(asked: Asked) -> Told:
        found = portal.object_types.get(name or asked.params["type"])
        portal.object_types.allow(found, needed(found))
        return pick(_api(portal, found))(asked)

    return work


def _api(portal: "Portal", found: ObjectType) -> Api:
    one = Objects(found.records, found.schema, portal.source, portal.object_types.links)
    return Api(one, Batches(one, found.schema, portal.answers, portal.source), Definitions(found.schema))


def _needed(writes: bool) -> Callable[[ObjectType], Scopes]:
    return lambda one: one.kind.writes if writes else one.kind.reads


def _schema_needed(writes: bool) -> Callable[[ObjectType], Scopes]:
    return lambda one: one.kind.schema_writes if writes else one.kind.schema_reads
