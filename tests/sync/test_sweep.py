"""Whose leases a sweep ends: those of processes that are gone, as far as it can know."""

import os
import subprocess
import sys

import pytest

from connector.sync import batch, intake, reconcile, sweep
from connector.sync.work import here

from .world import USER


@pytest.fixture
def nobody():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_ended_is_not_alive(nobody):
    assert sweep.alive(f"{here()}/{os.getpid()}")
    assert not sweep.alive(f"{here()}/{nobody}")


def test_a_process_id_means_nothing_in_another_container_of_the_same_name(nobody, monkeypatch):
    ours = here()
    readlink = os.readlink
    monkeypatch.setattr("os.readlink", lambda path: "pid:[4026500000]" if path == "/proc/self/ns/pid" else readlink(path))
    theirs = here()
    monkeypatch.undo()
    assert theirs != ours
    assert sweep.alive(f"{theirs}/{nobody}")


def test_a_name_fits_its_column(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 64)
    assert len(f"{here()}/4194304") <= 120


def test_where_nothing_tells_containers_apart_the_hosts_name_counts(monkeypatch, nobody):
    def none(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr("os.readlink", none)
    monkeypatch.setattr("socket.gethostname", lambda: "mac")
    assert not sweep.alive(f"mac/{nobody}")


@pytest.mark.parametrize("dies", [True, False])
def test_the_leases_of_the_dead_are_free_at_once(world, nobody, dies):
    world.idp.register(USER)
    world.deliver_all()
    place = here() if dies else "elsewhere"
    intake.take(world.work)
    assert len(batch.lease(world.worker(f"{place}/{nobody}"))) == 1
    sweep.sweep(world.work)
    assert world.settle() == dies


@pytest.mark.parametrize("dies", [True, False])
def test_the_run_of_the_dead_is_over_at_once(world, nobody, dies):
    place = here() if dies else "elsewhere"
    with world.store.write() as tx:
        run = tx.runs.start("reconcile", "members")
        assert tx.runs.lock(reconcile.LOCK, f"{place}/{nobody}/run {run}", reconcile.LASTING)
    sweep.sweep(world.work)
    with world.store.write() as tx:
        assert tx.runs.running([run]) == (set() if dies else {run})
        assert tx.runs.lock(reconcile.LOCK, "next", reconcile.LASTING) == dies
