"""What a portal needs before the connector may run, what it lacks, and making it. What exists is never changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.crm.base import NewProperty, Property
from connector.engine.readings import ADDITIONAL
from connector.errors import ConfigError, Exists
from connector.mapping.model import Field, FieldType
from connector.mapping.model import Mapping as FieldMapping
from connector.sync.work import Work

GROUP = "connector"
GROUP_LABEL = "Connector"

PORTAL_TYPES = {
    FieldType.TEXT: ("string", "text"),
    FieldType.EMAIL: ("string", "text"),
    FieldType.PHONE: ("string", "phonenumber"),
    FieldType.NUMBER: ("number", "number"),
    FieldType.BOOL: ("bool", "booleancheckbox"),
    FieldType.DATE: ("date", "date"),
    FieldType.DATETIME: ("datetime", "date"),
    FieldType.CHOICE: ("enumeration", "select"),
    FieldType.SET: ("enumeration", "checkbox"),
}

READABLE = {
    FieldType.NUMBER: {"number", "string"},
    FieldType.BOOL: {"bool", "enumeration", "string"},
    FieldType.DATE: {"date", "string"},
    FieldType.DATETIME: {"datetime", "string"},
    FieldType.CHOICE: {"enumeration", "string"},
    FieldType.SET: {"enumeration", "string"},
}
"""Portal types that a mapping's type can be written to; any other pair loses something."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A property the portal lacks, and the mapping line that asks for it ("" for the connector's own)."""

    property: NewProperty
    where: str


def missing(work: Work, portal: Mapping[str, Property]) -> list[Lack]:
    """What the configured providers and their mappings need and the portal does not have."""
    found: dict[str, Lack] = {}
    for name, mapping in work.mappings.items():
        id_property = work.id_property(name)
        if id_property not in portal:
            found[id_property] = Lack(_id_property(name, id_property), "")
        for rule in mapping.fields:
            if rule.contact not in portal and rule.contact not in found and rule.contact != ADDITIONAL:
                found[rule.contact] = Lack(_property(rule), f"{mapping.path}:{rule.line}")
    return list(found.values())


def create(work: Work, lacks: list[Lack]) -> None:
    """Make what is missing, the group first. Something made meanwhile by somebody else is fine."""
    if lacks:
        work.crm.create_group(GROUP, GROUP_LABEL)
    for lack in lacks:
        try:
            work.crm.create_property(lack.property)
        except Exists:
            continue


def require_id_properties(work: Work) -> None:
    """Raises ConfigError unless each provider's unique id property is there, and is unique."""
    portal = work.crm.properties()
    findings = []
    for name in work.mappings:
        known = portal.get(work.id_property(name))
        if known is None:
            findings.append(f"portal: lacks the property {work.id_property(name)}; run: connector setup --apply")
        elif not known.unique:
            findings.append(f"portal: property {work.id_property(name)} exists but is not unique; archive or rename it there")
    if findings:
        raise ConfigError(findings)


def disagreements(mapping: FieldMapping, portal: Mapping[str, Property]) -> list[str]:
    """Where a mapping and the portal do not fit: one line each, with the mapping's line and the way out."""
    found = []
    for rule in mapping.fields:
        where = f"{mapping.path}:{rule.line}: {rule.contact}"
        known = portal.get(rule.contact)
        if known is None:
            found.append(f"{where}: the portal has no such property; create it with: connector setup --apply")
            continue
        if known.read_only and rule.direction != "to_user":
            found.append(f"{where}: is read-only in the portal; set direction: to_user")
        if known.type not in READABLE.get(rule.type, {known.type}):
            found.append(f"{where}: is of type {known.type} in the portal, which cannot hold a {rule.type.value}")
        if known.options and rule.type in ("choice", "set"):
            unknown = [option for option in dict.fromkeys(rule.values.values()) if option not in known.options]
            found += [f"{where}: {option!r} is not an option in the portal; add it there" for option in unknown]
    return found


def _id_property(provider: str, name: str) -> NewProperty:
    return NewProperty(
        name, f"User id ({provider})", "string", "text", GROUP, unique=True,
        description="The id of this contact's user at the identity provider. Written by the connector; do not edit.",
    )  # fmt: skip


def _property(rule: Field) -> NewProperty:
    kind, field_type = PORTAL_TYPES[rule.type]
    options = {option: option for option in rule.values.values()}
    if kind == "bool":
        options = {"true": "Yes", "false": "No"}
    label = rule.contact.replace("_", " ").capitalize()
    return NewProperty(rule.contact, label, kind, field_type, GROUP, options)
