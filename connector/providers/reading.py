"""What the adapters have in common when they read what a vendor says: ids, times, details, and listings page by page."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from connector.errors import Rejected
from connector.model import User

LONGEST_ID = 200
"""Characters of a user's id."""
LONGEST_DETAIL = 1_000
"""Characters of a text in an event's details, which is cut there."""
MAX_EMPTY_PAGES = 20
"""Pages without a user, one after the other, before a listing counts as endless."""
LONGEST_MILLIS = 253_402_300_799_999
"""The last moment of the year 9999, in milliseconds since 1970."""

_ODD = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
"""Control characters and halves of surrogate pairs."""

Page = tuple[list[User], str | None]
"""Users and the cursor to the next page; None at the end."""


def usable_id(value: object) -> str | None:
    """An id as text; None for what is none: blank, too long, or a dot that would lead elsewhere in a URL."""
    text = str(value) if type(value) is int and value.bit_length() <= 3 * LONGEST_ID else value
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_ID or text in (".", "..") or _ODD.search(text):
        return None
    return text


def moment(value: object) -> datetime | None:
    """An ISO 8601 time as UTC, which also counts when it names no zone; None for what is none."""
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def moment_of_millis(value: object) -> datetime | None:
    """Whole milliseconds since 1970 as a time; None for what is none."""
    if type(value) is not int or not 0 <= value <= LONGEST_MILLIS:
        return None
    return datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000)


def written(at: datetime) -> str:
    """A time as ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mapping(value: object) -> Mapping[str, Any]:
    """An object of JSON; nothing for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list of JSON; nothing for anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def details(values: Mapping[str, object]) -> dict[str, Any]:
    """Texts, numbers and truth values, for the record of an event."""
    plain = {name: value for name, value in values.items() if isinstance(value, str | int | float)}
    return {name: value[:LONGEST_DETAIL] if isinstance(value, str) else value for name, value in plain.items()}


def follow(where: str, read: Callable[[str | None], Page]) -> Iterator[list[User]]:
    """Follow a listing to its end. Raises Rejected for one that repeats a cursor or a page, or stays empty: it has none.

    where: names the provider and the call in errors. read: the page behind a cursor, the first behind None.
    """
    cursors: set[str] = set()
    seen: set[int] = set()
    cursor: str | None = None
    empty = 0
    while True:
        users, following = read(cursor)
        page = hash(tuple(user.id for user in users))
        empty = 0 if users else empty + 1
        if following in cursors or (users and page in seen) or (following and empty > MAX_EMPTY_PAGES):
            raise Rejected(f"{where}: the listing repeats itself")
        if users:
            yield users
        if following is None:
            return
        seen.add(page)
        cursors.add(following)
        cursor = following
