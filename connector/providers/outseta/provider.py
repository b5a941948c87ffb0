"""Outseta: check its activity notifications, read and write its people, their email lists among them.

Facts this file rests on (Outseta REST reference, the tests of its JavaScript SDK, two clients of others):
- a call carries `Authorization: Outseta KEY:SECRET`; a key may be used four times a second;
- `donotlog=1` keeps a call out of the activity log, from which notifications are made;
- a listing is {"metadata": {"limit", "offset", "total"}, "items"}; `offset` counts pages by the reference, rows by one client; 25
  people at most where nested parts are asked for; `Field__gte` filters, `orderBy` sorts;
- PUT takes a person with some of its fields; whether it keeps the others nowhere is said, so all are sent, but for consents;
- a refusal names a field as `PropertyName`; there are no versions and no idempotency keys;
- an account's plan and its stage follow from subscriptions, which are billed, and have a payer and a term;
- joining a list is POST, leaving it DELETE; a list may ask the person to confirm first.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests

from connector.errors import BadDelivery, ConfigError, Exists, Missing, Rejected, Stale, Unavailable
from connector.model import USER_KINDS, Change, ConsentState, Delivery, Item, Statement, User
from connector.providers.base import Capabilities
from connector.providers.http import WHY, HeaderKey, Rest
from connector.providers.outseta import person as shape
from connector.providers.outseta.events import KINDS, Activities
from connector.providers.reading import usable_id
from connector.providers.signature import Verifier, scheme_of
from connector.settings import ProviderSettings
from connector.strictjson import parse

PATH = "/api/v1"
PEOPLE = "/crm/people"
ACCOUNT = "PersonAccount.Account"
NESTED = (
    "PersonAccount", ACCOUNT, f"{ACCOUNT}.CurrentSubscription", f"{ACCOUNT}.CurrentSubscription.Plan", "EmailListPerson",
    "EmailListPerson.EmailList", "MailingAddress",
)  # fmt: skip
ALL_OF_IT = {"fields": ",".join(["*", *(f"{one}.*" for one in NESTED)])}
PAGE = 25
"""People in one page: more are not given with their accounts and lists."""
ROUNDS = 3
"""Times a listing is gone through when people slipped from page to page meanwhile."""
SPARE_PAGES = 20
"""Pages more than there should be, before a listing counts as endless."""
PER_SECOND = 4.0
REFUSED = (400, 422)
SOLD = "plans and stages belong to an account and follow from what is sold to it; they are not given and taken"


@dataclass(frozen=True)
class Habits:
    """What Outseta leaves open. whole: an edit sends all fields. rows: an offset counts rows, not pages."""

    donotlog: bool = True
    whole: bool = True
    rows: bool = False
    activities: Activities = field(default_factory=Activities)


class Pace:
    """Lets so many calls through in a second, evenly, of all threads together."""

    def __init__(self, per_second: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._gap, self._clock, self._sleep = 1 / per_second, clock, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def take(self) -> None:
        """Wait for one's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)


class Outseta:
    """One Outseta account. `providers.base.Provider` states what each method promises."""

    def __init__(
        self,
        name: str,
        verifier: Verifier,
        api_url: str,
        api_key: str,
        habits: Habits = Habits(),
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """api_url: https://NAME.outseta.com, with or without /api/v1. api_key: "key:secret"."""
        self.name = name
        self._verifier, self._habits = verifier, habits
        url = api_url.rstrip("/")
        url = url if url.endswith(PATH) else url + PATH
        self._rest = Rest(name, url, HeaderKey("Authorization", f"Outseta {api_key}"), session)
        self._pace = Pace(PER_SECOND, clock, sleep)
        self._silent = {"donotlog": "1"} if habits.donotlog else {}
        self.capabilities = Capabilities(
            read=True, find=True, list=True, list_changed=True, create=True, update=True, consent=True, delete=True, erase=True
        )

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        return None if shape.native(field) else "Outseta has no such field to write"

    def unwritable_consent(self, purpose: str) -> str | None:
        """See Particular."""
        return "email as such is given up, and taken back, by the person alone" if purpose == shape.EVERYTHING else None

    def unwritable_membership(self, key: str) -> str | None:
        """See Particular."""
        return SOLD

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider. An account's activity is one event for each of its people."""
        return self._habits.activities.items(delivery, self._verifier)

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider."""
        return self._habits.activities.change(body, meta)

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        return self._user(self._read(user_id))

    def find(self, email: str) -> list[User]:
        """See Provider. Raises Rejected when the answer is about other people: then it was not filtered."""
        what = "find by email"
        items, _ = self._page(what, {"Email": email, **ALL_OF_IT})
        found = [self._user(one) for one in items if usable_id(one.get("Uid"))]
        same = [user for user in found if str(user.values.get("email") or "").strip().casefold() == email.strip().casefold()]
        if found and not same and "*" not in email:  # where a star stands for any text
            raise Rejected(f"{self.name}: {what}: the answer holds people with other addresses")
        return same

    def pages(self) -> Iterator[list[User]]:
        """See Provider."""
        return self._pages("list people", {"orderBy": "Created ASC"})

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider."""
        stamp = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return self._pages("list changed people", {"Updated__gte": stamp, "orderBy": "Updated ASC"})

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider. Outseta knows no idempotency key, so it is first asked who has the address."""
        what, email = "create person", values.get("email")
        self._refuse_unwritable(what, values)
        self._refuse_taken(what, email)
        try:
            answer = self._rest.json(what, self._write(what, "POST", PEOPLE, values, shape.body_of(values, {})))
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        except Rejected:
            self._refuse_taken(what, email)
            raise
        made = usable_id(answer.get("Uid"))
        if made is None:
            raise Unavailable(f"{self.name}: {what}: the answer has no Uid")
        return self.fetch(made)

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider."""
        what = f"update person {user_id}"
        self._refuse_unwritable(what, values)
        record = self._unchanged(what, user_id, etag)
        kept = shape.whole_of(record) if self._habits.whole else {}
        body = {"Uid": user_id, **kept, **shape.body_of(values, record)}
        self._write(what, "PUT", f"{PEOPLE}/{quote(user_id, safe='')}", values, body)
        return self.fetch(user_id)

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider. A `purpose` is the Uid of an email list. A list may wait for the person to confirm."""
        what = f"set a consent of person {user_id}"
        granted = told.state is ConsentState.GRANTED
        if usable_id(purpose) is None or purpose == shape.EVERYTHING or told.state is ConsentState.UNKNOWN:
            raise Rejected(f"{self.name}: {what}: only joining and leaving an email list can be written")
        record = self._unchanged(what, user_id, etag)
        if granted and record.get("HasUnsubscribed") is True:
            raise Rejected(f"{self.name}: {what}: the person wants no email at all, which only the person can take back")
        place = f"/email/lists/{quote(purpose, safe='')}/subscriptions"
        try:
            if granted:
                body = {"EmailList": {"Uid": purpose}, "Person": {"Uid": user_id}, "SendWelcomeEmail": False}
                self._write(what, "POST", place, (), body)
            else:
                self._write(what, "DELETE", f"{place}/{quote(user_id, safe='')}", (), None)
        except Missing as error:  # the person is there, so it is the list, or not on it
            if granted:
                raise Rejected(f"{error}: is there a list with this Uid?") from None
        return self.fetch(user_id)

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. It is never done: an account may have more people, and gets an invoice."""
        raise Rejected(f"{self.name}: set a membership of person {user_id}: {SOLD}")

    def delete(self, user_id: str) -> None:
        """See Provider."""
        try:
            self._write(f"delete person {user_id}", "DELETE", f"{PEOPLE}/{quote(user_id, safe='')}", (), None)
        except Missing:
            return

    def erase(self, user_id: str) -> None:
        """See Provider. Outseta knows one way to delete."""
        self.delete(user_id)

    def _user(self, record: Mapping[str, Any]) -> User:
        return shape.user_from(record, self._habits.activities.double_opt_in)

    def _read(self, user_id: str) -> dict[str, Any]:
        what = f"read person {user_id}"
        if usable_id(user_id) is None:
            raise Missing(f"{self.name}: nobody can have this id")
        self._pace.take()
        record = self._rest.json(what, self._rest.call(what, "GET", f"{PEOPLE}/{quote(user_id, safe='')}", query=ALL_OF_IT))
        if usable_id(record.get("Uid")) != user_id:
            raise Unavailable(f"{self.name}: {what}: the answer is not about this person")
        return record

    def _unchanged(self, what: str, user_id: str, etag: str | None) -> dict[str, Any]:
        """The person now. Outseta knows no conditional writes, so this is as near as one gets. Raises Stale."""
        record = self._read(user_id)
        if etag is not None and shape.version(record) != etag:
            raise Stale(f"{self.name}: {what}: it changed since it was read")
        return record

    def _refuse_unwritable(self, what: str, values: Collection[str]) -> None:
        if refused := {name: why for name in values if (why := self.unwritable(name))}:
            raise Rejected(f"{self.name}: {what}: not to be written", refused)

    def _refuse_taken(self, what: str, email: object) -> None:
        """Raises Exists when somebody has this address."""
        if isinstance(email, str) and email and (found := self.find(email)):
            raise Exists(f"{self.name}: {what}: the email is taken", found[0].id if len(found) == 1 else None)

    def _write(self, what: str, method: str, path: str, names: Collection[str], body: Any) -> requests.Response:
        """One writing call. Raises Rejected with those of our fields that a refusal names."""
        self._pace.take()
        reply = self._rest.call(what, method, path, query=self._silent, body=body, accept=REFUSED)
        if reply.status_code not in REFUSED:
            return reply
        try:
            told = parse(reply.content)
        except BadDelivery:
            told = None
        raise Rejected(f"{self.name}: {what}: {reply.status_code}", dict.fromkeys(shape.named_in(told, names), WHY))

    def _pages(self, what: str, query: Mapping[str, str]) -> Iterator[list[User]]:
        """Go through a listing until as many people were met as it says there are: pages drift while people change."""
        met: set[str] = set()
        for _ in range(ROUNDS):
            total, odd = 0, 0
            for items, total in self._round(what, query):  # noqa: B007 - the last total counts
                fresh = [one for one in items if (uid := usable_id(one.get("Uid"))) is not None and uid not in met]
                odd += sum(usable_id(one.get("Uid")) is None for one in items)
                met.update(str(one["Uid"]) for one in fresh)
                if fresh:
                    yield [self._user(one) for one in fresh]
            if len(met) + odd >= total:
                return
        raise Unavailable(f"{self.name}: {what}: it ended before everybody was told")

    def _round(self, what: str, query: Mapping[str, str]) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """The pages of a listing up to the first empty one, each with the total it tells."""
        seen: set[tuple[str, ...]] = set()
        before: set[str] = set()
        number = 0
        while True:
            offset = number * PAGE if self._habits.rows else number
            items, total = self._page(what, {**query, **ALL_OF_IT, "limit": str(PAGE), "offset": str(offset)})
            yield items, total
            if not items:
                return
            ids = tuple(str(one.get("Uid")) for one in items)
            overlaps = len(items) >= PAGE and len(before.intersection(ids)) > PAGE // 2
            if ids in seen or overlaps or number > total // PAGE + SPARE_PAGES:
                raise Rejected(f"{self.name}: {what}: the listing repeats itself; does paging say what an offset counts?")
            seen.add(ids)
            before = set(ids)
            number += 1

    def _page(self, what: str, query: Mapping[str, str]) -> tuple[list[dict[str, Any]], int]:
        """One page and the total. An answer without a list is a failure, never an empty page."""
        self._pace.take()
        try:
            answer = self._rest.json(what, self._rest.call(what, "GET", PEOPLE, query=query))
        except Missing as error:
            raise Rejected(f"{error}: is api_url right?") from None
        items, metadata = answer.get("items"), answer.get("metadata")
        total = metadata.get("total") if isinstance(metadata, dict) else None
        if not isinstance(items, list) or type(total) is not int or not all(isinstance(one, dict) for one in items):
            raise Rejected(f"{self.name}: {what}: the answer is no listing")
        return items, total


def from_settings(name: str, settings: ProviderSettings) -> Outseta:
    """See registry.KINDS."""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    findings = [
        f"events.{event}: expected one of {', '.join(USER_KINDS)}, found '{kind}'"
        for event, kind in settings.events.items()
        if kind not in USER_KINDS
    ]
    if not all(key.partition(":")) or not key.isascii():
        findings.append("api_key: expected KEY:SECRET, the two parts that Outseta shows")
    if findings:
        raise ConfigError(findings)
    activities = Activities({**KINDS, **settings.events}, settings.double_opt_in)
    return Outseta(
        name,
        Verifier(scheme_of(settings), [one.get_secret_value() for one in settings.webhook_secret]),
        str(settings.api_url),
        key,
        Habits(settings.donotlog, settings.update_sends == "whole", settings.paging == "rows", activities),
    )
