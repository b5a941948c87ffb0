"""Email subscriptions through v3: one address a call, without times, and no way back for who opted out.

Facts (HubSpot API, "Subscriptions" v3; reports of others):
- open on more tiers than v4, with `communication_preferences.read`, `.write` or `.read_write`;
- subscribing who is subscribed already is refused, and so is subscribing who opted out, by whatever way;
- ids of subscription types are text.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from connector.crm.base import StatusOutcome, StatusWrite
from connector.crm.hubspot import narrowing, paths, statuses
from connector.crm.hubspot.statuses import Entry
from connector.crm.hubspot.transport import Transport
from connector.errors import Transient
from connector.model import Statement

READ, WRITE = "subscriptions: read by v3", "subscriptions: write by v3"
READ_SCOPE = "grant the token communication_preferences.read, or leave `subscription` out of the mapping's consents"
WRITE_SCOPE = "grant the token communication_preferences.write, or leave `subscription` out of the mapping's consents"


class Version3:
    """The same calls as `statuses_v4.Single`."""

    size = 1

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def statuses(self, emails: Sequence[str]) -> dict[str, dict[str, Statement]]:
        """States of each address; one that HubSpot takes for none is absent."""
        return {email: statuses.statements_v3(told) for email, told in self._each(emails)}

    def opted_out_of_all(self, emails: Sequence[str]) -> dict[str, datetime | None]:
        """Those that opted out of everything."""
        return statuses.optouts_of_all_v3(dict(self._each(emails)))

    def write(self, rows: Sequence[StatusWrite]) -> list[StatusOutcome]:
        """One row. Raises Transient when nothing is known of it."""
        row = rows[0]
        path = paths.SUBSCRIBE_V3 if row.granted else paths.UNSUBSCRIBE_V3
        body = {"emailAddress": row.email, "subscriptionId": row.subscription, **statuses.basis(row)}
        reply = self._transport.http(WRITE, "POST", path, body, refusals=True, way_out=WRITE_SCOPE)
        if reply.ok:
            return [statuses.outcome(row, reply.body or {}, reply)]
        if self._holds(row):
            return [StatusOutcome(row.ref, request=reply.request)]
        return [statuses.refusal(WRITE, row, narrowing.faults(reply)[0], reply)]

    def _holds(self, row: StatusWrite) -> bool:
        """Was a row refused only because it asks for what holds already?"""
        try:
            return statuses.holds(row, self.statuses([row.email]).get(row.email, {}))
        except Transient:
            return False

    def _each(self, emails: Sequence[str]) -> Iterator[tuple[str, list[Entry]]]:
        for email in emails:
            path = paths.under(paths.STATUS_V3, email)
            reply = self._transport.http(READ, "GET", path, refusals=True, way_out=READ_SCOPE)
            if reply.ok:
                yield email, statuses.entries(READ, reply, "subscriptionStatuses")
