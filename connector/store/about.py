"""What the database says of itself, for `doctor`."""

import time
from dataclasses import dataclass

from connector.store.migrate import current
from connector.store.store import Store


@dataclass(frozen=True, slots=True)
class About:
    """kind: SQLite or PostgreSQL. journal: SQLite's; "" elsewhere. ahead: seconds its clock is ahead of this machine's."""

    kind: str
    version: str
    journal: str
    schema: str | None
    ahead: float


def about(store: Store) -> About:
    """Ask it. Raises Unavailable."""
    sqlite = store.engine.dialect.name == "sqlite"
    with store.read() as tx:
        ask = tx.connection.exec_driver_sql
        version = str(ask("select sqlite_version()" if sqlite else "show server_version").scalar_one())
        journal = str(ask("pragma journal_mode").scalar_one()) if sqlite else ""
        before = time.time()
        now = tx.now.timestamp()
        ahead = now - (before + time.time()) / 2
    return About("SQLite" if sqlite else "PostgreSQL", version, journal, current(store), ahead)
