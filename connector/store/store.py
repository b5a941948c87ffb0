"""Opening transactions, and turning the database's troubles into ours."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, literal, select, type_coerce
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import StaticPool

from connector.errors import ConfigError, Unavailable
from connector.store.activities import Activities
from connector.store.engine import BUSY, database_time, open_engine
from connector.store.history import History
from connector.store.inbox import Inbox
from connector.store.keyed import Keyed, Keys
from connector.store.ledger import Ledger
from connector.store.links import Links
from connector.store.notes import Aliases, Cursors, Parked
from connector.store.removals import Removals
from connector.store.runs import Runs
from connector.store.tables import Moment
from connector.store.tombstones import Tombstones
from connector.store.troubles import Troubles


class Tx:
    """One transaction. The queries are grouped by table. `forgot`: somebody was erased in it."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime] | None, keys: Keys) -> None:
        self.connection = connection
        self._clock = clock
        self._keys = keys
        self.forgot = False

    @property
    def reading(self) -> bool:
        """Whether this transaction keeps nothing of what it writes."""
        return bool(self.connection.get_execution_options().get("reading"))

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of the transaction that may fail by itself. Raises Unavailable when it is the database that fails."""
        with ours(), self.connection.begin_nested():
            yield

    @property
    def moment(self) -> Any:
        """Now as an SQL expression: the database's clock, or a given one in a simulation."""
        return literal(self._clock(), Moment()) if self._clock else type_coerce(database_time(), Moment())

    @cached_property
    def now(self) -> datetime:
        """The transaction's time by the database's clock."""
        if self._clock:
            return self._clock()
        return datetime.fromtimestamp(self.connection.execute(select(database_time())).scalar_one(), UTC)

    @cached_property
    def inbox(self) -> Inbox:
        """Deliveries as they came."""
        return Inbox(self)

    @cached_property
    def links(self) -> Links:
        """Pairs of user and contact."""
        return Links(self)

    @cached_property
    def history(self) -> History:
        """Every effect."""
        return History(self)

    @cached_property
    def parked(self) -> Parked:
        """What failed for good, with a reason."""
        return Parked(self)

    @cached_property
    def aliases(self) -> Aliases:
        """Former ids."""
        return Aliases(self)

    @cached_property
    def activities(self) -> Activities:
        """Identity events to forward."""
        return Activities(self)

    @cached_property
    def removals(self) -> Removals:
        """Records of events of people who were erased."""
        return Removals(self)

    @cached_property
    def troubles(self) -> Troubles:
        """Sinks of identity events that fail."""
        return Troubles(self)

    @cached_property
    def cursors(self) -> Cursors:
        """Named marks: how far a listing came, when something last happened."""
        return Cursors(self)

    @cached_property
    def keyed(self) -> Keyed:
        """Keyed hashes. Raises ConfigError when `hash_key` is not the one that this database's records were made with."""
        return self._keys.of(self)

    @cached_property
    def ledger(self) -> Ledger:
        """Consents as proof."""
        return Ledger(self)

    @cached_property
    def tombstones(self) -> Tombstones:
        """Keyed hashes of people who must not come back."""
        return Tombstones(self)

    @cached_property
    def runs(self) -> Runs:
        """Reconciles and other runs, and the lock that keeps them apart."""
        return Runs(self)


class Store:
    """A database. Everything it cannot do right now is `Unavailable`, so that callers answer 503 or wait.

    clock: for simulations only; without it the database's own time counts.
    hash_key: the setting; see `keyed`.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] | None = None, hash_key: str | None = None) -> None:
        self.url = url
        self._keys = Keys(hash_key)
        self._unwiped = False
        self.engine = open_engine(url)
        self._clock = clock
        alone = self.engine.dialect.name == "sqlite"  # its own waiting sleeps in steps of up to 100 ms
        self._turn: AbstractContextManager[object] = threading.Lock() if alone else nullcontext()

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A transaction that may write; commits at the end, rolls back on any exception."""
        with ours(), self._turn:
            with self.engine.begin() as connection, self._cut_off(connection):
                tx = Tx(connection, self._clock, self._keys)
                yield tx
            self._unwiped = self._unwiped or tx.forgot
            self.wipe()

    @contextmanager
    def _cut_off(self, connection: Connection) -> Iterator[None]:
        """Use a connection no more in which a signal cut a statement off: its cursor lives on in the traceback."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            if not isinstance(self.engine.pool, StaticPool):  # which has no other
                connection.invalidate()
            raise

    def wipe(self) -> None:
        """Take what was erased out of SQLite's journal, too; while somebody reads it, or the disk is full, that fails, and is
        tried with the next transaction, and at the end."""
        if not self._unwiped or self.engine.dialect.name != "sqlite":
            return
        connection = self.engine.raw_connection()
        cursor = connection.cursor()
        with closing(connection):
            cursor.execute("PRAGMA busy_timeout=200")
            with suppress(sqlite3.OperationalError):
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._unwiped = any(row[0] for row in cursor.fetchall())
            cursor.execute(f"PRAGMA busy_timeout={BUSY * 1000}")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads: it waits for no writer on SQLite."""
        with ours(), self.engine.connect().execution_options(reading=True) as connection:
            yield Tx(connection, self._clock, self._keys)

    def close(self) -> None:
        """Give all connections back."""
        self.wipe()
        self.engine.dispose()


@contextmanager
def ours() -> Iterator[None]:
    """Connection refused, locked, disk full, read-only, damaged, timeouts: Unavailable, with the way out. Never repeats values of
    a statement."""
    try:
        yield
    except (OperationalError, InterfaceError, InternalError, PoolTimeout) as error:  # InternalError: PostgreSQL is read-only
        raise Unavailable(f"database: {_told(error)}") from None
    except DBAPIError as error:
        said = str(error.orig)
        if "not a database" in said:
            told = "the file exists and is not a SQLite database; name another, or restore a backup"
            raise ConfigError(f"database_url: {told}") from None
        if error.connection_invalidated or DAMAGED in said or type(error.orig).__name__ in REFUSED:
            raise Unavailable(f"database: {_told(error)}") from None
        raise


DAMAGED = "malformed"
"""What SQLite says of a file that lost a part, or had something else written into it."""

REFUSED = ("UndefinedTable", "InsufficientPrivilege")
"""What PostgreSQL's client calls a database that is not as we left it. It takes them for mistakes in a statement."""

WAYS_OUT = {
    DAMAGED: "the file is damaged: stop the connector, and restore a backup",
    "unsupported file format": "the file is damaged: stop the connector, and restore a backup",
    "locked": "another process holds it: try again, or find and end that process",
    "lock timeout": "another session holds it: try again, or find and end that session",
    "no such ": "something took a part of it away: restore a backup",
    "relation ": "something took a part of it away: restore a backup",
    "permission denied": "give its user the rights to the connector's tables",
    "full": "make room on its disk",
    "No space left": "make room on its disk",
    "readonly": "let the connector's user write to it and to its folder",
    "read-only": "it is a replica or was told to take no writes: name another in database_url, or tell it to",
    "failed to resolve": "correct its host in database_url, or look at the network",
    "disk I/O error": "look at its disk",
    "statement timeout": "it is slow: try again later",
    "no free connection": "try again later",
}
"""What an error says (a part of it, the first that fits), and the way out."""

OTHERWISE = "start it, or correct database_url"


def _told(error: Exception) -> str:
    """The error in one line, with the way out behind a semicolon."""
    kind = _kind(error)
    return f"{kind}; {next((way_out for sign, way_out in WAYS_OUT.items() if sign in kind), OTHERWISE)}"


def _kind(error: Exception) -> str:
    original = getattr(error, "orig", None)
    if original is None:
        return "no free connection"
    first = str(original).strip().splitlines()[0] if str(original).strip() else ""
    return f"{type(original).__name__}: {first[:120]}"
