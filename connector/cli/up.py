"""`up`: the whole connector in one process."""

from typing import Annotated

import typer

from connector.cli.common import Config, Port, out, warn, work_of
from connector.cli.logs import quiet_logs
from connector.errors import ConfigError
from connector.settings import Settings
from connector.store.engine import alone
from connector.sync import portal
from connector.sync.provider_check import one_way
from connector.sync.work import Work


def add_to(program: typer.Typer) -> None:
    """Register the command."""
    program.command("up")(up)


def up(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    receiver_only: Annotated[bool, typer.Option("--receiver-only", help="No worker and scheduler: they run beside it.")] = False,
    config: Config = None,
) -> None:
    """Receiver, worker and scheduler in one process. Refuses to start on what `check --live` refuses, but for options."""
    quiet_logs()
    settings, work = work_of(config)
    if receiver_only and settings.broker_url.startswith("memory"):
        raise ConfigError(
            "--receiver-only: needs a broker that workers elsewhere can reach; set broker_url to redis:// or amqp://"
        )
    with alone(settings.database_url):
        _up(settings, work, host, port, receiver_only)


def _up(settings: Settings, work: Work, host: str, port: int, receiver_only: bool) -> None:
    from connector.cli.service import Service

    for warning in (*settings.warnings, *one_way(work)):
        out.print(f"warning: {warning}", markup=False)
    if not receiver_only:  # whoever only receives must do so while the CRM is out of reach, too
        portal.require_account(settings, work)
        for borne in portal.require_fit(work):
            warn(f"warning: {borne}")
    try:
        Service(settings, work, host, port, _ready, receiver_only).run()
    finally:
        work.store.close()


def _ready(url: str) -> None:
    out.print(f"listening on {url}", markup=False)
