"""Auth0: check and read the deliveries of its event streams, read and write the users of one tenant.

Facts this file rests on (Auth0 documentation, "Create an event stream", "Management API v2", "Rate limit policy"):
- a delivery is not signed: its `Authorization`, or another header, is what was chosen when the stream was made; only four
  attempts are made within seconds, and none after a 4xx, so a listing has to find what was lost;
- a token for the Management API is got with client credentials, from the tenant's own domain, for the API as its audience;
- ids have a `|`; emails of databases are kept in lower case, and looked up so; a search lags behind, reading one user does not;
- 429 comes with `x-ratelimit-reset`, seconds since 1970; there are no versions and no idempotency keys;
- a new user needs a database (`connection`) and a password; deleting somebody who is not there is no error.
"""

import secrets as randomness
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import requests

from connector.errors import BadDelivery, Exists, Missing, Rejected, Unavailable
from connector.model import Change, Delivery, Item, Statement, User
from connector.providers import consentwords
from connector.providers.auth0 import events, listing
from connector.providers.auth0.listing import array
from connector.providers.auth0.memberships import ORGANIZATIONS, ROLES, Memberships
from connector.providers.auth0.user import USUAL, Words, body, deep, placed, refusal, user_from
from connector.providers.base import Capabilities
from connector.providers.http import LONGEST_WAIT, Rest, new_session, retry_after
from connector.providers.oauth import ClientCredentials
from connector.providers.reading import details, moment, objects, usable_id
from connector.providers.signature import Verifier, scheme_of, short
from connector.providersettings import ProviderSettings
from connector.strictjson import parse, storable

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any user was made."""
ELSEWHERE = "it stands in metadata, which is written as a field; only organizations and roles are given and taken"


@dataclass(frozen=True)
class Tenant:
    """What an operator decides of a tenant.

    connection: the database that users are created in; without one nobody is. listing: how all users are listed.
    trust: full, the fields of a delivery are taken; auto, what happened is; hint, it only says whom to look at.
    memberships: "organizations", "roles": read for each user, given and taken.
    """

    connection: str | None = None
    listing: Literal["paged", "bulk"] = "paged"
    trust: Literal["auto", "full", "hint"] = "auto"
    words: Words = field(default_factory=Words)
    memberships: tuple[str, ...] = ()


class Auth0:
    """One tenant. `providers.base.Provider` states what each method promises."""

    needs: Mapping[str, str] = {"create": "connection", "consent": "consents", "membership": "memberships"}

    def __init__(
        self,
        name: str,
        verifier: Verifier,
        api_url: str,
        token_url: str,
        client: Mapping[str, str],
        tenant: Tenant,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """api_url: the Management API. client: `client_id`, `client_secret` and `audience`."""
        self.name = name
        self._verifier = verifier
        self._tenant = tenant
        self._words = tenant.words
        self._session = session or new_session()
        self._sleep = sleep
        self._rest = Rest(name, api_url, ClientCredentials(name, token_url, client, self._session), self._session, _pause)
        self._memberships = Memberships(name, self._rest, tenant.memberships)
        self.capabilities = Capabilities(
            read=True, find=True, list=True, list_changed=True, create=bool(tenant.connection), update=True, delete=True,
            erase=True, consent=bool(tenant.words.consents), membership=bool(tenant.memberships),
        )  # fmt: skip

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        return refusal(field, self._words)

    def unwritable_consent(self, purpose: str) -> str | None:
        """See Particular."""
        return consentwords.refusal(self._words.consents, purpose)

    def unwritable_membership(self, key: str) -> str | None:
        """See Particular."""
        return None if self.capabilities.membership else ELSEWHERE

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider. It proves who sends, not what is sent."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider. A delivery is one event, whose own id tells a repeat."""
        event = parse(delivery.body)
        if event == []:
            return []
        own = usable_id(event.get("id")) if isinstance(event, dict) else None
        key = short(own) if own else self._verifier.dedupe_key(delivery, delivery.body)
        return [Item(key, short(own) if own else "", delivery.body, {}, _problem(delivery.body, event))]

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider. The user is carried only where deliveries are trusted in full."""
        event = parse(body)
        if problem := _problem(body, event):
            raise BadDelivery(f"auth0: {problem}")
        kind, trust = events.kind(event), self._tenant.trust
        known = kind in events.KINDS.values()
        told = {"type": events.name(event), "tenant": event.get("a0tenant"), "stream": event.get("a0stream")}
        whole = trust == "full" and kind in ("user.created", "user.updated")
        return Change(
            kind="user.updated" if known and trust == "hint" else kind,
            record_id=events.user_of(event) or "",
            occurred_at=moment(event.get("time")),
            event_id=usable_id(event.get("id")) or "",
            user=user_from(events.user(event), self._words) if whole else None,
            details=details(told),
        )

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        return self._user(self._read(f"read user {user_id}", user_id))

    def find(self, email: str) -> list[User]:
        """See Provider. Raises Rejected when the answer is about other people: then it was not filtered."""
        what, wanted = "find by email", email.strip().lower()
        try:
            found = array(self.name, self._rest, what, "/users-by-email", {"email": wanted})
        except Missing as error:
            raise Rejected(f"{error}: is domain right?") from None
        same = [one for one in found if str(one.get("email") or "").strip().lower() == wanted and usable_id(one.get("user_id"))]
        if found and not same:
            raise Rejected(f"{self.name}: {what}: the answer holds users with other addresses")
        return [self._user(one) for one in same]

    def pages(self) -> Iterator[list[User]]:
        """See Provider. By time of creation, or by an export, as configured."""
        if self._tenant.listing == "bulk":
            records = listing.exported(self.name, self._rest, self._session, self._sleep)
        else:
            records = listing.windows(self.name, "list users", self._rest, "created_at", BEGINNING)
        return self._users(records)

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider. A search lags, by seconds mostly."""
        return self._users(listing.windows(self.name, "list changed users", self._rest, "updated_at", since))

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider. With a password that nobody knows, and without a mail from Auth0."""
        what = "create user"
        if self._tenant.connection is None:
            raise Rejected(f"{self.name}: {what}: no connection is configured")
        told = body({path: value for path, value in placed(self.name, values, self._words).items() if value is not None}, {})
        password = randomness.token_urlsafe(24) + "aA1!"
        try:
            reply = self._rest.call(
                what, "POST", "/users",
                body={"connection": self._tenant.connection, "password": password, "verify_email": False, **told}, fields=values,
            )  # fmt: skip
        except Missing as error:
            raise Rejected(f"{error}: is domain right?") from None
        except Exists as error:
            raise Exists(str(error), self._holder(told)) from None
        return self._user(self._record(what, reply))

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider. Never Stale: Auth0 has no versions."""
        return self._patch(f"update user {user_id}", user_id, placed(self.name, values, self._words), values)

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider. It is the key of metadata of the settings' choice."""
        changed = consentwords.changes(self.name, self._words.consents, purpose, told, texts=False)
        return self._patch(f"set a consent of user {user_id}", user_id, changed, ())

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. It is an organization or a role, by its name. Never Stale: Auth0 has no versions."""
        what = f"set a membership of user {user_id}"
        if not self.capabilities.membership or usable_id(key) is None:
            raise Rejected(f"{self.name}: {what}: {self.unwritable_membership(key) or 'nothing can have this name'}")
        record = self._read(what, user_id)
        mine = self._memberships.held(user_id, key)
        in_metadata = key in [one["key"] for one in user_from(record, self._words).memberships or ()]
        if in_metadata and not held:
            raise Rejected(f"{self.name}: {what}: {key}: {ELSEWHERE}")
        changes = mine if not held else [] if mine or in_metadata else [self._memberships.named(what, key)]
        for one in changes:
            if not self._memberships.write(what, user_id, one, held):
                self._read(what, user_id)
                raise Rejected(f"{self.name}: {what}: {key} is not there any more")
        return self.fetch(user_id) if changes else self._user(record)

    def delete(self, user_id: str) -> None:
        """See Provider."""
        self._delete(f"delete user {user_id}", user_id)

    def erase(self, user_id: str) -> None:
        """See Provider. The tenant's logs keep what they say until they expire."""
        self._delete(f"erase user {user_id}", user_id)

    def _delete(self, what: str, user_id: str) -> None:
        try:
            self._rest.call(what, "DELETE", self._path(user_id))
        except Missing:
            return

    def _patch(self, what: str, user_id: str, changed: Mapping[str, Any], fields: Any) -> User:
        record = self._read(what, user_id) if deep(changed) else {}
        reply = self._rest.call(what, "PATCH", self._path(user_id), body=body(changed, record), fields=fields)
        return self._user(self._record(what, reply, user_id))

    def _read(self, what: str, user_id: str) -> dict[str, Any]:
        return self._record(what, self._rest.call(what, "GET", self._path(user_id)), user_id)

    def _record(self, what: str, reply: requests.Response, user_id: str | None = None) -> dict[str, Any]:
        record = self._rest.json(what, reply)
        found = usable_id(record.get("user_id"))
        if found is None or user_id not in (None, found):
            raise Unavailable(f"{self.name}: {what}: {reply.status_code}, but not about this user")
        return record

    def _user(self, record: Mapping[str, Any]) -> User:
        """Our user, with organizations and roles where they are wanted. Raises Missing for one deleted meanwhile."""
        return user_from(record, self._words, self._memberships.entries(str(record["user_id"])))

    def _users(self, pages: Iterator[list[listing.Record]]) -> Iterator[list[User]]:
        for records in pages:
            users = []
            for one in records:
                try:
                    users.append(self._user(one))
                except Missing:  # deleted since it was listed
                    continue
            yield users

    def _holder(self, told: Mapping[str, Any]) -> str | None:
        """The id of who has the address, in the database that users are created in; None when nobody tells."""
        email = str(told.get("email") or "")
        try:
            found = array(self.name, self._rest, "find by email", "/users-by-email", {"email": email.lower()}) if email else []
        except Missing:
            found = []
        held = [
            one for one in found if self._tenant.connection in [mine.get("connection") for mine in objects(one.get("identities"))]
        ]
        return usable_id(held[0].get("user_id")) if held else None

    def _path(self, user_id: str) -> str:
        if usable_id(user_id) is None:
            raise Missing(f"{self.name}: no user can have this id")
        return f"/users/{quote(user_id, safe='')}"


def from_settings(name: str, settings: ProviderSettings) -> Auth0:
    """See registry.KINDS."""
    domain = (settings.domain or "").removeprefix("https://").strip("/")
    elsewhere = tuple(one for one in settings.memberships if one in (ORGANIZATIONS, ROLES))
    paths = tuple(one for one in settings.memberships if one not in elsewhere)
    client = {
        "client_id": settings.client_id or "",
        "client_secret": settings.client_secret.get_secret_value() if settings.client_secret else "",
        "audience": settings.audience or f"https://{domain}/api/v2/",
    }
    return Auth0(
        name,
        Verifier(scheme_of(settings), [one.get_secret_value() for one in settings.webhook_secret]),
        api_url=settings.api_url or f"https://{domain}/api/v2",
        token_url=settings.auth_url or f"https://{domain}/oauth/token",
        client=client,
        tenant=Tenant(
            connection=settings.connection,
            listing=settings.listing,
            trust=settings.trust,
            words=Words({**USUAL, **settings.fields}, settings.consents, paths),
            memberships=elsewhere,
        ),
    )


def _problem(raw: bytes, event: Any) -> str | None:
    """Why an event cannot be read; None when it can."""
    return events.problem(event) or (None if storable(raw, event) else "unstorable_text")


def _pause(reply: requests.Response) -> float:
    """Seconds to wait; where too many calls were made, until they are counted anew; 0 when it does not say."""
    if (told := retry_after(reply)) or reply.status_code != 429:
        return told
    text = reply.headers.get("x-ratelimit-reset", "")
    seconds = int(text) - time.time() if text.isascii() and text.isdigit() and len(text) < 12 else 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT)
