"""What somebody said about a consent, as the fakes tell it to whoever listens."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, eq=False)
class Word:
    """One statement, at the moment it is made.

    place: "idp", "status" (the subscription of an address) or "property" (the contact's own copy).
    by: "person", or "us". whose: the user's id, the address, or the contact's id. about: purpose, type id or property.
    at: the time that is told; spoken: when it really happened. before: what that place said until then.
    link: of one of our writes, the link it was for.
    """

    place: str
    by: str
    whose: str
    about: str
    state: str
    at: datetime | None
    source: str | None
    spoken: datetime
    before: str | None = None
    link: int | None = None


def nobody_listens(word):
    """In place of an oracle."""


def nobody_watches(what, *told):
    """In place of an oracle that notes what we were shown."""
