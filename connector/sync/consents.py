"""Consents of a batch: looking up subscription statuses, writing them, telling the provider, and what is remembered of it all."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connector.crm.base import StatusOutcome, StatusWrite
from connector.engine.consent import GRANTED, NOTHING, REVOKED, UNKNOWN, Ruling, Standing, decoded, encoded, without_time
from connector.engine.plan import Step
from connector.engine.readings import user_consent
from connector.engine.rulings import FORMER, REFUSED, SUBSCRIPTION, Other, worth
from connector.errors import ConnectorError, Denied, Missing, Rejected, Stale, Transient
from connector.mapping.model import CONSENT
from connector.model import Link, LinkState, Statement, User
from connector.store import Tx
from connector.store.ledger import LedgerRow
from connector.sync import case as kinds
from connector.sync import subscriptions
from connector.sync.case import Case, described_consent, still_ours
from connector.sync.work import Work

READING, WRITING = "subscription.read", "subscription.write"
"""The kinds of call these are."""


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
    told = [f"{case.mapping.path}:{one.line}: the portal has no subscription type {one.subscription!r}" for one in lacking]
    return "; ".join(told)


def look(work: Work, batch: list[Case]) -> None:
    """Read the statuses of those addresses on which something depends, and decide again."""
    _hear_others(work, batch)
    asking = [case for case in batch if case.open and case.plan is not None and case.plan.asks]
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
        case.decide()
    _look_at_all(work, [case for case in asking if case.decided.asks_all])


def _hear_others(work: Work, batch: list[Case]) -> None:
    """What stands at other providers' users of the same contact is heard with its own time, not with that of our writing it."""
    asking = [case for case in batch if case.mapping.consents and case.seen.contact] if len(work.mappings) > 1 else []
    if not asking:
        return
    with work.store.read() as tx:
        links = tx.links.by_contacts([case.seen.contact.id for case in asking if case.seen.contact])
    for case in asking:
        found = links.get(case.seen.contact.id, []) if case.seen.contact else []
        others = tuple(one for link in found if _has_a_say(work, case, link) for one in _others(work, link))
        if others != case.seen.others:
            case.seen = replace(case.seen, others=others)
            case.decide()


def _has_a_say(work: Work, case: Case, link: Link) -> bool:
    return link.id != case.link.id and link.state is LinkState.ACTIVE and link.provider in work.mappings


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
            wrote = _wrote(link, one.consent, standing.heard.get(SUBSCRIPTION, NOTHING))
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
    """Before an opt-out is lifted: nobody who opted out of everything is touched."""
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
        case.seen = replace(case.seen, opted_out=case.seen.address in out)
        case.decide()


def _addresses(batch: list[Case]) -> list[str]:
    return list(dict.fromkeys(case.seen.address for case in batch if case.seen.address))


def _former(case: Case) -> str | None:
    """The address that the person's consents hung on before, when it is another one now."""
    known = [one["address"] for one in case.link.consents.values() if one.get("address")]
    return next((one for one in known if one != case.seen.address), None)


def _buried(work: Work, batch: list[Case]) -> dict[str, Any]:
    """Until when an address was somebody else's: of a person who was erased, or who moved to another address."""
    with work.store.read() as tx:
        asked = _addresses([case for case in batch if _never_heard(case)])
        return tx.tombstones.emails(asked) | dict.fromkeys(tx.links.erasing(asked), tx.now)


def _never_heard(case: Case) -> bool:
    """Whether the status of some consent is read for the first time."""
    return any(SUBSCRIPTION not in decoded(case.link.consents.get(one.consent)).heard for one in case.mapping.consents)


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
    writing = still_ours(work, writing, kinds.SUBSCRIPTION)
    rows = {row.ref: (case, ruling, row) for case in writing for ruling, row in _rows(case)}
    if not rows:
        return
    try:
        outcomes = work.crm.write_statuses([row for _, _, row in _without_clashes(list(rows.values()))])
    except Denied as error:
        for case in writing:
            case.open_kinds.discard(kinds.SUBSCRIPTION)
        _close(writing, str(error))
        return
    except Transient as error:
        _fail(writing, WRITING, error)
        return
    work.reached(WRITING)
    for outcome in outcomes:
        case, ruling, _ = rows[outcome.ref]
        _take(case, ruling, outcome)
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
        row = StatusWrite(
            f"{case.link.id}:{consent.consent}", case.seen.address or "", case.policy.subscriptions[consent.subscription or ""],
            granted, consent.legal_basis.value if consent.legal_basis else None, consent.explanation,
        )  # fmt: skip
        rows.append((ruling, row))
    return rows


def _without_clashes(rows: list[tuple[Case, Ruling, StatusWrite]]) -> list[tuple[Case, Ruling, StatusWrite]]:
    """One row for each address and type, opt-outs first: who wants something else of the same address looks again."""
    kept: dict[tuple[str, str], tuple[Case, Ruling, StatusWrite]] = {}
    for entry in sorted(rows, key=lambda entry: entry[2].granted):
        place = (entry[2].email, entry[2].subscription)
        if kept.setdefault(place, entry) is not entry:
            entry[0].again = True
    return list(kept.values())


def _take(case: Case, ruling: Ruling, outcome: StatusOutcome) -> None:
    """Take one status's answer."""
    error = outcome.error
    if isinstance(error, Transient):
        case.failed(WRITING, error)
        return
    case.answered.add(WRITING)
    case.heard(kinds.SUBSCRIPTION)
    told = [described_consent(ruling, "contact")]
    if error is None:
        case.on_subscription.add(ruling.consent.consent)
        case.note(_kind(ruling), told, outcome.request, "written")
        return
    case.note("refused", told, outcome.request, str(error))
    if ruling.now.state is GRANTED:
        _remember_refusal(case, ruling, f"{REFUSED} ({error})")
    else:
        case.refused[ruling.name] = (str(error), worth(ruling.now))


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
    writing = still_ours(work, writing, kinds.USER_CONSENT)
    for case, error in zip(writing, work.readers.map(_tell_user, writing), strict=True):
        if not isinstance(error, Transient):
            case.answered.add("user.write")
            case.heard(kinds.USER_CONSENT)
        if isinstance(error, Stale | Missing):
            case.values["refetch"] = True
            case.again = True
        elif error is not None:
            case.failed("user.write", error)
        work.reached("user.consent")


def _to_user(case: Case) -> list[Ruling]:
    plan = case.plan
    return [one for one in plan.rulings if one.to_user] if plan and not plan.asks and not plan.asks_all else []


def _tell_user(case: Case) -> ConnectorError | None:
    """Write each consent, with the version last read, so that a withdrawal made meanwhile is never overwritten."""
    for ruling in _to_user(case):
        name, user = ruling.consent.consent, case.seen.user
        told = replace(ruling.now, source=ruling.now.source or "hubspot")
        try:
            answer = case.provider.set_consent(case.link.user_id or "", name, told, user.etag if user else None)
        except Rejected as error:
            case.refused[f"user.{ruling.name}"] = (str(error), worth(ruling.now))
            case.note("refused", [described_consent(ruling, "user")], answer=str(error))
            continue
        except ConnectorError as error:
            return error
        _confirm(case, ruling, answer)
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


def remembered(case: Case) -> dict[str, Any]:
    """What was settled about each consent, for the link's row. What was not looked at stays as it was."""
    plan = case.plan
    if plan is None or plan.asks or plan.asks_all:
        return dict(case.link.consents)
    known = {name: one for name, one in case.link.consents.items() if name in {c.consent for c in case.mapping.consents}}
    return known | {one.consent.consent: encoded(_standing(case, one)) for one in plan.rulings}


def _standing(case: Case, ruling: Ruling) -> Standing:
    """Each voice as it was heard; what we wrote ourselves as written, without a time."""
    name, heard = ruling.consent.consent, dict(ruling.before.heard)
    heard |= {voice: said for voice, said in ruling.said.items() if not _keeps(voice, heard.get(voice), said)}
    heard.pop(FORMER, None)
    ours = without_time(ruling.now)
    if name in case.on_subscription:
        heard[SUBSCRIPTION] = ours
        if ruling.now.state is REVOKED:
            heard["optout"] = Statement(REVOKED)
    if ruling.name in case.on_contact:
        heard["property"] = Statement(ruling.effective)
    if name in case.told:
        heard["user"] = case.told[name]
    if case.seen.opted_out is not None:
        heard["optout_all"] = Statement(REVOKED) if case.seen.opted_out else NOTHING
    refused = ruling.before.refused if ruling.before.refused == ruling.now else None
    return Standing(ruling.now, heard, case.seen.address, refused, ruling.before.why if refused else "")


def _keeps(voice: str, known: Statement | None, said: Statement) -> bool:
    """Whether what was heard stays: a voice repeats what we wrote there, and the time it puts to it, that of our writing, never
    counts; or the provider does not know any more what it said, which is not taken back by that."""
    if known is None:
        return False
    forgot = voice == "user" and said.state is UNKNOWN
    return forgot or (known.at is None and known.state is said.state)


def ledger_rows(tx: Tx, case: Case) -> list[LedgerRow]:
    """What is new about the person's consents, for the ledger."""
    plan = case.plan
    if plan is None or plan.asks or plan.asks_all or not case.link.user_id:
        return []
    subject = tx.ledger.subject(case.link.provider, case.link.user_id)
    return [_ledger_row(case, subject, one) for one in plan.rulings if one.now != one.before.now]


def _ledger_row(case: Case, subject: str, ruling: Ruling) -> LedgerRow:
    now, consent = ruling.now, ruling.consent
    basis = consent.legal_basis.value if consent.legal_basis and now.state is GRANTED else None
    return LedgerRow(
        link_id=case.link.id, provider=case.link.provider, subject=subject, purpose=consent.consent, state=now.state,
        occurred_at=now.at, source=now.source, entry_point=now.entry_point, legal_basis=basis,
        text_version=now.text_version, delivery=case.link.cause,
    )  # fmt: skip


def bury_former(tx: Tx, case: Case) -> None:
    """An address the person had before says nothing about whoever has it next."""
    plan = case.plan
    former = {one["address"] for one in case.link.consents.values() if one.get("address")} if plan and plan.rulings else set()
    left = {case.seen.address} if case.moved and case.seen.address else set()
    for address in former - {case.seen.address} | left:
        tx.tombstones.moved(address)


def note_closed(work: Work, batch: list[Case]) -> None:
    """Show in `status` and `doctor` that subscriptions are closed to us, or open again."""
    if any(case.mapping.consents for case in batch):
        why = next((case.closed for case in batch if case.closed), "")
        if why or any(READING in case.answered or WRITING in case.answered for case in batch):
            subscriptions.closed(work, why)
