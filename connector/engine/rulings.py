"""The consents of one link: who says what, what follows, and what the contact's own properties shall show. Pure."""

from collections.abc import Mapping as Names
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.engine import consent as lattice
from connector.engine.compare import as_set, elements
from connector.engine.consent import GRANTED, NOTHING, REVOKED, UNKNOWN, Ruling, Standing, Voice, Voices, decoded
from connector.engine.decide import Decision, Sides, with_strange
from connector.engine.normalise import Reading, Unreadable
from connector.engine.readings import OPTED_OUT, contact_reading, has_entry, user_consent
from connector.mapping.model import COMMUNICABLE, CONSENT, TYPOLOGIES, Consent, Field, FieldType
from connector.model import UNTOLD, ConsentState, Link, LinkState, Statement, Value

if TYPE_CHECKING:
    from connector.engine.plan import Policy, Seen

NOT_KEPT = "the CRM accepted the re-subscription and kept the opt-out; the person can lift it there"
REFUSED = "the CRM refuses the re-subscription; the person can lift the opt-out there"
EVERYTHING = "opt-out of everything"
ALL = "the address opted out of everything in the CRM; only the person can lift that"
OF_A_TYPE = (Voice.SUBSCRIPTION, Voice.FORMER, Voice.OPTOUT, Voice.LIFTED, Voice.WRITTEN)
"""What is said of one subscription type."""
AHEAD = timedelta(minutes=10)
"""How far clocks may differ before a time counts as none."""


@dataclass(frozen=True, slots=True)
class Other:
    """What stands of a consent at another provider's user who is linked to the same contact.

    wrote_grant: the CRM's status is a grant because of that one, so it is no evidence of its own, whatever time it carries.
    """

    provider: str
    type_id: str
    now: Statement
    wrote_grant: bool


def rulings(link: Link, seen: "Seen", policy: "Policy") -> tuple[Ruling, ...]:
    """What follows for each consent of the mapping."""
    return tuple(_ruling(one, link, seen, policy) for one in policy.mapping.consents)


def standing(link: Link, name: str) -> Standing:
    """What was settled about one consent of a link."""
    return decoded(link.consents.get(name))


def in_question(link: Link, found: tuple[Ruling, ...], seen: "Seen", policy: "Policy") -> bool:
    """Whether the subscription statuses of this link's address have to be read before anything is decided.

    A person's withdrawal since everything was last agreed needs no look: it goes out at once, whatever the CRM has.
    """
    asked = [one for one in found if one.consent.subscription in policy.subscriptions]
    if seen.statuses is not None or not policy.readable or not asked or not seen.address:
        return False
    return link.recheck or any(_asks(one, link, seen) for one in asked)


def _asks(ruling: Ruling, link: Link, seen: "Seen") -> bool:
    before = ruling.before
    if Voice.SUBSCRIPTION not in before.heard or before.address != seen.address:
        return True
    if not ruling.news:
        return ruling.now.state is GRANTED and before.heard[Voice.SUBSCRIPTION].state is not GRANTED and not before.held
    at, agreed = ruling.now.at, link.settled_at
    withdrawn = ruling.news == (Voice.USER,) and ruling.now.state is REVOKED and ruling.said[Voice.USER].state is REVOKED
    return not (withdrawn and at is not None and agreed is not None and at > agreed)


def times_wanted(found: tuple[Ruling, ...], seen: "Seen", policy: "Policy") -> list[str]:
    """Contact properties whose time of change decides what they are worth as evidence."""
    if seen.times is not None or seen.contact is None:
        return []
    names = [_property_of(voice, one.consent, policy) for one in found for voice in one.news]
    return [name for name in names if name]


def all_in_question(link: Link, found: tuple[Ruling, ...], seen: "Seen", policy: "Policy") -> bool:
    """Whether it has to be asked if the address opted out of everything: a status need not show that, and nobody who did is
    subscribed to anything."""
    if seen.opted_out is not None or not policy.readable or not seen.address:
        return False
    grants = [one for one in found if one.now.state is GRANTED and one.consent.subscription in policy.subscriptions]
    return any(one.to_subscription or one.held == ALL or link.recheck for one in grants)


def not_kept(ruling: Ruling) -> bool:
    """Whether the CRM accepted our writing of what stands, a grant, and kept its older opt-out all the same."""
    heard = ruling.before.heard.get(Voice.SUBSCRIPTION, NOTHING)
    ours = heard.state is GRANTED and heard.at is None and ruling.before.now == ruling.now
    return ruling.to_subscription and ruling.now.state is GRANTED and ours and ruling.said[Voice.SUBSCRIPTION].state is REVOKED


def _ruling(consent: Consent, link: Link, seen: "Seen", policy: "Policy") -> Ruling:
    type_id = _type_of(consent, policy)
    before, not_before = standing(link, consent.consent), seen.not_before
    if type_id is not None and before.type_id not in (None, type_id):
        before, not_before = _of_another_type(before), policy.now if before.now.state is not UNKNOWN else not_before
    if before.address != seen.address:
        before, not_before = _moved(before, seen, policy)
    elif before.moved:
        not_before = before.heard[Voice.MOVED].at
    heard_at = link.user_seen_at if seen.user is link.user else None
    said = {
        voice: _sober(one, (voice == Voice.USER and heard_at) or policy.now)
        for voice, one in _said(consent, before, seen, policy).items()
    }
    ours = _ours(consent, link)
    if link.state is LinkState.HELD or any(one.type_id == type_id and one.wrote_grant for one in seen.others):
        ours[Voice.SUBSCRIPTION] = GRANTED  # of a held link: somebody else's, who may have the address, too
    voices = Voices(said, policy.now, policy.readable and type_id is not None, ours, not_before, heard_at)
    return _effects(lattice.rule(consent, before, voices), seen, policy)


def _of_another_type(before: Standing) -> Standing:
    """The mapping names another subscription type since: what was heard of the former says nothing of it. It gets what stands;
    only an opt-out found there counts."""
    elsewhere = lattice.written_at("")
    heard = {name: said for name, said in before.heard.items() if name not in OF_A_TYPE and not name.startswith(elsewhere)}
    return replace(before, heard=heard, refused=None, why="")


def _sober(said: Statement, heard: datetime) -> Statement:
    """A time from the future is none: it would stand against every opt-out that is still to come. Of a day it is not known."""
    return replace(said, at=None) if said.at is not None and not said.day and said.at > heard + AHEAD else said


def _moved(before: Standing, seen: "Seen", policy: "Policy") -> tuple[Standing, datetime | None]:
    """The person has another address: what was heard of the old one says nothing of it, and a grant found there was given
    by whoever had it before. The new one gets the person's consents; only an opt-out found there counts, and one that was
    made at the old one and not heard yet."""
    heard = {name: said for name, said in before.heard.items() if name in (Voice.USER, Voice.PROPERTY)}
    heard[Voice.FORMER] = before.heard.get(Voice.SUBSCRIPTION, NOTHING)
    heard |= {Voice.MOVED: Statement(UNKNOWN, policy.now)} if before.address else {}
    ours = before.heard.get(lattice.written_at(seen.address or ""))
    if ours is not None and before.now.state is REVOKED:
        heard |= {Voice.SUBSCRIPTION: lattice.without_time(ours), Voice.WRITTEN: Statement(UNKNOWN, ours.at)}
    return replace(before, heard=heard, address=seen.address), policy.now if before.address else seen.not_before


def _said(consent: Consent, before: Standing, seen: "Seen", policy: "Policy") -> dict[str, Statement]:
    """Each voice that can be heard now."""
    said: dict[str, Statement] = {}
    if seen.user is not None and seen.user.consents is not None:
        said[Voice.USER] = user_consent(consent.consent, seen.user)
    type_id = _type_of(consent, policy)
    said |= {f"provider {one.provider}": one.now for one in seen.others if one.type_id == type_id}
    if seen.statuses is not None and type_id is not None:
        said[Voice.SUBSCRIPTION] = _status(seen.statuses.get(type_id, NOTHING), before.heard.get(Voice.SUBSCRIPTION, NOTHING))
        former = _status(seen.former.get(type_id, NOTHING), before.heard.get(Voice.FORMER, NOTHING))
        said |= {Voice.FORMER: former} if former.state is REVOKED else {}
    if consent.subscription and seen.opted_out and (seen.opted_out_at or Voice.OPTOUT_ALL in before.heard):
        said[Voice.OPTOUT_ALL] = Statement(REVOKED, seen.opted_out_at, f"hubspot: {EVERYTHING}")
    if consent.consent in seen.lifted:
        said[Voice.LIFTED] = seen.lifted[consent.consent]
    if seen.contact is None:
        return said
    if consent.property and CONSENT + consent.consent not in seen.written:
        said[Voice.PROPERTY] = _flag(consent.property, seen, "property", GRANTED, REVOKED)
    if type_id is not None and Voice.SUBSCRIPTION not in said:
        said[Voice.OPTOUT] = _flag(f"{OPTED_OUT}_{type_id}", seen, "opt-out", REVOKED, UNKNOWN)
    if consent.subscription:
        everything = _flag(OPTED_OUT, seen, EVERYTHING, REVOKED, UNKNOWN)
        status = said.get(Voice.SUBSCRIPTION, NOTHING)
        same = everything.state is status.state is REVOKED and everything.at is None
        known = before.heard.get(Voice.OPTOUT_ALL, NOTHING)
        asked = known.state is REVOKED and known.source is None  # the property need not show it: it stands until asked again
        if everything.state is REVOKED or not (asked or Voice.OPTOUT_ALL in said):
            said[Voice.OPTOUT_ALL] = replace(everything, at=status.at) if same else everything
    return said


def _status(found: Statement, heard: Statement) -> Statement:
    """A status, where one that cannot tell counts: not subscribed any more is opted out, and otherwise as it was heard."""
    if found.state is not UNKNOWN or found.source != UNTOLD:
        return found
    return replace(found, state=REVOKED) if heard.state in (GRANTED, REVOKED) else NOTHING


def _flag(name: str, seen: "Seen", what: str, yes: ConsentState, no: ConsentState) -> Statement:
    """What a yes/no property of the contact says. One that cannot be read says nothing."""
    rule = Field.model_construct(user=name, contact=name, type=FieldType.BOOL)
    try:
        value = contact_reading(rule, seen.contact).value
    except Unreadable:
        return NOTHING
    if value is None:
        return NOTHING
    return Statement(yes if value else no, (seen.times or {}).get(name), f"hubspot: {what} {name}")


def _ours(consent: Consent, link: Link) -> dict[str, ConsentState]:
    """Voice -> what an earlier worker was about to write there when nothing more was heard of it."""
    ours: dict[str, ConsentState] = {}
    for intent in link.intent:
        for change in intent["changes"]:
            if change["field"] != CONSENT + consent.consent:
                continue
            voice = Voice.USER if change["side"] == "user" else Voice.PROPERTY if change["property"] else Voice.SUBSCRIPTION
            ours[voice] = GRANTED if change["to"] in (True, GRANTED) else REVOKED
    if ours.get(Voice.SUBSCRIPTION) is REVOKED:
        ours[Voice.OPTOUT] = REVOKED  # the contact shows it, and tells no time
    return ours


def _effects(ruling: Ruling, seen: "Seen", policy: "Policy") -> Ruling:
    """What is to be written where. What cannot be written waits for a person."""
    state, consent = ruling.now.state, ruling.consent
    if state is UNKNOWN:
        return ruling
    held = _held(ruling, seen)
    to_user = (
        policy.consent_writable and ruling.name not in policy.unwritable and consent.direction.writes_user and not held
        and _user_lacks(ruling, seen)
    )  # fmt: skip
    followed = consent.direction.writes_contact or state is REVOKED
    reachable = policy.readable and _type_of(consent, policy) is not None and bool(seen.address)
    to_subscription = (
        followed and reachable and not held and _differs(ruling) and (state is REVOKED or Voice.SUBSCRIPTION in ruling.said)
    )  # fmt: skip
    wanted = {f"user.{ruling.name}": to_user, ruling.name: to_subscription}
    refused = frozenset(what for what, wants in wanted.items() if wants and _was_refused(what, ruling.now, seen))
    to_user, to_subscription = to_user and f"user.{ruling.name}" not in refused, to_subscription and ruling.name not in refused
    return replace(ruling, held=held, to_user=to_user, to_subscription=to_subscription, refused=refused)


def _user_lacks(ruling: Ruling, seen: "Seen") -> bool:
    """Whether the provider has to be told. A grant is not put in the place of a question that the person has not answered
    there, nor of a grant that is not there any more: nobody consented anew."""
    told = ruling.said.get(Voice.USER)
    if told is None or told.state is ruling.now.state:
        return False
    if ruling.now.state is REVOKED or told.state is REVOKED:
        return True
    asked = seen.user is not None and has_entry(ruling.consent.consent, seen.user)
    return not asked and ruling.before.heard.get(Voice.USER, NOTHING).state is not GRANTED


def _held(ruling: Ruling, seen: "Seen") -> str | None:
    """Why a grant cannot be followed."""
    if ruling.now.state is not GRANTED:
        return None
    out = ruling.said if seen.opted_out is False else {**ruling.before.heard, **ruling.said}
    if seen.opted_out or out.get(Voice.OPTOUT_ALL, NOTHING).state is REVOKED:
        return ALL
    return ruling.before.why if ruling.before.refused == ruling.now and _differs(ruling) else None


def _differs(ruling: Ruling) -> bool:
    """Whether the address's status is another than what stands. Unknown after our own writing is what we wrote."""
    said = _last(ruling, Voice.SUBSCRIPTION)
    heard = ruling.before.heard.get(Voice.SUBSCRIPTION, NOTHING)
    return (said if said.state is not UNKNOWN else heard).state is not ruling.now.state


def _last(ruling: Ruling, voice: str) -> Statement:
    """What a voice says now, or said when it was last heard."""
    return ruling.said.get(voice, ruling.before.heard.get(voice, NOTHING))


def _was_refused(what: str, now: Statement, seen: "Seen") -> bool:
    return what in seen.refused and seen.refused[what] == worth(now)


def worth(now: Statement) -> Value:
    """What stands, as a value that can be parked: the same consent given anew is another one."""
    return f"{now.state.value} {now.at.isoformat() if now.at else ''}".strip()


def _type_of(consent: Consent, policy: "Policy") -> str | None:
    return policy.subscriptions.get(consent.subscription) if consent.subscription else None


def _property_of(voice: str, consent: Consent, policy: "Policy") -> str | None:
    of_type = f"{OPTED_OUT}_{_type_of(consent, policy)}"
    names: dict[str, str | None] = {Voice.PROPERTY: consent.property, Voice.OPTOUT: of_type, Voice.OPTOUT_ALL: OPTED_OUT}
    return names.get(voice)


def derived(seen: "Seen", policy: "Policy", found: tuple[Ruling, ...]) -> tuple[Decision, ...]:
    """Decisions about the properties that are made of consents and typologies."""
    by_name = {one.consent.consent: one for one in found}
    rules = policy.mapping.rules[len(policy.mapping.fields) :]
    made = [_derived(rule, seen, policy, by_name) for rule in rules]
    return tuple(one for one in made if one is not None)


def shows(rule: Field, policy: "Policy") -> set[str]:
    """The consents that a property is made of: its own, or those of `communicable`."""
    communicable = policy.mapping.communicable
    if rule.user == COMMUNICABLE and communicable is not None:
        return set(communicable.any_of)
    return {rule.user.removeprefix(CONSENT)} if rule.user.startswith(CONSENT) else set()


def _derived(rule: Field, seen: "Seen", policy: "Policy", found: Names[str, Ruling]) -> Decision | None:
    if rule.user == TYPOLOGIES:
        return None
    if rule.user == COMMUNICABLE:
        assert policy.mapping.communicable is not None
        names = policy.mapping.communicable.any_of
        allowed = [name for name in names if found[name].effective is GRANTED]
        why = f"granted: {', '.join(allowed)}" if allowed else f"none of {', '.join(names)} is known to be granted"
        return _shown(rule, seen, bool(allowed), why)
    ruling = found[rule.user.removeprefix(CONSENT)]
    if ruling.effective is UNKNOWN or not ruling.consent.direction.writes_contact:
        return None
    return _shown(rule, seen, ruling.effective is GRANTED, ruling.held or ruling.rule)


def _shown(rule: Field, seen: "Seen", value: bool, why: str) -> Decision:
    """A property that shows something made of consents; nothing comes back from it this way."""
    try:
        now = contact_reading(rule, seen.contact)
    except Unreadable:
        now = Reading(None)
    sides = Sides(None, False, Reading(value), now)
    writes = now.value != value
    return Decision(rule, sides, "user" if writes else "neither", why, settled=False, writes_contact=writes, to_contact=value)


def withheld(rule: Field, sides: Sides, found: tuple[Ruling, ...]) -> Decision | None:
    """The decision about a field bound to a consent that is not given; None when it is given, or the field is bound to none.

    After a withdrawal the property is cleared where the mapping says so, of what was agreed with the user before: what somebody
    put there in the CRM since is not the user's.
    """
    ruling = next((one for one in found if one.consent.consent == rule.purpose), None)
    if rule.purpose is None or (ruling is not None and ruling.effective is GRANTED):
        return None
    why = f"withheld: no consent for {rule.purpose}"
    withdrawn = ruling is not None and ruling.effective is REVOKED
    if withdrawn and rule.on_withdrawal == "clear" and sides.base is not None:
        rest = _not_the_users(sides)
        if rest != sides.contact.value:
            return Decision(rule, sides, "user", f"{why}; on_withdrawal: clear", writes_contact=True, to_contact=rest)
        if rest is None:
            return Decision(rule, sides, "neither", why)
        why += "; the contact's value is another one by now"
    return Decision(rule, sides, "neither", why, agreed=sides.base, settled=sides.known)


def _not_the_users(sides: Sides) -> Value:
    """What the contact has beyond what was agreed with the user: options of a set, or another value."""
    value = sides.contact.value
    if isinstance(value, tuple):
        return with_strange(as_set(elements(value) - elements(sides.base)), sides.contact.strange)
    return None if value == sides.base else value
