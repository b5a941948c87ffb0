"""Reading JSON that a stranger wrote: one meaning or none, in bounded time and memory.

Python's own reader takes UTF-16, a byte order mark, NaN, 1e400, the last of two equal names, numbers of any length and nesting
up to a crash. Here all of these are refused (RFC 8259 calls them unpredictable, or forbids them).
Messages say what is wrong and at most where; they never repeat what was sent.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, NamedTuple

from connector.errors import BadDelivery, TooManyItems

MAX_ITEMS = 1_000
MAX_DEPTH = 32
MAX_NODES = 100_000
"""Values in one document. A thousand events of a hundred values fit; half a million empty lists do not."""
MAX_NUMBER = 100
"""Characters of one number."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Piece(NamedTuple):
    """One element of an array: its exact bytes, its value and its place. `index` is None for a document that is no array."""

    raw: bytes
    value: Any
    index: int | None


def parse(raw: bytes) -> Any:
    """The value of a JSON document in UTF-8. Raises BadDelivery."""
    text = _text(raw)
    value, end = _scan(text, _SPACE.match(text, 0).end())  # type: ignore[union-attr]
    if _SPACE.match(text, end).end() != len(text):  # type: ignore[union-attr]
        raise BadDelivery(f"not JSON: more after the end, at character {end}")
    return value


def split_array(raw: bytes) -> list[Piece]:
    """The elements of a JSON array, each with the bytes it came in; any other document is one piece.

    Raises BadDelivery when the whole is unreadable, TooManyItems beyond MAX_ITEMS.
    """
    text = _text(raw)
    start = _after_space(text, 0)
    if not text.startswith("[", start):
        return [Piece(raw, parse(raw), None)]
    pieces: list[Piece] = []
    at = _after_space(text, start + 1)
    if text.startswith("]", at):
        _end_of(text, at + 1)
        return pieces
    while True:
        value, end = _scan(text, at)
        if len(pieces) == MAX_ITEMS:
            raise TooManyItems(f"more than {MAX_ITEMS} items")
        pieces.append(Piece(text[at:end].encode(), value, len(pieces)))
        at = _after_space(text, end)
        if text.startswith("]", at):
            _end_of(text, at + 1)
            return pieces
        if not text.startswith(",", at):
            raise BadDelivery(f"not JSON, at character {at}")
        at = _after_space(text, at + 1)


def storable(value: Any) -> bool:
    """Whether every text in a value can be stored: no NUL and no half of a surrogate pair, which PostgreSQL refuses."""
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    if isinstance(value, dict):
        return all(storable(key) and storable(inner) for key, inner in value.items())
    return all(map(storable, value)) if isinstance(value, list) else True


def _text(raw: bytes) -> str:
    """The document as text, once it is known to be small enough to read: counting costs little, building values much."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadDelivery(f"not UTF-8, at byte {error.start}") from None
    bare = raw
    if _nodes(bare) > MAX_NODES or max(map(bare.count, (b"[", b"{"))) > MAX_DEPTH:
        bare = _STRING.sub(b'"', raw)
    if _nodes(bare) > MAX_NODES:
        raise BadDelivery(f"more than {MAX_NODES} values")
    brackets = bare.translate(None, _NOT_BRACKETS)
    if len(brackets) > MAX_DEPTH and max(accumulate(map(_STEP.__getitem__, brackets))) > MAX_DEPTH:
        raise BadDelivery(f"nested deeper than {MAX_DEPTH}")
    return text


def _nodes(raw: bytes) -> int:
    """At most so many values: each but the first follows a comma or opens a container."""
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _scan(text: str, at: int) -> tuple[Any, int]:
    """The value that starts at `at`, and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise BadDelivery(f"not JSON, at character {error.pos}") from None


def _after_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _end_of(text: str, at: int) -> None:
    if _after_space(text, at) != len(text):
        raise BadDelivery(f"not JSON: more after the end, at character {at}")
