"""`db upgrade|current` and `schema mapping|config`."""

from typing import Annotated, Literal

import typer

from connector.assembly import open_store
from connector.cli.common import AlwaysJson, Config, Json, NoConfig, out, print_json, settings_of
from connector.mapping.schema import json_schema
from connector.settings import config_schema
from connector.store.migrate import current, newest, upgrade, way_out


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    db = typer.Typer(help="The database's schema.", no_args_is_help=True)
    db.command("upgrade")(db_upgrade)
    db.command("current")(db_current)
    program.add_typer(db, name="db")
    program.command("schema")(schema)


def db_upgrade(config: Config = None) -> None:
    """Migrate the database to the schema this version needs."""
    store = open_store(settings_of(config))
    before = current(store)
    upgrade(store)
    out.print(f"schema {newest()}: up to date" if before == newest() else f"schema {before or 'empty'} -> {newest()}")


def db_current(config: Config = None, as_json: Json = False) -> int:
    """Show the database's schema and the one this version needs. Exit code 1 when they differ."""
    found = current(open_store(settings_of(config)))
    if as_json:
        print_json({"current": found, "needed": newest()})
    else:
        out.print("; ".join(filter(None, (f"schema {found or 'empty'}, needed {newest()}", way_out(found)))))
    return 0 if found == newest() else 1


def schema(
    which: Annotated[Literal["mapping", "config"], typer.Argument(help="Of which file.")],
    _config: NoConfig = None,
    _as_json: AlwaysJson = False,
) -> None:
    """Print the JSON Schema of a mapping or of config.yaml, for editors."""
    print_json(json_schema() if which == "mapping" else config_schema())
