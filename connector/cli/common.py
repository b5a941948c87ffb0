"""What commands share: options, opening the configuration, printing."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connector.assembly import build
from connector.errors import ConfigError
from connector.settings import Settings, load_settings
from connector.store import Store
from connector.store.keyed import require_key
from connector.store.migrate import require_current, upgrade
from connector.sync.work import Work

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (default config.yaml, or CONNECTOR_CONFIG).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
ProviderName = Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Only this identity provider.")]

out = Console(highlight=False, soft_wrap=True)


def settings_of(config: Path | None) -> Settings:
    """The configuration. Raises ConfigError."""
    return load_settings(config)


def work_of(config: Path | None) -> tuple[Settings, Work]:
    """The tools of a command, on a database with the right schema. Raises ConfigError, Unavailable."""
    settings = settings_of(config)
    work = build(settings)
    ready(work.store)
    return settings, work


def store_of(config: Path | None) -> Store:
    """The database alone. Raises ConfigError, Unavailable."""
    settings = settings_of(config)
    store = Store(settings.database_url, hash_key=settings.keyed)
    ready(store)
    return store


def ready(store: Store) -> None:
    """SQLite migrates by itself; elsewhere an old schema is refused with the command that mends it. So is another `hash_key`."""
    if store.url.startswith("sqlite"):
        upgrade(store)
    else:
        require_current(store)
    require_key(store)


def chosen(settings: Settings, provider: str | None) -> list[str]:
    """The providers a command is about. Raises ConfigError for a name that is not configured."""
    if provider is None:
        return list(settings.providers)
    if provider not in settings.providers:
        raise ConfigError(f"--provider {provider}: not configured; there is {', '.join(settings.providers) or 'none'}")
    return [provider]


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str))


def print_pairs(title: str, pairs: Mapping[str, Any]) -> None:
    """A heading and aligned names and values."""
    out.print(f"[bold]{title}[/bold]")
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        out.print(f"  {name:<{width}}  {value}", markup=False)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns; long texts are not cut, so that `grep` finds them."""
    table = [[str(cell) if cell is not None else "" for cell in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    for number, row in enumerate(table):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        out.print(line, markup=False, style="bold" if number == 0 else None)


@contextmanager
def progress(quiet: bool) -> Iterator[Any]:
    """A function `tell(what, done, of)`: a bar on a terminal, a line every few thousand elsewhere, nothing when quiet."""
    if quiet:
        yield lambda what, done, of: None
    elif sys.stderr.isatty():
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of or None)
    else:
        told: dict[str, int] = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in told or done - told[what] >= 2000 or done == of:
                told[what] = done
                print(f"{what}: {done}" + (f" of {of}" if of else ""), file=sys.stderr)

        yield tell
