"""Which subscription types the CRM has, and a rolling look at everybody's statuses: opt-outs made there ring no bell."""

import time
from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from connector.engine.consent import GRANTED, REVOKED, UNKNOWN, Voice, decoded
from connector.errors import Locked, Unavailable
from connector.model import UNTOLD, Link, LinkState, Statement
from connector.store import Tx
from connector.sync.work import Work

PAUSED = "paused:subscriptions:"
"""Begins the mark that says why subscriptions are closed to a provider's links; its name comes after it."""

OWED = "subscriptions:owed:"
"""Begins the mark that they are open again, and that not everybody has been rung yet who was left unchecked meanwhile."""

SLICE = 5000
"""Links rung in one transaction."""

PLACE, BEGAN, PASSED = "subscriptions:place", "subscriptions:began", "subscriptions:passed"
"""Marks: the last link looked at, when the first one was, and when everybody had been and how many seconds that took."""

UNREAD = "subscriptions:unread"
"""The mark that counts whose statuses could not be read, in the look at everybody that goes on, or else in the last one."""

MOST_UNREAD = 10
"""After so many in a round it ends: each costs some calls, and the CRM may be in trouble. The next one goes on behind them."""

NOBODY = "nobody@example.com"
"""An address nobody can have, for a read that only shows whether the CRM answers."""

PAGES = 1000
"""Pages in one round at most, `Crm.statuses_per_read` links each: a call for their statuses and one for whether they opted out of
everything where HubSpot takes many addresses, 2,000 calls or two minutes of the budget; else as many as there are addresses."""

PAGE = 100
"""Links of a page, as far as is known before the first round."""

ROUND = 120.0
"""Seconds after which a round ends: where each address is a call of its own, so many pages would keep all others waiting."""

LOCK = "subscriptions"
"""One round at a time: several would share the budget, so that each takes as many times as long, and keep all workers busy."""

LASTING = timedelta(minutes=2)
"""How long that lock outlives its holder; extended with every page."""

PASSING_ON = 60
"""Seconds to bring what was found to both sides."""

STEP = 0.1
"""Seconds between two looks at whether links wait for their turn."""

PROBES = 5
"""Links of a provider that try whether subscriptions are open again."""

log = structlog.get_logger()


def roll(work: Work, pages: int = PAGES) -> int:
    """Look at the statuses of the next active links, `pages` of them at most. Returns how many were rung.

    Starts again from the first link once the last was reached; one round takes as long as that takes, see `lag`. Raises Locked
    while another round goes on.
    """
    if not any(mapping.consents for mapping in work.mappings.values()):
        return 0
    holder = work.holder()
    _hold(work, holder, begin=True)
    try:
        tried = _try_again(work)
        if tried:
            work.ring()
        return tried + _round(work, holder, pages)
    finally:
        with work.store.write() as tx:
            tx.runs.unlock(LOCK, holder)


def _hold(work: Work, holder: str, begin: bool = False) -> None:
    with work.store.write() as tx:
        if not (tx.runs.lock if begin else tx.runs.extend)(LOCK, holder, LASTING):
            raise Locked("somebody else looks at subscription statuses")


def _round(work: Work, holder: str, pages: int) -> int:
    rung, unread, ends = 0, 0, time.monotonic() + ROUND
    for _ in range(pages):
        began, page = time.monotonic(), work.crm.statuses_per_read
        links = _next(work, page)
        seen, found = _look_as_far(work, holder, links)
        ended = len(seen) == len(links) < page
        with work.store.write() as tx:
            if ended:
                tx.cursors.set(PASSED, str((tx.now - (_under_way(tx) or tx.now)).total_seconds()))
            tx.cursors.set(PLACE, "0" if ended else str(seen[-1].id))
        rung += found or 0
        unread += found is None
        if found:
            work.ring()
        if ended or unread == MOST_UNREAD or time.monotonic() > ends:
            break
        _give_way(work, time.monotonic() - began)
        _hold(work, holder)
    return rung


def _look_as_far(work: Work, holder: str, links: list[Link]) -> tuple[list[Link], int | None]:
    """Look at these links, or, where an address among them cannot be read, at the first ones of them, down to that one alone.

    Returns the links that are done with, and how many of them were rung; None: it is one that cannot be read. Raises Unavailable
    when nobody can be.
    """
    types = {name: work.types.of(mapping) for name, mapping in work.mappings.items()}
    while True:
        try:
            return links, _look(work, links, types)
        except Unavailable as error:
            _ask(work, [NOBODY])
            if len(links) == 1:
                _leave_unread(work, links[0], error)
                return links, None
        links = links[: len(links) // 2]
        _hold(work, holder)


def _leave_unread(work: Work, link: Link, error: Unavailable) -> None:
    with work.store.write() as tx:
        tx.cursors.count(UNREAD, 1)
    log.warning("subscriptions.unread", link=link.id, contact=link.contact_id, why=str(error))


def _give_way(work: Work, seconds: float) -> None:
    """Leave the calls to links that wait or are worked on, for as long as a page took at most."""
    for _ in range(int(seconds / STEP)):
        with work.store.read() as tx:
            if not tx.links.waiting(providers=work.mappings) and not tx.links.owners():
                return
        time.sleep(STEP)


def _try_again(work: Work) -> int:
    """While subscriptions are closed to a provider's links, some of them try whether they still are; the others follow once
    they are not."""
    with work.store.read() as tx:
        known = paused(tx)
    rung = 0
    for name, why in known.items():
        mapping = work.mappings.get(name)
        if mapping is None or not any(one.subscription for one in mapping.consents):
            closed(work, name, "")
        elif work.types.lacking(mapping) != why:  # else the links could tell nothing new
            with work.store.write() as tx:
                rung += tx.links.ring_unchecked(name, PROBES)
    return rung


def _next(work: Work, page: int) -> list[Link]:
    with work.store.write() as tx:
        found = tx.cursors.get(PLACE)
        place = int(found[0]) if found else 0
        if not place and _under_way(tx) is None:
            tx.cursors.set(BEGAN)
            tx.cursors.set(UNREAD, "0")
        return tx.links.after(place, page, LinkState.ACTIVE)


def _under_way(tx: Tx) -> datetime | None:
    """When the look at everybody began that has not come to its end yet."""
    began, passed = tx.cursors.get(BEGAN), tx.cursors.get(PASSED)
    return began[1] if began and (passed is None or began[1] > passed[1]) else None


def _look(work: Work, links: list[Link], types: Mapping[str, Mapping[str, str]]) -> int:
    """Ring the links whose status is another than when it was last heard."""
    addresses = {link.id: address for link in links if (address := _address(link))}
    links = [link for link in links if link.id in addresses and types.get(link.provider)]
    if not links:
        return 0
    found, out = _ask(work, list(dict.fromkeys(addresses[link.id] for link in links)))
    moved = [link for link in links if _moved(work, link, types[link.provider], found.get(addresses[link.id], {}))]
    moved += [link for link in links if out is not None and link not in moved and _turned(work, link, addresses[link.id] in out)]
    with work.store.write() as tx:
        for link in sorted(moved, key=lambda one: one.id):  # see `Links.lock`
            tx.links.notice(link.id, {"recheck": True, "cause": None}, tx.now)
    return len(moved)


def _ask(work: Work, addresses: list[str]) -> tuple[Mapping[str, Mapping[str, Statement]], Container[str] | None]:
    """Their statuses, and which of them opted out of everything; None where the statuses tell that."""
    return work.crm.statuses(addresses), work.crm.opted_out_of_all(addresses) if work.crm.optouts_apart else None


def _moved(work: Work, link: Link, types: Mapping[str, str], found: Mapping[str, Statement]) -> bool:
    for one in work.mappings[link.provider].consents:
        type_id = types.get(one.subscription or "")
        if type_id is None:
            continue
        before = decoded(link.consents.get(one.consent))
        heard = before.heard.get(Voice.SUBSCRIPTION, Statement(UNKNOWN))
        said = found.get(type_id, Statement(UNKNOWN))
        newer = said.at is not None and heard.at is not None and said.at > heard.at
        if said.state in (GRANTED, REVOKED) and (said.state is not heard.state or newer):
            return True
        if said.source == UNTOLD and heard.state is GRANTED:
            return True
    return False


def _turned(work: Work, link: Link, out: bool) -> bool:
    """Whether somebody opted out of everything since it was last asked, or takes mail again."""
    named = [one.consent for one in work.mappings[link.provider].consents if one.subscription]
    standings = [decoded(link.consents[name]) for name in named if name in link.consents]
    heard = [one.heard.get(Voice.OPTOUT_ALL, Statement(UNKNOWN)).state for one in standings if one.now.state is GRANTED]
    return any((state is REVOKED) is not out for state in heard)


def _address(link: Link) -> str | None:
    email = link.contact.properties.get("email") if link.contact else None
    return email.strip().lower() or None if email else None


def paused(tx: Tx) -> dict[str, str]:
    """Why subscriptions are closed, by the provider whose links they are closed to."""
    return {name: why for name, why in sorted(tx.cursors.beginning(PAUSED).items()) if why}


def closed(work: Work, provider: str, why: str) -> None:
    """Note that subscriptions are closed to a provider's links (or open again), for `status` and `doctor`."""
    with work.store.write() as tx:
        known = tx.cursors.get(PAUSED + provider)
        if (known[0] if known else "") == why:
            return
        tx.cursors.set(PAUSED + provider, why)
        tx.cursors.set(OWED + provider, "" if why else "everybody")
    log.warning("subscriptions.closed" if why else "subscriptions.open", provider=provider, why=why)
    ring_owed(work)


def ring_owed(work: Work) -> int:
    """Once subscriptions are open again, ring who was left unchecked, some at a time; each sweep goes on with it. Returns how
    many that was."""
    with work.store.read() as tx:
        owed = [name for name, who in sorted(tx.cursors.beginning(OWED).items()) if who and name in work.mappings]
    return sum(_ring_some(work, name) for name in owed)


def _ring_some(work: Work, provider: str) -> int:
    with work.store.write() as tx:
        rung = tx.links.ring_unchecked(provider, SLICE)
        if rung < SLICE:
            tx.cursors.set(OWED + provider)
    return rung


def lag(tx: Tx, every: float) -> dict[str, Any]:
    """How late an opt-out made in the CRM may be noticed: {"last_pass_at", "lag_seconds", "unread", "paused"}.

    every: seconds between two rounds; 0: there are none. last_pass_at: when everybody had been looked at. lag_seconds: the worst
    case: as long as a look at everybody takes and the pause until the next one, so much of that one as an opt-out that was just
    missed may wait for within a round, and a minute to pass on what is found; None where there is none to tell. unread: whom
    that does not hold of, because their statuses could not be read. paused: why, when it is closed to any provider's links.
    """
    passed, unread, taking = tx.cursors.get(PASSED), tx.cursors.get(UNREAD), _taking(tx, every)
    return {
        "last_pass_at": passed and passed[1].isoformat(),
        "lag_seconds": round(taking + every + min(taking, ROUND)) + PASSING_ON if every else None,
        "unread": int(unread[0]) if unread else 0,
        "paused": "; ".join(dict.fromkeys(paused(tx).values())) or None,
    }


def _taking(tx: Tx, every: float) -> float:
    """Seconds that a look at everybody takes: as measured the last time; before that, as long as it has taken, or full rounds."""
    passed, began = tx.cursors.get(PASSED), _under_way(tx)
    if passed and passed[0]:
        return float(passed[0])
    rounds = -(-tx.links.counts()[LinkState.ACTIVE] // (PAGES * PAGE))
    return max(every * max(0, rounds - 1), (tx.now - began).total_seconds() if began else 0.0)
