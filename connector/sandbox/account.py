"""What the account tells of itself, its limits and the token.

Facts (HubSpot API, account information, limits tracking; public code that calls them): the token's own scopes need no scope, and
the token stands in the body, too; webhook subscriptions of a private app have no call.
Assumed: another token than one's own is not found.
"""

from typing import TYPE_CHECKING

from connector.sandbox.replies import bad_request, not_found
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

MOST = 10_000
"""Custom properties of an account."""


class Account:
    """Calls about the account."""

    def __init__(self, portal: "Portal") -> None:
        self._portal = portal

    def details(self, asked: Asked) -> Told:
        """Which portal this is."""
        return Told(
            {
                "portalId": self._portal.portal_id, "accountType": "STANDARD", "timeZone": "Europe/Madrid",
                "companyCurrency": "EUR", "additionalCurrencies": [], "utcOffset": "+01:00", "utcOffsetMilliseconds": 3_600_000,
                "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
            }
        )  # fmt: skip

    def usage(self, asked: Asked) -> Told:
        """Calls made today."""
        now, limits = int(self._portal.clock() * 1000), self._portal.limits
        usage = {
            "name": "private-apps-api-calls-daily", "usageLimit": limits.most_today, "currentUsage": limits.today,
            "collectedAt": iso(now), "resetsAt": iso(now - now % 86_400_000 + 86_400_000), "fetchStatus": "SUCCESS",
        }  # fmt: skip
        return Told({"results": [usage]})

    def custom_properties(self, asked: Asked) -> Told:
        """How many properties somebody made, and how many there may be."""
        counts = [(one, one.schema.made()) for one in self._portal.object_types.all]
        used = sum(made for _, made in counts)
        listed = [
            {
                "objectTypeId": one.kind.id, "singularLabel": one.kind.singular.title(), "pluralLabel": one.kind.plural.title(),
                "limit": one.schema.most, "usage": made, "percentage": 100 * made / one.schema.most,
            }
            for one, made in counts
        ]  # fmt: skip
        overall = {"overallLimit": MOST, "overallUsage": used, "overallPercentage": 100 * used / MOST}
        return Told({"byObjectType": listed, **overall})

    def token(self, asked: Asked) -> Told:
        """What the token is for and may do."""
        if not asked.body.get("tokenKey"):
            raise bad_request("Invalid input JSON: required fields were not set: [tokenKey]")
        if asked.body["tokenKey"] != self._portal.token:
            raise not_found(what="Token")
        app = int(self._portal.source.id)
        return Told({"userId": 123, "hubId": self._portal.portal_id, "appId": app, "scopes": sorted(self._portal.scopes)})
