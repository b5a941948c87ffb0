"""Either side's values into normal form (see `model.Value`), and back into what that side writes.

HubSpot's wire formats are from its guide to the properties API: text for everything, dates as YYYY-MM-DD or milliseconds at
midnight UTC, sets as "a;b", "" to clear.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

import phonenumbers

from connector.mapping.model import Field
from connector.mapping.transforms import apply
from connector.model import Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_NUMBER = 40  # digits; anything longer is not a number people keep in a CRM
NO_VALUES: Mapping[str, str] = MappingProxyType({})


class Unreadable(ValueError):
    """A value that is not of the field's type. The text says what was expected, never the value."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A value in normal form, and the options in it that the mapping's `values` do not know (left out of `value` for sets)."""

    value: Value
    strange: tuple[str, ...] = ()


def from_user(rule: Field, raw: Any) -> Reading:
    """Read a user's JSON value. Options are translated to the contact's. Raises Unreadable."""
    if rule.type == "set":
        return _set(_elements(raw), rule.values)
    if raw is None:
        return Reading(None)
    if rule.type == "choice":
        return _choice(_text(raw), rule.values)
    return Reading(_SCALARS[rule.type](rule, raw))


def from_contact(rule: Field, raw: str | None) -> Reading:
    """Read a contact's property. Raises Unreadable."""
    if rule.type == "set":
        known = dict.fromkeys((rule.values or NO_VALUES).values(), "")
        return _set(_elements(raw), {option: option for option in known} if rule.values else None)
    if raw is None or not raw.strip():
        return Reading(None)
    if rule.type == "choice":
        text = raw.strip()
        return Reading(text, (text,) if rule.values and text not in rule.values.values() else ())
    return Reading(_SCALARS[rule.type](rule, raw))


def to_contact(value: Value) -> str:
    """A value in normal form as the CRM takes it; "" clears."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(value) if isinstance(value, tuple) else value


def to_user(rule: Field, value: Value, strange: tuple[str, ...] = ()) -> Any:
    """A value in normal form as the provider takes it: JSON; None clears. `strange` are a set's own elements to keep."""
    if rule.type == "set":
        options = value if isinstance(value, tuple) else ()
        return [_back(rule, option) for option in options] + list(strange)
    if value is None or isinstance(value, bool):
        return value
    if rule.type == "number":
        number = Decimal(str(value))
        return int(number) if number == number.to_integral_value() else float(number)
    return _back(rule, str(value)) if rule.type == "choice" else value


def _back(rule: Field, option: str) -> str:
    """The user's word for a contact's option: the first that leads to it."""
    return next((word for word, known in (rule.values or NO_VALUES).items() if known == option), option)


def _choice(text: str | None, values: Mapping[str, str] | None) -> Reading:
    if text is None or not values:
        return Reading(text)
    return Reading(values[text]) if text in values else Reading(None, (text,))


def _set(elements: list[str], values: Mapping[str, str] | None) -> Reading:
    """Without `values` any option will do, except one the CRM would read as two."""
    names = values or {one: one for one in elements if ";" not in one}
    known = {names[one] for one in elements if one in names}
    return Reading(tuple(sorted(known)) or None, tuple(one for one in elements if one not in names))


def _elements(raw: Any) -> list[str]:
    if raw is None:
        return []
    if isinstance(raw, str):
        raw = raw.split(";")
    if not isinstance(raw, list | tuple):
        raise Unreadable("is not a list")
    return list(dict.fromkeys(text for one in raw if (text := _text(one)) is not None))


def _text(raw: Any) -> str | None:
    """Trimmed text, None for blank. Numbers and booleans are written out as JSON would."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float):
        raw = _decimal(raw)
    if not isinstance(raw, str):
        raise Unreadable("is not text")
    return raw.strip() or None


def _plain(rule: Field, raw: Any) -> Value:
    text = _text(raw)
    return None if text is None else apply(rule.transform, text, rule.region).strip() or None


def _decimal(raw: Any) -> str:
    """Canonical decimal text: no exponent, no leading or trailing zeros, no minus zero; fractions as exact as JSON's are."""
    try:
        text = str(raw).strip()  # Python itself refuses integers of more than 4300 digits
        number = Decimal(text)
    except (InvalidOperation, ValueError):
        raise Unreadable("is not a number") from None
    if not number.is_finite() or number.adjusted() > LONGEST_NUMBER or len(text) > 2 * LONGEST_NUMBER or "_" in text:
        raise Unreadable("is not a number")
    if not number or number.adjusted() < -LONGEST_NUMBER:
        return "0"
    if number != number.to_integral_value():
        number = Decimal(repr(float(number)))
    plain = format(number, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain


def _number(rule: Field, raw: Any) -> Value:
    if isinstance(raw, bool):
        raise Unreadable("is not a number")
    if isinstance(raw, str) and not raw.strip():
        return None
    return _decimal(raw)


def _bool(rule: Field, raw: Any) -> Value:
    if isinstance(raw, bool):
        return raw
    text = _text(raw)
    if text is None:
        return None
    if (word := text.lower()) not in _WORDS:
        raise Unreadable("is not true or false")
    return _WORDS[word]


_WORDS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}


def _date(rule: Field, raw: Any) -> Value:
    """YYYY-MM-DD; a time of day is cut off as written, milliseconds are read as UTC."""
    text = _moment(raw)
    if text is None:
        return None
    try:
        if _is_milliseconds(text):
            return _at(text).date().isoformat()
        return date.fromisoformat(text[:10] if len(text) > 10 and text[10] in "T " else text).isoformat()
    except (ValueError, OverflowError):
        raise Unreadable("is not a date (YYYY-MM-DD)") from None


def _datetime(rule: Field, raw: Any) -> Value:
    """ISO 8601 UTC in whole seconds; without a zone it is read as UTC."""
    at = moment(raw)
    return None if at is None else at.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def moment(raw: Any) -> datetime | None:
    """A point in time as UTC, from ISO 8601 (without a zone: UTC) or epoch milliseconds; None for blank. Raises Unreadable."""
    text = _moment(raw)
    if text is None:
        return None
    try:
        at = _at(text) if _is_milliseconds(text) else datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("is not a time (ISO 8601)") from None


def _moment(raw: Any) -> str | None:
    if isinstance(raw, bool):
        raise Unreadable("is not a point in time")
    return _text(raw)


def _is_milliseconds(text: str) -> bool:
    """HubSpot's times are 10 to 15 digits; YYYYMMDD is shorter."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and 10 <= len(digits) <= 15


def _at(milliseconds: str) -> datetime:
    return EPOCH + timedelta(milliseconds=int(milliseconds))


def _phone(rule: Field, raw: Any) -> Value:
    """E.164 where the number is valid (the field's `region` reads national ones); any other text as it is, spaces collapsed."""
    text = _text(raw)
    if text is None:
        return None
    try:
        number = phonenumbers.parse(text, rule.region)
    except phonenumbers.NumberParseException:
        return " ".join(text.split())
    if not phonenumbers.is_possible_number(number) or number.extension:
        return " ".join(text.split())
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _email(rule: Field, raw: Any) -> Value:
    """Trimmed, in lower case, as HubSpot stores addresses."""
    text = _text(raw)
    return None if text is None else text.lower()


_SCALARS: dict[str, Callable[[Field, Any], Value]] = {
    "text": _plain,
    "number": _number,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "phone": _phone,
    "email": _email,
}
