"""`doctor`, the identity providers: does each let us in, since when not, and how many links wait for it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from connector.errors import Transient
from connector.providers.base import Provider
from connector.settings import ProviderSettings, Settings
from connector.store.troubles import Outage
from connector.sync.checks import Check, State, split
from connector.sync.health import brief
from connector.sync.observe import READING
from connector.sync.provider_check import prove
from connector.sync.work import Work


def providers(settings: Settings, work: Work, remembers: bool) -> Iterator[Check]:
    """Ask each. remembers: whether the database can be asked what is known of earlier."""
    known: dict[str, Outage] = {}
    if remembers:
        with work.store.read() as tx:
            known = {one.provider: one for one in tx.troubles.outages()}
    for name, provider in work.providers.items():
        yield _provider(name, settings.providers[name], provider, known.get(name))


def _provider(name: str, settings: ProviderSettings, provider: Provider, outage: Outage | None) -> Check:
    what = f"provider {name}"
    try:
        proof = prove(provider)
    except Transient as error:
        said = brief(error)
        if said == "429":
            return Check(what, State.WARNING, f"asks to wait (429){_lasting(outage)}", "find out who uses its calls")
        failing = f"fails ({said})" if said.isdigit() else said or str(error).removeprefix(f"{name}: ")
        way_out = f"look at the addresses under providers.{name} and the network"
        return Check(what, State.PROBLEM, failing + _lasting(outage), way_out)
    if proof.refused:
        keys, key = ("client_id and client_secret", "client_secret") if settings.client_secret else ("api_key", "api_key")
        detail = f"refuses {keys} ({proof.refused}){_lasting(outage)}"
        return Check(what, State.PROBLEM, detail, f"correct providers.{name}.{key} and restart")
    if proof.wrong:
        return split(what, State.PROBLEM, proof.wrong.removeprefix(f"{name}: "))
    if proof.asked is None:
        return Check(what, State.OK, "is only listened to")
    if outage and outage.why.startswith("403") and outage.call != READING:
        detail = f"lets us in, but refuses {outage.call}; {_links(outage)} since {_time(outage.since)} ({outage.why})"
        return Check(what, State.PROBLEM, detail, "allow it at the provider, it goes on by itself")
    if outage:
        detail = f"lets us in now; {_links(outage)} since {_time(outage.since)} ({outage.why})"
        return Check(what, State.WARNING, detail, "nothing, it goes on by itself; a restart after a new key")
    return Check(what, State.OK, "lets us in")


def _lasting(outage: Outage | None) -> str:
    return f" since {_time(outage.since)}; {_links(outage)}" if outage else ""


def _links(outage: Outage) -> str:
    return "1 link waits" if outage.links == 1 else f"{outage.links} links wait"


def _time(then: datetime) -> str:
    """With its day, unless that is today."""
    today = then.date() == datetime.now(UTC).date()
    return f"{then:%H:%M} UTC" if today else f"{then:%Y-%m-%d %H:%M} UTC"
