"""The table of what each provider can do: held against providers built from its examples; every test it names is there."""

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connector.assembly import beyond
from connector.mapping.loader import load
from connector.model import Delivery
from connector.providers.base import Capabilities
from connector.providers.registry import KINDS, build
from connector.settings import ProviderSettings
from connector.sync.beyond import warned

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "providers" / "README.md").read_text(encoding="utf-8")
COLUMNS = ("receive", *(one.name for one in fields(Capabilities)))
OVERVIEW, *SECTIONS = re.split(r"^## (?!Overview)", PAGE, flags=re.MULTILINE)
kinds = pytest.mark.parametrize("kind", KINDS)


def rows(text):
    """The cells of a section's table, without its head."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def example(section):
    """The example of a section as settings."""
    return YAML(typ="base").load(re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1])


BY_KIND = {example(section)["kind"]: section for section in SECTIONS}


def settings(kind):
    path = ROOT / "mappings" / f"{kind}.yaml"
    return ProviderSettings.model_validate({**example(BY_KIND[kind]), "mapping": path})


def can(kind):
    """What the provider of a section's example can do."""
    told, provider = settings(kind), build("members", settings(kind))
    found = {name: getattr(provider.capabilities, name) for name in COLUMNS if name != "receive"}
    return {"receive": bool(told.webhook_secret), **found}


def test_every_kind_has_its_section():
    assert set(BY_KIND) == set(KINDS)


@kinds
def test_each_cell_says_what_is_so(kind):
    told = {name.replace("changed-since", "list_changed"): (yes, why) for name, yes, why in rows(BY_KIND[kind])}
    assert tuple(sorted(told)) == tuple(sorted(COLUMNS))
    assert {name: yes == "yes" for name, (yes, _) in told.items()} == can(kind)
    for name, (yes, why) in told.items():
        assert yes in ("yes", "no")
        assert is_a_test(why) if yes == "yes" else len(why) > 10 and "::" not in why, f"{kind}: {name}: {why}"


def is_a_test(cell):
    """Whether `folder/file.py::Class::test` names one."""
    path, *names = cell.strip("`").split("::")
    found = importlib.import_module("tests.providers." + path.removesuffix(".py").replace("/", "."))
    for name in names:
        found = getattr(found, name)
    return callable(found) and names[-1].startswith("test_")


@kinds
def test_the_overview_says_the_same(kind):
    line = next(cells for cells in rows(OVERVIEW) if cells[0].startswith(f"[{kind}]"))
    found = can(kind)
    assert line[1:] == ["yes" if found[name] else "no" for name in ("receive", *COLUMNS[1:])]


@kinds
def test_the_shipped_mapping_asks_for_nothing_beyond(kind):
    told = settings(kind)
    provider, mapping = build("members", told), load(told.mapping)
    assert (beyond(provider, mapping), warned(provider, mapping)) == ([], [])


@kinds
def test_every_kind_has_its_page(kind):
    assert kind == "generic" or (ROOT / "docs" / "providers" / f"{kind}.md").is_file()


@kinds
def test_an_empty_array_is_no_event(kind):
    """Whoever sends batches may have nothing to tell: that is taken, and none of it is set aside."""
    if "receive" in can(kind) and can(kind)["receive"]:
        headers = (("x-shopify-topic", "customers/update"),)
        delivery = Delivery("POST", "https://connector.test/webhooks/identity/members", headers, b" [] ")
        assert build("members", settings(kind)).split(delivery) == []
