"""The nouns: users, contacts, links, deliveries and changes. Plain values, no behaviour beyond what they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Value = str | bool | tuple[str, ...] | None
"""A field in normal form: text, a number as canonical decimal text, a date as YYYY-MM-DD, a time as ISO 8601 UTC in whole
seconds, a set as a sorted tuple, None for blank. Comparing two of them with == is comparing the field."""

USER_FIELDS = (
    "id", "email", "email_verified", "first_name", "last_name", "phone", "locale", "country", "birth_date",
    "created_at", "updated_at", "last_login_at",
)  # fmt: skip
"""The vocabulary every provider speaks; a provider's own fields are `custom.<name>`."""

USER_KINDS = (
    "user.created", "user.updated", "user.deleted", "user.login", "consent.granted", "consent.revoked",
    "membership.added", "membership.removed", "erasure.requested",
)  # fmt: skip
"""Kinds of identity events, for all providers."""

CONTACT_KINDS = (
    "contact.created", "contact.changed", "contact.deleted", "contact.erased", "contact.merged", "contact.restored",
)  # fmt: skip
"""Kinds of CRM events, for all CRMs."""


class LinkState(StrEnum):
    """Where a link stands. Only `active` synchronises; everything after `held` is final: see FINAL."""

    PENDING = "pending"
    ACTIVE = "active"
    HELD = "held"
    UNLINKED = "unlinked"
    DELETED = "deleted"
    MERGED = "merged"
    ERASED = "erased"


ANSWERABLE = (LinkState.PENDING, LinkState.ACTIVE)
"""States in which a hint makes a link due; the others wait for a person or for ever."""

SHARING = (LinkState.ACTIVE, LinkState.HELD)
"""States in which a link has a say in what becomes of its contact."""

LIVING = (*ANSWERABLE, LinkState.HELD)
"""States that a link can be worked on in. In the others it has ended, and nothing is left to do but an erasure."""

FINAL = tuple(one for one in LinkState if one not in LIVING)
"""States no delivery about the user brings a link back from."""


class ConsentState(StrEnum):
    """What is known of one consent. Unknown is not "no"."""

    GRANTED = "granted"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


UNTOLD = "not subscribed"
"""The source of an unknown consent where the CRM cannot tell "never asked" from "opted out" (HubSpot's v3)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody says about one consent.

    at: when the person decided so, UTC; None when nobody tells. source: who or what took the decision down.
    day: only the day is known, and `at` is when it was over everywhere.
    """

    state: ConsentState
    at: datetime | None = None
    source: str | None = None
    entry_point: str | None = None
    text_version: str | None = None
    day: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """One user as the provider told it.

    values: vocabulary name -> JSON value as given, without `id`. An absent name was not told; None is blank.
    updated_at: when the provider last changed the user, UTC; None when it does not say.
    etag: the version to send back with a write, when the provider gives one.
    memberships, consents: the provider's own entries in the generic profile's shape, as given; None: it did not tell.
    gone: listed as deleted, or switched off; whoever can be read is read before that is believed.
    """

    id: str
    values: Mapping[str, Any]
    updated_at: datetime | None = None
    etag: str | None = None
    memberships: tuple[Mapping[str, Any], ...] | None = None
    consents: tuple[Mapping[str, Any], ...] | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact as the CRM told it. `properties` holds text or None, as on the wire; an absent name was not asked for."""

    id: str
    properties: Mapping[str, str | None]
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request as it came in.

    url: the full URL as the sender called it, built from `public_url`, never from Host or X-Forwarded-* headers.
    headers: lower-case names, in order, repeats kept.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header sent exactly once (name in lower case); None when it is missing or repeated."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a delivery, ready for the inbox.

    key: what makes a repeat recognisable, unique within the source.
    sender_id: the sender's own id of the event, for people.
    body: the exact bytes of this event.
    meta: what the reader needs beside the bytes (a topic header, for example).
    problem: why it cannot be read; None when it can. An item with a problem is quarantined.
    """

    key: str
    sender_id: str
    body: bytes
    meta: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Whom to look at, and what the event says about it. A hint, not a fact.

    kind: one of USER_KINDS, CONTACT_KINDS, or the sender's own name of an event we do not know (ignored and counted).
    record_id: the user's or the contact's id.
    user: the whole or partial user, when the delivery carried it.
    property, value: what a contact.changed event names.
    details: what a user's event tells beside the user: name -> text, number or truth value.
    former_ids: contact.merged: ids that now lead to `record_id`.
    """

    kind: str
    record_id: str
    occurred_at: datetime | None = None
    event_id: str = ""
    user: User | None = None
    property: str | None = None
    value: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    former_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """The pair: one provider's user and one contact, and what is known of them. As stored; see `store.links`.

    user_id: None for a contact that waits for its user to be created.
    contact_id: None for a user that has no contact yet.
    base: user field -> Value both sides last agreed on; a field without an entry was never agreed.
    echo: user field -> Value the CRM made of what we wrote, where that differs from base (it reformats, say).
    user, contact: what was last seen of either side.
    held: user field -> why it waits for a person.
    drift: fields that differ and that the mapping leaves alone.
    user_gone: the provider said the user is deleted. gone_since: the contact was first missing then.
    refetch: the stored user is not to be relied on; read it from the provider.
    erasure: the person asked to be forgotten.
    reread: like refetch, for the contact. recheck: its subscription statuses are to be read.
    consents: purpose -> what stands, and what either side last said; see `engine.consent`.
    attempts: failed settlings while the failing side otherwise worked; failed_since: the first of them.
    lost: leases in a row that ended without a word, because the worker died, say.
    intent: what was about to be written when nothing more was heard: {"kind", "changes"}, as in the history; "told" when it
        is there already.
    lone: settle this link in a batch of its own, it made others fail.
    token: fencing token of the current lease, which ends at lease_until.
    rung: counts hints; a change during a lease means "look again".
    cause: the sender's id of the delivery that last asked to look. settled_at: when a batch last recorded it.
    user_seen_at, contact_seen_at: when what is stored of that side was last known to be so.
    """

    id: int
    provider: str
    user_id: str | None
    contact_id: str | None
    state: LinkState
    reason: str | None = None
    base: Mapping[str, Value] = field(default_factory=dict)
    echo: Mapping[str, Value] = field(default_factory=dict)
    user: User | None = None
    contact: Contact | None = None
    held: Mapping[str, str] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    user_gone: bool = False
    gone_since: datetime | None = None
    refetch: bool = False
    erasure: bool = False
    reread: bool = True
    recheck: bool = True
    consents: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    failed_since: datetime | None = None
    lost: int = 0
    intent: tuple[Mapping[str, Any], ...] = ()
    lone: bool = False
    due_at: datetime | None = None
    token: int = 0
    lease_until: datetime | None = None
    rung: int = 0
    run: int | None = None
    cause: str | None = None
    settled_at: datetime | None = None
    user_seen_at: datetime | None = None
    contact_seen_at: datetime | None = None

    def on_lease(self, now: datetime) -> bool:
        """Whether somebody works on it: what is stored of either side may not be what was last seen."""
        return self.lease_until is not None and self.lease_until > now

    @property
    def name(self) -> str:
        """How people and files name it: `provider:user_id`, or `provider:contact ID` while there is no user."""
        return f"{self.provider}:{self.user_id}" if self.user_id else f"{self.provider}:contact {self.contact_id}"
