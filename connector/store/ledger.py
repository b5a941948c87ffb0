"""The ledger: every consent as it was learnt, append-only, in a chain of keyed digests that shows any tampering.

Each row carries a digest of its content and one of the row before it and itself. The end of the chain is kept in `cursor`, so
that rows missing at the end are noticed, too. Erasing a person blanks what tells of the person, not that a consent was given or
withdrawn and when; a keyed digest says that it was us who blanked it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, func, insert, or_, select, update

from connector.model import LIVING, ConsentState
from connector.store import proof
from connector.store.keyed import HEAD
from connector.store.proof import BLANKED, CONTENT, EDITED, MOST, Check, Head, content_digest, erased_digest, link_digest
from connector.store.tables import Moment, Words, consent, cursor, link, storable

if TYPE_CHECKING:
    from connector.store.store import Tx

REMEMBERED = 20
"""Damages of the chain's end that the end itself remembers."""

STEP = 1000
"""Rows between two words about progress."""

PAGE = 1000
"""Links that are laid beside their rows at once."""

Progress = Callable[[int, int], None]
"""Called with how many rows are checked, of how many."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One statement about one consent.

    link_id: None once the person was erased. subject: `Ledger.subject` of the user.
    occurred_at: when the person decided, None when nobody told. learnt_at: when it reached us; None: now.
    source, entry_point, text_version: as the sender told. delivery: the sender's id of the evidence. edited: somebody changed it
    since; then it proves nothing.
    """

    link_id: int | None
    provider: str
    subject: str
    purpose: str
    state: ConsentState
    occurred_at: datetime | None = None
    learnt_at: datetime | None = None
    source: str | None = None
    entry_point: str | None = None
    legal_basis: str | None = None
    text_version: str | None = None
    delivery: str | None = None
    id: int = 0
    edited: bool = False


@dataclass(frozen=True, slots=True)
class LastWords:
    """What stands at a link (see `model.Link.consents`) beside what its last row of a purpose says: purpose -> state and time."""

    link_id: int
    consents: Mapping[str, Any]
    told: dict[str, tuple[str, datetime | None]]


class Ledger:
    """Queries on `consent`, inside one transaction."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def subject(self, provider: str, user_id: str) -> str:
        """The keyed digest that stands for a user."""
        return self._tx.keyed.user(provider, user_id)

    def append(self, rows: Sequence[LedgerRow]) -> None:
        """Add rows to the end, in this order. Others who append wait until this transaction ends."""
        if not rows:
            return
        keyed, head = self._tx.keyed, self._locked()
        chain, values = head.chain, []
        for row in rows:
            content = _stored(replace(row, learnt_at=row.learnt_at or self._tx.now))
            digest = content_digest(keyed, content)
            chain = link_digest(keyed, chain, digest)
            values.append(content | {"digest": digest, "chain": chain})
        ids = self._db.execute(insert(consent).returning(consent.c.id, sort_by_parameter_order=True), values).scalars().all()
        damaged = head.damaged if head.ours else (*head.damaged, ids[0])[:REMEMBERED]
        self._tx.cursors.set(HEAD, Head(head.count + len(rows), ids[-1], chain, damaged).written(keyed))

    def of_link(self, link_id: int) -> list[LedgerRow]:
        """A link's rows, oldest first."""
        return self._rows(consent.c.link_id == link_id)

    def of_subject(self, provider: str, user_id: str) -> list[LedgerRow]:
        """A user's rows, oldest first, whatever became of the link."""
        return self._rows(consent.c.subject == self.subject(provider, user_id))

    def last(self, link_ids: Iterable[int]) -> dict[int, dict[str, LedgerRow]]:
        """The latest row of each purpose, by link."""
        wanted = consent.c.link_id.in_(list(link_ids))
        latest = select(func.max(consent.c.id)).where(wanted).group_by(consent.c.link_id, consent.c.purpose)
        found: dict[int, dict[str, LedgerRow]] = {}
        for row in self._rows(consent.c.id.in_(latest)):
            found.setdefault(row.link_id or 0, {})[row.purpose] = row
        return found

    def beside_links(self) -> Iterator[LastWords]:
        """Each living link of a user that has consents, in order of their ids. Both are seen at one moment, a page at a time."""
        after = 0
        while upto := self._end_of_page(after):
            found: dict[int, LastWords] = {}
            for row in self._db.execute(_page(after, upto)):
                one = found.setdefault(row.id, LastWords(row.id, row.consents, {}))
                if row.purpose is not None:
                    one.told[row.purpose] = (row.state, row.occurred_at)
            yield from found.values()
            after = upto

    def _end_of_page(self, after: int) -> int | None:
        page = select(link.c.id).where(link.c.id > after).order_by(link.c.id).limit(PAGE).subquery()
        return self._db.execute(select(func.max(page.c.id))).scalar()

    def erase(self, link_id: int, subject: str | None = None) -> None:
        """Blank what tells of a person, in a link's rows and in all others about this subject."""
        whose = or_(consent.c.link_id == link_id, consent.c.subject == subject)
        rows = self._db.execute(select(consent).where(whose & consent.c.erased.is_(None))).all()
        values = [{"row": row.id, "mark": self._mark(row)} for row in rows]
        if values:
            blank: dict[str, Any] = dict.fromkeys(BLANKED)
            statement = update(consent).where(consent.c.id == bindparam("row"))
            self._db.execute(statement.values(**blank, erased=bindparam("mark")), values)

    def head(self) -> Head:
        """The end of the chain as kept. Noted elsewhere, its count and chain prove later that nothing before it was exchanged."""
        found = self._tx.cursors.get(HEAD)
        if found is None:
            return Head(ours=self._db.execute(select(consent.c.id).limit(1)).first() is None)
        return Head.read(self._tx.keyed, found[0])

    def verify(self, progress: Progress | None = None) -> list[str]:
        """What is wrong with the ledger, in words; empty when nothing is. What is appended meanwhile is not looked at."""
        head = self.head()
        check = Check(self._tx.keyed, head)
        for number in check.walk(self._stream(0, head.id if head.ours else None)):
            if progress and (number % STEP == 0 or number == head.count):
                progress(number, head.count)
        for row_id in self._behind(head) if head.ours else []:
            check.say(f"row {row_id}: inserted behind the end")
        return check.findings

    def _stream(self, after: int, upto: int | None) -> Iterator[Row[Any]]:
        """Rows in order of their ids, a few at a time."""
        query = select(consent).where(consent.c.id > after).order_by(consent.c.id)
        query = query if upto is None else query.where(consent.c.id <= upto)
        yield from self._db.execute(query.execution_options(yield_per=500))

    def _behind(self, head: Head) -> list[int]:
        """Rows behind the end, but for those that were appended since we read it."""
        beyond = self._db.execute(select(consent.c.id).where(consent.c.id > head.id).order_by(consent.c.id.desc()).limit(MOST))
        found, now = list(beyond.scalars()), self.head()
        return [row_id for row_id in found if row_id > now.id]

    def _locked(self) -> Head:
        """The end, locked for this transaction. When it is not ours the chain goes on from the last row, and that is noted."""
        query = select(cursor.c.value).where(cursor.c.name == HEAD).with_for_update()
        found = self._db.execute(query).scalar()
        if found is None:
            self._tx.cursors.add(HEAD, "")
            found = self._db.execute(query).scalar_one()
        head = Head.read(self._tx.keyed, found)
        if head.ours:
            return head
        last = self._db.execute(select(consent.c.id, consent.c.chain).order_by(consent.c.id.desc()).limit(1)).first()
        if last is None:
            return Head(damaged=head.damaged, ours=not found)
        count = self._db.execute(select(func.count()).select_from(consent)).scalar_one()
        return Head(count, last.id, last.chain, head.damaged, ours=False)

    def _mark(self, row: Row[Any]) -> str:
        """The proof of an erasure by us; none for a row that was edited before."""
        content = {name: getattr(row, name) for name in CONTENT}
        if content_digest(self._tx.keyed, content) != row.digest:
            return EDITED
        return erased_digest(self._tx.keyed, row.id, row.digest, content | dict.fromkeys(BLANKED))

    def _rows(self, condition: Any) -> list[LedgerRow]:
        return [self._read(row) for row in self._db.execute(select(consent).where(condition).order_by(consent.c.id))]

    def _read(self, row: Row[Any]) -> LedgerRow:
        """A row, whatever somebody made of it."""
        content = {name: getattr(row, name) for name in CONTENT}
        content["state"] = next((state for state in ConsentState if state == row.state), ConsentState.UNKNOWN)
        return LedgerRow(**content, id=row.id, edited=not proof.is_sound(self._tx.keyed, row))


def _page(after: int, upto: int) -> Any:
    """The last row of each purpose beside the links up to one, in one statement: what is recorded meanwhile is in neither."""
    rows = consent.c.link_id.between(after + 1, upto)
    by_purpose = select(consent.c.link_id, func.max(consent.c.id).label("row")).where(rows)
    last = by_purpose.group_by(consent.c.link_id, consent.c.purpose).subquery()
    living = link.c.state.in_(LIVING) & link.c.user_id.is_not(None) & (link.c.consents != {})
    beside = link.outerjoin(last, last.c.link_id == link.c.id).outerjoin(consent, consent.c.id == last.c.row)
    query = select(link.c.id, link.c.consents, consent.c.purpose, consent.c.state, consent.c.occurred_at).select_from(beside)
    return query.where(link.c.id.between(after + 1, upto) & living).order_by(link.c.id)


def as_stored(purpose: str) -> str:
    """A purpose as its column gives it back."""
    kind = consent.c.purpose.type
    assert isinstance(kind, Words)
    return storable(purpose)[: kind.longest]


def _stored(row: LedgerRow) -> dict[str, Any]:
    """The columns as both databases give them back: what is too long is cut, times are in microseconds."""
    content = {name: getattr(row, name) for name in CONTENT} | {"state": row.state.value}
    for name, value in content.items():
        kind = consent.c[name].type
        if value is not None and isinstance(kind, Words):
            content[name] = storable(value)[: kind.longest]
        elif value is not None and isinstance(kind, Moment):
            content[name] = datetime.fromtimestamp(value.timestamp(), UTC)
    return content
