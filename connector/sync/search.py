"""Finding what was delivered about a person: what says so, and what tells of the person without being about anybody, or else."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from connector.engine.readings import additional_emails
from connector.model import LIVING, Link
from connector.store import Store, Tx
from connector.store.inbox import CRM, Kept
from connector.sync.mentions import Body

PAGE = 100
"""Deliveries looked through at once: one may be a megabyte."""

OFTEN = 10.0
"""Seconds of a search after which it says that it is going on."""


@dataclass(frozen=True, slots=True)
class Person:
    """By what a link's person is known. own: the addresses that nobody else has."""

    provider: str
    users: frozenset[str]
    contacts: frozenset[str]
    emails: frozenset[str]
    own: frozenset[str]

    def heard_by(self, row: Kept) -> bool:
        """Whether it came from where this person is known: other providers may have the same id for somebody else."""
        return row.source in (CRM, self.provider)

    def within(self, other: "Person | None") -> bool:
        """Whether who looks for the other finds all of this one."""
        if other is None or self.provider != other.provider:
            return False
        return self.users <= other.users and self.contacts <= other.contacts and self.emails <= other.emails


@dataclass(frozen=True, slots=True)
class Search:
    """A search of what was delivered: for whom, by link, up to which row, and by link the rows that name them: those that nobody
    could attribute (`rows`), and those about others (`others`)."""

    people: Mapping[int, Person] = field(default_factory=dict)
    upto: int = 0
    rows: Mapping[int, Sequence[int]] = field(default_factory=dict)
    others: Mapping[int, Sequence[int]] = field(default_factory=dict)


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
    others: dict[int, list[int]] = {link_id: [] for link_id in people}
    words = {word.casefold() for one in people.values() for word in one.users | one.contacts | one.emails}
    upto, told = 0, time.monotonic()
    while page := _page(store, upto):
        upto = page[-1].id
        if time.monotonic() - told >= OFTEN:
            busy()
            told = time.monotonic()
        for row in page:
            body = Body(row.body)
            if not body.may_hold(words):
                continue
            for link_id, one in people.items():
                if _names(row, body, one):
                    others[link_id].append(row.id)
                elif row.record is None and one.heard_by(row) and body.mentions(one.users | one.contacts, one.emails):
                    rows[link_id].append(row.id)
    return Search(people, upto, rows, others)


def _page(store: Store, after: int) -> list[Kept]:
    with store.read() as tx:
        return tx.inbox.page(after, PAGE)


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
    """What was delivered about this person: what was attributed to user or contact, and what nobody could attribute and tells
    of the person.

    before: a search that was made for it; only what it did not see is looked through.
    """
    one = _person(tx, link)
    done = before if one.within(before.people.get(link.id)) else NOTHING
    yield from tx.inbox.of(one.provider, one.users)
    yield from tx.inbox.of(CRM, one.contacts)
    yield from (row for row in tx.inbox.among(done.rows.get(link.id, ())) if row.record is None and _tells_of(row, one))
    for source in dict.fromkeys([one.provider, CRM]):
        late = _since(partial(tx.inbox.unattributed, source), done.upto)
        yield from (row for row in late if _tells_of(row, one))


def named(tx: Tx, link: Link, before: Search) -> dict[int, bytes]:
    """What was delivered about others and names this person, as far as that was searched for: by row, what it says without that.

    An address that somebody else has, too, is not this person's alone, and stays.
    """
    if link.id not in before.people:
        return {}
    one = _person(tx, link)
    done = before if one.within(before.people[link.id]) else NOTHING
    rows = chain(tx.inbox.among(done.others.get(link.id, ())), _since(tx.inbox.page, done.upto))
    found = ((row, Body(row.body)) for row in rows)
    return {row.id: body.without(one.users, one.own) for row, body in found if _names(row, body, one)}


def _names(row: Kept, body: Body, one: Person) -> bool:
    """Whether a row about somebody else names this person."""
    if row.record is None or not one.heard_by(row) or row.record in (one.contacts if row.source == CRM else one.users):
        return False
    return body.mentions(one.users, one.own)


def _tells_of(row: Kept, one: Person) -> bool:
    """One that waits to be read may be about somebody else who needs it, and of an erased person is blanked when it is read.

    A provider's names its user by the id.
    """
    if row.state == "pending":
        return Body(row.body).mentions(one.users, frozenset())
    return Body(row.body).mentions(one.users | (one.contacts if row.source == CRM else frozenset()), one.emails)


def _person(tx: Tx, link: Link) -> Person:
    users = [link.user_id] if link.user_id else []
    emails = addresses(link)
    own = [one for one in emails if not any(found.id != link.id and found.state in LIVING for found in tx.links.by_email(one))]
    return Person(link.provider, frozenset(users), frozenset(contact_ids(tx, link)), frozenset(emails), frozenset(own))


def _since(look: Callable[[int, int], list[Kept]], after: int) -> Iterator[Kept]:
    while page := look(after, PAGE):
        yield from page
        after = page[-1].id
