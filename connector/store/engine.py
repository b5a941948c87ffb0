"""Opening the database: SQLite with a journal that survives a kill, PostgreSQL with bounded waits."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Double, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.functions import GenericFunction

from connector.errors import ConfigError, Locked, Unavailable
from connector.yamlfile import shown

BUSY = 5
"""Seconds a writer waits for another one: less than a sender waits for our answer."""

CONNECTING = 5
"""Seconds a server has to accept a connection."""


class database_time(GenericFunction[float]):
    """Seconds since 1970 by the database's clock, so that hosts with wrong clocks agree on leases."""

    type = Double()
    inherit_cache = True
    name = "database_time"


@compiles(database_time, "sqlite")
def _sqlite_time(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_time, "postgresql")
def _postgresql_time(element: Any, compiler: Any, **options: Any) -> str:
    return "extract(epoch from statement_timestamp())::double precision"  # clock_timestamp() could not use an index


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`. Raises ConfigError for any other, and for unknown options."""
    kind = make_url(url).get_backend_name()
    if kind == "sqlite":
        return _sqlite(url)
    if kind == "postgresql":
        return _postgresql(url)
    raise ConfigError(f"database_url: {kind}:// is not a database we run on, use sqlite:///file or postgresql://host/name")


def _sqlite(url: str) -> Engine:
    """Every transaction that may write begins IMMEDIATE: a deferred one loses its place ("database is locked") on upgrade."""
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY, "isolation_level": None, "check_same_thread": False}}
    if make_url(url).database in (None, "", ":memory:"):
        options |= {"poolclass": StaticPool}
    else:
        options |= {"pool_size": 20, "pool_timeout": 5}
    engine = create_engine(url, hide_parameters=True, **options)
    if (path := file_of(url)) is not None:
        event.listen(engine, "do_connect", lambda *given: _make(path))

    @event.listens_for(engine, "connect")
    def settings(connection: Any, record: Any) -> None:
        _keep_journal(connection)
        kept = ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY * 1000}", "secure_delete=ON")
        for pragma in kept:  # secure_delete: who is erased is not left in free pages
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "invalidate")
    def let_go(connection: Any, record: Any, error: Any) -> None:
        """What a signal cut off: a cursor in its traceback would keep the transaction open, and lock us out ourselves."""
        with suppress(sqlite3.Error):
            connection.rollback()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reading") else "BEGIN IMMEDIATE")

    return engine


def _keep_journal(connection: Any) -> None:
    """Switch to a write-ahead log. SQLite does not wait for whoever else is doing that to a new file just now."""
    ends = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return


def file_of(url: str) -> Path | None:
    """The file of a SQLite database; None for one in memory, and for any other."""
    parts = make_url(url)
    name = parts.database or ""
    return None if parts.get_backend_name() != "sqlite" or name in ("", ":memory:") or name.startswith("file:") else Path(name)


def _make(path: Path) -> None:
    """See to it that the file is there, for its owner only: it holds personal data. SQLite's other files are made like it.

    Raises Unavailable, with the path and the way out, when it cannot be opened. A file that is there is not opened here: closing
    it would take away the locks that SQLite has on it in this process.
    """
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
    except OSError as error:
        way_out = "let the connector's user write to it and to its folder"
        if not path.parent.is_dir():
            way_out = f"make the folder {shown(path.parent)}"
        said = f"database: {shown(path)} cannot be opened ({error.strerror}): {way_out}, or correct database_url"
        raise Unavailable(said) from None


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Be the only `connector up` on a SQLite file. Raises Locked.

    A file beside it, with the process's number, is locked. The system lets go of it with the process, even after a kill -9; it is
    never deleted, because a new one would be another lock.
    """
    path = file_of(url)
    if path is None:
        yield
        return
    held = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(held, 20).decode("ascii", "replace").strip()
            raise Locked(f"{shown(path)}: another connector up (pid {other or 'unknown'}) works on it") from None
        os.truncate(held, 0)
        os.write(held, str(os.getpid()).encode())
        yield
    finally:
        os.close(held)


def _postgresql(url: str) -> Engine:
    """No wait is endless: connecting, a lock, a statement, an idle transaction, a free connection. Raises ConfigError."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    limits = f"-c lock_timeout={BUSY}s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
    try:
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": CONNECTING, "options": limits},
            pool_size=10,
            max_overflow=10,
            pool_timeout=5,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        given = engine.dialect.create_connect_args(engine.url)[1]
        make_conninfo(**{name: value for name, value in given.items() if name != "context"})  # which is SQLAlchemy's own
    except (ProgrammingError, ArgumentError) as error:  # says which, and may repeat its value: that may be secret
        told = "the PostgreSQL client does not know an option behind the ?, or not its value"
        raise ConfigError(f"database_url: {told}") from error
    return engine
