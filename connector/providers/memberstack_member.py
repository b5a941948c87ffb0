"""A Memberstack member in our words, and which of its custom fields mean what. Pure.

Facts (Memberstack, "Member actions" and the Admin package's types): names, phone numbers and consents are custom fields, whose
keys each app chooses; a plan connection has `planId`, `active`, `status`, `type`; a free map beside the fields is `metaData`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.model import User
from connector.providers.consentwords import entries
from connector.providers.reading import mapping, objects
from connector.providersettings import ConsentField

META = "custom.meta."
"""Before a name of `metaData`; a custom field is `custom.` and its key."""
PLAIN = {"createdAt": "created_at", "lastLogin": "last_login_at", "verified": "email_verified"}
USUAL = {"first_name": "first-name", "last_name": "last-name"}
"""The keys that an app's custom fields for names mostly have."""


@dataclass(frozen=True)
class Words:
    """fields: name of our vocabulary -> key of a custom field. consents: purpose -> the custom fields that tell it."""

    fields: Mapping[str, str]
    consents: Mapping[str, ConsentField]


def user_from(record: Mapping[str, Any], words: Words) -> User:
    """A member with a usable id. What the record does not tell is absent; a blank text is a blank field."""
    values: dict[str, Any] = {ours: record[theirs] for theirs, ours in PLAIN.items() if theirs in record}
    auth = record.get("auth")
    if isinstance(auth, dict) and "email" in auth:
        values["email"] = auth["email"]
    fields = record.get("customFields")
    if isinstance(fields, dict):
        own = set(words.fields.values())
        values |= {f"custom.{name}": _told(value) for name, value in fields.items() if name not in own}
        values |= {name: _told(fields.get(key)) for name, key in words.fields.items()}
    values |= {f"{META}{name}": _told(value) for name, value in mapping(record.get("metaData")).items()}
    return User(
        id=str(record["id"]),
        values=values,
        memberships=_plans(record),
        consents=entries(words.consents, lambda name: _told(fields.get(name))) if isinstance(fields, dict) else None,
    )


def _told(value: Any) -> Any:
    """A value of a field; a blank text is what an emptied one holds."""
    return None if value == "" else value


def _plans(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    """The plans of a member. Of several connections to one plan, one that is active counts."""
    if not isinstance(record.get("planConnections"), list):
        return None
    found: dict[str, dict[str, Any]] = {}
    for one in objects(record["planConnections"]):
        key, active = one.get("planId"), one.get("active") is True
        if isinstance(key, str) and key and (active or key not in found):
            found[key] = {"key": key, "kind": "plan", "active": active, "since": None, "until": None}
    return tuple(found.values())
