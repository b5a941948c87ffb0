"""What a person does to links and parked work: hold, release, unlink, relink, retry, drop.

Each looks at the row again, locked: a worker may have leased or recorded it since it was found. Its link is locked before
anything else, as by whoever records it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError

from connector.crm.base import Write
from connector.errors import Locked, Missing, Rejected
from connector.model import ANSWERABLE, LIVING, Link, LinkState
from connector.store import Tx
from connector.store.history import Entry
from connector.store.notes import ParkedRow
from connector.sync.brakes import APPROVED, BRAKE
from connector.sync.options import ASKED
from connector.sync.work import LEASE, Work

AFRESH: dict[str, Any] = {"attempts": 0, "failed_since": None, "lone": False}
"""Of a link that is tried as if it had never failed."""


def hold(tx: Tx, link: Link, reason: str) -> None:
    """Stop synchronising a link until it is released. What it is due for is looked at once more: it may be a withdrawal."""
    link = _now(tx, link)
    _require(link, LinkState.PENDING, LinkState.ACTIVE, doing="hold")
    _set(tx, link, "hold", {"state": LinkState.HELD, "reason": reason})


def release(tx: Tx, link: Link) -> None:
    """Go on with a held link. Raises Rejected while its contact is linked to another user: it would get the values of both."""
    link = _now(tx, link)
    _require(link, LinkState.HELD, doing="release")
    _require_free(tx, link, link.contact_id)
    state = LinkState.ACTIVE if link.contact_id else LinkState.PENDING
    reason = APPROVED if BRAKE in (link.reason or "") else None
    _set(tx, link, "release", {"state": state, "reason": reason})
    tx.links.notice(link.id, {}, tx.now)


def unlink(tx: Tx, link: Link, reason: str = "unlinked by a person") -> None:
    """Cut a link; both sides stay as they are and are never synchronised again until a person relinks. Who is to be forgotten is
    forgotten all the same."""
    link = _now(tx, link)
    _require(link, *LIVING, doing="unlink")
    tx.parked.drop([row.id for row in tx.parked.of_links([link.id]).get(link.id, [])])
    _set(tx, link, "unlink", {"state": LinkState.UNLINKED, "reason": reason, "due_at": None})
    if link.erasure:
        tx.links.notice(link.id, AFRESH, tx.now)


def relink(work: Work, link: Link, contact_id: str | None) -> None:
    """Bring a link back, to its former contact or to another one. The first meeting's rules decide about the fields.

    Raises Locked while a worker has the link, Rejected when it cannot be relinked, and what the CRM raises. Nothing is changed
    here then, and an active link mends what it left on its contact; the same command again goes on from there.
    """
    with work.store.write() as tx:
        taken = tx.links.take(link.id, work.owner, LEASE)
        if taken is None:
            raise Locked(f"{link.name}: a worker has it right now; try again in a minute")
        contact = _relinkable(tx, taken, contact_id)
    try:
        if taken.contact_id != contact:
            work.crm.check_portal()
            if contact not in work.crm.read([contact], []):
                raise Rejected(f"{link.name}: the CRM has no contact {contact}; nothing was changed")
            _hand_back(work, taken)
        work.reached("handed back")
        with work.store.write() as tx:
            _relinked(tx, taken, contact)
    except Exception:
        _let_go(work, taken)
        raise


def _relinkable(tx: Tx, link: Link, contact_id: str | None) -> str:
    """The contact a link would be relinked to."""
    _require(link, *LinkState, but=(LinkState.ERASED, LinkState.MERGED), doing="relink")
    contact = contact_id or link.contact_id
    if contact is None:
        raise Rejected(f"{link.name}: there is no former contact; name one with --contact")
    _require_free(tx, link, contact)
    return contact


def _relinked(tx: Tx, link: Link, contact: str) -> None:
    if link.id not in tx.links.current([link]):
        raise Locked(f"{link.name}: somebody else changed it meanwhile; look again")
    _require_free(tx, link, contact)
    blank: dict[str, Any] = {"base": {}, "echo": {}, "held": {}, "gone_since": None, "contact": None, "user_gone": False}
    values = {**blank, "state": LinkState.ACTIVE, "reason": None, "contact_id": contact}
    _set(tx, link, "relink", values, f"contact {link.contact_id or 'none'} -> {contact}")
    tx.links.notice(link.id, {"refetch": True}, tx.now)


def _let_go(work: Work, link: Link) -> None:
    """Give a lease back; a link that is alive is looked at, because its contact may have lost the user's id."""
    with work.store.write() as tx:
        ours = tx.links.record(link.id, link.token, {})
        if ours and link.state in ANSWERABLE:
            tx.links.notice(link.id, {}, tx.now)


def _hand_back(work: Work, link: Link) -> None:
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


def retry(tx: Tx, rows: Sequence[ParkedRow]) -> int:
    """Try parked work again now. Returns how many rows that is; those of a link that has ended are only dropped."""
    links = {link_id: tx.links.locked(link_id) for link_id in sorted({row.link_id for row in rows})}
    alive = {link_id for link_id, link in links.items() if link and (link.state in LIVING or link.erasure)}
    tx.parked.drop([row.id for row in rows])
    tx.cursors.set(ASKED)
    for link_id in alive:
        tx.links.notice(link_id, AFRESH, tx.now)
    return sum(row.link_id in alive for row in rows)


def drop(tx: Tx, row: ParkedRow, reason: str) -> None:
    """Give parked work up, for a reason that stays in the history."""
    tx.links.lock([row.link_id])
    tx.parked.drop([row.id])
    tx.history.add([Entry(row.link_id, "drop", answer=f"{row.what}: {reason}")])


def _now(tx: Tx, link: Link) -> Link:
    """The link as it stands; whoever leases or records it waits for the end of this transaction."""
    found = tx.links.locked(link.id)
    if found is None:
        raise Rejected(f"{link.name}: is gone")
    return found


def _require(link: Link, *states: LinkState, doing: str, but: Sequence[LinkState] = ()) -> None:
    if link.state not in states or link.state in but:
        raise Rejected(f"{link.name}: is {link.state.value}, cannot {doing} it")


def _require_free(tx: Tx, link: Link, contact_id: str | None) -> None:
    """Raises Rejected when the contact has another active link of this provider."""
    for one in tx.links.by_contacts([contact_id]).get(contact_id, []) if contact_id else []:
        if one.id != link.id and one.provider == link.provider and one.state is LinkState.ACTIVE:
            way_out = f"first: connector link unlink {one.name}"
            raise Rejected(f"{link.name}: contact {contact_id} is linked to {one.name}; unlink that one {way_out}")


def _set(tx: Tx, link: Link, kind: str, values: dict[str, Any], told: str | None = None) -> None:
    """Change the locked row under whoever has it on lease: a new token makes their late record void."""
    try:
        with tx.part():
            tx.links.record(link.id, link.token, {**values, "token": link.token + 1})
    except IntegrityError:
        raise Locked(f"{link.name}: its contact was linked to another user this very moment; look again") from None
    tx.history.add([Entry(link.id, kind, answer=told or values.get("reason"))])
