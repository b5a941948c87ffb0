"""Keyed hashes: proof and recognition without the data. HMAC-SHA256 over length-prefixed parts.

The key is the setting `hash_key`; without one, a random key is made once and kept in the database. A fingerprint of the key in
use is kept, too, so that another key is told from forged records.
"""

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from sqlalchemy import exists, or_, select

from connector.errors import ConfigError
from connector.store.tables import consent, cursor, tombstone

if TYPE_CHECKING:
    from connector.store.store import Store, Tx

KEY = "hash_key"
FINGERPRINT = "hash_key_fingerprint"
HEAD = "ledger"
"""Names in `cursor`; the last is the end of the ledger's chain."""

UNKEYED = "not set: the key stands in the database, and who can write there can forge the consents kept as proof"
EARLY = "set one before the first start"
LATE = "this database has consents or erasures already: leave it, another key would be refused"
"""For `doctor`: what is so, and the way out before and after something was made with the key."""


def require_key(store: "Store") -> None:
    """Raises ConfigError when `hash_key` is not the one that this database's records were made with."""
    with store.read() as tx:
        assert tx.keyed


class Keyed:
    """Hashes that only the holder of the key can make."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def digest(self, *parts: str) -> str:
        """64 hex digits; ("a", "bc") and ("ab", "c") differ."""
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            told = part.encode("utf-8", "surrogatepass")
            mac.update(len(told).to_bytes(8, "big") + told)
        return mac.hexdigest()

    def user(self, provider: str, user_id: str) -> str:
        """The digest that stands for a user in the ledger, among the tombstones and, shortened, as an erased link's name."""
        return self.digest("user", provider, user_id)

    @property
    def fingerprint(self) -> str:
        """Tells one key from another."""
        return self.digest("fingerprint")


class Keys:
    """Finds the key of a database; `given` is the setting. One per `Store`, which spares most transactions the look-up."""

    def __init__(self, given: str | None) -> None:
        self._given = given
        self._known: Keyed | None = None

    def of(self, tx: "Tx") -> Keyed:
        """The key in use. Raises ConfigError when it is not the one that records were made with."""
        if self._known is not None:
            return self._known
        mark = _mark(tx, FINGERPRINT)  # before the key: somebody else may take one into use between the two looks
        kept = _mark(tx, KEY)
        key = self._given or kept
        if mark is None or ((key is None or Keyed(key).fingerprint != mark) and not used(tx)):
            return self._begin(tx, key)
        if key is None or Keyed(key).fingerprint != mark:
            raise ConfigError(_another(self._given))
        self._known = Keyed(key)
        return self._known

    def _begin(self, tx: "Tx", key: str | None) -> Keyed:
        """Take a key into use. A transaction that only reads keeps none; nothing was made with one yet, so any will do."""
        if tx.reading:
            return Keyed(key or secrets.token_hex(32))
        if key is None:
            tx.cursors.add(KEY, secrets.token_hex(32))
            key = _mark(tx, KEY) or ""
        keyed = Keyed(key)
        tx.cursors.set(FINGERPRINT, keyed.fingerprint)
        return keyed


def _mark(tx: "Tx", name: str) -> str | None:
    found = tx.cursors.get(name)
    return found[0] if found else None


def used(tx: "Tx") -> bool:
    """Whether anything was made with a key, so that it cannot be changed any more."""
    head = exists().where(cursor.c.name == HEAD)
    query = select(or_(head, exists(select(consent.c.id)), exists(select(tombstone.c.hash))))
    return bool(tx.connection.execute(query).scalar_one())


def _another(given: str | None) -> str:
    if given is None:
        return "hash_key: missing; the consents and erasures in this database were recorded with one, give that one again"
    return "hash_key: not the one that the consents and erasures in this database were recorded with; give that one again"
