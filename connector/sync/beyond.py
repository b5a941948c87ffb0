"""What a mapping asks of its provider, against what the provider, as configured, can do.

Who asks for it in so many words is refused; what only a default asks for goes one way, with a warning. So does whatever says
`both` of a provider that only tells.
"""

from collections.abc import Iterable, Iterator

from connector.engine.typologies import name_of
from connector.mapping.model import CONSENT, TYPOLOGIES, Consent, Field, Mapping, Typologies
from connector.providers import base
from connector.providers.base import Provider

Part = Field | Consent | Typologies
Asked = tuple[Part, str, str]
"""A part of the mapping that shall reach the user and cannot, its name, and why."""


def refused(provider: Provider, mapping: Mapping) -> list[str]:
    """What nothing can come of, a line each."""
    can = provider.capabilities
    found = []
    for key, asked, capability, able, what in (
        ("contact_created", "create_user", "create", can.create, "create users"),
        ("contact_deleted", "delete_user", "delete", can.delete, "delete users"),
    ):
        if getattr(mapping.lifecycle, key) == asked and not able:
            where, hint = mapping.where(mapping.lifecycle, key), _hint(provider, capability)
            found.append(f"{where}: lifecycle.{key}: {asked}, but {provider.name} cannot {what}{hint}")
    for part, name, why in _asked(provider, mapping):
        if _in_so_many_words(provider, mapping, part):
            where, way_out = mapping.where(part, "direction"), "write direction: to_contact, or leave it out"
            found.append(f"{where}: {name}: direction: {part.direction}, but {provider.name} {why}; {way_out}")
    return found


def reserved(mapping: Mapping, own: str, others: Iterable[str]) -> list[str]:
    """Entries for properties that carry users' ids, a line each. Another provider's may be read.

    own: the property of the mapping's provider. others: those of the others.
    """
    found = []
    for rule in mapping.rules:
        key = "property" if rule.user.startswith(CONSENT) else "contact"
        where, name = mapping.where(rule, key), ".".join(map(str, (*rule.loc, key)))
        if rule.contact == own:
            way_out = "leave it out" if rule in mapping.fields else "name another property"
            found.append(f"{where}: {name}: {own} carries the user's id, the connector writes it itself; {way_out}")
        elif rule.contact in others and rule.direction.writes_contact:
            what = f"{rule.contact} carries the ids of another provider's users, the connector writes it itself"
            found.append(f"{where}: {name}: {what}; name another property")
    return found


def warned(provider: Provider, mapping: Mapping) -> list[str]:
    """What goes one way although the defaults say both, a line each."""
    return [
        f"{mapping.where(part, 'direction')}: {name}: direction both, but {provider.name} {why}: "
        "edits in HubSpot stay there; write to_contact"
        for part, name, why in _asked(provider, mapping)
        if not _in_so_many_words(provider, mapping, part)
    ]


def unwritable(provider: Provider, mapping: Mapping) -> frozenset[str]:
    """The user fields of a mapping, its consents as `consent.<name>` and memberships as `typologies.<key>`, that the provider can
    never write.
    """
    fields = {one.user for one in mapping.fields if base.unwritable(provider, one.user)}
    consents = {CONSENT + one.consent for one in mapping.consents if base.unwritable_consent(provider, one.consent)}
    keys = mapping.typologies.values if mapping.typologies else ()
    memberships = {name_of(key) for key in keys if base.unwritable_membership(provider, key)}
    return frozenset(fields | consents | memberships)


def _asked(provider: Provider, mapping: Mapping) -> Iterator[Asked]:
    can = provider.capabilities
    for field in mapping.fields:
        if field.direction.writes_user and (why := _why(provider, can.update, "update", base.unwritable(provider, field.user))):
            yield field, field.user, why
    for consent in mapping.consents:
        told = base.unwritable_consent(provider, consent.consent)
        if consent.subscription and consent.direction.writes_user and (why := _why(provider, can.consent, "consent", told)):
            yield consent, f"consent {consent.consent}", why
    if mapping.typologies and mapping.typologies.both:
        yield from _memberships(provider, mapping.typologies)


def _memberships(provider: Provider, given: Typologies) -> Iterator[Asked]:
    if why := _why(provider, provider.capabilities.membership, "membership", None):
        yield given, TYPOLOGIES, why
        return
    for key in given.values:
        if told := base.unwritable_membership(provider, key):
            yield given, name_of(key), f"cannot give it: {told}"


def _why(provider: Provider, able: bool, capability: str, told: str | None) -> str | None:
    """Why something cannot be written; None when it can."""
    if not able:
        return f"takes no {capability}s{_hint(provider, capability)}"
    return f"cannot write it: {told}" if told else None


def _in_so_many_words(provider: Provider, mapping: Mapping, part: Part) -> bool:
    tells_only = not (provider.capabilities.update or provider.capabilities.consent)
    return part.direction == "to_user" or (mapping.says(part, "direction") and not tells_only)


def _hint(provider: Provider, capability: str) -> str:
    setting = base.missing_setting(provider, capability)
    return f" ({setting}?)" if setting else ""
