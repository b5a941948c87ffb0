"""The product as an operator runs it: `connector up` in a process of its own, between two sandboxes over real HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from connector.sandbox.identity import IdentityProvider
from connector.sandbox.portal import Portal
from connector.sandbox.server import serve

SECRET = "whsec_" + "dGVzdC1zZWNyZXQtdGVzdC1zZWNyZXQtdGVzdA=="
COMMAND = [sys.executable, "-c", "from connector.cli import main; main()"]

MAPPING = """
version: 1
defaults: {direction: both, conflict: newest, on_blank: clear}
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - {user: last_name, contact: lastname}
  - {user: country, contact: country, type: choice, values: {ES: Spain, NO: Norway}}
lifecycle: {contact_created: create_user}
"""

CONFIG = """
database_url: {database}
broker_url: {broker}
public_url: {public}
crm: {{portal_id: 12345678, access_token: portal-token, webhook_secret: client-secret, base_url: {portal}}}
providers:
  members: {{kind: generic, mapping: members.yaml, webhook_secret: {secret}, api_url: {idp}, api_key: identity-token}}
schedule: {{sweep: 1, reconcile: 0, full_reconcile: 0}}
grace: {{contact_deletion: 1}}
"""


def free_port():
    """A port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(condition, seconds=30.0, every=0.01):
    """Wait until `condition()` is true; returns how long it took. Raises AssertionError after `seconds`."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic() - started
        time.sleep(every)
    raise AssertionError(f"did not happen within {seconds} s")


class Stack:
    """Both sandboxes, a folder with configuration and mapping, and the connector, which can be killed and started again."""

    def __init__(self, folder: Path, database=None, broker="memory://", mapping=MAPPING, setup=True, **portal_options):
        self.folder = folder
        self.port = free_port()
        self.public = f"http://127.0.0.1:{self.port}"
        self.portal = Portal(
            token="portal-token", client_secret="client-secret", webhook_url=f"{self.public}/webhooks/hubspot", **portal_options
        )
        self.idp = IdentityProvider(token="identity-token", secret=SECRET, webhook_url=f"{self.public}/webhooks/identity/members")
        self.sides = [serve(self.portal.app), serve(self.idp.app)]
        values = {
            "database": database or "sqlite:///connector.db", "broker": broker, "public": self.public, "secret": SECRET,
            "portal": self.sides[0].url, "idp": self.sides[1].url,
        }  # fmt: skip
        (folder / "members.yaml").write_text(mapping)
        (folder / "config.yaml").write_text(CONFIG.format(**values))
        (folder / "config.yaml").chmod(0o600)
        self.process = None
        if setup:
            assert self.run("setup", "--apply").returncode == 0

    def run(self, *arguments, timeout=60, **options):
        """Run one command to its end, as a shell would."""
        environment = {**os.environ, "CONNECTOR_CONFIG": str(self.folder / "config.yaml")}
        return subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout, env=environment, cwd=self.folder, **options
        )

    def json(self, *arguments):
        """The JSON document a command prints."""
        done = self.run(*arguments, "--json")
        assert done.returncode in (0, 1, 5), done.stderr
        return json.loads(done.stdout)

    def up(self):
        """Start the connector and wait until it listens."""
        environment = {**os.environ, "CONNECTOR_CONFIG": str(self.folder / "config.yaml")}
        log = (self.folder / "up.log").open("ab")
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--port", str(self.port)], stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
            cwd=self.folder, start_new_session=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line.startswith(f"listening on {self.public}"), line + (self.folder / "up.log").read_text()
        return self

    def kill(self, how=signal.SIGKILL):
        """End the connector's process group; -9 unless told otherwise."""
        os.killpg(self.process.pid, how)
        code = self.process.wait(40)
        self.process.stdout.close()
        self.process = None
        return code

    def close(self):
        """End everything."""
        if self.process:
            self.kill()
        for side in self.sides:
            side.stop()

    def contact_of(self, email):
        """The properties of the contact with this address, or {}."""
        return (self.portal.contact(email) or {}).get("properties") or {}

    def settled(self):
        """Whether nothing is pending."""
        told = self.json("status")
        return told["inbox"]["pending"] == 0 and told["due"] == 0
