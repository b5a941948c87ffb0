"""Is a delivery signed by who holds the secret, and fresh? One verifier for all providers; what differs is a table of settings.

Facts (Standard Webhooks specification 1.0.0, "Verifying webhook authenticity"; Svix, "Verifying manually"):
- the signed text is "<id>.<timestamp>.<raw body>", the timestamp whole seconds since 1970, of this attempt;
- the signature header is a list separated by spaces, because secrets rotate; entries of unknown versions are skipped;
- the same three headers are also sent under names that begin with `svix-`; a request with names of both kinds is nobody's.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connector.errors import BadSignature, ConfigError
from connector.model import Delivery

FAMILIES = ("webhook-", "svix-")


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """How a provider signs. The defaults are those of Standard Webhooks.

    prefix: stands before each signature in the header; entries without it are skipped.
    key: how a secret becomes the key: text, hex, base64, or base64 behind "whsec_".
    tolerance: seconds a delivery may be older or newer than now, where a timestamp is signed.
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


class Verifier:
    """Checks deliveries against one scheme and any of several secrets. Raises ConfigError for a secret that is no key."""

    def __init__(self, scheme: SignatureScheme, secrets: Sequence[str]) -> None:
        self.scheme = scheme
        self._keys = [signing_key(secret, scheme.key) for secret in secrets]
        self._families = FAMILIES if scheme.header.startswith(FAMILIES[0]) else ()

    def verify(self, delivery: Delivery, now: datetime) -> None:
        """Raises BadSignature with code "unsigned", "timestamp", "stale", "future" or "signature"."""
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
        ours = [self._written(key, text) for key in self._keys]
        if not any(hmac.compare_digest(one, entry) for one in ours for entry in entries):
            raise BadSignature("no signature matches")

    def delivery_id(self, delivery: Delivery) -> str | None:
        """The sender's id of this delivery, the same when it is sent again; None when it gives none."""
        return self._header(delivery, self.scheme.id_header) or None

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
