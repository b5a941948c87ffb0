"""Stopping mass harm before its first effect beyond the limit: deletions, opt-outs, and fields blanked or memberships taken.

Effects are counted per run and, for live deliveries, per rolling hour. What goes beyond is held, with the reason, until a person
releases it. Links are counted, not fields: a link that blanks three of them counts once.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.engine.plan import STOPPING, Step
from connector.errors import Paused
from connector.model import Link, LinkState
from connector.settings import Brakes
from connector.store import Tx
from connector.store.history import History
from connector.sync.case import Case
from connector.sync.work import LEASE, Work

LOCK = "brakes"
HOUR = timedelta(hours=1)

OPT_OUTS = "opt_outs"

BRAKE = "brake: "
"""Begins the reason of a link that a brake stopped."""

APPROVED = "released from a brake"
"""The reason of a link that a person let go on: no brake stops it again."""

ORDERED = "to be erased by command"
"""The reason of a link whose person an operator has erased: no brake stops that."""

NOW = "; now: "
"""Between what a link is held or let go on for, and what it waits for since."""

_turn = threading.Lock()
_mine = threading.local()

DELETING = (Step.ARCHIVE, Step.DELETE_USER, Step.FORGET_PERSON)
DELETIONS = ("contact.archive", "user.delete", "erase")


@dataclass(frozen=True, slots=True)
class Brake:
    """One kind of harm: which cases would do it, how often it was done, and the names of its settings."""

    name: str
    does: Callable[[Case], bool]
    done: Callable[[History, int | None, timedelta], int]


def _deletes(case: Case) -> bool:
    return case.decided.step in DELETING


def _clears(case: Case) -> bool:
    """Whether a value that is there would be blanked, on either side, or a membership taken away."""
    plan = case.decided
    return plan.step in (Step.WRITE, Step.STAY_HELD) and (plan.blanks or not all(plan.memberships.values()))


def _opts_out(case: Case) -> bool:
    """Whether a grant that a side holds would be taken away."""
    return case.decided.step in (Step.WRITE, *STOPPING) and any(one.takes_away for one in case.decided.rulings)


BRAKES = (
    Brake("deletes", _deletes, lambda history, run, span: history.links_with(DELETIONS, run, span)),
    Brake(OPT_OUTS, _opts_out, lambda history, run, span: history.links_with(("consent.revoke",), run, span)),
    Brake("clears", _clears, lambda history, run, span: history.links_that_cleared(run, span)),
)


def may_withdraw(work: Work, link: Link) -> bool:
    """Whether a link that waits for a person is looked at all the same: of the brakes only that on opt-outs makes a withdrawn
    consent wait."""
    braked = (link.reason or "").startswith(BRAKE) and f" {OPT_OUTS} in " in (link.reason or "")
    return link.state is LinkState.HELD and not braked and bool(work.mappings[link.provider].consents)


def approved(link: Link) -> bool:
    """Whether a person let this link go on."""
    return (link.reason or "").partition(NOW)[0] in (APPROVED, ORDERED)


def waits_for(link: Link, reason: str) -> str | None:
    """What a link has as its reason while it waits: what a person let it go on for, then why it waits.

    One that is held keeps its reason; it goes on with its erasure alone.
    """
    held = link.state is LinkState.HELD
    if held and not link.erasure:
        return link.reason
    stays = (link.reason or "").partition(NOW)[0] if held or approved(link) else ""
    return (f"{stays}{NOW}{reason}" if stays else reason)[:500]


def latest(reason: str) -> str:
    """What a link waits for, without what it is held or let go on for."""
    return reason.partition(NOW)[2] or reason


def check(work: Work, batch: list[Case]) -> bool:
    """Hold what would go beyond a limit. Returns whether `done` is to be called once the batch is recorded.

    One batch at a time may do harm: two that count side by side would both stay below the limit, and together pass it.
    """
    for case in batch:
        if case.decided.step is Step.STAY_HELD and not may_withdraw(work, case.link):
            case.plan = replace(case.decided, rulings=(), decisions=(), contact_writes={})
    limited = [brake for brake in BRAKES if _is_limited(work.brakes, brake.name)]
    harmful = [case for case in batch if any(brake.does(case) for brake in limited) and not approved(case.link)]
    if not harmful:
        return False
    _take_turn()
    with work.store.write() as tx:
        if not tx.runs.lock(LOCK, _holder(work), LEASE):
            for case in harmful:
                case.error, case.queued = Paused("another batch is deleting or blanking", retry_in=0.5), True
            return False
        for brake in limited:
            _check(tx, work.brakes, brake, [case for case in harmful if case.open and brake.does(case)])
    return True


def _take_turn() -> None:
    """In one process the batches wait for each other; of other processes' batches they find out from the database."""
    if not getattr(_mine, "held", False):
        _mine.held = _turn.acquire(timeout=LEASE.total_seconds() / 2)


def leave() -> None:
    """However this batch ended, the next one of this process may take its turn."""
    if getattr(_mine, "held", False):
        _mine.held = False
        _turn.release()


def done(work: Work) -> None:
    """The batch is recorded: the next one may go on."""
    with work.store.write() as tx:
        tx.runs.unlock(LOCK, _holder(work))


def _check(tx: Tx, brakes: Brakes, brake: Brake, batch: list[Case]) -> None:
    if not batch:
        return
    allowed = _allowed(brakes, brake.name, tx.links.active)
    counts: Counter[int | None] = Counter({run: brake.done(tx.history, run, HOUR) for run in {case.link.run for case in batch}})
    for case in batch:
        counts[case.link.run] += 1
        if allowed is not None and counts[case.link.run] > allowed:
            where = f"run {case.link.run}" if case.link.run else "one hour"
            limits = f"brakes.{brake.name}, brakes.{brake.name}_percent"
            _stop(case, brake.name, f"{BRAKE}more than {allowed} {brake.name} in {where} ({limits})")


def _stop(case: Case, brake: str, reason: str) -> None:
    """Hold the link. One that is held already stays so for its own reason; what it was to write waits with it, or what it was to
    blank."""
    plan = case.decided
    if plan.step is not Step.STAY_HELD:
        case.end(LinkState.HELD, reason, "brake")
        return
    left = tuple(one for one in plan.decisions if one.to_contact is not None) if brake != OPT_OUTS else ()
    names = {one.field.contact for one in left}
    writes = {name: value for name, value in plan.contact_writes.items() if name in names}
    case.plan = replace(plan, rulings=plan.rulings if brake != OPT_OUTS else (), decisions=left, contact_writes=writes)
    case.values["reason"] = case.link.reason if BRAKE in (case.link.reason or "") else f"{case.link.reason}; {reason}"
    case.note("brake", answer=reason)


def _is_limited(brakes: Brakes, name: str) -> bool:
    return bool(getattr(brakes, name) or getattr(brakes, f"{name}_percent"))


def _allowed(brakes: Brakes, name: str, active: Callable[[int | None], int]) -> int | None:
    """The most links that may be harmed so; None: no limit. active: counts those that synchronise, up to a number."""
    absolute, percent = getattr(brakes, name), getattr(brakes, f"{name}_percent")
    limits = [absolute] if absolute else []
    if percent:
        enough = int(absolute * 100 / percent) + 2 if absolute else None  # of so many the percentage is above the other limit
        limits.append(max(brakes.floor, int(active(enough) * percent / 100)))
    return min(limits) if limits else None


def _holder(work: Work) -> str:
    return f"{work.owner}/{threading.get_ident()}"
