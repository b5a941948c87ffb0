"""DruID's user: read into our vocabulary, and written back in DruID's own shape.

Facts this file rests on (DruID developer site, "User info", "Update (patch)"; its iOS SDK):
- `ids` and `datas` are objects of {"objectType", "value", ...} by name; an id also has `confirmed`; what is blank is absent;
- `typologies` is a list of names; a consent is an entry of `assertions.items`, told by `type` and `typology`, with `value` a
  truth value (a register call sends it as text); the time a person decided is not among the documented fields;
- `updated_on` and `createdOn` are ISO 8601 in one place and milliseconds in another;
- in a patch null removes; a confirmed id can only be replaced, and reads as before until the person has confirmed the new one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from connector.model import User
from connector.providers.reading import mapping, moment, moment_of_millis, objects, written

PLACES = {
    "email": ("ids", "email"),
    "phone": ("ids", "phone_number"),
    "first_name": ("datas", "name"),
    "last_name": ("datas", "surname"),
    "birth_date": ("datas", "birthday"),
    "country": ("datas", "country"),
    "locale": ("datas", "preferred_locale"),
}
"""Our name of a field -> where DruID has it."""
OWN_IDS = ("national_id", "screen_name")
"""Identifiers that are `custom.<name>` with us and can be written; any other `custom.<name>` is a data field."""
READ_ONLY = ("pulse_id", "confirmed", "app_id", "entrypoint_id")
TYPES = {"ids": "user_id", "datas": "user_data"}
SOURCE = "druid"

_OURS = {place: name for name, place in PLACES.items()}


@dataclass(frozen=True)
class Words:
    """What the documentation leaves open.

    date_format: how a birthday is written, as strftime has it. pending_email: JSON pointer, within a user, to an address that
    waits to be confirmed. consent_at: JSON pointer, within an assertion, to the time of the decision.
    """

    date_format: str = "%Y-%m-%d"
    pending_email: str | None = None
    consent_at: str | None = None


def at_pointer(document: object, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to; None where it leads nowhere."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and re.fullmatch("0|[1-9][0-9]{0,4}", name) and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def any_moment(value: object) -> datetime | None:
    """A time in one of DruID's two forms; None for what is none."""
    if isinstance(value, str) and re.fullmatch("[0-9]{10,15}", value):
        value = int(value)
    return moment_of_millis(value) if type(value) is int else moment(value)


def version(record: Mapping[str, Any]) -> str | None:
    """What tells one state of a user from another."""
    changed = record.get("updated_on")
    return str(changed) if isinstance(changed, str | int) and str(changed) else None


def user_from(record: Mapping[str, Any], words: Words) -> User:
    """A user of DruID, which has a usable `objectId`."""
    values = _values(record, words)
    changed = any_moment(record.get("updated_on"))
    if created := any_moment(record.get("createdOn")):
        values["created_at"] = written(created)
    if changed:
        values["updated_at"] = written(changed)
    kinds = record.get("typologies")
    return User(
        id=str(record["objectId"]),
        values=values,
        updated_at=changed,
        etag=version(record),
        memberships=_memberships(kinds) if isinstance(kinds, list) else None,
        consents=_consents(record, words, changed) if isinstance(record.get("assertions"), dict) else None,
    )


def _values(record: Mapping[str, Any], words: Words) -> dict[str, Any]:
    found: dict[str, Any] = {f"custom.{name}": record[name] for name in READ_ONLY if name in record}
    for part in TYPES:
        for name, entry in mapping(record.get(part)).items():
            if isinstance(entry, dict) and "value" in entry:
                found[_OURS.get((part, name), f"custom.{name}")] = entry["value"]
    confirmed = mapping(mapping(record.get("ids")).get("email")).get("confirmed")
    if isinstance(confirmed, bool):
        found["email_verified"] = confirmed
    if "birth_date" in found:
        found["birth_date"] = _birthday(found["birth_date"], words.date_format)
    pending = at_pointer(record, words.pending_email) if words.pending_email else None
    if isinstance(pending, str) and pending.strip():
        found |= {"email": pending, "email_verified": False}
    return found


def _birthday(value: object, form: str) -> object:
    """A date as ISO 8601; what is none stays as it is, for the mapping to complain about."""
    try:
        return datetime.strptime(value, form).date().isoformat() if isinstance(value, str) and value else value
    except ValueError:
        return value


def _memberships(kinds: Iterable[object]) -> tuple[dict[str, Any], ...]:
    return tuple({"key": kind, "kind": "typology", "active": True} for kind in kinds if isinstance(kind, str) and kind)


def _consents(record: Mapping[str, Any], words: Words, changed: datetime | None) -> tuple[dict[str, Any], ...]:
    """One entry for each assertion that was answered.

    A withdrawal without a time of its own is dated by the user's last change, the latest it can have been; a grant is not,
    because any later edit of the profile would make an old grant look like a new one. A time that is a text stays as it is: it
    may be a day.
    """
    entries = []
    for one in assertions(record):
        value = answered(one)
        if value is None or not isinstance(one.get("type"), str):
            continue
        told = at_pointer(one, words.consent_at) if words.consent_at else None
        at = any_moment(told) or (None if value else changed)
        entries.append({
            "purpose": one["type"], "channel": "email", "scope": one.get("typology"), "state": "granted" if value else "revoked",
            "at": told if moment(told) else written(at) if at else None, "source": SOURCE,
        })  # fmt: skip
    return tuple(entries)


def assertions(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a user's assertions."""
    return objects(mapping(record.get("assertions")).get("items"))


def answered(assertion: Mapping[str, Any]) -> bool | None:
    """What the person said; None for nothing yet."""
    value = assertion.get("value")
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def native(name: str) -> tuple[str, str] | None:
    """Where DruID has a field of ours; None for one that cannot be written."""
    own = name.removeprefix("custom.")
    if own == name or own in READ_ONLY:
        return PLACES.get(name)
    return ("ids" if own in OWN_IDS else "datas", own)


def fields_of(values: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Fields that can be written, as `ids` and `datas`. None removes."""
    parts: dict[str, Any] = {}
    for name, value in values.items():
        place = native(name)
        if place is None:
            continue
        if name == "birth_date" and value is not None:
            value = date.fromisoformat(value).strftime(words.date_format)
        part, own = place
        parts.setdefault(part, {})[own] = None if value is None else {"objectType": TYPES[part], "value": value}
    return parts


def assertions_of(kind: str, typologies: Sequence[str], granted: bool) -> dict[str, Any]:
    """Answers to assertions of one type, in DruID's shape."""
    items = [{"objectType": "assertion", "type": kind, "typology": one, "value": granted} for one in typologies]
    return {"objectType": "assertions", "items": items, "totalItems": len(items)}


def named_in(answer: object, names: Iterable[str]) -> list[str]:
    """Those of our fields that a refusal names, by DruID's own word for them, anywhere in it."""
    words = set(re.findall(r"\w+", " ".join(_texts(answer))))
    places = {name: native(name) for name in names}
    return [name for name, place in places.items() if place and place[1] in words]


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
