"""Erasing people on request: their links are marked, and worked off like any others, beside whoever else is working."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.errors import Rejected, Transient
from connector.model import Link, LinkState
from connector.store import Tx
from connector.sync import activities, batch, intake
from connector.sync.brakes import ORDERED, latest
from connector.sync.forget import forgotten
from connector.sync.people import LEFT
from connector.sync.work import Work

READING = timedelta(seconds=30)
"""How long to read, before anything is erased, what was delivered and waits."""

PATIENCE = timedelta(seconds=120)
"""How long to wait for the last link; what is not done then stays due."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one link, called by the name it had.

    contact: in words, what became of the contact. copies: ours are gone. why: when they are not, what stands in the way, or
    "" when a worker takes its time. parked: nobody tries again.
    """

    link: str
    contact: str
    copies: bool
    why: str = ""
    parked: bool = False


def erase_users(work: Work, links: Sequence[Link]) -> dict[int, bool]:
    """Erase the users at their providers, or delete them where that is all a provider can do. By link: whether it could.

    Raises Transient while a provider cannot be reached. A user already gone counts as erased.
    """
    return {link.id: _erase_user(work, link) for link in links}


def _erase_user(work: Work, link: Link) -> bool:
    provider = work.providers.get(link.provider)
    if provider is None or link.user_id is None or forgotten(link):
        return False
    if provider.capabilities.erase:
        provider.erase(link.user_id)
    elif provider.capabilities.delete:
        provider.delete(link.user_id)
    return provider.capabilities.erase or provider.capabilities.delete


def erase(work: Work, links: Sequence[Link], sleep: Callable[[float], None]) -> list[Outcome]:
    """Have the contacts of these links erased or archived, as the mapping says, and our copies with them.

    Raises Rejected, with nothing done, for a link whose provider is not configured any more: nothing says what to do then.
    """
    for link in links:
        if link.provider not in work.mappings and not forgotten(link):
            raise Rejected(f"{link.name}: no provider of this name is configured any more; configure it again, then erase")
    with work.store.write() as tx:
        run = tx.runs.start("erase", ",".join(sorted({link.provider for link in links})))
        tx.links.ring_for(run, [link.id for link in links if not forgotten(link)], {"erasure": True, "reason": ORDERED})
        tx.removals.ring()
        ends = tx.now + PATIENCE
    why = ""
    try:
        _take_in(work, ends - PATIENCE + READING)  # what waits may name these people, and stays as it is while it does
        work.crm.check_portal()
        while not _done(work, run) and _now(work) < ends:
            leased = batch.lease(work, run=run)
            if leased:
                batch.settle(work, leased)
            else:
                sleep(0.05)
        _take_in(work, ends)
        _take_back(work)
    except Transient as error:  # it stays due
        why = str(error)
    with work.store.write() as tx:
        left = tx.removals.count() > 0
        outcomes = [_outcome(tx, link, left, why) for link in links]
        done = all(one.copies for one in outcomes)
        tx.runs.finish(run, "done" if done else "stopped", {"erased": sum(one.copies for one in outcomes)})
        tx.links.end_run(run, len(links))
    return outcomes


def _take_in(work: Work, ends: datetime) -> None:
    """Read the deliveries that wait, as far as there is time."""
    while intake.take(work) and _now(work) < ends:
        pass


def _take_back(work: Work) -> None:
    """Once more at the records of events that could not be removed before."""
    with work.store.read() as tx:
        left = tx.removals.count()
    if left:
        activities.send(work)


def _done(work: Work, run: int) -> bool:
    with work.store.read() as tx:
        return not tx.links.busy(run)


def _now(work: Work) -> datetime:
    with work.store.read() as tx:
        return tx.now


def _outcome(tx: Tx, link: Link, left: bool, why: str) -> Outcome:
    """left: records of events are still in the CRM, of somebody. why: what was in the way of all of them."""
    now = tx.links.get(link.id)
    if now is None or now.state is LinkState.ERASED:
        contact = (now.reason or "").partition("; ")[2] if now else ""
        contact = contact if left else contact.partition(f"; {LEFT}")[0]
        by_others = "nothing was left to do" if now is None or forgotten(link) else "contact erased"  # so the CRM says meanwhile
        return Outcome(link.name, contact or by_others, copies=True)
    parked = tx.parked.of_links([link.id]).get(link.id, [])
    refused = "; ".join(row.reason for row in parked if row.what == "link")
    if refused and now.due_at is None:
        return Outcome(link.name, "not done", copies=False, why=refused, parked=True)
    return Outcome(link.name, "not done", copies=False, why=why or (latest(now.reason or "") if now.failed_since else ""))
