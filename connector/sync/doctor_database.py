"""`doctor`, the database: the thing itself, and what it remembers of how the connector is doing."""

from collections.abc import Iterator
from datetime import timedelta

from connector.errors import ConfigError, Unavailable
from connector.model import LinkState
from connector.settings import Settings
from connector.store import Tx
from connector.store.about import about
from connector.store.inbox import CRM
from connector.store.keyed import EARLY, LATE, UNKEYED, used
from connector.store.ledger import Progress
from connector.store.migrate import require_current, upgrade
from connector.sync import contradictions, demands, doctor_erasures, subscriptions
from connector.sync.brakes import BRAKE
from connector.sync.checks import Check, State, ago, span, split
from connector.sync.health import REFUSED
from connector.sync.status import status
from connector.sync.sweep import SWEPT
from connector.sync.who import clock
from connector.sync.work import Work
from connector.yamlfile import shown

DRIFTS, BREAKS = 2.0, 60.0
"""Seconds between two clocks that are worth a word, and that do harm: leases and due times follow the database's."""

ROOM = 16 * 2**20
"""Bytes left on a disk that are worth a word: less may not take a night's deliveries, and what is not kept is not accepted."""

LISTED = 1000
"""Held links that are looked through."""

LEFT = timedelta(hours=1)
"""How long the records of erased people's events may take to go."""

CHANGED = "somebody changed the database: compare the tables consent and link, and the row `ledger` of cursor, with a backup"
"""The way out of a ledger that does not hold."""

STALE = 60.0
"""Seconds a sweep may be late, beyond a few of its rounds."""


def database(work: Work) -> list[Check]:
    """Whether it can be reached and used, and its clock."""
    store = work.store
    try:
        if store.url.startswith("sqlite"):
            upgrade(store)
        else:
            require_current(store)
        told = about(store)
    except Unavailable as error:
        return [split("database", State.UNREACHABLE, str(error))]
    except ConfigError as error:
        return [split("database", State.PROBLEM, str(error))]
    journal = f", journal {told.journal}" if told.journal else ""
    detail = f"{told.kind} {told.version}{journal}, schema {told.schema}"
    if told.journal not in ("", "wal"):
        return [Check("database", State.PROBLEM, detail, "put it on a local disk, where SQLite can use journal wal")]
    found = [Check("database", State.OK, detail), _clock(told.ahead)]
    if told.open_to_all:
        names = [shown(path) for path in told.open_to_all]
        what = f"every user of this machine can read {names[0]}"
        found.insert(1, Check("database", State.WARNING, what, f"chmod 600 {' '.join(names)}"))
    return found


def _clock(ahead: float) -> Check:
    off = abs(ahead)
    detail = f"{off:.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if off < DRIFTS:
        return Check("database clock", State.OK, detail)
    return Check("database clock", State.PROBLEM if off > BREAKS else State.WARNING, detail, "set both by NTP")


def remembered(settings: Settings, work: Work, progress: Progress | None) -> Iterator[Check]:
    """What the database remembers, and whether it has room for more. Expects one that can be used."""
    yield from _room(about(work.store).room)
    with work.store.read() as tx:
        yield from _ledger(settings, tx, progress)
        yield from _webhooks(settings, work, tx)
        yield _sweep(settings, tx)
        if any(True for mapping in work.mappings.values() for _ in demands.subscriptions(mapping)):
            yield _rolling(settings, tx)
        yield from _paused(tx)
        yield from _refused(tx)
        yield from doctor_erasures.checks(tx)
        yield from _left_behind(tx)
    yield from _waiting(settings, work)


def _room(left: int | None) -> Iterator[Check]:
    if left is not None and left < ROOM:
        yield Check("disk", State.PROBLEM, f"{left / 2**20:.1f} MiB are left where the database is", "make room on that disk")


def _ledger(settings: Settings, tx: Tx, progress: Progress | None) -> Iterator[Check]:
    """The key it is made with, whether it is whole, and its end."""
    try:
        assert tx.keyed
    except ConfigError as error:
        yield split("hash_key", State.PROBLEM, str(error))
        return
    if settings.keyed is None:
        yield Check("hash_key", State.WARNING, UNKEYED, LATE if used(tx) else EARLY)
    head, findings = tx.ledger.head(), contradictions.findings(tx, progress)
    if findings:
        yield Check("ledger", State.PROBLEM, "; ".join(findings), CHANGED)
    else:
        end = f"end {head.chain}" if head.chain else "no end yet"
        yield Check("ledger", State.OK, f"whole, {head.count} rows, {end}", "keep count and end elsewhere, as proof")


def _webhooks(settings: Settings, work: Work, tx: Tx) -> Iterator[Check]:
    """When each side last told something; and what must be subscribed to, which HubSpot shows in the app's settings only."""
    wanted = "; ".join(f"{kind}: {', '.join(names)}" if names else kind for kind, names in wanted_webhooks(work).items())
    yield Check("webhook subscriptions", State.OK, wanted, "compare with the app's settings, HubSpot does not tell them")
    for name, source, path, secret in (
        ("HubSpot", CRM, "hubspot", True),
        *((name, name, f"identity/{name}", one.webhook_secret) for name, one in settings.providers.items()),
    ):
        last = tx.inbox.last(source)
        if last:
            yield Check(f"webhooks of {name}", State.OK, f"the last one came {ago(tx.now, last)}")
        elif secret:
            url = f"{settings.public_url}/webhooks/{path}"
            yield Check(f"webhooks of {name}", State.WARNING, "none ever came", f"it must be told to send them to {url}")


def wanted_webhooks(work: Work) -> dict[str, list[str]]:
    """Subscriptions the app needs: kind -> properties, one subscription each; none for kinds that are about the contact."""
    names = {need.rule.contact for mapping in work.mappings.values() for need in demands.properties(mapping)}
    kinds = ("creation", "deletion", "merge", "restore", "privacyDeletion")
    return {**{f"contact.{kind}": [] for kind in kinds}, "contact.propertyChange": sorted(names)}


def _sweep(settings: Settings, tx: Tx) -> Check:
    found, every = tx.cursors.get(SWEPT), settings.schedule.sweep
    if not every:
        return Check("sweep", State.WARNING, "switched off, so lost rings are never mended", "set schedule.sweep")
    if found is None:
        return Check("sweep", State.WARNING, "there was none yet", "start connector up")
    late = tx.now - found[1] > timedelta(seconds=STALE + 3 * every)
    way_out = "is connector up running, or worker and beat?" if late else ""
    return Check("sweep", State.WARNING if late else State.OK, f"the last one was {ago(tx.now, found[1])}", way_out)


def _rolling(settings: Settings, tx: Tx) -> Check:
    """The reading of subscription statuses in turn: opt-outs made in HubSpot ring no bell."""
    name, every = "subscription statuses", settings.schedule.subscriptions
    told = subscriptions.lag(tx, every)
    lag = told["lag_seconds"]
    if lag is None:
        return Check(
            name, State.WARNING, "never read in turn, so opt-outs made in HubSpot go unseen", "set schedule.subscriptions"
        )
    passed = tx.cursors.get(subscriptions.PASSED)
    if passed and tx.now - passed[1] > timedelta(seconds=2 * lag):
        return Check(name, State.WARNING, f"the last round ended {ago(tx.now, passed[1])}", "is the connector running?")
    ended = f", the last round ended {ago(tx.now, passed[1])}" if passed else "; no round has ended yet"
    detail = f"an opt-out made in HubSpot is seen within {span(lag)}{ended}"
    if told["unread"]:
        detail += f"; HubSpot fails to tell the statuses of {told['unread']}"
        return Check(name, State.WARNING, detail, "subscriptions.unread in the log says of whom")
    return Check(name, State.OK, detail)


def _paused(tx: Tx) -> Iterator[Check]:
    """Parts that are closed to us; the rest goes on."""
    for name, why in subscriptions.paused(tx).items():
        yield split(f"paused: subscriptions of {name}", State.PROBLEM, why)
    for sink, why in sorted(tx.troubles.paused().items()):
        yield split("paused: activities" + ("" if sink == "crm" else f" to {sink}"), State.PROBLEM, why)


def _refused(tx: Tx) -> Iterator[Check]:
    """What links wait for at the CRM; of providers it is told where each is asked."""
    for one in (one for one in tx.troubles.outages() if not one.provider):
        state = State.PROBLEM if one.why.startswith(REFUSED) else State.WARNING
        links = "1 link waits" if one.links == 1 else f"{one.links} links wait"
        yield split("waiting for HubSpot", state, f"{links} since {clock(one.since, tx.now)}: {one.why}")


def _left_behind(tx: Tx) -> Iterator[Check]:
    """Records of events of erased people that should be gone from the CRM."""
    for why, count in sorted(tx.removals.overdue(tx.now - LEFT).items()):
        detail = f"{count} records of their events are still in the CRM: {why or 'nobody has tried to remove them'}"
        way_out = "remove those that the log names, or what stands in the way: each is tried again within a day"
        yield Check("erased people", State.PROBLEM, detail, way_out if why else "is the connector running, with events.as set?")


def _waiting(settings: Settings, work: Work) -> Iterator[Check]:
    """What waits, for a person or for a worker."""
    told = status(work.store, settings.schedule.subscriptions)
    with work.store.read() as tx:
        held = tx.links.listed(LinkState.HELD, LISTED)
    braked = sum((link.reason or "").startswith(BRAKE) for link in held)
    counts = {
        "due": (told["due"], ""),
        "held": (told["held"], "connector link list"),
        "of these stopped by a brake": (braked, "look at them, then release or approve"),
        "parked": (told["parked"], "connector parked list"),
        "quarantined": (told["inbox"]["quarantined"], "connector quarantine list"),
    }
    detail = ", ".join(f"{name} {count}" for name, (count, _) in counts.items())
    yield Check("waiting", State.OK, detail, ", ".join(way_out for count, way_out in counts.values() if count and way_out))
