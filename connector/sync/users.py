"""Writing users: one call each, several at a time, with the version we read so that nobody's edit is overwritten unseen."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from connector.engine.plan import Step
from connector.engine.readings import same_user
from connector.errors import ConnectorError, Exists, Fenced, Missing, Rejected, Stale, Transient, Unavailable
from connector.model import LinkState, User, Value
from connector.sync.case import Case, in_turn, still_ours
from connector.sync.observe import fetch
from connector.sync.work import Work

WRITING = "user.write"
"""The kind of call all of these are."""


def freshen(work: Work, batch: list[Case]) -> None:
    """Read users again before they are written: what is stored may be older than what the person has now."""
    writing = [case for case in batch if case.open and case.link.user_id and _writes(case)]
    stale = [case for case in writing if not case.fetched and _readable(case)]
    before = {case.link.id: case.seen.user for case in stale}
    fetch(work, stale, batch)
    for case in stale:
        known, step = before[case.link.id], case.decided.step
        if case.open and not (known and case.seen.user and same_user(case.mapping, known, case.seen.user)):
            case.seen = replace(case.seen, times=None)
            case.decide()
            if step is not Step.WRITE or case.decided.needs_times or case.decided.asks:
                case.again = True


def _writes(case: Case) -> bool:
    return bool(case.decided.user_writes or case.decided.memberships) or any(one.to_user for one in case.decided.rulings)


def create(work: Work, batch: list[Case]) -> None:
    """Create users for contacts that have none. The contact's id is the idempotency key, so a repeat makes no second user."""

    def call(case: Case) -> User:
        return case.provider.create(case.decided.user_writes, f"{case.link.provider}-contact-{case.link.contact_id}")

    for case, found in _each(work, [case for case in batch if _can_create(case)], "user.create", call):
        _answered(case, found, "user.create")
        if isinstance(found, User):
            work.reached("user.create")
            case.note("user.create", case.described(case.decided.user_writes, "user"), answer=f"user {found.id}")
            case.confirm_user(case.decided.user_writes, found)
            case.values["user_id"] = found.id
        elif isinstance(found, Exists) and found.record_id:
            case.values["user_id"] = found.record_id
        else:
            case.failed(WRITING, found, "user.create")


def _can_create(case: Case) -> bool:
    if not case.provider.capabilities.create:
        case.end(LinkState.HELD, "the provider cannot create users; lifecycle.contact_created asks for it", "hold")
    elif not case.decided.user_writes.get("email"):
        case.values["reason"] = "the contact has no email address yet to create a user with"
        return False
    return case.open


def update(work: Work, batch: list[Case]) -> None:
    """Write what differs to the users."""
    writing = [case for case in batch if case.open and case.decided.user_writes and not case.again]

    def call(case: Case) -> User:
        etag = case.seen.user.etag if case.seen.user else None
        return case.provider.update(case.link.user_id or "", case.decided.user_writes, etag)

    for case, found in _each(work, writing, "user.update", call):
        asked = case.decided.user_writes
        _answered(case, found, "user.update")
        if isinstance(found, User):
            work.reached("user.update")
            case.note("user.update", case.described(asked, "user"), answer="written")
            case.confirm_user(asked, found)
        else:
            _failed(work, case, found)


def tell(work: Work, batch: list[Case], call: Callable[[Work, Case], ConnectorError | None], kind: str) -> None:
    """Write what is no field: consents, memberships. call: tells one user, and returns the error it could not go on after."""
    for case, error in zip(batch, work.readers.map(partial(call, work), batch), strict=True):
        if not isinstance(error, Transient | Fenced):
            case.answered.add(WRITING)
        if isinstance(error, Stale | Missing):
            look_again(case, error)
        elif error is not None and not isinstance(error, Fenced):
            case.failed(WRITING, error)
        work.reached(kind)


def delete(work: Work, batch: list[Case]) -> None:
    """Delete the users whose contacts were deleted, where the mapping says so."""
    for case in in_turn(work, batch, "user.delete"):
        try:
            case.provider.delete(case.link.user_id or "")
        except ConnectorError as error:
            case.failed(WRITING, error, "user.delete")
        else:
            case.answered.add(WRITING)
            case.end(LinkState.DELETED, case.decided.reason, "user.delete")


def _answered(case: Case, found: User | ConnectorError, kind: str) -> None:
    """Anything but a lost answer is one."""
    if not isinstance(found, Transient):
        case.answered.add(WRITING)
        case.heard(kind)


def _failed(work: Work, case: Case, error: ConnectorError) -> None:
    if isinstance(error, Stale | Missing):
        look_again(case, error)
    elif isinstance(error, Exists):
        later = case.patient(work.retries.attempts)
        _refuse(case, {"email": "another user has this address"}, str(error), case.waiting if later else case.refused)
    elif isinstance(error, Rejected):
        refused = error.refused or dict.fromkeys(case.decided.user_writes, "the provider refuses the write")
        _refuse(case, refused, str(error), case.refused)
    else:
        case.failed(WRITING, error, "user.update")


def look_again(case: Case, error: Stale | Missing) -> None:
    """The user is not any more what we read: read again at once; when that keeps happening, with backoff."""
    case.values["refetch"] = True
    if case.link.failed_since is None:
        case.values["failed_since"] = case.policy.now
        case.again = True
    else:
        case.failed(WRITING, Unavailable(str(error)), "user.update")


def _refuse(case: Case, refused: dict[str, str], answer: str, into: dict[str, tuple[str, Value]]) -> None:
    """Park the refused fields, or let them wait; the others go at the next look."""
    values = {one.field.user: one.to_user for one in case.decided.decisions}
    named = {name: why for name, why in refused.items() if name in case.decided.user_writes}
    into |= {f"user.{name}": (why, values.get(name)) for name, why in named.items()}
    case.note("refused", case.described(named, "user"), answer=answer)
    if not named:
        case.error = Rejected(answer)
    case.again = case.again or len(named) < len(case.decided.user_writes)


def attach(case: Case, user: User | None) -> None:
    """Go on with a provisional link whose user is known now: it is a link like any other from here on."""
    case.link = replace(case.link, user_id=case.values["user_id"])
    if user is not None:
        case.saw_user(user)
    case.decide()


def _readable(case: Case) -> bool:
    return case.provider.capabilities.read


def _each(work: Work, batch: list[Case], kind: str, call: Callable[[Case], User]) -> Iterator[tuple[Case, Any]]:
    """A call for each case that is still ours when its turn comes, several at a time; with the user or the error it led to."""

    def turn(case: Case) -> User | ConnectorError | None:
        if not still_ours(work, [case], kind):
            return None
        try:
            return call(case)
        except ConnectorError as error:
            return error

    answers = zip(batch, work.readers.map(turn, batch), strict=True)
    return ((case, answer) for case, answer in answers if answer is not None)
