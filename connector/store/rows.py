"""Between link rows and the model: what a user, a contact and a normal-form value look like as JSON."""

from collections.abc import Mapping
from typing import Any, Literal

from connector.model import Contact, Link, LinkState, User, Value
from connector.store.tables import storable

LONGEST_ID = {"user": 300, "contact": 64}
"""Characters the columns take."""


def fits(side: Literal["user", "contact"], record_id: str) -> bool:
    """Whether an id can be stored as it is: ids are never cut or mended, that could make two people one."""
    return 0 < len(record_id) <= LONGEST_ID[side] and storable(record_id) == record_id


def user_columns(user: User | None) -> dict[str, Any]:
    """The columns that hold a user."""
    if user is None:
        return {"user": None, "user_updated_at": None}
    stored: dict[str, Any] = {"id": user.id, "values": dict(user.values), "etag": user.etag}
    if user.memberships is not None:
        stored["memberships"] = [dict(one) for one in user.memberships]
    if user.consents is not None:
        stored["consents"] = [dict(one) for one in user.consents]
    return {"user": stored, "user_updated_at": user.updated_at}


def contact_columns(contact: Contact | None) -> dict[str, Any]:
    """The columns that hold a contact."""
    if contact is None:
        return {"contact": None, "contact_updated_at": None}
    return {"contact": {"id": contact.id, "properties": dict(contact.properties)}, "contact_updated_at": contact.updated_at}


def email_of(user: User | None, contact: Contact | None) -> str | None:
    """The address people look a link up by: the user's, or else the contact's, in lower case."""
    for found in (user and user.values.get("email"), contact and contact.properties.get("email")):
        if isinstance(found, str) and found.strip():
            return found.strip().lower()[:320]
    return None


def from_row(row: Any) -> Link:
    """A link as stored."""
    stored = row.user
    user = stored and User(
        stored["id"],
        stored["values"],
        row.user_updated_at,
        stored["etag"],
        _entries(stored.get("memberships")),
        _entries(stored.get("consents")),
    )
    contact = row.contact and Contact(row.contact["id"], row.contact["properties"], row.contact_updated_at)
    return Link(
        id=row.id,
        provider=row.provider,
        user_id=row.user_id,
        contact_id=row.contact_id,
        state=LinkState(row.state),
        reason=row.reason,
        base=_values(row.base),
        echo=_values(row.echo),
        user=user,
        contact=contact,
        held=row.held,
        drift=tuple(row.drift),
        user_gone=row.user_gone,
        gone_since=row.gone_since,
        refetch=row.refetch,
        erasure=row.erasure,
        reread=row.reread,
        recheck=row.recheck,
        consents=row.consents,
        attempts=row.attempts,
        failed_since=row.failed_since,
        lost=row.lost,
        intent=tuple(row.intent),
        lone=row.lone,
        due_at=row.due_at,
        token=row.token,
        rung=row.rung,
        run=row.run,
        cause=row.cause,
        settled_at=row.settled_at,
        user_seen_at=row.user_seen_at,
        lease_until=row.lease_until,
        contact_seen_at=row.contact_seen_at,
    )


def _values(stored: Mapping[str, Any]) -> dict[str, Value]:
    """Sets come back from JSON as lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


def _entries(stored: list[Any] | None) -> tuple[Any, ...] | None:
    return None if stored is None else tuple(stored)
