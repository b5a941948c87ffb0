"""Which path of HubSpot's API is which call, and which scope it needs. Dated versions are served beside the numbered ones.

Without scopes a call needs none, or looks itself, as that depends on the object types it is about.
"""

from typing import TYPE_CHECKING

from connector.sandbox.account import Account
from connector.sandbox.associations_api import Associations
from connector.sandbox.object_routes import Line, contact_lines, object_lines, property_lines
from connector.sandbox.occurrences_api import CustomEvents
from connector.sandbox.schemas import Schemas
from connector.sandbox.scopes import (
    ACCOUNT,
    BATCH_READ,
    BATCH_WRITE,
    CUSTOM_SCHEMA_READ,
    CUSTOM_SCHEMA_WRITE,
    EVENTS_DEFINE,
    EVENTS_SEND,
    READ,
    SUBSCRIPTIONS_READ,
    SUBSCRIPTIONS_WRITE,
    WRITE,
)
from connector.sandbox.subscriptions_checks import Checks
from connector.sandbox.subscriptions_v3 import SubscriptionsV3
from connector.sandbox.subscriptions_v4 import SubscriptionsV4

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

CONTACTS = ("/crm/v3/objects/contacts", "/crm/objects/{version}/contacts", "/crm/v3/objects/0-1", "/crm/objects/{version}/0-1")
NOTES = ("/crm/v3/objects/notes", "/crm/objects/{version}/notes", "/crm/v3/objects/0-46", "/crm/objects/{version}/0-46")
CUSTOM = ("/crm/v3/objects/{type}", "/crm/objects/{version}/{type}")
PROPERTIES = ("/crm/v3/properties/contacts", "/crm/properties/{version}/contacts")
CUSTOM_PROPERTIES = ("/crm/v3/properties/{type}", "/crm/properties/{version}/{type}")
SCHEMAS = ("/crm/v3/schemas", "/crm-object-schemas/v3/schemas")
PREFERENCES_V4 = tuple(f"/communication-preferences/{version}" for version in ("v4", "2026-03", "2026-09"))
EVENTS = ("/events/v3", "/events/2026-03", "/events/custom/2026-09")


def lines(portal: "Portal") -> list[Line]:
    """All of them; of two that fit a path, the first counts."""
    return [
        *_under(CONTACTS, contact_lines(portal)),
        *_under(NOTES, object_lines(portal, "notes")),
        *_under(CUSTOM, object_lines(portal)),
        *_under(PROPERTIES, property_lines(portal, "contacts")),
        *_under(CUSTOM_PROPERTIES, property_lines(portal)),
        *_under(SCHEMAS, _schema_lines(portal)),
        *_under(("/crm/v4",), _association_lines(portal)),
        *_under(("/communication-preferences/v3",), _v3_lines(portal)),
        *_under(PREFERENCES_V4, _v4_lines(portal)),
        *_under(EVENTS, _event_lines(portal)),
        *_account_lines(portal),
    ]


def _under(prefixes: tuple[str, ...], lines: list[Line]) -> list[Line]:
    return [(method, prefix + end, work, scopes) for prefix in prefixes for method, end, work, scopes in lines]


def _schema_lines(portal: "Portal") -> list[Line]:
    api = Schemas(portal.object_types, portal.portal_id, portal)
    return [
        ("GET", "", api.listed, CUSTOM_SCHEMA_READ),
        ("POST", "", api.create, CUSTOM_SCHEMA_WRITE),
        ("GET", "/{type}", api.read, CUSTOM_SCHEMA_READ),
        ("PATCH", "/{type}", api.update, CUSTOM_SCHEMA_WRITE),
    ]


def _association_lines(portal: "Portal") -> list[Line]:
    api = Associations(portal.object_types, portal.answers)
    return [
        ("GET", "/associations/{from}/{to}/labels", api.labels, ()),
        ("POST", "/associations/{from}/{to}/batch/create", api.create, ()),
        ("POST", "/associations/{from}/{to}/batch/associate/default", api.associate, ()),
        ("POST", "/associations/{from}/{to}/batch/read", api.read, ()),
        ("PUT", "/objects/{from}/{id}/associations/default/{to}/{other}", api.associate_one, ()),
    ]


def _event_lines(portal: "Portal") -> list[Line]:
    api = CustomEvents(portal.occurrences, portal)
    return [
        ("GET", "/event-definitions", api.listed, EVENTS_DEFINE),
        ("POST", "/event-definitions", api.create, EVENTS_DEFINE),
        ("GET", "/event-definitions/{name}", api.read, EVENTS_DEFINE),
        ("POST", "/event-definitions/{name}/property", api.add_property, EVENTS_DEFINE),
        ("POST", "/send", api.send, EVENTS_SEND),
        ("POST", "/send/batch", api.send_many, EVENTS_SEND),
    ]


def _account_lines(portal: "Portal") -> list[Line]:
    api = Account(portal)
    return [
        ("GET", "/account-info/v3/details", api.details, ACCOUNT),
        ("GET", "/account-info/{version}/details", api.details, ACCOUNT),
        ("GET", "/account-info/v3/api-usage/daily/private-apps", api.usage, ACCOUNT),
        ("GET", "/account-info/{version}/api-usage/daily/private-apps", api.usage, ACCOUNT),
        ("GET", "/crm/v3/limits/custom-properties", api.custom_properties, (*READ, *WRITE)),
        ("GET", "/crm/limits/{version}/custom-properties", api.custom_properties, (*READ, *WRITE)),
        ("POST", "/oauth/v2/private-apps/get/access-token-info", api.token, ()),
    ]


def _checks(portal: "Portal") -> Checks:
    return Checks(portal.subscriptions, portal)


def _v3_lines(portal: "Portal") -> list[Line]:
    api = SubscriptionsV3(portal.subscriptions, _checks(portal), _status_source(portal))
    return [
        ("GET", "/definitions", api.definitions, SUBSCRIPTIONS_READ),
        ("GET", "/status/email/{email}", api.read, SUBSCRIPTIONS_READ),
        ("POST", "/subscribe", api.subscribe, SUBSCRIPTIONS_WRITE),
        ("POST", "/unsubscribe", api.unsubscribe, SUBSCRIPTIONS_WRITE),
    ]


def _v4_lines(portal: "Portal") -> list[Line]:
    api = SubscriptionsV4(portal.subscriptions, _checks(portal), portal.answers, _status_source(portal))
    return [
        ("GET", "/definitions", api.definitions, SUBSCRIPTIONS_READ),
        ("POST", "/statuses/batch/read", api.batch_read, BATCH_READ),
        ("POST", "/statuses/batch/write", api.batch_write, BATCH_WRITE),
        ("POST", "/statuses/batch/unsubscribe-all/read", api.batch_read_wide, BATCH_READ),
        ("POST", "/statuses/batch/unsubscribe-all", api.batch_opt_out, BATCH_WRITE),
        ("GET", "/statuses/{email}", api.read, SUBSCRIPTIONS_READ),
        ("POST", "/statuses/{email}", api.write, SUBSCRIPTIONS_WRITE),
        ("GET", "/statuses/{email}/unsubscribe-all", api.read_wide, SUBSCRIPTIONS_READ),
        ("POST", "/statuses/{email}/unsubscribe-all", api.opt_out, SUBSCRIPTIONS_WRITE),
    ]


def _status_source(portal: "Portal") -> str:
    """What subscription states tell of a write through the API."""
    return f"Public status API, App ID:{portal.source.id}"
