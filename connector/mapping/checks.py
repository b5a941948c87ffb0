"""What a mapping must not say, although every word of it is known: one function per kind of mistake.

Each finding tells the way out. Nothing here knows a portal: what a portal lacks is found by `connector check --live`.
"""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Names
from typing import TYPE_CHECKING

import phonenumbers

from connector.model import USER_FIELDS, USER_KINDS
from connector.yamlwords import Finding, Loc, did_you_mean

if TYPE_CHECKING:
    from connector.mapping.model import Field, Mapping

CUSTOM_FIELD = r"custom\.[A-Za-z0-9_][A-Za-z0-9_.-]*"
FROM_PROVIDER_ONLY = ("id", "created_at", "updated_at", "last_login_at")
"""User fields that only the provider sets."""

TYPES = {
    "id": ("text", "number"),
    "email": ("email", "text"),
    "email_verified": ("bool", "text"),
    "phone": ("phone", "text"),
    "birth_date": ("date", "text"),
    "created_at": ("datetime", "date", "text"),
    "updated_at": ("datetime", "date", "text"),
    "last_login_at": ("datetime", "date", "text"),
    "first_name": ("text",),
    "last_name": ("text",),
    "locale": ("text", "choice"),
    "country": ("text", "choice"),
}
"""How each user field may be read; a provider's own field may be anything."""

READ_ONLY = re.compile(
    r"hs_object_id|(hs_)?createdate|(hs_)?lastmodifieddate|hs_additional_emails|hs_merged_object_ids|hs_calculated_merged_vids"
    r"|hs_object_source\w*|hs_(created|updated)_by_user_id|hs_email_domain|hs_email_optout\w*"
)
"""Contact properties that HubSpot keeps by itself."""


def user_field(name: str) -> str:
    """A name of the shared vocabulary, or custom.<name>. Raises ValueError."""
    if name in USER_FIELDS or re.fullmatch(CUSTOM_FIELD, name):
        return name
    if name.startswith("custom"):
        raise ValueError(f"'{name}' is no name for a provider's own field: write custom.<name>, with letters, digits, _ - and .")
    guess = did_you_mean(name, USER_FIELDS) or f"; allowed: {', '.join(USER_FIELDS)}"
    raise ValueError(f"unknown user field '{name}'{guess}; a provider's own field is custom.<name>")


def event_kind(name: str) -> str:
    """A kind of identity event. Raises ValueError."""
    if name in USER_KINDS:
        return name
    raise ValueError(f"expected one of {', '.join(USER_KINDS)}, found '{name}'{did_you_mean(name, USER_KINDS)}")


def property_name(name: str) -> str:
    """An internal property name as the CRM writes them. Raises ValueError."""
    if re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
    guess = f"; did you mean {plain}?" if re.fullmatch(r"[a-z][a-z0-9_]*", plain) else ""
    raise ValueError(f"'{name}' is no internal property name: a letter, then lower-case letters, digits and _{guess}")


def object_name(name: str) -> str:
    """The name of a custom object or custom event. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(f"'{name}' is no name for an object or event: a letter, then letters, digits, _ and -")
    return name


def field(entry: "Field") -> Iterator[Finding]:
    """What one field says against itself, whatever the defaults are."""
    type_, user = entry.type, entry.user
    allowed = TYPES.get(user)
    if allowed and type_ not in allowed:
        yield Finding(("type",), f"{user} cannot be read as {type_}: use {' or '.join(allowed)}")
    if entry.contact == "email" and type_ != "email":
        yield Finding(("type",), f"the contact's email takes type email, not {type_}")
    if entry.values and type_ not in ("choice", "set"):
        yield Finding(("values",), f"values belong to type choice or set, not {type_}: set the type, or leave values out")
    if type_ == "set":
        yield from single_options(entry.values)
    if entry.transform and type_ not in ("text", "phone", "email"):
        yield Finding(("transform",), f"a transform works on text, phone or email, not on {type_}: leave it out")
    elif "e164" in entry.transform and type_ == "email":
        yield Finding(("transform",), "e164 is for phone numbers: leave it out")
    if entry.region is not None:
        yield from _region(entry)
    if "on_withdrawal" in entry.model_fields_set and entry.purpose is None:
        yield Finding(("on_withdrawal",), "needs the consent it is about: add purpose", on_key=True)


def single_options(values: Names[str, str]) -> Iterator[Finding]:
    """Where a property takes several options, ; stands between them."""
    for value, option in values.items():
        if ";" in option:
            yield Finding(("values", value), f"HubSpot reads '{option}' as several options: name one, without ;")


def _region(entry: "Field") -> Iterator[Finding]:
    if entry.region not in phonenumbers.SUPPORTED_REGIONS:
        yield Finding(("region",), f"expected a country's ISO code such as ES, found '{entry.region}'")
    if entry.type != "phone" and "e164" not in entry.transform:
        yield Finding(("region",), "region is only used with type: phone or transform: e164: leave it out", on_key=True)


def mapping(whole: "Mapping") -> list[Finding]:
    """What the parts of a mapping say against each other. Expects defaults to be filled in."""
    parts = (_directions, _read_only, _ambiguous_values, _one_writer, _cycles, _match, _consents, _lifecycle)
    return [finding for part in parts for finding in part(whole)]


def _directions(whole: "Mapping") -> Iterator[Finding]:
    for index, entry in enumerate(whole.fields):
        here: Loc = ("fields", index)
        if entry.user in FROM_PROVIDER_ONLY and entry.direction.writes_user:
            yield Finding((*here, "direction"), f"{entry.user} is set by the provider alone: add direction: to_contact")
        if entry.enforce and entry.direction != "to_contact":
            yield Finding((*here, "enforce"), f"needs direction: to_contact, here it is {entry.direction}", on_key=True)
        if "on_withdrawal" in entry.model_fields_set and entry.direction == "to_user":
            message = "is about what the contact got, and with direction: to_user it gets nothing: leave it out"
            yield Finding((*here, "on_withdrawal"), message, on_key=True)


def _read_only(whole: "Mapping") -> Iterator[Finding]:
    for loc, name, entry in _contact_writes(whole):
        if READ_ONLY.fullmatch(name):
            way_out = "read it with direction: to_user, or choose another property" if entry else "choose another property"
            yield Finding(loc, f"{name} is kept by HubSpot and cannot be written: {way_out}")


def _ambiguous_values(whole: "Mapping") -> Iterator[Finding]:
    """Two values for one option are fine on the way to the contact; on the way back nobody could say which is meant."""
    written: list[tuple[Loc, Names[str, str]]] = [
        (("fields", index, "values"), entry.values)
        for index, entry in enumerate(whole.fields)
        if entry.values and entry.direction.writes_user
    ]
    if whole.typologies and whole.typologies.both:
        written.append((("typologies", "values"), whole.typologies.values))
    for loc, values in written:
        first: dict[str, str] = {}
        for value, option in values.items():
            if first.setdefault(option, value) != value:
                message = f"'{first[option]}' has the option '{option}' too, so it cannot be read back: add direction: to_contact"
                yield Finding((*loc, value), message)


def _one_writer(whole: "Mapping") -> Iterator[Finding]:
    yield from _repeated(((loc, name) for loc, name, _ in _contact_writes(whole)), "contact property")
    yield from _repeated(_user_writes(whole), "user field")
    names = ((("consents", index, "consent"), entry.consent) for index, entry in enumerate(whole.consents))
    for loc, name in _seen_before(names):
        yield Finding(loc, f"consent {name} is declared twice: keep one")
    yield from _one_consent_each(whole)


def _contact_writes(whole: "Mapping") -> Iterator[tuple[Loc, str, "Field | None"]]:
    """Every place that writes a contact property; the entry when it is a field."""
    for index, entry in enumerate(whole.fields):
        if entry.direction.writes_contact:
            yield ("fields", index, "contact"), entry.contact, entry
    if whole.typologies:
        yield ("typologies", "contact"), whole.typologies.contact, None
    for index, given in enumerate(whole.consents):
        if given.property and given.direction.writes_contact:
            yield ("consents", index, "property"), given.property, None
    if whole.communicable:
        yield ("communicable", "contact"), whole.communicable.contact, None


def _user_writes(whole: "Mapping") -> Iterator[tuple[Loc, str]]:
    for index, entry in enumerate(whole.fields):
        if entry.direction.writes_user:
            yield ("fields", index, "user"), entry.user


def _one_consent_each(whole: "Mapping") -> Iterator[Finding]:
    """Whatever their direction: what is written for one consent would be heard as the person's word about the other one."""
    for key in ("subscription", "property"):
        first: dict[str, str] = {}
        for index, entry in enumerate(whole.consents):
            name = (getattr(entry, key) or "").strip()
            if name and (other := first.setdefault(name.casefold(), entry.consent)) != entry.consent:
                yield Finding(("consents", index, key), f"{key} {name} is that of consent {other}, too: give each its own")


def _seen_before(names: Iterable[tuple[Loc, str]]) -> Iterator[tuple[Loc, str]]:
    seen: set[str] = set()
    for loc, name in names:
        if name in seen:
            yield loc, name
        seen.add(name)


def _repeated(names: Iterable[tuple[Loc, str]], what: str) -> Iterator[Finding]:
    for loc, name in _seen_before(names):
        yield Finding(loc, f"{what} {name} is written by an earlier entry too: keep one, or change a direction")


def _cycles(whole: "Mapping") -> Iterator[Finding]:
    """Values that come back by way of other entries would be copied around for ever."""
    writers: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(whole.fields):
        if entry.direction.writes_contact:
            writers.setdefault(("contact", entry.contact), index)
        if entry.direction.writes_user:
            writers.setdefault(("user", entry.user), index)
    for index, entry in enumerate(whole.fields):
        target = ("contact", entry.contact) if entry.direction == "to_contact" else ("user", entry.user)
        if entry.direction != "both" and _returns(whole, writers, target):
            message = f"{entry.user} and {entry.contact} are part of a circle: use one entry with direction: both, or cut it"
            yield Finding(("fields", index), message)


def _returns(whole: "Mapping", writers: dict[tuple[str, str], int], start: tuple[str, str]) -> bool:
    """Follow a value back to where it comes from. A place has one writer, so there is one way back."""
    place, seen, last = start, {start}, None
    while (index := writers.get(place)) is not None and index != last:
        entry, last = whole.fields[index], index
        place = ("user", entry.user) if place[0] == "contact" else ("contact", entry.contact)
        if place in seen:
            return place == start
        seen.add(place)
    return False


def _match(whole: "Mapping") -> Iterator[Finding]:
    explicit = "match" in whole.model_fields_set
    named: list[tuple[Loc, str]] = [(("match", index), name) for index, name in enumerate(whole.match)]
    for again, name in _seen_before(named):
        yield Finding(again, f"{name} is named twice: keep one")
    for index, name in enumerate(whole.match):
        loc: Loc = ("match", index) if explicit else ("fields",)
        entry = whole.field_by_user(name)
        if entry is None:
            way_out = f"add a field {{user: {name}, contact: ...}}" + ("" if explicit else ", or set match")
            yield Finding(loc, f"match finds contacts by {name}, but no field maps it: {way_out}")
        elif entry.type in ("set", "bool"):
            yield Finding(loc, f"{name} is a {entry.type} and cannot tell one person from another: match another field")


def _consents(whole: "Mapping") -> Iterator[Finding]:
    declared = [entry.consent for entry in whole.consents]
    asked: list[tuple[Loc, str]] = [
        (("fields", index, "purpose"), entry.purpose) for index, entry in enumerate(whole.fields) if entry.purpose is not None
    ]
    if whole.communicable:
        asked += [(("communicable", "any_of", index), name) for index, name in enumerate(whole.communicable.any_of)]
    for loc, name in asked:
        if name not in declared:
            yield Finding(loc, f"consent '{name}' is not declared under consents{did_you_mean(name, declared)}")
    used = {name for _, name in asked}
    for index, entry in enumerate(whole.consents):
        if not (entry.subscription or entry.property or entry.consent in used):
            yield Finding(
                ("consents", index), f"consent {entry.consent} is used nowhere: add subscription or property, or leave it out"
            )


def _lifecycle(whole: "Mapping") -> Iterator[Finding]:
    email = whole.field_by_user("email")
    if whole.lifecycle.contact_created == "create_user" and not (email and email.direction.writes_user):
        message = "a user cannot be created without email: map it with direction both or to_user"
        yield Finding(("lifecycle", "contact_created"), message)
