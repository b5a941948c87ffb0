"""HubSpot's webhooks: is this one from HubSpot, which events does it carry, whom are they about.

Facts (HubSpot API, "Validating requests from HubSpot" and "Webhooks"):
- v3 signs METHOD + URI + raw body + timestamp with HMAC-SHA256 in base64, keyed with the app's client secret; the URI is the
  whole address HubSpot called, with a few percent-encoded characters decoded, the timestamp milliseconds since 1970;
- v1, the only one that old private apps are promised, is SHA-256 of secret + body in hex, and says nothing of when;
- a request is an array of events, repeated and out of order; `eventId` is not unique, `attemptNumber` differs between repeats;
- a merge makes a new record, or keeps the primary one and tells no new id; nobody documents whether its ids are numbers or text;
- `contact.*` and `object.*` with objectTypeId 0-1 are the same events; erasing for privacy has only the first form;
- an event carries ids and at most one property's value, which for sensitive properties is not the value.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connector.errors import BadDelivery, BadSignature
from connector.model import Change, Delivery, Item
from connector.strictjson import Piece, parse, split_array, storable

TOLERANCE = 300
"""Seconds a request may be older or newer than now."""

SIGNATURE_V3 = "x-hubspot-signature-v3"
TIMESTAMP = "x-hubspot-request-timestamp"
SIGNATURE = "x-hubspot-signature"
VERSION = "x-hubspot-signature-version"

CONTACT = "0-1"
MAX_ID = 2**63 - 1
WITHHELD = "REDACTED"

KINDS = {
    "creation": "contact.created",
    "propertyChange": "contact.changed",
    "deletion": "contact.deleted",
    "privacyDeletion": "contact.erased",
    "merge": "contact.merged",
    "restore": "contact.restored",
}

_DECODED = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
_IDENTITY = (
    "portalId", "subscriptionType", "objectTypeId", "objectId", "propertyName", "eventId", "occurredAt", "primaryObjectId",
    "mergedObjectIds", "newObjectId", "associationType", "fromObjectId", "toObjectId", "associationRemoved",
)  # fmt: skip


class HubSpotWebhooks:
    """The webhooks of one portal. `crm.base.Crm` states what each method promises.

    secrets: the app's client secret; several while rotating.
    accept_v1: also accept the old signature, on requests that carry no new one.
    """

    def __init__(self, secrets: Sequence[str], portal_id: int, accept_v1: bool) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._portal_id = portal_id
        self._accept_v1 = accept_v1

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Crm. BadSignature's code is "unsigned", "timestamp", "stale", "future" or "signature"."""
        sent = {name for name, _ in delivery.headers}
        if self._accept_v1 and SIGNATURE in sent and sent.isdisjoint({SIGNATURE_V3, TIMESTAMP}):
            self._authenticate_v1(delivery)
        else:
            self._authenticate_v3(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Crm."""
        return [self._item(piece) for piece in split_array(delivery.body)]

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Crm. An event we do not know keeps HubSpot's name."""
        event = parse(body)
        if problem := self._problem(body, event):
            raise BadDelivery(f"hubspot: {problem}")
        kind = _kind(event)
        survivor, former = _merged(event) if kind == "contact.merged" else (None, ())
        return Change(
            kind=kind,
            record_id=_text(survivor or event.get("objectId")),
            occurred_at=_moment(event.get("occurredAt")),
            event_id=_text(event.get("eventId")),
            property=event["propertyName"] if kind == "contact.changed" else None,
            value=_value(event) if kind == "contact.changed" else None,
            former_ids=tuple(map(str, former)),
        )

    def _authenticate_v3(self, delivery: Delivery, now: datetime) -> None:
        given = delivery.header(SIGNATURE_V3)
        if not given:
            raise BadSignature("hubspot: no signature, or more than one", "unsigned")
        stamp = _fresh(delivery.header(TIMESTAMP), now)
        uri = _DECODED.sub(lambda found: chr(int(found[1], 16)), delivery.url)
        text = delivery.method.encode() + uri.encode() + delivery.body + stamp.encode()
        ours = [base64.b64encode(hmac.digest(secret, text, "sha256")) for secret in self._secrets]
        _require_match(given, ours)

    def _authenticate_v1(self, delivery: Delivery) -> None:
        given = delivery.header(SIGNATURE)
        if not given or delivery.header(VERSION) not in (None, "v1"):
            raise BadSignature("hubspot: no signature of version 1", "unsigned")
        _require_match(given, [hashlib.sha256(secret + delivery.body).hexdigest().encode() for secret in self._secrets])

    def _item(self, piece: Piece) -> Item:
        event = piece.value
        problem = "not_an_array" if piece.place is None else self._problem(piece.raw, event)
        known = isinstance(event, dict)
        if problem is None:
            identity: Any = [event.get(name) for name in _IDENTITY]
        elif known:
            identity = {name: value for name, value in event.items() if name != "attemptNumber"}
        else:
            identity = event
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return Item(key, _text(event.get("eventId")) if known else "", piece.raw, problem=problem)

    def _problem(self, raw: bytes, event: Any) -> str | None:
        """Why an event cannot be read; None when it can."""
        if not isinstance(event, dict):
            return "not_an_object"
        if event.get("portalId") != self._portal_id or type(event["portalId"]) is not int:
            return "unknown_portal"
        if not isinstance(event.get("subscriptionType"), str):
            return "bad_subscription_type"
        kind = _kind(event)
        if kind == "contact.merged":
            if _merged(event)[0] is None:
                return "bad_merge_ids"
        elif kind in KINDS.values() and not _is_id(event.get("objectId")):
            return "bad_object_id"
        if kind == "contact.changed" and not isinstance(event.get("propertyName"), str):
            return "bad_property_name"
        return None if storable(raw, event) else "unstorable_text"


def _fresh(stamp: str | None, now: datetime) -> str:
    if stamp is None or not re.fullmatch("[0-9]{1,19}", stamp):  # int() would also take " 5 ", "1_000" and other alphabets
        raise BadSignature("hubspot: no timestamp that can be read", "timestamp")
    age = now.timestamp() - int(stamp) / 1000
    if abs(age) > TOLERANCE:
        raise BadSignature("hubspot: sent too far from now", "stale" if age > 0 else "future")
    return stamp


def _require_match(given: str, ours: Sequence[bytes]) -> None:
    """Compare in constant time, as bytes: text beyond ASCII would raise."""
    theirs = given.encode("latin-1", "replace")
    if not any(hmac.compare_digest(one, theirs) for one in ours):
        raise BadSignature("hubspot: signature does not match")


def _kind(event: Mapping[str, Any]) -> str:
    """Our name of an event about a contact; HubSpot's own for all others."""
    native: str = event["subscriptionType"]
    sort, _, action = native.partition(".")
    if sort == "contact" or (sort == "object" and event.get("objectTypeId") == CONTACT):
        return KINDS.get(action, native)
    return native


def _merged(event: Mapping[str, Any]) -> tuple[int | None, tuple[int, ...]]:
    """The contact a merge leaves, and the ids that lead to it now; None when the event does not say."""
    told = event.get("mergedObjectIds")
    others = told if isinstance(told, list) else [] if told is None else [told]
    named = [_number(event.get("newObjectId")), _number(event.get("primaryObjectId"))]
    ids = [one for one in (*named, *map(_number, others)) if one is not None]
    survivor = next((one for one in (*named, event.get("objectId")) if one is not None), None)
    if not all(map(_is_id, ids)) or not _is_id(survivor):
        return None, ()
    return survivor, tuple(one for one in dict.fromkeys(ids) if one != survivor)


def _number(value: Any) -> Any:
    """An id that is told as text as the number it is; anything else as it is."""
    return int(value) if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,18}", value) else value


def _is_id(value: object) -> bool:
    """A record's id is a whole number that fits a signed 64-bit one; True is none."""
    return type(value) is int and 0 < value <= MAX_ID


def _text(value: object) -> str:
    """An id as text; "" for what is none."""
    return str(value) if type(value) is int else ""


def _moment(value: object) -> datetime | None:
    """Milliseconds since 1970 as a time; None for what is none, or lies outside the calendar."""
    if type(value) is not int or value < 0:
        return None
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _value(event: Mapping[str, Any]) -> str | None:
    """The property's value, None when it was cleared. One that HubSpot withholds is WITHHELD, which equals nothing we know."""
    value = event.get("propertyValue", WITHHELD)
    return value if value is None or (isinstance(value, str) and event.get("isSensitive") is not True) else WITHHELD
