"""`sandbox hubspot|identity`: one side alone, to try a mapping without an account."""

from typing import Annotated, Any

import typer

from connector.cli.common import NoConfig, Port, out, taken

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
    port: Port = 9001,
    host: Host = "127.0.0.1",
    token: Token = "sandbox-token",
    portal_id: Annotated[int, typer.Option("--portal-id")] = 12345678,
    client_secret: Annotated[str, typer.Option("--client-secret", help="Signs the webhooks.")] = "sandbox-secret",
    webhook_url: Webhook = None,
    _config: NoConfig = None,
) -> None:
    """A HubSpot portal, unkind on purpose. `GET /` says what it holds."""
    from connector.sandbox.portal import Portal

    portal = Portal(token=token, portal_id=portal_id, client_secret=client_secret, webhook_url=webhook_url)
    _serve(portal.app, host, port)


def identity(
    port: Port = 9002,
    host: Host = "127.0.0.1",
    token: Token = "sandbox-token",
    secret: Annotated[str, typer.Option("--secret", help="Signs the webhooks: whsec_ and base64.")] = SECRET,
    webhook_url: Webhook = None,
    _config: NoConfig = None,
) -> None:
    """An identity provider that speaks the generic profile. `GET /` says what it holds."""
    from connector.sandbox.identity import IdentityProvider

    try:
        provider = IdentityProvider(token=token, secret=secret, webhook_url=webhook_url)
    except ValueError:
        raise typer.BadParameter("--secret: expected whsec_ and base64 of 24 bytes or more") from None
    _serve(provider.app, host, port)


def _serve(app: Any, host: str, port: int) -> None:
    """Serve until interrupted. Raises Locked when the port is taken."""
    from connector.sandbox.server import run

    try:
        run(app, host, port, ready=lambda url: out.print(f"listening on {url}", markup=False))
    except OSError as error:
        raise taken(host, port, error) from None
