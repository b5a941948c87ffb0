"""`import users`: the first load from a file, for providers that cannot list their users."""

import time
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.common import Config, Json, chosen, out, print_json, print_pairs, progress, work_of
from connector.errors import Braked
from connector.sync import setup as portal
from connector.sync.importing import Import, opened
from connector.sync.portal import require_account
from connector.sync.reconcile import reconcile

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="CSV in UTF-8: a column id, and user fields."),
]
Provider = Annotated[str, typer.Option("--provider", metavar="NAME", help="Whose users they are.")]


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="Take people in from a file.", no_args_is_help=True)
    group.callback()(_group)  # with one command alone there would be no group
    group.command("users")(users)
    program.add_typer(group, name="import")


def _group() -> None:
    """Take people in from a file."""


def users(file: File, provider: Provider, config: Config = None, as_json: Json = False) -> int:
    """Take in users from a file. Nothing is done unless all of it can be read; whoever was erased stays erased.

    Exit code 1 when the provider does not know somebody; those are looked for a few times more by a running worker.
    """
    settings, work = work_of(config)
    chosen(settings, provider)
    with opened(file) as text, progress(quiet=as_json) as tell:
        one = Import(work, provider, text, file.name)
        one.check()
        require_account(settings, work)
        portal.require_id_properties(work)
        result = reconcile(work, time.sleep, [provider], tell, backfill=True, load=one.load)
        unknown = one.unknown()
    if as_json:
        print_json({"run": result.run, "users": dict(one.count), "unknown": unknown, "summary": dict(result.summary)})
    else:
        print_pairs("users", dict(one.count) | ({f"unknown to {provider}": _some(unknown)} if unknown else {}))
        print_pairs(f"run {result.run}", result.summary)
        if one.count["erased"]:
            out.print(f"{one.count['erased']} were erased once, and were left out")
    if result.braked:
        raise Braked(f"run {result.run}: {result.braked} links are held by a brake; see: connector link list --state held")
    return 1 if unknown else 0


SHOWN = 20
"""Ids of unknown users that are printed; --json has all of them."""


def _some(ids: list[str]) -> str:
    return f"{len(ids)} ({', '.join(ids[:SHOWN])}{', ...' if len(ids) > SHOWN else ''})"
