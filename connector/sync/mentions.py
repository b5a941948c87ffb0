"""Whether a delivery that nobody could attribute tells of a person. Pure."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any


class Body:
    """One delivery's body, to be looked through for any number of people."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._plain = b"\\" not in body and b"\0" not in body  # nothing is spelled otherwise: no escapes, one byte a letter
        self._folded = body.decode("utf-8", "replace").casefold()

    def mentions(self, ids: Collection[str], emails: Collection[str]) -> bool:
        """Whether it holds one of these ids or addresses (in lower case), however JSON spells them.

        In JSON an id is a whole text, or a number under a name that ends in "id": other people's numbers are not taken for it.
        In anything else it is a word of its own.
        """
        if self._plain and not any(one.casefold() in self._folded for one in (*ids, *emails)):
            return False
        try:
            said = json.loads(self._body)
        except (ValueError, RecursionError):
            return _in_text(self._body.decode("utf-8", "replace"), ids, emails)
        return any(_says(name, value, ids, emails) for name, value in _values("", said))


def _says(name: str, value: Any, ids: Collection[str], emails: Collection[str]) -> bool:
    if isinstance(value, str):
        return value in ids or any(email in value.casefold() for email in emails)
    return name.casefold().endswith("id") and str(value) in ids


def _values(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value with the name it stands under; the names of an object are told, too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield "", key
            yield from _values(key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(name, inner)
    else:
        yield name, value


def _in_text(text: str, ids: Collection[str], emails: Collection[str]) -> bool:
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    if any(email in plain.casefold() for email in emails):
        return True
    return any(re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", plain) for one in ids)
