"""What the sync asks of a CRM. `hubspot/` is the one driver; tests have an in-memory one."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from connector.errors import Permanent, Transient
from connector.model import Change, Contact, Delivery, Item, Statement

BATCH = 100
"""Rows in one call at most (HubSpot: object batches take 100 inputs)."""

EVENTS = 500
"""Identity events in one `record_events` at most: the more of them, the fewer calls for their associations (2,000 a call)."""


@dataclass(frozen=True, slots=True)
class Write:
    """One row of a batch write.

    ref: the caller's name for the row, unique within the batch; comes back in the Outcome.
    id: contact id for `update`, value of the unique property for `upsert`.
    properties: name -> text; "" clears.
    """

    ref: str
    id: str
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: either `contact` (as the CRM now holds it) or `error`.

    created: an upsert made a new contact.
    error: Exists (the email or a unique value belongs to another contact; record_id when named), Missing, Rejected
        (with `refused` by property), Transient.
    request: the CRM's own id of the call, for the history.
    """

    ref: str
    contact: Contact | None = None
    created: bool = False
    error: Permanent | Transient | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class Property:
    """A property's definition in the portal. `options`: internal value -> label; empty unless an enumeration.

    archived, sensitive: of no use to us, and its name is taken.
    """

    name: str
    type: str
    field_type: str
    options: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False
    unique: bool = False
    calculated: bool = False
    archived: bool = False
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class NewProperty:
    """A property to create. `type` and `field_type` in the CRM's words."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    options: Mapping[str, str] = field(default_factory=dict)
    unique: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class StatusWrite:
    """One subscription status to set. `subscription` is the type's id.

    legal_basis, explanation: sent along when given; portals with data privacy switched on ask for both, with an opt-out too.
    """

    ref: str
    email: str
    subscription: str
    granted: bool
    legal_basis: str | None = None
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class StatusOutcome:
    """What became of one status: `error` is None when the CRM holds it now, as asked.

    error: Rejected when it will not (a re-subscription of somebody who opted out, say), Transient when nobody knows.
    at: the time the CRM put to the change, where it says that there was one and when. lifted: it says that an opt-out stood there
        until then. out: it refuses a grant because the address opted out, or holds an opt-out in spite of it.
    """

    ref: str
    error: Permanent | Transient | None = None
    request: str = ""
    at: datetime | None = None
    lifted: bool = False
    out: bool = False


Still = Callable[[Sequence[str]], Set[str]]
"""Of the rows in a call, by `ref`: which may still go. Calls before it may have taken long."""


def all_of_them(refs: Sequence[str]) -> Set[str]:
    """Whoever asks for a few calls only has no need to be asked again."""
    return set(refs)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An identity event for the CRM. `ref` is the caller's name for the row.

    key: unique among all events, 400 characters at most. sent_before: an earlier attempt to send it got no answer.
    details: name -> text, number or truth value, as the mapping lists them. gone: the user's deletion was carried out.
    """

    ref: str
    key: str
    contact_id: str
    kind: str
    occurred_at: datetime
    provider: str
    user_id: str
    entry_point: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    sent_before: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What became of one event: `record_id` of what was made of it (None where the CRM gives none), or `error`.

    note: what a sink that took it did not do all the same.
    """

    ref: str
    record_id: str | None = None
    error: Permanent | Transient | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class EventSchema:
    """Where events go: `kind` is custom_object, custom_event or note, `name` that of the object or event."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class EventType:
    """An object or event as the CRM has it.

    properties: by name; all but one that is said not to be counts as unique. joined: its records can belong to contacts, as
    far as is told. archived: its name is taken.
    """

    properties: Mapping[str, Property]
    joined: bool = True
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """What the token and the account allow, as far as the CRM tells.

    scopes: granted ones; None when the CRM does not tell. subscriptions: "batch", "single_writes" (only reading goes by many),
    "single", "v3" (no times, no way back from an opt-out) or "none". calls_today, calls_limit: of the daily budget; None when the
    CRM does not tell. properties_made, properties_limit: contact properties of one's own; None likewise.
    """

    portal_id: int
    scopes: frozenset[str] | None
    subscriptions: str
    custom_objects: bool
    custom_events: bool
    calls_today: int | None = None
    calls_limit: int | None = None
    clock: datetime | None = None
    properties_made: int | None = None
    properties_limit: int | None = None


EVENT_FIELDS = ("kind", "provider", "entry_point", "user_id")
"""What every event tells, as properties of a custom event."""

LONGEST_EVENT_PROPERTY = 50


def event_property(detail: str) -> str:
    """The name of a detail as a property of a custom event: lower-case letters, digits and _, a letter first."""
    name = re.sub(r"[^a-z0-9_]+", "_", detail.lower())
    if name in EVENT_FIELDS or not name[:1].isalpha():
        name = f"detail_{name}"
    return name[:LONGEST_EVENT_PROPERTY]


class Crm(Protocol):
    """A CRM. Every method may raise Transient; batch writes report per row and raise only when nothing is known of any row."""

    name: str

    @property
    def calls(self) -> int:
        """HTTP calls made by this object so far."""

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """Raises BadSignature unless the delivery is signed by the CRM and fresh. Reads nothing but raw bytes."""

    def split(self, delivery: Delivery) -> list[Item]:
        """The events of an authenticated delivery. Raises BadDelivery when it is unreadable as a whole, TooManyItems."""

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """Whom one stored event is about. Raises BadDelivery."""

    def read(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Contact]:
        """Contacts by record id, keyed by the id asked for; the contact's own id differs after a merge. Absent: gone.

        Any number of ids; BATCH per call.
        """

    def find(self, key: str, values: Sequence[str], properties: Sequence[str]) -> dict[str, list[Contact]]:
        """Contacts whose property `key` ("email" or any other) equals one of `values` exactly (email: in any case, primary
        or additional address). Keyed by the value asked for; values nobody holds are absent."""

    def upsert(self, key: str, rows: Sequence[Write], properties: Sequence[str]) -> list[Outcome]:
        """Create or update contacts on the unique property `key`. At most BATCH rows with different ids and emails.

        properties: what the returned contacts should tell beside what was written.
        """

    def update(self, rows: Sequence[Write], properties: Sequence[str]) -> list[Outcome]:
        """Update contacts by record id. At most BATCH rows with different ids.

        What would have to wait is not written: Late is raised, or the error of its row.
        """

    def archive(self, ids: Sequence[str]) -> None:
        """Archive contacts; those already gone count as done."""

    def erase(self, contact_id: str) -> None:
        """Delete one contact for good (HubSpot: gdpr-delete); one already gone counts as done."""

    def changed_at(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, datetime]]:
        """When each property of each contact last changed, from its history, UTC; 50 contacts a call."""

    def changed_since(self, since: datetime, properties: Sequence[str]) -> Iterator[list[Contact]]:
        """Contacts changed at or after `since` (UTC), oldest first; may lag some seconds and repeat contacts."""

    def check_portal(self) -> None:
        """Raises ConfigError when the token belongs to another account than the configured one."""

    def properties(self) -> dict[str, Property]:
        """The portal's contact properties by name, without archived and sensitive ones."""

    def find_property(self, name: str) -> Property | None:
        """One contact property, an archived or sensitive one, too; None when the CRM shows none of this name."""

    def create_group(self, name: str, label: str) -> None:
        """Make a property group; one that exists is left alone."""

    def create_property(self, new: NewProperty) -> None:
        """Make a property. Raises Exists, Rejected."""

    def add_options(self, name: str, options: Mapping[str, str]) -> None:
        """Add options (internal value -> label) to an enumeration; those that are there stay as they are."""

    def subscription_types(self) -> dict[str, str]:
        """Names of the account's active subscription types by id. Raises Denied when the token may not see them."""

    def statuses(self, emails: Sequence[str]) -> dict[str, dict[str, Statement]]:
        """What the CRM holds about each address: subscription type id -> statement. Any number of addresses.

        Keyed by the address asked for; one the CRM does not take for an address has no statements. `at` is UTC, None where the
        CRM does not tell (v3). A type it knows nothing of is absent or UNKNOWN. Raises Denied when the token may not see any.
        """

    @property
    def statuses_per_read(self) -> int:
        """How many addresses are best asked about in one go."""

    @property
    def optouts_apart(self) -> bool:
        """Whether `statuses` may not show that somebody opted out of everything."""

    def opted_out_of_all(self, emails: Sequence[str]) -> dict[str, datetime | None]:
        """Those of these addresses that unsubscribed from everything, and since when, in UTC, where the CRM tells.

        Nobody but the person may lift that. `statuses` need not show it. Raises Denied when the token may not see any.
        """

    def write_statuses(self, rows: Sequence[StatusWrite], still: Still = all_of_them) -> list[StatusOutcome]:
        """Set statuses, any number. Of rows with the same address and type that disagree, opting out wins. Raises Denied when
        the token may not. still: asked just before each call; who is not among the answer ends as Stale.
        """

    def record_events(self, schema: EventSchema, rows: Sequence[EventRecord]) -> list[EventOutcome]:
        """Make a record of each event on its contact, once: a repeat makes no second one. EVENTS rows at most, in this order.

        Notes are recognised only in rows with `sent_before`: to be set whenever an earlier call raised or told Transient.
        Raises Denied when the token or the account's tier does not allow it, or the object or event is not there.
        """

    def find_events(self, schema: EventSchema, keys: Sequence[str]) -> list[str]:
        """Ids of the records of events with these keys, any number. Only records of a custom object are found by their key."""

    def remove_events(self, schema: EventSchema, record_ids: Sequence[str]) -> None:
        """Delete records of events; those already gone count as done. Custom events cannot be deleted and are left."""

    def event_schema(self, schema: EventSchema) -> EventType | None:
        """The object or event; None when there is none of this name. Notes need none."""

    def create_event_schema(self, schema: EventSchema, details: Sequence[str]) -> None:
        """Make the object (with an association to contacts; details share one property) or the event definition (with a
        property per detail, also where it exists and lacks some). Raises Exists for an object that is there, which stays, and
        Rejected when the name is taken by what the CRM does not show."""

    def access(self) -> Access:
        """What the token and the account allow. Asks the CRM."""
