"""Reconcile: look at everybody, whatever webhooks told us or did not.

All users are listed, all linked contacts are read, and every link goes through the same batches as ever. Absence from a
listing deletes nobody: users that a complete listing does not show are read one by one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from connector.errors import Locked, Rejected, Unavailable
from connector.model import Link, LinkState
from connector.providers.patience import patiently
from connector.store import Tx
from connector.sync import batch, intake, listing, recent
from connector.sync.brakes import may_withdraw
from connector.sync.work import Work

LOCK = "reconcile"
LASTING = timedelta(minutes=2)
"""How long the lock outlives its holder; extended while the run goes on."""

KINDS = ("reconcile", "backfill")
"""Kinds of runs that hold the lock."""

PAGE = 500

SLICE = 5000
"""Links that a run lets go of in one transaction."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, of how many (0: not known)."""
Load = Callable[[Work, str, int, int], int]
"""Called with a provider, the run and the most users (0: all); makes pending links of this run. Returns how many."""

COUNTED = {
    "contact.create": "creates", "contact.update": "updates", "user.create": "creates", "user.update": "updates",
    "user.membership": "updates",
    "contact.link": "links", "contact.archive": "deletes", "erase": "deletes", "user.delete": "deletes",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What a run did. summary: read, creates, updates, links, clears, deletes, consents, held, parked, unchanged, calls."""

    run: int
    summary: Mapping[str, int]
    braked: int


def reconcile(
    work: Work, sleep: Callable[[float], None], providers: list[str], progress: Progress, backfill: bool = False, first: int = 0,
    load: Load | None = None,
) -> Result:  # fmt: skip
    """Bring everybody of these providers into agreement; returns when the last write is settled.

    backfill: only users without a contact, at most `first` of them (0: all); contacts are read by email before any is made.
    load: where a backfill has its users from; the provider's listing, unless given.
    Works beside running workers. Raises Locked while another reconcile goes on, Unavailable, Rejected for a broken listing.
    """
    with work.store.write() as tx:
        run = tx.runs.start("backfill" if backfill else "reconcile", ",".join(providers))
        if not tx.runs.lock(LOCK, _holder(work, run), LASTING):
            raise Locked("another reconcile is running; wait for it")
        tx.runs.give_up(KINDS, but=run)
    before = work.crm.calls
    take = load or _load
    try:
        if backfill and not load:
            _require_listings(work, providers)
        while intake.take(work):
            progress("taking in deliveries", 0, 0)
        if not backfill:
            recent.contacts(work)
        read = sum(take(work, name, run, first) if backfill else _mark(work, name, run, progress) for name in providers)
        _settle(work, run, read, sleep, progress)
        with work.store.read() as tx:
            summary = _summary(tx, run, read, work.crm.calls - before)
            braked = tx.history.kinds_of_run(run).get("brake", 0)
        _finish(work, run, "stopped" if braked else "done", summary)
    except BaseException:
        _finish(work, run, "failed", {})
        raise
    return Result(run, summary, braked)


def bury(tx: Tx, alive: Callable[[str], bool]) -> None:
    """End the run of a process that died, without waiting for its lock to lapse. alive: whether the owner of a lease may live."""
    holder = tx.runs.holders(LOCK).get(LOCK, "")
    owner, _, run = holder.rpartition("/run ")
    if run and not alive(owner):
        tx.runs.finish(int(run), "failed", {})
        tx.runs.unlock(LOCK, holder)


def keep_lock(work: Work, tx: Tx, run: int) -> None:
    """Extend a run's lock. Raises Locked when it lapsed and another run has had it since."""
    if not tx.runs.extend(LOCK, _holder(work, run), LASTING):
        raise Locked("this reconcile stood still for so long that another one began; start it again")


def _holder(work: Work, run: int) -> str:
    return f"{work.owner}/run {run}"


def _mark(work: Work, provider: str, run: int, progress: Progress) -> int:
    """List a provider's users and make all its links due. Returns how many."""
    listed: set[str] | None = None
    changed: set[int] = set()
    if work.providers[provider].capabilities.list:
        listed = set()
        for page in patiently(work.providers[provider].pages()):
            with work.store.write() as tx:
                keep_lock(work, tx, run)
                news = listing.see(work, tx, provider, page, run)[1]
                tx.links.ring_for(run, [link.id for link in news if may_withdraw(work, link)])
                changed |= {link.id for link in news}
            listed.update(user.id for user in page)
            progress(f"listing users of {provider}", len(listed), 0)
    return _ring(work, provider, run, listed, changed)


def _load(work: Work, provider: str, run: int, first: int) -> int:
    """Take in up to `first` users that have no contact yet: those that an earlier backfill left, then listed ones. Returns how
    many."""
    if work.mappings[provider].lifecycle.user_created == "ignore":
        return 0
    count = _left(work, provider, run, first)
    if first and count >= first:
        return count
    for page in patiently(work.providers[provider].pages()):
        with work.store.write() as tx:
            keep_lock(work, tx, run)
            new = listing.strangers(tx, provider, page, tx.links.by_users(provider, [user.id for user in page]))
            new = new[: first - count] if first else new
            tx.links.meet([{"provider": provider, "user_id": user.id, "user": user, "run": run} for user in new])
        count += len(new)
        if first and count >= first:
            break
    return count


def _require_listings(work: Work, providers: list[str]) -> None:
    """Before anything is done: nothing can be loaded from a provider that does not list its users."""
    for provider in providers:
        if not work.providers[provider].capabilities.list:
            why = "cannot list its users (api_url?), so there is nothing to backfill from"
            raise Rejected(f"{provider}: {why}; see: connector import users, and --provider for one of the others")


def _left(work: Work, provider: str, run: int, first: int) -> int:
    """Take over up to `first` users without a contact whom nobody has looked at yet: a listing broke off, say."""
    count = 0
    for page in _pages(work, provider):
        new = [one.id for one in page if one.state is LinkState.PENDING and one.token == 0 and one.contact_id is None]
        new = new[: first - count] if first else new
        with work.store.write() as tx:
            keep_lock(work, tx, run)
            tx.links.ring_for(run, new)
        count += len(new)
        if first and count >= first:
            break
    return count


def _ring(work: Work, provider: str, run: int, listed: set[str] | None, changed: set[int]) -> int:
    """Make a provider's links due for this run; those a complete listing did not show are to be read by id.

    A user whose contact was refused and who has not changed would be refused again: it stays parked.
    """
    if listed is not None and not listed and any(one.user_id for page in _pages(work, provider) for one in page):
        raise Rejected(f"{provider}: the listing of users is empty although links expect users; nothing was done")
    count = 0
    for page in _pages(work, provider):
        with work.store.write() as tx:
            keep_lock(work, tx, run)
            absent = [one.id for one in page if listed is not None and one.user_id and one.user_id not in listed]
            tx.links.lock([one.id for one in page])
            refused = _refused(tx, [one for one in page if one.id not in changed])
            left = {*absent, *refused}
            tx.links.ring_for(run, [one.id for one in page if one.id not in left], {"recheck": True})
            told = {"refetch": True, "user_gone": True} if work.providers[provider].capabilities.read else {}
            tx.links.ring_for(run, absent, told)
        count += len(page)
    return count


def _refused(tx: Tx, links: list[Link]) -> set[int]:
    pending = [one.id for one in links if one.state is LinkState.PENDING]
    return {link_id for link_id, rows in tx.parked.of_links(pending).items() if any(row.what == "link" for row in rows)}


def _pages(work: Work, provider: str) -> Iterator[list[Link]]:
    after = 0
    while True:
        with work.store.read() as tx:
            page = tx.links.page(provider, after, PAGE)
        if not page:
            return
        yield page
        after = page[-1].id


def _settle(work: Work, run: int, total: int, sleep: Callable[[float], None], progress: Progress) -> None:
    """Work the run's links off, together with whoever else is working, until none is due or on lease."""
    done = 0
    while True:
        links = batch.lease(work, run=run)
        if links:
            done += batch.settle(work, links)
            progress("comparing", min(done, total), total)
            with work.store.write() as tx:
                keep_lock(work, tx, run)
            continue
        with work.store.read() as tx:
            if not tx.links.busy(run):
                return
        sleep(0.05)


def _summary(tx: Tx, run: int, read: int, calls: int) -> dict[str, int]:
    kinds = tx.history.kinds_of_run(run)
    summary = dict.fromkeys(("creates", "updates", "links", "deletes"), 0)
    for kind, count in kinds.items():
        if kind in COUNTED:
            summary[COUNTED[kind]] += count
    consents = sum(count for kind, count in kinds.items() if kind.startswith("consent."))
    changed = tx.history.links_of_run(run)
    held, _ = tx.links.sums()
    return {
        "read": read, **summary, "clears": tx.history.clears_of_run(run), "consents": consents,
        "held": held + tx.links.counts()[LinkState.HELD], "parked": tx.parked.count(), "unchanged": max(0, read - changed),
        "calls": calls,
    }  # fmt: skip


def _finish(work: Work, run: int, state: str, summary: dict[str, int]) -> None:
    """End the run. Most of its links have let go of it when they were recorded; the others do now, as far as that is possible."""
    with work.store.write() as tx:
        tx.runs.finish(run, state, summary)
        tx.runs.unlock(LOCK, _holder(work, run))
    with suppress(Unavailable):
        while _let_go(work, run):
            pass


def _let_go(work: Work, run: int) -> int:
    with work.store.write() as tx:
        return tx.links.end_run(run, SLICE)
