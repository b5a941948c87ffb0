"""A SCIM user in our words, and our changes in SCIM's. Pure.

Facts (RFC 7643, "User resource schema" and "Common attributes"; RFC 7644, "Modifying with PATCH"):
- names of attributes and of schemas have no case; an attribute that is absent from a whole user is blank;
- several values have at most one `primary`; `meta` has `created`, `lastModified` and `version`, which is the ETag;
- an extension's attributes stand under the extension's URN, and are addressed as URN:attribute;
- the path of a PATCH may lead into one value of many; servers differ in that, so such lists are replaced as a whole.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.errors import Rejected
from connector.model import User
from connector.providers import consentwords
from connector.providers.reading import mapping, moment, objects
from connector.providersettings import ConsentField

CORE_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

HEADERS = {"Content-Type": "application/scim+json", "Accept": "application/scim+json, application/json"}
"""What goes along with a body."""

PLAIN = {"first_name": "name.givenName", "last_name": "name.familyName", "locale": "locale"}
"""Our name of a field -> the path of an attribute with one value."""
MANY = {"email": ("emails", "value"), "phone": ("phoneNumbers", "value"), "country": ("addresses", "country")}
"""Our name of a field -> an attribute with several values, and the part of each that counts."""
OWN = (
    "userName", "displayName", "nickName", "profileUrl", "title", "userType", "preferredLanguage", "timezone", "externalId",
    "active",
)  # fmt: skip
"""Attributes that are `custom.` and their name."""
DEPARTMENT = ("employeeNumber", "costCenter", "organization", "division", "department")
"""The same of the enterprise extension."""
USUAL = {f"custom.{name}": name for name in OWN} | {f"custom.{name}": f"{ENTERPRISE}:{name}" for name in DEPARTMENT}


@dataclass(frozen=True)
class Words:
    """paths: name of our vocabulary -> path of an attribute with one value. consents: purpose -> the paths that tell it."""

    paths: Mapping[str, str] = field(default_factory=lambda: {**PLAIN, **USUAL})
    consents: Mapping[str, ConsentField] = field(default_factory=dict)


def look(record: Mapping[str, Any], name: str) -> Any:
    """The value of an attribute, whatever the case of its name; None when it is absent."""
    if name in record:
        return record[name]
    return next((value for key, value in record.items() if key.casefold() == name.casefold()), None)


def quoted(value: str) -> str:
    """A text as it stands in a filter."""
    return json.dumps(value, ensure_ascii=False)


def steps(path: str) -> list[str]:
    """The names a path leads through: `name.givenName`, or `urn:...:User:manager.value`."""
    schema, colon, rest = path.rpartition(":")
    return ([schema] if colon else []) + rest.split(".")


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """The value a path leads to; None when there is none."""
    found: Any = record
    for name in steps(path):
        found = look(found, name) if isinstance(found, dict) else None
    return found


def first(values: object) -> dict[str, Any]:
    """The value of several that counts: the primary one, else the first."""
    found = objects(values)
    return next((one for one in found if truth(look(one, "primary"))), found[0] if found else {})


def truth(value: object) -> bool:
    """Some servers write "True"."""
    return value is True or (isinstance(value, str) and value.strip().casefold() == "true")


def inactive(record: Mapping[str, Any]) -> bool:
    """Whether a user is switched off."""
    active = look(record, "active")
    return active is False or (isinstance(active, str) and active.strip().casefold() == "false")


def user_from(record: Mapping[str, Any], words: Words, etag: str | None = None) -> User:
    """A whole user, which has a usable id. Without emails, a userName that is an address counts as one."""
    meta = mapping(look(record, "meta"))
    values: dict[str, Any] = {ours: value_at(record, path) for ours, path in words.paths.items()}
    for ours, (name, part) in MANY.items():
        values.setdefault(ours, look(first(look(record, name)), part))
    name = look(record, "userName")
    if look(record, "emails") is None and isinstance(name, str) and "@" in name and "email" not in words.paths:
        values["email"] = name
    values |= {"created_at": look(meta, "created"), "updated_at": look(meta, "lastModified")}
    version = look(meta, "version")
    return User(
        id=str(look(record, "id")),
        values={ours: value for ours, value in values.items() if value is not None or ours in words.paths or ours in MANY},
        updated_at=moment(look(meta, "lastModified")),
        etag=etag or (version if isinstance(version, str) and version else None),
        memberships=_groups(record),
        consents=consentwords.entries(words.consents, lambda path: value_at(record, path)),
    )


def _groups(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    """The groups a user is in, by their shown names. None where the server does not tell any: it may keep them elsewhere."""
    groups = look(record, "groups")
    if not isinstance(groups, list):
        return None
    keys = dict.fromkeys(key for one in objects(groups) if (key := group_key(one)))
    return tuple({"key": key, "kind": "group", "active": True, "since": None, "until": None} for key in keys)


def group_key(one: Mapping[str, Any]) -> str | None:
    """What one of a user's groups is called."""
    name = look(one, "display") or look(one, "value")
    return name if isinstance(name, str) and name else None


def refusal(ours: str, words: Words) -> str | None:
    """Why a field has no place in SCIM; None when it has one."""
    return None if ours in words.paths or ours in MANY else f"no attribute is configured for it (fields.{ours})"


def changes(provider: str, values: Mapping[str, Any], record: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Path of an attribute -> its new value, None to remove it. Raises Rejected for what has no place in SCIM."""
    if refused := {ours: why for ours in values if (why := refusal(ours, words))}:
        raise Rejected(f"{provider}: SCIM has no place for {', '.join(refused)}", refused)
    found: dict[str, Any] = {}
    for ours, value in values.items():
        if ours in words.paths:
            found[words.paths[ours]] = value
        else:
            found[MANY[ours][0]] = _replaced(look(record, MANY[ours][0]), MANY[ours][1], value)
    if isinstance(values.get("email"), str) and "userName" not in found and _named_by_email(record):
        found["userName"] = values["email"]
    return found


def _named_by_email(record: Mapping[str, Any]) -> bool:
    """Whether a user signs in by the address, so that a new address is a new name."""
    name, email = look(record, "userName"), look(first(look(record, "emails")), "value")
    return isinstance(name, str) and "@" in name and (email is None or name.casefold() == str(email).casefold())


def _replaced(old: object, part: str, value: Any) -> list[dict[str, Any]] | None:
    """All values with the one that counts changed; None when none is left."""
    found = copy.deepcopy(objects(old))
    counts = first(found)
    if value is None:
        found = [one for one in found if one is not counts]
        if part == "country" and len(counts) > 1:  # the rest of the address stays
            found.append({key: inner for key, inner in counts.items() if key.casefold() != part})
        return found or None
    if not counts:
        return [{part: value, "type": "work", "primary": True}]
    stale = {"display", "$ref", "formatted"} & counts.keys()
    for key in (*stale, *(key for key in counts if key.casefold() == part.casefold())):
        del counts[key]
    counts[part] = value
    return found


def patch(changed: Mapping[str, Any]) -> dict[str, Any]:
    """The message that changes these attributes and no others."""
    operations = [
        {"op": "remove", "path": path} if value is None else {"op": "replace", "path": path, "value": value}
        for path, value in changed.items()
    ]
    return {"schemas": [PATCH_SCHEMA], "Operations": operations}


def laid_over(record: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """A whole user with these attributes changed."""
    found = copy.deepcopy(dict(record))
    for path, value in changed.items():
        *above, last = steps(path)
        inner = found
        for name in above:
            key = _key(inner, name)
            if not isinstance(inner.get(key), dict):
                inner[key] = {}
            inner = inner[key]
        inner[_key(inner, last)] = value
    found["schemas"] = _schemas(found)
    return _pruned(found)


def _key(record: Mapping[str, Any], name: str) -> str:
    """The name as the record spells it."""
    return next((key for key in record if key.casefold() == name.casefold()), name)


def _schemas(record: Mapping[str, Any]) -> list[str]:
    told = [one for one in look(record, "schemas") or () if isinstance(one, str)] or [CORE_SCHEMA]
    known = {one.casefold() for one in told}
    return told + [key for key in record if key.casefold().startswith("urn:") and key.casefold() not in known]


def _pruned(record: dict[str, Any]) -> dict[str, Any]:
    """Without what is blank, which is how SCIM says so."""
    inner = {key: _pruned(value) if isinstance(value, dict) else value for key, value in record.items()}
    return {key: value for key, value in inner.items() if value is not None and value != {}}
