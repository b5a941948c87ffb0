"""Email subscriptions through v4: with times and a way back, for many addresses at once or for one.

Facts (HubSpot API, "Subscriptions" v4; answers captured by ballerina-platform/module-ballerinax-hubspot.marketing.subscriptions):
- the calls for many want scopes of their own, `communication_preferences.statuses.batch.read` and `.write`, and a higher tier;
- reading many takes plain addresses and gives `subscriberIdString` with `statuses` (opt-outs of everything: `wideStatuses`);
- reading one, and writing, gives states in `results`; no opt-out of everything is an empty list;
- `subscriptionId` is a number, `channel` always EMAIL.
No document says how many addresses one read takes: that is configured. Assumed: 100 rows in one write.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from connector.crm.base import BATCH, StatusOutcome, StatusWrite
from connector.crm.hubspot import answers, narrowing, paths, statuses
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.narrowing import Steps
from connector.crm.hubspot.records import chunks
from connector.crm.hubspot.statuses import Entry
from connector.crm.hubspot.transport import Transport
from connector.errors import Transient, Unavailable
from connector.model import Statement

READ, OPTOUTS, WRITE = "subscriptions: read", "subscriptions: read opt-outs of everything", "subscriptions: write"
SCOPE_OF_READING = "communication_preferences.statuses.batch.read"
SCOPE_OF_WRITING = "communication_preferences.statuses.batch.write"
READ_MANY = f"grant the token {SCOPE_OF_READING}; until then one call per address"
READ_ONE = "grant the token communication_preferences.read, or leave `subscription` out of the mapping's consents"
WRITE_MANY = f"grant the token {SCOPE_OF_WRITING}; until then one call per status"
WRITE_ONE = "grant the token communication_preferences.write, or leave `subscription` out of the mapping's consents"
EMAIL = {"channel": "EMAIL"}
UNKNOWN = 404


class Single:
    """One address or status a call. Addresses are given, and told, in lower case; rows hold no address and type twice."""

    size = 1

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def statuses(self, emails: Sequence[str]) -> dict[str, dict[str, Statement]]:
        """States of each address; one that HubSpot takes for none, or says nothing of, is absent."""
        return {email: statuses.statements(told) for email, told in self._each(READ, emails, [])}

    def opted_out_of_all(self, emails: Sequence[str]) -> dict[str, datetime | None]:
        """Those that opted out of everything, and since when. Of whom HubSpot refuses to tell counts as one, too."""
        refused: list[str] = []
        found = statuses.optouts_of_all(dict(self._each(OPTOUTS, emails, refused, "unsubscribe-all")))
        return found | dict.fromkeys(refused)

    def write(self, rows: Sequence[StatusWrite]) -> list[StatusOutcome]:
        """At most `size` rows. Raises Transient when nothing is known of any."""
        steps = Steps(WRITE, self._post, partial(statuses.tell, WRITE), partial(statuses.refusal, WRITE), _failed, self._look)
        done = narrowing.settle(steps, rows)
        return [done[row.ref] for row in rows]

    def _each(self, what: str, emails: Sequence[str], refused: list[str], *tail: str) -> Iterator[tuple[str, list[Entry]]]:
        """refused: gets the addresses that HubSpot says nothing of; one that it does not know has no entries."""
        for email in emails:
            path = paths.under(paths.STATUSES, email, *tail)
            reply = self._transport.http(what, "GET", path, query=EMAIL, refusals=True, way_out=READ_ONE)
            if reply.ok:
                yield email, statuses.entries(what, reply)
            elif reply.status != UNKNOWN:
                refused.append(email)

    def _post(self, rows: Sequence[StatusWrite]) -> Reply:
        path = paths.under(paths.STATUSES, rows[0].email)
        return self._transport.http(WRITE, "POST", path, _wish(rows[0]), refusals=True, way_out=WRITE_ONE)

    def _look(self, rows: Sequence[StatusWrite], reply: Reply) -> dict[str, StatusOutcome]:
        """Of rows that a 2xx says nothing of, those that hold now as they should."""
        held = self.statuses([row.email for row in rows])
        kept = [row for row in rows if statuses.holds(row, held.get(row.email, {}))]
        return {row.ref: StatusOutcome(row.ref, request=reply.request) for row in kept}


class Many(Single):
    """Up to 100 statuses a write, and `per_read` addresses a read."""

    size = BATCH

    def __init__(self, transport: Transport, per_read: int) -> None:
        super().__init__(transport)
        self._per_read = per_read

    def statuses(self, emails: Sequence[str]) -> dict[str, dict[str, Statement]]:
        """See Single."""
        found = self._read(READ, paths.STATUSES_READ, emails, [])
        return {email: statuses.statements(told) for email, told in found.items()}

    def opted_out_of_all(self, emails: Sequence[str]) -> dict[str, datetime | None]:
        """See Single."""
        refused: list[str] = []
        return statuses.optouts_of_all(self._read(OPTOUTS, paths.OPTOUTS_READ, emails, refused)) | dict.fromkeys(refused)

    def _read(self, what: str, path: str, emails: Sequence[str], refused: list[str]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for some in chunks(emails, self._per_read):
            before = len(refused)
            found |= self._read_some(what, path, some, refused)
            if len(refused) - before == len(some) > 1:
                raise Unavailable(f"hubspot: {what}: refused for every address")
        return found

    def _read_some(self, what: str, path: str, emails: Sequence[str], refused: list[str]) -> dict[str, list[Entry]]:
        """One call; when HubSpot refuses it because of one address, as many as it takes to do without that one.

        refused: gets the addresses that HubSpot takes for none.
        """
        body = {"inputs": list(emails)}
        reply = self._transport.http(what, "POST", path, body, EMAIL, refusals=True, way_out=READ_MANY)
        if reply.ok:
            _raise_failures(what, reply)
            return {statuses.fold(str(one.get("subscriberIdString"))): _states(one) for one in statuses.entries(what, reply)}
        if len(emails) == 1:
            refused += emails
            return {}
        half = len(emails) // 2
        first = self._read_some(what, path, emails[:half], refused)
        return first | self._read_some(what, path, emails[half:], refused)

    def _post(self, rows: Sequence[StatusWrite]) -> Reply:
        body = {"inputs": [{"subscriberIdString": row.email, **_wish(row)} for row in rows]}
        return self._transport.http(WRITE, "POST", paths.STATUSES_WRITE, body, refusals=True, way_out=WRITE_MANY)


def _failed(row: StatusWrite, error: Transient) -> StatusOutcome:
    return StatusOutcome(row.ref, error)


def _raise_failures(what: str, reply: Reply) -> None:
    """Raises Unavailable when HubSpot failed to read an address; one it takes for none has no states."""
    for fault in narrowing.faults(reply):
        problem = answers.row_error(f"hubspot: {what}:", fault)
        if isinstance(problem, Transient):
            raise problem


def _states(one: Entry) -> list[Entry]:
    found = one.get("statuses", one.get("wideStatuses")) or []
    return [state for state in found if isinstance(state, dict)]


def _wish(row: StatusWrite) -> dict[str, Any]:
    """A status to set, as v4 wants it."""
    state = statuses.SUBSCRIBED if row.granted else statuses.UNSUBSCRIBED
    return {"subscriptionId": int(row.subscription), "statusState": state, **EMAIL, **statuses.basis(row)}
