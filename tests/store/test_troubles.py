"""What the database cannot do right now is Unavailable, soon, and without anybody's data in the message."""

import shutil
import socket
import sqlite3
import threading
import time

import pytest
from sqlalchemy import text

from connector.errors import ConfigError, Unavailable
from connector.store import Store
from connector.store import engine as engine_module

SOON = 10.0
"""Seconds within which a caller must know."""


def test_another_kind_of_database_is_a_configuration_error():
    with pytest.raises(ConfigError, match="mysql:// is not a database we run on"):
        Store("mysql://somewhere/db")


def test_a_server_that_is_not_there_is_unavailable():
    store = Store("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable, match="^database: .*; start it, or correct database_url$"), store.read() as tx:
        tx.links.waiting()


def test_a_server_of_no_such_name_is_told_with_the_way_out():
    with (
        pytest.raises(Unavailable, match="; correct its host in database_url"),
        Store("postgresql://u@h.invalid/db").read() as tx,
    ):
        tx.links.waiting()


def test_a_server_that_never_answers_is_unavailable_soon(monkeypatch):
    monkeypatch.setattr(engine_module, "CONNECTING", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Store(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        started = time.monotonic()
        with pytest.raises(Unavailable), store.read() as tx:
            tx.links.waiting()
        assert time.monotonic() - started < SOON


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(Unavailable), store.read() as tx:
        tx.links.waiting()


def test_a_locked_database_is_unavailable_soon(migrated_url, monkeypatch):
    """A writer of ours, or of somebody else, that does not come to an end."""
    monkeypatch.setattr(engine_module, "BUSY", 1)
    store, other = Store(migrated_url), Store(migrated_url)
    statement = "lock table link" if migrated_url.startswith("postgresql") else "update link set reason = ''"
    with other.engine.begin() as blocking:
        blocking.execute(text(statement))
        started = time.monotonic()
        with pytest.raises(Unavailable, match="; another .* holds it: try again, or find"), store.write() as tx:
            tx.links.create([{"provider": "members", "user_id": "u-1"}])
        assert time.monotonic() - started < SOON
    with store.write() as tx:  # and it recovers by itself
        tx.links.create([{"provider": "members", "user_id": "u-1"}])
    other.close()
    store.close()


def test_readers_do_not_wait_for_a_writer(store):
    other = Store(store.url)
    with other.engine.begin() as writing:
        writing.execute(text("update link set reason = ''"))
        started = time.monotonic()
        with store.read() as tx:
            assert tx.links.waiting() == 0
        assert time.monotonic() - started < 1
    other.close()


def test_a_read_only_database_is_unavailable(store):
    """A standby after a fail-over, or a file system remounted read-only."""
    with pytest.raises(Unavailable), store.write() as tx:
        read_only = "set transaction read only" if store.url.startswith("postgresql") else "pragma query_only = on"
        tx.connection.execute(text(read_only))
        tx.links.create([{"provider": "members", "user_id": "u-1"}])


def test_a_connection_cut_by_the_server_is_unavailable_once_and_then_replaced(postgres):
    store = Store(postgres(migrated=True))
    killer = Store(store.url)
    with pytest.raises(Unavailable), store.write() as tx:
        mine = tx.connection.execute(text("select pg_backend_pid()")).scalar_one()
        with killer.write() as other:
            other.connection.execute(text("select pg_terminate_backend(:pid)"), {"pid": mine})
        tx.links.waiting()
    with store.read() as tx:
        assert tx.links.waiting() == 0
    killer.close()
    store.close()


def test_a_pool_without_a_free_connection_is_unavailable_soon(postgres, monkeypatch):
    store = Store(postgres(migrated=True))
    monkeypatch.setattr(store.engine.pool, "_timeout", 0.1)
    held = [store.engine.connect() for _ in range(20)]
    with pytest.raises(Unavailable, match="no free connection"), store.read() as tx:
        tx.links.waiting()
    for one in held:
        one.close()
    store.close()


def test_a_deadlock_is_unavailable_for_one_of_the_two(postgres):
    store = Store(postgres(migrated=True))
    with store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": name} for name in ("a", "b")])
    outcomes, both = [], threading.Barrier(2)

    def work(first, second):
        try:
            with store.write() as tx:
                tx.links.notice(first, {"cause": "x"}, None)
                both.wait()
                tx.links.notice(second, {"cause": "y"}, None)
            outcomes.append("done")
        except Unavailable:
            outcomes.append("unavailable")

    threads = [threading.Thread(target=work, args=order) for order in ((1, 2), (2, 1))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(outcomes) == ["done", "unavailable"]
    store.close()


def test_the_message_of_a_failure_tells_no_values(store):
    person = "ada@example.com"
    with pytest.raises(Exception) as caught, store.write() as tx:  # noqa: PT011
        tx.connection.execute(text("select * from nowhere where email = :email"), {"email": person})
    assert person not in str(caught.value)


def test_no_wait_is_longer_than_a_senders_patience():
    assert max(engine_module.BUSY, engine_module.CONNECTING) < SOON


def damaged(path, url):
    path.write_bytes(path.read_bytes()[: 4096 * 2])


def misread(path, url):
    whole = path.read_bytes()
    path.write_bytes(whole[:44] + bytes([9] * 4) + whole[48:])


def without_a_table(path, url):
    store = Store(url)
    with store.engine.begin() as connection:
        connection.execute(text("drop table link"))
    store.close()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (
            damaged,
            "database: DatabaseError: database disk image is malformed; the file is damaged: stop the connector, and restore",
        ),
        (misread, "database: OperationalError: unsupported file format; the file is damaged: stop the connector, and restore"),
        (without_a_table, "database: OperationalError: no such table: link; something took a part of it away: restore a backup"),
    ],
)
def test_a_file_that_is_not_as_we_left_it_is_told_with_the_way_out(migrated_file, tmp_path, harm, told):
    path = tmp_path / "connector.db"
    shutil.copy(migrated_file, path)
    harm(path, f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}")
    with pytest.raises(Unavailable) as caught, store.read() as tx:
        tx.links.waiting()
    assert str(caught.value).startswith(told)
    store.close()


def test_a_full_disk_is_told_with_the_way_out(migrated_file, tmp_path):
    shutil.copy(migrated_file, tmp_path / "connector.db")
    store = Store(f"sqlite:///{tmp_path / 'connector.db'}")
    with pytest.raises(Unavailable, match="database or disk is full; make room on its disk$"), store.write() as tx:
        tx.connection.execute(text("pragma max_page_count = 1"))
        tx.connection.execute(text("create table more as select zeroblob(10000000)"))
    store.close()


def test_rights_and_tables_that_are_missing_in_postgresql_are_told_with_the_way_out(postgres):
    store = Store(postgres())
    with pytest.raises(Unavailable, match='relation "link" does not exist; something took a part'), store.read() as tx:
        tx.links.waiting()
    with pytest.raises(Unavailable, match="permission denied for .*; give its user the rights"), store.write() as tx:
        tx.connection.execute(text("create role nobody"))
        tx.connection.execute(text("set local role nobody"))
        tx.connection.execute(text("create table link (id int)"))
    store.close()


def test_what_was_erased_leaves_the_journal_once_a_full_disk_has_room(migrated_file, tmp_path, monkeypatch):
    class Full:
        """A connection, or its cursor, that finds no room for what the journal holds."""

        def __init__(self, real):
            self.real = real

        def __getattr__(self, name):
            return getattr(self.real, name)

        def cursor(self):
            return Full(self.real.cursor())

        def execute(self, statement, *given):
            if "checkpoint" in statement:
                raise sqlite3.OperationalError("database or disk is full")
            return self.real.execute(statement, *given)

    shutil.copy(migrated_file, tmp_path / "connector.db")
    store, journal = Store(f"sqlite:///{tmp_path / 'connector.db'}"), tmp_path / "connector.db-wal"
    opened = store.engine.raw_connection
    with monkeypatch.context() as patch:
        patch.setattr(store.engine, "raw_connection", lambda: Full(opened()))
        with store.write() as tx:
            tx.cursors.set("a mark")
            tx.forgot = True
    assert journal.stat().st_size > 0
    with store.write():
        pass
    assert journal.stat().st_size == 0
    store.close()
