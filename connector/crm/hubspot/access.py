"""What the token and the account allow, found out by asking.

Facts (HubSpot API, account information and private apps references):
- what a tier has is told by no call, but what it has not is answered 403;
- scopes are told for private apps' tokens only;
- the count of today's calls is of the whole account, and some minutes old;
- every answer has the time it was made in its `Date` header, in whole seconds.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from connector.crm.base import Access
from connector.crm.hubspot import custom_events, event_objects, paths, schema
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.subscriptions import Subscriptions
from connector.crm.hubspot.transport import Transport
from connector.crm.hubspot.webhooks import CONTACT
from connector.errors import ConnectorError, Denied, Missing

USAGE_WAY_OUT = "the number of calls today is not told"
LIMITS_WAY_OUT = "the number of properties is not told"


def access(transport: Transport, subscriptions: Subscriptions) -> Access:
    """See Crm.access."""
    portal_id, account = schema.account(transport)
    scopes = _scopes(transport)
    today, limit = _usage(transport)
    made, most = _properties(transport)
    return Access(
        portal_id,
        scopes=scopes,
        subscriptions=subscriptions.mode(scopes or frozenset()),
        custom_objects=_allows(transport, "custom objects: list", paths.SCHEMAS, event_objects.WAY_OUT),
        custom_events=_allows(transport, "custom events: list", paths.EVENT_DEFINITIONS, custom_events.WAY_OUT),
        calls_today=today,
        calls_limit=limit,
        clock=_clock(account),
        properties_made=made,
        properties_limit=most,
    )


def _scopes(transport: Transport) -> frozenset[str] | None:
    """The scopes of the token; None when HubSpot does not tell, for whatever reason."""
    try:
        reply = transport.call("token: read", lambda api, options: api.token(options["_request_timeout"]))
    except ConnectorError:
        return None
    found = (reply.body or {}).get("scopes")
    return frozenset(map(str, found)) if isinstance(found, list) else None


def _allows(transport: Transport, what: str, path: str, way_out: str) -> bool:
    try:
        transport.http(what, "GET", path, way_out=way_out)
    except (Denied, Missing):
        return False
    return True


def _usage(transport: Transport) -> tuple[int | None, int | None]:
    """Calls made today by the account's private apps, and how many there may be."""
    try:
        body = transport.http("usage: read", "GET", paths.USAGE, way_out=USAGE_WAY_OUT).body or {}
    except ConnectorError:
        return None, None
    listed = body.get("results")
    told: Any = listed[0] if isinstance(listed, list) and listed else body
    return (_number(told, "currentUsage"), _number(told, "usageLimit")) if isinstance(told, dict) else (None, None)


def _properties(transport: Transport) -> tuple[int | None, int | None]:
    """Contact properties that somebody made, and how many there may be."""
    try:
        reply = transport.http("property limits: read", "GET", paths.PROPERTY_LIMITS, way_out=LIMITS_WAY_OUT)
    except ConnectorError:
        return None, None
    listed = (reply.body or {}).get("byObjectType")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    told: Any = next((one for one in entries if one.get("objectTypeId") == CONTACT), {})
    return _number(told, "usage"), _number(told, "limit")


def _number(told: dict[str, Any], name: str) -> int | None:
    value = told.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _clock(reply: Reply) -> datetime | None:
    """HubSpot's time when it answered, UTC."""
    try:
        return parsedate_to_datetime(reply.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
