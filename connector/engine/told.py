"""A user of a provider that can only be listened to is made of what it tells, delivery by delivery."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.engine.consent import REVOKED
from connector.engine.readings import newer, statement
from connector.model import User

Entry = Mapping[str, Any]


def laid_over(old: User, new: User) -> User:
    """What is told now, over what was told before: an absent field is not a blank one.

    What comes late fills in what nothing was told of; of consents each counts by its own time, and one that was withdrawn and
    granted at one time is withdrawn.
    """
    late = newer(old, new)
    upper, lower = (old, new) if late else (new, old)
    memberships = lower.memberships if upper.memberships is None else upper.memberships
    return User(new.id, {**lower.values, **upper.values}, upper.updated_at, upper.etag, memberships, _consents(old, new))


def _consents(old: User, new: User) -> tuple[Entry, ...] | None:
    if old.consents is None and new.consents is None:
        return None
    kept, more = list(old.consents or ()), []
    for one in new.consents or ():
        about = [other for other in old.consents or () if _about(other) == _about(one)]
        beaten = [other for other in about if _outdoes(one, other, old.updated_at, new.updated_at)]
        kept = [other for other in kept if other not in beaten]
        more += [one] if len(beaten) == len(about) else []
    return (*kept, *more)


def _outdoes(one: Entry, other: Entry, then: datetime | None, now: datetime | None) -> bool:
    """Whether what is told now of a consent counts, and not what was told before. then, now: when either was told.

    A grant without a time of its own lifts nothing.
    """
    said, before = statement(one), statement(other)
    later = now is not None and (then is None or now > then)
    if before.state is REVOKED and said.state is not REVOKED:
        return said.at is not None and (later if before.at is None else said.at > before.at)
    at = said.at or now
    if said.state is REVOKED and before.state is not REVOKED:
        return before.at is None or at is None or at >= before.at
    return said.at >= before.at if said.at and before.at else later or now == then


def _about(entry: Entry) -> tuple[str, ...]:
    return tuple(str(entry.get(name)) for name in ("purpose", "scope", "channel"))
