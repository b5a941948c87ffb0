"""The example of a provider in a package of its own: it keeps the contract, and is found by its entry point."""

import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from connector import plugins
from connector.providers import registry
from connector.settings import ProviderSettings

ACME = Path(__file__).parents[2] / "examples" / "acme"

sys.path.insert(0, str(ACME))
try:
    from test_acme import TestAcme  # noqa: F401  pytest runs it here
finally:
    sys.path.remove(str(ACME))

GUIDE = Path(__file__).parents[2] / "docs" / "providers" / "write-a-provider.md"


@pytest.fixture
def installed(monkeypatch):
    """The example, as if its package were installed."""
    points = tomllib.loads((ACME / "pyproject.toml").read_text())["project"]["entry-points"]
    ((group, named),) = points.items()
    found = [EntryPoint(name, value, group) for name, value in named.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [one for one in found if one.group == group])
    plugins.found.cache_clear()
    yield
    plugins.found.cache_clear()


def test_it_is_found_by_its_entry_point(installed):
    told = {"kind": "acme", "mapping": ACME / "pyproject.toml", "webhook_secret": "12345678", "options": {"tenant": "acme"}}
    provider = registry.build("acme", ProviderSettings.model_validate(told))
    assert provider.capabilities.read
    assert not provider.capabilities.create


@pytest.mark.parametrize("file", ["acme_provider.py", "test_acme.py", "pyproject.toml"])
def test_the_guide_shows_it_as_it_is(file):
    assert (ACME / file).read_text() in GUIDE.read_text()
