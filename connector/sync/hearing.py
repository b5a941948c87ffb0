"""What is heard of a batch's consents before anything is decided for good: types, statuses, opt-outs, and what others said."""

from dataclasses import replace
from typing import Any

from connector.engine.consent import GRANTED, NOTHING, UNKNOWN, Voice, decoded
from connector.engine.plan import STOPPING
from connector.engine.rulings import NOT_KEPT, Other, not_kept
from connector.errors import Denied, Transient, Unavailable
from connector.mapping.model import CONSENT
from connector.model import Link, LinkState, Statement
from connector.sync.case import Case
from connector.sync.standings import addresses_before, remember_refusal
from connector.sync.types import unknown
from connector.sync.work import Work

READING = "subscription.read"
"""The kind of call these are."""

LOOKS = 3
"""At a status that is not told any more."""

LEFT_OUT = "hubspot: subscriptions: read: the answer leaves out the status of a type that it told before"


def know_types(work: Work, batch: list[Case]) -> None:
    """Tell each case which subscription types its mapping means. Where the CRM tells none, consents go without."""
    asking = [case for case in batch if any(one.subscription for one in case.mapping.consents)]
    try:
        found = {case.link.provider: work.types.of(case.mapping) for case in asking}
    except Denied as error:
        for case in asking:
            case.closed = str(error)
            case.policy = replace(case.policy, subscriptions=_named_by_id(case))
    except Transient as error:
        _fail(asking, READING, error)
    else:
        for case in asking:
            types = found[case.link.provider]
            case.policy = replace(case.policy, subscriptions=types, readable=bool(types))
            case.closed = unknown(case.mapping, types)


def _named_by_id(case: Case) -> dict[str, str]:
    """Types that the mapping names by their id: what the contact tells of an opt-out from them can be heard all the same."""
    words = [one.subscription for one in case.mapping.consents if one.subscription]
    return {word: word for word in words if word.isdigit()}


def look(work: Work, batch: list[Case]) -> None:
    """Read the statuses of those addresses on which something depends, and decide again."""
    _hear_others(work, batch)
    _look_at_statuses(work, [case for case in batch if case.open and case.plan is not None and case.plan.asks])
    _look_at_all(work, [case for case in batch if case.open and case.plan is not None and case.plan.asks_all])


def _look_at_statuses(work: Work, asking: list[Case], looks: int = LOOKS) -> None:
    if not asking:
        return
    try:
        found = work.crm.statuses([*_addresses(asking), *(one for case in asking if (one := _former(case)))])
        before = _buried(work, asking)
    except Denied as error:
        close(asking, str(error))
        return
    except Transient as error:
        _fail(asking, READING, error)
        return
    for case in asking:
        case.answered.add(READING)
        address = case.seen.address or ""
        told = {**(case.seen.statuses or {}), **found.get(address, {})}
        former = {**case.seen.former, **found.get(_former(case) or "", {})}
        case.seen = replace(case.seen, statuses=told, former=former, not_before=before.get(address))
        for ruling in [one for one in case.decide().rulings if not_kept(one)]:
            remember_refusal(case, ruling, NOT_KEPT)
    if looks > 1:
        again = [case for case in asking if _left_out(case, Voice.SUBSCRIPTION, Voice.FORMER)]
        _look_at_statuses(work, again, looks - 1)
        return
    for case in asking:
        if any(one.state is not UNKNOWN for one in _left_out(case, Voice.SUBSCRIPTION)):
            case.failed(READING, Unavailable(LEFT_OUT))


def _left_out(case: Case, *voices: Voice) -> list[Statement]:
    """What the CRM told before, and leaves out now that something is to be granted: it may be an opt-out by now."""
    told = {Voice.SUBSCRIPTION: case.seen.statuses or {}, Voice.FORMER: case.seen.former}
    granting = [one for one in case.decided.rulings if one.to_subscription and one.now.state is GRANTED]
    found = [
        one.before.heard.get(voice, NOTHING)
        for one in granting for voice in voices
        if case.policy.subscriptions[one.consent.subscription or ""] not in told[voice]
    ]  # fmt: skip
    return [one for one in found if one != NOTHING]


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
        close(batch, str(error))
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


def close(batch: list[Case], why: str) -> None:
    """Go on without what the CRM does not let us see."""
    for case in batch:
        case.closed = why
        case.policy = replace(case.policy, readable=False)
        case.decide()


def _fail(batch: list[Case], call: str, error: Transient) -> None:
    for case in batch:
        case.failed(call, error)
