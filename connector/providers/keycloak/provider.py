"""Keycloak: check and read the webhooks of the keycloak-events extension, read and write the users of one realm.

Facts this file rests on (Keycloak admin REST API 26, its issues on PUT and user profiles; p2-inc keycloak-events):
- a webhook is signed by HMAC over the body, in hex, with the secret as it is; no time is signed;
- listings are plain arrays, by `first` and `max`; `briefRepresentation=false` brings attributes; nothing filters by change;
- PUT replaces all attributes and may empty what it is not sent, so a user is read, changed and put as a whole; there are no
  versions, so of two writers at one moment the later wins; what the realm's profile does not declare may be dropped silently;
- POST answers 201 and the id only in `Location`, 409 where the email or the username is taken;
- groups and roles are read for each user; both kinds of events may be kept, and are not by default;
- what kept events say of somebody who was deleted stays until it expires.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import requests

from connector.errors import BadDelivery, Exists, Missing, Rejected, Unavailable
from connector.model import Change, Delivery, Item, Statement, User
from connector.providers import consentwords
from connector.providers.base import Capabilities
from connector.providers.http import Rest, new_session
from connector.providers.keycloak import events
from connector.providers.keycloak.listing import PAGE, Listing, Record
from connector.providers.keycloak.memberships import GROUPS, ROLES, Memberships
from connector.providers.keycloak.user import USUAL, Words, laid_over, put, refusal, texts, user_from
from connector.providers.oauth import ClientCredentials
from connector.providers.reading import usable_id
from connector.providers.signature import SignatureScheme, Verifier, scheme_of, short
from connector.providersettings import ProviderSettings
from connector.strictjson import parse, storable

CLOSED = (403, 404)
"""Answers to a call that the client's roles do not allow, or that is not there."""
NOWHERE = "memberships has neither groups nor realm_roles, nor a single attribute, so nothing says where it would go"

T = TypeVar("T")


class Keycloak:
    """One realm. `providers.base.Provider` states what each method promises."""

    needs: Mapping[str, str] = {"consent": "consents", "membership": "memberships"}

    def __init__(
        self,
        name: str,
        secrets: Sequence[str],
        signature: SignatureScheme,
        api_url: str,
        realm: str,
        client: Mapping[str, str],
        words: Words | None = None,
        memberships: Sequence[str] = (),
        token_url: str | None = None,
        session: requests.Session | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """api_url: where Keycloak is. client: `client_id` and `client_secret`. memberships: "groups", "realm_roles"."""
        self.name = name
        self._realm = realm
        self._verifier = Verifier(signature, secrets)
        self._words = words or Words()
        self._clock = clock
        session = session or new_session()
        token_url = token_url or f"{api_url.rstrip('/')}/realms/{quote(realm, safe='')}/protocol/openid-connect/token"
        url = f"{api_url.rstrip('/')}/admin/realms/{quote(realm, safe='')}"
        self._rest = Rest(name, url, ClientCredentials(name, token_url, client, session), session)
        self._listing = Listing(name, self._rest)
        self._memberships = Memberships(name, self._rest, self._listing, memberships)
        self.capabilities = Capabilities(
            read=True, find=True, list=True, list_changed=True, create=True, update=True, delete=True, erase=True,
            consent=bool(self._words.consents),
            membership=bool(self._memberships.places) or len(self._words.memberships) == 1,
        )  # fmt: skip

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        return refusal(field, self._words)

    def unwritable_consent(self, purpose: str) -> str | None:
        """See Particular."""
        return consentwords.refusal(self._words.consents, purpose)

    def unwritable_membership(self, key: str) -> str | None:
        """See Particular."""
        return None if self.capabilities.membership else NOWHERE

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider. No time is signed: a captured delivery may come again, and then says whom to look at."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider. A delivery is one event; its `uid` is in the signed body, so the body tells a repeat."""
        event = parse(delivery.body)
        if event == []:
            return []
        uid = usable_id(event.get("uid")) if isinstance(event, dict) else None
        key = self._verifier.dedupe_key(delivery, delivery.body)
        return [Item(key, short(uid) if uid else "", delivery.body, {}, _problem(delivery.body, event))]

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider. It never carries the user, who is read."""
        event = parse(body)
        if problem := _problem(body, event):
            raise BadDelivery(f"keycloak: {problem}")
        return events.change(event, self._realm)

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        return self._user(self._read(f"read user {user_id}", user_id))

    def find(self, email: str) -> list[User]:
        """See Provider. Raises Rejected when the answer is about other people: then it was not filtered."""
        what, wanted = "find by email", email.strip().lower()
        query = {"email": wanted, "exact": "true", "briefRepresentation": "false", "max": str(PAGE)}
        found = self._listing.page(what, "/users", query)
        same = [one for one in found if str(one.get("email") or "").strip().lower() == wanted]
        if found and not same:
            raise Rejected(f"{self.name}: {what}: the answer holds users with other addresses")
        return [self._user(one) for one in _people(same)]

    def pages(self) -> Iterator[list[User]]:
        """See Provider. With groups or roles, each user costs a call for each of them."""
        count = 0
        for records in self._listing.all("list users", "/users?briefRepresentation=false"):
            count += len(records)
            yield [user for one in _people(records) for user in self._still_there(self._user, one)]
        if not count:
            self._refuse_counted()

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider. By the events that the realm keeps.

        Where it keeps too few, everybody is read for it, and from then on the capabilities say so.
        """
        config = self._config()
        if not events.kept(config) or not events.reach(config, since, self._clock()):
            yield from self.pages()
            self.capabilities = replace(self.capabilities, list_changed=events.kept(config))
            return
        changed = events.changed_users(self._events(since), since)
        oldest_first = sorted(changed, key=changed.__getitem__)
        for place in range(0, len(oldest_first), PAGE):
            page = oldest_first[place : place + PAGE]
            if users := [user for one in page for user in self._still_there(self.fetch, one)]:
                yield users

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider. The address is also the username, unless that is told. The user asks Keycloak for a password."""
        what = "create user"
        body = laid_over(self.name, {"enabled": True, "username": values.get("email")}, values, self._words)
        if not body["username"]:
            raise Rejected(f"{self.name}: {what}: Keycloak needs a username, or an email", {"email": "missing"})
        try:
            reply = self._rest.call(what, "POST", "/users", body=body, fields=values)
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        except Exists as error:
            raise Exists(str(error), self._holder(body)) from None
        made = usable_id(reply.headers.get("Location", "").rstrip("/").rpartition("/")[2])
        if made is None:
            raise Unavailable(f"{self.name}: {what}: {reply.status_code}, but no Location")
        return self.fetch(made)

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider. Never Stale: Keycloak has no versions."""
        what = f"update user {user_id}"
        return self._put(what, user_id, laid_over(self.name, self._read(what, user_id), values, self._words), values)

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider. It is the attribute of the settings' choice."""
        what = f"set a consent of user {user_id}"
        changed = consentwords.changes(self.name, self._words.consents, purpose, told, texts=True)
        body = self._read(what, user_id)
        for name, value in changed.items():
            put(body.setdefault("attributes", {}), name, value)
        return self._put(what, user_id, body, ())

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. It is a group by its path, a realm role by its name, or a value of the one attribute. Never Stale.

        It is given as an attribute's value only where nothing else is configured, and taken away wherever it is.
        """
        what = f"set a membership of user {user_id}"
        if not self.capabilities.membership or usable_id(key) is None:
            raise Rejected(f"{self.name}: {what}: {self.unwritable_membership(key) or 'nothing can have this name'}")
        record = self._read(what, user_id)
        mine = self._memberships.held(user_id, key)
        holding = [name for name in self._words.memberships if key in texts(record, name)]
        if held and (mine or holding):
            return self._user(record)
        if held and self._memberships.places:
            mine = [self._memberships.named(what, user_id, key)]
        elif held:
            holding = list(self._words.memberships)
        for one in mine:
            if not self._memberships.write(what, user_id, one, held):
                self._read(what, user_id)
                raise Rejected(f"{self.name}: {what}: {key} is not there any more")
        for name in holding:
            others = [one for one in texts(record, name) if one != key]
            put(record.setdefault("attributes", {}), name, [*others, key] if held else others)
        return self._put(what, user_id, record, ()) if holding else self.fetch(user_id) if mine else self._user(record)

    def delete(self, user_id: str) -> None:
        """See Provider."""
        self._delete(f"delete user {user_id}", user_id)

    def erase(self, user_id: str) -> None:
        """See Provider. What events the realm keeps of the user go when they expire."""
        self._delete(f"erase user {user_id}", user_id)

    def _delete(self, what: str, user_id: str) -> None:
        try:
            self._rest.call(what, "DELETE", self._path(user_id))
        except Missing:
            return

    def _put(self, what: str, user_id: str, body: Record, fields: Any) -> User:
        self._rest.call(what, "PUT", self._path(user_id), body=body, fields=fields)
        return self.fetch(user_id)

    def _read(self, what: str, user_id: str) -> Record:
        """A user's whole record."""
        record = self._rest.json(what, self._rest.call(what, "GET", self._path(user_id)))
        if usable_id(record.get("id")) != user_id:
            raise Unavailable(f"{self.name}: {what}: 200, but not about this user")
        return record

    def _user(self, record: Record) -> User:
        """Our user, with groups and roles where they are wanted. Raises Missing for one deleted meanwhile."""
        return user_from(record, self._words, self._memberships.entries(str(record["id"])))

    def _still_there(self, read: Callable[[T], User], one: T) -> list[User]:
        """The user, or nobody when it is gone meanwhile."""
        try:
            return [read(one)]
        except Missing:
            return []

    def _config(self) -> Record:
        """How the realm keeps events; nothing where the client may not know."""
        what = "read the configuration of events"
        reply = self._rest.call(what, "GET", "/events/config", accept=CLOSED)
        return {} if reply.status_code in CLOSED else self._rest.json(what, reply)

    def _events(self, since: datetime) -> Iterator[Record]:
        """Kept events of both kinds that are not older, and a few that are."""
        day = f"dateFrom={(since - timedelta(days=1)).date().isoformat()}"
        access = "&".join(f"type={one}" for one in events.TELLING)
        admin = "&".join(f"resourceTypes={one}" for one in events.RESOURCES)
        for what, path in (("list events", f"/events?{day}&{access}"), ("list admin events", f"/admin-events?{day}&{admin}")):
            for page in self._listing.all(what, path, keyed=False):
                yield from page

    def _refuse_counted(self) -> None:
        """An empty listing of a realm that counts users is none. Raises Rejected."""
        reply = self._rest.call("count users", "GET", "/users/count", accept=CLOSED)
        try:
            count = 0 if reply.status_code in CLOSED else parse(reply.content)
        except BadDelivery:
            count = None
        if type(count) is not int or count > 0:
            raise Rejected(f"{self.name}: list users: nobody is listed, though the realm counts some")

    def _holder(self, body: Mapping[str, Any]) -> str | None:
        """The id of who has the name or the address of a user to create; None when nobody tells."""
        for name in ("email", "username"):
            wanted = str(body.get(name) or "").strip().lower()
            query = {name: wanted, "exact": "true", "briefRepresentation": "true"}
            for one in self._listing.page(f"find by {name}", "/users", query) if wanted else []:
                if str(one.get(name) or "").lower() == wanted:
                    return str(one["id"])
        return None

    def _path(self, user_id: str) -> str:
        if usable_id(user_id) is None:
            raise Missing(f"{self.name}: no user can have this id")
        return f"/users/{quote(user_id, safe='')}"


def from_settings(name: str, settings: ProviderSettings) -> Keycloak:
    """See registry.KINDS."""
    elsewhere = tuple(one for one in settings.memberships if one in (GROUPS, ROLES))
    attributes = tuple(one for one in settings.memberships if one not in elsewhere)
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    return Keycloak(
        name,
        secrets=[one.get_secret_value() for one in settings.webhook_secret],
        signature=scheme_of(settings),
        api_url=settings.api_url or "",
        realm=settings.realm or "",
        client={"client_id": settings.client_id or "", "client_secret": secret},
        words=Words({**USUAL, **settings.fields}, settings.consents, attributes),
        memberships=elsewhere,
        token_url=settings.auth_url,
    )


def _problem(raw: bytes, event: Any) -> str | None:
    """Why an event cannot be read; None when it can."""
    return events.problem(event) or (None if storable(raw, event) else "unstorable_text")


def _people(records: list[Record]) -> list[Record]:
    """Without the accounts that services have."""
    return [one for one in records if not one.get("serviceAccountClientId")]
