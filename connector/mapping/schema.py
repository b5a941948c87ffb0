"""The grammar of a mapping as a JSON Schema, for the completion and the hints of an editor."""

from collections.abc import Collection
from typing import Any

from connector.mapping.model import Mapping


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a mapping.

    In an editor: save it and point to it in the mapping's first line, `# yaml-language-server: $schema=mapping.schema.json`.
    """
    return tidy(Mapping.model_json_schema(), "Mapping between one identity provider's users and the CRM's contacts")


def tidy(schema: dict[str, Any], title: str, drop: Collection[str] = ()) -> dict[str, Any]:
    """A pydantic schema for people: without the titles made up from names, and without the keywords named in `drop`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **_without(schema, {"title", *drop})}


def _something(node: dict[str, Any]) -> dict[str, Any]:
    """Without the choice of null: a key that may be left out still has something behind it when it is there."""
    choices = node.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return node
    rest = [one for one in choices if one != {"type": "null"}]
    others = {key: value for key, value in node.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**rest[0], **others} if len(rest) == 1 else {**others, "anyOf": rest}


def _without(node: Any, drop: Collection[str]) -> Any:
    """`properties` and `$defs` hold names, not keywords."""
    if isinstance(node, list):
        return [_without(item, drop) for item in node]
    if not isinstance(node, dict):
        return node
    names = ("properties", "$defs")
    kept = {key: value for key, value in _something(node).items() if key not in drop}
    return {
        key: {name: _without(inner, drop) for name, inner in value.items()} if key in names else _without(value, drop)
        for key, value in kept.items()
    }
