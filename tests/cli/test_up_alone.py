"""One `connector up` on one SQLite file: a second one is refused, other commands are not, and a kill leaves nothing behind."""

import sqlite3

from ..e2e.stack import free_port
from .portals import ready, stack

__all__ = ["ready", "stack"]


def test_a_second_up_is_refused_until_the_first_is_gone(ready, stack):
    stack.up()
    pid = stack.process.pid
    done = stack.run("up", "--port", str(free_port()), timeout=20)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == f"connector.db: another connector up (pid {pid}) works on it\n"
    for command in (("status",), ("reconcile",), ("doctor",)):
        assert ready(*command)[0] == 0, command
    stack.kill()
    stack.up()
    assert stack.process.pid != pid
    with sqlite3.connect(stack.folder / "connector.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
