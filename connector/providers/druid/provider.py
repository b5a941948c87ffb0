"""DruID: read and write its users.

Facts this file rests on (DruID developer site: "OAuth 2", "Get user info by object id", "Query user", "Register",
"Delete immediate", "Obtain challenge_code token"; its iOS and PHP SDKs):
- two hosts: one gives out tokens, at /oauth2/token for client credentials; the other has the API; a `From` header names the entry
  point that a call is made for, which also decides what a new user may have: anything else is silently discarded;
- answers stand in `content`, beside `result`; a missing user is 404;
- an edit is said to take `ids`, `datas`, `addresses` and `assertions`; whether it takes `typologies` nowhere public stands, so
  they are written only where the operator says so, as the whole list, and looked at afterwards;
- a user is found by email with the older /api/user, whose token stands in the form;
- nothing lists all users, nor those that changed;
- deleting at once needs a token of its own, bound to a verifier, which the vendor must have allowed the app to get.
"""

import base64
import hashlib
import secrets as randomness
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import requests

from connector.errors import ConfigError, Exists, Missing, Rejected, Stale, Unavailable
from connector.model import USER_KINDS, Change, ConsentState, Delivery, Item, Statement, User
from connector.providers.base import Capabilities
from connector.providers.druid import user as shape
from connector.providers.druid.edits import Edits, content_of
from connector.providers.druid.events import EVENTS, Events
from connector.providers.druid.user import Words
from connector.providers.http import Bearer, Rest, new_session
from connector.providers.oauth import ClientCredentials, NoAuth, fetch_token
from connector.providers.reading import mapping, objects, usable_id
from connector.providers.signature import Verifier, scheme_of
from connector.settings import ProviderSettings

USER, CREATE, DELETE = "/activityid/v1/user", "/activityid/v1/user/create", "/activityid/v1/user/delete"
QUERY, TOKEN = "/api/user", "/oauth2/token"
UNDOCUMENTED = "nowhere public is it said that DruID lets typologies be written (write_typologies)"
CHALLENGE = "urn:druid:oauth2:grant-type:code_challenge"


@dataclass(frozen=True)
class App:
    """Who calls: DruID's app, at one of its entry points. patch_path: of the call that edits one user, if it is known.

    may_delete: whether it lets us delete users. typologies: whether an edit takes them.
    """

    client_id: str
    client_secret: str = field(repr=False)
    entry_point: str | None = None
    patch_path: str | None = None
    may_delete: bool = False
    typologies: bool = False


class Druid:
    """One app of a DruID platform. `providers.base.Provider` states what each method promises."""

    needs: Mapping[str, str] = {"create": "entry_point", "delete": "allow_delete", "erase": "allow_delete",
                                "membership": "write_typologies"}  # fmt: skip

    def __init__(
        self,
        name: str,
        verifier: Verifier,
        events: Events,
        api_url: str,
        token_url: str,
        app: App,
        words: Words,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """api_url: the graph host. token_url: the token endpoint."""
        self.name = name
        self._verifier, self._events, self._app, self._words = verifier, events, app, words
        session = session or new_session()
        self._credentials = {"client_id": app.client_id, "client_secret": app.client_secret}
        self._tokens = ClientCredentials(name, token_url, self._credentials, session)
        self._token_rest = Rest(name, token_url, NoAuth(), session)
        self._rest = Rest(name, api_url, self._tokens, session)
        self._form_rest = Rest(name, api_url, NoAuth(), session)
        self._api_url, self._session = api_url, session
        self._from = {"From": app.entry_point} if app.entry_point else {}
        self._edits = Edits(name, self._rest, self._from, app.patch_path, sleep)
        self.capabilities = Capabilities(
            read=True, find=True, create=bool(app.entry_point), update=True, consent=True, membership=app.typologies,
            delete=app.may_delete, erase=app.may_delete,
        )  # fmt: skip

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        return None if shape.native(field) else "DruID keeps this itself"

    def unwritable_membership(self, key: str) -> str | None:
        """See Particular."""
        return None if self.capabilities.membership else UNDOCUMENTED

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider."""
        return self._events.items(delivery, self._verifier)

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider. It never carries the user, who is read."""
        return self._events.change(body, meta)

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        return shape.user_from(self._read(user_id), self._words)

    def find(self, email: str) -> list[User]:
        """See Provider. Raises Rejected when the answer is about other people: then it was not filtered."""
        what = "find by email"
        answer = self._query(what, email)
        found = answer.get("data")
        if not isinstance(found, list) and not (found is None and answer.get("count") == 0):
            raise Rejected(f"{self.name}: {what}: the answer is no listing")
        people = [mapping(one.get("user")) for one in objects(found)]
        same = [one for one in people if _same_address(one, email)]
        if people and not same:
            raise Rejected(f"{self.name}: {what}: the answer holds users with other addresses")
        return [user for one in same for user in self._still_there(one.get("oid"))]

    def pages(self) -> Iterator[list[User]]:
        """See Provider. There is no such call."""
        self._cannot("list users")

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider. There is no such call."""
        self._cannot("list changed users")

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider. The person sets a password of their own by asking DruID for a new one."""
        what = "create user"
        if not self.capabilities.create:
            raise Rejected(f"{self.name}: no entry_point is configured, so nobody can be registered")
        self._refuse_unwritable(what, values)
        person = {
            "objectType": "user", "password": randomness.token_urlsafe(24) + "aA1!", "ids": {}, "datas": {},
            **shape.fields_of(values, self._words), "assertions": shape.assertions_of("", (), granted=True),
        }  # fmt: skip
        try:
            reply = self._edits.write(what, "POST", CREATE, values, body=self._activity("create", person))
        except (Rejected, Missing, Exists) as error:
            self._say_who_has(values.get("email"))
            raise error if isinstance(error, Rejected | Exists) else Rejected(f"{error}: is api_url right?") from None
        made = usable_id(content_of(self._rest.json(what, reply)).get("objectId"))
        if made is None:
            raise Unavailable(f"{self.name}: {what}: {reply.status_code}, but no objectId")
        return self.fetch(made)

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider. A confirmed address stays until the person confirms the new one, so the answer may show the old one."""
        what = f"update user {user_id}"
        self._refuse_unwritable(what, values)
        self._check_version(what, self._read(user_id), etag)
        self._edits.patch(what, user_id, shape.fields_of(values, self._words), values)
        return self.fetch(user_id)

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider. A `purpose` is a type of assertion, for all typologies, or `type/typology`."""
        what = f"set a consent of user {user_id}"
        if told.state is ConsentState.UNKNOWN:
            raise Rejected(f"{self.name}: {what}: DruID has no word for an unknown consent")
        record = self._read(user_id)
        self._check_version(what, record, etag)
        kind, typologies = self._to_answer(what, record, purpose, told.state is ConsentState.GRANTED)
        if not typologies:
            return shape.user_from(record, self._words)
        changes = {"assertions": shape.assertions_of(kind, typologies, told.state is ConsentState.GRANTED)}
        self._edits.patch(what, user_id, changes, ())
        return self.fetch(user_id)

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. It is a typology. One that DruID does not keep, although it took the edit, is refused."""
        what = f"set a typology of user {user_id}"
        if not self.capabilities.membership or usable_id(key) is None:
            raise Rejected(f"{self.name}: {what}: {self.unwritable_membership(key) or 'no typology can have this name'}")
        record = self._read(user_id)
        self._check_version(what, record, etag)
        told = record.get("typologies")
        if not isinstance(told, list):
            raise Rejected(f"{self.name}: {what}: the user's other typologies are not told, and would be lost")
        if (key in told) is held:
            return shape.user_from(record, self._words)
        self._edits.patch(what, user_id, {"typologies": [*told, key] if held else [one for one in told if one != key]}, ())
        user = self.fetch(user_id)
        if (key in [one["key"] for one in user.memberships or ()]) is not held:
            raise Rejected(f"{self.name}: {what}: DruID took the edit, and left {key} as it was")
        return user

    def delete(self, user_id: str) -> None:
        """See Provider."""
        what = f"delete user {user_id}"
        if not self._app.may_delete:
            raise Rejected(f"{self.name}: {what}: allow_delete is not configured")
        verifier = randomness.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        form = {"code_challenge": challenge, "code_challenge_method": "S256", "scope": "delete", "grant_type": CHALLENGE}
        token, _ = fetch_token(self.name, self._token_rest, {**self._credentials, **form})
        body = self._activity("delete", {"objectType": "user", "objectId": user_id})
        try:
            deleter = Rest(self.name, self._api_url, Bearer(token), self._session)
            deleter.call(what, "POST", DELETE, query={"code_verifier": verifier}, body=body, headers=self._from)
        except Missing:
            return

    def erase(self, user_id: str) -> None:
        """See Provider. Deleting removes all there is."""
        self.delete(user_id)

    def _cannot(self, what: str) -> NoReturn:
        raise Rejected(f"{self.name}: {what}: DruID has no such call")

    def _read(self, user_id: str) -> dict[str, Any]:
        what = f"read user {user_id}"
        if usable_id(user_id) is None:
            raise Missing(f"{self.name}: no user can have this id")
        reply = self._rest.call(what, "GET", f"{USER}/{quote(user_id, safe='')}", headers=self._from)
        record = content_of(self._rest.json(what, reply))
        if usable_id(record.get("objectId")) != user_id:
            raise Unavailable(f"{self.name}: {what}: {reply.status_code}, but not about this user")
        return record

    def _still_there(self, user_id: object) -> list[User]:
        """The user with an id that a query told, unless it was deleted meanwhile."""
        try:
            return [self.fetch(str(user_id))] if usable_id(user_id) else []
        except Missing:
            return []

    def _query(self, what: str, email: str) -> dict[str, Any]:
        """Ask the older API, which takes the token in the form."""
        form = {"oauth_token": self._tokens.token(), "f": "User", "s": "*", "w.email": email}
        try:
            reply = self._form_rest.call(what, "POST", QUERY, data=form, accept=(401,))
            if reply.status_code == 401:
                form["oauth_token"] = self._tokens.token(refused=form["oauth_token"])
                reply = self._form_rest.call(what, "POST", QUERY, data=form)
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        return self._rest.json(what, reply)

    def _say_who_has(self, email: object) -> None:
        """After a refused registration: raise Exists when a user with this address is there, perhaps made by an earlier try."""
        found = self.find(email) if isinstance(email, str) and email else []
        if len(found) == 1:
            raise Exists(f"{self.name}: create user: the email is taken", found[0].id) from None
        if found:
            raise Exists(f"{self.name}: create user: the email is taken, by several") from None

    def _refuse_unwritable(self, what: str, values: Collection[str]) -> None:
        if refused := {name: why for name in values if (why := self.unwritable(name))}:
            raise Rejected(f"{self.name}: {what}: not to be written", refused)

    def _check_version(self, what: str, record: Mapping[str, Any], etag: str | None) -> None:
        """DruID knows no conditional writes, so this is as near as one gets."""
        if etag is not None and shape.version(record) != etag:
            raise Stale(f"{self.name}: {what}: it changed since it was read")

    def _to_answer(self, what: str, record: Mapping[str, Any], purpose: str, granted: bool) -> tuple[str, list[str]]:
        """The type of assertion, and the typologies whose answer is another one than it is to be."""
        kind, _, only = purpose.partition("/")
        mine = [one for one in shape.assertions(record) if one.get("type") == kind and isinstance(one.get("typology"), str)]
        known = {one["typology"]: shape.answered(one) for one in mine}
        wanted = [only] if only else list(known) or [one for one in record.get("typologies") or () if isinstance(one, str)]
        if not kind or not wanted:
            raise Rejected(f"{self.name}: {what}: the user has neither an assertion of this type nor a typology for one")
        return kind, [one for one in wanted if known.get(one) is not granted]

    def _activity(self, verb: str, person: Mapping[str, Any]) -> dict[str, Any]:
        """What happened, in the words of Activity Streams."""
        return {
            "actor": {"id": self._app.client_id, "objectType": "application"},
            "verb": verb,
            "object": person,
            "source": {"id": "unknown", "objectType": "device"},
        }


def _same_address(person: Mapping[str, Any], email: str) -> bool:
    known = mapping(mapping(person.get("user_ids")).get("email")).get("value")
    return isinstance(known, str) and known.strip().casefold() == email.strip().casefold()


def from_settings(name: str, settings: ProviderSettings) -> Druid:
    """See registry.KINDS."""
    _check(settings)
    auth_url, secret = str(settings.auth_url), settings.client_secret
    app = App(
        client_id=str(settings.client_id),
        client_secret=secret.get_secret_value() if secret else "",
        entry_point=settings.entry_point,
        patch_path=settings.patch_path,
        may_delete=settings.allow_delete,
        typologies=settings.write_typologies,
    )
    events = Events(
        {**EVENTS, **settings.events}, settings.event_path or Events.name, settings.user_id_path or Events.user_id,
        settings.occurred_at_path,
    )  # fmt: skip
    return Druid(
        name,
        Verifier(scheme_of(settings), [one.get_secret_value() for one in settings.webhook_secret]),
        events,
        api_url=str(settings.api_url),
        token_url=auth_url if urlsplit(auth_url).path.strip("/") else auth_url.rstrip("/") + TOKEN,
        app=app,
        words=Words(settings.date_format, settings.pending_email_path, settings.consent_at_path),
    )


def _check(settings: ProviderSettings) -> None:
    """What no type says of the settings. Raises ConfigError."""
    findings = [
        f"events.{event}: expected one of {', '.join(USER_KINDS)}, found '{kind}'"
        for event, kind in settings.events.items()
        if kind not in USER_KINDS
    ]
    for key in ("event_path", "user_id_path", "occurred_at_path", "pending_email_path", "consent_at_path", "patch_path"):
        value = getattr(settings, key)
        if value is not None and not value.startswith("/"):
            findings.append(f"{key}: expected a path that begins with /, found '{value}'")
    if findings:
        raise ConfigError(findings)
