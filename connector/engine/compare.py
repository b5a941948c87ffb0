"""Three-way comparison of one field."""

from typing import Literal

from connector.model import Value

Verdict = Literal["neither", "user", "contact", "both"]


def compare(base: Value, user: Value, contact: Value) -> Verdict:
    """Say who changed one field since the two sides last agreed.

    base: what both held then. user, contact: what each holds now, all in normal form, so that clearing a field is a change
        like any other.
    Returns "both" when each moved its own way; the mapping's policy picks the winner. Both moving to the same value is
    "neither": there is nothing to do.
    Source: docs/decisions/0003-three-way-merge.md
    """
    if user == contact:
        return "neither"
    if user == base:
        return "contact"
    if contact == base:
        return "user"
    return "both"


def merge_sets(base: Value, user: Value, contact: Value) -> Value:
    """Element by element: what either side added comes in, what either side removed goes. Never a conflict.

    All three are sets in normal form; None is the empty set. With an empty base this is the union.
    """
    before, mine, theirs = elements(base), elements(user), elements(contact)
    return as_set((mine | theirs | before) - (before - mine) - (before - theirs))


def follow(base: Value, source: Value, target: Value) -> Value:
    """`target` after the changes that `source` made since `base`; what else is in `target` stays."""
    before, now = elements(base), elements(source)
    return as_set((elements(target) | (now - before)) - (before - now))


def elements(value: Value) -> frozenset[str]:
    """A set in normal form as a set."""
    return frozenset(value) if isinstance(value, tuple) else frozenset()


def as_set(found: frozenset[str]) -> Value:
    """A set into normal form."""
    return tuple(sorted(found)) or None
