"""Where HubSpot's API lives. The only module that knows an API version.

Facts (HubSpot API, "Introducing date-based API versioning", the 2026-03 and 2026-09 references):
- hubspot-api-client 12 has the v3 paths built in; v1-v3 go unsupported in September 2027;
- a dated version sits behind the name of the API, not behind /crm: `/crm/objects/2026-03/contacts`;
- a dated version may refuse writes that v3 accepts (2026-09 enforces the portal's own required-property rules), so moving
  is an operator's decision, not ours;
- sending custom events moved with 2026-09, to `/events/custom/2026-09/send`; that their definitions did, too, is assumed;
- dated subscriptions have the routes of v4 and those of v3 under one name; what tells of a token has no dated version.
"""

from urllib.parse import quote

from connector.errors import ConfigError

V3 = "v3"
CONTACTS = "contacts"
ACCOUNT = "/account-info/v3/details"
USAGE = "/account-info/v3/api-usage/daily/private-apps"
PROPERTIES = "/crm/v3/properties/contacts"
PROPERTY_LIMITS = "/crm/v3/limits/custom-properties"
TOKEN = "/oauth/v2/private-apps/get/access-token-info"  # noqa: S105 - a path

TYPES = "/communication-preferences/v4/definitions"
STATUSES = "/communication-preferences/v4/statuses"
STATUSES_READ = "/communication-preferences/v4/statuses/batch/read"
STATUSES_WRITE = "/communication-preferences/v4/statuses/batch/write"
OPTOUTS_READ = "/communication-preferences/v4/statuses/batch/unsubscribe-all/read"
TYPES_V3 = "/communication-preferences/v3/definitions"
STATUS_V3 = "/communication-preferences/v3/status/email"
SUBSCRIBE_V3 = "/communication-preferences/v3/subscribe"
UNSUBSCRIBE_V3 = "/communication-preferences/v3/unsubscribe"

NOTES = "notes"
OBJECTS = "/crm/v3/objects"
SCHEMAS = "/crm-object-schemas/v3/schemas"
ASSOCIATIONS = "/crm/v4/associations"
EVENT_DEFINITIONS = "/events/v3/event-definitions"
EVENTS_SEND = "/events/v3/send/batch"

_DATED = {
    "/crm/v3/objects/": "/crm/objects/{}/",
    "/crm/v3/properties/": "/crm/properties/{}/",
    "/crm/v3/limits/": "/crm/limits/{}/",
    "/crm/v4/associations/": "/crm/associations/{}/",
    "/crm-object-schemas/v3/": "/crm-object-schemas/{}/",
    "/account-info/v3/": "/account-info/{}/",
    "/communication-preferences/v4/": "/communication-preferences/{}/",
    "/communication-preferences/v3/": "/communication-preferences/{}/",
}
_EVENTS = "/events/v3/"


def under(path: str, *parts: str) -> str:
    """A path with more parts behind it, which may hold any character."""
    return "/".join([path, *(quote(one, safe="") for one in parts)])


def at_version(path: str, version: str) -> str:
    """The path of another API version for one of ours, placeholders included. Raises ConfigError for a path that has none."""
    if version == V3 or path == TOKEN:
        return path
    if path.startswith(_EVENTS):
        return f"/events/{'' if version < '2026-09' else 'custom/'}{version}/" + path.removeprefix(_EVENTS)
    for legacy, dated in _DATED.items():
        if path.startswith(legacy):
            return dated.format(version) + path.removeprefix(legacy)
    raise ConfigError(f"hubspot: no path known for API version {version}: {path}")
