"""Memberstack 2.0: check and read its webhooks, read and write its members.

Facts this file rests on (Memberstack documentation "Webhooks", "Member actions" and "Admin package"; Svix documentation):
- webhooks go out through Svix: headers `svix-*`, the secret `whsec_`, one id for all attempts at one delivery;
- a delivery is {"event", "timestamp" in epoch milliseconds, "payload"}; an older article has `data` for `payload`;
- plan events are called `member.plan.*` or `member.planConnection.*`; their member is `payload.member.id` or `payload.id`;
- whether a plan is in force is told by `active` alone: a payment may still be called PAID after a cancellation;
- a deleted member's payload is its id; reading a missing one gives 200 and `data: null`;
- a listing has `data`, `totalCount`, a numeric `endCursor`, and `hasNextPage` (`hasMore` in one example); 100 at most;
- members have no time of change and listings no filter by it; there are no versions and no idempotency keys;
- PATCH merges `customFields` and `metaData` name by name, and replaces `json` as a whole, so that is left alone;
- POST /members/ID/add-plan and /remove-plan, with `planId`, give and take a plan that costs nothing, and answer without a body;
  what costs something is begun and ended at the checkout; what they say of a plan that is held already nowhere stands;
- a new member needs a password; deleting touches Stripe only when asked to; nobody may call more than 25 times a second.
"""

import secrets as randomness
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import requests

from connector.errors import BadDelivery, Exists, Missing, Rejected, Unavailable
from connector.model import Change, Delivery, Item, Statement, User
from connector.providers import consentwords
from connector.providers.base import Capabilities
from connector.providers.http import HeaderKey, Rest
from connector.providers.memberstack_member import META, USUAL, Words, user_from
from connector.providers.reading import Page, details, follow, mapping, moment_of_millis, objects, usable_id
from connector.providers.signature import SignatureScheme, Verifier, scheme_of, short
from connector.settings import ProviderSettings
from connector.strictjson import parse, storable

URL = "https://admin.memberstack.com"
PAGE = 100
"""Members asked for in one page; more are not given."""
PLAINLY = ("email", "email_verified")
"""What is written, and is no custom field."""
PASSWORD_BYTES = 32
"""Random bytes in the password of a member we create."""
FREE = "FREE"
"""The `type` of a plan connection that costs nothing."""
REFUSED = (400, 404, 409, 422)
"""Answers about a plan that may not be given or taken, or is not there."""

KINDS = {
    "member.created": "user.created",
    "member.updated": "user.updated",
    "member.deleted": "user.deleted",
    "member.plan.added": "membership.added",
    "member.plan.created": "membership.added",
    "member.plan.replaced": "membership.added",
    "member.plan.updated": "user.updated",
    "member.plan.canceled": "membership.removed",
    "member.planConnection.created": "membership.added",
    "member.planConnection.updated": "user.updated",
    "member.planConnection.canceled": "membership.removed",
    "team.member.added": "membership.added",
    "team.member.removed": "membership.removed",
}
"""Memberstack's name of an event -> ours."""
CHANGED = ("member.plan.updated", "member.planConnection.updated")
"""Events that tell only by `active` what happened."""


@dataclass(frozen=True)
class Habits:
    """What Memberstack leaves to its users.

    words: which of our names are which custom fields. blank: what empties a custom field, "" or null.
    """

    words: Words
    blank: Literal["empty", "null"] = "empty"


class Memberstack:
    """One Memberstack app. `providers.base.Provider` states what each method promises."""

    needs: Mapping[str, str] = {"consent": "consents"}

    def __init__(
        self,
        name: str,
        secrets: Sequence[str],
        api_key: str,
        habits: Habits,
        api_url: str = URL,
        signature: SignatureScheme | None = None,
        session: requests.Session | None = None,
    ) -> None:
        """api_key: the secret key, which also chooses sandbox or live. Raises ConfigError for a secret that is no key."""
        self.name = name
        self._verifier = Verifier(signature or SignatureScheme(), secrets)
        self._rest = Rest(name, api_url, HeaderKey("X-API-KEY", api_key), session)
        self._words = habits.words
        self._blank = "" if habits.blank == "empty" else None
        consents = bool(habits.words.consents)
        self.capabilities = Capabilities(
            read=True, find=True, list=True, create=True, update=True, delete=True, erase=True, consent=consents,
            membership=True,
        )  # fmt: skip

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        known = field in PLAINLY or field in self._words.fields or field.startswith("custom.")
        return None if known else f"no custom field is configured for it (fields.{field})"

    def unwritable_consent(self, purpose: str) -> str | None:
        """See Particular."""
        return consentwords.refusal(self._words.consents, purpose)

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider. A delivery is one event."""
        body = delivery.body
        envelope = parse(body)
        if envelope == []:
            return []
        sender_id = self._verifier.delivery_id(delivery)
        key = self._verifier.dedupe_key(delivery, body)
        return [Item(key, short(sender_id or ""), body, {"event": key}, _problem(body, envelope))]

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider. Plan events tell whom to look at, the others carry the member."""
        envelope = parse(body)
        if problem := _problem(body, envelope):
            raise BadDelivery(f"memberstack: {problem}")
        event, payload = envelope["event"], _payload(envelope)
        record_id = _member_id(event, payload) or ""
        carried = event in ("member.created", "member.updated")
        return Change(
            kind=_kind(event, payload),
            record_id=record_id,
            occurred_at=moment_of_millis(envelope.get("timestamp")),
            event_id=meta.get("event", ""),
            user=user_from(payload, self._words) if carried else None,
            details=_details(payload),
        )

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        what = f"read user {user_id}"
        return self._one(what, self._rest.call(what, "GET", self._path(user_id)), user_id)

    def find(self, email: str) -> list[User]:
        """See Provider."""
        what, wanted = "find by email", email.strip()
        if not usable_id(wanted) or "@" not in wanted:
            return []
        reply = self._rest.call(what, "GET", f"/members/{quote(wanted, safe='')}", accept=(404,))
        answer = {"data": None} if reply.status_code == 404 else self._rest.json(what, reply)
        if "data" in answer and answer["data"] is None:
            return []
        user = self._one(what, reply)
        if str(user.values.get("email") or "").strip().casefold() != wanted.casefold():
            raise Rejected(f"{self.name}: {what}: the answer is about another address")
        return [user]

    def pages(self) -> Iterator[list[User]]:
        """See Provider."""
        what, seen = "list users", 0

        def read(cursor: str | None) -> Page:
            nonlocal seen
            query = {"limit": str(PAGE), "order": "ASC"} | ({"after": cursor} if cursor else {})
            users, count, total, following = self._page(what, query)
            seen += count
            if following is None and seen < total:
                raise Rejected(f"{self.name}: {what}: it ended after {seen} of {total} members")
            return users, following

        return follow(f"{self.name}: {what}", read)

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider. Memberstack cannot tell: members have no time of change."""
        raise Rejected(f"{self.name}: no listing of changed members")

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider. An address that is taken is looked up before and, as somebody may have been faster, after."""
        what = "create user"
        body = self._written(values)
        email = str(body.get("email") or "")
        self._refuse_taken(email)
        body.pop("verified", None)  # only an update takes it
        body["password"] = randomness.token_urlsafe(PASSWORD_BYTES)
        try:
            reply = self._rest.call(what, "POST", "/members", body=body, fields=values)
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        except (Rejected, Exists):
            self._refuse_taken(email)
            raise
        made = self._one(what, reply)
        verified = values.get("email_verified")
        return made if verified is None else self.update(made.id, {"email_verified": verified}, None)

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider."""
        return self._patch(f"update user {user_id}", user_id, self._written(values), values)

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider. It is the custom field of the settings' choice."""
        fields = consentwords.changes(self.name, self._words.consents, purpose, told, texts=False)
        body = {"customFields": {name: self._blank if value is None else value for name, value in fields.items()}}
        return self._patch(f"set a consent of user {user_id}", user_id, body, ())

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. Only plans that cost nothing; the others are begun and ended by the member, who pays for them."""
        what, path = f"set a plan of user {user_id}", self._path(user_id)
        if usable_id(key) is None:
            raise Rejected(f"{self.name}: {what}: no plan can have this id")
        record = self._record(what, self._rest.call(what, "GET", path), user_id)
        mine = [one for one in objects(record.get("planConnections")) if one.get("planId") == key and one.get("active") is True]
        if bool(mine) is held:
            return user_from(record, self._words)
        if any((one.get("type") or FREE) != FREE for one in mine):
            raise Rejected(f"{self.name}: {what}: {key} is paid for, so only the member can end it")
        call = f"{path}/add-plan" if held else f"{path}/remove-plan"
        reply = self._rest.call(what, "POST", call, body={"planId": key}, accept=REFUSED)
        user = self.fetch(user_id)
        if reply.status_code in REFUSED:
            raise Rejected(f"{self.name}: {what}: {reply.status_code}: is {key} a plan of this app, and free?")
        return user

    def delete(self, user_id: str) -> None:
        """See Provider. What Stripe holds stays as it is."""
        self._delete(f"delete user {user_id}", user_id, stripe=False)

    def erase(self, user_id: str) -> None:
        """See Provider. The Stripe customer goes, too, and its subscriptions are cancelled."""
        self._delete(f"erase user {user_id}", user_id, stripe=True)

    def _delete(self, what: str, user_id: str, stripe: bool) -> None:
        body = {"deleteStripeCustomer": stripe, "cancelStripeSubscriptions": stripe}
        try:
            self._rest.call(what, "DELETE", self._path(user_id), body=body)
        except Missing:
            return

    def _patch(self, what: str, user_id: str, body: Mapping[str, Any], fields: Any) -> User:
        """Write, and tell the member as it is then. Raises Missing."""
        reply = self._rest.call(what, "PATCH", self._path(user_id), body=body, fields=fields)
        told = mapping(self._rest.json(what, reply).get("data"))
        whole = "auth" in told and "customFields" in told and "planConnections" in told
        return self._one(what, reply, user_id) if whole else self.fetch(user_id)

    def _path(self, user_id: str) -> str:
        if usable_id(user_id) is None or "@" in user_id:  # an address would find somebody by email
            raise Missing(f"{self.name}: no user can have this id")
        return f"/members/{quote(user_id, safe='')}"

    def _one(self, what: str, reply: requests.Response, user_id: str | None = None) -> User:
        return user_from(self._record(what, reply, user_id), self._words)

    def _record(self, what: str, reply: requests.Response, user_id: str | None = None) -> Mapping[str, Any]:
        """The member an answer is about. Raises Missing when it says that there is none."""
        answer = self._rest.json(what, reply)
        if "data" in answer and answer["data"] is None:
            raise Missing(f"{self.name}: {what}: no such member")
        record = mapping(answer.get("data"))
        found = usable_id(record.get("id"))
        if found is None or user_id not in (None, found):
            raise Unavailable(f"{self.name}: {what}: {reply.status_code}, but not about this user")
        return record

    def _page(self, what: str, query: Mapping[str, str]) -> tuple[list[User], int, int, str | None]:
        """A page: its usable members, how many it lists, how many there are in all, the cursor to the next one."""
        try:
            answer = self._rest.json(what, self._rest.call(what, "GET", "/members", query=query))
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        items, total = answer.get("data"), answer.get("totalCount", 0)
        more = answer.get("hasNextPage", answer.get("hasMore"))
        cursor = usable_id(answer.get("endCursor"))
        if not isinstance(items, list) or type(more) is not bool or type(total) is not int or (more and cursor is None):
            raise Rejected(f"{self.name}: {what}: the answer is no listing")
        good = [one for one in items if isinstance(one, dict) and usable_id(one.get("id"))]
        return [user_from(one, self._words) for one in good], len(items), total, cursor if more else None

    def _refuse_taken(self, email: str) -> None:
        for user in self.find(email):
            raise Exists(f"{self.name}: a member has this address", user.id)

    def _written(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Vocabulary names as Memberstack takes them. Raises Rejected for what has no place there."""
        body: dict[str, Any] = {}
        if refused := {name: why for name in values if (why := self.unwritable(name))}:
            raise Rejected(f"{self.name}: Memberstack has no place for {', '.join(refused)}", refused)
        for name, value in values.items():
            if name == "email":
                body["email"] = value
            elif name == "email_verified":
                body["verified"] = value is True
            elif name.startswith(META):
                body.setdefault("metaData", {})[name.removeprefix(META)] = self._blank if value is None else value
            else:
                own = self._words.fields.get(name) or name.removeprefix("custom.")
                body.setdefault("customFields", {})[own] = self._blank if value is None else value
        return body


def from_settings(name: str, settings: ProviderSettings) -> Memberstack:
    """See registry.KINDS."""
    return Memberstack(
        name,
        secrets=[secret.get_secret_value() for secret in settings.webhook_secret],
        api_key=settings.api_key.get_secret_value() if settings.api_key else "",
        habits=Habits(Words({**USUAL, **settings.fields}, settings.consents), settings.blank),
        api_url=settings.api_url or URL,
        signature=scheme_of(settings),
    )


def _problem(raw: bytes, envelope: Any) -> str | None:
    """Why an event cannot be read; None when it can."""
    if not isinstance(envelope, dict):
        return "not_an_object"
    event = envelope.get("event")
    if not isinstance(event, str) or not event.isascii() or not event.isprintable() or not 0 < len(event) <= 64:
        return "bad_event"
    if event in KINDS and _member_id(event, _payload(envelope)) is None:
        return "no_user_id"
    return None if storable(raw, envelope) else "unstorable_text"


def _payload(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(envelope.get("payload", envelope.get("data")))


def _kind(event: str, payload: Mapping[str, Any]) -> str:
    if event in CHANGED and mapping(payload.get("planConnection")).get("active") is False:
        return "membership.removed"
    return KINDS.get(event, event)


def _member_id(event: str, payload: Mapping[str, Any]) -> str | None:
    """Whose event it is. In a plan event, an `id` that is not a member's is the plan connection's."""
    named = usable_id(mapping(payload.get("member")).get("id")) or usable_id(payload.get("memberId"))
    own = usable_id(payload.get("id"))
    about_member = event.count(".") == 1 or (own or "").startswith("mem_")
    return named or (own if about_member else None)


def _details(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan event tells beside the member."""
    plan, before = mapping(payload.get("planConnection")), mapping(payload.get("prevPlanConnection"))
    told = {
        "plan": plan.get("planId"), "plan_name": plan.get("planName"), "status": plan.get("status"), "active": plan.get("active"),
        "type": plan.get("type"), "previous_plan": before.get("planId"), "team": payload.get("teamId"),
    }  # fmt: skip
    return details(told)
