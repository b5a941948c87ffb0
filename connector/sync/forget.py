"""Forgetting a person: every copy of ours goes, keyed hashes stay so that the erasure holds and the proof of consents stands."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connector.engine.readings import additional_emails
from connector.model import Link, LinkState
from connector.store import Store, Tx
from connector.store.history import Entry
from connector.store.inbox import CRM, Kept
from connector.sync.mentions import Body

PAGE = 100
"""Deliveries looked through at once: one may be a megabyte."""

OFTEN = 10.0
"""Seconds of a search after which it says that it is going on."""

ERASED = "erased:"
"""Begins what stands in the place of an erased user's id."""


@dataclass(frozen=True, slots=True)
class Person:
    """By what a link's person is known."""

    provider: str
    users: frozenset[str]
    contacts: frozenset[str]
    emails: frozenset[str]

    def within(self, other: "Person | None") -> bool:
        """Whether who looks for the other finds all of this one."""
        if other is None or self.provider != other.provider:
            return False
        return self.users <= other.users and self.contacts <= other.contacts and self.emails <= other.emails


@dataclass(frozen=True, slots=True)
class Search:
    """A search of what nobody could attribute: for whom, by link, how far by source, and the rows that name them, by link."""

    people: Mapping[int, Person] = field(default_factory=dict)
    upto: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[int, Sequence[int]] = field(default_factory=dict)


NOTHING = Search()
"""Before which nobody was searched for."""


def search(store: Store, links: Sequence[Link], busy: Callable[[], object] = lambda: None) -> Search:
    """Look for the people of these links, before the transaction that forgets them: there may be much to look through.

    busy: called now and then, to say that somebody is at it.
    """
    if not links:
        return NOTHING
    with store.read() as tx:
        people = {link.id: _person(tx, link) for link in links}
    rows: dict[int, list[int]] = {link_id: [] for link_id in people}
    upto = {}
    told = time.monotonic()
    for source in {CRM, *(one.provider for one in people.values())}:
        here = {link_id: one for link_id, one in people.items() if source in (CRM, one.provider)}
        after = 0
        while page := _page(store, source, after):
            after = page[-1].id
            if time.monotonic() - told >= OFTEN:
                busy()
                told = time.monotonic()
            for row in page:
                body = Body(row.body)
                for link_id, one in here.items():
                    if body.mentions(one.users | one.contacts, one.emails):
                        rows[link_id].append(row.id)
        upto[source] = after
    return Search(people, upto, rows)


def _page(store: Store, source: str, after: int) -> list[Kept]:
    with store.read() as tx:
        return tx.inbox.unattributed(source, after, PAGE)


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
    return {one.id for one in new if (one.provider, one.user_id) in gone or (not one.user_id and one.contact_id in contacts)}


def forget(tx: Tx, link: Link, cause: str | None = None, before: Search = NOTHING, removed: bool = False) -> None:
    """Leave none of our copies about the person of this link, whatever its state. Saying it twice is fine.

    cause: the sender's id of the delivery that asked for it. before: a search that was made for it. removed: the records of the
    person's events are gone from the CRM; else they are taken back later. Neither side is touched here, nor are other links of
    the same contact.
    """
    one = tx.links.get(link.id)
    if one is None or forgotten(one):
        return
    contacts, emails = contact_ids(tx, one), addresses(one)
    told = [row.id for row in deliveries(tx, one, before)]
    done = one.state is LinkState.ERASED and (one.reason or "").startswith("erased")  # and what became of the contact
    tx.links.erase(one.id, _name(tx, one), (done and one.reason) or "erased")
    tx.parked.drop([row.id for row in tx.parked.of_links([one.id]).get(one.id, [])])
    tx.aliases.drop(one.id)
    tx.history.blank(one.id)
    tx.history.add([Entry(one.id, "forget", delivery=cause, run=one.run)])
    tx.inbox.blank(told)
    tx.ledger.erase(one.id, tx.ledger.subject(one.provider, one.user_id) if one.user_id else None)
    others = tx.links.by_contacts(contacts)  # a contact that others are linked to is still to be heard of
    tx.tombstones.bury(one.provider, one.user_id, [contact for contact in contacts if contact not in others], emails)
    records = tx.activities.forget(one.provider, one.user_id) if one.user_id else []
    if not removed:
        tx.removals.add(one.provider, records)


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


def deliveries(tx: Tx, link: Link, before: Search = NOTHING) -> Iterator[Kept]:
    """What was delivered about this person: what was attributed to user or contact, and what else tells of the person.

    before: a search that was made for it; only what it did not see is looked through.
    """
    one = _person(tx, link)
    done = before if one.within(before.people.get(link.id)) else NOTHING
    yield from tx.inbox.of(one.provider, one.users)
    yield from tx.inbox.of(CRM, one.contacts)
    for source in dict.fromkeys([one.provider, CRM]):
        yield from (row for row in tx.inbox.unattributed_of(source, done.rows.get(link.id, ())) if _tells_of(row, source, one))
        yield from (row for row in _unattributed(tx, source, done.upto.get(source, 0)) if _tells_of(row, source, one))


def _tells_of(row: Kept, source: str, one: Person) -> bool:
    """Of the CRM's, one that waits may be what another link of this contact needs to hear."""
    contacts = one.contacts if source == CRM and row.state != "pending" else frozenset[str]()
    return Body(row.body).mentions(one.users | contacts, one.emails)


def _person(tx: Tx, link: Link) -> Person:
    users = [link.user_id] if link.user_id else []
    return Person(link.provider, frozenset(users), frozenset(contact_ids(tx, link)), frozenset(addresses(link)))


def _unattributed(tx: Tx, source: str, after: int) -> Iterator[Kept]:
    while page := tx.inbox.unattributed(source, after, PAGE):
        yield from page
        after = page[-1].id


def _name(tx: Tx, link: Link) -> str:
    """Unique among the provider's links: an id may have been erased before, and a contact may have had no user yet."""
    if link.user_id is None:
        return f"{ERASED}link {link.id}"
    name = erased_name(tx, link.provider, link.user_id)
    return f"{name}.{link.id}" if tx.links.by_users(link.provider, [name]) else name
