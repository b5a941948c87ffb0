"""The JSON Schema of a mapping, as an editor uses it."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from connector.mapping.schema import json_schema
from tests.mapping.files import EVERYTHING, MINIMAL

ROOT = Path(__file__).parents[2]


def as_an_editor_reads(text: str) -> Any:
    """With numbers and switches, as YAML servers do."""
    return YAML(typ="safe").load(text)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "text",
    [MINIMAL, EVERYTHING, (ROOT / "mappings" / "generic.yaml").read_text(encoding="utf-8")],
    ids=["minimal", "everything", "shipped"],
)
def test_the_schema_accepts_what_the_loader_accepts(text: str) -> None:
    Draft202012Validator(json_schema()).validate(as_an_editor_reads(text))


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL.replace("version: 1", "version: 2"),
        MINIMAL + "defualts: {}",
        MINIMAL.replace("user: email", "user: firstname"),
        MINIMAL.replace("contact: email", "contact: E-mail"),
        MINIMAL.replace("contact: email", "contact: email, direction: to_crm"),
        MINIMAL.replace("contact: email", "contact: email, transform: shout"),
        MINIMAL + "events: {types: [user.signin]}",
        MINIMAL + "events: {forward: [{as: segment, url: 'https://a', write_key: k, deletes: some}]}",
        "version: 1\nfields: []",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str) -> None:
    assert not Draft202012Validator(json_schema()).is_valid(as_an_editor_reads(text))


def test_every_key_has_a_description_and_no_made_up_title() -> None:
    """The description is what an editor shows; a title would come before it."""
    schema = json_schema()
    for part in [schema, *schema["$defs"].values()]:
        for name, key in part.get("properties", {}).items():
            assert key.get("description"), name
            assert "title" not in key, name
