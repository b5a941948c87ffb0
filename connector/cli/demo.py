"""`demo`: a sandbox portal, a sandbox identity provider and the connector between them, with traffic to watch."""

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connector.assembly import build
from connector.cli import demo_vendors
from connector.cli.common import Port, out, ready
from connector.cli.logs import quiet_logs
from connector.cli.traffic import Outcome, Traffic, play
from connector.model import Link
from connector.settings import Settings
from connector.store.history import Entry
from connector.sync import setup as portal_setup

PACE = 1.0
"""Seconds between two steps."""

TRAFFIC = 60.0
"""Seconds of traffic; after that the demo keeps running and is quiet."""

SECRET = "whsec_" + "ZGVtby1zZWNyZXQtZGVtby1zZWNyZXQtMDAwMQ=="


def add_to(program: typer.Typer) -> None:
    """Register the command."""
    program.command("demo")(demo)


def demo(
    port: Port = 8000,
    duration: Annotated[float | None, typer.Option("--duration", metavar="S", min=0, help="End after S seconds.")] = None,
    providers: Annotated[
        str, typer.Option("--providers", metavar="A,B", help=f"Vendors to play as well: {', '.join(demo_vendors.KNOWN)}.")
    ] = "",
) -> int:
    """Watch it work: two sandboxes and the connector between them. Needs nothing installed or configured.

    With --duration the exit code is 0 when changes arrived both ways, between HubSpot and each provider, 1 when not.
    """
    kinds = demo_vendors.named(providers)
    quiet_logs(level=50)
    with tempfile.TemporaryDirectory(prefix="connector-demo-") as folder, as_file(files("connector.cli")) as package:
        return _Demo(Path(folder), package / "demo_files", port, kinds).run(duration)


class _Demo:
    def __init__(self, folder: Path, mappings: Path, port: int, kinds: list[str]) -> None:
        from connector.sandbox.identity import IdentityProvider
        from connector.sandbox.portal import Portal
        from connector.sandbox.server import serve

        self._portal = Portal(token="demo-token", client_secret="demo-client-secret")
        self._idp = IdentityProvider(token="demo-token", secret=SECRET)
        for name, options in (("plan", {}), ("interests", {"film": "Film", "sport": "Sport", "music": "Music"})):
            kind, field = ("enumeration", "checkbox") if options else ("string", "text")
            self._portal.add_property(name, kind, field, options=options)
        self._traffic = Traffic(self._portal, self._idp)
        self._traffic.prepare()
        self._sides = [serve(self._portal.app), serve(self._idp.app)]
        self._vendors = demo_vendors.Vendors(kinds, self._portal)
        self._settings = Settings.model_validate(self._configuration(folder, mappings))
        self._work = build(self._settings)
        self._port = port or _free_port()
        self._stopped = threading.Event()
        self._ready = threading.Event()
        self._failed: list[BaseException] = []
        self._directions: dict[str, int] = {"user": 0, "crm": 0}
        self._lost = 0
        self._sent = 0

    def _configuration(self, folder: Path, mappings: Path) -> dict[str, Any]:
        portal, idp = (side.url for side in self._sides)
        return {
            "database_url": f"sqlite:///{folder / 'demo.db'}",
            "crm": {
                "portal_id": 12345678, "access_token": "demo-token", "webhook_secret": "demo-client-secret", "base_url": portal,
            },
            "providers": {
                "members": {
                    "kind": "generic", "mapping": str(mappings / "members.yaml"), "webhook_secret": SECRET, "api_url": idp,
                    "api_key": "demo-token",
                },
                **self._vendors.providers(mappings),
            },
            "grace": {"contact_deletion": 5}, "schedule": {"subscriptions": 2},
        }  # fmt: skip

    def run(self, duration: float | None) -> int:
        from connector.cli.service import Service

        ready(self._work.store)
        portal_setup.make(self._work, portal_setup.missing(self._work))
        self._settings = self._settings.model_copy(update={"public_url": f"http://127.0.0.1:{self._port}"})
        service = Service(self._settings, self._work, "127.0.0.1", self._port, self._announce)
        watching = threading.Thread(target=self._watch, args=(duration, service.stop), daemon=True)
        watching.start()
        try:
            service.run()
        finally:
            self._stopped.set()
            self._ready.set()
            watching.join(5)
            self._vendors.stop()
            for side in self._sides:
                side.stop()
        if self._failed:
            raise self._failed[0]
        return 0 if duration is None or (all(self._directions.values()) and self._vendors.both_ways()) else 1

    def _announce(self, url: str) -> None:
        self._portal.webhook_url = f"{url}/webhooks/hubspot"
        self._idp.webhook_url = f"{url}/webhooks/identity/members"
        out.print(f"listening on {url}", markup=False)
        out.print(f"  HubSpot sandbox      {self._sides[0].url}")
        out.print(f"  identity sandbox     {self._sides[1].url}")
        for line in self._vendors.aim(url):
            out.print(line, markup=False)
        self._ready.set()

    def _watch(self, duration: float | None, stop: Callable[[], None]) -> None:
        """Traffic and its display, in a thread of its own."""
        self._ready.wait()
        ends = time.monotonic() + duration if duration is not None else None
        screen = _Screen() if sys.stdout.isatty() else _Lines()
        try:
            with screen:
                self._play(screen, min(TRAFFIC, duration or TRAFFIC))
                goes_on = not self._stopped.is_set() and (ends is None or time.monotonic() < ends)
                screen.tell(self._summary(), goes_on)
                while not self._stopped.wait(0.2) and (ends is None or time.monotonic() < ends):
                    pass
                if goes_on:
                    screen.end(self._summary())
        except Exception as error:
            self._failed.append(error)
        finally:
            stop()

    def _play(self, screen: "_Screen | _Lines", lasting: float) -> None:
        ends = time.monotonic() + lasting
        seen = 0
        for step in self._vendors.steps(self._traffic.steps()):
            if time.monotonic() >= ends or self._stopped.is_set():
                return
            outcome = play(step, self._stopped.is_set)
            if outcome.seconds is None and self._stopped.is_set():
                return  # it was on its way
            self._directions[step.side] += outcome.seconds is not None
            self._lost += outcome.seconds is None
            seen, did = self._since(seen, patience=0.4)
            screen.show(outcome, did)
            self._stopped.wait(PACE)

    def _since(self, seen: int, patience: float) -> tuple[int, list[str]]:
        """What the connector did since history entry `seen`, in words; it writes that down a moment after it did it."""
        self._stopped.wait(patience)
        with self._work.store.read() as tx:
            entries = tx.history.latest(seen)
            links = {entry.link_id: tx.links.get(entry.link_id) for _, entry in entries}
            sent = tx.activities.counts()["sent"]
        did = [_words(entry, links[entry.link_id]) for _, entry in entries]
        if (new := sent - self._sent) > 0:
            did.append(f"{new} identity event{'s' if new > 1 else ''} recorded")
        self._sent = sent
        return (entries[-1][0] if entries else seen), did

    def _summary(self) -> str:
        to_crm, to_user = self._directions["user"], self._directions["crm"]
        lost = f"; {self._lost} did not arrive" if self._lost else ""
        return (
            f"{to_crm} changes reached the CRM, {to_user} reached the identity provider, "
            f"{self._portal.count()} HubSpot calls{lost}."
        )


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _words(entry: Entry, link: Link | None) -> str:
    names = ", ".join(map(_change, entry.changes))
    where = f"contact {link.contact_id}" if link and link.contact_id else "contact"
    place = "in HubSpot" if entry.changes and entry.changes[0]["side"] == "contact" else "at the identity provider"
    consent = f"{names.replace('consent.', '')} {place}"
    texts = {
        "consent.grant": f"granted: {consent}",
        "consent.revoke": f"withdrawn: {consent}",
        "consent.note": f"noted as withdrawn: {consent}",
        "erase": entry.answer or "the person is gone from HubSpot",
        "forget": "our own copies erased",
        "contact.create": f"{where} created: {names}",
        "contact.update": f"{where} updated: {names}",
        "contact.link": f"linked to {where}",
        "contact.archive": f"{where} archived",
        "user.create": f"user created: {names}",
        "user.membership": f"user {link.user_id if link else ''} updated: {names}",
        "user.update": f"user {link.user_id if link else ''} updated: {names}",
    }
    return texts.get(entry.kind, f"{entry.kind}: {entry.answer or ''}")


def _change(change: Mapping[str, Any]) -> str:
    """What was written; of a set, what it gained and lost."""
    name = str((change["side"] == "contact" and change["property"]) or change["field"])
    before, after = ([*value] if isinstance(value, list | tuple) else [] for value in (change["from"], change["to"]))
    gained, lost = [one for one in after if one not in before], [one for one in before if one not in after]
    told = [f"{word} {', '.join(ones)}" for word, ones in (("gained", gained), ("lost", lost)) if ones and change["from"]]
    return " ".join([name, " and ".join(told)]).rstrip()


COLOURS = {"user": "cyan", "crm": "magenta"}
SIDES = {"user": "identity provider", "crm": "HubSpot"}


def _line(outcome: Outcome, did: list[str]) -> tuple[str, str, str, str]:
    took = f"{outcome.seconds * 1000:.0f} ms" if outcome.seconds is not None else "did not arrive"
    return SIDES[outcome.step.side], f"{outcome.step.who} {outcome.step.what}", "; ".join(did) or "nothing", took


END = "Ctrl-C ends the demo."


class _Lines:
    """Plain lines, for logs and pipes."""

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def show(self, outcome: Outcome, did: list[str]) -> None:
        side, what, done, took = _line(outcome, did)
        print(f"{time.strftime('%H:%M:%S')}  {side}: {what} -> {done} ({took})", flush=True)

    def tell(self, text: str, goes_on: bool) -> None:
        print(f"{text} {END}" if goes_on else text, flush=True)

    def end(self, text: str) -> None:
        """It was told."""


class _Screen:
    """Lines that scroll by on the terminal, and a note under them."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False)  # wide texts are folded here
        self._live = Live(Text("traffic for a minute ...", "dim"), console=self._console, refresh_per_second=8)

    def __enter__(self) -> "_Screen":
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, outcome: Outcome, did: list[str]) -> None:
        self._console.print(_row(outcome, did))

    def tell(self, text: str, goes_on: bool) -> None:
        self._live.update(Text(f"{text} {END}" if goes_on else text, "dim"))

    def end(self, text: str) -> None:
        """The note is the last line: nothing goes on."""
        self.tell(text, goes_on=False)


def _row(outcome: Outcome, did: list[str]) -> Table:
    """One change: where and what; under it what the connector did; at the margin how long that took."""
    side, what, done, took = _line(outcome, did)
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True, justify="right")
    at = Text(time.strftime("%H:%M:%S"), "dim")
    body = Text.assemble((f"{side}: ", COLOURS[outcome.step.side]), what, "\n", (f"-> {done}", "green"))
    table.add_row(at, body, Text(took, "green" if outcome.seconds is not None else "bold red"))
    return table
