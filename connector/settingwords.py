"""What single settings may say: addresses, secrets, names, kinds of provider. No setting is read here.

Every check returns the value as it is to be used, or raises ValueError; a message never contains a secret.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from connector.yamlwords import did_you_mean

SHORTEST_TOKEN = 8
SHORTEST_SIGNING_KEY = 16
SHORTEST_HASH_KEY = 16
PLACEHOLDER = re.compile(
    r"\W*|change[\W_]*(me|it)?|<.*>|x+|(my[\W_]*)?(secret|token|password|key)|to[\W_]*do|your[\W_].*", re.IGNORECASE
)
"""What examples have in the place of a secret."""

SECRET_NAME = re.compile(r"secret|token|password|api_?key|private", re.IGNORECASE)
"""Names of settings whose text is a secret, where no type says so: those of kinds that other packages bring along."""


@dataclass(frozen=True)
class Kind:
    """The keys of one kind of provider, beside the common ones, and those that it cannot do without.

    chosen_secret: the operator chooses the webhook secret and how it becomes a key; otherwise the provider issues it.
    """

    keys: tuple[str, ...]
    required: tuple[str, ...]
    chosen_secret: bool = False


COMMON = ("kind", "mapping", "webhook_secret", "api_url")
RECEIVING = ("signature", "webhook_auth", "trust")
KINDS = {
    "generic": Kind(("api_key", *RECEIVING), ("webhook_secret",), chosen_secret=True),
    "druid": Kind(
        ("auth_url", "client_id", "client_secret", "entry_point", "events", "event_path", "user_id_path", "occurred_at_path",
         "patch_path", "pending_email_path", "consent_at_path", "date_format", "allow_delete", "write_typologies",
         "signature", "webhook_auth"),
        ("webhook_secret", "api_url", "auth_url", "client_id", "client_secret"),
    ),
    "memberstack": Kind(("api_key", "fields", "consents", "blank"), ("webhook_secret", "api_key")),
    "outseta": Kind(
        ("api_key", "events", "donotlog", "update_sends", "paging", "double_opt_in"), ("webhook_secret", "api_url", "api_key")
    ),
    "shopify": Kind(
        ("shop", "api_key", "api_version", "listing", "companies", "subjects", "opt_in_level"),
        ("webhook_secret", "shop", "api_key"),
    ),
    "memberspace": Kind(("api_key", "events", "active_statuses", *RECEIVING), ("webhook_secret",), chosen_secret=True),
    "trustisto": Kind(("api_key", "events", *RECEIVING), ("webhook_secret",), chosen_secret=True),
    "scim": Kind(("api_key", "fields", "consents", "inactive"), ("api_url", "api_key")),
    "auth0": Kind(
        ("domain", "client_id", "client_secret", "auth_url", "audience", "connection", "listing", "fields", "consents",
         "memberships", *RECEIVING),
        ("domain", "client_id", "client_secret"),
    ),
    "keycloak": Kind(
        ("realm", "client_id", "client_secret", "auth_url", "fields", "consents", "memberships", "signature"),
        ("api_url", "realm", "client_id", "client_secret"),
    ),
}  # fmt: skip


PLUGIN = Kind(("api_key", "auth_url", "client_id", "client_secret", *RECEIVING, "options"), ())
"""A kind that another package brings along: what the generic one takes, and whatever it likes in `options`."""


def kind_of(kind: str) -> Kind:
    """The keys of a kind; see `KINDS`."""
    return KINDS.get(kind, PLUGIN)


def provider_kind(kind: str, available: Sequence[str]) -> str:
    """A kind of provider that this installation can run."""
    if kind in available:
        return kind
    one_of = "one of " if len(available) > 1 else ""
    guess = f"{did_you_mean(kind, available)} Or" if did_you_mean(kind, available) else "; or"
    found = f"expected {one_of}{', '.join(available)}, found '{kind}'{guess}"
    raise ValueError(f"{found} its package is not installed here (docs/providers/write-a-provider.md)")


def provider_name(name: str) -> str:
    """A provider's name, which becomes part of URLs, of environment variables and of a contact property."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("a provider's name is a letter, then lower-case letters, digits and _")
    return name


LITE = ("sqlite", "sqlite+pysqlite")
SERVERS = ("postgresql", "postgresql+psycopg")
A_DATABASE = "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


def database_url(url: str, folder: Path | None) -> str:
    """A SQLAlchemy address. A relative SQLite file is put into `folder`."""
    scheme, _, rest = url.partition("://")
    if scheme in LITE:
        return f"{scheme}:///{_file(rest, folder)}"
    if scheme not in SERVERS:
        raise ValueError(A_DATABASE)
    if not _is_server(url):
        raise ValueError(MISREAD)
    return url


def _file(rest: str, folder: Path | None) -> str:
    """What stands behind sqlite:///. Never a database in memory: what is accepted into one is lost with the process."""
    slash, name = rest[:1], rest[1:]
    if "?" in name:
        raise ValueError("expected sqlite:///FILE without a ? and options behind it")
    meant = unquote(name)
    if slash != "/" or meant in ("", ":memory:") or meant.startswith("file:") or "\0" in meant:
        raise ValueError(A_DATABASE)
    return name if folder is None or name.startswith("/") else f"{_quoted(folder)}/{name}"


def _quoted(folder: Path) -> str:
    """As it stands in a SQLAlchemy address."""
    return str(folder).replace("%", "%25").replace("?", "%3F")


MISREAD = (
    "expected a port up to 65535, and special characters of user and password percent-encoded "
    "(@ is %40, / %2F, # %23, ? %3F, [ %5B, ; %3B)"
)


def _is_server(url: str) -> bool:
    """Whether SQLAlchemy reads a server's address as it is meant: to it a password ends with the first @ behind the colon."""
    try:
        port = make_url(url).port
    except (ValueError, ArgumentError):
        return False
    host = re.sub(r"^[^:/]*(:[^@]*)?@", "", url.partition("://")[2])
    return "@" not in host and (port is None or 0 < port < 65536)


def broker_url(url: str) -> str:
    """An address of a broker, or several behind each other with a semicolon between them."""
    if not re.match(BROKERS, url):
        raise ValueError(A_BROKER)
    if not all(_is_broker(one) for one in url.split(";")):
        raise ValueError(MISREAD)
    if not all(_is_numbered(one) for one in url.split(";")):
        raise ValueError(A_BROKER)
    return url


BROKERS = "(memory|redis|rediss|amqp|amqps)://"
A_BROKER = "expected memory://, redis://HOST:PORT/NUMBER or amqp://USER:PASSWORD@HOST"


def _is_numbered(url: str) -> bool:
    """Whether a Redis database, if one is named, is a number: Redis has no names for them."""
    return not url.startswith("redis") or bool(re.fullmatch(r"/?\d*", urlsplit(url).path))


def _is_broker(url: str) -> bool:
    """Whether the broker's client reads an address as it is meant: to it a / ? or # ends the host, whatever was before it."""
    try:
        parts = urlsplit(url)
        usable = parts.port != 0
    except ValueError:
        return False
    return usable and bool(re.match(BROKERS, url)) and "@" not in parts.path + parts.query + parts.fragment


def public_url(url: str) -> str:
    """This service's address, to which the paths of webhooks are added."""
    if found := re.search(r"/webhooks/(hubspot|identity(/\w+)?)$", url):
        raise ValueError(f"write it without {found[0]}, which is added to it: {url[: found.start()]}")
    return url


def api_version(version: str) -> str:
    """A version as it stands in the CRM's paths."""
    if not re.fullmatch(r"v\d|\d{4}-\d{2}", version):
        raise ValueError(f"expected a version such as v3 or 2026-03, found '{version}'")
    return version


def header(name: str) -> str:
    """The name of an HTTP header, in lower case."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError("expected the name of an HTTP header")
    return name.lower()


def token(secret: SecretStr, shortest: int = SHORTEST_TOKEN, what: str = "a secret") -> SecretStr:
    """A secret without white space around it, neither a placeholder nor too short to be one."""
    text = secret.get_secret_value().strip()
    if not text:
        raise ValueError("a secret is missing")
    if PLACEHOLDER.fullmatch(text):
        raise ValueError("this is a placeholder: put the secret here or in the environment")
    if len(text) < shortest:
        raise ValueError(f"too short for {what}: {shortest} characters at least")
    return in_one_line(SecretStr(text))


def in_one_line(secret: SecretStr) -> SecretStr:
    """A secret without control characters."""
    if not secret.get_secret_value().isprintable():
        raise ValueError("a secret with a line break or a control character in it: copy it again")
    return secret


def sendable(secret: SecretStr) -> SecretStr:
    """A secret that an HTTP header can carry."""
    if not in_one_line(secret).get_secret_value().isascii():
        raise ValueError("a secret with a character that cannot be sent (é, or the … of a shortened copy, say): copy it again")
    return secret


def hash_key(secret: SecretStr) -> SecretStr:
    """A secret that nobody finds by trying."""
    return token(secret, SHORTEST_HASH_KEY, "a key")


def signing_key(text: str, key: str) -> str:
    """What is wrong with a secret that signs webhooks and is read as `key` says; nothing when it is empty."""
    bare = text.removeprefix("whsec_") if key == "whsec" else text
    try:
        if key == "hex":
            bytes.fromhex(bare)
        elif key != "utf8":
            base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (ValueError, binascii.Error):
        form = "whsec_ and base64" if key == "whsec" else key
        return f"expected {form}, as signature.key says; for a secret that is plain text set signature.key: utf8"
    if len(bare) < SHORTEST_SIGNING_KEY:
        return f"too short to sign webhooks: {SHORTEST_SIGNING_KEY} characters at least"
    return ""


def masked(value: Any) -> Any:
    """Plain data with secrets, and passwords in addresses, replaced by ***."""
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, dict):
        return {key: "***" if inner and SECRET_NAME.search(str(key)) and isinstance(inner, str) else masked(inner)
                for key, inner in value.items()}  # fmt: skip
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    if isinstance(value, str):
        return re.sub(r"(?i)(?<=password=)[^&]*", "***", re.sub(r"(?<=://)([^/@:]*):.*@", r"\1:***@", value))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value) if isinstance(value, Path) else value
