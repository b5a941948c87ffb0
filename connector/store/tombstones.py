"""Tombstones: who was erased, as keyed hashes. They say that an id or an address was ours; they do not say whose it was."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from connector.store.portions import portions
from connector.store.tables import tombstone

if TYPE_CHECKING:
    from connector.store.store import Tx


BURYING = 7305213
"""PostgreSQL's number for the lock between burying strangers and making something of newcomers; any will do."""


class Tombstones:
    """Queries on `tombstone`, inside one transaction. Addresses in any spelling."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection
        self.has_turn = self._db.dialect.name != "postgresql"
        """Whether nobody else buries, or makes something of newcomers, until this transaction ends."""

    def alone(self) -> None:
        """Before looking for the links of somebody to bury, or for what was delivered about them, and before any row is written
        or locked.

        A link that is being made meanwhile is found by that look, or finds the tombstone by its own look after `complete`.
        SQLite's writers come one by one as it is.
        """
        if not self.has_turn:
            self._db.execute(select(func.pg_advisory_xact_lock(BURYING)))
            self.has_turn = True

    def complete(self) -> None:
        """Before asking who of the people that have links is buried, and before any row is written: wait for whoever buries."""
        if not self.has_turn:
            self._db.execute(select(func.pg_advisory_xact_lock_shared(BURYING)))

    def bury(
        self, provider: str, user_id: str | None, contact_ids: Iterable[str] = (), emails: Iterable[str] = (),
        former: Iterable[str] = (),
    ) -> None:  # fmt: skip
        """Somebody was erased now; erased once more, the later time counts. former: addresses the person had before."""
        users = [] if user_id is None else [self._tx.keyed.user(provider, user_id)]
        self._put("user", users)
        self._put("contact", [self._contact(one) for one in contact_ids])
        self._put("email", [self._email("email", one) for one in emails])
        self._put("former", [self._email("former", one) for one in former])

    def bury_for_good(self, contact_ids: Iterable[str]) -> None:
        """These contacts were erased in the CRM itself: nobody can restore them, and what is merged into one goes with it."""
        ids = list(contact_ids)
        self._put("contact", [self._contact(one) for one in ids])
        self._put("for good", [self._tx.keyed.digest("for good", one) for one in ids])

    def for_good(self, contact_ids: Iterable[str]) -> set[str]:
        """Those contacts that were erased in the CRM itself."""
        return {one for _, one in self._found((self._tx.keyed.digest("for good", one), one) for one in contact_ids)}

    def moved(self, email: str) -> None:
        """An address used to be somebody's: whoever has it next is somebody else."""
        self._put("moved", [self._email("moved", email)])

    def users(self, provider: str, user_ids: Iterable[str]) -> set[str]:
        """Those of a provider's users that were erased."""
        return {one for _, one in self._found((self._tx.keyed.user(provider, one), one) for one in user_ids)}

    def contacts(self, contact_ids: Iterable[str]) -> set[str]:
        """Those contacts that were erased, former ids included."""
        return {one for _, one in self._found((self._contact(one), one) for one in contact_ids)}

    def emails(self, emails: Iterable[str], kinds: Iterable[str] = ("email", "moved")) -> dict[str, datetime]:
        """Since when these addresses are nobody's: their owner was erased then (email), or moved to another one (moved), or
        had them before an erasure (former)."""
        found: dict[str, datetime] = {}
        asked = [(self._email(kind, one), one) for kind in kinds for one in emails]
        for at, email in self._found(asked):
            found[email] = max(at, found.get(email, at))
        return found

    def _put(self, kind: str, hashes: Iterable[str]) -> None:
        rows = [{"hash": value, "kind": kind, "at": self._tx.now} for value in sorted(set(hashes))]
        if rows:
            self._tx.forgot = True
            make = sqlite_insert if self._db.dialect.name == "sqlite" else postgresql_insert
            statement = make(tombstone)
            renewed = {"at": statement.excluded.at}
            self._db.execute(statement.on_conflict_do_update(index_elements=["hash"], set_=renewed), rows)

    def _found(self, asked: Iterable[tuple[str, str]]) -> list[tuple[datetime, str]]:
        """Time and what was asked for, of those (hash, what) that are there."""
        hashes = list(asked)
        times: dict[str, datetime] = {}
        for some in portions(one for one, _ in hashes):
            query = select(tombstone.c.hash, tombstone.c.at).where(tombstone.c.hash.in_(some))
            times |= {row.hash: row.at for row in self._db.execute(query)}
        return [(times[one], what) for one, what in hashes if one in times]

    def _contact(self, contact_id: str) -> str:
        return self._tx.keyed.digest("contact", contact_id)

    def _email(self, kind: str, email: str) -> str:
        return self._tx.keyed.digest(kind, email.strip().casefold())
