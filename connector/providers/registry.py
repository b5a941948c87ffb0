"""Which function makes a provider of which kind. A module is imported when its kind is used, so a line here costs nothing.

A kind of a package's own stands in that package's entry points; see `plugins`. None of them replaces one of these.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from connector import plugins
from connector.errors import ConfigError
from connector.providers.base import Provider
from connector.settings import ProviderSettings

KINDS: dict[str, str] = {
    "generic": "connector.providers.generic:from_settings",
    "memberspace": "connector.providers.memberspace:from_settings",
    "trustisto": "connector.providers.trustisto:from_settings",
    "druid": "connector.providers.druid.provider:from_settings",
    "outseta": "connector.providers.outseta.provider:from_settings",
    "memberstack": "connector.providers.memberstack:from_settings",
    "shopify": "connector.providers.shopify.provider:from_settings",
    "auth0": "connector.providers.auth0:from_settings",
    "keycloak": "connector.providers.keycloak:from_settings",
    "scim": "connector.providers.scim:from_settings",
}
"""Kind -> "module:function", the function called as `from_settings(name, settings) -> Provider`."""


def build(name: str, settings: ProviderSettings) -> Provider:
    """The provider called `name`. Opens no connection. Raises ConfigError."""
    try:
        made: Provider = maker(settings.kind)(name, settings)
    except ConfigError as error:
        raise ConfigError([f"providers.{name}.{finding}" for finding in error.findings]) from None
    except Exception as error:
        if settings.kind in KINDS:
            raise
        said = f"kind: '{settings.kind}' is broken: its from_settings fails with {type(error).__name__}"
        raise ConfigError(f"providers.{name}.{said}") from error  # its message may hold a secret
    if missing := [one for one in PROMISED if not hasattr(made, one)]:
        raise ConfigError(f"providers.{name}.kind: '{settings.kind}' is broken: it has no {', '.join(missing)}")
    return made


def maker(kind: str) -> Callable[[str, ProviderSettings], Any]:
    """What makes providers of a kind. Raises ConfigError, without the provider's name."""
    if kind not in KINDS:
        return plugins.load(kind)
    module, _, function = KINDS[kind].partition(":")
    found: Callable[[str, ProviderSettings], Any] = getattr(import_module(module), function)
    return found


PROMISED = ("name", "capabilities", *(name for name, what in vars(Provider).items() if name[0] != "_" and callable(what)))
"""What the sync calls of a provider."""
