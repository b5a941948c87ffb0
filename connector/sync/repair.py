"""What a person does to links and parked work: hold, release, unlink, relink, retry, drop."""

from collections.abc import Sequence
from typing import Any

from connector.crm.base import Write
from connector.errors import Missing, Rejected
from connector.model import Link, LinkState
from connector.store import Tx
from connector.store.history import Entry
from connector.store.notes import ParkedRow
from connector.sync.brakes import APPROVED
from connector.sync.work import Work


def hold(tx: Tx, link: Link, reason: str) -> None:
    """Stop synchronising a link until it is released."""
    _require(link, LinkState.PENDING, LinkState.ACTIVE, doing="hold")
    _set(tx, link, "hold", {"state": LinkState.HELD, "reason": reason, "due_at": None})


def release(tx: Tx, link: Link) -> None:
    """Go on with a held link."""
    _require(link, LinkState.HELD, doing="release")
    state = LinkState.ACTIVE if link.contact_id and not _occupied(tx, link, link.contact_id) else LinkState.PENDING
    reason = APPROVED if (link.reason or "").startswith("brake:") else None
    _set(tx, link, "release", {"state": state, "reason": reason})
    tx.links.notice(link.id, {}, tx.now)


def unlink(tx: Tx, link: Link, reason: str = "unlinked by a person") -> None:
    """Cut a link; both sides stay as they are and are never synchronised again until a person relinks."""
    _require(link, LinkState.PENDING, LinkState.ACTIVE, LinkState.HELD, doing="unlink")
    _set(tx, link, "unlink", {"state": LinkState.UNLINKED, "reason": reason, "due_at": None})


def relink(tx: Tx, link: Link, contact_id: str | None) -> None:
    """Bring a link back, to its former contact or to another one. The first meeting's rules decide about the fields."""
    contact = relinkable(tx, link, contact_id)
    blank: dict[str, Any] = {"base": {}, "echo": {}, "held": {}, "gone_since": None, "contact": None, "user_gone": False}
    _set(tx, link, "relink", {**blank, "state": LinkState.ACTIVE, "reason": None, "contact_id": contact})
    tx.links.notice(link.id, {"refetch": True}, tx.now)


def relinkable(tx: Tx, link: Link, contact_id: str | None) -> str:
    """The contact a link would be relinked to. Raises Rejected when it cannot be."""
    _require(link, *LinkState, but=(LinkState.ERASED, LinkState.MERGED), doing="relink")
    contact = contact_id or link.contact_id
    if contact is None:
        raise Rejected(f"{link.name}: there is no former contact; name one with --contact")
    if _occupied(tx, link, contact):
        raise Rejected(f"{link.name}: contact {contact} is linked to another user of {link.provider}; unlink that one first")
    return contact


def hand_back(work: Work, link: Link) -> None:
    """Take the user's id off the contact it leaves: the property is unique, the next contact could not carry it.

    Raises what the CRM raises; a contact that is gone is fine.
    """
    name = work.id_property(link.provider)
    contact = work.crm.read([link.contact_id or ""], [name]).get(link.contact_id or "") if link.contact_id else None
    if contact is None or not link.user_id or contact.properties.get(name) != link.user_id:
        return
    (outcome,) = work.crm.update([Write("former", contact.id, {name: ""})], ())
    if outcome.error is not None and not isinstance(outcome.error, Missing):
        raise outcome.error


def retry(tx: Tx, rows: Sequence[ParkedRow]) -> None:
    """Try parked work again now."""
    tx.parked.drop([row.id for row in rows])
    for link_id in {row.link_id for row in rows}:
        tx.links.notice(link_id, {"attempts": 0, "failed_since": None, "lone": False}, tx.now)


def drop(tx: Tx, row: ParkedRow, reason: str) -> None:
    """Give parked work up, for a reason that stays in the history."""
    tx.parked.drop([row.id])
    tx.history.add([Entry(row.link_id, "drop", answer=f"{row.what}: {reason}")])


def _require(link: Link, *states: LinkState, doing: str, but: Sequence[LinkState] = ()) -> None:
    if link.state not in states or link.state in but:
        raise Rejected(f"{link.name}: is {link.state.value}, cannot {doing} it")


def _occupied(tx: Tx, link: Link, contact_id: str) -> bool:
    others = tx.links.by_contacts([contact_id]).get(contact_id, [])
    return any(one.id != link.id and one.provider == link.provider and one.state == LinkState.ACTIVE for one in others)


def _set(tx: Tx, link: Link, kind: str, values: dict[str, Any]) -> None:
    """Change the row under whoever has it on lease: a new token makes their late record void."""
    tx.links.record(link.id, link.token, {**values, "token": link.token + 1})
    tx.history.add([Entry(link.id, kind, answer=values.get("reason"))])
