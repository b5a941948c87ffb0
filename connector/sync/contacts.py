"""Writing contacts: one call for up to a hundred links, each row answered for by itself."""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from connector.crm.base import BATCH, Outcome, Write
from connector.engine.decide import Decision
from connector.engine.plan import Step
from connector.errors import ConnectorError, Exists, Late, Missing, Permanent, Rejected, Transient, Unavailable
from connector.model import LinkState, Value
from connector.sync import portal
from connector.sync.case import Case, still_ours
from connector.sync.options import SOON, Mark, Options
from connector.sync.work import Work

Call = Callable[[Sequence[Write]], list[Outcome]]

WRITING = "contact.write"
"""The kind of call all of these are."""

TAKEN = "another contact has this address"

ATTEMPTS = 3
"""Writes of one row in one batch at most: each retry leaves out what was refused."""


def know_options(work: Work, batch: list[Case], asked: Mark) -> None:
    """Tell each case which options the portal has, where it lacked some: of properties that are parked, or were refused lately.

    asked: when somebody last said that there are new ones. Without an answer the portal is tried, as if nothing were known.
    """
    if not batch:
        return
    parked = {row.what for case in batch for row in case.parked} & {name for case in batch for name in _of_type(case, "set")}
    with suppress(ConnectorError):
        _tell(batch, work.options.recall(parked, batch[0].policy.now, asked))


def _learn_options(work: Work, case: Case, refused: Set[str]) -> None:
    """When sets are refused: which options the portal has of them, so that the others can be written; of a choice, so that the
    reason names the missing one. Raises Transient.
    """
    sets, choices = refused & _of_type(case, "set"), refused & _of_type(case, "choice")
    if sets or choices:
        with suppress(Permanent):  # it does not tell: then the whole property is parked
            _tell([case], work.options.learn(sets | choices, case.policy.now, timedelta(0) if sets else SOON))


def _named(case: Case, refused: Set[str], error: Rejected) -> dict[str, tuple[str, Value]]:
    """Refused properties with the reason and the value that was to be written."""
    decided = {one.field.contact: one for one in case.decided.decisions}
    known = {name: decided[name] for name in refused if name in decided}
    named = {name: (_reason(case, one, error.refused[name]), one.to_contact) for name, one in known.items()}
    return {name: (error.refused[name], None) for name in refused} | named


def _of_type(case: Case, kind: str) -> set[str]:
    """Properties that hold several options (set), or one of several (choice)."""
    return {rule.contact for rule in case.mapping.rules if rule.type == kind}


def _reason(case: Case, decision: Decision, told: str) -> str:
    """Why a property is refused: what the CRM told, or the option of a choice that it lacks."""
    value, options = decision.to_contact, case.policy.options.get(decision.field.contact)
    lacks = decision.field.type == "choice" and isinstance(value, str) and options is not None and value not in options
    return portal.lacking(case.mapping, decision.field, [str(value)]) if lacks else told


def _tell(batch: list[Case], options: Options) -> None:
    for case in batch:
        case.policy = replace(case.policy, options=options)


def create(work: Work, batch: list[Case]) -> list[Case]:
    """Write unlinked users optimistically, on the property that carries their id. Returns those whose contact exists already.

    Idempotent: a repeat after a crash finds the contact by the same id.
    """
    taken: list[Case] = []
    for provider in dict.fromkeys(case.link.provider for case in batch):
        mine = [case for case in batch if case.link.provider == provider]
        for group in _without_clashes(mine, _identity):
            call = partial(work.crm.upsert, work.id_property(provider), properties=())
            _write(work, group, "contact.create", call, lambda case: case.link.user_id or "")
            taken += [case for case in group if isinstance(case.error, Exists)]
    for case in taken:
        case.plan = replace(case.decided, step=Step.FIND_CONTACT)
    return taken


def update(work: Work, batch: list[Case]) -> None:
    """Write what differs to known contacts. Of several links to one contact one writes; the others look at it again."""
    writing = [case for case in batch if case.open and case.decided.contact_writes]
    busy = _busy_elsewhere(work, writing)
    first: dict[str, Case] = {}
    for case in writing:
        if _contact_id(case) in busy or first.setdefault(_contact_id(case), case) is not case:
            case.again = True
    for group in _without_clashes(list(first.values()), _contact_id):
        _write(work, group, "contact.update", partial(work.crm.update, properties=()), _contact_id)


def _busy_elsewhere(work: Work, batch: list[Case]) -> set[str]:
    """Contacts that another worker writes to for another provider's link: ours was linked to it only now, or theirs was."""
    if len(work.mappings) < 2 or not batch:
        return set()
    with work.store.read() as tx:
        return tx.links.taken(map(_contact_id, batch), [case.link.id for case in batch])


def archive(work: Work, batch: list[Case]) -> None:
    """Archive the contacts of deleted users."""
    batch = still_ours(work, batch, "contact.archive")
    if not batch:
        return
    try:
        work.crm.archive(list(dict.fromkeys(_contact_id(case) for case in batch)))
    except ConnectorError as error:
        for case in batch:
            case.failed(WRITING, error, "contact.archive")
        return
    work.reached("contacts archived")
    for case in batch:
        case.answered.add(WRITING)
        case.end(LinkState.DELETED, case.decided.reason, "contact.archive")


def _contact_id(case: Case) -> str:
    contact = case.seen.contact
    return contact.id if contact else case.link.contact_id or ""


def _identity(case: Case) -> str:
    """What the CRM would take for the same person: two of them in one call would fail it."""
    return case.decided.contact_writes.get("email") or f"user {case.link.user_id}"


def _without_clashes(batch: list[Case], key: Callable[[Case], str]) -> Iterator[list[Case]]:
    """The batch in groups of at most BATCH without two cases of one key."""
    waiting = batch
    while waiting:
        group: dict[str, Case] = {}
        rest = []
        for case in waiting:
            if len(group) < BATCH and key(case) not in group:
                group[key(case)] = case
            else:
                rest.append(case)
        yield list(group.values())
        waiting = rest


def _write(work: Work, group: list[Case], kind: str, call: Call, key: Callable[[Case], str]) -> None:
    """Write rows; those refused for a property go again without it. Failures are set on the cases."""
    writing = group
    for _ in range(ATTEMPTS):
        writing = [case for case in writing if case.decided.contact_writes]
        rows = {str(case.link.id): case for case in still_ours(work, writing, kind)}
        if not rows:
            return
        try:
            outcomes = call([Write(ref, key(case), case.decided.contact_writes) for ref, case in rows.items()])
        except ConnectorError as error:
            for case in rows.values():
                _put_off(case, error, kind)
            return
        work.reached(kind)
        writing = [rows[one.ref] for one in outcomes if _take(work, rows[one.ref], one, kind)]
        if not writing:
            return
    for case in writing:
        case.error = Rejected(f"contact of {case.link.name}: the CRM refuses one property after another")


def _take(work: Work, case: Case, outcome: Outcome, kind: str) -> bool:
    """Take one row's answer. True: write again, without what was refused."""
    asked = dict(case.decided.contact_writes)
    if not isinstance(outcome.error, Transient):
        case.answered.add(WRITING)
        case.heard(kind)
    if outcome.contact is not None:
        created = kind == "contact.create" and outcome.created
        case.note(kind, case.described(asked, "contact"), outcome.request, "created" if created else "written")
        case.confirm(asked, outcome.contact, created)
        case.again = case.again or (kind == "contact.create" and not outcome.created)
        return False
    error = outcome.error
    if isinstance(error, Exists) and kind == "contact.update":
        error = Rejected(str(error), {"email": TAKEN} if "email" in asked else {})
    if isinstance(error, Missing):  # whether it is gone, reading it tells
        error = Unavailable(str(error))
    if isinstance(error, Rejected) and kind == "contact.create" and "email" in error.refused:
        case.error = Rejected(f"{error.refused['email']}; no contact is made without it")
        return False
    if isinstance(error, Rejected) and (refused := error.refused.keys() & asked.keys()):
        later = case.patient(work.retries.attempts) and isinstance(outcome.error, Exists)
        case.note("refused", case.described(refused, "contact"), outcome.request, str(error))
        try:
            _learn_options(work, case, refused)
        except Transient as failure:
            case.failed(WRITING, failure, kind)
            return False
        (case.waiting if later else case.refused).update(_named(case, refused, error))
        step, blanked = case.decided.step, case.decided.blanks
        case.decide()
        case.plan = replace(case.decided, step=step)
        if case.decided.blanks and not blanked:  # no brake has seen that: the next look shows it to them
            case.again = True
            return False
        return True
    _put_off(case, error or Transient("the CRM did not answer for this row"), kind)
    return False


def _put_off(case: Case, error: ConnectorError, kind: str) -> None:
    """Not written. What came too late is decided anew at once: reading the contact waits until the CRM listens again."""
    if isinstance(error, Late):
        case.heard(kind)
        case.values["reread"] = case.again = True
    else:
        case.failed(WRITING, error, kind)
