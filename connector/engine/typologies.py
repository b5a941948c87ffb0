"""The classes of user that a contact shows, and, where the mapping says so, the memberships a user gets in return. Pure."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from connector.engine.compare import as_set, elements
from connector.engine.decide import Decision, Sides, decide, hold
from connector.engine.normalise import Reading, Unreadable, to_user
from connector.engine.readings import contact_reading, user_reading
from connector.mapping.model import TYPOLOGIES, Field, Mapping
from connector.model import Contact, Link, Value

if TYPE_CHECKING:
    from connector.engine.plan import Policy, Seen

GIVEN, TAKEN = "given", "taken"
"""What is to become of a membership, as a value that can be parked."""


def typologies(link: Link, seen: "Seen", policy: "Policy") -> list[Decision]:
    """The decision about the typologies; none where the mapping has none, or the provider does not tell any.

    With `both` a user of whom none is told has those that were agreed on: a server may leave out what is empty.
    """
    given = policy.mapping.typologies
    if given is None or seen.user is None or (seen.user.memberships is None and not given.both):
        return []
    rule = next(one for one in policy.mapping.rules if one.user == TYPOLOGIES)
    base, known = link.base.get(TYPOLOGIES), TYPOLOGIES in link.base
    try:
        sides = Sides(base, known, user_reading(rule, seen.user), contact_reading(rule, seen.contact))
    except Unreadable as error:
        return [hold(rule, Sides(base, known, Reading(base), Reading(base)), str(error))]
    if seen.user.memberships is None:
        sides = replace(sides, user=Reading(sides.base))
    sides = _with_intents(sides, rule, link)
    fallback, options = policy.mapping.defaults.newest_fallback, policy.options.get(rule.contact)
    decided = decide(rule, _gained(sides, given.remove), None, fallback, options)
    somewhere = elements(sides.user.value) | elements(sides.contact.value)
    decided = replace(decided, agreed=as_set(elements(decided.agreed) & somewhere))
    return [_returned(decided, link, seen, policy) if given.both else decided]


def agreed_after_merge(link: Link, contact: Contact | None, mapping: Mapping) -> Value:
    """What of the agreed typologies still is once a link leads to another contact than was seen last: those that this one has.

    The others nobody took away: they are not agreed any more.
    """
    base = link.base.get(TYPOLOGIES)
    if link.contact is None or contact is None or link.contact.id == contact.id:
        return base
    try:
        shown = [contact_reading(one, contact) for one in mapping.rules if one.user == TYPOLOGIES]
    except Unreadable:
        return base
    return as_set(elements(base) & frozenset(value for one in shown for value in elements(one.value)))


def _with_intents(sides: Sides, rule: Field, link: Link) -> Sides:
    """What a side has, or lacks, as we were about to make it, it has from us: that was agreed on then."""
    base = elements(sides.base)
    changes = [change for intent in link.intent for change in intent["changes"] if change["field"] == TYPOLOGIES]
    for change in changes:
        before, after = _options(rule, change["from"]), _options(rule, change["to"])
        held = elements((sides.contact if change["side"] == "contact" else sides.user).value)
        base = (base | ((after - before) & held)) - ((before - after) - held)
    return replace(sides, base=as_set(base), known=sides.known or bool(changes))


def _options(rule: Field, told: Any) -> frozenset[str]:
    """The mapping's options among what an intent tells: a contact's options, or the key of a membership."""
    values = rule.values or {}
    found = (values.get(told),) if isinstance(told, str) else told or ()
    return frozenset(values.values()) & frozenset(found)


def _gained(sides: Sides, remove: bool) -> Sides:
    """Unless they are removed as well, a typology the user had once still counts, as long as a side has it."""
    if remove or not sides.known:
        return sides
    return replace(sides, user=replace(sides.user, value=as_set(elements(sides.user.value) | elements(sides.base))))


def _returned(decided: Decision, link: Link, seen: "Seen", policy: "Policy") -> Decision:
    """The same decision, with what marketing added to the contact, and with `remove` took from it, done to the user."""
    assert policy.mapping.typologies is not None
    sides = decided.sides
    mine, theirs, base = elements(sides.user.value), elements(sides.contact.value), elements(sides.base)
    added = theirs - mine - base
    gone = (mine & base) - theirs if policy.mapping.typologies.remove and seen.contact else frozenset[str]()
    added = frozenset(one for one in added if _possible(decided.field, one, GIVEN, seen, policy))
    gone = frozenset(one for one in gone if _possible(decided.field, one, TAKEN, seen, policy))
    if not added and not gone:
        return decided
    told = "changed in the CRM: " + " and ".join(word for word, some in (("added", added), ("taken away", gone)) if some)
    agreed = as_set((elements(decided.agreed) | added) - gone)
    return replace(decided, rule=told, writes_user=True, to_user=as_set((mine | added) - gone), agreed=agreed, drift=False)


def _possible(rule: Field, option: str, wanted: str, seen: "Seen", policy: "Policy") -> bool:
    key = _key(rule, option)
    able = policy.memberships_writable and name_of(key) not in policy.unwritable
    return able and seen.refused.get(f"user.{name_of(key)}") != wanted


def memberships(decided: Decision) -> dict[str, bool]:
    """The user's memberships that are to be given (True) or taken away (False), by their key."""
    if not decided.writes_user:
        return {}
    before, after = elements(decided.sides.user.value), elements(decided.to_user)
    return {_key(decided.field, one): one in after for one in sorted(before ^ after)}


def refused_memberships(decided: Decision, seen: "Seen") -> set[str]:
    """What the provider refused to give or take, and is still wanted; under the names they are parked by."""
    mine, theirs = elements(decided.sides.user.value), elements(decided.sides.contact.value)
    wanted = dict.fromkeys(theirs - mine, GIVEN) | dict.fromkeys(mine - theirs, TAKEN)
    names = {f"user.{name_of(_key(decided.field, option))}": what for option, what in wanted.items()}
    return {name for name, what in names.items() if seen.refused.get(name) == what}


def name_of(key: str) -> str:
    """What a membership is called where fields and consents have names, too."""
    return f"{TYPOLOGIES}.{key}"


def _key(rule: Field, option: Value) -> str:
    return str(to_user(rule, (str(option),))[0])


def worth(held: bool) -> Value:
    """What was to become of a membership, as it is parked."""
    return GIVEN if held else TAKEN
