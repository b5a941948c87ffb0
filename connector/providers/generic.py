"""Any system that can be taught our generic profile: signed JSON webhooks in, a small REST API out.

The profile:
- a webhook is one envelope {"id", "type", "occurred_at", "data": {"user": {...}}}, or an array of them; `type` is a kind of ours;
- what else stands beside `user` or in the envelope tells more about the event: `entry_point`, say;
- a user has `id`, the fields of our vocabulary under their own names, its own fields in `custom`, and lists of `memberships`
  and `consents`; what is absent was not told, null is blank; times are ISO 8601;
- REST, at api_url with a bearer key: GET /users/ID, GET /users?email=, GET /users?limit=&cursor=&updated_since=,
  POST /users, PATCH /users/ID (a JSON merge patch, sent as application/json, which every framework reads), DELETE /users/ID,
  PUT /users/ID/consents/PURPOSE, PUT and DELETE /users/ID/memberships/KEY, POST /users/ID/erasure (where there is none: DELETE);
- a listing is {"items": [...], "next_cursor": ...}, the cursor null or absent at the end; `updated_since` lists oldest first;
- an `ETag` comes back in `If-Match`, an `Idempotency-Key` makes a repeated POST harmless; 409 names the other user's id.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import requests
import structlog

from connector.errors import BadDelivery, Missing, Rejected, Unavailable
from connector.model import USER_FIELDS, Change, Delivery, Item, Statement, User
from connector.providers.base import Capabilities
from connector.providers.http import Bearer, Rest
from connector.providers.reading import Page, follow, moment, usable_id
from connector.providers.signature import SignatureScheme, Verifier, scheme_of, short
from connector.settings import ProviderSettings
from connector.strictjson import Piece, parse, split_array, storable

PAGE = 200
"""Users asked for in one page."""

NO_SUCH_CALL = (404, 405, 410, 501)
"""Answers to a call that a server may lack, or whose user is gone."""
ERASED = (202, 204)
"""Answers that say that a person is erased, or will be. Another 2xx must be an object, or one of NOTHING: else it is not ours."""
NOTHING = (b"", b"null", b"true")
MOST_DETAILS, LONGEST_NAME, LONGEST_DETAIL = 50, 100, 1_000
"""Details kept of one event; characters of a name; characters of a text, which is cut there."""

log = structlog.get_logger(__name__)


class Generic:
    """One system that speaks the generic profile. `providers.base.Provider` states what each method promises."""

    needs: Mapping[str, str] = dict.fromkeys(("create", "update", "consent", "membership", "delete", "erase"), "api_url")

    def __init__(
        self,
        name: str,
        secrets: Sequence[str],
        signature: SignatureScheme,
        api_url: str | None = None,
        api_key: str | None = None,
        session: requests.Session | None = None,
        trust: Literal["auto", "full", "hint"] = "auto",
        events: Mapping[str, str] | None = None,
    ) -> None:
        """Raises ConfigError for a secret that is no key.

        api_url: without one the provider is only listened to.
        trust: full, the fields of a delivery are taken; hint, it only says whom to look at; auto, full where the body is signed.
        events: the system's own name of an event -> kind of ours.
        """
        self.name = name
        self._verifier = Verifier(signature, secrets)
        self._events = dict(events or {})
        self._believed = trust == "full" or (trust == "auto" and signature.signs_body)
        self._api = Rest(name, api_url, Bearer(api_key) if api_key else None, session) if api_url else None
        can = self._api is not None
        self.capabilities = Capabilities(
            read=can, find=can, list=can, list_changed=can, create=can, update=can, consent=can, membership=can, delete=can,
            erase=can,
        )  # fmt: skip

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider."""
        return [self._item(delivery, piece) for piece in split_array(delivery.body)]

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider. Its `event_id` is the envelope's own, else the delivery's."""
        told = parse(body)
        envelope = self._normal(told)
        if problem := _problem(body, envelope):
            raise BadDelivery(f"generic: {problem}")
        user = user_from(envelope["data"]["user"])
        change = Change(
            kind=envelope["type"],
            record_id=user.id,
            occurred_at=moment(envelope.get("occurred_at")),
            event_id=usable_id(envelope.get("id")) or meta.get("event", ""),
            user=user,
            details=_details(envelope),
        )
        return change if self._believes(told) else self._hint(change)

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        what = f"read user {user_id}"
        reply = self._rest.call(what, "GET", self._path(user_id))
        return self._user(what, reply, user_id)

    def find(self, email: str) -> list[User]:
        """See Provider. Raises Rejected when the answer is about other people: then it was not filtered."""
        what = "find by email"
        found = self._page(what, {"email": email})[0]
        same = [user for user in found if str(user.values.get("email") or "").strip().lower() == email.strip().lower()]
        if found and not same:
            raise Rejected(f"{self.name}: {what}: the answer holds users with other addresses")
        return same

    def pages(self) -> Iterator[list[User]]:
        """See Provider."""
        return self._pages("list users", {})

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider."""
        stamp = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._pages("list changed users", {"updated_since": stamp})

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider."""
        what = "create user"
        headers = {"Idempotency-Key": key}
        try:
            reply = self._rest.call(what, "POST", "/users", body=_nested(values), headers=headers, fields=values)
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        return self._user(what, reply)

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider."""
        what = f"update user {user_id}"
        headers = {"If-Match": etag} if etag else {}
        path = self._path(user_id)
        reply = self._rest.call(what, "PATCH", path, body=_nested(values), headers=headers, fields=values)
        return self._written(what, reply, user_id)

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider."""
        what = f"set a consent of user {user_id}"
        if usable_id(purpose) is None:
            raise Rejected(f"{self.name}: no consent can have this name")
        path = f"{self._path(user_id)}/consents/{quote(purpose, safe='')}"
        headers = {"If-Match": etag} if etag else {}
        return self._written(what, self._rest.call(what, "PUT", path, body=_consent(told), headers=headers), user_id)

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. A 404 may mean that there is no such user, no such membership, or no such call."""
        what = f"set a membership of user {user_id}"
        if usable_id(key) is None:
            raise Rejected(f"{self.name}: no membership can have this key")
        path = f"{self._path(user_id)}/memberships/{quote(key, safe='')}"
        headers = {"If-Match": etag} if etag else {}
        method, body = ("PUT", {"active": True}) if held else ("DELETE", None)
        reply = self._rest.call(what, method, path, body=body, headers=headers, accept=(404,))
        user = self.fetch(user_id)
        if reply.status_code == 404 and held:
            raise Rejected(f"{self.name}: {what}: 404: it knows no such membership, or no such call")
        return user

    def delete(self, user_id: str) -> None:
        """See Provider."""
        try:
            self._rest.call(f"delete user {user_id}", "DELETE", self._path(user_id))
        except Missing:
            return

    def erase(self, user_id: str) -> None:
        """See Provider. A 404 may also mean that there is no such call, so a deletion makes sure."""
        what = f"erase user {user_id}"
        reply = self._rest.call(what, "POST", f"{self._path(user_id)}/erasure", accept=NO_SUCH_CALL)
        if reply.status_code in NO_SUCH_CALL:
            self.delete(user_id)
        elif reply.status_code not in ERASED and reply.content.strip() not in NOTHING:
            self._rest.json(what, reply)

    def _normal(self, envelope: Any) -> Any:
        """An envelope in the profile's words; kinds that are nearly like it have more to translate. Never raises."""
        if isinstance(envelope, dict) and isinstance(envelope.get("type"), str):
            return {**envelope, "type": self._events.get(envelope["type"], envelope["type"])}
        return envelope

    def _believes(self, envelope: Any) -> bool:
        """Whether the fields of a delivery are taken."""
        return self._believed

    def _hint(self, change: Change) -> Change:
        """What is left of an event that anybody may have made up: whom to read. Where nobody can be read, nothing is.

        So a made-up deletion deletes nobody, and a made-up consent is no proof.
        """
        kind = "user.updated" if self.capabilities.read else f"hint.{change.kind}"
        return Change(kind, change.record_id, change.occurred_at, change.event_id)

    def _item(self, delivery: Delivery, piece: Piece) -> Item:
        """One envelope for the inbox."""
        envelope, key = piece.value, self._verifier.dedupe_key(delivery, piece.raw, piece.place)
        sender_id = self._verifier.delivery_id(delivery)
        own_id = usable_id(envelope.get("id")) if isinstance(envelope, dict) else None
        shown = short(sender_id) if sender_id is not None else own_id or ""
        return Item(key, shown, piece.raw, {} if own_id else {"event": key}, _problem(piece.raw, self._normal(envelope)))

    @property
    def _rest(self) -> Rest:
        if self._api is None:
            raise Rejected(f"{self.name}: no api_url is configured")
        return self._api

    def _path(self, user_id: str) -> str:
        if usable_id(user_id) is None:
            raise Missing(f"{self.name}: no user can have this id")
        return f"/users/{quote(user_id, safe='')}"

    def _user(self, what: str, reply: requests.Response, user_id: str | None = None) -> User:
        record = self._rest.json(what, reply)
        if usable_id(record.get("id")) is None or user_id not in (None, usable_id(record["id"])):
            raise Unavailable(f"{self.name}: {what}: {reply.status_code}, but not about this user")
        return user_from(record, reply.headers.get("ETag"))

    def _written(self, what: str, reply: requests.Response, user_id: str) -> User:
        """The user after a write, which the answer tells, or else the next one."""
        return self._user(what, reply, user_id) if reply.status_code != 204 and reply.content else self.fetch(user_id)

    def _pages(self, what: str, query: Mapping[str, str]) -> Iterator[list[User]]:
        """All pages of a listing. Raises Rejected for one without an end."""

        def read(cursor: str | None) -> Page:
            return self._page(what, {**query, "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {}))

        return follow(f"{self.name}: {what}", read)

    def _page(self, what: str, query: Mapping[str, str]) -> tuple[list[User], str | None]:
        """One page and the next cursor. An answer without a list is a failure, never an empty page."""
        try:
            answer = self._rest.json(what, self._rest.call(what, "GET", "/users", query=query))
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        items, following = answer.get("items"), answer.get("next_cursor")
        if not isinstance(items, list) or not (following is None or type(following) in (str, int)):
            raise Rejected(f"{self.name}: {what}: the answer is no listing")
        good = [one for one in items if isinstance(one, dict) and usable_id(one.get("id")) is not None]
        if len(good) < len(items):
            log.warning("provider.items_without_id", provider=self.name, call=what, count=len(items) - len(good))
        return [user_from(one) for one in good], (None if following in (None, "") else str(following))


def from_settings(name: str, settings: ProviderSettings) -> Generic:
    """See registry.KINDS."""
    return Generic(name, **arguments(settings))


def arguments(settings: ProviderSettings) -> dict[str, Any]:
    """The settings as `Generic` takes them."""
    return {
        "secrets": [secret.get_secret_value() for secret in settings.webhook_secret],
        "signature": scheme_of(settings),
        "api_url": settings.api_url,
        "api_key": settings.api_key.get_secret_value() if settings.api_key else None,
        "trust": settings.trust,
        "events": settings.events,
    }


def user_from(record: Mapping[str, Any], etag: str | None = None) -> User:
    """A user in the profile's shape, which has a usable `id`. Fields we have no name for are left out."""
    values = {name: record[name] for name in USER_FIELDS if name in record and name != "id"}
    custom = record.get("custom")
    if isinstance(custom, dict):
        values |= {f"custom.{name}": value for name, value in custom.items()}
    return User(
        id=str(record["id"]),
        values=values,
        updated_at=moment(record.get("updated_at")),
        etag=etag,
        memberships=_entries(record["memberships"]) if "memberships" in record else None,
        consents=_entries(record["consents"]) if "consents" in record else None,
    )


def _problem(raw: bytes, envelope: Any) -> str | None:
    """Why an envelope cannot be read; None when it can."""
    if not isinstance(envelope, dict):
        return "not_an_object"
    kind, data = envelope.get("type"), envelope.get("data")
    if not isinstance(kind, str) or not re.fullmatch(r"[!-~]{1,64}", kind):
        return "bad_type"
    user = data.get("user") if isinstance(data, dict) else None
    if not isinstance(user, dict) or "id" not in user:
        return "no_user_id"
    if usable_id(user["id"]) is None:
        return "bad_user_id"
    return None if storable(raw, envelope) else "unstorable_text"


def _details(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the user, and in the envelope beside what every event has; of one name, the former."""
    own = {name: value for name, value in envelope["data"].items() if name != "user"}
    outer = {name: value for name, value in envelope.items() if name not in ("id", "type", "occurred_at", "data")}
    found = _plain(own)
    found |= {name: value for name, value in _plain(outer).items() if name not in found}
    return dict(list(found.items())[:MOST_DETAILS])


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Texts, numbers and truth values."""
    plain = {name: value for name, value in values.items() if isinstance(value, str | int | float | bool)}
    cut = {name: value[:LONGEST_DETAIL] if isinstance(value, str) else value for name, value in plain.items()}
    return {name: value for name, value in cut.items() if 0 < len(name) <= LONGEST_NAME}


def _consent(told: Statement) -> dict[str, Any]:
    """A statement in the profile's shape; what is not known is left out."""
    at = told.at and told.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"state": told.state.value, "channel": "email", "at": at, "source": told.source, "text_version": told.text_version}
    return {name: value for name, value in body.items() if value is not None}


def _entries(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Vocabulary names as the profile's JSON: `custom.x` goes into `custom`."""
    body: dict[str, Any] = {}
    for name, value in values.items():
        where, own = (body.setdefault("custom", {}), name.removeprefix("custom.")) if name.startswith("custom.") else (body, name)
        where[own] = value
    return body
