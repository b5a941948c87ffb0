"""Bringing a database to the schema this version needs, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from connector.errors import ConfigError
from connector.store.store import Store, ours

LOCK = 7305211  # any number, the same for all of us: one migrator at a time


def upgrade(store: Store) -> None:
    """Migrate to the newest schema. Safe to run twice, or by two at once. Raises Unavailable."""
    _refuse_newer(current(store))
    with ours(), store.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
            connection.execute(text("set local statement_timeout = 0"))  # an index of a large table takes its time
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(store: Store) -> str | None:
    """The schema version of the database, None when it is empty. Raises Unavailable."""
    with ours():
        return _current(store.engine)


def newest() -> str:
    """The schema version this program needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def require_current(store: Store) -> None:
    """Raises ConfigError unless the schema is exactly the one this program needs."""
    found = current(store)
    _refuse_newer(found)
    if found != newest():
        raise ConfigError(f"database: schema {found or 'missing'}, this version needs {newest()}; {way_out(found)}")


def way_out(found: str | None) -> str:
    """What to do about the schema that was found; nothing when it is the one this program needs."""
    if found == newest():
        return ""
    if _is_newer(found):
        return "run the newer version of the connector that it is from, or restore a backup"
    return "run: connector db upgrade"


def _is_newer(found: str | None) -> bool:
    known = {revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions()}
    return found is not None and found not in known


def _refuse_newer(found: str | None) -> None:
    if _is_newer(found):
        raise ConfigError(f"database: schema {found} is from a newer version of the connector; run that, or restore a backup")


def _current(engine: Engine) -> str | None:
    with engine.connect().execution_options(reading=True) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
