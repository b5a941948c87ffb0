"""What follows for one link: from what was seen of both sides to one step and the fields it writes. Pure."""

from collections.abc import Iterable, Sequence, Set
from collections.abc import Mapping as Names
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from connector.engine.consent import Ruling, Voice
from connector.engine.decide import Decision, Sides, Times, decide, hold
from connector.engine.normalise import Reading, Unreadable, to_contact, to_user
from connector.engine.readings import additional_emails, contact_reading, user_reading
from connector.engine.rulings import (
    Other,
    all_in_question,
    derived,
    in_question,
    rulings,
    shows,
    times_wanted,
    withheld,
)
from connector.engine.typologies import memberships, refused_memberships, typologies
from connector.mapping.model import TYPOLOGIES, Direction, Field, Mapping
from connector.model import ConsentState, Contact, Link, LinkState, Statement, User, Value

CONTACT_DELETED = "the contact was deleted in the CRM"
"""The reason of a link that a deletion cut, not a person."""


class Step(StrEnum):
    """What to do with a link next. Each is carried out by the function of that name in `sync`."""

    CREATE_CONTACT = "create_contact"
    FIND_CONTACT = "find_contact"
    WRITE = "write"
    ARCHIVE = "archive"
    CREATE_USER = "create_user"
    FIND_USER = "find_user"
    DELETE_USER = "delete_user"
    DELETED = "deleted"
    UNLINK = "unlink"
    WAIT = "wait"
    FORGET = "forget"
    FORGET_PERSON = "forget_person"
    STAY_HELD = "stay_held"


STOPPING = (Step.STAY_HELD, Step.WAIT, Step.UNLINK, Step.DELETE_USER)
"""Steps in which nothing is written of the user's but withdrawals of consents."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was just observed of a link's two sides.

    user, contact: None when there is none yet, or it is gone. shared: another active link leads to the same contact.
    refused: property or field -> the value the other side refused for good; not tried again with that value.
    times: when the contact's properties last changed, when it was asked for.
    address: the email address consents hang on, in lower case. statuses: subscription type id -> what the CRM says about that
        address, when it was asked. opted_out: it opted out of everything, when that was asked; opted_out_at: since when.
    former: statuses of the address they hung on before, when it is another one.
    not_before: what the CRM says about the address up to then was about somebody else.
    others: consents of other providers' users who are linked to the same contact.
    written: what we have written to the contact since; it says nothing of its own.
    lifted: consent -> an opt-out of which we only hear because our writing of a grant lifted it.
    """

    user: User | None
    contact: Contact | None
    user_gone: bool = False
    contact_gone: bool = False
    shared: bool = False
    refused: Names[str, Value] = field(default_factory=dict)
    times: Names[str, datetime] | None = None
    address: str | None = None
    statuses: Names[str, Statement] | None = None
    former: Names[str, Statement] = field(default_factory=dict)
    opted_out: bool | None = None
    opted_out_at: datetime | None = None
    not_before: datetime | None = None
    others: tuple[Other, ...] = ()
    written: Set[str] = frozenset()
    lifted: Names[str, Statement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a plan depends on beside the mapping.

    id_property: the unique contact property that carries the user's id. writable: the provider takes updates.
    unwritable: user fields that it does not take all the same, consents as `consent.<name>`, memberships as `typologies.<key>`.
    grace: how long a missing contact is waited for before it is believed deleted.
    subscriptions: the mapping's word for a subscription type -> its id. readable: their statuses can be read and written.
    consent_writable, memberships_writable: the provider takes consents, and memberships.
    options: property -> the options it has in the portal, where that was asked.
    """

    mapping: Mapping
    id_property: str
    writable: bool
    grace: timedelta
    now: datetime
    subscriptions: Names[str, str] = field(default_factory=dict)
    readable: bool = False
    consent_writable: bool = False
    memberships_writable: bool = False
    unwritable: Set[str] = frozenset()
    options: Names[str, Set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One step for one link.

    memberships: the user's by key that are to be given (True) or taken away (False).
    until: when to look again, for WAIT. asks: subscription statuses have to be read first. asks_all: whether the address opted
    out of everything. evidence: properties whose time of change says what they are worth as evidence of a consent.
    refused: consents and memberships that are not written because the other side refused them, as they are parked.
    """

    step: Step
    reason: str = ""
    decisions: tuple[Decision, ...] = ()
    contact_writes: Names[str, str] = field(default_factory=dict)
    user_writes: Names[str, Any] = field(default_factory=dict)
    memberships: Names[str, bool] = field(default_factory=dict)
    until: datetime | None = None
    rulings: tuple[Ruling, ...] = ()
    asks: bool = False
    asks_all: bool = False
    evidence: tuple[str, ...] = ()
    refused: Set[str] = frozenset()

    @property
    def idle(self) -> bool:
        """Nothing to write."""
        consents = any(one.to_user or one.to_subscription for one in self.rulings)
        return self.step is Step.WRITE and not (self.contact_writes or self.user_writes or self.memberships or consents)

    @property
    def blanks(self) -> bool:
        """Whether a value that is there would be blanked, on either side."""
        return any(
            (one.writes_contact and one.to_contact is None and one.sides.contact.value is not None)
            or (one.writes_user and one.to_user is None and one.sides.user.value is not None)
            for one in self.decisions
        )

    @property
    def needs_times(self) -> list[str]:
        """Properties in a conflict that their time of change decides."""
        return [*(one.field.contact for one in self.decisions if one.needs_times), *self.evidence]

    @property
    def held(self) -> dict[str, str]:
        """Fields and consents that wait for a person, with why."""
        told = {one.field.user: one.held for one in self.decisions if one.held}
        return told | {one.name: one.held for one in self.rulings if one.held}

    @property
    def drift(self) -> tuple[str, ...]:
        """Fields that differ and are left alone."""
        return tuple(one.field.user for one in self.decisions if one.drift)


def plan(link: Link, seen: Seen, policy: Policy) -> Plan:
    """Decide the next step for a link that is pending or active."""
    lifecycle = policy.mapping.lifecycle
    if link.erasure:
        return Plan(Step.FORGET_PERSON, f"the person asked to be forgotten; lifecycle.user_erased: {lifecycle.user_erased}")
    if link.state is LinkState.HELD and not (seen.user_gone and link.contact_id is None):
        return _withdrawals(link, seen, policy)
    if seen.user_gone:
        return _user_gone(link, seen, lifecycle.user_deleted)
    if link.user_id is None:
        if seen.contact is None:
            return Plan(Step.FORGET, "the contact is gone before its user was created")
        step = Step.CREATE_USER if lifecycle.contact_created == "create_user" else Step.FIND_USER
        return _fields(step, link, seen, policy)
    if seen.user is None:
        return Plan(Step.WAIT, "the provider does not know this user yet", until=policy.now + policy.grace)
    if link.contact_id is None:
        if lifecycle.user_created == "ignore":
            return Plan(Step.FORGET, "lifecycle.user_created: ignore")
        step = Step.CREATE_CONTACT if lifecycle.user_created == "create_contact" else Step.FIND_CONTACT
        return _fields(step, link, seen, policy)
    if seen.contact_gone:
        return _contact_gone(link, seen, policy)
    return _fields(Step.WRITE, link, seen, policy)


def _withdrawals(link: Link, seen: Seen, policy: Policy) -> Plan:
    """A link that waits is left alone, but for one thing: who says stop is not mailed meanwhile.

    Without a contact that is about the user's own address, which somebody else's contact may have: what the CRM says about it
    is read first, so that it is known whether a grant is taken away.
    """
    out = ConsentState.REVOKED
    everything = rulings(link, seen, policy)
    found = [one for one in everything if one.now.state is out and Voice.USER in one.said]
    found = [replace(one, to_user=False) for one in found if one.said[Voice.USER].state is out]
    asks = seen.contact is None and seen.statuses is None and any(one.to_subscription for one in found)
    goes = _goes_with(found, everything, link, seen, policy)
    return Plan(
        Step.STAY_HELD, link.reason or "", decisions=goes, contact_writes=_to_contact(goes, seen),
        rulings=tuple(found), asks=asks, evidence=tuple(times_wanted(tuple(found), seen, policy)),
    )  # fmt: skip


def _goes_with(
    withdrawn: Sequence[Ruling], found: tuple[Ruling, ...], link: Link, seen: Seen, policy: Policy
) -> tuple[Decision, ...]:
    """What the contact of a held link must not show or keep after these withdrawals. Nothing is granted or filled in. Whose
    values a contact has that another user's link leads to, too, is for a person to say."""
    if seen.contact is None:
        return ()
    names = {one.consent.consent for one in withdrawn}
    fields = policy.mapping.fields if not seen.shared else ()
    bound = [_decide(one, link, seen, policy, found) for one in fields if one.purpose in names]
    shown = [one for one in derived(seen, policy, found) if not one.to_contact and names & shows(one.field, policy)]
    return (*bound, *shown)


def _user_gone(link: Link, seen: Seen, rule: str) -> Plan:
    if link.contact_id is None or seen.contact_gone:
        return Plan(Step.DELETED, "the user was deleted; there is no contact to follow")
    if seen.shared:
        return Plan(Step.DELETED, "the user was deleted; the contact stays, another user is linked to it")
    steps = {"archive_contact": Step.ARCHIVE, "erase_contact": Step.FORGET_PERSON, "unlink": Step.DELETED}
    return Plan(steps[rule], f"the user was deleted; lifecycle.user_deleted: {rule}")


def _contact_gone(link: Link, seen: Seen, policy: Policy) -> Plan:
    """A merge looks like deletions first, so a missing contact is believed only after the grace.

    Who says stop until then has said it of the address, which another contact may have next.
    """
    believed, stopping = (link.gone_since or policy.now) + policy.grace, _withdrawals(link, seen, policy)
    if policy.now < believed:
        return replace(stopping, step=Step.WAIT, reason="the contact is missing; a merge may still explain it", until=believed)
    if policy.mapping.lifecycle.contact_deleted == "delete_user":
        why = "the contact was deleted in the CRM; lifecycle.contact_deleted: delete_user"
        return replace(stopping, step=Step.DELETE_USER, reason=why)
    return replace(stopping, step=Step.UNLINK, reason=CONTACT_DELETED)


def _fields(step: Step, link: Link, seen: Seen, policy: Policy) -> Plan:
    """The fields and consents of a step."""
    found = rulings(link, seen, policy)
    decisions = [_released(_decide(one, link, seen, policy, found), link, found) for one in policy.mapping.fields]
    classes = typologies(link, seen, policy)
    decisions += [*classes, *derived(seen, policy, found)]
    to_contacts = _to_contact(decisions, seen)
    if link.user_id and seen.contact and seen.contact.properties.get(policy.id_property) != link.user_id:
        to_contacts[policy.id_property] = link.user_id
    to_users = {
        one.field.user: to_user(one.field, one.to_user, one.sides.user.strange)
        for one in decisions
        if one.writes_user
        and one.field.user != TYPOLOGIES
        and policy.writable
        and not _refused(f"user.{one.field.user}", one.to_user, seen)
    }
    refused = {what for one in found for what in one.refused} | {
        what for one in classes for what in refused_memberships(one, seen)
    }
    return Plan(
        step, decisions=tuple(decisions), contact_writes=to_contacts, user_writes=to_users, rulings=found,
        memberships={key: held for one in classes for key, held in memberships(one).items()},
        asks=in_question(link, found, seen, policy), asks_all=all_in_question(link, found, seen, policy),
        evidence=tuple(times_wanted(found, seen, policy)),
        refused=refused,
    )  # fmt: skip


def _to_contact(decisions: Iterable[Decision], seen: Seen) -> dict[str, str]:
    """The contact's properties to write, but for those it refused with the same value."""
    return {
        one.field.contact: to_contact(one.to_contact)
        for one in decisions
        if one.writes_contact and not _refused(one.field.contact, one.to_contact, seen)
    }


def _refused(name: str, value: Value, seen: Seen) -> bool:
    return name in seen.refused and seen.refused[name] == value


def _decide(rule: Field, link: Link, seen: Seen, policy: Policy, found: tuple[Ruling, ...]) -> Decision:
    one_way = not policy.writable or rule.user in policy.unwritable
    if one_way and rule.direction == "both":  # what cannot be written back is not agreed on by trying
        rule = rule.model_copy(update={"direction": Direction.TO_CONTACT})
    base, known = link.base.get(rule.user), rule.user in link.base
    try:
        sides = Sides(base, known, user_reading(rule, seen.user), contact_reading(rule, seen.contact))
    except Unreadable as error:
        return hold(rule, Sides(base, known, Reading(base), Reading(base)), str(error))
    sides = _unheard(rule, link, _alike(rule, link, seen, sides))
    if (kept_back := withheld(rule, sides, found)) is not None:
        return kept_back if known or rule.user not in seen.written else _written_before(kept_back)
    if seen.user is not None and rule.user != "id" and rule.user not in seen.user.values:  # not told is not blank
        if not sides.known and rule.direction != "to_user":  # to_user: the contact decides anyway
            drift = sides.contact.value is not None
            return Decision(rule, sides, "neither", "the provider does not tell this field", settled=False, drift=drift)
        sides = replace(sides, user=Reading(sides.base))
    times = None
    if seen.times is not None:
        times = Times(seen.user.updated_at if seen.user else None, seen.times.get(rule.contact))
    return decide(rule, sides, times, policy.mapping.defaults.newest_fallback, policy.options.get(rule.contact))


def _written_before(one: Decision) -> Decision:
    """The contact was made with the value just before its consent was out: it goes, or stays, like any other that was agreed."""
    return Decision(one.field, one.sides, "neither", one.rule, agreed=one.sides.contact.value)


def _released(one: Decision, link: Link, found: tuple[Ruling, ...]) -> Decision:
    """Say so where a consent lets a field be written that was withheld since the first link."""
    granted = ConsentState.GRANTED
    given = [ruling for ruling in found if ruling.consent.consent == one.field.purpose and ruling.effective is granted]
    new = not one.sides.known or any(ruling.before.effective is not granted for ruling in given)
    if not (given and new and link.base and (one.writes_contact or one.writes_user)):
        return one
    return replace(one, rule=f"consent for {one.field.purpose} is given now: {one.rule.removeprefix('first link: ')}")


def _alike(rule: Field, link: Link, seen: Seen, sides: Sides) -> Sides:
    """What the CRM made of our own write counts as what we wrote, and an additional address as the address."""
    contact = sides.contact
    if sides.known and rule.user in link.echo and contact.value == link.echo[rule.user]:
        contact = Reading(sides.base, contact.strange)
    if rule.contact == "email" and seen.contact and sides.user.value in additional_emails(seen.contact):
        contact = Reading(sides.user.value)
    return replace(sides, contact=contact)


def _unheard(rule: Field, link: Link, sides: Sides) -> Sides:
    """A side that holds what we were about to write has it from us: both sides had that value then, nobody changed it since.

    Of several intents the last one counts: an earlier value may be there because somebody went back to it. Sets need none of
    this: what both sides already have merges into nothing new.
    """
    changes = [change for intent in link.intent for change in intent["changes"] if change["field"] == rule.user]
    if not changes or rule.type == "set":
        return sides
    held = sides.contact.value if changes[-1]["side"] == "contact" else sides.user.value
    return replace(sides, base=held, known=True) if changes[-1]["to"] == held else sides
