"""The links: finding them, ringing them, leasing them with a fencing token, recording what became of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, delete, exists, func, insert, literal, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError

from connector.model import ANSWERABLE, LIVING, SHARING, Contact, Link, LinkState, User
from connector.store.portions import portions
from connector.store.rows import contact_columns, email_of, from_row, user_columns
from connector.store.tables import Json, Moment, alias, link

if TYPE_CHECKING:
    from connector.store.store import Tx

LOST_TOGETHER = 2
"""Leases lost in company; after that a link goes alone, so that the one that kills its worker takes nobody along."""


LEASING, MEETING = 7305214, 7305215
"""PostgreSQL's numbers for the locks around taking leases and around links for contacts nobody knows; any will do."""


class Links:
    """Queries on `link`, inside one transaction."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def get(self, link_id: int) -> Link | None:
        """One link by its own id."""
        return next(iter(self._where(link.c.id == link_id)), None)

    def by_users(self, provider: str, user_ids: Iterable[str]) -> dict[str, Link]:
        """A provider's links by user id."""
        found = self._where((link.c.provider == provider) & link.c.user_id.in_(list(user_ids)))
        return {row.user_id: row for row in found if row.user_id is not None}

    def by_contacts(self, contact_ids: Iterable[str]) -> dict[str, list[Link]]:
        """Links by contact id asked for, former ids of merged contacts included."""
        ids = list(contact_ids)
        found: dict[str, list[Link]] = {}
        for row in self._where(link.c.contact_id.in_(ids)):
            found.setdefault(row.contact_id or "", []).append(row)
        query = select(alias.c.former_id, link).join_from(alias, link).where(alias.c.former_id.in_(ids))
        for one in self._db.execute(query):
            former = found.setdefault(one.former_id, [])
            if all(known.id != one.id for known in former):
                former.append(from_row(one))
        return found

    def nobody_knows(self, contact_id: str) -> bool:
        """Whether no link leads to this contact. Until this transaction ends, nobody else is told so of any contact."""
        self._one_at_a_time(MEETING)
        return not self.by_contacts([contact_id])

    def by_email(self, email: str) -> list[Link]:
        """Links whose user or contact was last seen with this address (in normal form)."""
        return self._where(link.c.email == email)

    def in_use(self, emails: Iterable[str]) -> set[str]:
        """Those of these addresses (in normal form) that somebody living has."""
        return self._addresses(emails, link.c.state.in_(LIVING))

    def erasing(self, emails: Iterable[str]) -> set[str]:
        """Those of these addresses (in normal form) whose person is about to be erased."""
        return self._addresses(emails, link.c.erasure)

    def _addresses(self, emails: Iterable[str], which: Any) -> set[str]:
        queries = (select(link.c.email).where(link.c.email.in_(some), which) for some in portions(emails))
        return {email for query in queries for email in self._db.execute(query).scalars()}

    def create(self, rows: Sequence[dict[str, Any]]) -> None:
        """New links from attributes of `model.Link`; due now if their state can be."""
        now = self._tx.now
        if rows:
            self._db.execute(insert(link), [_new(row, now) for row in rows])

    def meet(self, rows: Sequence[dict[str, Any]]) -> set[str]:
        """The same for users, but for those whom somebody else got to know meanwhile. Returns the ids of the others."""
        now = self._tx.now
        make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
        if not rows:
            return set()
        once = make(link).on_conflict_do_nothing(index_elements=["provider", "user_id"]).returning(link.c.user_id)
        in_order = sorted(rows, key=lambda one: (one["provider"], one["user_id"]))  # others may meet the same ones: see `lock`
        return set(self._db.execute(once, [_new(row, now) for row in in_order]).scalars())

    def notice(self, link_id: int, values: dict[str, Any], due: datetime | None, user_only: bool = False) -> None:
        """Something happened to a link: store `values` (columns) and ring it for `due`, unless it is due sooner already.

        user_only: it happened at the provider; of the contact nothing new is known.
        """
        changes = dict(values)
        if due is not None and not user_only:
            changes.setdefault("reread", True)
        if due is not None:
            changes["due_at"] = case((link.c.due_at <= due, link.c.due_at), else_=literal(due, Moment()))
            changes["rung"] = link.c.rung + 1
        if changes:
            self._db.execute(update(link).where(_known(link_id)).values(changes))

    def lock(
        self, ids: Iterable[int] = (), users: Mapping[str, Iterable[str]] | None = None, contacts: Iterable[str] = ()
    ) -> None:
        """Have all others wait who want these links: by their ids, by provider and user id, by contact id.

        In the order of ids, like everybody who changes several: two who go by different orders would wait for each other.
        SQLite's writers come one by one as it is.
        """
        if self._db.dialect.name != "postgresql":
            return
        contacts = list(contacts)
        ways: list[Any] = [link.c.id.in_(list(ids)), link.c.contact_id.in_(contacts)]
        ways += [(link.c.provider == name) & link.c.user_id.in_(list(found)) for name, found in (users or {}).items()]
        former = select(alias.c.link_id).where(alias.c.former_id.in_(contacts))
        meant = union_all(former, *(select(link.c.id).where(way) for way in ways))
        self._db.execute(select(link.c.id).where(link.c.id.in_(meant)).order_by(link.c.id).with_for_update())

    def see_user(self, link_id: int, user: User, **values: Any) -> None:
        """Store a newer observation of the user, without ringing."""
        seen = user_columns(user) | {"user_seen_at": self._tx.now}
        self._db.execute(update(link).where(_known(link_id)).values(seen | values))

    def lease(
        self, limit: int, owner: str, lasting: timedelta, run: int | None = None, providers: Collection[str] | None = None
    ) -> list[Link]:
        """Take up to `limit` due links (of these providers), oldest first; nobody else gets them until the lease ends.

        A link marked `lone`, or lost by worker after worker, comes in a batch of its own, once it is the oldest: others may be
        due without end. Each lease has a new, higher fencing token. While a link to a contact is on lease, no other link to it
        is: what one writes the other has to have read.
        """
        self._one_at_a_time(LEASING)
        lone = or_(link.c.lone, link.c.lost >= LOST_TOGETHER).label("goes_alone")
        due = and_(self._due(), *self._of(run, providers))
        some = select(link.c.id, link.c.user_id, link.c.contact_id, lone).where(due)
        oldest = some.order_by(link.c.due_at, link.c.id).limit(limit).with_for_update(skip_locked=True)
        chosen = _together(self._db.execute(oldest).all())
        if not chosen:
            return []
        values = {
            "token": link.c.token + 1, "lease_owner": owner, "lease_until": self._tx.now + lasting,
            "lost": link.c.lost + case((link.c.lease_owner.is_(None), 0), else_=1),
        }  # fmt: skip
        statement = update(link).where(link.c.id.in_(chosen)).values(values).returning(*link.c)
        return sorted((from_row(row) for row in self._db.execute(statement)), key=lambda one: one.id)

    def _one_at_a_time(self, lock: int) -> None:
        """Two workers that do the same at once would not see what the other does. SQLite's writers come one by one as it is."""
        if self._db.dialect.name == "postgresql":
            self._db.execute(select(func.pg_advisory_xact_lock(lock)))

    def taken(self, contact_ids: Iterable[str], ours: Iterable[int]) -> set[str]:
        """Those of these contacts that somebody else's lease leads to. ours: ids of the links that are not somebody else's."""
        others = link.c.contact_id.in_(list(contact_ids)) & (link.c.lease_until > self._tx.moment) & link.c.id.not_in(list(ours))
        return set(self._db.execute(select(link.c.contact_id).where(others)).scalars())

    def take(self, link_id: int, owner: str, lasting: timedelta) -> Link | None:
        """Lease one link, due or not; None while somebody else has it, or when there is none."""
        free = or_(link.c.lease_until.is_(None), link.c.lease_until <= self._tx.moment)
        values = {"token": link.c.token + 1, "lease_owner": owner, "lease_until": self._tx.now + lasting}
        row = self._db.execute(update(link).where((link.c.id == link_id) & free).values(values).returning(*link.c)).first()
        return from_row(row) if row else None

    def renew(self, links: Sequence[Link], lasting: timedelta, intents: Mapping[int, Any] | None = None) -> set[int]:
        """Extend our leases; returns the ids of those that are still ours. intents: by link id, what is about to be written."""
        mine = [and_(link.c.id == one.id, link.c.token == one.token) for one in links]
        if not mine:
            return set()
        self.lock([one.id for one in links])
        values: dict[str, Any] = {"lease_until": self._tx.now + lasting}
        if intents:
            told = {link_id: literal(intent, Json()) for link_id, intent in intents.items()}
            values["intent"] = case(told, value=link.c.id, else_=link.c.intent)
        statement = update(link).where(or_(*mine)).values(values).returning(link.c.id)
        return set(self._db.execute(statement).scalars())

    def claim(self, one: Link, contact_id: str) -> bool:
        """Tie a leased link to a contact before anything is written to it.

        False: the contact has another active link of this provider, or the lease is not ours any more.
        """
        mine = (link.c.id == one.id) & (link.c.token == one.token)
        statement = update(link).where(mine).values(contact_id=contact_id, state=LinkState.ACTIVE)
        try:
            with self._tx.part():
                return self._db.execute(statement).rowcount == 1
        except IntegrityError:
            return False

    def current(self, links: Sequence[Link]) -> dict[int, Link]:
        """The rows of our leases as they stand, locked; those that somebody took over in the meantime are left out."""
        tokens = {one.id: one.token for one in links}
        query = select(link).where(link.c.id.in_(tokens)).order_by(link.c.id).with_for_update()
        return {row.id: from_row(row) for row in self._db.execute(query) if row.token == tokens[row.id]}

    def locked(self, link_id: int) -> Link | None:
        """One link as it stands; nobody leases or records it until this transaction ends."""
        row = self._db.execute(select(link).where(link.c.id == link_id).with_for_update()).first()
        return from_row(row) if row else None

    def record(self, link_id: int, token: int, values: dict[str, Any]) -> bool:
        """Write what became of a leased link and end the lease. False: a successor has it, nothing was written."""
        statement = update(link).where((link.c.id == link_id) & (link.c.token == token))
        ended = {"lease_until": None, "lease_owner": None, "lost": 0}
        return self._db.execute(statement.values(_columns(values) | ended)).rowcount == 1

    def erase(self, link_id: int, name: str, reason: str) -> None:
        """Leave nothing of a person but the link's id and the keyed `name` in the place of the user's. Ends any lease on it."""
        blank: dict[str, Any] = {
            "user_id": name, "contact_id": None, "email": None, "user": None, "contact": None, "base": {}, "echo": {}, "held": {},
            "drift": (), "consents": {}, "intent": [], "cause": None, "gone_since": None, "failed_since": None, "due_at": None,
            "user_seen_at": None, "contact_seen_at": None,
        }  # fmt: skip
        values = {"state": LinkState.ERASED, "reason": reason, "erasure": False, "attempts": 0, "lone": False, "lost": 0}
        ended: dict[str, Any] = {"token": link.c.token + 1, "lease_until": None, "lease_owner": None, "settled_at": self._tx.now}
        self._db.execute(update(link).where(link.c.id == link_id).values(_columns(blank | values) | ended))

    def remove(self, link_id: int) -> None:
        """Forget a provisional link that led to nobody."""
        self._db.execute(delete(link).where(link.c.id == link_id))

    def release(self, owners: Iterable[str]) -> int:
        """End the leases of owners known to be dead. Returns how many."""
        theirs = link.c.lease_owner.in_(list(owners)) & (link.c.lease_until > self._tx.moment)
        return self._db.execute(update(link).where(theirs).values(lease_until=None)).rowcount

    def owners(self) -> list[str]:
        """Who holds leases."""
        return sorted({owner for owner in self._leased(link.c.lease_owner) if owner})

    def waiting(self, run: int | None = None, providers: Collection[str] | None = None, most: int | None = None) -> int:
        """How many links (of these providers) could be leased now; counted up to `most`."""
        return self._count(and_(self._due(), *self._of(run, providers)), most, *([link.c.due_at] if most else []))

    def busy(self, run: int) -> bool:
        """Whether a link of a run is due now, or on lease."""
        due = and_(link.c.run == run, link.c.due_at <= self._tx.moment, _workable())
        return self._count(due, 1, link.c.due_at) > 0 or run in self._leased(link.c.run)

    def creating(self) -> bool:
        """Whether some link without a contact is on lease: a contact we do not know may be its."""
        return None in self._leased(link.c.contact_id)

    def page(self, provider: str, after: int, limit: int, states: Sequence[LinkState] = ANSWERABLE) -> list[Link]:
        """A provider's links in these states by id, for walking through all of them."""
        here = (link.c.provider == provider) & (link.c.id > after) & link.c.state.in_(states)
        query = select(link).where(here).order_by(link.c.id).limit(limit)
        return [from_row(row) for row in self._db.execute(query)]

    def after(self, link_id: int, limit: int, state: LinkState) -> list[Link]:
        """Links of all providers in one state by id, for walking through all of them."""
        query = select(link).where((link.c.id > link_id) & (link.c.state == state)).order_by(link.c.id).limit(limit)
        return [from_row(row) for row in self._db.execute(query)]

    def listed(self, state: LinkState, limit: int) -> list[Link]:
        """Links in a state, oldest first; among the held ones also active links that have a held field."""
        fields = (link.c.state == LinkState.ACTIVE) & (link.c.held_fields > 0)
        here = or_(link.c.state == state, fields) if state is LinkState.HELD else link.c.state == state
        return [from_row(row) for row in self._db.execute(select(link).where(here).order_by(link.c.id).limit(limit))]

    def to_be_erased(self, limit: int) -> list[Link]:
        """Links whose person is to be forgotten and is not yet, oldest first."""
        return [from_row(row) for row in self._db.execute(select(link).where(link.c.erasure).order_by(link.c.id).limit(limit))]

    def ring_for(self, run: int, link_ids: Sequence[int], values: dict[str, Any] | None = None) -> None:
        """Make these links due now on behalf of a run."""
        changes = {"run": run, "due_at": self._tx.now, "rung": link.c.rung + 1, "reread": True} | (values or {})
        statement = update(link).where(link.c.id == bindparam("row")).values(changes)
        if link_ids:
            self._db.execute(statement, [{"row": i} for i in link_ids])

    def bring_forward(self, provider: str) -> None:
        """Make links due now that wait only because their side was out; one that failed by itself keeps its own time."""
        waiting = (link.c.provider == provider) & link.c.failed_since.is_not(None) & (link.c.due_at > self._tx.moment)
        alone = or_(link.c.lone, link.c.attempts > 0)
        free = select(link.c.id).where(waiting & ~alone).with_for_update(skip_locked=True)  # others are at it: they settle it
        self._db.execute(update(link).where(link.c.id.in_(free)).values(due_at=self._tx.now))

    def ring_unchecked(self, provider: str, limit: int) -> int:
        """Make up to `limit` links due whose subscription statuses are still to be looked at, or written. Returns how many."""
        here = (link.c.provider == provider) & link.c.state.in_(SHARING) & link.c.recheck & link.c.due_at.is_(None)
        some = select(link.c.id).where(here).order_by(link.c.id).limit(limit).with_for_update()
        changes = {"due_at": self._tx.now, "rung": link.c.rung + 1}
        return self._db.execute(update(link).where(link.c.id.in_(some)).values(changes)).rowcount

    def end_run(self, run: int, limit: int) -> int:
        """The run is over: up to `limit` of its links are links like any other. Returns how many."""
        some = select(link.c.id).where(link.c.run == run).limit(limit).with_for_update(skip_locked=True)
        return self._db.execute(update(link).where(link.c.id.in_(some)).values(run=None)).rowcount

    def counts(self) -> dict[str, int]:
        """Links by state, all states named."""
        found: dict[str, int] = dict(self._db.execute(select(link.c.state, func.count()).group_by(link.c.state)).all())
        return {state.value: found.get(state.value, 0) for state in LinkState}

    def active(self, most: int | None = None) -> int:
        """How many links synchronise; counted up to `most`."""
        return self._count(link.c.state == LinkState.ACTIVE, most)

    def sums(self) -> tuple[int, int]:
        """Held fields and drifting fields over all links that synchronise."""
        query = select(func.sum(link.c.held_fields), func.sum(link.c.drift_fields)).where(link.c.state == LinkState.ACTIVE)
        held, drift = self._db.execute(query).one()
        return int(held or 0), int(drift or 0)

    def oldest_due(self, providers: Collection[str] | None = None) -> datetime | None:
        """When the link (of these providers) that has waited longest became due."""
        due = and_(link.c.due_at <= self._tx.moment, _workable(), *self._of(None, providers))
        return self._db.execute(select(func.min(link.c.due_at)).where(due)).scalar()

    def _due(self) -> Any:
        free = or_(link.c.lease_until.is_(None), link.c.lease_until <= self._tx.moment)
        other = link.alias()
        busy = (other.c.contact_id == link.c.contact_id) & (other.c.id != link.c.id) & (other.c.lease_until > self._tx.moment)
        return and_(link.c.due_at <= self._tx.moment, free, _workable(), ~exists(select(other.c.id).where(busy)))

    def _leased(self, column: Any) -> list[Any]:
        """Of all links on lease, which are never many: a narrower question would have SQLite read by another index."""
        return list(self._db.execute(select(column).where(link.c.lease_until > self._tx.moment)).scalars())

    def _count(self, condition: Any, most: int | None, *order: Any) -> int:
        """order: where few may be left of many, PostgreSQL hopes to meet one soon and reads all, unless it is told an order."""
        some = select(link.c.id).where(condition).order_by(*order).limit(most).subquery()
        return self._db.execute(select(func.count()).select_from(some)).scalar_one()

    def _of(self, run: int | None, providers: Collection[str] | None) -> list[Any]:
        provider: Any = link.c.provider
        if self._db.dialect.name == "sqlite":  # which takes any index that is asked for one value, here that of all links
            provider = provider.concat("")
        here = [link.c.run == run] if run is not None else []
        return here + ([provider.in_(list(providers))] if providers is not None else [])

    def _where(self, condition: Any) -> list[Link]:
        return [from_row(row) for row in self._db.execute(select(link).where(condition).order_by(link.c.id))]


def _together(rows: Sequence[Any]) -> list[int]:
    """Ids of those of due rows, oldest first, that go into one batch."""
    if rows and rows[0].goes_alone:
        return [rows[0].id]
    chosen: dict[Any, int] = {}
    for row in rows:
        apart = row.contact_id is None or row.user_id is None  # a contact's first users are made at once
        if not row.goes_alone:
            chosen.setdefault(("link", row.id) if apart else row.contact_id, row.id)
    return list(chosen.values())


def _known(link_id: int) -> Any:
    """A link by its id, unless its person was erased since it was looked up: nothing is written about that one any more."""
    return (link.c.id == link_id) & (link.c.state != LinkState.ERASED)


def _workable() -> Any:
    return or_(link.c.state.in_(LIVING), link.c.erasure)


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    """Model attributes to columns: users, contacts and counters are spread out."""
    out = dict(values)
    if "user" in out:
        out |= user_columns(out.pop("user"))
    if "contact" in out:
        out |= contact_columns(out.pop("contact"))
    if "held" in out:
        out["held_fields"] = len(out["held"])
    if "drift" in out:
        out["drift"] = list(out["drift"])
        out["drift_fields"] = len(out["drift"])
    return out


_ATTRIBUTES = {one.name for one in fields(Link)}


def _new(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    unknown = row.keys() - _ATTRIBUTES
    assert not unknown, f"not columns of a new link: {unknown}"
    user: User | None = row.get("user")
    contact: Contact | None = row.get("contact")
    state = row.get("state", LinkState.PENDING)
    blank: dict[str, Any] = {
        "user_id": None, "contact_id": None, "reason": None, "base": {}, "echo": {}, "held": {}, "drift": [],
        "intent": [], "user_gone": False, "refetch": False, "erasure": False, "reread": True,
        "recheck": True, "consents": {}, "lone": False, "run": None, "cause": None,
    }  # fmt: skip
    sides = user_columns(user) | contact_columns(contact) | {"email": email_of(user, contact)}
    sides |= {"user_seen_at": now if user else None, "contact_seen_at": now if contact else None}
    due = now if state in ANSWERABLE else None
    return blank | row | sides | {"state": state, "due_at": due, "rung": 1, "created_at": now}
