"""What the database says of itself, for `doctor`."""

import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connector.store.engine import file_of
from connector.store.migrate import current
from connector.store.store import Store


@dataclass(frozen=True, slots=True)
class About:
    """kind: SQLite or PostgreSQL. journal: SQLite's; "" elsewhere. ahead: seconds its clock is ahead of this machine's.

    open_to_all: its files that every user of this machine can read. room: bytes left on the disk of its file; None elsewhere.
    """

    kind: str
    version: str
    journal: str
    schema: str | None
    ahead: float
    open_to_all: tuple[Path, ...] = ()
    room: int | None = None


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
    kind = "SQLite" if sqlite else "PostgreSQL"
    path = file_of(store.url)
    room = shutil.disk_usage(path.parent).free if path else None
    return About(kind, version, journal, current(store), ahead, tuple(_open_to_all(store.url)), room)


def _open_to_all(url: str) -> Iterator[Path]:
    path = file_of(url)
    for one in [Path(f"{path}{end}") for end in ("", "-wal", "-shm")] if path else ():
        with suppress(OSError):
            if one.stat().st_mode & stat.S_IROTH:
                yield one
