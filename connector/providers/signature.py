"""Is a delivery from who holds the secret, and fresh? One verifier for all providers; what differs is a table of settings.

Facts (Standard Webhooks specification 1.0.0, "Verifying webhook authenticity"; Svix, "Verifying manually"; the vendors'
references named in docs/providers):
- the signed text is "<id>.<timestamp>.<raw body>", the timestamp whole seconds since 1970, of this attempt;
- the signature header is a list separated by spaces, because secrets rotate; entries of unknown versions are skipped;
- the same three headers are also sent under names that begin with `svix-`; a request with names of both kinds is nobody's;
- others sign the raw body alone, so a captured delivery can be sent again: only what we did with it before tells;
- some sign nothing and send the secret itself, which proves the sender and not the body.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from connector.errors import BadSignature, ConfigError
from connector.model import Delivery
from connector.settings import ProviderSettings

FAMILIES = ("webhook-", "svix-")
LONGEST_ID = 200
"""Characters of a sender's id of a delivery; a longer one is told by its hash."""
URL_PARAMETER = "token"
"""Where a secret in a URL stands."""


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """How a provider proves that a delivery is its own. The defaults are those of Standard Webhooks.

    prefix: stands before each signature (or before the secret) in the header; entries without it are skipped.
    key: how a secret becomes the key: text, hex, base64, or base64 behind "whsec_".
    tolerance: seconds a delivery may be older or newer than now, where a timestamp is signed.
    auth: hmac, a signature; header, the secret itself in `header`; basic, the secret as user:password of HTTP Basic;
        url, the secret as `token` in the URL. Only hmac says anything about the body.
    """

    header: str = "webhook-signature"
    id_header: str = "webhook-id"
    timestamp_header: str = "webhook-timestamp"
    signed: Literal["body", "timestamp.body", "id.timestamp.body"] = "id.timestamp.body"
    digest: Literal["sha256", "sha512", "sha1"] = "sha256"
    encoding: Literal["base64", "hex"] = "base64"
    prefix: str = "v1,"
    key: Literal["whsec", "utf8", "hex", "base64"] = "whsec"
    tolerance: float = 300
    auth: Literal["hmac", "header", "basic", "url"] = "hmac"

    @property
    def signs_body(self) -> bool:
        """Whether what a delivery says is what its sender said."""
        return self.auth == "hmac"

    @property
    def signs_id(self) -> bool:
        """Whether the sender's id of a delivery is signed, too, so that it alone recognises a repeat."""
        return self.signs_body and self.signed == "id.timestamp.body"


STANDARD = SignatureScheme()
SCHEMES: dict[str, SignatureScheme] = {
    "generic": STANDARD,
    "memberspace": STANDARD,
    "trustisto": STANDARD,
    "memberstack": STANDARD,  # Svix
    "druid": SignatureScheme("x-hub-signature", "", "", "body", "sha256", "hex", "sha256=", "utf8"),
    "outseta": SignatureScheme("x-hub-signature-256", "", "", "body", "sha256", "hex", "sha256=", "hex"),
    "shopify": SignatureScheme("x-shopify-hmac-sha256", "x-shopify-webhook-id", "", "body", "sha256", "base64", "", "utf8"),
    "keycloak": SignatureScheme("x-keycloak-signature", "", "", "body", "sha256", "hex", "", "utf8"),
    "auth0": SignatureScheme("authorization", "", "", "body", prefix="", key="utf8", auth="header"),
}
"""Kind of provider -> how it signs, where nothing else is configured."""


def scheme_of(settings: ProviderSettings) -> SignatureScheme:
    """How a provider signs: what its kind does, with what is configured laid over it."""
    scheme = SCHEMES.get(settings.kind, STANDARD)
    if "webhook_auth" in settings.model_fields_set and settings.webhook_auth != scheme.auth:
        scheme = replace(scheme, auth=settings.webhook_auth)
        if not scheme.signs_body:
            scheme = replace(scheme, header="authorization", prefix="")
    told = settings.signature
    return replace(scheme, **{name: getattr(told, name) for name in told.model_fields_set})


class Verifier:
    """Checks deliveries against one scheme and any of several secrets. Raises ConfigError for a secret that is no key."""

    def __init__(self, scheme: SignatureScheme, secrets: Sequence[str]) -> None:
        self.scheme = scheme
        self._keys = [signing_key(secret, scheme.key) if scheme.signs_body else secret.encode() for secret in secrets]
        self._families = FAMILIES if scheme.header.startswith(FAMILIES[0]) else ()

    def verify(self, delivery: Delivery, now: datetime) -> None:
        """Raises BadSignature with code "unsigned", "timestamp", "stale", "future" or "signature"."""
        given, ours = self._signatures(delivery, now) if self.scheme.signs_body else self._passwords(delivery)
        if not any(hmac.compare_digest(one, entry) for one in ours for entry in given):
            raise BadSignature("no signature matches")

    def delivery_id(self, delivery: Delivery) -> str | None:
        """The sender's id of this delivery, the same when it is sent again; None when it gives none."""
        return self._header(delivery, self.scheme.id_header) or None

    def dedupe_key(self, delivery: Delivery, raw: bytes, place: int | None = None) -> str:
        """What makes a repeat of one event recognisable; `place` is its place among the delivery's events, if it has several.

        The delivery's id does. Where it is not signed, the bytes count too: otherwise anybody could send a captured delivery
        under the id of a coming one, which would then look like the repeat.
        """
        sender_id = self.delivery_id(delivery)
        digest = hashlib.sha256(raw).hexdigest()
        if sender_id is None:
            return digest
        key = short(sender_id) if self.scheme.signs_id else f"{short(sender_id)}:{digest}"
        return key if place is None else f"{key}:{place}"

    def _signatures(self, delivery: Delivery, now: datetime) -> tuple[list[bytes], list[bytes]]:
        """The signatures sent, and those we would send, one for each key."""
        self._refuse_mixture(delivery)
        given = self._header(delivery, self.scheme.header)
        if not given:
            raise BadSignature("no signature, or more than one header with it", "unsigned")
        entries = [
            self._tidy(entry[len(self.scheme.prefix) :]).encode("latin-1", "replace")
            for entry in given.split(" ")
            if entry.startswith(self.scheme.prefix)
        ]
        text = self._signed_text(delivery, now)
        return entries, [self._written(key, text) for key in self._keys]

    def _passwords(self, delivery: Delivery) -> tuple[list[bytes], list[bytes]]:
        """What was sent as the secret, and the secrets in the same form."""
        if self.scheme.auth == "url":
            found = [value for name, value in parse_qsl(urlsplit(delivery.url).query) if name == URL_PARAMETER]
            given = found[0] if len(found) == 1 else None
            sent = (given or "").encode()
        else:
            given = self._header(delivery, self.scheme.header)
            sent = (given or "").encode("latin-1", "replace")
        if not given:
            raise BadSignature("no secret, or more than one", "unsigned")
        if self.scheme.auth == "basic":
            kind, _, password = sent.partition(b" ")
            return [password.strip()] if kind.lower() == b"basic" else [], [base64.b64encode(key) for key in self._keys]
        return [sent], [(self.scheme.prefix.encode() if self.scheme.auth == "header" else b"") + key for key in self._keys]

    def _signed_text(self, delivery: Delivery, now: datetime) -> bytes:
        if self.scheme.signed == "body":
            return delivery.body
        stamp = self._header(delivery, self.scheme.timestamp_header)
        _check_age(stamp, now, self.scheme.tolerance)
        parts = [str(stamp).encode(), delivery.body]
        if self.scheme.signed == "id.timestamp.body":
            sender_id = self.delivery_id(delivery)
            if sender_id is None:
                raise BadSignature("no id, or more than one", "unsigned")
            parts.insert(0, sender_id.encode("latin-1", "replace"))
        return b".".join(parts)

    def _written(self, key: bytes, text: bytes) -> bytes:
        """The signature we would send."""
        digest = hmac.digest(key, text, self.scheme.digest)
        return digest.hex().encode() if self.scheme.encoding == "hex" else base64.b64encode(digest)

    def _tidy(self, entry: str) -> str:
        return entry.lower() if self.scheme.encoding == "hex" else entry

    def _header(self, delivery: Delivery, name: str) -> str | None:
        """A header sent once, under its own name or its name in the other family."""
        found = delivery.header(name)
        if found is None and name.startswith(self._families):
            found = delivery.header(FAMILIES[1] + name.removeprefix(FAMILIES[0]))
        return found

    def _refuse_mixture(self, delivery: Delivery) -> None:
        if len({family for key, _ in delivery.headers for family in self._families if key.startswith(family)}) > 1:
            raise BadSignature("headers of two kinds", "unsigned")


def _check_age(stamp: str | None, now: datetime, tolerance: float) -> None:
    """Refuse a timestamp that is not plain digits, or further than `tolerance` seconds from now, in either direction."""
    if stamp is None or not re.fullmatch("[0-9]{1,19}", stamp):  # int() would also take " 5 ", "1_000" and other alphabets
        raise BadSignature("no timestamp that can be read", "timestamp")
    age = now.timestamp() - int(stamp)
    if age > tolerance:
        raise BadSignature("sent too long ago", "stale")
    if age < -tolerance:
        raise BadSignature("sent too far in the future", "future")


def short(sender_id: str) -> str:
    """A delivery's id, or its hash when it is too long or too odd to be stored and shown."""
    plain = re.fullmatch(rf"[!-~]{{1,{LONGEST_ID}}}", sender_id)
    return sender_id if plain else f"sha256:{hashlib.sha256(sender_id.encode()).hexdigest()}"


def signing_key(secret: str, form: str) -> bytes:
    """The key behind a configured secret. Raises ConfigError, without the secret."""
    text = secret.removeprefix("whsec_") if form == "whsec" else secret
    try:
        if form == "utf8":
            key = text.encode()
        elif form == "hex":
            key = bytes.fromhex(text)
        else:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not key:
        raise ConfigError(f"webhook_secret: not a key written as {form} (signature.key)")
    return key
