"""`doctor`: a database that is there and can do nothing right now."""

import shutil
import sqlite3
from types import SimpleNamespace

from connector.store import engine

from .portals import ready, stack
from .test_doctor import doctor

__all__ = ["doctor", "ready", "stack"]


def test_one_that_another_process_holds(doctor, stack, monkeypatch):
    monkeypatch.setattr(engine, "BUSY", 0.1)
    held = sqlite3.connect(stack.folder / "connector.db", isolation_level=None)
    held.execute("begin immediate")
    code, found = doctor()
    held.close()
    assert (code, found["database"]["state"]) == (4, "unreachable")
    assert found["database"]["way_out"] == "another process holds it: try again, or find and end that process"


def test_one_whose_disk_is_full(doctor, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    code, found = doctor()
    assert (code, found["disk"]["state"]) == (1, "problem")
    assert found["disk"]["detail"] == "1.0 MiB are left where the database is"
    assert found["disk"]["way_out"] == "make room on that disk"
    assert found["ledger"]["state"] == "ok"
