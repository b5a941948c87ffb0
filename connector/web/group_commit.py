"""One transaction for all requests that wait: the first one starts a flusher, which takes everything that has gathered.

A commit costs a disk flush, whatever is in it. Measured with 32 connections on a busy two-core machine: five to seven times the
deliveries a second of one transaction each, the slowest hundredth answered in a third of the time (`benchmarks/receiver.py`,
with and without `--single`).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import structlog

from connector.errors import Unavailable
from connector.model import Item
from connector.web import metrics

Row = tuple[str, Item]
Key = tuple[str, str]

MAX_REQUESTS = 500
"""Requests in one transaction."""
MAX_BYTES = 16 << 20
"""Bytes of bodies after which a transaction takes no further request."""
MAX_WAITING = 10_000
"""Requests that may wait; the next one is told to come again."""
PATIENCE = 4.0
"""Seconds a request waits for its commit. The sender's patience ends at five (HubSpot)."""

log = structlog.get_logger(__name__)


class Inbox(Protocol):
    """Where deliveries are kept."""

    def add(self, rows: Sequence[Row]) -> set[Key]:
        """Keep (source, item) rows in one transaction, repeats of (source, key) left alone; returns those that were new.

        Raises Unavailable when the database cannot be reached, is locked or full; then nothing was kept.
        """


class _Waiting:
    """One request's rows, and who waits for them."""

    __slots__ = ("done", "rows", "size")

    def __init__(self, rows: Sequence[Row], done: "asyncio.Future[set[Key]]") -> None:
        self.rows = rows
        self.done = done
        self.size = sum(len(item.body) for _, item in rows)


class GroupCommit:
    """Adds rows to the inbox on behalf of many requests of one event loop. Answers come after the commit, never before.

    ring: called after a commit that brought something new; must return at once.
    """

    def __init__(self, inbox: Inbox, ring: Callable[[], None]) -> None:
        self._inbox = inbox
        self._ring = ring
        self._waiting: list[_Waiting] = []
        self._flusher: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    async def add(self, rows: Sequence[Row]) -> set[Key]:
        """Keep one request's rows, all of them or none. Returns the keys that were new.

        Raises Unavailable when that could not be done in time. After a timeout the rows may still be kept: the sender
        repeats the delivery, and repeats are recognised.
        """
        if not rows:
            return set()
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable("too many deliveries wait for the database")
        loop = asyncio.get_running_loop()
        mine = _Waiting(rows, loop.create_future())
        self._waiting.append(mine)
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush())
        try:
            async with asyncio.timeout(PATIENCE):
                return await mine.done  # a timeout cancels the future, and the flusher passes it over
        except TimeoutError:
            raise Unavailable("the database does not answer in time") from None

    async def _flush(self) -> None:
        """Store what waits, batch after batch, until nothing does."""
        try:
            while batch := self._take():
                await self._store(batch)
        finally:
            self._flusher = None

    def _take(self) -> list[_Waiting]:
        """The requests that go into the next transaction, in order of arrival, without those that have given up."""
        batch: list[_Waiting] = []
        size = 0
        taken = 0
        for one in self._waiting:
            if len(batch) == MAX_REQUESTS or size >= MAX_BYTES:
                break
            taken += 1
            if not one.done.done():
                batch.append(one)
                size += one.size
        del self._waiting[:taken]
        return batch

    async def _store(self, batch: list[_Waiting]) -> None:
        metrics.batch_rows.observe(len(batch))
        try:
            new = await self._add([row for one in batch for row in one.rows])
        except Unavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                log.error(
                    "delivery.unstorable", sources=sorted({source for source, _ in batch[0].rows}), error=type(error).__name__
                )
                _fail(batch, Unavailable("the database refuses a row"))
                return
            for one in batch:  # somebody's row is at fault: the others must not suffer
                await self._store([one])
        else:
            _tell(batch, new)
            if new:
                self._safely_ring()

    async def _add(self, rows: Sequence[Row]) -> set[Key]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._inbox.add, rows)

    def _safely_ring(self) -> None:
        try:
            self._ring()
        except Exception as error:
            log.warning("doorbell.failed", error=type(error).__name__)


def _tell(batch: list[_Waiting], new: set[Key]) -> None:
    """Each request learns which of its keys were new. When two sent the same key, the first one did."""
    left = set(new)
    for one in batch:
        mine = {(source, item.key) for source, item in one.rows} & left
        left -= mine
        if not one.done.done():
            one.done.set_result(mine)


def _fail(batch: list[_Waiting], error: Unavailable) -> None:
    for one in batch:
        if not one.done.done():
            one.done.set_exception(error)
