"""What an operator configures: config.yaml, and CONNECTOR_* variables that win over it.

A variable's name is CONNECTOR_ and the path of the key, joined by two underscores: CONNECTOR_CRM__ACCESS_TOKEN. An empty one
counts as not given. A key of the file may have nothing behind it when its value comes from there. Lists are given as JSON.
Secrets are `SecretStr`: they do not show in a repr, in `describe()` or in an error.
"""

import difflib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo

from connector import settingwords as words
from connector.errors import ConfigError
from connector.mapping.schema import tidy
from connector.providersettings import AVAILABLE, ProviderSettings, Signature
from connector.settingtypes import Address, Days, HashKey, Limit, Percent, Seconds, Section, SentToken, Text, Tokens
from connector.yamlfile import Document, read, validate
from connector.yamlwords import MISSING, Finding, Loc, did_you_mean, hidden, refuse

__all__ = ["AVAILABLE", "ProviderSettings", "Settings", "Signature", "config_schema", "load_settings"]

PREFIX = "CONNECTOR_"
FILE_VARIABLE = "CONNECTOR_CONFIG"
DEFAULT_FILE = Path("config.yaml")
OPEN = (("database_url",), ("broker_url",))
"""Settings that are hidden because they may hold a password, and mostly hold none."""


def _database(url: str, info: ValidationInfo) -> str:
    return words.database_url(url, info.context)


class Crm(Section):
    """The CRM account."""

    kind: Literal["hubspot"] = "hubspot"
    portal_id: int = Field(gt=0, description="The account's id (Hub ID). Workers refuse any other account.")
    access_token: SentToken = Field(description="Access token of the app, read and sent as a bearer token.")
    webhook_secret: Tokens = Field(description="The app's client secret, which signs its webhooks; a list while rotating.")
    base_url: Address = Field("https://api.hubapi.com", description="Where the API is.")
    burst_limit: int = Field(190, gt=0, description="Calls per 10 seconds, all processes together.")
    accept_v1_signature: bool = Field(False, description="Also accept HubSpot's old signature (legacy private apps only).")
    statuses_per_read: int = Field(
        100, ge=1, le=1000, description="Addresses in one read of subscription statuses, where the account reads many at once."
    )
    api_version: Annotated[Text, AfterValidator(words.api_version)] = Field("v3", description="Version in the API's paths.")


class Schedule(Section):
    """Seconds between two rounds of each kind; 0 switches one off."""

    sweep: Seconds = Field(10, description="Seconds: rings what is due, recovers expired leases.")
    reconcile: Seconds = Field(3600, description="Seconds: incremental comparison, both sides.")
    full_reconcile: Seconds = Field(86400, description="Seconds: comparison of everything.")
    poll: Seconds = Field(300, description="Seconds: providers that are asked instead of telling.")
    subscriptions: Seconds = Field(900, description="Seconds: rolling read of subscription statuses.")


class Grace(Section):
    """Waiting before something is believed."""

    contact_deletion: Seconds = Field(60, description="Seconds before a deletion is believed: a merge looks like one.")


class Brakes(Section):
    """Limits of a run. It stops before the first effect beyond one; 0 switches a limit off."""

    deletes: Limit = Field(50, description="Deletions.")
    deletes_percent: Percent = Field(5, description="Deletions, percent of active links.")
    opt_outs: Limit = Field(200, description="Consents withdrawn.")
    opt_outs_percent: Percent = Field(5, description="Consents withdrawn, percent of active links.")
    clears: Limit = Field(200, description="Fields blanked, memberships taken from users.")
    clears_percent: Percent = Field(5, description="Fields blanked and memberships taken, percent of active links.")
    floor: Limit = Field(20, description="A percent never stops this many effects or fewer.")


class Retries(Section):
    """How often and when a failed record is tried again, before it is parked."""

    attempts: int = Field(8, ge=1, description="Attempts before a record is parked.")
    first: Seconds = Field(2, description="Seconds before the second attempt; doubles each time.")
    longest: Seconds = Field(3600, description="Seconds between two attempts at most.")

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.longest < self.first:
            refuse([Finding(("longest",), f"expected {self.first:g} (retries.first) or more, found {self.longest:g}")])
        return self


class Retention(Section):
    """How long what is done with is kept."""

    deliveries: Days = Field(30, description="Days: webhook deliveries as received.")
    history: Days = Field(365, description="Days: what was written, and why.")


class Settings(Section):
    """The whole configuration. `load_settings` makes one; the constructor reads neither file nor environment."""

    database_url: Annotated[Text, AfterValidator(_database)] = Field(
        "sqlite:///connector.db",
        repr=False,
        validate_default=True,
        description="sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/NAME beyond one machine.",
    )
    broker_url: Annotated[Text, AfterValidator(words.broker_url)] = Field(
        "memory://", repr=False, description="memory://, or redis://... or amqp://... beyond one process."
    )
    public_url: Annotated[Address, AfterValidator(words.public_url)] = Field(
        "http://127.0.0.1:8000", description="This service as webhook senders call it."
    )
    hash_key: HashKey | None = Field(None, description="Signs the consents kept as proof, and hides who was erased.")
    crm: Crm
    providers: dict[Annotated[str, AfterValidator(words.provider_name)], ProviderSettings] = Field(
        default_factory=dict,
        description="Identity providers by name, which is part of URLs and of the property <name>_user_id.",
    )
    schedule: Schedule = Field(default_factory=Schedule)
    grace: Grace = Field(default_factory=Grace)
    brakes: Brakes = Field(default_factory=Brakes)
    retries: Retries = Field(default_factory=Retries)
    plan_max_age: Seconds = Field(86400, description="Seconds after which a plan file is not carried out any more.")
    retention: Retention = Field(default_factory=Retention)
    _path: Path | None = PrivateAttr(None)
    _document: Document | None = PrivateAttr(None)
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def path(self) -> Path | None:
        """The file these settings were read from."""
        return self._path

    def placed(self, message: str) -> str:
        """A message that begins with a setting's path, or names one later on, with the place that setting comes from in front."""
        for path in re.findall(r"^\w+(?=:)|\b\w+(?:\.\w+)+\b", message):
            loc: Loc = tuple(int(part) if part.isdigit() else part for part in path.split("."))
            if self._document is not None and loc[0] in Settings.model_fields and (where := _where(self._document, loc)):
                return f"{where}: {message}"
        return message

    def describe(self) -> dict[str, Any]:
        """All settings for people to read: secrets are ***."""
        told: dict[str, Any] = words.masked(self.model_dump())
        for provider in told["providers"].values():
            for key in provider.keys() - ProviderSettings.keys_for(provider):
                del provider[key]
        return told

    @property
    def keyed(self) -> str | None:
        """`hash_key` in the open, for the store."""
        return self.hash_key.get_secret_value() if self.hash_key else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works but should not stay so, for `check` and `doctor`."""
        return self._warnings


def load_settings(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read `path`, or the file named by CONNECTOR_CONFIG, or config.yaml. Raises ConfigError with every finding.

    config.yaml need not be there when something is given by the environment.
    """
    path = path or Path(environ.get(FILE_VARIABLE) or DEFAULT_FILE)
    given = list(_variables(environ))
    way_out = f"copy config.example.yaml to it, or name another with --config or {FILE_VARIABLE}; `connector demo` needs none"
    needless = bool(given) and path == Path(DEFAULT_FILE) and not path.exists()
    document = Document(path, b"", {}, {}, {}) if needless else read(path, way_out, nothing={})
    _require_providers(document.data, given)
    for loc, name, value in given:
        document = document.override(loc, name, value)
    folder, missing, blank = path.parent.resolve(), partial(_missing, environ), partial(_blank, environ)
    settings = validate(document, Settings, folder, missing, blank)
    settings._path = path
    settings._document = document
    settings._warnings = (*_exposed(document), *_alone(document, settings))
    return settings


def _alone(document: Document, settings: Settings) -> Iterator[str]:
    """A configuration without identity providers: everything starts, and nothing is done."""
    if not settings.providers:
        yield document.finding(
            ("providers",), "there is none, so nothing is kept in agreement: add one, as in config.example.yaml"
        )


def _exposed(document: Document) -> Iterator[str]:
    """Secrets in a file that everybody on the machine can read."""
    if not document.raw or not document.path.stat().st_mode & stat.S_IROTH:
        return
    hides = (loc for loc in document.values if hidden(Settings, loc) and loc not in document.names and loc not in OPEN)
    secrets = [loc for loc in hides if _stands(document.data, loc)]
    if secrets:
        yield document.finding(secrets[0], "a secret that every user of this machine can read: chmod o-r, or use the environment")


def _stands(data: Any, loc: Loc) -> bool:
    """Whether something is given at a place: `hash_key:` with nothing behind it gives nothing away."""
    for part in loc:
        if isinstance(data, dict):
            data = data.get(part)
        else:
            return True
    return data is not None


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of config.yaml, for editors. Nothing is required: any key can come from the environment."""
    return tidy(Settings.model_json_schema(), "Configuration of the connector", drop=["required"])


def _where(document: Document, loc: Loc) -> str:
    """Where a setting comes from, or the section it would stand in; nothing when there is neither."""
    parts = (loc[:length] for length in range(len(loc), 0, -1))
    return next((document.where(one) for one in parts if one in document.names or one in document.values), "")


def _missing(environ: Mapping[str, str], loc: Loc) -> str:
    """The message about a missing key."""
    name = _variable(loc)
    return f"missing: give it here or as {name}{_misspelt(loc, environ)}" if _nameable(name) else MISSING


def _blank(environ: Mapping[str, str], loc: Loc) -> str:
    """The way out for a key with nothing behind it. Only `hash_key` may stay so: the example has it, for whoever wants one."""
    name = _variable(loc)
    give = f"give it here or as {name}" if _nameable(name) else "give it a value"
    return "" if loc == ("hash_key",) else f"{give}, or leave the key out{_misspelt(loc, environ)}"


def _variable(loc: Loc) -> str:
    """The variable that a key can come from."""
    return PREFIX + "__".join(str(part) for part in loc).upper()


def _nameable(variable: str) -> bool:
    """Whether a shell takes it."""
    return re.fullmatch(r"\w+", variable) is not None


def _misspelt(loc: Loc, environ: Mapping[str, str]) -> str:
    """That a variable is set that would be meant if its parts were joined by two underscores."""
    name = _variable(loc)
    meant = [one for one in environ if one != name and environ[one].strip() and _joined_by_one(one) == _joined_by_one(name)]
    parts = " and ".join(str(part).upper() for part in loc[:-1])
    return f"; {meant[0]} is set: it takes two underscores after {parts}" if meant and parts else ""


def _joined_by_one(name: str) -> str:
    return re.sub("_+", "_", name.upper())


def _require_providers(data: Any, given: Sequence[tuple[Loc, str, Any]]) -> None:
    """Raises ConfigError for variables of a provider that nobody configures: its name is misspelt there."""
    known = data.get("providers") if isinstance(data, dict) else None
    names = [str(name) for name in known] if isinstance(known, dict) else []
    named = {loc[1] for loc, _, _ in given if loc[0] == "providers" and loc[2:] == ("kind",)}
    unknown = {
        name: f"{name}: no provider {loc[1]} is configured"
        + (did_you_mean(str(loc[1]), names) or f"; there is {', '.join(names) or 'none'}")
        for loc, name, _ in given
        if loc[0] == "providers" and len(loc) > 2 and loc[1] not in (*names, *named)
    }
    if unknown:
        raise ConfigError(list(unknown.values()))


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Settings in the environment: path, name of the variable, value. Shorter paths first, so that longer ones win.

    A variable that is none of ours is left alone (Kubernetes sets CONNECTOR_PORT), unless it looks like a misspelt one.
    """
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE or not environ[name].strip():
            continue
        loc = tuple(name[len(PREFIX) :].lower().split("__"))
        if loc[0] in Settings.model_fields:
            for inner, value in _leaves(_parsed(name, environ[name])):
                yield (*loc, *inner), name, value
        elif near := difflib.get_close_matches(loc[0], Settings.model_fields, 1, 0.8):
            raise ConfigError(f"{name}: unknown setting; did you mean {PREFIX}{'__'.join([near[0], *loc[1:]]).upper()}?")


def _parsed(name: str, text: str) -> Any:
    """Text, or a JSON list or object whose numbers and switches are kept as text. Raises ConfigError for a list that is none."""
    if re.match(r"\s*[\[{]", text):
        try:
            return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            if text.lstrip().startswith("["):
                raise ConfigError(f'{name}: begins with [ and is no JSON list: write ["new","old"]') from None
    return text.strip()


def _leaves(value: Any, loc: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The entries of a JSON object, one by one; anything else is one entry."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*loc, key))
    else:
        yield loc, value
