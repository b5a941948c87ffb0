"""What the mappings need and a portal lacks, and making it. What exists is never changed, except for missing options."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.crm.base import NewProperty, Property
from connector.errors import ConfigError, Denied, Exists, Rejected
from connector.mapping.model import Field, FieldType
from connector.sync import demands
from connector.sync.demands import EventNeed
from connector.sync.options import ASKED
from connector.sync.portal import (
    Grade,
    closed,
    event_closed,
    event_problem,
    id_property,
    known_properties,
    missing_options,
    unfit,
)
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


@dataclass(frozen=True, slots=True)
class Lack:
    """A property the portal lacks. where: the mapping line that asks for it."""

    property: NewProperty
    where: str


@dataclass(frozen=True, slots=True)
class OptionLack:
    """Options, by internal value, that a property lacks."""

    property: str
    options: tuple[str, ...]
    where: str


@dataclass
class Lacks:
    """What a portal lacks, or what was made of it. schemas: objects and events. refused: what we cannot mend, in words.

    exists: names of what somebody else made meanwhile.
    """

    properties: list[Lack] = field(default_factory=list)
    schemas: list[EventNeed] = field(default_factory=list)
    options: list[OptionLack] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    exists: list[str] = field(default_factory=list)


def missing(work: Work) -> Lacks:
    """Compare the portal with the mappings. Raises Transient while it cannot be asked."""
    lacks = Lacks()
    try:
        portal = work.crm.properties()
    except Denied:
        lacks.refused += [str(closed(mapping)) for mapping in work.mappings.values()]
    else:
        lacks.properties = [*_id_properties(work, portal), *_properties(work, portal)]
        lacks.options = _options(work, portal)
        lacks.refused += [str(one) for name in work.mappings for one in id_property(work, name, portal) if one.what in portal]
    for need in demands.events(work.mappings):
        _event(work, need, lacks)
    return lacks


def make(work: Work, lacks: Lacks, add_options: bool = False) -> Lacks:
    """Make what is missing, the group first; what the portal refuses holds up nothing else. Returns what was made.

    Raises Transient while the portal cannot be asked.
    """
    crm, made = work.crm, Lacks(refused=list(lacks.refused))
    if _group(work, made, lacks.properties):
        made.properties = [
            one for one in lacks.properties if _done(made, one.where, one.property.name, _create, work, one.property)
        ]
    made.schemas = [
        one for one in lacks.schemas if _done(made, one.where, one.what, crm.create_event_schema, one.schema, one.details)
    ]
    if add_options:
        made.options = [
            one
            for one in lacks.options
            if _done(made, one.where, one.property, crm.add_options, one.property, {option: option for option in one.options})
        ]
        with work.store.write() as tx:
            tx.cursors.set(ASKED)
    return made


def require_id_properties(work: Work) -> None:
    """Raises ConfigError unless each provider's unique id property is there, and is unique."""
    portal = known_properties(work, map(work.id_property, work.mappings))
    if findings := [str(one) for name in work.mappings for one in id_property(work, name, portal)]:
        raise ConfigError(findings)


def _group(work: Work, made: Lacks, wanted: Sequence[Lack]) -> bool:
    """Make the group that properties go into; False when there is nothing to put into it, or the portal refuses it."""
    if not wanted:
        return False
    try:
        work.crm.create_group(GROUP, GROUP_LABEL)
    except (Denied, Rejected) as error:
        without = ", ".join(one.property.name for one in wanted)
        made.refused.append(f"{wanted[0].where}: {error}; without the group there can be no {without}")
        return False
    return True


def _done(made: Lacks, where: str, what: str, make_it: Callable[..., None], *given: object) -> bool:
    """Make one thing; False when it is there already, or the portal refuses it, which is noted with the reason."""
    try:
        make_it(*given)
    except Exists:
        made.exists.append(what)
        return False
    except (Denied, Rejected) as error:
        made.refused.append(f"{where}: {what}: {error}")
        return False
    return True


def _create(work: Work, new: NewProperty) -> None:
    """Raises Exists when somebody made the same meanwhile, Rejected when its name is taken by what cannot be used."""
    try:
        work.crm.create_property(new)
    except Exists:
        if problem := unfit(new, work.crm.find_property(new.name)):
            raise Rejected(problem) from None
        raise


def _event(work: Work, need: EventNeed, lacks: Lacks) -> None:
    """An object or event that is not there, or an event that lacks properties. Properties of an object are not ours to add."""
    try:
        there = work.crm.event_schema(need.schema)
    except Denied as error:
        lacks.refused.append(str(event_closed(need, work.crm.access()) or f"{need.where}: {need.what}: {error}"))
        return
    problem = event_problem(need, there)
    if problem and problem.grade is Grade.NOTE:
        return
    if problem and there is not None and need.schema.kind == "custom_object":
        lacks.refused.append(str(problem))
    elif problem:
        lacks.schemas.append(need)


def _id_properties(work: Work, portal: Mapping[str, Property]) -> Iterator[Lack]:
    for provider, mapping in work.mappings.items():
        name = work.id_property(provider)
        if name not in portal:
            new = NewProperty(
                name, f"User id ({provider})", "string", "text", GROUP, unique=True,
                description="The id of this contact's user at the identity provider. Written by the connector; do not edit.",
            )  # fmt: skip
            yield Lack(new, demands.place(mapping))


def _properties(work: Work, portal: Mapping[str, Property]) -> list[Lack]:
    """Each property once, with the options of all mappings that name it; else as the first of them says."""
    found: dict[str, Lack] = {}
    for mapping in work.mappings.values():
        for need in demands.properties(mapping):
            name, new = need.rule.contact, _property(need.rule)
            if name not in portal:
                known = found.get(name) or Lack(new, need.where)
                options = {**known.property.options, **(new.options if new.type == known.property.type else {})}
                found[name] = replace(known, property=replace(known.property, options=options))
    return list(found.values())


def _property(rule: Field) -> NewProperty:
    kind, field_type = PORTAL_TYPES[rule.type]
    options = {option: option for option in rule.values.values()}
    if kind == "bool":
        options = {"true": "Yes", "false": "No"}
    label = rule.contact.replace("_", " ").capitalize()
    return NewProperty(rule.contact, label, kind, field_type, GROUP, options)


def _options(work: Work, portal: Mapping[str, Property]) -> list[OptionLack]:
    """What properties that exist lack in options, of all mappings together."""
    found: dict[str, OptionLack] = {}
    for mapping in work.mappings.values():
        for need in demands.properties(mapping):
            name = need.rule.contact
            lacking = missing_options(need.rule, portal[name]) if name in portal else []
            if lacking:
                known = found.get(name) or OptionLack(name, (), need.where)
                found[name] = replace(known, options=tuple(dict.fromkeys([*known.options, *lacking])))
    return list(found.values())
