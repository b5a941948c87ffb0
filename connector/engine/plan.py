"""What follows for one link: from what was seen of both sides to one step and the fields it writes. Pure."""

from collections.abc import Mapping as Names
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from connector.engine.decide import Decision, Sides, Times, decide
from connector.engine.normalise import Reading, Unreadable, from_contact, from_user, to_contact, to_user
from connector.mapping.model import Direction, Field, Mapping
from connector.model import Contact, Link, User, Value

ADDITIONAL = "hs_additional_emails"
"""Where HubSpot keeps a contact's other addresses, ";"-separated and read-only."""


class Step(StrEnum):
    """What to do with a link next. Each is carried out by the function of that name in `sync`."""

    CREATE_CONTACT = "create_contact"
    FIND_CONTACT = "find_contact"
    WRITE = "write"
    ARCHIVE = "archive"
    ERASE = "erase"
    CREATE_USER = "create_user"
    FIND_USER = "find_user"
    DELETE_USER = "delete_user"
    DELETED = "deleted"
    UNLINK = "unlink"
    WAIT = "wait"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was just observed of a link's two sides.

    user, contact: None when there is none yet, or it is gone. shared: another active link leads to the same contact.
    refused: property or field -> the value the other side refused for good; not tried again with that value.
    times: when the contact's properties last changed, when it was asked for.
    """

    user: User | None
    contact: Contact | None
    user_gone: bool = False
    contact_gone: bool = False
    shared: bool = False
    refused: Names[str, Value] = field(default_factory=dict)
    times: Names[str, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What a plan depends on beside the mapping.

    id_property: the unique contact property that carries the user's id. writable: the provider takes updates.
    grace: how long a missing contact is waited for before it is believed deleted.
    """

    mapping: Mapping
    id_property: str
    writable: bool
    grace: timedelta
    now: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """One step for one link. `until`: when to look again, for WAIT."""

    step: Step
    reason: str = ""
    decisions: tuple[Decision, ...] = ()
    contact_writes: Names[str, str] = field(default_factory=dict)
    user_writes: Names[str, Any] = field(default_factory=dict)
    until: datetime | None = None

    @property
    def idle(self) -> bool:
        """Nothing to write."""
        return self.step is Step.WRITE and not self.contact_writes and not self.user_writes

    @property
    def needs_times(self) -> list[str]:
        """Properties in a conflict that their time of change decides."""
        return [one.field.contact for one in self.decisions if one.needs_times]

    @property
    def held(self) -> dict[str, str]:
        """Fields that wait for a person, with why."""
        return {one.field.user: one.held for one in self.decisions if one.held}

    @property
    def drift(self) -> tuple[str, ...]:
        """Fields that differ and are left alone."""
        return tuple(one.field.user for one in self.decisions if one.drift)


def plan(link: Link, seen: Seen, policy: Policy) -> Plan:
    """Decide the next step for a link that is pending or active."""
    lifecycle = policy.mapping.lifecycle
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
        return _contact_gone(link, policy)
    return _fields(Step.WRITE, link, seen, policy)


def _user_gone(link: Link, seen: Seen, rule: str) -> Plan:
    if link.contact_id is None or seen.contact_gone:
        return Plan(Step.DELETED, "the user was deleted; there is no contact to follow")
    if seen.shared:
        return Plan(Step.DELETED, "the user was deleted; the contact stays, another user is linked to it")
    steps = {"archive_contact": Step.ARCHIVE, "erase_contact": Step.ERASE, "unlink": Step.DELETED}
    return Plan(steps[rule], f"the user was deleted; lifecycle.user_deleted: {rule}")


def _contact_gone(link: Link, policy: Policy) -> Plan:
    """A merge looks like deletions first, so a missing contact is believed only after the grace."""
    believed = (link.gone_since or policy.now) + policy.grace
    if policy.now < believed:
        return Plan(Step.WAIT, "the contact is missing; a merge may still explain it", until=believed)
    if policy.mapping.lifecycle.contact_deleted == "delete_user":
        return Plan(Step.DELETE_USER, "the contact was deleted in the CRM; lifecycle.contact_deleted: delete_user")
    return Plan(Step.UNLINK, "the contact was deleted in the CRM")


def _fields(step: Step, link: Link, seen: Seen, policy: Policy) -> Plan:
    """The fields of a step. Those bound to a purpose are withheld: without consents there is none to stand on."""
    decisions = tuple(_decide(one, link, seen, policy) for one in policy.mapping.fields if one.purpose is None)
    to_contacts = {
        one.field.contact: to_contact(one.to_contact)
        for one in decisions
        if one.writes_contact and not _refused(one.field.contact, one.to_contact, seen)
    }
    if link.user_id and seen.contact and seen.contact.properties.get(policy.id_property) != link.user_id:
        to_contacts[policy.id_property] = link.user_id
    to_users = {
        one.field.user: to_user(one.field, one.to_user, one.sides.user.strange)
        for one in decisions
        if one.writes_user and policy.writable and not _refused(f"user.{one.field.user}", one.to_user, seen)
    }
    return Plan(step, decisions=decisions, contact_writes=to_contacts, user_writes=to_users)


def _refused(name: str, value: Value, seen: Seen) -> bool:
    return name in seen.refused and seen.refused[name] == value


def _decide(rule: Field, link: Link, seen: Seen, policy: Policy) -> Decision:
    if not policy.writable and rule.direction == "both":  # what cannot be written back is not agreed on by trying
        rule = rule.model_copy(update={"direction": Direction.TO_CONTACT})
    base, known = link.base.get(rule.user), rule.user in link.base
    try:
        sides = Sides(base, known, user_reading(rule, seen.user), contact_reading(rule, seen.contact))
    except Unreadable as error:
        blank = Reading(base)
        return Decision(rule, Sides(base, known, blank, blank), "both", str(error), agreed=base, settled=known, held=str(error))
    sides = _unheard(rule, link, _alike(rule, link, seen, sides))
    if seen.user is not None and rule.user != "id" and rule.user not in seen.user.values:  # not told is not blank
        if not sides.known and rule.direction != "to_user":  # to_user: the contact decides anyway
            drift = sides.contact.value is not None
            return Decision(rule, sides, "neither", "the provider does not tell this field", settled=False, drift=drift)
        sides = replace(sides, user=Reading(sides.base))
    times = None
    if seen.times is not None:
        times = Times(seen.user.updated_at if seen.user else None, seen.times.get(rule.contact))
    return decide(rule, sides, times, policy.mapping.defaults.newest_fallback)


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


def additional_emails(contact: Contact) -> set[str]:
    """A contact's other addresses in normal form."""
    return {one.strip().lower() for one in (contact.properties.get(ADDITIONAL) or "").split(";") if one.strip()}


def user_reading(rule: Field, user: User | None) -> Reading:
    """One field of a user in normal form. Raises Unreadable, naming the side."""
    try:
        raw = None if user is None else user.id if rule.user == "id" else user.values.get(rule.user)
        return from_user(rule, raw)
    except Unreadable as error:
        raise Unreadable(f"the user's value {error}") from None


def contact_reading(rule: Field, contact: Contact | None) -> Reading:
    """One field of a contact in normal form. Raises Unreadable, naming the side."""
    try:
        return from_contact(rule, contact.properties.get(rule.contact) if contact else None)
    except Unreadable as error:
        raise Unreadable(f"the contact's value {error}") from None


def wanted_properties(mapping: Mapping, id_property: str) -> list[str]:
    """The contact properties an observation needs: what the mapping names, the id, other addresses."""
    return sorted({*(one.contact for one in mapping.fields), id_property, ADDITIONAL, "email"})


def same_user(mapping: Mapping, one: User, other: User) -> bool:
    """Whether two observations of a user are alike in everything the mapping looks at."""
    if one.memberships != other.memberships or one.consents != other.consents:
        return False
    return all(_safe(user_reading, rule, one) == _safe(user_reading, rule, other) for rule in mapping.fields)


def tells_nothing_new(mapping: Mapping, contact: Contact, name: str, text: str | None) -> bool:
    """Whether a property already has this value on the contact as last seen: an echo, or a repeat."""
    rules = [rule for rule in mapping.fields if rule.contact == name]
    told = Contact(contact.id, {name: text})
    return all(_safe(contact_reading, rule, told) == _safe(contact_reading, rule, contact) for rule in rules)


def whole(mapping: Mapping, user: User) -> bool:
    """Whether a user carries every field the mapping looks at, so that nothing needs to be read."""
    return all(rule.user == "id" or rule.user in user.values for rule in mapping.fields)


def _safe(read: Any, rule: Field, record: Any) -> Any:
    try:
        return read(rule, record)
    except Unreadable as error:
        return str(error)
