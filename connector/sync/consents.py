"""Consents of a batch: looking up subscription statuses, writing them, telling the provider, and what is remembered of it all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.crm.base import StatusOutcome, StatusWrite
from connector.engine.consent import GRANTED, NOTHING, REVOKED, UNKNOWN, Ruling, Voice, decoded, encoded
from connector.engine.plan import STOPPING, Step
from connector.engine.readings import user_consent
from connector.engine.rulings import NOT_KEPT, REFUSED, Other, not_kept, worth
from connector.errors import ConnectorError, Denied, Fenced, Paused, Permanent, Rejected, Transient
from connector.mapping.model import CONSENT
from connector.model import UNTOLD, Link, LinkState, Statement, User
from connector.sync import subscriptions, users
from connector.sync.case import STATUS, USER_CONSENT, Case, described_consent, still_ours
from connector.sync.standings import addresses_before
from connector.sync.work import Work

READING, WRITING = "subscription.read", STATUS
"""The kinds of call these are."""

OPTOUTS = (Voice.SUBSCRIPTION, Voice.OPTOUT, Voice.OPTOUT_ALL)
"""Voices that tell of an opt-out in the CRM."""


def know_types(work: Work, batch: list[Case]) -> None:
    """Tell each case which subscription types its mapping means. Where the CRM tells none, consents go without."""
    for case in batch:
        try:
            found = work.types.of(case.mapping)
            case.policy = replace(case.policy, subscriptions=found, readable=bool(found))
            case.closed = _unknown_types(case, found)
        except Denied as error:
            case.closed = str(error)
            case.policy = replace(case.policy, subscriptions=_named_by_id(case))
        except Transient as error:
            case.failed(READING, error)


def _named_by_id(case: Case) -> dict[str, str]:
    """Types that the mapping names by their id: what the contact tells of an opt-out from them can be heard all the same."""
    words = [one.subscription for one in case.mapping.consents if one.subscription]
    return {word: word for word in words if word.isdigit()}


def _unknown_types(case: Case, found: Mapping[str, str]) -> str:
    """Which consents go without, because the portal has no such subscription type (any more)."""
    lacking = [one for one in case.mapping.consents if one.subscription and one.subscription not in found]
    why = "the portal has no subscription type {0!r} of its own for {1}"
    told = [f"{case.mapping.path}:{one.line}: {why.format(one.subscription, one.consent)}" for one in lacking]
    return "; ".join(told)


def look(work: Work, batch: list[Case]) -> None:
    """Read the statuses of those addresses on which something depends, and decide again."""
    _hear_others(work, batch)
    _look_at_statuses(work, [case for case in batch if case.open and case.plan is not None and case.plan.asks])
    _look_at_all(work, [case for case in batch if case.open and case.plan is not None and case.plan.asks_all])


def _look_at_statuses(work: Work, asking: list[Case]) -> None:
    if not asking:
        return
    try:
        found = work.crm.statuses([*_addresses(asking), *(one for case in asking if (one := _former(case)))])
        before = _buried(work, asking)
    except Denied as error:
        _close(asking, str(error))
        return
    except Transient as error:
        _fail(asking, READING, error)
        return
    for case in asking:
        case.answered.add(READING)
        address = case.seen.address or ""
        former = found.get(_former(case) or "", {})
        case.seen = replace(case.seen, statuses=found.get(address, {}), former=former, not_before=before.get(address))
        for ruling in [one for one in case.decide().rulings if not_kept(one)]:
            _remember_refusal(case, ruling, NOT_KEPT)


def _hear_others(work: Work, batch: list[Case]) -> None:
    """What stands at other users of the same contact is heard with its own time, not with that of our writing it.

    They are other providers' users. Who is held may have the contact, or without one the address, with another user of the same
    provider; after a merge both are held.
    """
    stopping = [case for case in batch if case.decided.step in STOPPING and case.decided.rulings]
    linked = [case for case in batch if case.mapping.consents and case.seen.contact and case.decided.step not in STOPPING]
    asking = [*stopping, *(linked if len(work.mappings) > 1 else [])]
    if not asking:
        return
    with work.store.read() as tx:
        links = tx.links.by_contacts([case.seen.contact.id for case in asking if case.seen.contact])
        namesakes = {case.link.id: tx.links.by_email(case.seen.address or "") for case in stopping if case.decided.asks}
    for case in asking:
        there = links.get(case.seen.contact.id, []) if case.seen.contact else namesakes.get(case.link.id, [])
        found = [link for link in there if _has_a_say(work, case, link)]
        others = tuple(one for link in found for one in _others(work, link))
        shared = bool(found) if case.decided.step in STOPPING else case.seen.shared
        if (others, shared) != (case.seen.others, case.seen.shared):
            case.seen = replace(case.seen, others=others, shared=shared)
            case.decide()


def _has_a_say(work: Work, case: Case, link: Link) -> bool:
    """Whether another user's link has a say in what stands: an active one, and where both are held for one contact a held one."""
    heard = link.state is LinkState.ACTIVE or (
        link.state is LinkState.HELD and case.link.state is LinkState.HELD and case.seen.contact is not None
    )
    return link.id != case.link.id and heard and link.provider in work.mappings


def _others(work: Work, link: Link) -> list[Other]:
    mapping = work.mappings[link.provider]
    try:
        types = work.types.of(mapping)
    except Denied:  # then nobody reads or writes statuses
        return []
    told = []
    for one in mapping.consents:
        standing = decoded(link.consents.get(one.consent))
        type_id = types.get(one.subscription or "")
        if type_id is not None and standing.now.state is not UNKNOWN:
            wrote = _wrote(link, one.consent, standing.heard.get(Voice.SUBSCRIPTION, NOTHING))
            told.append(Other(link.provider, type_id, standing.now, wrote))
    return told


def _wrote(link: Link, consent: str, heard: Statement) -> bool:
    """Whether a grant in the CRM may be of our making: it was written and heard, or was about to be."""
    intended = any(
        change["field"] == CONSENT + consent and change["to"] == GRANTED and not change.get("property")
        for intent in link.intent for change in intent["changes"]
    )  # fmt: skip
    return intended or (heard.state is GRANTED and heard.at is None)


def _look_at_all(work: Work, batch: list[Case]) -> None:
    """Before anything is granted: nobody who opted out of everything is touched."""
    if not batch:
        return
    try:
        out = work.crm.opted_out_of_all(_addresses(batch))
    except Denied as error:
        _close(batch, str(error))
        return
    except Transient as error:
        _fail(batch, READING, error)
        return
    for case in batch:
        address = case.seen.address or ""
        case.seen = replace(case.seen, opted_out=address in out, opted_out_at=out.get(address))
        case.decide()


def _addresses(batch: list[Case]) -> list[str]:
    return list(dict.fromkeys(case.seen.address for case in batch if case.seen.address))


def _former(case: Case) -> str | None:
    """The address that the person's consents hung on before, when it is another one now."""
    return next((one for one in addresses_before(case) if one != case.seen.address), None)


def _buried(work: Work, batch: list[Case]) -> dict[str, Any]:
    """Until when an address was somebody else's: of a person who was erased, or who moved to another address."""
    with work.store.read() as tx:
        asked = _addresses([case for case in batch if _never_heard(case)])
        return tx.tombstones.emails(asked) | dict.fromkeys(tx.links.erasing(asked), tx.now)


def _never_heard(case: Case) -> bool:
    """Whether the status of some consent is read for the first time."""
    return any(Voice.SUBSCRIPTION not in decoded(case.link.consents.get(one.consent)).heard for one in case.mapping.consents)


def _close(batch: list[Case], why: str) -> None:
    """Go on without what the CRM does not let us see."""
    for case in batch:
        case.closed = why
        case.policy = replace(case.policy, readable=False)
        case.decide()


def _fail(batch: list[Case], call: str, error: Transient) -> None:
    for case in batch:
        case.failed(call, error)


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
        _close(writing, str(error))
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
        return
    case.note("refused", told, outcome.request, str(error))
    if ruling.now.state is GRANTED and (outcome.out or _known_optout(ruling) or _cannot_tell(row)):
        _remember_refusal(case, ruling, f"{REFUSED} ({error})")
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


def _remember_refusal(case: Case, ruling: Ruling, why: str) -> None:
    """The CRM keeps the opt-out: the grant is held, and not tried again until somebody says something new."""
    standing = replace(ruling.before, refused=ruling.now, why=why)
    case.link = replace(case.link, consents={**case.link.consents, ruling.consent.consent: encoded(standing)})
    case.decide()


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
    """Show in `status` and `doctor` that subscriptions are closed to us, or open again."""
    if any(case.mapping.consents for case in batch):
        why = next((case.closed for case in batch if case.closed), "")
        if why or any(READING in case.answered or WRITING in case.answered for case in batch):
            subscriptions.closed(work, why)
