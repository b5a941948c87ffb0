"""What follows for one field under its mapping entry. Pure.

The words in `Decision.rule` are what `explain` and the history show to people.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

from connector.engine.compare import Verdict, as_set, compare, elements, follow, merge_sets
from connector.engine.normalise import Reading
from connector.mapping.model import Field
from connector.model import Value

NOTHING_TO_MERGE = "nothing to add or remove"


@dataclass(frozen=True, slots=True)
class Sides:
    """One field as both sides hold it, in normal form.

    known: whether base is an agreement; without one this is the first meeting of the two values.
    """

    base: Value
    known: bool
    user: Reading
    contact: Reading


@dataclass(frozen=True, slots=True)
class Times:
    """When each side changed the field, UTC; None where it does not say."""

    user: datetime | None = None
    contact: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one field.

    to_contact, to_user: what to write there, in normal form; only meaningful where `writes_contact` / `writes_user`.
    agreed: the base once those writes are confirmed.
    settled: whether there is a base afterwards at all.
    held: why a person has to decide; nothing is written to the side it concerns.
    lacks: options that would be added on the contact, and that the portal does not have. They are neither written nor agreed.
    drift: the sides differ and the mapping says to leave it.
    needs_times: a conflict that `newest` decides, and the contact's time is not known yet.
    """

    field: Field
    sides: Sides
    verdict: Verdict
    rule: str
    agreed: Value = None
    settled: bool = True
    writes_contact: bool = False
    writes_user: bool = False
    to_contact: Value = None
    to_user: Value = None
    held: str | None = None
    lacks: tuple[str, ...] = ()
    drift: bool = False
    conflict: bool = False
    needs_times: bool = False


def decide(field: Field, sides: Sides, times: Times | None, fallback: str, options: Set[str] | None = None) -> Decision:
    """Decide one field. times: None when not asked for yet. fallback: who wins `newest` where a side gives no time.

    options: those the property has in the portal; None where nobody asked. Only a set can do without some of its elements.
    """
    if field.type == "set":
        return _decide_set(field, sides, options)
    if sides.user.strange or (sides.contact.strange and field.direction != "to_contact"):
        return _strange(field, sides)
    user, contact = sides.user.value, sides.contact.value
    if user == contact:
        return Decision(field, sides, "neither", "both sides agree", agreed=user)
    verdict = _verdict(field, sides)
    if verdict == "neither":
        return _leave(field, sides, "neither", "a blank does not overwrite a value (on_blank: keep)")
    if verdict == "user":
        return _from_user(field, sides)
    if verdict == "contact":
        return _from_contact(field, sides)
    return _conflict(field, sides, times, fallback)


def _verdict(field: Field, sides: Sides) -> Verdict:
    """Who changed the field, when a blank that may not overwrite anything counts as no change."""
    user, contact = sides.user.value, sides.contact.value
    if not sides.known:
        return "contact" if user is None else "user" if contact is None else "both"
    verdict = compare(sides.base, user, contact)
    if field.on_blank == "clear":
        return verdict
    if user is None and verdict in ("user", "both"):
        return "contact" if verdict == "both" else "neither"
    if contact is None and verdict in ("contact", "both") and not field.enforce:
        return "user" if verdict == "both" else "neither"
    return verdict


def _from_user(field: Field, sides: Sides) -> Decision:
    first = "" if sides.known else "first link: the contact's blank is filled"
    if field.direction == "to_user":
        return _leave(field, sides, "user", "the user differs; direction: to_user leaves it until the contact changes")
    return _write_contact(field, sides, "user", first or "only the user changed")


def _from_contact(field: Field, sides: Sides) -> Decision:
    if field.direction == "to_contact":
        if field.enforce and sides.known and not (sides.user.value is None and field.on_blank == "keep"):
            return _write_contact(field, sides, "contact", "changed in the CRM; enforce: true puts the user's value back")
        return _leave(field, sides, "contact", "the contact differs; direction: to_contact leaves it until the user changes")
    rule = "only the contact changed" if sides.known else "first link: the user's blank is filled"
    return _write_user(field, sides, "contact", rule)


def _conflict(field: Field, sides: Sides, times: Times | None, fallback: str) -> Decision:
    """Both moved, to different values: the direction decides where there is only one, else the policy."""
    if field.direction == "to_contact":
        return _write_contact(field, sides, "both", "both changed; direction: to_contact", conflict=sides.known)
    if field.direction == "to_user":
        return _write_user(field, sides, "both", "both changed; direction: to_user", conflict=sides.known)
    met = "both changed" if sides.known else "first link: both have a value"
    if field.conflict == "hold":
        return hold(field, sides, f"{met}; conflict: hold")
    winner: str = field.conflict
    if winner in ("user", "contact"):
        rule = f"{met}; conflict: {winner}"
    elif times is None:
        return Decision(field, sides, "both", met, settled=False, needs_times=True)
    elif times.user is None or times.contact is None or times.user == times.contact:
        winner, rule = fallback, f"{met}; conflict: newest, but no time tells: {fallback}"
    else:
        winner = "user" if times.user > times.contact else "contact"
        rule = f"{met}; conflict: newest is the {winner}"
    if winner == "hold":
        return hold(field, sides, rule)
    write = _write_user if winner == "contact" else _write_contact
    return write(field, sides, "both", rule, conflict=True)


def _decide_set(field: Field, sides: Sides, options: Set[str] | None) -> Decision:
    """Sets are merged element by element; options one side does not know stay where they are and are held."""
    user, contact = sides.user, sides.contact
    agreed, to_contact, to_user, lacks = _merged(field, sides, options)
    writes_contact, writes_user = to_contact != contact.value, to_user != user.value
    writes = writes_contact or writes_user
    strange = [f"the user's {one!r}" for one in user.strange]
    strange += [f"the contact's {one!r}" for one in contact.strange if field.direction != "to_contact"]
    why = "is not in `values`" if field.values else "would be several options in the CRM"
    rule = "merged element by element" if writes else NOTHING_TO_MERGE
    if lacks:
        rule += f", but for {', '.join(map(repr, lacks))}, which the portal lacks"
    return Decision(
        field, sides, _set_verdict(sides), rule, agreed=agreed,
        settled=sides.known or not field.enforce or user.value is not None or contact.value is None,
        writes_contact=writes_contact, writes_user=writes_user,
        to_contact=with_strange(to_contact, contact.strange), to_user=to_user,
        held=f"{', '.join(strange)} {why}" if strange else None, lacks=lacks,
        drift=with_strange(to_contact, lacks) != to_user,
    )  # fmt: skip


def _merged(field: Field, sides: Sides, options: Set[str] | None) -> tuple[Value, Value, Value, tuple[str, ...]]:
    """The base after merging a set, what each side shall hold, and what the portal lacks for that.

    A side emptied where blanks are kept has said nothing. What the portal lacks is not agreed: or else the contact, which
    cannot have it, would look as if somebody had taken it away there.
    """
    user, contact = sides.user, sides.contact
    base = sides.base if sides.known else None
    keep = field.on_blank == "keep" and sides.known
    mine = base if keep and user.value is None and not user.strange else user.value
    theirs = base if keep and contact.value is None and not contact.strange else contact.value
    agreed: Value
    to_contact: Value
    to_user: Value
    if field.enforce and user.value is not None:
        agreed, to_contact, to_user, keep = mine, mine, user.value, False
    elif field.direction == "to_contact":
        followed = mine if field.enforce and sides.known and not keep else follow(base, mine, contact.value)
        agreed, to_contact, to_user = mine, followed, user.value
    elif field.direction == "to_user":
        agreed, to_contact, to_user = theirs, contact.value, follow(base, theirs, user.value)
    else:
        agreed = to_contact = to_user = merge_sets(base, mine, theirs)
    emptied = keep and contact.value is None
    if emptied and mine == base:
        to_contact = None
    lacks = frozenset[str]() if options is None else elements(to_contact) - elements(contact.value) - options
    agreed, to_contact = _without(agreed, lacks), _without(to_contact, lacks)
    if emptied and _without(mine, lacks) == base:
        to_contact = None
    if keep and user.value is None and theirs == base:
        to_user = None
    return agreed, to_contact, to_user, tuple(sorted(lacks))


def _without(value: Value, some: Set[str]) -> Value:
    return as_set(elements(value) - some) if some else value


def _set_verdict(sides: Sides) -> Verdict:
    return compare(sides.base if sides.known else None, sides.user.value, sides.contact.value)


def with_strange(value: Value, strange: tuple[str, ...]) -> Value:
    """A contact's set with the options the mapping does not know, which must survive our writing."""
    return tuple(sorted({*(value if isinstance(value, tuple) else ()), *strange})) or None


def _write_contact(field: Field, sides: Sides, verdict: Verdict, rule: str, conflict: bool = False) -> Decision:
    value = sides.user.value
    return Decision(
        field, sides, verdict, rule, agreed=value, writes_contact=True, to_contact=value, conflict=conflict
    )  # fmt: skip


def _write_user(field: Field, sides: Sides, verdict: Verdict, rule: str, conflict: bool = False) -> Decision:
    value = sides.contact.value
    return Decision(
        field, sides, verdict, rule, agreed=value, writes_user=True, to_user=value, conflict=conflict
    )  # fmt: skip


def _leave(field: Field, sides: Sides, verdict: Verdict, rule: str) -> Decision:
    """Write nothing although the sides differ; the base stays what it was."""
    return Decision(field, sides, verdict, rule, agreed=sides.base, settled=sides.known, drift=True)


def _strange(field: Field, sides: Sides) -> Decision:
    side = "user" if sides.user.strange else "contact"
    option = (sides.user.strange or sides.contact.strange)[0]
    return hold(field, sides, f"the {side}'s option {option!r} is not in `values`")


def hold(field: Field, sides: Sides, why: str) -> Decision:
    """A field that waits for a person: nothing is written, and the base stays what it was."""
    return Decision(field, sides, "both", why, agreed=sides.base, settled=sides.known, held=why)
