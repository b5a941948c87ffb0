"""Reading JSON that a stranger wrote: one meaning or none, in bounded time and memory.

Python's own reader takes UTF-16, a byte order mark, NaN, 1e400, the last of two equal names, numbers of any length and nesting
up to a crash. Here all of these are refused: RFC 8259 forbids them, or says that readers disagree about them.
Messages say what is wrong and at most where; they never repeat what was sent.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

from connector.errors import BadDelivery, TooManyItems

MAX_ITEMS = 1_000
MAX_DEPTH = 32
MAX_NODES = 100_000
"""Values in one document. A thousand events of a hundred values fit; half a million empty lists do not."""
MAX_FRACTION = 100
"""Characters of one number that is not whole. Whole ones are limited by Python, to 4,300 digits."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class Piece(NamedTuple):
    """One element of an array: its exact bytes, its value and its place. `place` is None for a document that is no array."""

    raw: bytes
    value: Any
    place: int | None


def parse(raw: bytes, max_nodes: int = MAX_NODES) -> Any:
    """The value of a JSON document in UTF-8. Raises BadDelivery."""
    text = _text(raw, max_nodes)
    value, end = _scan(text, _skip(text, 0))
    _expect_end(text, end)
    return value


def split_array(raw: bytes) -> list[Piece]:
    """The elements of a JSON array, each with the bytes it came in; any other document is one piece.

    Raises BadDelivery when the whole is unreadable, TooManyItems beyond MAX_ITEMS.
    """
    text = _text(raw, MAX_NODES)
    at = _skip(text, 0)
    if not text.startswith("[", at):
        value, end = _scan(text, at)
        _expect_end(text, end)
        return [Piece(raw, value, None)]
    pieces: list[Piece] = []
    at = _skip(text, at + 1)
    while pieces or not text.startswith("]", at):
        value, end = _scan(text, at)
        if len(pieces) == MAX_ITEMS:
            raise TooManyItems(f"more than {MAX_ITEMS} items")
        pieces.append(Piece(text[at:end].encode(), value, len(pieces)))
        at = _skip(text, end)
        if text.startswith("]", at):
            break
        if not text.startswith(",", at):
            raise BadDelivery(f"not JSON, at character {at}")
        at = _skip(text, at + 1)
    _expect_end(text, at + 1)
    return pieces


def storable(raw: bytes, value: Any) -> bool:
    """Whether every text in a value can be stored: PostgreSQL refuses NUL, and half a surrogate pair has no UTF-8.

    raw: the value's bytes. Both come only from escapes, so most values need not be looked through.
    """
    return b"\\u" not in raw or _clean(value)


def _text(raw: bytes, max_nodes: int) -> str:
    """The document as text, once it is known to be small enough to read: counting costs little, building values much."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadDelivery(f"not UTF-8, at byte {error.start}") from None
    bare = raw
    if _nodes(raw) > max_nodes or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        if (raw.count(b'"') - raw.count(b'\\"')) // 4 > max_nodes:  # each value has at most two texts, a name and itself
            raise BadDelivery(f"more than {max_nodes} values")
        bare = _STRING.sub(b"", raw)  # brackets and commas in texts do not count
    if _nodes(bare) > max_nodes:
        raise BadDelivery(f"more than {max_nodes} values")
    brackets = bare.translate(None, _NOT_BRACKETS)
    if len(brackets) > MAX_DEPTH and max(accumulate(map(_STEP.__getitem__, brackets))) > MAX_DEPTH:
        raise BadDelivery(f"nested deeper than {MAX_DEPTH}")
    return text


def _clean(value: Any) -> bool:
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    if isinstance(value, dict):
        return all(_clean(key) and _clean(inner) for key, inner in value.items())
    return all(map(_clean, value)) if isinstance(value, list) else True


def _nodes(raw: bytes) -> int:
    """At most so many values: each but the first follows a comma or opens a container."""
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _scan(text: str, at: int) -> tuple[Any, int]:
    """The value that starts at `at`, and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise BadDelivery(f"not JSON, at character {error.pos}") from None
    except ValueError:
        raise BadDelivery("a number beyond what can be held") from None


def _skip(text: str, at: int) -> int:
    """Where the white space that starts at `at` ends."""
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _expect_end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise BadDelivery(f"not JSON: more after the end, at character {at}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadDelivery("an object with the same name twice")
    return found


def _number(text: str) -> float:
    number = float(text) if len(text) <= MAX_FRACTION else math.inf
    if math.isinf(number):
        raise BadDelivery("a number beyond what can be held")
    return number


def _no_constant(name: str) -> NoReturn:
    raise BadDelivery("NaN or Infinity, which JSON does not have")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_no_constant, strict=True)
