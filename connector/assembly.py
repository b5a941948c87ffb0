"""Putting the parts together from the configuration: the one place that knows which class stands behind which protocol."""

import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import make_url

from connector.crm.hubspot.driver import HubSpot
from connector.crm.hubspot.limits import make_limiter
from connector.crm.hubspot.webhooks import HubSpotWebhooks
from connector.errors import ConfigError
from connector.mapping.loader import load
from connector.mapping.model import Mapping
from connector.providers import registry
from connector.providers.base import Provider
from connector.settings import Settings
from connector.store import Store
from connector.sync.beyond import refused, reserved
from connector.sync.work import Work, silent


def build(settings: Settings, ring: Callable[[], None] = silent) -> Work:
    """Everything the sync works with. Opens no connection yet. Raises ConfigError with all findings."""
    store = open_store(settings)
    _require_broker(settings)
    mappings = load_mappings(settings)
    return Work(
        store=store,
        crm=open_crm(settings),
        providers=open_providers(settings, mappings),
        mappings=mappings,
        retries=settings.retries,
        brakes=settings.brakes,
        grace=timedelta(seconds=settings.grace.contact_deletion),
        ring=ring,
    )


def open_store(settings: Settings) -> Store:
    """The database alone. Opens no connection yet. Raises ConfigError when its driver is missing or does not take its address."""
    _require_extra(settings, "database_url", settings.database_url)
    try:
        return Store(settings.database_url, hash_key=settings.keyed)
    except ConfigError as error:
        raise ConfigError(settings.placed(str(error))) from None


def _require_extra(settings: Settings, key: str, url: str) -> None:
    """Raises ConfigError when the driver of the configured database or broker is not installed."""
    wanted = {"postgresql": ("psycopg", "postgres"), "redis": ("redis", "redis"), "rediss": ("redis", "redis")}
    scheme = url.partition(":")[0].partition("+")[0]
    module, extra = wanted.get(scheme, ("", ""))
    if module and find_spec(module) is None:
        way_out = f"pip install -c constraints.txt -e '.[{extra}]'"
        raise ConfigError(settings.placed(f"{key}: {scheme}:// needs a package that is not installed: {way_out}"))


def _require_broker(settings: Settings) -> None:
    """Raises ConfigError when Redis's client is not installed, or does not take the options of its address. It shows none."""
    _require_extra(settings, "broker_url", settings.broker_url)
    if redis := _redis(settings):
        from redis import Redis

        try:
            Redis.from_url(redis).connection_pool.make_connection()  # connects to nothing yet
        except (TypeError, ValueError) as error:
            told = "the Redis client does not know an option behind the ?, or not its value"
            raise ConfigError(settings.placed(f"broker_url: {told}")) from error


def _redis(settings: Settings) -> str | None:
    return settings.broker_url if settings.broker_url.startswith(("redis://", "rediss://")) else None


def load_mappings(settings: Settings) -> dict[str, Mapping]:
    """The mapping of each provider. Raises ConfigError with the findings of all files."""
    found: dict[str, Mapping] = {}
    findings: list[str] = []
    for name, provider in settings.providers.items():
        try:
            found[name] = load(provider.mapping)
        except ConfigError as error:
            findings += error.findings
    if findings:
        raise ConfigError(list(dict.fromkeys(findings)))
    return found


def open_providers(settings: Settings, mappings: dict[str, Mapping]) -> dict[str, Provider]:
    """The configured identity providers. Raises ConfigError when a mapping asks for what its provider cannot do."""
    providers: dict[str, Provider] = {}
    findings: list[str] = []
    for name, provider in settings.providers.items():
        try:
            providers[name] = registry.build(name, provider)
        except ConfigError as error:
            findings += map(settings.placed, error.findings)
    findings += [finding for name, provider in providers.items() for finding in beyond(provider, mappings[name], providers)]
    if findings:
        raise ConfigError(findings)
    return providers


def beyond(provider: Provider, mapping: Mapping, names: Iterable[str] = ()) -> list[str]:
    """What a mapping asks of its provider that the provider, as configured, cannot do, and properties that are not the mapping's.

    names: of all providers.
    """
    others = {f"{one}_user_id" for one in names if one != provider.name}
    return [*reserved(mapping, f"{provider.name}_user_id", others), *refused(provider, mapping)]


def open_crm(settings: Settings) -> HubSpot:
    """The CRM, with one budget for all processes that share this configuration."""
    crm = settings.crm
    limiter = make_limiter(crm.burst_limit, _redis(settings), _rate_file(settings), f"hubspot-{crm.portal_id}")
    secrets = [secret.get_secret_value() for secret in crm.webhook_secret]
    return HubSpot(
        crm.base_url,
        crm.access_token.get_secret_value(),
        crm.portal_id,
        limiter,
        HubSpotWebhooks(secrets, crm.portal_id, crm.accept_v1_signature),
        version=crm.api_version,
        statuses_per_read=crm.statuses_per_read,
    )


def _rate_file(settings: Settings) -> Path:
    """Where processes of one machine share the call budget: beside the SQLite database, else in the temporary folder."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        return Path(f"{url.database}.rate")
    return Path(tempfile.gettempdir()) / f"connector-{settings.crm.portal_id}.rate"
