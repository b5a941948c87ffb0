"""`doctor`, people who are to be forgotten and are not yet: the law gives a month for that, so each cause has a line."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from connector.model import Link, LinkState
from connector.store import Tx
from connector.store.notes import ParkedRow
from connector.sync.brakes import latest
from connector.sync.checks import Check, State, split
from connector.sync.health import REFUSED, of_side
from connector.sync.who import clock

LISTED = 1000
"""Links that are looked through."""

NAMED = 3
"""Of whom so many are named."""

SOON = timedelta(minutes=10)
"""How long a worker may take to come to an erasure that is due."""

Cause = tuple[State, str]
"""How bad it is, and why it is not done, with the way out after a semicolon."""


def checks(tx: Tx) -> Iterator[Check]:
    """One for each cause; none when nobody is to be forgotten."""
    waiting = tx.links.to_be_erased(LISTED)
    parked = tx.parked.of_links([link.id for link in waiting])
    least = "at least " if len(waiting) == LISTED else ""
    found: dict[Cause, list[tuple[datetime, str]]] = {}
    for link in waiting:
        rows = [row for row in parked.get(link.id, []) if row.what == "link"]
        found.setdefault(_cause(link, rows, tx.now), []).append((_since(link, rows, tx.now), link.name))
    for (state, why), links in found.items():
        many = "1 person" if len(links) == 1 else f"{len(links)} people"
        more = f" and {len(links) - NAMED} more" if len(links) > NAMED else ""
        names = ", ".join(name for _, name in sorted(links)[:NAMED])
        yield split("to be erased", state, f"{least}{many} not yet, since {clock(min(links)[0], tx.now)} ({names}{more}): {why}")


def _cause(link: Link, parked: Sequence[ParkedRow], now: datetime) -> Cause:
    if link.due_at is None and parked:
        return State.PROBLEM, f"{_short(parked[0].reason)}; then: connector parked retry"
    if link.due_at is None:
        way_out = "look at them, then: connector link release" if link.state is LinkState.HELD else "connector erase WHO"
        return State.WARNING, f"{link.reason or 'nothing was decided'}; {way_out}"
    if link.failed_since:
        why = _short(latest(link.reason or ""))
        return (
            (State.PROBLEM, why) if why.startswith(REFUSED) else (State.WARNING, f"{why.partition('; ')[0]}; it is tried again")
        )
    if now - link.due_at > SOON:
        return State.WARNING, "nobody has tried; is the connector running?"
    return State.OK, "a worker is about to do it"


def _short(reason: str) -> str:
    """Without the record, so that all who wait for the same are one line."""
    return of_side(reason) or reason


def _since(link: Link, parked: Sequence[ParkedRow], now: datetime) -> datetime:
    return min([row.since for row in parked], default=None) or link.failed_since or link.due_at or now
