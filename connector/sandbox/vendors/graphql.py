"""As much of GraphQL as a vendor of the sandbox needs: read a document, run its fields, answer what was selected and no more.

One operation, fields with arguments, aliases, inline fragments; no named fragments, no directives.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\.\.\.|[{}()\[\]:!=$]|[A-Za-z_]\w*|-?\d+(?:\.\d+)?')
WORDS = {"true": True, "false": False, "null": None}

Resolver = Callable[[Mapping[str, Any]], Any]


class BadQuery(Exception):
    """A document that cannot be run. code: what GraphQL servers call it."""

    def __init__(self, message: str, code: str = "undefinedField") -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Field:
    """A selected field. name: "" for an inline fragment."""

    name: str
    alias: str
    arguments: dict[str, Any] = field(default_factory=dict)
    selected: "list[Field] | None" = None


def run(document: str, variables: Mapping[str, Any], resolvers: Mapping[str, Resolver]) -> dict[str, Any]:
    """The data of an answer. Raises BadQuery for a field that is not there, and whatever a resolver raises."""
    found: dict[str, Any] = {}
    for one in read(document, variables):
        if one.name not in resolvers:
            raise BadQuery(f"Field '{one.name}' doesn't exist")
        found[one.alias] = _shown(resolvers[one.name](one.arguments), one)
    return found


def read(document: str, variables: Mapping[str, Any]) -> list[Field]:
    """The fields that a document selects, with the variables put in."""
    tokens = iter(_TOKEN.findall(document))
    try:
        for token in tokens:
            if token == "(":
                _skip(tokens)
            elif token == "{":
                return _selection(tokens, variables)
    except StopIteration:
        pass
    raise BadQuery("the document ends too early", "parseError")


def _skip(tokens: Iterator[str]) -> None:
    depth = 1
    while depth:
        token = next(tokens)
        depth += {"(": 1, ")": -1}.get(token, 0)


def _selection(tokens: Iterator[str], variables: Mapping[str, Any]) -> list[Field]:
    """Fields up to the closing brace."""
    fields: list[Field] = []
    while (token := next(tokens)) != "}":
        if token == "...":
            next(tokens)  # the "on"
            fields.append(Field("", next(tokens)))
        elif token == ":":
            fields[-1].name = next(tokens)
        elif token == "(":
            fields[-1].arguments = _pairs(tokens, ")", variables)
        elif token == "{":
            fields[-1].selected = _selection(tokens, variables)
        else:
            fields.append(Field(token, token))
    return fields


def _pairs(tokens: Iterator[str], end: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    while (name := next(tokens)) != end:
        next(tokens)
        found[name] = _value(next(tokens), tokens, variables)
    return found


def _value(token: str, tokens: Iterator[str], variables: Mapping[str, Any]) -> Any:
    if token == "$":
        return variables.get(next(tokens))
    if token == "{":
        return _pairs(tokens, "}", variables)
    if token == "[":
        values = []
        while (inner := next(tokens)) != "]":
            values.append(_value(inner, tokens, variables))
        return values
    if token[0] == '"':
        return token[1:-1]
    return WORDS[token] if token in WORDS else int(token) if token.lstrip("-").isdecimal() else token


def _shown(value: Any, asked: Field) -> Any:
    """What was selected of a value."""
    if isinstance(value, list):
        return [_shown(one, asked) for one in value]
    if not isinstance(value, Mapping):
        return value
    if asked.selected is None:
        raise BadQuery(f"Field '{asked.name}' must have selections", "selectionMismatch")
    found: dict[str, Any] = {}
    for one in asked.selected:
        if not one.name:
            found |= _shown(value, one)
        elif one.name not in value:
            raise BadQuery(f"Field '{one.name}' doesn't exist on '{asked.name}'")
        else:
            found[one.alias] = _shown(value[one.name], one)
    return found
