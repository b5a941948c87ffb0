"""`connector up` in a process of its own, between a sandbox portal and a vendor that a test plays."""

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from connector.sandbox.portal import Portal
from connector.sandbox.server import serve
from tests.e2e.stack import COMMAND, free_port

CONFIG = """\
database_url: sqlite:///connector.db
public_url: {public}
crm: {{portal_id: 12345678, access_token: portal-token, webhook_secret: client-secret, base_url: {portal}}}
providers:
  members:
    mapping: members.yaml
{provider}
schedule: {{sweep: 1, poll: {poll}, reconcile: 0, full_reconcile: 0, subscriptions: 1}}
grace: {{contact_deletion: 1}}
"""


@dataclass
class Story:
    """What a test has in hand while the connector runs."""

    portal: Portal
    public: str
    folder: Path

    def contact(self, email: str) -> dict[str, Any]:
        """The properties of a contact; nothing when there is none."""
        return (self.portal.contact(email) or {}).get("properties") or {}

    def edit(self, email: str, properties: dict[str, str]) -> None:
        """Somebody edits a contact in the portal."""
        found = self.portal.contact(email)
        assert found
        self.portal.edit(found["id"], properties)

    def post(self, body: bytes, headers: dict[str, str], query: str = "") -> dict[str, int]:
        """The vendor calls."""
        url = f"{self.public}/webhooks/identity/members{query}"
        reply = requests.post(url, data=body, headers={"Content-Type": "application/json", **headers}, timeout=5)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command beside the running connector."""
        environment = {**os.environ, "CONNECTOR_CONFIG": str(self.folder / "config.yaml")}
        return subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=environment, cwd=self.folder
        )


@contextmanager
def running(folder: Path, provider: str, mapping: str, poll: int = 0):
    """The connector, with these settings of the provider (indented by four) and this mapping."""
    port = free_port()
    public = f"http://127.0.0.1:{port}"
    portal = Portal(token="portal-token", client_secret="client-secret", webhook_url=f"{public}/webhooks/hubspot")
    side = serve(portal.app)
    (folder / "members.yaml").write_text(mapping)
    (folder / "config.yaml").write_text(CONFIG.format(public=public, portal=side.url, provider=provider, poll=poll))
    (folder / "config.yaml").chmod(0o600)
    story = Story(portal, public, folder)
    made = story.run("setup", "--apply")
    assert made.returncode == 0, made.stderr
    environment = {**os.environ, "CONNECTOR_CONFIG": str(folder / "config.yaml")}
    with (folder / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [*COMMAND, "up", "--port", str(port)], stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
    try:
        assert up.stdout.readline().startswith("listening on"), (folder / "up.log").read_text()
        yield story
    finally:
        os.killpg(up.pid, signal.SIGTERM)
        up.wait(40)
        up.stdout.close()
        side.stop()
