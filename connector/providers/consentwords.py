"""Consents that an operator keeps in fields of a provider's own, read and written as configured. Pure.

A field that is missing, blank, or holds another word than the two that are configured says nothing: that is not a "no".
"""

from collections.abc import Callable, Mapping
from typing import Any

from connector.errors import Rejected
from connector.model import ConsentState, Statement
from connector.providers.reading import written
from connector.providersettings import ConsentField

CHANNEL = "email"
TRUTHS = {"true": True, "false": False}


def entries(fields: Mapping[str, ConsentField], told: Callable[[str], object]) -> tuple[Mapping[str, Any], ...] | None:
    """What the fields say. told: the value of a field by its name. None when no field is configured."""
    found = []
    for purpose, field in fields.items():
        state = _state(field, told(field.field))
        if state:
            entry: dict[str, Any] = {"purpose": purpose, "channel": CHANNEL, "state": state}
            entry |= {"at": told(field.at)} if field.at else {}
            found.append(entry | ({"source": told(field.source)} if field.source else {}))
    return tuple(found) if fields else None


def refusal(fields: Mapping[str, ConsentField], purpose: str) -> str | None:
    """Why a consent cannot be put down; None when it can."""
    return None if purpose in fields else f"no field is configured for it (consents.{purpose})"


def changes(provider: str, fields: Mapping[str, ConsentField], purpose: str, told: Statement, texts: bool) -> dict[str, Any]:
    """The fields that put a statement down, and their values; None empties one. Raises Rejected for a purpose without fields.

    texts: whether the provider keeps nothing but texts, so that `true` is one, too.
    """
    field = fields.get(purpose)
    if field is None:
        raise Rejected(f"{provider}: no field is configured for this consent (consents)")
    if told.state is ConsentState.UNKNOWN:
        raise Rejected(f"{provider}: an unknown consent cannot be put down")
    word = field.granted if told.state is ConsentState.GRANTED else field.revoked
    found: dict[str, Any] = {field.field: word if texts else TRUTHS.get(word.casefold(), word)}
    if field.at:
        found[field.at] = written(told.at) if told.at else None
    if field.source:
        found[field.source] = told.source
    return found


def _state(field: ConsentField, value: object) -> str | None:
    word = _word(value)
    return {_word(field.revoked): "revoked", _word(field.granted): "granted"}.get(word) if word else None


def _word(value: object) -> str:
    """A value as text without regard to case: true is also what a checkbox holds."""
    return str(value).strip().casefold() if isinstance(value, str | bool | int) else ""
