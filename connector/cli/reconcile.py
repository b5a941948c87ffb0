"""`reconcile`: compare everybody and repair what differs."""

import time
from typing import Annotated

import typer

from connector.cli.common import Config, Json, ProviderName, chosen, out, print_json, print_pairs, progress, work_of
from connector.errors import Braked
from connector.sync.reconcile import reconcile as run_reconcile


def add_to(program: typer.Typer) -> None:
    """Register the command."""
    program.command("reconcile")(reconcile)


def reconcile(
    provider: ProviderName = None,
    full: Annotated[bool, typer.Option("--full", help="Compare everybody (the default in this version).")] = True,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compare both sides and repair what differs; returns when the last write is settled. Exit code 5 when a brake stopped it."""
    settings, work = work_of(config)
    names = chosen(settings, provider)
    work.crm.check_portal()
    with progress(quiet=as_json) as tell:
        result = run_reconcile(work, time.sleep, names, tell, lambda: work.crm.calls)
    if as_json:
        print_json({"run": result.run, "summary": dict(result.summary)})
    else:
        print_pairs(f"run {result.run}", result.summary)
        out.print("both sides agree" if not result.summary["parked"] + result.summary["held"] else "see: connector parked list")
    if result.braked:
        raise Braked(
            f"run {result.run}: {result.braked} deletions are held by a brake; look at them, then: connector link release"
        )
