"""Finding what was delivered about a person: what says so, and what tells of the person without being about anybody, or else."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from connector.engine.readings import additional_emails
from connector.model import LIVING, Link
from connector.store import Store, Tx
from connector.store.activities import Told
from connector.store.inbox import CRM, Kept
from connector.sync.mentions import Body

Row = TypeVar("Row", Kept, Told)

PAGE = 100
"""Deliveries looked through at once: one may be a megabyte."""

OFTEN = 10.0
"""Seconds of a search after which it says that it is going on."""


@dataclass(frozen=True, slots=True)
class Person:
    """By what a link's person is known. emails: former ones, too. own: the addresses that nobody else has."""

    provider: str
    users: frozenset[str]
    contacts: frozenset[str]
    emails: frozenset[str]
    own: frozenset[str]

    def told_by(self, row: Kept, body: Body) -> bool:
        """Whether a row that nobody could attribute tells of the person. An id means somebody only to whoever gave it."""
        theirs = {self.provider: self.users, CRM: self.contacts}
        return body.mentions(theirs.get(row.source, frozenset()), self.emails)

    def is_about(self, row: Kept) -> bool:
        """Whether a row that was attributed is about the person."""
        return row.record in {self.provider: self.users, CRM: self.contacts}.get(row.source, frozenset())

    def within(self, other: "Person | None") -> bool:
        """Whether who looks for the other finds all of this one."""
        if other is None or self.provider != other.provider:
            return False
        return self.users <= other.users and self.contacts <= other.contacts and self.emails <= other.emails


@dataclass(frozen=True, slots=True)
class Search:
    """A search of what was delivered: for whom, by link, up to which row, and by link the rows that name them, be they about
    others, or about whom nobody could tell so far. The same of identity events."""

    people: Mapping[int, Person] = field(default_factory=dict)
    upto: int = 0
    rows: Mapping[int, Sequence[int]] = field(default_factory=dict)
    upto_event: int = 0
    events: Mapping[int, Sequence[int]] = field(default_factory=dict)


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
    beat = _Beat(busy)
    rows, upto = _look(store, people, lambda tx, after: tx.inbox.page(after, PAGE), _may_tell, beat)
    events, upto_event = _look(store, people, lambda tx, after: tx.activities.page(after, PAGE), _may_name, beat)
    return Search(people, upto, rows, upto_event, events)


class _Beat:
    """Says now and then that somebody is at it."""

    def __init__(self, busy: Callable[[], object]) -> None:
        self._busy = busy
        self._told = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._told >= OFTEN:
            self._busy()
            self._told = time.monotonic()


def _look(
    store: Store, people: Mapping[int, Person], page: Callable[[Tx, int], list[Row]],
    tells: Callable[[Row, Body, Person], bool], beat: Callable[[], None],
) -> tuple[dict[int, list[int]], int]:  # fmt: skip
    """By link the rows that may tell of its person, and the last row there was."""
    found: dict[int, list[int]] = {link_id: [] for link_id in people}
    words = {word.casefold() for one in people.values() for word in one.users | one.contacts | one.emails}
    upto = 0
    while rows := _read(store, page, upto):
        upto = rows[-1].id
        beat()
        for row in rows:
            body = Body(row.body)
            if body.may_hold(words):
                for link_id, one in people.items():
                    if tells(row, body, one):
                        found[link_id].append(row.id)
    return found, upto


def _read(store: Store, page: Callable[[Tx, int], list[Row]], after: int) -> list[Row]:
    with store.read() as tx:
        return page(tx, after)


def _may_tell(row: Kept, body: Body, one: Person) -> bool:
    """Whose an address is alone, and about whom a row is, counts when the person is forgotten."""
    return one.told_by(row, body) if row.record is None else not one.is_about(row) and body.mentions((), one.emails)


def _may_name(row: Told, body: Body, one: Person) -> bool:
    return body.mentions((), one.emails)


def contact_ids(tx: Tx, link: Link) -> list[str]:
    """The link's contact, and the ids it had before merges."""
    return [one for one in (link.contact_id, *tx.aliases.of_link(link.id)) if one]


def addresses(link: Link) -> list[str]:
    """The person's addresses as either side was last seen, and as both last agreed, in lower case."""
    told = [link.base.get("email"), link.user and link.user.values.get("email")]
    if link.contact:
        told += [link.contact.properties.get("email"), *additional_emails(link.contact)]
    return sorted({one.strip().casefold() for one in told if isinstance(one, str) and one.strip()})


def former_addresses(tx: Tx, link: Link) -> set[str]:
    """The addresses that the person had, as the history has them."""
    changes = [
        change for entry in tx.history.of_link(link.id, None) for change in entry.changes if change.get("field") == "email"
    ]
    told = [change.get(name) for change in changes for name in ("from", "to", "user", "contact")]
    return {one.strip().casefold() for one in told if isinstance(one, str) and "@" in one}


def deliveries(tx: Tx, link: Link, before: Search = NOTHING) -> Iterator[Kept]:
    """What was delivered about this person: what was attributed to user or contact, and what nobody could attribute and tells
    of the person. What waits to be read is left: it may be about somebody else, who needs it.

    before: a search that was made for it; only what it did not see is looked through.
    """
    one = _person(tx, link)
    done = before if one.within(before.people.get(link.id)) else NOTHING
    yield from tx.inbox.of(one.provider, one.users)
    yield from tx.inbox.of(CRM, one.contacts)
    for row in chain(tx.inbox.among(done.rows.get(link.id, ())), _since(tx.inbox.unattributed, done.upto)):
        if row.record is None and row.state != "pending" and one.told_by(row, Body(row.body)):
            yield row


def named(tx: Tx, link: Link, before: Search) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Which deliveries about others and which events of others name this person, as far as that was searched for: by row, what
    it says without that.

    An address that somebody else has, too, is not this person's alone, and stays.
    """
    if link.id not in before.people:
        return {}, {}
    one = _person(tx, link)
    done = before if one.within(before.people[link.id]) else NOTHING
    rows = chain(tx.inbox.among(done.rows.get(link.id, ())), _since(tx.inbox.page, done.upto))
    told = ((row.id, Body(row.body)) for row in rows if row.record is not None and not one.is_about(row))
    events = chain(tx.activities.among(done.events.get(link.id, ())), _since(tx.activities.page, done.upto_event))
    return _without(told, one), _without(((row.id, Body(row.body)) for row in events), one)


def of_erased(tx: Tx, bodies: Mapping[int, Body]) -> dict[int, bytes]:
    """Which of these name somebody who was erased, by an address that nobody has now: by key, what it says without that."""
    told = {key: body.addresses() for key, body in bodies.items()}
    gone = set(tx.tombstones.emails(sorted(set().union(*told.values())), ["email", "former"]))
    gone -= tx.links.in_use(gone) if gone else set()
    return {key: bodies[key].without(found & gone) for key, found in told.items() if found & gone}


def _without(rows: Iterable[tuple[int, Body]], one: Person) -> dict[int, bytes]:
    return {row: body.without(one.own) for row, body in rows if body.mentions((), one.own)}


def _person(tx: Tx, link: Link) -> Person:
    users = [link.user_id] if link.user_id else []
    present, former = addresses(link), former_addresses(tx, link)
    shared = {one for one in {*present, *former} if _is_of_others(tx, link, one)}
    emails, own = {*present, *(former - shared)}, {*present, *former} - shared
    return Person(link.provider, frozenset(users), frozenset(contact_ids(tx, link)), frozenset(emails), frozenset(own))


def _is_of_others(tx: Tx, link: Link, email: str) -> bool:
    return any(found.id != link.id and found.state in LIVING for found in tx.links.by_email(email))


def _since(look: Callable[[int, int], list[Row]], after: int) -> Iterator[Row]:
    while page := look(after, PAGE):
        yield from page
        after = page[-1].id
