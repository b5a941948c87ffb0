"""The identity provider's users: what is stored, what may be written, and what is told about it."""

import copy
import itertools
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from connector.sandbox.values import EMAIL, iso

TEXTS = ("first_name", "last_name", "phone", "locale", "country")
OPEN = ("external_ids", "custom")
"""Objects with whatever names somebody likes."""
WRITABLE = ("email", "email_verified", *TEXTS, "birth_date", *OPEN)
KEPT = ("id", "created_at", "updated_at", "last_login_at")
"""Only the provider itself writes these."""
STATES = ("granted", "revoked", "pending", "unknown")
CONSENT = ("scope", "channel", "state", "level", "source", "at", "text_version")
LOGIN = {"entry_point": "main", "ip_country": "ES"}
"""What a login tells beside the user."""
MEMBERSHIP = ("kind", "active", "since", "until")
ENTRIES = {"consents": '{"purpose": "newsletter", "state": "granted"}', "memberships": '{"key": "consumer"}'}
"""Lists a user comes with, and what an entry looks like."""

User = dict[str, Any]
Tell = Callable[[str, User, Mapping[str, Any]], None]
"""Event type, the whole user, and further data of the event."""


class Refused(Exception):
    """What the provider does not do. error: a code; more: further members of the answer."""

    def __init__(self, status: int, error: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.more = more

    def told(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": self.error, "message": str(self), **self.more}


@dataclass(slots=True)
class Person:
    """A user as stored. number: the order of registration. version: counts changes. updated: epoch milliseconds."""

    number: int
    user: User
    updated: int
    version: int = 1

    @property
    def etag(self) -> str:
        """The version as a header tells it."""
        return f'"{self.version}"'


class People:
    """All users. Callers hold `lock` around whatever must be seen as one step."""

    def __init__(self, tell: Tell, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self._tell = tell
        self._clock = clock
        self._people: dict[str, Person] = {}
        self._emails: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._sorted: dict[str, list[Person]] = {}

    def by_registration(self) -> list[Person]:
        """Everybody, in the order of registration."""
        if "registration" not in self._sorted:
            self._sorted["registration"] = list(self._people.values())
        return self._sorted["registration"]

    def by_change(self) -> list[Person]:
        """Everybody, those changed last at the end."""
        if "change" not in self._sorted:
            self._sorted["change"] = sorted(self._people.values(), key=lambda one: (one.updated, one.number))
        return self._sorted["change"]

    def get(self, user_id: str) -> Person:
        """One user. Raises Refused."""
        found = self._people.get(user_id)
        if found is None:
            raise Refused(404, "not_found", "There is no such user.")
        return found

    def find(self, email: str) -> Person | None:
        """The user with this address, in any case."""
        found = self._emails.get(email.strip().lower())
        return self._people[found] if found else None

    def add(self, values: Mapping[str, Any], user_id: str | None = None) -> Person:
        """Register a user. Raises Refused."""
        given = {name: value for name, value in values.items() if name not in ENTRIES}
        for name, shape in ENTRIES.items():
            entries = values.get(name) or []
            if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
                raise Refused(400, "bad_request", f"{name} is a list of objects such as {shape}.")
        self._check(given, None)
        now = self._now()
        user: User = {"id": user_id or f"u-{uuid.uuid4().hex[:12]}", **dict.fromkeys(WRITABLE)}
        if user["id"] in self._people:
            raise Refused(409, "id_exists", "There is a user with this id.", id=user["id"])
        user |= {"email_verified": False, "external_ids": {}, "custom": {}, **copy.deepcopy(given)}
        user |= {"created_at": iso(now), "updated_at": iso(now), "last_login_at": None}
        user["memberships"] = [_membership({}, one.get("key"), one) for one in values.get("memberships") or []]
        user["consents"] = [self._consent({}, one.get("purpose"), one) for one in values.get("consents") or []]
        person = Person(next(self._numbers), user, now)
        self._people[user["id"]] = person
        if user["email"]:
            self._emails[user["email"].strip().lower()] = user["id"]
        self._told("user.created", person)
        return person

    def change(self, person: Person, patch: Mapping[str, Any]) -> None:
        """Apply a JSON merge patch. A patch that changes nothing is no change. Raises Refused."""
        self._check(patch, person)
        changed = merged(person.user, patch)
        if changed == person.user:
            return
        if person.user["email"]:
            self._emails.pop(person.user["email"].strip().lower(), None)
        if changed["email"]:
            self._emails[changed["email"].strip().lower()] = person.user["id"]
        person.user = changed
        self._moved("user.updated", person)

    def consent(self, person: Person, purpose: str, given: Mapping[str, Any]) -> None:
        """Set the state of one consent: of this channel, and of this scope where one is named. Raises Refused."""
        channel, scope = given.get("channel", "email"), given.get("scope")
        listed = person.user["consents"]
        same = [
            one for one in listed if (one["purpose"], one["channel"]) == (purpose, channel) and scope in (None, one.get("scope"))
        ]
        entry = self._consent(same[0] if same else {}, purpose, given)
        if same and entry == same[0]:
            return
        rest = [one for one in listed if not same or one is not same[0]]
        person.user = {**person.user, "consents": [*rest, entry]}
        kind = entry["state"] if entry["state"] in ("granted", "revoked") else ""
        self._moved(f"consent.{kind}" if kind else "user.updated", person)

    def join(self, person: Person, key: str, given: Mapping[str, Any]) -> None:
        """Give a user a membership. Raises Refused."""
        listed = person.user["memberships"]
        before: User = next((one for one in listed if one["key"] == key), {})
        entry = _membership(before, key, {"active": True, **given})
        if entry == before:
            return
        person.user = {**person.user, "memberships": [*(one for one in listed if one["key"] != key), entry]}
        self._moved("membership.added" if entry["active"] else "membership.removed", person)

    def leave(self, person: Person, key: str) -> None:
        """End a membership; it stays listed, inactive. Raises Refused."""
        before = next((one for one in person.user["memberships"] if one["key"] == key), None)
        if before is None:
            raise Refused(404, "not_found", "There is no such membership.")
        self.join(person, key, {**before, "active": False, "until": iso(self._now())} if before["active"] else before)

    def log_in(self, person: Person, details: Mapping[str, Any]) -> None:
        """Note a login. It is no change of the user: `updated_at` stays."""
        person.user = {**person.user, "last_login_at": iso(self._now())}
        person.version += 1
        self._told("user.login", person, details)

    def remove(self, person: Person, erased: bool = False) -> None:
        """Delete a user. erased: at the person's own demand, which is told as well."""
        del self._people[person.user["id"]]
        if person.user["email"]:
            self._emails.pop(person.user["email"].strip().lower(), None)
        if erased:
            self._told("erasure.requested", person)
        self._told("user.deleted", person)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _moved(self, kind: str, person: Person) -> None:
        person.version += 1
        person.updated = max(self._now(), person.updated)
        person.user = {**person.user, "updated_at": iso(person.updated)}
        self._told(kind, person)

    def _told(self, kind: str, person: Person, more: Mapping[str, Any] | None = None) -> None:
        self._sorted.clear()
        self._tell(kind, person.user, more or {})

    def _check(self, values: Mapping[str, Any], person: Person | None) -> None:
        """Raises Refused for fields that are unknown, kept by the provider, of another kind, or an email that is taken."""
        problems = {name: problem for name, value in values.items() if (problem := _problem(name, value))}
        if problems:
            raise Refused(422, "invalid", "Some fields cannot be written.", fields=problems)
        holder = self.find(values["email"]) if values.get("email") else None
        if holder is not None and holder is not person:
            raise Refused(409, "email_exists", "There is a user with this email.", id=holder.user["id"])

    def _consent(self, before: Mapping[str, Any], purpose: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(given.keys() - {*CONSENT, "purpose"})
        if unknown or not isinstance(purpose, str) or given.get("state") not in STATES:
            raise Refused(422, "invalid", f"A consent has {', '.join(CONSENT)}; its state is one of {', '.join(STATES)}.")
        told = {name: value for name, value in given.items() if name in CONSENT}
        fresh = {"purpose": purpose, **dict.fromkeys(CONSENT), "channel": "email", "at": iso(self._now())}
        if before and {**before, **told} == before:
            return dict(before)
        return {**fresh, **{name: value for name, value in before.items() if name != "at"}, **told}


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396) applied; a null empties a field, and removes a name within an object."""
    result = dict(target)
    for name, value in patch.items():
        if name not in OPEN:
            result[name] = value
        else:
            result[name] = _patched(result.get(name) or {}, value or {})
    return result


def _patched(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _patched(result.get(name), value)
    return result


def _membership(before: Mapping[str, Any], key: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(given.keys() - {*MEMBERSHIP, "key"})
    if unknown or not isinstance(key, str) or not isinstance(given.get("active", True), bool):
        raise Refused(422, "invalid", f"A membership has {', '.join(MEMBERSHIP)}.")
    fresh = {"key": key, "kind": "typology", "active": True, "since": None, "until": None}
    return {**fresh, **before, **given, "key": key}


def _problem(name: str, value: Any) -> str | None:
    """Why a field cannot be written so; None when it can."""
    if name in KEPT or name not in WRITABLE:
        return "is not writable here"
    if name in OPEN:
        return None if value is None or isinstance(value, Mapping) else "is an object"
    if name == "email_verified":
        return None if isinstance(value, bool) else "is true or false"
    if value is None:
        return None
    if not isinstance(value, str):
        return "is text"
    if name == "email":
        return None if EMAIL.fullmatch(value.strip()) else "is not an email address"
    if name == "birth_date":
        return None if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) and _is_date(value) else "is a date, YYYY-MM-DD"
    return None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
