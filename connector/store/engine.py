"""Opening the database: SQLite with a journal that survives a kill, PostgreSQL with bounded waits."""

from typing import Any

from sqlalchemy import Connection, Double, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.functions import GenericFunction

from connector.errors import ConfigError

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
    """An engine for `sqlite:///path` or `postgresql://...`. Raises ConfigError for anything else."""
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

    @event.listens_for(engine, "connect")
    def settings(connection: Any, record: Any) -> None:
        kept = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY * 1000}", "secure_delete=ON")
        for pragma in kept:  # secure_delete: who is erased is not left in free pages
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reading") else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str) -> Engine:
    """No wait is endless: connecting, a lock, a statement, an idle transaction, a free connection."""
    limits = f"-c lock_timeout={BUSY}s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": CONNECTING, "options": limits},
        pool_size=10,
        max_overflow=10,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
    )
