"""Which class stands behind which `kind` of provider."""

from collections.abc import Callable

from connector.errors import ConfigError
from connector.providers.base import Provider
from connector.providers.generic import Generic
from connector.providers.signature import SignatureScheme
from connector.settings import ProviderSettings


def build(name: str, settings: ProviderSettings) -> Provider:
    """The provider called `name`. Opens no connection. Raises ConfigError."""
    if settings.kind not in KINDS:
        raise ConfigError(f"providers.{name}.kind: '{settings.kind}' is not available; available: {', '.join(KINDS)}")
    try:
        return KINDS[settings.kind](name, settings)
    except ConfigError as error:
        raise ConfigError([f"providers.{name}.{finding}" for finding in error.findings]) from None


def _generic(name: str, settings: ProviderSettings) -> Provider:
    return Generic(
        name,
        secrets=[secret.get_secret_value() for secret in settings.webhook_secret],
        signature=SignatureScheme(**settings.signature.model_dump()),
        api_url=settings.api_url,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
    )


KINDS: dict[str, Callable[[str, ProviderSettings], Provider]] = {
    "generic": _generic,
}
