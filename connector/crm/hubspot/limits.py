"""Whose turn it is: HubSpot's call budgets, shared by all processes of one connector.

Facts (HubSpot API, "Usage guidelines" and "Search the CRM"): 190 calls per rolling 10 s for one private app on most
portals; searches are counted apart, 5 per second for the account, and do not count toward the 190; the daily quota is the
account's. A fixed window lets two budgets through around its edge, hence a log of every grant.
"""

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from celery.exceptions import SoftTimeLimitExceeded

BURST = "burst"
SEARCH = "search"
LONGEST = 3600.0
"""Seconds a budget may stay closed before somebody asks HubSpot again."""
RETRY_SHARED = 5.0
"""Seconds between attempts to reach a shared log that failed."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Budget:
    """So many calls in any stretch of `period` seconds."""

    calls: int
    period: float


class Log(Protocol):
    """A log of grants. Raises OSError, sqlite3.Error or redis.RedisError (an Exception in any case) when it cannot be reached."""

    def take(self, kind: str, budget: Budget) -> float:
        """Note one call now and return 0, or return the seconds until there may be room; then nothing is noted."""

    def close(self, kind: str, seconds: float) -> None:
        """Grant nothing for so long; a longer closure that is already there stands."""


class Limiter:
    """The budgets, over a shared log. When that cannot be reached, work goes on with a quarter of each budget per process."""

    def __init__(self, shared: Log, budgets: Mapping[str, Budget], clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._budgets = dict(budgets)
        self._alone = MemoryLog(clock)
        self._clock = clock
        self._lost_until: float | None = None

    def acquire(self, kind: str) -> float:
        """Take one call. 0: go. Else seconds to wait before asking again; nothing was taken."""
        budget = self._budgets[kind]
        if self._within_reach():
            try:
                wait = self._shared.take(kind, budget)
            except SoftTimeLimitExceeded:  # it can strike anywhere; it is about the task, not about the log
                raise
            except Exception as error:  # whatever the store says, a rate limiter must not stop work
                self._lose(error)
            else:
                self._found()
                return wait
        return self._alone.take(kind, Budget(max(1, budget.calls // 4), budget.period))

    def close(self, kind: str, seconds: float) -> None:
        """HubSpot asked for silence: nobody calls for so long (at most LONGEST)."""
        seconds = min(seconds, LONGEST)
        self._alone.close(kind, seconds)
        if self._within_reach():
            try:
                self._shared.close(kind, seconds)
            except SoftTimeLimitExceeded:
                raise
            except Exception as error:
                self._lose(error)

    def _within_reach(self) -> bool:
        return self._lost_until is None or self._clock() >= self._lost_until

    def _lose(self, error: Exception) -> None:
        if self._lost_until is None:
            log.warning("rate limiter: shared log out of reach, counting in this process alone", error=type(error).__name__)
        self._lost_until = self._clock() + RETRY_SHARED

    def _found(self) -> None:
        if self._lost_until is not None:
            self._lost_until = None
            log.info("rate limiter: shared log within reach again")


class MemoryLog:
    """For one process: tests, and the time while the shared log is away."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}
        self._closed: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, kind: str, budget: Budget) -> float:
        """See Log."""
        with self._lock:
            now = self._clock()
            if (shut := self._closed.get(kind, 0.0) - now) > 0:
                return shut
            calls = self._calls.setdefault(kind, deque())
            while calls and calls[0] <= now - budget.period:
                calls.popleft()
            if len(calls) >= budget.calls:
                return calls[-budget.calls] + budget.period - now
            calls.append(now)
            return 0.0

    def close(self, kind: str, seconds: float) -> None:
        """See Log."""
        with self._lock:
            self._closed[kind] = max(self._closed.get(kind, 0.0), self._clock() + seconds)


class SqliteLog:
    """For the processes of one machine: a file of its own, without fsync (it only has to outlive a call).

    Not WAL: many processes that open a new file at once lock each other out while it is switched on.
    """

    _TABLES = """
        PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF;
        CREATE TABLE IF NOT EXISTS call (kind TEXT NOT NULL, at REAL NOT NULL);
        CREATE INDEX IF NOT EXISTS call_at ON call (kind, at);
        CREATE TABLE IF NOT EXISTS closed (kind TEXT PRIMARY KEY, until REAL NOT NULL);
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._held: tuple[int, sqlite3.Connection, threading.Lock] | None = None
        self._inherited: list[sqlite3.Connection] = []  # never closed here: SQLite forbids it after a fork

    def take(self, kind: str, budget: Budget) -> float:
        """See Log. Entries from the future (the clock was set back) do not count."""
        with self._transaction() as db:
            now = self._clock()
            closed = db.execute("SELECT until FROM closed WHERE kind = ?", (kind,)).fetchone()
            if closed and 0 < closed[0] - now <= LONGEST:
                return float(closed[0] - now)
            newest_first = "SELECT at FROM call WHERE kind = ? ORDER BY at DESC LIMIT 1 OFFSET ?"
            oldest = db.execute(newest_first, (kind, budget.calls - 1)).fetchone()
            if oldest and 0 < oldest[0] + budget.period - now <= budget.period:
                return float(oldest[0] + budget.period - now)
            db.execute("DELETE FROM call WHERE kind = ? AND (at <= ? OR at > ?)", (kind, now - budget.period, now))
            db.execute("INSERT INTO call VALUES (?, ?)", (kind, now))
            return 0.0

    def close(self, kind: str, seconds: float) -> None:
        """See Log."""
        with self._transaction() as db:
            now = self._clock()
            db.execute("DELETE FROM closed WHERE kind = ? AND until > ?", (kind, now + LONGEST))
            longer = "INSERT INTO closed VALUES (?, ?) ON CONFLICT DO UPDATE SET until = max(until, excluded.until)"
            db.execute(longer, (kind, now + seconds))

    def _transaction(self) -> "_Transaction":
        if self._held is None or self._held[0] != os.getpid():
            if self._held:
                self._inherited.append(self._held[1])
            db = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
            db.executescript(self._TABLES)
            self._held = (os.getpid(), db, threading.Lock())
        return _Transaction(self._held[1], self._held[2])


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT: readers who mean to write must queue before they read."""

    def __init__(self, db: sqlite3.Connection, lock: threading.Lock) -> None:
        self._db = db
        self._lock = lock

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        return self._db

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._db.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.rollback()
            self._lock.release()


class RedisLog:
    """For several machines. Redis' own clock decides, so theirs may differ."""

    _TAKE = """
        local shut = redis.call('PTTL', KEYS[2])
        if shut > 0 then return shut * 1000 end
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local calls, period = tonumber(ARGV[1]), tonumber(ARGV[2])
        local oldest = redis.call('LINDEX', KEYS[1], -calls)
        if oldest then
            local wait = tonumber(oldest) + period - now
            if wait > 0 and wait <= period then return wait end
        end
        redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
        redis.call('LTRIM', KEYS[1], -calls, -1)
        redis.call('PEXPIRE', KEYS[1], math.ceil(period / 1000) + 1000)
        return 0
    """
    _CLOSE = "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end"

    def __init__(self, url: str, name: str) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        once = Retry(NoBackoff(), 0)
        client = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1, retry=once)
        self._name = name
        self._take = client.register_script(self._TAKE)
        self._close = client.register_script(self._CLOSE)

    def take(self, kind: str, budget: Budget) -> float:
        """See Log."""
        wait = self._take(keys=[self._key(kind), self._key(kind) + ":closed"], args=[budget.calls, int(budget.period * 1e6)])
        return float(wait) / 1e6

    def close(self, kind: str, seconds: float) -> None:
        """See Log."""
        self._close(keys=[self._key(kind) + ":closed"], args=[max(1, int(seconds * 1000))])

    def _key(self, kind: str) -> str:
        return f"{{{self._name}}}:calls:{kind}"  # the braces keep both keys on one cluster node


def make_limiter(burst_limit: int, redis_url: str | None, path: Path | None, name: str = "hubspot") -> Limiter:
    """The limiter of one connector.

    burst_limit: calls per 10 s, from the operator. The periods are stretched by a tenth of a second, because calls that leave
        evenly spaced may arrive closer together.
    redis_url, path: where the log is shared: Redis for several machines, else a SQLite file for one, else this process alone.
    name: separates portals that share one Redis.
    """
    budgets = {BURST: Budget(burst_limit, 10.1), SEARCH: Budget(5, 1.1)}
    if redis_url:
        return Limiter(RedisLog(redis_url, name), budgets)
    return Limiter(SqliteLog(path) if path else MemoryLog(), budgets)
