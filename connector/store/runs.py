"""Runs (reconcile, backfill ...) and the lock that lets only one go at a time."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from connector.store.tables import cursor, run

if TYPE_CHECKING:
    from connector.store.store import Tx


class Runs:
    """Queries on `run`, and named locks kept in `cursor`."""

    def __init__(self, tx: "Tx") -> None:
        self._tx = tx
        self._db = tx.connection

    def start(self, kind: str, provider: str | None) -> int:
        """Begin a run; returns its id."""
        values: dict[str, Any] = {
            "kind": kind,
            "provider": provider,
            "state": "running",
            "started_at": self._tx.now,
            "summary": {},
        }
        return int(self._db.execute(insert(run).values(values).returning(run.c.id)).scalar_one())

    def finish(self, run_id: int, state: str, summary: dict[str, Any]) -> None:
        """End a run as done, failed or stopped."""
        self._db.execute(update(run).where(run.c.id == run_id).values(state=state, ended_at=self._tx.now, summary=summary))

    def kinds(self, run_ids: Iterable[int]) -> dict[int, str]:
        """The kind of each of these runs."""
        query = select(run.c.id, run.c.kind).where(run.c.id.in_(list(run_ids)))
        return {row.id: row.kind for row in self._db.execute(query)}

    def running(self, run_ids: Iterable[int]) -> set[int]:
        """Those of these runs that are not over."""
        here = run.c.id.in_(list(run_ids)) & (run.c.state == "running")
        return set(self._db.execute(select(run.c.id).where(here)).scalars())

    def give_up(self, kinds: Iterable[str], but: int) -> None:
        """Whatever else of these kinds is said to be running was left by a process that died."""
        left = run.c.kind.in_(list(kinds)) & (run.c.state == "running") & (run.c.id != but)
        self._db.execute(update(run).where(left).values(state="failed", ended_at=self._tx.now))

    def lock(self, name: str, holder: str, lasting: timedelta) -> bool:
        """Take or extend a lock; False while somebody else holds it. It lapses `lasting` after the last extension."""
        self._alone(name)
        until = self._tx.now + lasting
        found = self._tx.cursors.get(f"lock:{name}")
        if found is not None:
            held_by, _, expires = found[0].partition("|")
            if held_by != holder and expires and float(expires) > self._tx.now.timestamp():
                return False
        self._tx.cursors.set(f"lock:{name}", f"{holder}|{until.timestamp()}")
        return True

    def extend(self, name: str, holder: str, lasting: timedelta) -> bool:
        """Extend a lock, also one that lapsed; False once somebody else has had it."""
        self._alone(name)
        return self.holders(name).get(name) == holder and self.lock(name, holder, lasting)

    def unlock(self, name: str, holder: str) -> None:
        """Give a lock back; somebody else's stays."""
        here = (cursor.c.name == f"lock:{name}") & cursor.c.value.startswith(f"{holder}|", autoescape=True)
        self._db.execute(update(cursor).where(here).values(value="|0"))

    def holders(self, prefix: str) -> dict[str, str]:
        """Who holds the locks whose names begin so."""
        query = select(cursor.c.name, cursor.c.value).where(cursor.c.name.startswith(f"lock:{prefix}", autoescape=True))
        found = {name.removeprefix("lock:"): value.partition("|")[0] for name, value in self._db.execute(query)}
        return {name: holder for name, holder in found.items() if holder}

    def _alone(self, name: str) -> None:
        """SQLite's writers come one by one as it is."""
        if self._db.dialect.name == "postgresql":
            self._db.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"lock:{name}"))))
