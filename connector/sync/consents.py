"""What stands of a batch's consents is written: the statuses of addresses, and the providers' own records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector.crm.base import StatusOutcome, StatusWrite
from connector.engine.consent import GRANTED, NOTHING, REVOKED, Ruling, Voice, written_at
from connector.engine.plan import Step
from connector.engine.readings import user_consent
from connector.engine.rulings import REFUSED, worth
from connector.errors import ConnectorError, Denied, Fenced, Paused, Permanent, Rejected, Transient
from connector.model import UNTOLD, Statement, User
from connector.sync import subscriptions, users
from connector.sync.case import STATUS, USER_CONSENT, Case, described_consent, still_ours
from connector.sync.hearing import READING, close
from connector.sync.standings import remember_refusal
from connector.sync.work import Work

WRITING = STATUS
"""The kind of call these are."""

OPTOUTS = (Voice.SUBSCRIPTION, Voice.OPTOUT, Voice.OPTOUT_ALL)
"""Voices that tell of an opt-out in the CRM."""


def write_subscriptions(work: Work, batch: list[Case]) -> None:
    """Bring the addresses' statuses to what stands."""
    for case in batch:
        case.grants_later = case.open and _leaves(case) and any(one.now.state is GRANTED for one in _wanted(case))
    writing = [case for case in batch if case.open and _to_subscription(case)]
    rows = _without_clashes([_Row(case, ruling, write) for case in writing for ruling, write in _rows(case)])
    if not rows:
        return
    try:
        outcomes = work.crm.write_statuses([row.write for row in rows.values()], lambda refs: _still_ours(work, rows, refs))
    except Denied as error:
        for row in rows.values():
            row.case.heard(STATUS, row.ruling.consent.consent)
        close(writing, str(error))
        return
    except Transient as error:
        outcomes = [StatusOutcome(ref, error) for ref in rows]
    work.reached(WRITING)
    for outcome in outcomes:
        _take(rows[outcome.ref], outcome)
    for case in writing:
        if case.open and any(one.held for one in case.decided.rulings):
            case.again = case.decide().step is not Step.WRITE or case.again  # the contact was just made, and shows a grant


def _wanted(case: Case) -> list[Ruling]:
    """The consents whose status has to be written; none while something has to be read first."""
    plan = case.plan
    return [one for one in plan.rulings if one.to_subscription] if plan and not plan.asks and not plan.asks_all else []


def _to_subscription(case: Case) -> list[Ruling]:
    return [one for one in _wanted(case) if one.now.state is REVOKED or not case.grants_later]


def _leaves(case: Case) -> bool:
    """Whether the contact is about to get another address: nothing is granted at the one that somebody else may have next."""
    wanted = case.decided.contact_writes.get("email")
    held = case.seen.contact.properties.get("email") if case.seen.contact else None
    return bool(wanted and held) and str(wanted).lower() != str(held).lower()


def _rows(case: Case) -> list[tuple[Ruling, StatusWrite]]:
    rows = []
    for ruling in _to_subscription(case):
        consent, granted = ruling.consent, ruling.now.state is GRANTED
        for number, address in enumerate([case.seen.address or "", *([] if granted else _further_addresses(case))]):
            row = StatusWrite(
                f"{case.link.id}:{consent.consent}:{number}", address, case.policy.subscriptions[consent.subscription or ""],
                granted, consent.legal_basis.value if consent.legal_basis else None, consent.explanation,
            )  # fmt: skip
            rows.append((ruling, row))
    return rows


def _further_addresses(case: Case) -> list[str]:
    """What a withdrawal is about, too: the user's own address, where the contact has another one (ours may never get it, because
    somebody else's contact has it), and the one the contact had, where that is not to be seen: it may come back with it.
    """
    contact, user = case.seen.contact or case.link.contact, case.seen.user
    told = [contact.properties.get("email") if contact else None, user.values.get("email") if user else None]
    found = dict.fromkeys(one.strip().lower() for one in told if isinstance(one, str))
    return [one for one in found if one and one != case.seen.address]


@dataclass(frozen=True, slots=True)
class _Row:
    """One status that is to be written, and what for."""

    case: Case
    ruling: Ruling
    write: StatusWrite


def _without_clashes(rows: list[_Row]) -> dict[str, _Row]:
    """One row for each address and type, opt-outs first: who wants something else of the same address looks again."""
    kept: dict[tuple[str, str], _Row] = {}
    for row in sorted(rows, key=lambda row: row.write.granted):
        if kept.setdefault((row.write.email, row.write.subscription), row) is not row:
            row.case.again = True
    return {row.write.ref: row for row in kept.values()}


def _still_ours(work: Work, rows: Mapping[str, _Row], refs: Sequence[str]) -> set[str]:
    """Just before a call: those of its rows that are still ours to write. What they are about to change is put down."""
    going = [rows[ref] for ref in refs]
    for row in going:
        row.case.intend(STATUS, row.ruling)
    ours = {case.link.id for case in still_ours(work, list({row.case.link.id: row.case for row in going}.values()))}
    return {row.write.ref for row in going if row.case.link.id in ours}


def _take(row: _Row, outcome: StatusOutcome) -> None:
    """Take one status's answer."""
    case, ruling, error = row.case, row.ruling, outcome.error
    if isinstance(case.error, Fenced):
        return
    if isinstance(error, Transient):
        case.failed(WRITING, error, STATUS, ruling.consent.consent)
        return
    case.answered.add(WRITING)
    case.heard(STATUS, ruling.consent.consent)
    told = [described_consent(ruling, "contact")]
    if error is None:
        case.note(_kind(ruling), told, outcome.request, "written")
        if outcome.lifted and not _known_optout(ruling):
            _take_up(case, ruling, outcome)
        elif row.write.email == case.seen.address:
            case.on_subscription[ruling.consent.consent] = outcome.at
        else:
            voices = case.elsewhere.setdefault(ruling.consent.consent, {})
            voices[written_at(row.write.email)] = Statement(REVOKED, outcome.at)
        return
    case.note("refused", told, outcome.request, str(error))
    if ruling.now.state is GRANTED and (outcome.out or _known_optout(ruling) or _cannot_tell(row)):
        remember_refusal(case, ruling, f"{REFUSED} ({error})")
    else:
        case.refused[ruling.name] = (str(error), worth(ruling.now))


def _known_optout(ruling: Ruling) -> bool:
    """Whether we knew that the CRM has an opt-out of this address, which the grant is later than."""
    known = [voices.get(name, NOTHING) for voices in (ruling.before.heard, ruling.said) for name in OPTOUTS]
    return any(one.state is REVOKED for one in known)


def _cannot_tell(row: _Row) -> bool:
    """Whether the address's status cannot tell of an opt-out: v3's does not."""
    return (row.case.seen.statuses or {}).get(row.write.subscription, NOTHING).source == UNTOLD


def _take_up(case: Case, ruling: Ruling, outcome: StatusOutcome) -> None:
    """Somebody opted out between our look and our writing, which lifted it: that is the last word, and written back at once."""
    at = max(one for one in (outcome.at, ruling.now.at, case.policy.now) if one)
    lifted = Statement(REVOKED, at, "hubspot: opted out while a grant was written")
    case.seen = replace(case.seen, lifted={**case.seen.lifted, ruling.consent.consent: lifted})
    case.decide()
    case.again = True


def _kind(ruling: Ruling) -> str:
    """The history's word for a consent that was written; brakes count what takes a grant away."""
    return "consent.grant" if ruling.now.state is GRANTED else "consent.revoke" if ruling.takes_away else "consent.note"


def write_users(work: Work, batch: list[Case]) -> None:
    """Tell the providers what stands and they do not have."""
    writing = [case for case in batch if case.open and not case.again and _to_user(case)]
    users.tell(work, writing, _tell_user, USER_CONSENT)


def _to_user(case: Case) -> list[Ruling]:
    plan = case.plan
    return [one for one in plan.rulings if one.to_user] if plan and not plan.asks and not plan.asks_all else []


def _tell_user(work: Work, case: Case) -> ConnectorError | None:
    """Write each consent, with the version last read, so that a withdrawal made meanwhile is never overwritten."""
    for ruling in _to_user(case):
        name, user = ruling.consent.consent, case.seen.user
        told = replace(ruling.now, source=ruling.now.source or "hubspot")
        case.intend(USER_CONSENT, ruling)
        if not still_ours(work, [case]):
            return case.error
        try:
            answer = case.provider.set_consent(case.link.user_id or "", name, told, user.etag if user else None)
        except Rejected as error:
            case.refused[f"user.{ruling.name}"] = (str(error), worth(ruling.now))
            case.note("refused", [described_consent(ruling, "user")], answer=str(error))
        except ConnectorError as error:
            if isinstance(error, Paused | Permanent):
                case.heard(USER_CONSENT, name)
            return error
        else:
            _confirm(case, ruling, answer)
        case.heard(USER_CONSENT, name)
    return None


def _confirm(case: Case, ruling: Ruling, answer: User) -> None:
    """A 2xx that changed nothing is a failure."""
    case.answered_user(answer, case.mapping.fields, ruling.consent.consent)
    case.told[ruling.consent.consent] = user_consent(ruling.consent.consent, answer)
    if user_consent(ruling.consent.consent, answer).state is not ruling.now.state:
        why = "the provider accepted the write but holds another state"
        case.refused[f"user.{ruling.name}"] = (why, worth(ruling.now))
        return
    case.note(_kind(ruling), [described_consent(ruling, "user")], answer="written")
    case.on_user.add(ruling.name)


def note_closed(work: Work, batch: list[Case]) -> None:
    """Show in `status` and `doctor` that subscriptions are closed to a provider's links, or open again."""
    for name in sorted({case.link.provider for case in batch if case.mapping.consents}):
        cases = [case for case in batch if case.link.provider == name]
        why = next((case.closed for case in cases if case.closed), "")
        if why or any(READING in case.answered or WRITING in case.answered for case in cases):
            subscriptions.closed(work, name, why)
