"""Opening a SQLite file: for its owner only, with words when it cannot be, and by one `connector up` at a time."""

import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from connector.errors import Locked, Unavailable
from connector.store import Store, engine
from connector.store.about import about
from connector.store.engine import alone
from connector.store.migrate import upgrade


@pytest.fixture
def generous():
    """The umask that most machines have."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def opened(path):
    store = Store(f"sqlite:///{path}")
    upgrade(store)
    with store.write() as tx:
        tx.cursors.set("a mark")
    return store


def test_a_new_file_and_its_journal_are_its_owners_only(tmp_path, generous):
    store = opened(tmp_path / "connector.db")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["connector.db", "connector.db-wal", "connector.db-shm"], 0o600)
    assert about(store).open_to_all == ()


def test_files_that_everybody_can_read_are_named(tmp_path):
    store = opened(tmp_path / "connector.db")
    for end in ("", "-wal"):
        (tmp_path / f"connector.db{end}").chmod(0o644)
    assert [path.name for path in about(store).open_to_all] == ["connector.db", "connector.db-wal"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone/c.db", r"gone/c\.db cannot be opened \(No such file .*\): make the folder .*gone, or correct"),
     ("", r"cannot be opened \(Is a directory\): .*, or correct database_url")],
)  # fmt: skip
def test_a_file_that_cannot_be_opened_is_named_with_the_way_out(tmp_path, name, words):
    with pytest.raises(Unavailable, match=words):
        opened(tmp_path / name)


class TestAlone:
    def test_a_second_one_is_refused_and_names_the_first(self, tmp_path):
        url = f"sqlite:///{tmp_path / 'connector.db'}"
        words = rf"connector\.db: another connector up \(pid {os.getpid()}\) works on it$"
        with alone(url), pytest.raises(Locked, match=words), alone(url):
            pass
        with alone(url):
            pass

    def test_one_that_was_killed_holds_nothing(self, tmp_path):
        url = f"sqlite:///{tmp_path / 'connector.db'}"
        program = (
            "import sys, time; from connector.store.engine import alone\n"
            "with alone(sys.argv[1]): print('held', flush=True); time.sleep(60)"
        )
        process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=rf"pid {process.pid}"), alone(url):
            pass
        process.kill()
        process.wait()
        process.stdout.close()
        with alone(url):
            pass

    @pytest.mark.parametrize("url", ["sqlite://", "postgresql://u@h/db"])
    def test_other_databases_take_several(self, url):
        with alone(url), alone(url):
            pass


def test_who_switches_the_journal_of_a_new_file_waits_for_whoever_does_it_too():
    class Connection:
        refusals = 2

        def execute(self, pragma):
            if self.refusals:
                self.refusals -= 1
                raise sqlite3.OperationalError("database is locked")

    connection = Connection()
    engine._keep_journal(connection)
    assert connection.refusals == 0


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_what_a_signal_cut_off_does_not_lock_us_out(tmp_path, monkeypatch, signal):
    """The statement it came in lives on in the traceback, while a lock is to be given back."""
    monkeypatch.setattr(engine, "BUSY", 0.2)
    store = opened(tmp_path / "connector.db")
    with pytest.raises(signal) as caught, store.write() as tx:
        raw = tx.connection.connection.cursor()
        raw.execute("update cursor set value = 'x' returning name")
        raise signal
    with store.write() as tx:
        tx.cursors.set("another")
    assert caught.value is not None
    assert raw is not None
