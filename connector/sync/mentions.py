"""Whether a delivery tells of a person, and what it says without that. Pure."""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

GONE = "(erased)"
"""Stands where somebody was named who was erased."""

FEW = 20
"""Addresses that are looked for one by one."""

LONGEST = 320
"""Letters of an address on either side of its sign; no mail server takes longer ones (RFC 5321 section 4.5.3.1)."""

_DOMAIN = re.compile(r"\w(?:[\w.-]*\w)?")
_BEFORE = re.compile(r"[^\s\"<>()\[\],;:\\]+")
"""What may stand before the sign, read backwards."""

_EDGE = re.compile(r"(?<!\w)'|[^\w.+'-]")
"""Behind such a sign an address may begin: in a link, say."""

EDGES = 8
"""Of those, so many are tried."""

_PLAIN = re.compile(rf"(?<![\w.+-])(?<!\w')[\w.+'-]+@{_DOMAIN.pattern}")
"""An address of nothing but letters, digits and the usual signs."""


class Body:
    """One delivery's body, to be looked through for any number of people."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._plain = b"\\" not in body and b"\0" not in body  # nothing is spelled otherwise: no escapes, one byte a letter
        self._folded = _spellings(body.decode("utf-8", "replace"))

    def may_hold(self, words: Iterable[str]) -> bool:
        """Whether one of these (in lower case) may be in it, at a glance: nobody needs to look closer where not."""
        return not self._plain or any(one in self._folded for one in words)

    def mentions(self, ids: Collection[str], emails: Collection[str]) -> bool:
        """Whether it holds one of these ids or addresses (in lower case), however JSON spells them.

        In JSON an id is a whole text, or a number under a name that ends in "id": other people's numbers are not taken for it.
        In anything else it is a word of its own. An address is never a part of a longer one.
        """
        if not self.may_hold(one.casefold() for one in (*ids, *emails)):
            return False
        text = self._body.decode("utf-8", "replace")
        try:
            said = json.loads(self._body)
        except (ValueError, RecursionError):
            return _in_text(text, ids, emails)
        if any(_says(name, value, ids, emails) for name, value in _values("", said)):
            return True
        return _in_text(text, (), emails)  # of two values of one name JSON tells one

    def addresses(self) -> set[str]:
        """Whatever may be an address in it, in lower case, as `mentions` would find it."""
        text = _plain(self._body.decode(json.detect_encoding(self._body), "replace"))
        return _addresses(_spellings(text))

    def without(self, emails: Collection[str]) -> bytes:
        """The same with GONE in the place of these addresses, found as by `mentions`. Nothing where it is no JSON."""
        try:
            said = json.loads(self._body)
        except (ValueError, RecursionError):
            return b""
        return json.dumps(_blanked(said, emails), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _blanked(value: Any, emails: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {_blanked(key, emails): _blanked(inner, emails) for key, inner in value.items()}
    if isinstance(value, list):
        return [_blanked(inner, emails) for inner in value]
    return _cut(value, emails) if isinstance(value, str) else value


def _cut(text: str, emails: Collection[str]) -> str:
    """A text with GONE in the place of these addresses; nothing else, where one is spelled in another way."""
    here = _addresses(_spellings(text)) & {*emails} if len(emails) > FEW else emails
    if not _holds(text, here):
        return text
    rest = _PLAIN.sub(lambda found: GONE if found[0].casefold() in here else found[0], text)
    for email in [one for one in here if _holds(rest, [one])]:
        rest = re.sub(_address(email), GONE, rest, flags=re.IGNORECASE)
    return GONE if _holds(rest, here) else rest


def _says(name: str, value: Any, ids: Collection[str], emails: Collection[str]) -> bool:
    if isinstance(value, str):
        return value in ids or _holds(value, emails)
    return name.casefold().endswith("id") and str(value) in ids


def _spellings(text: str) -> str:
    """A text in lower case, and what it says where it is part of a link: "li%40example.com" is an address, too."""
    return f"{text}\n{unquote(text)}".casefold() if "%" in text else text.casefold()


def _addresses(text: str) -> set[str]:
    pieces = text.split("@")
    return {
        one
        for left, right in {(left[-LONGEST:], right[:LONGEST]) for left, right in pairwise(pieces)}
        for one in _around(left, right)
    }


def _around(left: str, right: str) -> Iterator[str]:
    """What may be an address around one sign."""
    domain, before = _DOMAIN.match(right), _BEFORE.match(left[::-1])
    if domain and before:
        run = before[0][::-1]
        starts = [0, *[edge.end() for edge in _EDGE.finditer(run)][-EDGES:]]
        yield from (f"{run[start:]}@{domain[0]}" for start in starts if run[start:])


def _holds(text: str, emails: Collection[str]) -> bool:
    folded = _spellings(text)
    return any(email in folded and re.search(_address(email), folded) for email in emails)


def _address(email: str) -> str:
    """An address as a pattern: nothing in front or behind makes another one of it. A full stop may end a sentence."""
    return rf"(?<![\w.+-])(?<!\w'){re.escape(email)}(?!-*\w|\.\w)"


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
    plain = _plain(text)
    if _holds(text, emails) or _holds(plain, emails):
        return True
    return any(re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", plain) for one in ids)


def _plain(text: str) -> str:
    """A text of JSON without its escapes."""
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", lambda found: _unescaped(found[1]), text)


def _unescaped(said: str) -> str:
    """What stands behind a backslash in JSON."""
    if len(said) > 1:
        return chr(int(said[1:], 16))
    return " " if said in "bfnrt" else said
