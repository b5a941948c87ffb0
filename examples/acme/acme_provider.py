"""Acme ID: check and read its webhooks, read its people. An example of a provider in a package of its own.

Facts this file rests on (Acme is invented):
- a webhook is {"event", "at", "person": {"uid", "mail", "given"}}, `at` whole seconds since 1970;
- it is signed by HMAC-SHA256 over the raw body, in lower-case hex, in `acme-signature`; its number is in `acme-delivery`;
- GET /people/UID answers one person, GET /people?mail= and GET /people?page= answer {"people": [...], "more": bool};
- PATCH /people/UID sets what is sent and answers 204.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connector.errors import BadDelivery, Missing, Rejected, Unavailable
from connector.model import Change, Delivery, Item, Statement, User
from connector.providers.base import Capabilities, Provider
from connector.providers.http import Bearer, Rest
from connector.providers.signature import SignatureScheme, Verifier
from connector.settings import ProviderSettings
from connector.strictjson import parse, storable

SCHEME = SignatureScheme("acme-signature", "acme-delivery", "", "body", "sha256", "hex", "", "utf8")
EVENTS = {"joined": "user.created", "changed": "user.updated", "left": "user.deleted"}
FIELDS = {"mail": "email", "given": "first_name"}
MAX_PAGES = 10_000


class Acme:
    """One Acme tenant. `connector.providers.base.Provider` states what each method promises."""

    def __init__(self, name: str, secrets: list[str], url: str, key: str) -> None:
        self.name = name
        self.capabilities = Capabilities(read=True, find=True, list=True, update=True)
        self._verifier = Verifier(SCHEME, secrets)
        self._rest = Rest(name, url, Bearer(key))

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        return None if field in FIELDS.values() else "Acme takes mail and given name alone"

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider."""
        key = self._verifier.dedupe_key(delivery, delivery.body)
        return [Item(key, self._verifier.delivery_id(delivery) or "", delivery.body, {"key": key})]

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider. It does not carry the person, so the person will be read."""
        told = parse(body)
        person = told.get("person") if isinstance(told, dict) else None
        if not isinstance(person, dict) or not _usable(person.get("uid")) or not isinstance(told.get("event"), str):
            raise BadDelivery("acme: not in the documented shape")
        if not storable(body, told):
            raise BadDelivery("acme: a text that cannot be stored")
        at = told.get("at")
        when = datetime.fromtimestamp(at, UTC) if type(at) is int and 0 <= at < 2**33 else None
        return Change(EVENTS.get(told["event"], told["event"]), person["uid"], when, event_id=meta.get("key", ""))

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        found = self._rest.json("read a person", self._rest.call("read a person", "GET", _path(user_id)))
        if found.get("uid") != user_id:
            raise Unavailable(f"{self.name}: read a person: not about this one")
        return _user(found)

    def find(self, email: str) -> list[User]:
        """See Provider."""
        people, _ = self._people({"mail": email})
        return [one for one in people if str(one.values["email"]).casefold() == email.casefold()]

    def pages(self) -> Iterator[list[User]]:
        """See Provider."""
        for number in range(1, MAX_PAGES + 1):
            people, more = self._people({"page": str(number)})
            if people:
                yield people
            if not more:
                return
            if not people:
                break
        raise Rejected(f"{self.name}: the listing does not end")

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider."""
        if refused := {name: why for name in values if (why := self.unwritable(name))}:
            raise Rejected(f"{self.name}: not to be written", refused)
        body = {theirs: values[ours] for theirs, ours in FIELDS.items() if ours in values}
        self._rest.call("update a person", "PATCH", _path(user_id), body=body, fields=values)
        return self.fetch(user_id)

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """Acme tells no times of change."""
        raise self._cannot("list what changed")

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """Acme lets people register themselves only."""
        raise self._cannot("create users")

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """Acme knows no consents."""
        raise self._cannot("keep consents")

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """Acme knows no memberships."""
        raise self._cannot("give memberships")

    def delete(self, user_id: str) -> None:
        """Acme has no call for it."""
        raise self._cannot("delete users")

    def erase(self, user_id: str) -> None:
        """Acme has no call for it."""
        raise self._cannot("erase users")

    def _people(self, query: dict[str, str]) -> tuple[list[User], bool]:
        found = self._rest.json("list people", self._rest.call("list people", "GET", "/people", query=query))
        people, more = found.get("people"), found.get("more")
        if not isinstance(people, list) or not isinstance(more, bool) or not all(_person(one) for one in people):
            raise Rejected(f"{self.name}: list people: the answer is no listing")
        return [_user(one) for one in people], more

    def _cannot(self, what: str) -> Rejected:
        return Rejected(f"{self.name}: cannot {what}")


def from_settings(name: str, settings: ProviderSettings) -> Provider:
    """What the entry point names."""
    secrets = [secret.get_secret_value() for secret in settings.webhook_secret]
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    return Acme(name, secrets, settings.api_url or f"https://{settings.options.get('tenant', 'www')}.acme.example/api", key)


def _usable(uid: Any) -> bool:
    return isinstance(uid, str) and uid.isascii() and uid.replace("-", "").isalnum() and len(uid) <= 64


def _person(one: Any) -> bool:
    return isinstance(one, dict) and _usable(one.get("uid")) and isinstance(one.get("mail"), str)


def _path(user_id: str) -> str:
    if not _usable(user_id):
        raise Missing("acme: no person can have this id")
    return f"/people/{quote(user_id, safe='')}"


def _user(person: Mapping[str, Any]) -> User:
    return User(person["uid"], {ours: person[theirs] for theirs, ours in FIELDS.items() if theirs in person})
