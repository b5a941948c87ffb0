"""`reconcile` and `backfill`: compare everybody and repair what differs; load an existing base for the first time."""

import time
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.common import Config, Json, ProviderName, chosen, out, print_json, print_pairs, progress, warn, work_of
from connector.errors import Braked
from connector.sync import setup as portal
from connector.sync.portal import require_account
from connector.sync.reconcile import reconcile as run_reconcile
from connector.sync.work import Work


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    program.command("reconcile")(reconcile)
    program.command("backfill")(backfill)


def reconcile(
    provider: ProviderName = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compare everybody: what this command always does.", show_default=False)
    ] = True,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compare both sides and repair what differs; returns when the last write is settled. Exit code 5 when a brake stopped it."""
    _run(config, as_json, provider, backfill=False, first=0)


def backfill(
    provider: ProviderName = None,
    first: Annotated[int, typer.Option("--first", metavar="N", min=0, help="Only N users without a contact; 0: all.")] = 0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Load an existing base: users without a contact are looked up by email first, so that most are linked, not made."""
    _run(config, as_json, provider, backfill=True, first=first)


def _listed(work: Work, names: list[str]) -> list[str]:
    """The providers that list their users; the others are named. All of them when none does: that is refused with a reason."""
    found = [name for name in names if work.providers[name].capabilities.list]
    for name in names if found else ():
        if name not in found:
            warn(f"warning: {name}: left out, it cannot list its users; see: connector import users")
    return found or names


def _run(config: Path | None, as_json: bool, provider: str | None, backfill: bool, first: int) -> None:
    settings, work = work_of(config)
    names = chosen(settings, provider)
    if backfill and provider is None:
        names = _listed(work, names)
    require_account(settings, work)
    portal.require_id_properties(work)
    with progress(quiet=as_json) as tell:
        result = run_reconcile(work, time.sleep, names, tell, backfill, first)
    if as_json:
        print_json({"run": result.run, "summary": dict(result.summary)})
    else:
        print_pairs(f"run {result.run}", result.summary)
        waiting = [f"connector {name}" for key, name in (("parked", "parked list"), ("held", "link list")) if result.summary[key]]
        out.print(f"see: {', '.join(waiting)}" if waiting else "both sides agree")
    if result.braked:
        raise Braked(f"run {result.run}: {result.braked} links are held by a brake; see: connector link list --state held")
