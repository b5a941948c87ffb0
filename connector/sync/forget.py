"""Forgetting a person: every copy of ours goes, keyed hashes stay so that the erasure holds and the proof of consents stands."""

from collections.abc import Iterator, Sequence

from connector.engine.readings import additional_emails
from connector.model import Link, LinkState
from connector.store import Tx
from connector.store.history import Entry
from connector.store.inbox import CRM, Kept
from connector.sync.mentions import mentions

PAGE = 100
"""Deliveries looked through at once: one may be a megabyte."""

ERASED = "erased:"
"""Begins what stands in the place of an erased user's id."""


def forget(tx: Tx, link: Link, cause: str | None = None) -> list[str]:
    """Leave none of our copies about the person of this link, whatever its state. Saying it twice is fine.

    cause: the sender's id of the delivery that asked for it. The CRM and the provider are not touched, nor are other links of
    the same contact. Returns the ids of the CRM's records of this person's events, for whoever deletes them there.
    """
    one = tx.links.get(link.id)
    if one is None or forgotten(one):
        return []
    contacts, emails = contact_ids(tx, one), addresses(one)
    done = one.state is LinkState.ERASED and (one.reason or "").startswith("erased")  # and what became of the contact
    tx.links.erase(one.id, _name(tx, one), (done and one.reason) or "erased")
    tx.parked.drop([row.id for row in tx.parked.of_links([one.id]).get(one.id, [])])
    tx.aliases.drop(one.id)
    tx.history.blank(one.id)
    tx.history.add([Entry(one.id, "forget", delivery=cause, run=one.run)])
    tx.inbox.blank([row.id for row in deliveries(tx, one, contacts, emails)])
    tx.ledger.erase(one.id, tx.ledger.subject(one.provider, one.user_id) if one.user_id else None)
    others = tx.links.by_contacts(contacts)  # a contact that others are linked to is still to be heard of
    tx.tombstones.bury(one.provider, one.user_id, [contact for contact in contacts if contact not in others], emails)
    return tx.activities.forget(one.provider, one.user_id) if one.user_id else []


def forgotten(link: Link) -> bool:
    """Whether this is what `forget` left of a link."""
    return link.state is LinkState.ERASED and (link.user_id or "").startswith(ERASED)


def erased_name(tx: Tx, provider: str, user_id: str) -> str:
    """What stands in the place of a user's id once the user is erased."""
    return ERASED + tx.keyed.user(provider, user_id)[:24]


def contact_ids(tx: Tx, link: Link) -> list[str]:
    """The link's contact, and the ids it had before merges."""
    return [one for one in (link.contact_id, *tx.aliases.of_link(link.id)) if one]


def addresses(link: Link) -> list[str]:
    """The person's addresses as either side was last seen, and as both last agreed, in lower case."""
    told = [link.base.get("email"), link.user and link.user.values.get("email")]
    if link.contact:
        told += [link.contact.properties.get("email"), *additional_emails(link.contact)]
    return sorted({one.strip().casefold() for one in told if isinstance(one, str) and one.strip()})


def deliveries(tx: Tx, link: Link, contacts: Sequence[str], emails: Sequence[str]) -> Iterator[Kept]:
    """What was delivered about this person: what was attributed to user or contact, and what else tells of the person."""
    users = [link.user_id] if link.user_id else []
    yield from tx.inbox.of(link.provider, users)
    yield from tx.inbox.of(CRM, contacts)
    yield from (row for row in _unattributed(tx, link.provider) if mentions(row.body, users, emails))
    for row in _unattributed(tx, CRM):  # one that waits may be what another link of this contact needs to hear
        if mentions(row.body, users if row.state == "pending" else [*users, *contacts], emails):
            yield row


def _unattributed(tx: Tx, source: str) -> Iterator[Kept]:
    after = 0
    while page := tx.inbox.unattributed(source, after, PAGE):
        yield from page
        after = page[-1].id


def _name(tx: Tx, link: Link) -> str:
    """Unique among the provider's links: an id may have been erased before, and a contact may have had no user yet."""
    if link.user_id is None:
        return f"{ERASED}link {link.id}"
    name = erased_name(tx, link.provider, link.user_id)
    return f"{name}.{link.id}" if tx.links.by_users(link.provider, [name]) else name
