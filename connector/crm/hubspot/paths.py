"""Where HubSpot's API lives. The only module that knows an API version.

Facts (HubSpot API, "Introducing date-based API versioning" and the 2026-03 reference):
- hubspot-api-client 12 has the v3 paths built in; v1-v3 go unsupported in September 2027;
- a dated version sits behind the name of the API, not behind /crm: `/crm/objects/2026-03/contacts`;
- a dated version may refuse writes that v3 accepts (2026-09 enforces the portal's own required-property rules), so moving
  is an operator's decision, not ours.
"""

from connector.errors import ConfigError

V3 = "v3"
CONTACTS = "contacts"
ACCOUNT = "/account-info/v3/details"

_DATED = {
    "/crm/v3/objects/": "/crm/objects/{}/",
    "/crm/v3/properties/": "/crm/properties/{}/",
    "/account-info/v3/": "/account-info/{}/",
}


def at_version(path: str, version: str) -> str:
    """The path of another API version for a v3 path, placeholders included. Raises ConfigError for a path that has none."""
    if version == V3:
        return path
    for legacy, dated in _DATED.items():
        if path.startswith(legacy):
            return dated.format(version) + path.removeprefix(legacy)
    raise ConfigError(f"hubspot: no path known for API version {version}: {path}")
