"""Text transforms of a mapping. Pure: text in, text out; each one applied twice changes nothing more."""

import re
from collections.abc import Callable, Sequence

import phonenumbers

INITIALS = re.compile(r"(?:^|(?<=[\s-]))\w(?:'\w(?=\w))?")
"""First letters of words and of their hyphenated parts; of O'Brien both, of it's only the first."""


def trim(text: str) -> str:
    """Without white space at either end."""
    return text.strip()


def collapse(text: str) -> str:
    """Without white space at either end, and with one space where there was any inside."""
    return " ".join(text.split())


def lower(text: str) -> str:
    """In lower case."""
    return text.lower()


def upper(text: str) -> str:
    """In upper case."""
    return text.upper()


def title(text: str) -> str:
    """As a name: `anna-LENA o'brien` -> `Anna-Lena O'Brien`. Does not know McDonald or van der Berg."""
    return INITIALS.sub(lambda found: found[0].title(), text.lower())


def e164(text: str, region: str | None = None) -> str:
    """A phone number as +34600111222. `region`: country of numbers written without one.

    What is no possible number, or would lose its extension, stays as it is: a wrong number is better than none.
    """
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return text
    if number.extension or not phonenumbers.is_possible_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


PLAIN: dict[str, Callable[[str], str]] = {"trim": trim, "collapse": collapse, "lower": lower, "upper": upper, "title": title}


def apply(names: Sequence[str], text: str, region: str | None = None) -> str:
    """Apply transforms in their order. `region` is for e164."""
    for name in names:
        text = e164(text, region) if name == "e164" else PLAIN[name](text)
    return text
