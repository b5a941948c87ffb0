"""Whether a portal has what the mappings need: one finding for each thing that is wrong, with its line and the way out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum

from connector.crm.base import Access, EventType, NewProperty, Property
from connector.errors import ConfigError, Denied, Paused, Permanent
from connector.mapping.model import Field, FieldType
from connector.mapping.model import Mapping as FieldMapping
from connector.settings import Settings
from connector.sync import demands
from connector.sync.demands import EventNeed, PropertyNeed, ScopeNeed, SubscriptionNeed
from connector.sync.work import Work

ENUMERATION = "enumeration"
MANY = "checkbox"

READABLE = {
    FieldType.EMAIL: {"string"},
    FieldType.PHONE: {"string", "phone_number"},
    FieldType.NUMBER: {"number", "string"},
    FieldType.BOOL: {"bool", ENUMERATION, "string"},
    FieldType.DATE: {"date", "string"},
    FieldType.DATETIME: {"datetime", "string"},
    FieldType.CHOICE: {ENUMERATION, "string"},
    FieldType.SET: {ENUMERATION, "string"},
}
"""Portal types that a mapping's type can be written to; any other pair loses something."""

OF_TEXT = {
    ENUMERATION: "a list of options", "number": "a number", "bool": "a yes or no", "date": "a date",
    "datetime": "a date with time",
}  # fmt: skip
"""Portal types that take some texts only, in words."""

APPLY = "create it with: connector setup --apply"
ADD_OPTIONS = "connector setup --apply --add-options"
ADD_OPTION = f"add it there, or with: {ADD_OPTIONS}"


class Grade(IntEnum):
    """NOTE: good to know. BORNE: wrong, but concerns single values, so the connector starts. WRONG: it does not start."""

    NOTE = 0
    BORNE = 1
    WRONG = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the portal. where: file:line:column of what asks for it. what: the property, consent or other part."""

    where: str
    what: str
    wrong: str
    way_out: str
    grade: Grade = Grade.WRONG

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.wrong}; {self.way_out}"


def require_account(settings: Settings, work: Work) -> None:
    """Raises ConfigError, with the place of the setting, when the token belongs to another portal, or HubSpot refuses it."""
    try:
        work.crm.check_portal()
    except ConfigError as error:
        raise ConfigError([settings.placed(one) for one in error.findings]) from None
    except Paused as error:
        raise type(error)(settings.placed(str(error)), error.retry_in) from None


def require_fit(work: Work) -> list[Finding]:
    """For start-up. Raises ConfigError with all that must be mended before; returns what is wrong and can be borne.

    Raises Transient while the portal cannot be asked.
    """
    found = examine(work, list(work.mappings), work.crm.access())
    wrong = [str(one) for one in found if one.grade is Grade.WRONG]
    if wrong:
        raise ConfigError(wrong)
    return [one for one in found if one.grade is Grade.BORNE]


def examine(work: Work, names: Sequence[str], access: Access) -> list[Finding]:
    """Compare the portal with these providers' mappings. Raises Transient while it cannot be asked."""
    mappings = {name: work.mappings[name] for name in names}
    found = [*_properties(work, mappings), *_subscriptions(work, mappings, access)]
    for need in demands.events(mappings):
        found += _event(work, need, access)
    found += _scopes(mappings, access)
    return sorted(dict.fromkeys(found), key=lambda one: _place(one.where))


def _place(where: str) -> tuple[str, int, int]:
    file, line, column = where.rsplit(":", 2)
    return file, int(line), int(column)


def _scopes(mappings: Mapping[str, FieldMapping], access: Access) -> Iterator[Finding]:
    """Scopes that HubSpot says are not there, and whose lack shows nowhere else."""
    closed = {"custom_object": not access.custom_objects, "custom_event": not access.custom_events}
    closed["subscriptions"] = access.subscriptions == "none"
    for need in missing_scopes(demands.scopes(mappings), access):
        if not need.asked and not closed.get(need.part):
            yield Finding(need.where, need.what, f"the token lacks the scope {need.any_of[0]}", _grant([need.any_of[0]]))


def missing_scopes(needs: Sequence[ScopeNeed], access: Access) -> list[ScopeNeed]:
    """Those that are not granted, as far as the CRM tells."""
    granted = access.scopes
    return [] if granted is None else [one for one in needs if granted.isdisjoint(one.any_of)]


def _grant(scopes: Sequence[str]) -> str:
    return f"grant it {', '.join(scopes)} in the app's settings"


# properties


def _properties(work: Work, mappings: Mapping[str, FieldMapping]) -> Iterator[Finding]:
    try:
        portal = known_properties(work, [*map(work.id_property, mappings), *_named(mappings)])
    except Denied:
        yield from map(closed, mappings.values())
        return
    for name, mapping in mappings.items():
        yield from id_property(work, name, portal)
        for need in demands.properties(mapping):
            yield from _property(need, portal)


def _named(mappings: Mapping[str, FieldMapping]) -> Iterator[str]:
    return (need.rule.contact for mapping in mappings.values() for need in demands.properties(mapping))


def known_properties(work: Work, names: Iterable[str]) -> dict[str, Property]:
    """The portal's properties, and of these names those that it does not list: archived and sensitive ones. Raises Denied."""
    portal = work.crm.properties()
    unlisted = (work.crm.find_property(name) for name in dict.fromkeys(names) if name not in portal)
    return portal | {one.name: one for one in unlisted if one is not None}


def closed(mapping: FieldMapping) -> Finding:
    """That nothing can be said of the properties a mapping names."""
    wrong = "the token may not read how they are defined"
    return Finding(demands.place(mapping, mapping.fields[0]), "properties", wrong, _grant(["crm.schemas.contacts.read"]))


def id_property(work: Work, provider: str, portal: Mapping[str, Property]) -> Iterator[Finding]:
    """What is wrong with the property that carries the ids of a provider's users."""
    name, where = work.id_property(provider), demands.place(work.mappings[provider])
    known = portal.get(name)
    if known is None:
        yield Finding(where, name, "the portal has no such property", APPLY)
    elif problem := useless(known, unique=True):
        yield Finding(where, name, *problem)
    elif not known.unique:
        yield Finding(where, name, "exists in the portal but is not unique", "archive or rename it there, then " + APPLY)
    elif known.read_only:
        yield Finding(where, name, "is read-only in the portal", "archive or rename it there, then " + APPLY)


def useless(known: Property, unique: bool) -> tuple[str, str] | None:
    """Why a property that has the name can never be used, and the way out. unique: it is the one for user ids."""
    another = _another(unique)
    if known.archived:
        return "is archived in the portal", f"restore it in HubSpot's settings, or {another}"
    if known.sensitive:
        return "is a sensitive property in the portal, and those are left alone", another
    return None


def unfit(new: NewProperty, known: Property | None) -> str | None:
    """Why a property that the portal did not make, since there is one, cannot stand in for it, and the way out."""
    if known is None:
        wrong = "the portal says that the name is taken, and shows the token no such property (a sensitive one?)"
        return f"{wrong}; {_another(new.unique)}"
    if problem := useless(known, new.unique):
        return "; ".join(problem)
    if known.type != new.type or (new.unique and not known.unique):
        return "somebody made it meanwhile, and otherwise; look at it with: connector check --live"
    return None


def _another(unique: bool) -> str:
    return "give the provider another name in the configuration" if unique else "name another property"


def _property(need: PropertyNeed, portal: Mapping[str, Property]) -> Iterator[Finding]:
    rule, name = need.rule, need.rule.contact
    known = portal.get(name)
    if known is None:
        near = get_close_matches(name, portal, 1, 0.8)
        way_out = f"did you mean {near[0]}? If not, {APPLY}" if near else f"{APPLY}, or correct the name"
        yield Finding(need.where, name, "the portal has no such property", way_out)
        return
    if problem := useless(known, unique=False):
        yield Finding(need.where, name, *problem)
        return
    if need.writes and known.read_only:
        wrong = "is calculated by the portal" if known.calculated else "is read-only in the portal"
        way_out = "set direction: to_user, or name another property" if need.from_fields else "name another property"
        yield Finding(need.where, name, wrong, way_out)
    if problem := _type_problem(need, known):
        yield Finding(need.where, name, *problem)
    elif missing := missing_options(rule, known):
        yield Finding(need.where, name, _no_option(missing), ADD_OPTION, Grade.BORNE)
    elif need.writes and (odd := _odd_type(need, known)):
        yield Finding(need.where, name, *odd, Grade.NOTE)


def missing_options(rule: Field, known: Property) -> list[str]:
    """The options that a rule names and an enumeration does not have."""
    if known.type != ENUMERATION or rule.type not in (FieldType.CHOICE, FieldType.SET):
        return []
    return [option for option in dict.fromkeys(rule.values.values()) if option not in known.options]


def lacking(mapping: FieldMapping, rule: Field, options: Sequence[str]) -> str:
    """That these options cannot be written, with the line that names them. `setup` adds those of `values` only."""
    where = demands.place(mapping, rule, "values", "contact")
    return f"{_no_option(options)} of {rule.contact} ({where}); {ADD_OPTION if rule.values else 'add it there'}"


def _no_option(options: Sequence[str]) -> str:
    return f"the portal has no option {', '.join(map(repr, options))}"


def _type_problem(need: PropertyNeed, known: Property) -> tuple[str, str] | None:
    """What is wrong with the portal's type for a rule, and the way out."""
    rule = need.rule
    another = "change type, or name another property" if need.from_fields else "name another property"
    if known.type not in READABLE.get(rule.type, {known.type}):
        return f"is of type {known.type} in the portal, which cannot hold a {rule.type.value}", another
    if rule.type is FieldType.BOOL and known.type == "string" and not need.from_fields:
        return "is a text in the portal, and has to be a yes or no there", another
    if known.type != ENUMERATION or not need.writes:
        return None
    if rule.type is FieldType.SET and known.field_type != MANY:
        return f"takes one option only in the portal ({known.field_type}), which cannot hold a set", another
    if rule.type is FieldType.BOOL and not {"true", "false"} <= known.options.keys():
        return "has other options in the portal than true and false, which cannot hold a bool", another
    return None


def _odd_type(need: PropertyNeed, known: Property) -> tuple[str, str] | None:
    """What is worth a word of the portal's type for a rule that is written to it, and the way out."""
    kind = need.rule.type
    if kind is FieldType.SET and known.type != ENUMERATION:
        wrong = "is a text in HubSpot, where several options become one text, with ; between"
        return wrong, "name a property of several options (multiple checkboxes)"
    if kind is not FieldType.TEXT or known.type not in OF_TEXT:
        return None
    wrong = f"is {OF_TEXT[known.type]} in HubSpot, which refuses any other text, and the mapping sends it text"
    if known.type == ENUMERATION:
        return (
            wrong,
            "write type: choice for this field: then a value that is no option is held, and told, and nothing is refused",
        )
    return wrong, f"write type: {known.type} for this field, or name another property"


# subscriptions


def _subscriptions(work: Work, mappings: Mapping[str, FieldMapping], access: Access) -> Iterator[Finding]:
    needs = [need for mapping in mappings.values() for need in demands.subscriptions(mapping)]
    if not needs:
        return
    types, untold = _subscription_types(work, access)
    for mapping in mappings.values():
        first: dict[str, str] = {}
        for need in demands.subscriptions(mapping):
            if problem := untold or _type(need, types, first):
                yield Finding(need.where, need.consent.consent, *problem)
    if not untold and access.subscriptions in MODES:
        yield Finding(needs[0].where, "subscriptions", *MODES[access.subscriptions], Grade.NOTE)


MODES = {
    "single_writes": (
        f"statuses are read a hundred addresses a call, and written one a call: the token lacks {demands.BATCH_SCOPES[1]}",
        "grant it that scope in the app's settings",
    ),
    "single": (
        "statuses are read and written one address a call",
        f"for a hundred a call grant the token {' and '.join(demands.BATCH_SCOPES)} (Marketing Hub Enterprise)",
    ),
    "v3": (
        "statuses come without times, and an opt-out cannot be taken back",
        "version 4 of HubSpot's subscriptions needs Marketing Hub Starter or more",
    ),
}
"""What a way of reading statuses means that is not the best."""


def _subscription_types(work: Work, access: Access) -> tuple[dict[str, str], tuple[str, str] | None]:
    """The portal's, or why they cannot be had and the way out."""
    scopes = "communication_preferences.read and communication_preferences.write"
    instead = "leave `subscription` out: `property` is the only way then"
    closed = "subscriptions are closed to the token", f"grant it {scopes} in the app's settings, or {instead}"
    try:
        types = work.crm.subscription_types()
    except Denied:
        return {}, closed
    except Permanent as error:
        return {}, (f"the portal does not list its subscription types ({error})", f"ask HubSpot's support why, or {instead}")
    return types, closed if access.subscriptions == "none" else None


def _type(need: SubscriptionNeed, types: Mapping[str, str], first: dict[str, str]) -> tuple[str, str] | None:
    """What is wrong with the name or id of a subscription type, and the way out. first: type -> the consent that has it."""
    wanted = (need.consent.subscription or "").strip()
    named = [one for one, name in types.items() if name.strip().casefold() == wanted.casefold()]
    if wanted in types or len(named) == 1:
        found = wanted if wanted in types else named[0]
        other = first.setdefault(found, need.consent.consent)
        same = f"subscription type {types[found]} ({found}) is that of consent {other}, too", "give each its own"
        return same if other != need.consent.consent else None
    if named:
        return f"several subscription types are called '{wanted}'", f"give the id: {', '.join(sorted(named))}"
    near = get_close_matches(wanted.casefold(), [name.casefold() for name in types.values()], 1, 0.6)
    guess = next((name for name in types.values() if near and name.casefold() == near[0]), None)
    there = ", ".join(f"{name} ({one})" for one, name in types.items()) or "none"
    mean = f"did you mean {guess}? " if guess else ""
    return f"the portal has no subscription type '{wanted}'", f"{mean}there is {there}"


# identity events


def _event(work: Work, need: EventNeed, access: Access) -> Iterator[Finding]:
    try:
        problem = event_closed(need, access) or event_problem(need, work.crm.event_schema(need.schema))
    except Denied as error:
        problem = Finding(need.where, need.what, "is closed to the token", str(error))
    if problem:
        yield problem


def event_problem(need: EventNeed, there: EventType | None) -> Finding | None:
    """What is wrong with an object or event as the portal has it; None: there is no such."""
    kind = demands.KINDS[need.schema.kind]
    if there is None:
        return Finding(need.where, need.what, f"the portal has no such {kind}", APPLY)
    another = "name another under events.object"
    if there.archived:
        return Finding(need.where, need.what, "is archived in the portal", f"restore it there, or {another}")
    if lacks := [name for name in need.properties if name not in there.properties]:
        by_hand = need.schema.kind == "custom_object"
        way_out = f"add them in HubSpot, or {another}" if by_hand else "add them with: connector setup --apply"
        return Finding(need.where, need.what, f"lacks the properties {', '.join(lacks)}", way_out)
    if need.schema.kind == "custom_object" and (misfits := ", ".join(_misfits(need, there.properties))):
        return Finding(need.where, need.what, f"cannot hold events: {misfits}", f"make them anew in HubSpot, or {another}")
    if not there.joined:
        wrong = "has no association with contacts, so that no record may be anybody's"
        return Finding(need.where, need.what, wrong, f"add one in HubSpot, or {another}", Grade.NOTE)
    return None


def _misfits(need: EventNeed, there: Mapping[str, Property]) -> Iterator[str]:
    """What is wrong with the properties of an object, as far as the portal tells."""
    for name in need.properties:
        known, wanted = there[name], ("datetime", "string") if name == "occurred_at" else ("string",)
        options = need.options.get(name)
        chosen = options and known.type == ENUMERATION and known.options.keys() >= set(options)
        if known.type and known.type not in wanted and not chosen:
            lacking = f" without our options {', '.join(options)}" if options and known.type == ENUMERATION else ""
            yield f"{name} is of type {known.type}{lacking}, not {wanted[0]}"
        if name == "event_id" and not known.unique:
            yield f"{name} does not have unique values"


def event_closed(need: EventNeed, access: Access) -> Finding | None:
    """That an account has no custom objects or events for us: the tier or the scopes, as far as is told."""
    kind = demands.KINDS[need.schema.kind]
    if access.custom_objects if need.schema.kind == "custom_object" else access.custom_events:
        return None
    (seen, _), *others = demands.EVENTS[need.schema.kind]
    scopes = [seen[0], *(any_of[0] for any_of, _ in others)]
    lacking = [one for one in scopes if access.scopes is not None and one not in access.scopes]
    what, instead = f"events.as: {need.schema.kind}", "or set events.as: note or none"
    if seen[0] in lacking:
        return Finding(need.kind_where, what, f"{kind}s are closed to the token", f"{_grant(lacking)}, {instead}")
    wanted = lacking if access.scopes is not None else scopes
    also = f" and the scopes {', '.join(wanted)}" if wanted else ""
    return Finding(need.kind_where, what, f"the account has no {kind}s", f"they take an Enterprise account{also}; {instead}")
