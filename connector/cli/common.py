"""What commands share: options, opening the configuration, printing."""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connector.assembly import build, open_store
from connector.errors import ConfigError, Locked
from connector.settings import Settings, load_settings
from connector.store import Store
from connector.store.keyed import require_key
from connector.store.migrate import require_current, upgrade
from connector.sync.work import Work
from connector.yamlfile import plain

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (default config.yaml, or CONNECTOR_CONFIG).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
NoConfig = Annotated[Path | None, typer.Option("--config", hidden=True, help="Not needed; for scripts that always give it.")]
AlwaysJson = Annotated[bool, typer.Option("--json", hidden=True, help="What is printed in any case.")]
ProviderName = Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Only this identity provider.")]

Port = Annotated[int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


class Lines(Console):
    """What people read, a line for each call. Other people's words are in it: no terminal is to obey them."""

    def print(self, *objects: Any, **options: Any) -> None:
        """See Console."""
        super().print(*(plain(one) if isinstance(one, str) else one for one in objects), **options)


out = Lines(highlight=False, soft_wrap=True, markup=False, emoji=False)


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
    store = open_store(settings_of(config))
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


def taken(host: str, port: int, error: OSError) -> Locked:
    """What to say when a port cannot be had."""
    why = (error.strerror or str(error)).partition(" (")[0]  # what comes then repeats the address
    return Locked(f"cannot listen on {host}:{port} ({why}): another one running? choose a --port")


def warn(line: str) -> None:
    """A line on standard error."""
    print(plain(line), file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json_text(value, indent=2 if sys.stdout.isatty() else None))


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that can be read without a decoder, but for what a terminal might obey."""
    told = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in told)


def print_pairs(title: str, pairs: Mapping[str, Any]) -> None:
    """A heading and aligned names and values."""
    out.print(title, style="bold")
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        print_line(f"  {name:<{width}}  {value}", width + 4)


def print_line(line: str, indent: int = 0, style: str | None = None) -> None:
    """One line; on a terminal it goes on `indent` further in, broken between words. Elsewhere it stays one, for `grep`."""
    line = plain(line)
    for part in _folded(line, out.width, indent) if out.is_terminal else [line]:
        out.print(part, markup=False, style=style)


def _folded(text: str, width: int, indent: int = 0) -> list[str]:
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False, "drop_whitespace": True}
    return textwrap.wrap(text, width, subsequent_indent=" " * indent, **options) or [""]


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns, a line a row, so that `grep` finds it.

    On a terminal that is too narrow for that, cells are folded between words; when even that is too wide, each row is a block.
    """
    table = [[plain(str(cell)) if cell is not None else "" for cell in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    narrowed = _narrowed(table, widths, out.width - 2 * (len(columns) - 1)) if out.is_terminal else widths
    if narrowed is None:
        for row in table[1:]:
            _print_block(table[0], row)
        return
    for number, row in enumerate(table):
        cells = [_folded(cell, width) if width < len(cell) else [cell] for cell, width in zip(row, narrowed, strict=True)]
        for line in zip_longest(*cells, fillvalue=""):
            told = "  ".join(cell.ljust(width) for cell, width in zip(line, narrowed, strict=True)).rstrip()
            out.print(told, markup=False, style="bold" if number == 0 else None)


NARROWEST = 14
"""Characters to which a column with longer texts is narrowed, at least."""


def _narrowed(table: Sequence[Sequence[str]], widths: Sequence[int], room: int) -> list[int] | None:
    """Widths that fit into `room`, with cells folded between words; None when there are none."""
    longest = [max(len(word) for row in table for word in row[i].split() or [""]) for i in range(len(widths))]
    least = [min(width, max(word, NARROWEST)) for width, word in zip(widths, longest, strict=True)]
    if sum(least) > room:
        return None
    found = list(widths)
    while sum(found) > room:
        found[max(range(len(found)), key=lambda i: found[i] if found[i] > least[i] else -1)] -= 1
    return found


def _print_block(columns: Sequence[str], row: Sequence[str]) -> None:
    """A row as names and values, without the blank ones."""
    print_line(row[0], style="bold")
    print_line("  " + ", ".join(f"{name} {cell}" for name, cell in list(zip(columns, row, strict=True))[1:] if cell), 2)


@contextmanager
def progress(quiet: bool) -> Iterator[Any]:
    """A function `tell(what, done, of)`: a bar on a terminal, a line every few thousand elsewhere, nothing when quiet."""
    if quiet:
        yield lambda what, done, of: None
    elif sys.stderr.isatty():
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of or None)
    else:
        told: dict[str, int] = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in told or done - told[what] >= 2000 or done == of:
                told[what] = done
                print(f"{what}: {done}" + (f" of {of}" if of else ""), file=sys.stderr)

        yield tell
