"""What the mappings need of a portal, each with the line that asks for it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from connector.crm.base import EventSchema, event_property
from connector.engine.readings import ADDITIONAL
from connector.mapping.model import COMMUNICABLE, CONSENT, TYPOLOGIES, Consent, Field, Part
from connector.mapping.model import Mapping as FieldMapping

OBJECT_PROPERTIES = ("event_id", "kind", "occurred_at", "provider", "entry_point", "user_id", "details")
"""Of the custom object that stands for an event; `event_id` is unique, `occurred_at` a time, the others are texts."""

EVENT_PROPERTIES = ("kind", "provider", "entry_point", "user_id")
"""Of the custom event; the mapping's details come on top, one by one."""

KINDS = {"custom_object": "custom object", "custom_event": "custom event"}


@dataclass(frozen=True, slots=True)
class PropertyNeed:
    """A contact property. rule: how the mapping reads it. writes: whether the mapping changes it, too."""

    where: str
    rule: Field
    writes: bool

    @property
    def from_fields(self) -> bool:
        """Whether an entry of `fields` asks for it, which has a type and a direction of its own."""
        return self.rule.user not in (TYPOLOGIES, COMMUNICABLE) and not self.rule.user.startswith(CONSENT)


@dataclass(frozen=True, slots=True)
class SubscriptionNeed:
    """A subscription type."""

    where: str
    consent: Consent


@dataclass(frozen=True, slots=True)
class EventNeed:
    """The custom object or custom event that stands for identity events. details: what the mapping takes along. options: all
    that a property will ever hold, where that is known.

    where: where it is named. kind_where: where it says that it is an object, or an event.
    """

    where: str
    kind_where: str
    schema: EventSchema
    details: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]

    @property
    def what(self) -> str:
        """For people."""
        return f"{KINDS[self.schema.kind]} {self.schema.name}"

    @property
    def properties(self) -> tuple[str, ...]:
        """Names it must have."""
        if self.schema.kind == "custom_object":
            return OBJECT_PROPERTIES
        return tuple(dict.fromkeys([*EVENT_PROPERTIES, *map(event_property, self.details)]))


@dataclass(frozen=True, slots=True)
class ScopeNeed:
    """A scope of the token, or another one that includes it, for a part of HubSpot: contacts, subscriptions or a kind of event.

    asked: whether asking HubSpot shows if it is there.
    """

    where: str
    what: str
    part: str
    any_of: tuple[str, ...]
    asked: bool = False


CONTACTS = (
    (("crm.objects.contacts.read",), False),
    (("crm.objects.contacts.write",), False),
    (("crm.schemas.contacts.read",), True),
)
SUBSCRIPTIONS = (
    (("communication_preferences.read", "communication_preferences.read_write"), True),
    (("communication_preferences.write", "communication_preferences.read_write"), False),
)
EVENTS = {
    "custom_object": (
        (("crm.schemas.custom.read",), True),
        (("crm.objects.custom.read",), False),
        (("crm.objects.custom.write",), False),
    ),
    "custom_event": (
        (("behavioral_events.event_definitions.read_write",), True),
        (("analytics.behavioral_events.send",), False),
    ),
}
"""Scopes, and whether asking shows if they are there."""

BATCH_SCOPES = ("communication_preferences.statuses.batch.read", "communication_preferences.statuses.batch.write")
SETUP_SCOPES = {"contacts": "crm.schemas.contacts.write", "custom_object": "crm.schemas.custom.write"}
"""Needed by `setup --apply` only."""


def place(mapping: FieldMapping, part: Part | None = None, *keys: str) -> str:
    """file:line:column of what stands under the first of these keys that a part has; without a part, of the whole mapping."""
    return mapping.where(part, *keys)


def properties(mapping: FieldMapping) -> Iterator[PropertyNeed]:
    """Every property that the mapping names, in its order; one is named once for each use."""
    consents = {CONSENT + one.consent: one for one in mapping.consents}
    for rule in mapping.rules:
        if rule.contact != ADDITIONAL:
            direction = consents[rule.user].direction if rule.user in consents else rule.direction
            key = "property" if rule.user in consents else "contact"
            yield PropertyNeed(place(mapping, rule, key), rule, direction.writes_contact)


def subscriptions(mapping: FieldMapping) -> Iterator[SubscriptionNeed]:
    """Every subscription type that the mapping names."""
    return (SubscriptionNeed(place(mapping, one, "subscription"), one) for one in mapping.consents if one.subscription)


def events(mappings: Mapping[str, FieldMapping]) -> list[EventNeed]:
    """The objects and events that identity events need; of several mappings that name the same, the first asks for all."""
    found: dict[EventSchema, EventNeed] = {}
    for provider, mapping in mappings.items():
        if mapping.events.as_ in KINDS:
            schema = EventSchema(mapping.events.as_, mapping.events.object)
            where, kind_where = place(mapping, mapping.events, "object", "as"), place(mapping, mapping.events, "as")
            known = found.get(schema) or EventNeed(where, kind_where, schema, (), {})
            details = tuple(dict.fromkeys([*known.details, *mapping.events.details]))
            told = {"kind": mapping.events.types, "provider": (provider,)}
            options = {name: tuple(dict.fromkeys([*known.options.get(name, ()), *some])) for name, some in told.items()}
            found[schema] = replace(known, details=details, options=options)
    return list(found.values())


def scopes(mappings: Mapping[str, FieldMapping]) -> list[ScopeNeed]:
    """The scopes that the mappings need; each is asked for by the first line that needs it."""
    found: dict[tuple[str, ...], ScopeNeed] = {}
    for mapping in mappings.values():
        for need in _scopes(mapping):
            found.setdefault(need.any_of, need)
    return list(found.values())


def _scopes(mapping: FieldMapping) -> Iterator[ScopeNeed]:
    where = place(mapping, mapping.fields[0])
    yield from (ScopeNeed(where, "contacts", "contacts", *one) for one in CONTACTS)
    for need in subscriptions(mapping):
        yield from (ScopeNeed(need.where, need.consent.consent, "subscriptions", *one) for one in SUBSCRIPTIONS)
    kind, where = mapping.events.as_, place(mapping, mapping.events, "as")
    yield from (ScopeNeed(where, f"events.as: {kind}", kind, *one) for one in EVENTS.get(kind, ()))
