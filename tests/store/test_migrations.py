"""The migrations make exactly the tables the code expects, once, whoever runs them."""

import threading
from datetime import timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from connector.errors import ConfigError
from connector.store import Store, migrate
from connector.store.migrate import current, newest, require_current, upgrade
from connector.store.tables import metadata


@pytest.fixture
def empty(database_url):
    opened = Store(database_url)
    yield opened
    opened.close()


def test_the_migrations_make_the_tables_the_code_knows(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_every_index_and_constraint_is_there(store):
    """Autogenerate does not compare the condition of a partial index, nor names and columns of unnamed constraints."""
    found = inspect(store.engine)
    for table in metadata.tables.values():
        wanted = {(one.name, tuple(one.columns.keys()), bool(one.unique)) for one in table.indexes}
        there = {(one["name"], tuple(one["column_names"]), bool(one["unique"])) for one in found.get_indexes(table.name)}
        assert wanted <= there
    unique = [one for one in found.get_indexes("link") if one["name"] == "link_active_contact"]
    assert any("state" in str(option) for option in unique[0]["dialect_options"].values())


def test_upgrading_twice_is_fine(store):
    upgrade(store)
    assert current(store) == newest()


def test_two_migrators_at_once_are_fine(empty):
    errors = []

    def migrate():
        other = Store(empty.url)
        try:
            upgrade(other)
        except Exception as error:
            errors.append(error)
        other.close()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    assert current(empty) == newest()


def test_an_empty_database_is_told_how_to_become_a_full_one(empty):
    with pytest.raises(ConfigError, match="schema missing, this version needs 0004; run: connector db upgrade"):
        require_current(empty)


def test_a_migrated_database_is_what_we_need(store):
    require_current(store)


def test_a_newer_schema_is_refused(store):
    with store.write() as tx:
        tx.connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(ConfigError, match="schema 9999 is from a newer version"):
        require_current(store)


def test_what_an_older_version_blanked_counts_for_the_brakes(empty):
    with empty.engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for one in (1, 2, 3):
            connection.execute(text(
                "insert into link (provider, user_id, state, base, echo, held, drift, intent, user_gone, refetch, lone, created_at)"
                f" values ('p', 'u-{one}', 'active', '{{}}', '{{}}', '{{}}', '[]', '[]', false, false, false, 0)"
            ))  # fmt: skip
        for one, kind, value in ((1, "contact.update", "null"), (2, "contact.update", '"x"'), (3, "conflict", "null")):
            connection.execute(
                text("insert into history (at, link_id, kind, run, changes) values (0, :one, :kind, 7, :changes)"),
                {"one": one, "kind": kind, "changes": f'[{{"from":"x","to":{value}}}]'},
            )
    upgrade(empty)
    with empty.read() as tx:
        assert tx.history.links_that_cleared(7, timedelta(hours=1)) == 1


def test_a_migration_may_take_its_time(postgres, monkeypatch):
    """An index of a large table takes longer than any other statement may."""
    store, told = Store(postgres()), []
    monkeypatch.setattr(migrate.command, "upgrade", lambda config, revision: told.append(
        config.attributes["connection"].execute(text("show statement_timeout")).scalar_one()
    ))  # fmt: skip
    upgrade(store)
    with store.read() as tx:
        told.append(tx.connection.execute(text("show statement_timeout")).scalar_one())
    assert told == ["0", "30s"]
    store.close()


def test_a_migration_that_fails_leaves_nothing_behind(empty, monkeypatch):
    def half(config, revision):
        config.attributes["connection"].execute(text("create table half (id integer)"))
        raise RuntimeError("killed")

    monkeypatch.setattr(migrate.command, "upgrade", half)
    with pytest.raises(RuntimeError):
        upgrade(empty)
    monkeypatch.undo()
    assert inspect(empty.engine).get_table_names() == []
    upgrade(empty)
    require_current(empty)
