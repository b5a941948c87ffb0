"""A Keycloak user in our words, and our changes laid over its record. Pure.

Facts (Keycloak server administration guide, "User profile"; admin REST API, UserRepresentation):
- `attributes` are lists of text, and left out where there are none, and of brief answers; a whole answer has `totp`,
  `requiredActions` and others, which a brief one has not;
- the built-in mappers read a phone number from `phoneNumber`, the rest of our vocabulary from `locale`, `country`, `birthdate`;
- `createdTimestamp` is milliseconds; nothing says when a user last changed;
- a top-level field that is null is taken for untold, so a blank text empties it.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.errors import Rejected
from connector.model import User
from connector.providers import consentwords
from connector.providers.reading import mapping, moment_of_millis, written
from connector.providersettings import ConsentField

TOP = {
    "email": "email", "email_verified": "emailVerified", "first_name": "firstName", "last_name": "lastName",
    "custom.username": "username", "custom.enabled": "enabled",
}  # fmt: skip
"""Our name of a field -> the record's own."""
USUAL = {"phone": "phoneNumber", "locale": "locale", "country": "country", "birth_date": "birthdate"}
"""Our name of a field -> the attribute that Keycloak's own mappers use."""
WHOLE = ("totp", "requiredActions", "disableableCredentialTypes", "notBefore")
"""What a brief answer leaves out, as it does attributes."""
FLAGS = ("email_verified", "custom.enabled")
UNTOLD = ("created_at", "updated_at", "last_login_at")
"""Fields that nobody can write."""


@dataclass(frozen=True)
class Words:
    """attributes: name of our vocabulary -> attribute. consents: purpose -> the attributes that tell it.

    memberships: attributes whose values are memberships.
    """

    attributes: Mapping[str, str] = field(default_factory=lambda: dict(USUAL))
    consents: Mapping[str, ConsentField] = field(default_factory=dict)
    memberships: tuple[str, ...] = ()


def user_from(record: Mapping[str, Any], words: Words, memberships: tuple[Mapping[str, Any], ...] | None = None) -> User:
    """A whole user, which has a usable id. memberships: those that are kept elsewhere, when they were read."""
    values: dict[str, Any] = {ours: _blank(record.get(theirs)) for ours, theirs in TOP.items()}
    created = moment_of_millis(record.get("createdTimestamp"))
    values |= {"created_at": written(created)} if created else {}
    told = {name: _value(value) for name, value in mapping(record.get("attributes")).items()}
    named = {*words.attributes.values(), *(name.removeprefix("custom.") for name in TOP)}
    values |= {f"custom.{name}": value for name, value in told.items() if name not in named}
    tells = tells_attributes(record)
    values |= {ours: told.get(name) for ours, name in words.attributes.items() if tells}
    own, untold = _memberships(record, words), bool(words.memberships) and not tells
    return User(
        id=str(record["id"]),
        values=values,
        memberships=None if untold or (memberships is None and own is None) else (*(memberships or ()), *(own or ())),
        consents=consentwords.entries(words.consents, told.get) if tells else None,
    )


def tells_attributes(record: Mapping[str, Any]) -> bool:
    """Whether an answer tells attributes, if only that there are none. In doubt it does not: nothing is blank by mistake."""
    return "attributes" in record or any(name in record for name in WHOLE)


def entry(key: str, kind: str) -> Mapping[str, Any]:
    """A membership that is in force."""
    return {"key": key, "kind": kind, "active": True, "since": None, "until": None}


def _memberships(record: Mapping[str, Any], words: Words) -> tuple[Mapping[str, Any], ...] | None:
    found = [(name, one) for name in words.memberships for one in texts(record, name)]
    return tuple(entry(key, name) for name, key in dict.fromkeys(found)) if words.memberships else None


def texts(record: Mapping[str, Any], name: str) -> list[str]:
    """The values of an attribute."""
    return _texts(mapping(record.get("attributes")).get(name))


def _value(value: object) -> Any:
    """One text of a list of one; several stay a list; a list of none, or of a blank, is blank."""
    found = _texts(value)
    return found if len(found) > 1 else found[0] if found else None


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def _blank(value: Any) -> Any:
    return None if value == "" else value


def refusal(ours: str, words: Words) -> str | None:
    """Why a field has no place in Keycloak; None when it has one."""
    if ours in UNTOLD:
        return "Keycloak keeps it itself"
    known = ours in TOP or ours in words.attributes or ours.startswith("custom.")
    return None if known else f"no attribute is configured for it (fields.{ours})"


def laid_over(provider: str, record: Mapping[str, Any], values: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """A whole record with these fields changed and everything else as it was. Raises Rejected for what has no place."""
    changed: dict[str, Any] = copy.deepcopy(dict(record))
    attributes: dict[str, Any] = changed.setdefault("attributes", {})
    if refused := {ours: why for ours in values if (why := refusal(ours, words))}:
        raise Rejected(f"{provider}: Keycloak has no place for {', '.join(refused)}", refused)
    for ours, value in values.items():
        if ours in FLAGS:
            changed[TOP[ours]] = value is True
        elif ours in TOP:
            changed[TOP[ours]] = "" if value is None else str(value)
        else:
            put(attributes, words.attributes.get(ours) or ours.removeprefix("custom."), value)
    return changed


def put(attributes: dict[str, Any], name: str, value: Any) -> None:
    """Set one attribute; None, or nothing, takes it away."""
    texts = [_text(one) for one in (value if isinstance(value, list | tuple) else [value]) if one is not None]
    attributes.pop(name, None)
    if texts:
        attributes[name] = texts


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
