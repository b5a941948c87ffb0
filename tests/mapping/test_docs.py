"""What docs/mapping.md says is what the loader does."""

import re
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.mapping.loader import load
from connector.mapping.schema import json_schema

DOCS = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(yaml|text)\n(.*?)```", DOCS, re.DOTALL)


def test_the_example_of_everything_loads(tmp_path: Path) -> None:
    path = tmp_path / "members.yaml"
    path.write_text(BLOCKS[0][1], encoding="utf-8")
    mapping = load(path)
    assert mapping.model_fields_set == set(type(mapping).model_fields)


@pytest.mark.parametrize("index", [1, 3])
def test_the_mistakes_say_what_is_printed(tmp_path: Path, index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (kind, wrong), (kind_of_next, printed) = BLOCKS[index : index + 2]
    assert (kind, kind_of_next) == ("yaml", "text")
    monkeypatch.chdir(tmp_path)
    path = Path("members.yaml")
    path.write_text(wrong, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.findings == printed.splitlines()


def test_every_key_and_every_word_is_described() -> None:
    schema = json_schema()
    for part in [schema, *schema["$defs"].values()]:
        for name in (*part.get("properties", {}), *part.get("enum", [])):
            assert re.search(rf"(`|## ){re.escape(str(name))}\b", DOCS), name
