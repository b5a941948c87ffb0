"""An Auth0 user in our words, and our changes in Auth0's. Pure.

Facts (Auth0, "User profile structure", "Update a user", "Manage metadata"):
- names and addresses stand at the root of a user; an app's own data is in `user_metadata`, which people may change themselves
  where the app lets them, and in `app_metadata`, which only the API changes;
- PATCH replaces what stands at the root; of metadata it replaces the named keys, each as a whole; null takes a key away;
- `updated_at` also moves when somebody signs in.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.errors import Rejected
from connector.model import User
from connector.providers import consentwords
from connector.providers.reading import mapping, moment
from connector.providersettings import ConsentField

METADATA = ("user_metadata", "app_metadata")
USUAL = {
    "email": "email", "email_verified": "email_verified", "first_name": "given_name", "last_name": "family_name",
    "phone": "phone_number", "created_at": "created_at", "last_login_at": "last_login",
}  # fmt: skip
"""Our name of a field -> where it stands."""
OWN = ("username", "name", "nickname", "picture", "blocked")
"""What is at the root and none of our vocabulary: `custom.` and its name."""
UNTOLD = ("created_at", "updated_at", "last_login")
"""What nobody can write."""


@dataclass(frozen=True)
class Words:
    """paths: name of our vocabulary -> where it stands: `given_name`, `user_metadata.country`. consents: purpose -> paths.

    memberships: paths whose values are memberships.
    """

    paths: Mapping[str, str] = field(default_factory=lambda: dict(USUAL))
    consents: Mapping[str, ConsentField] = field(default_factory=dict)
    memberships: tuple[str, ...] = ()


def user_from(record: Mapping[str, Any], words: Words, memberships: tuple[Mapping[str, Any], ...] | None = None) -> User:
    """A whole user, which has a usable `user_id`. memberships: those that are kept elsewhere, when they were read."""
    values: dict[str, Any] = {f"custom.{name}": record[name] for name in OWN if name in record}
    told = {path: value for where in METADATA for path, value in _leaves(where, mapping(record.get(where)))}
    values |= {f"custom.{path}": value for path, value in told.items() if path not in words.paths.values()}
    values |= {ours: value_at(record, path) for ours, path in words.paths.items()}
    values |= {"updated_at": record["updated_at"]} if "updated_at" in record else {}
    own = _memberships(record, words)
    return User(
        id=str(record["user_id"]),
        values=values,
        updated_at=moment(record.get("updated_at")),
        memberships=None if memberships is None and own is None else (*(memberships or ()), *(own or ())),
        consents=consentwords.entries(words.consents, lambda path: value_at(record, path)),
    )


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What stands below a path that is no object itself."""
    if not isinstance(value, dict):
        yield path, value
        return
    for name, inner in value.items():
        yield from _leaves(f"{path}.{name}", inner)


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """The value a path leads to; None when there is none."""
    found: Any = record
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def entry(key: str, kind: str) -> Mapping[str, Any]:
    """A membership that is in force."""
    return {"key": key, "kind": kind, "active": True, "since": None, "until": None}


def _memberships(record: Mapping[str, Any], words: Words) -> tuple[Mapping[str, Any], ...] | None:
    found = []
    for path in words.memberships:
        value = value_at(record, path)
        texts = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]
        found += [entry(key, path.rpartition(".")[2]) for key in dict.fromkeys(texts)]
    return tuple(found) if words.memberships else None


def refusal(ours: str, words: Words) -> str | None:
    """Why a field has no place in Auth0; None when it has one."""
    path = _path(ours, words)
    if path in UNTOLD:
        return "Auth0 keeps it itself"
    known = ours in words.paths or path in OWN or path.startswith(tuple(f"{one}." for one in METADATA))
    return None if known else f"no place is configured for it (fields.{ours})"


def placed(provider: str, values: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Path -> value. Raises Rejected for what has no place in Auth0."""
    if refused := {ours: why for ours in values if (why := refusal(ours, words))}:
        raise Rejected(f"{provider}: Auth0 has no place for {', '.join(refused)}", refused)
    told = {_path(ours, words): value for ours, value in values.items()}
    return {path: value is True if path in ("email_verified", "blocked") else value for path, value in told.items()}


def _path(ours: str, words: Words) -> str:
    return words.paths.get(ours) or ours.removeprefix("custom.")


def deep(changed: Mapping[str, Any]) -> bool:
    """Whether a change reaches below the keys of metadata, so that what stands beside it must be known."""
    return any(path.count(".") > 1 for path in changed)


def body(changed: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The keys to send, and no others. record: the user as it is, for what stands beside a value further down."""
    found: dict[str, Any] = {}
    for path, value in changed.items():
        where, *names = path.split(".")
        if not names:
            found[where] = value
            continue
        part = found.setdefault(where, {})
        first, *below = names
        if below and first not in part:
            part[first] = copy.deepcopy(mapping(mapping(record.get(where)).get(first)))
        _set(part, names, value)
    return found


def _set(part: dict[str, Any], names: list[str], value: Any) -> None:
    """Put a value below; further down, None takes the key away, as nobody else does."""
    *above, last = names
    for name in above:
        if not isinstance(part.get(name), dict):
            part[name] = {}
        part = part[name]
    if value is None and above:
        part.pop(last, None)
    else:
        part[last] = value
