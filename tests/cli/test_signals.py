"""SIGTERM ends a command as Ctrl-C does: one line, and what it held is free for the next one."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from ..e2e.stack import COMMAND, Stack, wait_for


@pytest.fixture
def stack(tmp_path):
    one = Stack(tmp_path)
    yield one
    one.close()


def locks(stack):
    """The locks that are held."""
    with closing(sqlite3.connect(stack.folder / "connector.db")) as db:
        return db.execute("SELECT name FROM cursor WHERE name LIKE 'lock:%'").fetchall()


@pytest.mark.parametrize("command", ["reconcile", "backfill"])
def test_a_command_that_is_terminated_gives_its_lock_back(stack, command):
    stack.idp.faults.delay = 3
    process = subprocess.Popen([*COMMAND, command], cwd=stack.folder, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: locks(stack), 30)
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=30)[1], process.returncode) == ("terminated\n", -signal.SIGTERM)
    stack.idp.faults.delay = 0
    assert stack.run("reconcile").returncode == 0


def test_a_server_that_is_terminated_ends_by_the_signal(stack):
    """So that systemd does not take its end for a failure."""
    stack.up()
    assert stack.kill(signal.SIGTERM) == -signal.SIGTERM
    assert "Traceback" not in (stack.folder / "up.log").read_text()


INTERRUPTED_AT_LOADING = """
import sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from connector.cli import main
main(["schema", "mapping"])
"""


def test_ctrl_c_while_the_program_is_loaded_is_no_traceback():
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED_AT_LOADING], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")
