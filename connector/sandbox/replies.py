"""How HubSpot says no: its statuses, envelopes and codes.

Facts (HubSpot API, "Error handling"; bodies captured by others):
- the envelope is `status, message, correlationId, category` and, at times, `errors`, `context`, `links`;
- refused property values stand in a JSON array at the end of `message`, with `isValid, message, error, name` each;
- a conflict names the other contact only as the last number of its message;
- messages come in the language of the account.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

VALIDATION = "VALIDATION_ERROR"
CONFLICT = "CONFLICT"
NOT_FOUND = "OBJECT_NOT_FOUND"

_PORTUGUESE = {
    "Property values were not valid": "Os valores das propriedades não são válidos",
    "Contact already exists. Existing ID": "O contato já existe. ID existente",
}


class Refusal(Exception):
    """A call or a row that HubSpot refuses."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.more = more

    def told(self, localised: bool = False) -> dict[str, Any]:
        """The body, without a correlation id."""
        message = self.message
        if localised:
            for ours, theirs in _PORTUGUESE.items():
                message = message.replace(ours, theirs)
        category = {"category": self.category} if self.category else {}
        return {"status": "error", **category, "message": message, **self.more}


@dataclass(frozen=True, slots=True)
class Problem:
    """One property value that HubSpot refuses."""

    name: str
    code: str
    message: str


def invalid(problems: Sequence[Problem]) -> Refusal:
    """Property values were not valid."""
    listed = [{"isValid": False, "message": one.message, "error": one.code, "name": one.name} for one in problems]
    return Refusal(400, VALIDATION, f"Property values were not valid: {orjson.dumps(listed).decode()}")


def bad_request(message: str, **more: Any) -> Refusal:
    """A request that is wrong as a whole."""
    return Refusal(400, VALIDATION, message, **more)


def taken(record_id: int, what: str = "contact") -> Refusal:
    """Another record holds the email, or a unique value."""
    return Refusal(409, CONFLICT, f"{what.capitalize()} already exists. Existing ID: {record_id}")


def not_found(ids: Sequence[str] = (), what: str = "Object") -> Refusal:
    """Nothing there under that name."""
    more = {"context": {"ids": list(ids)}} if ids else {}
    return Refusal(404, NOT_FOUND, f"{what} not found.", **more)


def non_unique(key: str, object_type: str = "0-1") -> Refusal:
    """The property does not identify a record in this call."""
    return bad_request(f"Unable to perform update/upsert by non-unique {object_type} property {key}")


def unauthorised() -> Refusal:
    """No token, or not ours."""
    return Refusal(401, "INVALID_AUTHENTICATION", "Authentication credentials not found or not valid for this account.")


def missing_scope(*scopes: str) -> Refusal:
    """The token may not do that without one of these."""
    context: Mapping[str, list[str]] = {"requiredGranularScopes": list(scopes), "missingScopes": list(scopes)}
    return Refusal(
        403,
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes to make this call.",
        errors=[{"message": "One or more of the following scopes are required.", "context": context}],
        context=context,
    )


def objects_of(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects in a body, empty when it is missing. Raises Refusal for anything else."""
    found = body.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise bad_request(f"Invalid input JSON: {name} must be a list of objects")
    return found


def id_of(body: Mapping[str, Any], name: str) -> str:
    """The id in `{name: {"id": ...}}`. Raises Refusal when there is none."""
    found = body.get(name)
    if not isinstance(found, dict) or not found.get("id"):
        raise bad_request(f"Invalid input JSON: {name} needs an id")
    return str(found["id"])
