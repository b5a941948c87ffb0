"""One batch: up to a hundred due links, seen together, decided one by one, written together."""

from dataclasses import replace

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from connector.crm.base import BATCH
from connector.engine.plan import STOPPING, Step
from connector.errors import ConnectorError, Transient, Unavailable
from connector.model import Link, LinkState
from connector.store import Tx
from connector.sync import brakes, consents, contacts, hearing, linking, memberships, observe, people, users
from connector.sync.case import Case, cases, keep
from connector.sync.options import ASKED, Mark
from connector.sync.record import record
from connector.sync.work import LEASE, Work, place

log = structlog.get_logger()


def lease(work: Work, limit: int = BATCH, run: int | None = None, at_least: int = 1) -> list[Link]:
    """Take up to `limit` due links. Empty when fewer than `at_least` are due. Raises Unavailable."""
    with work.store.read() as tx:
        if tx.links.waiting(run, work.mappings, at_least) < at_least:
            return []
    with work.store.write() as tx:
        if tx.links.waiting(run, work.mappings, at_least) < at_least:  # others take links, too
            return []
        links = tx.links.lease(limit, work.owner, LEASE, run, work.mappings)
    work.reached("leased")
    return links


def settle(work: Work, links: list[Link]) -> int:
    """Bring leased links into agreement, as far as that goes today. Returns how many there were.

    A link that could not be settled has a new due time or is parked; only the database's absence is raised (Unavailable).
    """
    with work.store.read() as tx:
        parked = tx.parked.of_links([link.id for link in links])
        now, asked = tx.now, tx.cursors.get(ASKED)
        links = _out_of_ended_runs(tx, links)
    batch = cases(work, links, parked, now)
    for case in batch:
        case.given_up(work.retries.attempts)
    try:
        _carry_through(work, batch, asked)
    finally:
        brakes.leave()
    return len(batch)


def _out_of_ended_runs(tx: Tx, links: list[Link]) -> list[Link]:
    """A run that is over has no links any more: what one of its links does counts as a live delivery's, whoever left it there."""
    runs = tx.runs.running({link.run for link in links if link.run is not None})
    return [link if link.run in runs else replace(link, run=None) for link in links]


def _carry_through(work: Work, batch: list[Case], asked: Mark) -> None:
    """See, decide, write, record. asked: see `contacts.know_options`."""
    hearing.know_types(work, _open(batch))
    braked = False
    try:
        contacts.know_options(work, _open(batch), asked)
        _see(work, [case for case in batch if case.open])
        braked = brakes.check(work, _planned(batch))
        _write(work, batch)
    except SoftTimeLimitExceeded:  # nobody's mistake: as if the worker had died here, another one takes the links over
        raise
    except Exception as error:
        log.error("batch.failed", links=len(batch), error=type(error).__name__, where=place(error))
        _mistake(batch, error)
    record(work, batch)
    consents.note_closed(work, batch)
    if braked:
        brakes.done(work)


def _see(work: Work, batch: list[Case]) -> None:
    """Observe and decide; unlinked users and contacts find their other half, or make it."""
    observe.observe(work, batch)
    linking.moved(work, _open(batch))
    linking.met_anew(_open(batch))
    for case in _open(batch):
        case.decide()
    keep(work, _open(batch))
    hearing.look(work, _open(batch, Step.WRITE, Step.CREATE_CONTACT, *STOPPING))
    _provisional(work, batch)
    keep(work, _open(batch))
    _unlinked(work, batch)
    hearing.look(work, _open(batch, Step.WRITE))
    observe.conflict_times(work, batch)
    hearing.look(work, [case for case in _open(batch, Step.WRITE) if case.decided.asks_all])  # a yes that is the later one
    users.freshen(work, batch)


def _write(work: Work, batch: list[Case]) -> None:
    """Carry out what was decided."""
    people.forget(work, _open(batch, Step.FORGET_PERSON), batch)
    consents.write_subscriptions(work, [*_linked(batch), *_open(batch, *STOPPING)])
    contacts.update(work, _open(batch, Step.WRITE, Step.STAY_HELD))
    users.update(work, _open(batch, Step.WRITE))
    consents.write_users(work, _linked(batch))
    memberships.write(work, _linked(batch))
    _share_again(work, _open(batch, Step.ARCHIVE))
    contacts.archive(work, _open(batch, Step.ARCHIVE))
    users.delete(work, _open(batch, Step.DELETE_USER))
    for case in _open(batch, Step.DELETED):
        case.end(LinkState.DELETED, case.decided.reason, "user.gone")
    for case in _open(batch, Step.UNLINK):
        case.end(LinkState.UNLINKED, case.decided.reason, "unlink")


def _share_again(work: Work, batch: list[Case]) -> None:
    """Somebody else of this batch may have been linked to a contact that is about to go."""
    observe.shared(work, batch)
    for case in batch:
        case.decide()


def _provisional(work: Work, batch: list[Case]) -> None:
    """Contacts whose user is found or created become links like any other."""
    linking.leave_known(work, _open(batch, Step.CREATE_USER, Step.FIND_USER))
    waiting = linking.find_users(work, _open(batch, Step.CREATE_USER, Step.FIND_USER))
    users.create(work, [case for case in waiting if case.decided.step is Step.CREATE_USER])
    attached = [case for case in batch if case.open and case.link.user_id is None and "user_id" in case.values]
    linking.refuse_taken_users(work, attached)
    attached = [case for case in attached if case.open]
    linking.give_way(attached, _open(batch))
    for case in attached:
        users.attach(case, None)
    found = [case for case in attached if case.seen.user is None]
    observe.fetch(work, [case for case in found if case.provider.capabilities.read], batch)
    for case in found:
        if case.open:
            case.decide()


def _unlinked(work: Work, batch: list[Case]) -> None:
    """Users without a contact: found by other means than email, created optimistically, or linked to what exists."""
    linking.match_first(work, [case for case in _open(batch, Step.DELETED) if _in_doubt(case)], by_id=True)
    known = linking.match_first(work, _open(batch, Step.FIND_CONTACT), by_id=True, by_email=True)
    backfills = _backfills(work, batch)
    creating = _open(batch, Step.CREATE_CONTACT)
    first = [case for case in creating if case.link.run in backfills]
    again = [case for case in creating if case not in first and case.link.token > 1]  # an earlier attempt may have got through
    others = [case for case in creating if case not in first and case not in again]
    new = linking.match_first(work, first, by_id=True, by_email=True)
    new += linking.match_first(work, again, by_id=True)
    new += linking.match_first(work, others)
    taken = contacts.create(work, new)
    linking.resolve_taken(work, taken)
    for case in known:
        case.values["reason"] = "no contact matches; lifecycle.user_created: link_only"


def _backfills(work: Work, batch: list[Case]) -> set[int]:
    """The runs among these cases' that load a base where most people have a contact already: they read before they write."""
    runs = {case.link.run for case in batch if case.link.run is not None}
    if not runs:
        return set()
    with work.store.read() as tx:
        return {run for run, kind in tx.runs.kinds(runs).items() if kind == "backfill"}


def _in_doubt(case: Case) -> bool:
    """Whether a contact may have been created without our hearing of it."""
    return case.link.contact_id is None and any(intent["kind"] == "contact.create" for intent in case.link.intent)


def _planned(batch: list[Case]) -> list[Case]:
    return [case for case in _open(batch) if case.plan is not None]


def _linked(batch: list[Case]) -> list[Case]:
    """Cases that have both sides by now."""
    return [case for case in _open(batch, Step.WRITE, Step.CREATE_CONTACT) if case.seen.contact and case.link.user_id]


def _open(batch: list[Case], *steps: Step) -> list[Case]:
    return [case for case in batch if case.open and (not steps or (case.plan is not None and case.plan.step in steps))]


def _mistake(batch: list[Case], error: Exception) -> None:
    """Something unforeseen: whoever is not through yet is tried again, alone, so that the one it comes from is found."""
    for case in batch:
        if not case.open:
            continue
        if case.on_contact or case.on_user:
            case.again = True
        else:
            case.mistake = not isinstance(error, Transient)
            told = str(error) if isinstance(error, ConnectorError) else f"unexpected {type(error).__name__}"
            case.error = error if isinstance(error, Transient) else Unavailable(told)
