"""SCIM 2.0: read, list and write the users of any server. It sends no webhooks, so it is asked.

Facts this file rests on (RFC 7643, RFC 7644, and what servers were seen to do):
- media type application/scim+json; errors are 4xx with a `scimType`, `uniqueness` with 409 and sometimes with 400;
- PATCH is optional and answers 200 with the user, or 204; where it is missing, 404, 405 or 501, PUT takes the whole user;
- `ETag`, or `meta.version`, comes back in `If-Match`; a server without versions ignores it;
- DELETE is optional, too: some servers only switch users off, which leaves `active` false;
- a filter on emails is understood as `emails.value`, as `emails[value eq ...]`, or not at all, and `userName eq` nearly always.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NoReturn
from urllib.parse import quote

import requests

from connector.errors import BadDelivery, BadSignature, ConfigError, Exists, Missing, Rejected, Stale, Unavailable
from connector.model import Change, Delivery, Item, Statement, User
from connector.providers import consentwords
from connector.providers.base import Capabilities
from connector.providers.http import Bearer, Rest, failure
from connector.providers.reading import mapping, usable_id
from connector.providers.scim.groups import Groups
from connector.providers.scim.listing import Listing, Record, Refused
from connector.providers.scim.user import (
    CORE_SCHEMA,
    HEADERS,
    PLAIN,
    USUAL,
    Words,
    changes,
    first,
    inactive,
    laid_over,
    look,
    patch,
    quoted,
    refusal,
    user_from,
)  # fmt: skip
from connector.providersettings import ProviderSettings
from connector.strictjson import parse

WITHOUT = (404, 405, 501)
"""Answers of a server that has no such call."""
BY_EMAIL = ("emails.value eq {}", "emails[value eq {}]", "userName eq {}")


class Scim:
    """One SCIM server. `providers.base.Provider` states what each method promises."""

    needs: Mapping[str, str] = {"consent": "consents"}

    def __init__(
        self,
        name: str,
        api_url: str,
        api_key: str,
        words: Words | None = None,
        off: Literal["deleted", "keep"] = "deleted",
        session: requests.Session | None = None,
    ) -> None:
        """api_url: where /Users is. off: what a user with `active` false counts as: deleted, or a user like any other."""
        self.name = name
        self._rest = Rest(name, api_url, Bearer(api_key), session)
        self._listing = Listing(name, self._rest)
        self._groups = Groups(name, self._rest)
        self._words = words or Words()
        self._off_is_gone = off == "deleted"
        self._patches = True
        self._by_email: tuple[str, ...] = BY_EMAIL
        self.capabilities = Capabilities(
            read=True, find=True, list=True, list_changed=True, create=True, update=True, delete=True, erase=True,
            consent=bool(self._words.consents), membership=True,
        )  # fmt: skip

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        return refusal(field, self._words)

    def unwritable_consent(self, purpose: str) -> str | None:
        """See Particular."""
        return consentwords.refusal(self._words.consents, purpose)

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider. SCIM servers send nothing, so whoever does is none."""
        raise BadSignature("a SCIM server sends no webhooks", "unsigned")

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider."""
        self._no_webhooks()

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider."""
        self._no_webhooks()

    def fetch(self, user_id: str) -> User:
        """See Provider. A user who is switched off is missing, if that counts as deleted."""
        return self._user(*self._read(f"read user {user_id}", user_id))

    def find(self, email: str) -> list[User]:
        """See Provider. Where no filter is understood or applied, everybody is read for it."""
        wanted = email.strip().lower()
        return [user for user in self._users(self._asked(email.strip())) if str(user.values.get("email") or "").lower() == wanted]

    def pages(self) -> Iterator[list[User]]:
        """See Provider. Those who are switched off are gone, if that counts as deleted."""
        for records in self._listing.all("list users"):
            yield [self._told(one) for one in records]

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider. Nobody who was deleted is among them: only a listing of all shows that. Who was switched off is.

        Where filters turn out to be of no use, everybody is read for it, and from then on the capabilities say so.
        """
        for records in self._listing.changed(since):
            yield [self._told(one) for one in records]
        self.capabilities = replace(self.capabilities, list_changed=self._listing.filters)

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider. The address is also the userName, unless that is told. A repeat is refused as a name that is taken."""
        what = "create user"
        body = laid_over({"schemas": [CORE_SCHEMA], "active": True}, changes(self.name, values, {}, self._words))
        body.setdefault("userName", values.get("email"))
        if not body["userName"]:
            raise Rejected(f"{self.name}: {what}: SCIM needs a userName, or an email", {"email": "missing"})
        try:
            reply = self._send(what, "POST", "/Users", body, values)
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        except Exists as error:
            raise Exists(str(error), self._holder(body)) from None
        return self._user(*self._record(what, reply))

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider."""

        def change(record: Record) -> Mapping[str, Any]:
            return changes(self.name, values, record, self._words)

        return self._user(*self._change(f"update user {user_id}", user_id, change, values, etag))

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider. It is the attribute of the settings' choice."""
        changed = consentwords.changes(self.name, self._words.consents, purpose, told, texts=False)
        return self._user(*self._change(f"set a consent of user {user_id}", user_id, lambda record: changed, (), etag))

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. It is a group, by the name that the user's groups show."""
        what = f"set a group of user {user_id}"
        if usable_id(key) is None:
            raise Rejected(f"{self.name}: {what}: no group can be called so")
        record, version = self._read(what, user_id)
        before = self._user(record, version)
        self._refuse_stale(what, etag, version)
        mine = self._groups.held(record, key)
        changes = self._groups.to_give(what, key, mine) if held else self._groups.to_take(what, key, mine)
        for group_id in changes:
            if not self._groups.write(what, user_id, group_id, held):
                self._read(what, user_id)
                raise Rejected(f"{self.name}: {what}: {key} is gone, or the server does not change groups")
        return self._regrouped(what, before, key, held) if changes else before

    def delete(self, user_id: str) -> None:
        """See Provider. Where nothing can be deleted, the user is switched off, if that counts as deleted."""
        if self._delete(f"delete user {user_id}", user_id):
            return
        if not self._off_is_gone:
            raise Rejected(f"{self.name}: delete user {user_id}: the server deletes nobody")
        try:
            self._change(f"switch off user {user_id}", user_id, lambda record: {"active": False}, ())
        except Missing:
            return

    def erase(self, user_id: str) -> None:
        """See Provider. Being switched off is not being forgotten, so a server that deletes nobody cannot."""
        if not self._delete(f"erase user {user_id}", user_id):
            raise Rejected(f"{self.name}: erase user {user_id}: the server deletes nobody")

    def _regrouped(self, what: str, before: User, key: str, held: bool) -> User:
        """A user whose groups were changed. Who had some, and of whom none are told any more, has none."""
        user = self.fetch(before.id)
        if user.memberships is None and before.memberships is not None:
            user = replace(user, memberships=())
        if held and key not in [one["key"] for one in user.memberships or ()]:
            raise Rejected(f"{self.name}: {what}: {key} was given, but the server does not show it among the user's groups")
        return user

    def _no_webhooks(self) -> NoReturn:
        raise BadDelivery("scim: a SCIM server sends no webhooks")

    def _delete(self, what: str, user_id: str) -> bool:
        """Whether the user is gone now; False where there is no such call."""
        try:
            return self._rest.call(what, "DELETE", self._path(user_id), accept=(405, 501)).status_code < 400
        except Missing:
            return True

    def _change(
        self, what: str, user_id: str, change: Callable[[Record], Mapping[str, Any]], fields: Any, etag: str | None = None
    ) -> tuple[Record, str | None]:
        """Read, change, and tell the user as it is then. Raises Stale, Missing, Rejected."""
        record, version = self._read(what, user_id)
        self._refuse_stale(what, etag, version)
        changed = change(record)
        stamp = etag or version
        headers = {"If-Match": stamp} if stamp else {}
        reply = self._patched(what, user_id, changed, headers, fields)
        if reply is None:
            reply = self._send(what, "PUT", self._path(user_id), laid_over(record, changed), fields, headers)
        whole = reply.status_code != 204 and reply.content and look(self._rest.json(what, reply), "userName") is not None
        return self._record(what, reply, user_id) if whole else self._read(what, user_id)

    def _refuse_stale(self, what: str, etag: str | None, version: str | None) -> None:
        if etag and version and etag != version:
            raise Stale(f"{self.name}: {what}: it changed since it was read")

    def _patched(
        self, what: str, user_id: str, changed: Mapping[str, Any], headers: Mapping[str, str], fields: Any
    ) -> requests.Response | None:
        """The answer to a PATCH; None where there is no such call."""
        if not self._patches:
            return None
        reply = self._send(what, "PATCH", self._path(user_id), patch(changed), fields, headers, WITHOUT)
        if reply.status_code == 404:
            self._read(what, user_id)  # or is it the user who is gone?
        self._patches = reply.status_code not in WITHOUT
        return reply if self._patches else None

    def _send(
        self, what: str, method: str, path: str, body: Any, fields: Any, headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
    ) -> requests.Response:  # fmt: skip
        reply = self._rest.call(what, method, path, body=body, headers={**HEADERS, **(headers or {})}, accept=(400, *accept))
        if reply.status_code != 400:
            return reply
        if _scim_type(reply) == "uniqueness":
            raise Exists(f"{self.name}: {what}: 400")
        raise failure(f"{self.name}: {what}", reply, fields)

    def _read(self, what: str, user_id: str) -> tuple[Record, str | None]:
        return self._record(
            what, self._rest.call(what, "GET", self._path(user_id), headers={"Accept": HEADERS["Accept"]}), user_id
        )

    def _record(self, what: str, reply: requests.Response, user_id: str | None = None) -> tuple[Record, str | None]:
        """The user an answer is about, and its version."""
        record = self._rest.json(what, reply)
        found = usable_id(look(record, "id"))
        if found is None or user_id not in (None, found):
            raise Unavailable(f"{self.name}: {what}: {reply.status_code}, but not about this user")
        return record, reply.headers.get("ETag") or user_from(record, self._words).etag

    def _user(self, record: Record, etag: str | None) -> User:
        if self._gone(record):
            raise Missing(f"{self.name}: user {look(record, 'id')} is switched off")
        return user_from(record, self._words, etag)

    def _told(self, record: Record) -> User:
        return replace(user_from(record, self._words), gone=self._gone(record))

    def _gone(self, record: Record) -> bool:
        return self._off_is_gone and inactive(record)

    def _users(self, pages: Iterator[list[Record]]) -> Iterator[User]:
        return (self._told(one) for records in pages for one in records if not self._gone(one))

    def _asked(self, email: str) -> Iterator[list[Record]]:
        """Users for filters on an address, one after the other until somebody is found. Everybody, if none is understood."""
        understood = False
        for query in self._by_email:
            found = False
            try:
                for records in self._listing.all("find by email", query.format(quoted(email))):
                    found = True
                    yield records
            except Refused:
                self._by_email = tuple(one for one in self._by_email if one != query)
                continue
            understood = True
            if found:
                return
        if not understood:
            yield from self._listing.all("find by email")

    def _holder(self, body: Mapping[str, Any]) -> str | None:
        """The id of who has the name or the address of a user to create; None when nobody tells."""
        name = str(body["userName"])
        try:
            found = [one for page in self._listing.all("find by name", f"userName eq {quoted(name)}") for one in page]
        except Rejected:
            found = []
        ids = [str(look(one, "id")) for one in found if str(look(one, "userName")).casefold() == name.casefold()]
        email = look(first(look(body, "emails")), "value")
        ids = ids or [user.id for user in (self.find(email) if isinstance(email, str) else [])]
        return ids[0] if ids else None

    def _path(self, user_id: str) -> str:
        if usable_id(user_id) is None:
            raise Missing(f"{self.name}: no user can have this id")
        return f"/Users/{quote(user_id, safe='')}"


def _scim_type(reply: requests.Response) -> Any:
    """What an error says is wrong; None when it is not told."""
    try:
        return look(mapping(parse(reply.content)), "scimType")
    except BadDelivery:
        return None


def from_settings(name: str, settings: ProviderSettings) -> Scim:
    """See registry.KINDS."""
    if settings.webhook_secret:
        raise ConfigError("webhook_secret: a SCIM server sends no webhooks; leave it out, and it is asked every schedule.poll")
    return Scim(
        name,
        api_url=settings.api_url or "",
        api_key=settings.api_key.get_secret_value() if settings.api_key else "",
        words=Words({**PLAIN, **USUAL, **settings.fields}, settings.consents),
        off=settings.inactive,
    )
