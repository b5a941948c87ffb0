"""`up`: the whole connector in one process."""

from typing import Annotated

import typer

from connector.cli.common import Config, out, work_of
from connector.cli.logs import quiet_logs
from connector.errors import ConfigError
from connector.sync import portal


def add_to(program: typer.Typer) -> None:
    """Register the command."""
    program.command("up")(up)


def up(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8000,
    receiver_only: Annotated[bool, typer.Option("--receiver-only", help="No worker and scheduler: they run beside it.")] = False,
    config: Config = None,
) -> None:
    """Receiver, worker and scheduler in one process. Refuses to start on what `check --live` refuses, but for options."""
    from connector.cli.service import Service

    quiet_logs()
    settings, work = work_of(config)
    if receiver_only and settings.broker_url.startswith("memory"):
        raise ConfigError(
            "--receiver-only: needs a broker that workers elsewhere can reach; set broker_url to redis:// or amqp://"
        )
    for warning in settings.warnings:
        out.print(f"warning: {warning}", markup=False)
    if not receiver_only:  # whoever only receives must do so while the CRM is out of reach, too
        work.crm.check_portal()
        for borne in portal.require_fit(work):
            typer.echo(f"warning: {borne}", err=True)
    try:
        Service(settings, work, host, port, _ready, receiver_only).run()
    finally:
        work.store.close()


def _ready(url: str) -> None:
    out.print(f"listening on {url}", markup=False)
