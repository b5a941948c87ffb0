"""Recording a batch: new base, what was seen, history, what is parked, when to look again. One transaction, fencing checked."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import IntegrityError

from connector.engine.normalise import to_contact
from connector.engine.plan import Step
from connector.engine.readings import newer, same_user
from connector.errors import Fenced, Paused, Permanent, Transient, Unavailable
from connector.model import ANSWERABLE, FINAL, Link, LinkState, User, Value
from connector.store import Tx
from connector.store.history import Entry
from connector.store.rows import email_of
from connector.sync import activities, health, portal, standings, unlisted
from connector.sync.brakes import may_withdraw, waits_for
from connector.sync.case import Case, still_ours
from connector.sync.due import backoff, next_look
from connector.sync.forget import barred, forget
from connector.sync.search import Search, search
from connector.sync.work import Work, place

UNSEEN = 5
"""Looks at a user its provider does not know, before the event about it is dropped with a reason."""

NOT_FOUND = "the provider does not find this user; an event or a complete comparison tells whether it is gone"

log = structlog.get_logger()


def record(work: Work, batch: list[Case]) -> None:
    """Write what became of every case that is still ours; a successor's row is left alone. Raises Unavailable."""
    noted = [list(case.entries) for case in batch]
    try:
        _all(work, batch)
    except (Unavailable, SoftTimeLimitExceeded):
        raise
    except Exception as error:  # one row that cannot be recorded must not hold up the others
        log.error("record.failed", links=len(batch), error=type(error).__name__, where=place(error))
        for case, entries in zip(batch, noted, strict=True):
            _alone(work, case, entries)


def _all(work: Work, batch: list[Case]) -> None:
    going = [case.link for case in batch if case.values.get("state") is LinkState.ERASED]
    before = search(work.store, going, lambda: still_ours(work, batch))
    with work.store.write() as tx:
        if going:
            tx.tombstones.alone()
        erased = barred(tx, [case.link for case in batch])
        current = tx.links.current([case.link for case in batch])
        for case in batch:
            row = current.get(case.link.id)
            if row is None or isinstance(case.error, Fenced):
                log.warning("record.fenced", link=case.link.id)
                continue
            if row.id in erased:
                forget(tx, row, before=before)
                continue
            _record(work, tx, case, row, before)
        health.mark(tx, batch)
        unlisted.count(tx, batch)
        health.moved(tx)
        work.reached("record before commit")


def _alone(work: Work, case: Case, entries: list[Entry]) -> None:
    """Record one case, or else as much of it as can be; what even that fails for keeps its lease, until it lapses.

    entries: its history before it was tried together with the others.
    """
    for attempt in (partial(_all, work, [case]), partial(_bare, work, case)):
        case.entries = list(entries)
        try:
            attempt()
        except (Unavailable, SoftTimeLimitExceeded):
            raise
        except Exception as error:
            case.error, case.mistake = Unavailable(f"cannot be recorded: unexpected {type(error).__name__}"), True
            log.error("record.failed", link=case.link.id, error=type(error).__name__, where=place(error))
        else:
            return


def _bare(work: Work, case: Case) -> None:
    """Put off a case that cannot be recorded as it is. Nothing is agreed; the history has of its effects what it can hold.

    What was about to be written stays put down: whoever comes next knows whose value the other side may have.
    """
    link = case.link
    with work.store.write() as tx:
        row = tx.links.current([link]).get(link.id)
        if row is None or row.state is LinkState.ERASED:
            return
        since = link.failed_since or tx.now
        values: dict[str, Any] = {"attempts": link.attempts + link.lone, "lone": True, "failed_since": since}
        values["reason"] = waits_for(link, str(case.error))
        values |= {"reread": True, "recheck": True, "due_at": tx.now + timedelta(seconds=backoff(work, since, tx.now))}
        if values["attempts"] >= work.retries.attempts:
            tx.parked.put(link.id, "link", f"{case.error}; gave up after {values['attempts']} attempts", values["attempts"])
            values["due_at"] = None
        noted = [_noted(tx, entry) for entry in case.entries]
        if all(noted):
            told = [one if one in case.unheard else one | {"told": True} for one in case.intents]
            values["intent"] = [*link.intent, *told]
        tx.links.record(link.id, link.token, values)


def _noted(tx: Tx, entry: Entry) -> bool:
    """Whether the history could take an entry."""
    try:
        with tx.part():
            tx.history.add([entry])
    except (Unavailable, SoftTimeLimitExceeded):
        raise
    except Exception:
        return False
    return True


def _record(work: Work, tx: Tx, case: Case, row: Link, before: Search) -> None:
    if (row.state, row.contact_id) != (case.link.state, case.link.contact_id):  # merged, erased or cut while we worked
        _overtaken(work, tx, case, row)
        return
    values = _failed(work, tx, case) if case.error else _settled(work, tx, case, row)
    if case.replaced_by is not None:
        return
    values["due_at"] = next_look(work, tx, case, row, values)
    if row.rung != case.link.rung:
        _keep_hints(row, values)
    if values["due_at"] is None:
        values["cause"] = None  # dealt with: what happens next has another
        values["run"] = row.run if values.get("state", row.state) is LinkState.ERASED else None
    if _keep(tx, case, values | {"settled_at": tx.now}):
        _park(tx, case)
        tx.history.add(case.entries)
        tx.ledger.append(standings.ledger_rows(tx, case))
        standings.bury_former(tx, case)
    _ended(work, tx, case, row, before)


def _ended(work: Work, tx: Tx, case: Case, row: Link, before: Search) -> None:
    """What a link's end brings with it, once it is recorded."""
    if case.values.get("state") is LinkState.DELETED and case.seen.user_gone:
        activities.gone(work, tx, row)
    if case.values.get("state") is LinkState.ERASED:
        removed = case.decided.step is Step.FORGET_PERSON and case.mapping.events.as_ != "none" and not case.left
        forget(tx, row, before=before, removed=removed)


def _keep_hints(row: Link, values: dict[str, Any]) -> None:
    """What asks for a look and came while we worked is not answered by what we saw."""
    if row.refetch:
        values.pop("refetch", None)
        values.pop("user_gone", None)
    if row.reread:
        values.pop("reread", None)
    if row.recheck:
        values.pop("recheck", None)


def _overtaken(work: Work, tx: Tx, case: Case, row: Link) -> None:
    """Record what was written and nothing else. Somebody who was erased meanwhile is not met here: that ends our lease."""
    told = [one if one in case.unheard else one | {"told": True} for one in case.intents]
    news = case.says_stop or row.rung != case.link.rung
    due = tx.now if row.state in ANSWERABLE or row.erasure or (news and may_withdraw(work, row)) else None
    tx.links.record(row.id, row.token, {"due_at": due, "intent": [*case.link.intent, *told]})
    tx.history.add(case.entries)


def _keep(tx: Tx, case: Case, values: dict[str, Any]) -> bool:
    """Write the row; when its contact turns out to have another active link, hold this one."""
    moves = values.get("contact_id", case.link.contact_id) != case.link.contact_id or values.get("state") != case.link.state
    if not moves:
        return tx.links.record(case.link.id, case.link.token, values)
    try:
        with tx.part():
            return tx.links.record(case.link.id, case.link.token, values)
    except IntegrityError:
        reason = f"contact {values.get('contact_id')} is linked to another user of {case.link.provider}; unlink one of them"
        case.note("hold", answer=reason)
        return tx.links.record(case.link.id, case.link.token, values | {"state": LinkState.HELD, "reason": reason})


def _settled(work: Work, tx: Tx, case: Case, row: Link) -> dict[str, Any]:
    """A link that could be looked at: what it agreed on, and its state."""
    seen = case.seen
    user = _newest(case, row)
    values: dict[str, Any] = {
        "attempts": 0, "failed_since": None, "lone": False, "due_at": None, "user": user, "contact": seen.contact or row.contact,
        "email": email_of(user, seen.contact), "gone_since": (case.link.gone_since or tx.now) if seen.contact_gone else None,
        "intent": case.unheard, "reread": False, "recheck": bool(case.closed), "consents": standings.remembered(case),
        **case.seen_at(tx.now),
    }  # fmt: skip
    _tell_doubts(case)
    if case.fetched:
        values |= {"refetch": False, "user_gone": seen.user_gone}
    if _undecided(case, row):
        values["refetch"] = True
    if "user_id" in case.values and case.link.user_id and _hand_over(tx, case):
        return values
    if "state" not in case.values:
        _stay(work, tx, case, row, values)
    return values | case.values


def _stay(work: Work, tx: Tx, case: Case, row: Link, values: dict[str, Any]) -> None:
    """A link that reached no final state: it waits, is forgotten, or stands as agreed."""
    plan, seen = case.decided, case.seen
    if plan.step is Step.STAY_HELD:
        values["base"] = _agreed(case)["base"]  # what went with a withdrawal
        return
    if plan.step is Step.WAIT:
        _waiting(work, tx, case, row, values)
    elif plan.step in (Step.FORGET, Step.FIND_USER) and case.link.user_id is None:
        _remove(tx, case)
    elif seen.contact is not None and case.link.user_id:
        values |= _agreed(case) | {"state": LinkState.ACTIVE, "reason": None, "contact_id": seen.contact.id}
        if case.link.contact_id not in (None, seen.contact.id):
            tx.aliases.add(case.link.id, case.link.provider, case.link.contact_id or "")
        if case.waiting:
            values |= _later(work, tx, case)
    else:
        values["reason"] = plan.reason or "no contact matches; lifecycle.user_created: link_only"


def _waiting(work: Work, tx: Tx, case: Case, row: Link, values: dict[str, Any]) -> None:
    """Look again at the time the plan says; a user nobody knows is looked for a few times, then no more.

    One without a contact is forgotten: should the user turn up after all, the next delivery or listing starts afresh. One with a
    contact waits for the provider to say more, by an event or a complete listing: it may have lost its way, not its user.
    """
    values["due_at"] = case.decided.until
    values["reason"] = waits_for(case.link, case.decided.reason)
    if case.seen.user is None and not case.seen.user_gone:
        values |= {"attempts": case.link.attempts + 1, "refetch": True}
        told = f"{case.link.provider} does not know this user; looked for {values['attempts']} of {UNSEEN} times"
        values["reason"] = waits_for(case.link, told)
        values["due_at"] = tx.now + timedelta(seconds=work.retries.first * 2**case.link.attempts)
        if values["attempts"] >= UNSEEN and case.link.contact_id is not None:
            values |= {"reason": NOT_FOUND, "due_at": None, "attempts": 0}
        elif values["attempts"] >= UNSEEN and row.rung == case.link.rung:
            log.info("link.dropped", link=case.link.id, provider=case.link.provider, reason="the provider never knew this user")
            _remove(tx, case)


def _remove(tx: Tx, case: Case) -> None:
    case.replaced_by = ""
    tx.links.remove(case.link.id)


def _tell_doubts(case: Case) -> None:
    """What earlier workers were about to write when nothing more was heard of them; the history shall know."""
    for intent in (one for one in case.link.intent if not one.get("told")):
        why = "no answer was heard: the worker died, or the call broke off"
        case.note("unheard", intent["changes"], answer=f"{intent['kind']}: {why}")


def _in_doubt(case: Case) -> list[Any]:
    """Effects whose outcome nobody knows yet."""
    return [*case.link.intent, *case.unheard]


def _agreed(case: Case) -> dict[str, Any]:
    """The base after this batch: fields nobody needed to write, and those whose writes were confirmed."""
    base: dict[str, Value] = dict(case.link.base)
    for one in case.decided.decisions:
        name = one.field.user
        wrote_contact = not one.writes_contact or name in case.on_contact
        wrote_user = not one.writes_user or name in case.on_user
        if one.settled and wrote_contact and wrote_user:
            base[name] = one.agreed
    mapped = {one.user for one in case.mapping.rules}
    echo = {name: value for name, value in case.link.echo.items() if base.get(name) == case.link.base.get(name)} | case.echo
    return {
        "base": {name: value for name, value in base.items() if name in mapped},
        "echo": {name: value for name, value in echo.items() if name in mapped},
        "held": case.decided.held,
        "drift": case.decided.drift,
    }


def _newest(case: Case, row: Link) -> User | None:
    """A delivery may have brought a later observation than what was read: by its time, or by coming while we worked."""
    seen, told = case.seen.user, row.user
    if seen is None or seen is case.link.user or (told and newer(told, seen) and (seen.updated_at or told != case.link.user)):
        return told
    return seen


def _undecided(case: Case, row: Link) -> bool:
    """Whether a delivery came while the user was read or written, and nobody knows which of the two is the later."""
    seen, told = case.seen.user, row.user
    if seen is None or told is None or seen is case.link.user or told == case.link.user or not case.provider.capabilities.read:
        return False
    return (seen.updated_at is None or seen.updated_at == told.updated_at) and not same_user(case.mapping, seen, told)


def _hand_over(tx: Tx, case: Case) -> bool:
    """A provisional link whose user has a link already: that one takes the contact, this one goes."""
    user_id = str(case.values["user_id"])
    other = tx.links.by_users(case.link.provider, [user_id]).get(user_id)
    if other is None or other.id == case.link.id:
        return False
    tx.links.remove(case.link.id)
    if other.state == LinkState.PENDING and other.contact_id is None:
        taken = {"contact_id": case.link.contact_id, "state": LinkState.ACTIVE, "token": other.token + 1}
        taken |= {"lease_until": None, "lease_owner": None}
        with suppress(IntegrityError), tx.part():
            tx.links.notice(other.id, taken, tx.now)
    tx.history.add([replace(entry, link_id=other.id) for entry in case.entries])
    case.replaced_by = user_id
    return True


def _failed(work: Work, tx: Tx, case: Case) -> dict[str, Any]:
    """A link that could not be settled: later with backoff, or parked with a reason. What was confirmed is agreed anyway."""
    error, link = case.error, case.link
    assert error is not None
    if case.queued:
        return {"due_at": tx.now + timedelta(seconds=getattr(error, "retry_in", 0.5))}
    since = link.failed_since or tx.now
    values: dict[str, Any] = {"failed_since": since, "intent": _in_doubt(case), "consents": standings.remembered(case)}
    values["reason"] = waits_for(link, str(error))
    values |= {"reread": True} | ({"refetch": True} if case.values.get("refetch") else {})
    if "user_id" in case.values and link.user_id:
        if _hand_over(tx, case):
            return values
        values["user_id"] = link.user_id
    written = bool(case.on_contact or case.on_user) and link.state is not LinkState.HELD
    if written and case.seen.contact is not None and link.user_id:
        values |= _agreed(case) | {"state": LinkState.ACTIVE, "contact_id": case.seen.contact.id, "contact": case.seen.contact}
    if isinstance(error, Permanent):
        case.refused["link"] = (str(error), None)
        return values | {"due_at": None, "attempts": link.attempts + 1}
    assert isinstance(error, Transient)
    counts = link.lone if case.mistake else isinstance(error, Unavailable) and health.others_settle(tx, case, since)
    attempts = link.attempts + counts
    values |= {"attempts": attempts, "lone": case.mistake or link.lone or (counts and attempts >= 2)}
    if counts and attempts >= work.retries.attempts:
        case.refused["link"] = (f"{error}; gave up after {attempts} attempts", None)
        return values | {"due_at": None}
    wait = error.retry_in if isinstance(error, Paused) and error.retry_in else backoff(work, since, tx.now)
    return values | {"due_at": tx.now + timedelta(seconds=wait)}


def _later(work: Work, tx: Tx, case: Case) -> dict[str, Any]:
    """A write that another record stands in the way of is tried again, with all patience but not for ever."""
    since = case.link.failed_since or tx.now
    due = tx.now + timedelta(seconds=backoff(work, since, tx.now))
    names = {name: reason for name, (reason, _) in case.waiting.items()}
    held = {
        one.field.user: f"{names.get(one.field.contact) or names[f'user.{one.field.user}']}; tried again"
        for one in case.decided.decisions
        if one.field.contact in names or f"user.{one.field.user}" in names
    }
    return {"attempts": case.link.attempts + 1, "failed_since": since, "due_at": due, "held": {**case.decided.held, **held}}


def _park(tx: Tx, case: Case) -> None:
    """Park what was refused, and forget parked rows whose property agrees now or is not to be written any more."""
    if case.values.get("state") in FINAL:
        tx.parked.drop([row.id for row in case.parked])
        return
    looked = case.plan is not None and case.plan.step is not Step.STAY_HELD  # of a held link only at what a withdrawal is about
    decided = case.error is None and case.plan is not None and looked and bool(case.plan.decisions)
    for what, (reason, value) in (case.refused | (_lacking(case) if decided else {})).items():
        before = next((row for row in case.parked if row.what == what), None)
        if before is None or what in case.refused or (before.reason, before.value) != (reason, value):
            tx.parked.put(case.link.id, what, reason, before.attempts + 1 if before else 1, value)
    if decided:
        tx.parked.drop([row.id for row in case.parked if row.what not in case.refused and not _still_refused(case, row.what)])


def _lacking(case: Case) -> dict[str, tuple[str, Value]]:
    """Properties of which only options are parked that the portal lacks, with the reason; not those refused as a whole."""
    return {
        one.field.contact: (portal.lacking(case.mapping, one.field, one.lacks), to_contact(one.lacks))
        for one in (case.decided.decisions if case.seen.contact else ())
        if one.lacks and (not one.writes_contact or one.field.user in case.on_contact)
    }


def _still_refused(case: Case, what: str) -> bool:
    return what in case.decided.refused or any(
        (what == one.field.contact and (one.lacks or (one.writes_contact and one.field.user not in case.on_contact)))
        or (what == f"user.{one.field.user}" and one.writes_user and one.field.user not in case.on_user)
        for one in case.decided.decisions
    )
