"""`doctor`: is everything in order, and if not, what is to be done."""

import logging

import typer

from connector.assembly import build
from connector.cli import broker
from connector.cli.common import Config, Json, out, print_json, progress, settings_of
from connector.cli.logs import quiet_logs
from connector.sync import doctor as examination
from connector.sync.checks import State

COLOURS = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "bold red", State.UNREACHABLE: "bold red"}
EXITS = {State.OK: 0, State.WARNING: 0, State.PROBLEM: 1, State.UNREACHABLE: 4}


def add_to(program: typer.Typer) -> None:
    """Register the command."""
    program.command("doctor")(doctor)


def doctor(config: Config = None, as_json: Json = False) -> int:
    """Look at the database, the broker, the portal, the token and the ledger. Changes nothing.

    Exit code 0: fine, warnings included; 1: problems; 4: the database, the broker or HubSpot cannot be reached.
    """
    settings = settings_of(config)
    work = build(settings)
    quiet_logs(logging.CRITICAL)  # what is denied is told below
    with progress(as_json) as tell:
        checks = examination.examine(settings, work, broker.look, lambda done, of: tell("ledger", done, of))
    worst = examination.worst(checks)
    if as_json:
        told = [{"name": one.name, "state": one.state, "detail": one.detail, "way_out": one.way_out} for one in checks]
        print_json({"ok": EXITS[worst] == 0, "checks": told})
    else:
        for one in checks:
            out.print(f"{one.state}", style=COLOURS[one.state], end="")
            out.print(str(one).removeprefix(one.state), markup=False)
    return EXITS[worst]
