"""`sandbox hubspot|identity`: one side alone, to try a mapping without an account."""

from typing import Annotated

import typer

from connector.cli.common import out

SECRET = "whsec_c2FuZGJveC1zZWNyZXQtc2FuZGJveC1zZWNyZXQ="

Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Token = Annotated[str, typer.Option("--token", help="Token that callers must send.")]
Webhook = Annotated[str | None, typer.Option("--webhook-url", metavar="URL", help="Where to send webhooks.")]


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    sandbox = typer.Typer(help="Stand-ins for HubSpot and an identity provider, in memory.", no_args_is_help=True)
    sandbox.command("hubspot")(hubspot)
    sandbox.command("identity")(identity)
    program.add_typer(sandbox, name="sandbox")


def hubspot(
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 9001,
    host: Host = "127.0.0.1",
    token: Token = "sandbox-token",
    portal_id: Annotated[int, typer.Option("--portal-id")] = 12345678,
    client_secret: Annotated[str, typer.Option("--client-secret", help="Signs the webhooks.")] = "sandbox-secret",
    webhook_url: Webhook = None,
) -> None:
    """A HubSpot portal, unkind on purpose. `GET /` says what it holds."""
    from connector.sandbox.portal import Portal
    from connector.sandbox.server import run

    portal = Portal(token=token, portal_id=portal_id, client_secret=client_secret, webhook_url=webhook_url)
    run(portal.app, host, port, ready=_ready)


def identity(
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 9002,
    host: Host = "127.0.0.1",
    token: Token = "sandbox-token",
    secret: Annotated[str, typer.Option("--secret", help="Signs the webhooks: whsec_ and base64.")] = SECRET,
    webhook_url: Webhook = None,
) -> None:
    """An identity provider that speaks the generic profile. `GET /` says what it holds."""
    from connector.sandbox.identity import IdentityProvider
    from connector.sandbox.server import run

    try:
        provider = IdentityProvider(token=token, secret=secret, webhook_url=webhook_url)
    except ValueError:
        raise typer.BadParameter("--secret: expected whsec_ and base64 of 24 bytes or more") from None
    run(provider.app, host, port, ready=_ready)


def _ready(url: str) -> None:
    out.print(f"listening on {url}", markup=False)
