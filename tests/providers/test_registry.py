"""Which function stands behind which kind, and kinds that other packages bring along."""

import sys
import types
from importlib.metadata import EntryPoint

import pytest

from connector import plugins
from connector.errors import ConfigError
from connector.providers import registry
from connector.providers.generic import Generic
from connector.providers.signature import STANDARD
from connector.settings import AVAILABLE, ProviderSettings, config_schema
from connector.settingwords import KINDS, SECRET_NAME

SECRET = "whsec_dGhpcyBpcyBvbmx5IGEgdGVzdCBrZXk="


@pytest.fixture
def installed(monkeypatch):
    """Install entry points for the length of a test: installed(acme="module:function")."""

    def install(*pairs, **named):
        points = [EntryPoint(name, value, plugins.GROUP) for name, value in (*pairs, *named.items())]
        monkeypatch.setattr(plugins, "entry_points", lambda group: [one for one in points if one.group == group])
        plugins.found.cache_clear()

    yield install
    plugins.found.cache_clear()


@pytest.fixture
def acme(monkeypatch):
    """A package with a provider of its own."""
    module = types.ModuleType("acme_provider")
    module.from_settings = lambda name, settings: Generic(name, [SECRET], STANDARD, settings.options.get("where"))
    module.number = 7
    monkeypatch.setitem(sys.modules, "acme_provider", module)
    return module


def settings(kind="acme", **given):
    return ProviderSettings.model_validate({"kind": kind, "mapping": __file__, **given})


@pytest.mark.parametrize("kind", registry.KINDS)
def test_a_shipped_kind_has_its_function(kind):
    assert kind in KINDS
    assert callable(registry.maker(kind))


def test_every_shipped_kind_can_be_configured():
    assert set(KINDS) <= set(AVAILABLE)
    assert set(KINDS) <= set(config_schema()["$defs"]["ProviderSettings"]["properties"]["kind"]["enum"])


class TestPlugins:
    def test_one_is_used(self, installed, acme):
        installed(acme="acme_provider:from_settings")
        provider = registry.build("members", settings(options={"where": "https://id.test"}))
        assert (provider.name, provider.capabilities.read) == ("members", True)

    def test_it_takes_the_keys_of_a_generic_one(self, installed):
        installed(acme="acme_provider:from_settings")
        found = settings(webhook_secret=SECRET, api_url="https://id.test", signature={"key": "utf8"}, client_secret="12345678")
        assert found.signature.key == "utf8"
        with pytest.raises(ValueError, match="not valid"):
            settings(shop="x")

    def test_looking_imports_nothing(self, installed):
        installed(acme="no_such_module:from_settings")
        assert settings().kind == "acme"

    def test_a_shipped_kind_is_not_replaced(self, installed, acme):
        installed(generic="acme_provider:from_settings")
        acme.from_settings = None
        assert registry.build("members", settings("generic", webhook_secret=SECRET)).name == "members"

    @pytest.mark.parametrize(
        ("point", "problem"),
        [
            ("no_such_module:from_settings", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
            ("acme_provider:nothing", "cannot be loaded: AttributeError"),
            ("acme_provider:number", "is no function"),
        ],
    )
    def test_a_broken_one_is_named(self, installed, acme, point, problem):
        installed(acme=point)
        with pytest.raises(ConfigError) as caught:
            registry.build("members", settings())
        (finding,) = caught.value.findings
        assert finding.startswith(f"providers.members.kind: 'acme' is broken: {point} (package unknown) {problem}")

    def test_one_that_fails_tells_no_secret(self, installed, acme):
        installed(acme="acme_provider:from_settings")
        acme.from_settings = lambda name, settings: 1 / 0
        with pytest.raises(ConfigError, match=r"^providers\.members\.kind: 'acme' is broken: its from_settings fails with Zero"):
            registry.build("members", settings())

    def test_one_that_is_no_provider(self, installed, acme):
        installed(acme="acme_provider:from_settings")
        acme.from_settings = lambda name, settings: object()
        with pytest.raises(ConfigError, match=r"is broken: it has no name, capabilities, authenticate"):
            registry.build("members", settings())

    def test_its_own_findings_name_the_provider(self, installed, acme):
        def refuse(name, settings):
            raise ConfigError("options.where: missing")

        installed(acme="acme_provider:from_settings")
        acme.from_settings = refuse
        with pytest.raises(ConfigError, match=r"^providers\.members\.options\.where: missing$"):
            registry.build("members", settings())

    def test_two_packages_with_one_kind(self, installed, acme):
        installed(("acme", "acme_provider:from_settings"), ("acme", "other:from_settings"))
        with pytest.raises(ConfigError, match="'acme' is brought along by several packages"):
            registry.build("members", settings())

    def test_one_that_is_not_installed(self, installed):
        installed()
        with pytest.raises(ValueError, match="found 'acme'"):
            settings()
        gone = settings("generic", webhook_secret=SECRET).model_copy(update={"kind": "acme"})
        with pytest.raises(ConfigError, match=r"providers\.members\.kind: 'acme' is not installed"):
            registry.build("members", gone)


@pytest.mark.parametrize("name", ["api_key", "clientSecret", "PASSWORD", "access_token", "apikey"])
def test_texts_that_are_masked_by_their_name(name):
    assert SECRET_NAME.search(name)
