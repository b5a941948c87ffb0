"""What a model says of data that people wrote, in their words: what is wrong, what is allowed, what they may have meant.

Nothing here shows the value of a field that the model declares as a secret, or hides from its repr.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

Loc = tuple[str | int, ...]
"""Where a value stands in its file: ("fields", 0, "type")."""


class Finding(NamedTuple):
    """What a model has to say about one place. `loc` is relative to the model; `on_key` points at the key, not its value.

    name: what the last key is called, when not as it stands.
    """

    loc: Loc
    message: str
    on_key: bool = False
    name: str = ""


def refuse(findings: Sequence[Finding]) -> None:
    """For validators: report any number of findings at once, each at its own place. Without any, nothing happens."""
    if findings:
        raise PydanticCustomError("findings", "not valid", {"findings": list(findings)})


MISSING = "missing"
"""The message about a key that is not there; for validators too."""


def explain(data: Any, model: type[BaseModel], detail: ErrorDetails) -> list[Finding]:
    """One pydantic error in plain words, at the place it belongs to."""
    loc, on_key = _known(data, detail["loc"]), detail["loc"][-1:] == ("[key]",)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "findings":
        return [Finding((*loc, *finding.loc), finding.message, finding.on_key) for finding in context["findings"]]
    if kind == "extra_forbidden":
        return [Finding(loc, unknown_key(str(loc[-1]), _keys_of(data, model, loc[:-1])), on_key=True)]
    if kind == "missing":
        return [Finding((*loc, str(detail["loc"][-1])), MISSING)]
    if kind == "too_short" and detail["input"]:
        return []  # it has entries; what is wrong with each of them is told there
    found = "" if hidden(model, loc) else _found(detail["input"])
    return [Finding(loc, _words(kind, context, detail["msg"], detail["input"], found), on_key)]


def _known(data: Any, loc: Loc) -> Loc:
    """The part of a location that exists in the document: pydantic adds steps of its own (unions, "[key]", tuple items)."""
    for known, part in enumerate(loc):
        inside = part in data if isinstance(data, dict) else isinstance(data, list) and part in range(len(data))
        if not inside:
            return loc[:known]
        data = data[part]
    return loc


def unknown_key(key: str, allowed: Sequence[str]) -> str:
    """The message about a key that nothing knows."""
    return f"unknown key{did_you_mean(key, allowed) or '; allowed: ' + ', '.join(allowed)}"


def did_you_mean(word: str, allowed: Sequence[str]) -> str:
    """`; did you mean X?`, or nothing when no allowed word is near."""
    plain = re.sub(r"[\s-]", "_", word.strip().casefold())
    known = {name.casefold(): name for name in allowed}
    for ours in (re.sub("|".join(SYNONYMS), lambda found: SYNONYMS[found[0]], plain), plain):
        if near := difflib.get_close_matches(ours, known, n=1, cutoff=0.5):
            return f"; did you mean {known[near[0]]}?"
    return ""


SYNONYMS = {"hubspot": "contact", "crm": "contact", "idp": "user"}
"""What people call the two sides, and what we call them."""


def web_address(url: str) -> str:
    """An http(s) address, without the slashes at its end. Raises ValueError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")  # as every client does: labels are neither empty nor longer than 63 characters
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None or re.search(r"\s", url):
        raise ValueError("expected an address such as https://example.com, without credentials, ? or #")
    return url.rstrip("/")


def _found(value: Any) -> str:
    """The value in a message, shortened; its shape when it is not a scalar."""
    if isinstance(value, dict):
        return ", found a mapping"
    if isinstance(value, list | tuple):
        return ", found a list"
    if value is None or value == "":
        return ", found nothing"
    text = str(value)
    return f", found '{text if len(text) <= 60 else text[:57] + '...'}'"


def _words(kind: str, context: Mapping[str, Any], message: str, value: Any, found: str) -> str:
    """A pydantic error in the words of somebody who edits a file."""
    if kind in ("literal_error", "enum"):
        allowed = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        guess = did_you_mean(str(value), allowed) if found and isinstance(value, str) else ""
        return f"expected {'one of ' if len(allowed) > 1 else ''}{', '.join(allowed)}{found}{guess}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", message))
    if isinstance(value, str) and kind.startswith(("dict", "model", "tuple", "list")):
        found = ", found text"  # which may well be a secret that slipped
    for sign, words in PYDANTIC.items():
        if kind.startswith(sign):
            return words.format(**context) + ("" if words.startswith("must") else found)
    return message[:1].lower() + message[1:]


PYDANTIC = {
    "int": "expected a whole number",
    "float": "expected a number",
    "finite_number": "expected a number",
    "bool": "expected true or false",
    "greater_than_equal": "expected {ge:.15g} or more",
    "greater_than": "expected more than {gt:.15g}",
    "less_than_equal": "expected {le:.15g} or less",
    "less_than": "expected less than {lt:.15g}",
    "string_too_short": "must not be empty",
    "string": "expected text",
    "too_short": "must not be empty",
    "tuple": "expected a list",
    "list": "expected a list",
    "dict": "expected a mapping (key: value)",
    "model": "expected a mapping (key: value)",
}
"""How a pydantic error type (by its beginning, the first that fits) reads."""


def _keys_of(data: Any, model: type[BaseModel], loc: Loc) -> Sequence[str]:
    """The keys allowed at a place. A model whose keys depend on what it holds says so in a class method `keys_for(data)`."""
    found = _model_at(model, loc)
    if found is None:
        return ()
    if keys_for := getattr(found, "keys_for", None):
        for part in loc:
            data = data[part]
        return tuple(keys_for(data))
    return [info.alias or name for name, info in found.model_fields.items()]


def hidden(model: type[BaseModel], loc: Loc) -> bool:
    """Whether what stands at a place must not be shown: so declared by its type, or by `repr=False`, on it or around it."""
    for length in range(len(loc), 0, -1):
        owner = _model_at(model, loc[: length - 1])
        info = _field(owner, loc[length - 1]) if owner else None
        if info and (not info.repr or _inside(info.annotation, SecretStr)):
            return True
    return False


def _field(model: type[BaseModel], key: str | int) -> FieldInfo | None:
    return next((info for name, info in model.model_fields.items() if key == (info.alias or name)), None)


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The model that describes a place, found by following the annotations; None when the place is unknown or no mapping."""
    here: Any = model
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            info = _field(here, part)
            here = info.annotation if info else None
        else:
            here = get_args(here)[1 if get_origin(here) is dict else 0] if get_args(here) else None
        here = _inside(here, BaseModel) if get_origin(here) in (Union, UnionType) else here
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _inside(annotation: Any, wanted: type[Any]) -> Any:
    """The first subclass of `wanted` in an annotation such as `tuple[Field, ...]` or `Events | None`."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, wanted) else None
    return next((found for part in get_args(annotation) if (found := _inside(part, wanted))), None)
