"""What the sync asks of an identity provider. One module each; `registry` knows them by kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from connector.model import Change, Delivery, Item, Statement, User


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do as configured. A mapping that asks for more is refused by `check`."""

    read: bool = False
    find: bool = False
    list: bool = False
    list_changed: bool = False
    create: bool = False
    update: bool = False
    consent: bool = False
    membership: bool = False
    delete: bool = False
    erase: bool = False


class Particular(Protocol):
    """What a provider may tell beyond its capabilities, for `check`. Each part is optional: who has none is taken at the word of
    the capabilities.
    """

    needs: Mapping[str, str]
    """Capability -> the setting without which it is not there."""

    def unwritable(self, field: str) -> str | None:
        """Why a field of a user can never be written, as configured; None when it can."""

    def unwritable_consent(self, purpose: str) -> str | None:
        """The same of a consent."""

    def unwritable_membership(self, key: str) -> str | None:
        """Why a membership can never be given or taken away, as configured; None when it can."""


class Provider(Protocol):
    """An identity provider as configured. Reading and writing may raise Transient, Missing, Rejected."""

    name: str
    capabilities: Capabilities

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """Raises BadSignature unless the delivery is signed by the provider and fresh. Reads nothing but raw bytes."""

    def split(self, delivery: Delivery) -> list[Item]:
        """The events of an authenticated delivery. Raises BadDelivery when it is unreadable as a whole, TooManyItems."""

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """Whom one stored event is about. Raises BadDelivery."""

    def fetch(self, user_id: str) -> User:
        """One user as it is now. Raises Missing once the provider has deleted it."""

    def find(self, email: str) -> list[User]:
        """Users with this email address, none to several."""

    def pages(self) -> Iterator[list[User]]:
        """All users, a page at a time. Raises Rejected on a listing that does not end or repeats itself.

        Whom the provider still lists but counts as deleted is `gone`, and need not be listed.
        """

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """Users changed at or after `since` (UTC), oldest first; overlap is the caller's business."""

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """Create a user; `key` makes a repeat harmless. Raises Exists when the email is taken, Rejected."""

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """Set these fields and no others; None clears. Returns the user as the provider now holds it.

        Raises Stale when the user changed since `etag` was given, Missing, Rejected.
        """

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """Put down a consent that was given or withdrawn elsewhere. Returns the user as the provider now holds it.

        Raises Stale when the user changed since `etag` was given, Missing, Rejected.
        """

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """Give a user a membership, or take it away; what is so already counts as done. Returns the user as the provider now
        holds it.

        key: as the user's `memberships` have it. Raises Stale when the user changed since `etag` was given, Missing, Rejected.
        """

    def delete(self, user_id: str) -> None:
        """Delete a user; one already gone counts as done."""

    def erase(self, user_id: str) -> None:
        """Delete a user who asked to be forgotten, with all the provider holds; one already gone counts as done."""


def missing_setting(provider: Provider, capability: str) -> str | None:
    """The setting without which a capability is not there; None where no setting would help."""
    found: str | None = getattr(provider, "needs", {}).get(capability)
    return found


def unwritable(provider: Provider, field: str) -> str | None:
    """Why a field of a user can never be written; None when it can. See Particular."""
    why: str | None = provider.unwritable(field) if hasattr(provider, "unwritable") else None
    return why


def unwritable_consent(provider: Provider, purpose: str) -> str | None:
    """Why a consent can never be written; None when it can. See Particular."""
    why: str | None = provider.unwritable_consent(purpose) if hasattr(provider, "unwritable_consent") else None
    return why


def unwritable_membership(provider: Provider, key: str) -> str | None:
    """Why a membership can never be given or taken away; None when it can. See Particular."""
    why: str | None = provider.unwritable_membership(key) if hasattr(provider, "unwritable_membership") else None
    return why
