"""Forgetting a person: every copy of ours goes, keyed hashes stay so that the erasure holds and the proof of consents stands."""

import json
from collections.abc import Iterable

from connector.model import Link, LinkState
from connector.store import Tx
from connector.store.history import Entry
from connector.sync.search import NOTHING, Search, addresses, contact_ids, deliveries, former_addresses, named

ERASED = "erased:"
"""Begins what stands in the place of an erased user's id."""


def barred(tx: Tx, links: Iterable[Link]) -> set[int]:
    """Those of these links whose person was erased before the link came to be: a listing was under way meanwhile.

    For the beginning of a transaction. A link that agreed on something, or that is to be erased, came to be in time.
    """
    new = [one for one in links if not one.base and not one.erasure and one.state is not LinkState.ERASED]
    if not new:
        return set()
    tx.tombstones.complete()
    users: dict[str, list[str]] = {}
    for one in new:
        users.setdefault(one.provider, []).extend([one.user_id] if one.user_id else [])
    gone = {(provider, user_id) for provider, ids in users.items() for user_id in tx.tombstones.users(provider, ids)}
    contacts = tx.tombstones.contacts([one.contact_id for one in new if one.contact_id and not one.user_id])
    found = {one.id for one in new if (one.provider, one.user_id) in gone or (not one.user_id and one.contact_id in contacts)}
    if found:
        tx.tombstones.alone()  # as `forget` does, while no row is locked yet
    return found


def forget(tx: Tx, link: Link, cause: str | None = None, before: Search = NOTHING, removed: bool = False) -> None:
    """Leave none of our copies about the person of this link, whatever its state. Saying it twice is fine.

    cause: the sender's id of the delivery that asked for it. before: a search that was made for it. removed: the records of the
    person's events are gone from the CRM; else they are taken back later. Neither side is touched here, nor are other links of
    the same contact.
    """
    tx.tombstones.alone()  # two who take names out of one delivery would each put back what the other took
    one = tx.links.get(link.id)
    if one is None or forgotten(one):
        return
    contacts, emails, former = contact_ids(tx, one), addresses(one), former_addresses(tx, one)
    told, (others, events) = [row.id for row in deliveries(tx, one, before)], named(tx, one, before)
    done = one.state is LinkState.ERASED and (one.reason or "").startswith("erased")  # and what became of the contact
    tx.links.erase(one.id, _name(tx, one), (done and one.reason) or "erased")
    tx.parked.drop([row.id for row in tx.parked.of_links([one.id]).get(one.id, [])])
    tx.aliases.drop(one.id)
    tx.history.blank(one.id)
    tx.history.add([Entry(one.id, "forget", delivery=cause, run=one.run)])
    tx.inbox.blank(told)
    tx.inbox.rewrite(others)
    tx.activities.rewrite({row: json.loads(details) for row, details in events.items()})
    tx.ledger.erase(one.id, tx.ledger.subject(one.provider, one.user_id) if one.user_id else None)
    theirs = tx.links.by_contacts(contacts)  # a contact that others are linked to is still to be heard of
    alone = [contact for contact in contacts if contact not in theirs]
    tx.tombstones.bury(one.provider, one.user_id, alone, emails, former - {*emails})
    records = tx.activities.forget(one.provider, one.user_id) if one.user_id else []
    if not removed:
        tx.removals.add(one.provider, records)


def forgotten(link: Link) -> bool:
    """Whether this is what `forget` left of a link."""
    return link.state is LinkState.ERASED and (link.user_id or "").startswith(ERASED)


def erased_name(tx: Tx, provider: str, user_id: str) -> str:
    """What stands in the place of a user's id once the user is erased."""
    return ERASED + tx.keyed.user(provider, user_id)[:24]


def _name(tx: Tx, link: Link) -> str:
    """Unique among the provider's links: an id may have been erased before, and a contact may have had no user yet."""
    if link.user_id is None:
        return f"{ERASED}link {link.id}"
    name = erased_name(tx, link.provider, link.user_id)
    return f"{name}.{link.id}" if tx.links.by_users(link.provider, [name]) else name
