"""What HubSpot makes of a value that is written: the form it keeps, or why it refuses it. Pure.

Facts (HubSpot API, properties reference, "Validate emails", changelog on number validation):
- everything is kept as text; "" clears; JSON numbers and booleans are taken as their text;
- a date is YYYY-MM-DD or epoch milliseconds at exactly midnight UTC; a datetime is ISO 8601 with zone or epoch milliseconds;
- numbers have no thousands separators; options are matched by their value, not their label, and exactly;
- of several options, a leading semicolon adds to those there are instead of replacing them;
- emails are kept in lower case; their domain must end in a known top-level domain.
"""

import re
from collections.abc import Callable, Set
from datetime import UTC, date, datetime
from functools import lru_cache

from connector.sandbox.replies import Problem
from connector.sandbox.schema import Property

LONGEST_TEXT = 65_536
DAY = 86_400_000
"""Milliseconds."""

EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9-]+\.)+[A-Za-z0-9-]{2,}")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
MILLIS = re.compile(r"-?\d{1,15}")


class Refused(Exception):
    """A value that HubSpot does not take. `code` is HubSpot's, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@lru_cache(4096)
def iso(millis: int) -> str:
    """A moment as HubSpot writes it: ISO 8601, UTC, milliseconds."""
    return f"{datetime.fromtimestamp(millis // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"


def millis(text: str) -> int:
    """A moment from HubSpot's forms: epoch milliseconds, ISO 8601, or a date. Raises ValueError."""
    if MILLIS.fullmatch(text):
        return int(text)
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def keep(definition: Property, raw: object, current: str, refused_domains: Set[str]) -> str:
    """The text that is kept for a written value. current: what is kept now. Raises Refused."""
    text = _text(raw)
    if not text:
        return ""
    if definition.name == "email" and not definition.ours:
        return _email(text, refused_domains)
    if definition.type == "enumeration":
        return _options(definition, text, current)
    return _KEEPERS.get(definition.type, _plain)(text)


def check(definition: Property, raw: object, current: str, refused_domains: Set[str]) -> str | Problem:
    """Like `keep`, with the refusal as a value."""
    try:
        return keep(definition, raw, current, refused_domains)
    except Refused as refused:
        return Problem(definition.name, refused.code, str(refused))


def reform(text: str, way: str) -> str:
    """The other form that `Faults.normalise` asks for."""
    ways: dict[str, Callable[[str], str]] = {
        "title": str.title,
        "upper": str.upper,
        "lower": str.lower,
        "digits": lambda one: re.sub(r"\D", "", one),
        "trim": str.strip,
    }
    return ways[way](text) if way in ways else text


def _text(raw: object) -> str:
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, str | int | float):
        return str(raw)
    raise Refused("INVALID_VALUE", f"Cannot deserialize a value of type {type(raw).__name__} as text.")


def _plain(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise Refused("VALUE_TOO_LONG", f"The value has more than {LONGEST_TEXT} characters.")
    return text


def _email(text: str, refused_domains: Set[str]) -> str:
    address = text.strip().lower()
    ending = address.rpartition("@")[2].rpartition(".")[2]
    if not EMAIL.fullmatch(address) or ending in refused_domains or ending.isdigit():
        raise Refused("INVALID_EMAIL", f"Email address {text} is invalid")
    return address


def _number(text: str) -> str:
    if not NUMBER.fullmatch(text.strip()):
        raise Refused("INVALID_INTEGER", f"{text} was not a valid number.")
    return text.strip()


def _bool(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise Refused("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    return text.lower()


def _date(text: str) -> str:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError as error:
            raise Refused("INVALID_DATE", f"{text} was not a valid date.") from error
    if not MILLIS.fullmatch(text):
        raise Refused("INVALID_LONG", f"{text} was not a valid long.")
    if int(text) % DAY:
        raise Refused("INVALID_DATE", f"{text} is not at midnight UTC.")
    return iso(int(text))[:10]


def _datetime(text: str) -> str:
    try:
        if not MILLIS.fullmatch(text) and datetime.fromisoformat(text).tzinfo is None:
            raise Refused("INVALID_LONG", f"{text} has no time zone.")
        return iso(millis(text))
    except (ValueError, OverflowError, OSError) as error:
        raise Refused("INVALID_LONG", f"{text} was not a valid long.") from error


def _options(definition: Property, text: str, current: str) -> str:
    if not definition.many:
        wanted = [text]
    else:
        wanted = [one for one in text.split(";") if one]
        if text.startswith(";"):
            wanted = [one for one in current.split(";") if one] + wanted
    unknown = [] if definition.free_options else [one for one in wanted if one not in definition.options]
    if unknown:
        raise Refused("INVALID_OPTION", f"{unknown[0]} was not one of the allowed options: {list(definition.options)}")
    return ";".join(dict.fromkeys(wanted))


_KEEPERS: dict[str, Callable[[str], str]] = {"number": _number, "bool": _bool, "date": _date, "datetime": _datetime}
