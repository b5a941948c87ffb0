"""Who gets which email: subscription types, and the states of addresses.

Which calls a portal allows depends on its tier and on the token's scopes, and nothing tells beforehand. So the best way is
tried first, for reading and for writing apart: many addresses a call, one a call, and v3.
A state hangs on the email address, in any case, not on the contact.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from connector.crm.base import StatusOutcome, StatusWrite, Still, all_of_them
from connector.crm.hubspot import paths, statuses
from connector.crm.hubspot.statuses import Entry
from connector.crm.hubspot.statuses_v3 import READ_SCOPE, Version3
from connector.crm.hubspot.statuses_v4 import SCOPE_OF_READING, SCOPE_OF_WRITING, Many, Single
from connector.crm.hubspot.transport import Transport
from connector.crm.hubspot.ways import NONE, Ways
from connector.errors import Denied, Paused, Rejected, Stale, Transient
from connector.model import Statement

BATCH, SINGLE_WRITES, SINGLE, V3 = "batch", "single_writes", "single", "v3"
NAMES = (BATCH, SINGLE, V3)
PROBE = "nobody@example.com"
"""An address nobody can have, for a read that only shows whether it is allowed."""
ADDRESSES = 100
"""How many are looked at in one go where each of them is a call."""
MOST_FAILURES = 3
"""Calls that may fail before the rest of the rows is left for another time."""

OPTED_OUT = "the same address is opted out by another row at the same time, and opting out wins"


class Way(Protocol):
    """One of the ways. Addresses are given, and told, in lower case. size: rows in one `write`."""

    size: int

    def statuses(self, emails: Sequence[str]) -> dict[str, dict[str, Statement]]:
        """States of each address; one that HubSpot takes for none, or says nothing of, is absent."""

    def opted_out_of_all(self, emails: Sequence[str]) -> dict[str, datetime | None]:
        """Those that opted out of everything, and since when, where HubSpot tells."""

    def write(self, rows: Sequence[StatusWrite]) -> list[StatusOutcome]:
        """Set states. Raises Transient when nothing is known of any."""


class Subscriptions:
    """The portal's subscriptions. per_read: addresses in one read, where it takes many."""

    def __init__(self, transport: Transport, clock: Callable[[], float], per_read: int) -> None:
        self._transport = transport
        self._per_read = per_read
        self._way: Mapping[str, Way] = {BATCH: Many(transport, per_read), SINGLE: Single(transport), V3: Version3(transport)}
        self._reading = Ways("subscriptions: read", NAMES, clock)
        self._writing = Ways("subscriptions: write", NAMES, clock)
        self._listing = Ways("subscription types: list", (SINGLE, V3), clock)

    def types(self) -> dict[str, str]:
        """See Crm.subscription_types. Those that are switched off are left out."""
        found = self._listing.use(self._types)
        return {str(one["id"]): str(one.get("name", "")) for one in found if one.get("id") and one.get("isActive") is not False}

    def statuses(self, emails: Sequence[str]) -> dict[str, dict[str, Statement]]:
        """See Crm.statuses. An address that HubSpot does not take for one has none."""
        wanted = _addresses(emails)
        found = self._reading.use(lambda way: self._way[way].statuses(wanted)) if wanted else {}
        return {email: found.get(statuses.fold(email), {}) for email in emails}

    @property
    def statuses_per_read(self) -> int:
        """See Crm.statuses_per_read."""
        return self._per_read if self._reading.best == BATCH else ADDRESSES

    @property
    def optouts_apart(self) -> bool:
        """See Crm.optouts_apart. v3 shows them in the status of each type."""
        return self._reading.best != V3

    def opted_out_of_all(self, emails: Sequence[str]) -> dict[str, datetime | None]:
        """See Crm.opted_out_of_all."""
        wanted = _addresses(emails)
        found = self._reading.use(lambda way: self._way[way].opted_out_of_all(wanted)) if wanted else {}
        return {email: found[folded] for email in emails if (folded := statuses.fold(email)) in found}

    def write(self, rows: Sequence[StatusWrite], still: Still = all_of_them) -> list[StatusOutcome]:
        """See Crm.write_statuses. Rows that ask the same for one address go out once; where they disagree, opting out wins."""
        done = {row.ref: StatusOutcome(row.ref, Rejected(problem)) for row in rows if (problem := _unfit(row))}
        wishes: dict[tuple[str, str], list[StatusWrite]] = {}
        for row in rows:
            if row.ref not in done:
                folded = replace(row, email=statuses.fold(row.email))
                wishes.setdefault((folded.email, folded.subscription), []).append(folded)
        sent = {key: next((row for row in same if not row.granted), same[0]) for key, same in wishes.items()}
        results = {one.ref: one for one in self._write(list(sent.values()), still)}
        for key, same in wishes.items():
            done |= {row.ref: _shared(row, sent[key], results) for row in same}
        return [done[row.ref] for row in rows]

    def mode(self, scopes: Container[str]) -> str:
        """What `Access.subscriptions` says: the lesser of the ways open for reading and, as far as it was tried, for writing.

        scopes: what HubSpot names of the token's. Nothing is written to try it, so the scope for writing many tells; but only
        where the one for reading many is named.
        """
        try:
            self.statuses([PROBE])
        except Denied:
            return NONE
        reading, writing = self._reading.best, self._writing.best
        if writing == BATCH and SCOPE_OF_READING in scopes and SCOPE_OF_WRITING not in scopes:
            writing = SINGLE
        if (reading, writing) == (BATCH, SINGLE):
            return SINGLE_WRITES
        order = [*NAMES, NONE]
        return max(reading, writing, key=order.index)

    def _types(self, way: str) -> list[Entry]:
        what = "subscription types: list"
        path, name = (paths.TYPES_V3, "subscriptionDefinitions") if way == V3 else (paths.TYPES, "results")
        return statuses.entries(what, self._transport.http(what, "GET", path, way_out=READ_SCOPE), name)

    def _write(self, rows: Sequence[StatusWrite], still: Still) -> list[StatusOutcome]:
        return self._writing.use(lambda way: _in_turn(self._way[way], rows, still)) if rows else []


def _in_turn(way: Way, rows: Sequence[StatusWrite], still: Still) -> list[StatusOutcome]:
    """Write call by call. Once HubSpot wants nothing more for now, the rest is left for another time.

    Raises Denied, and Transient when nothing is known of any row.
    """
    done: list[StatusOutcome] = []
    trouble: list[Transient] = []
    parts = [rows[start : start + way.size] for start in range(0, len(rows), way.size)]
    for part in parts:
        if not trouble or not (isinstance(trouble[-1], Paused) or len(trouble) >= MOST_FAILURES):
            going = still([row.ref for row in part])
            done += [StatusOutcome(row.ref, Stale("not sent: somebody else sees to it")) for row in part if row.ref not in going]
            part = [row for row in part if row.ref in going]
            try:
                done += way.write(part) if part else []
                continue
            except Denied:
                raise
            except Transient as error:
                trouble.append(error)
        done += [StatusOutcome(row.ref, trouble[-1]) for row in part]
    if trouble and all(one.error in trouble for one in done):
        raise trouble[0]
    return done


def _shared(row: StatusWrite, sent: StatusWrite, results: Mapping[str, StatusOutcome]) -> StatusOutcome:
    """What became of a row, when another one with its address and type may have been sent in its place."""
    if row.granted != sent.granted:
        return StatusOutcome(row.ref, Rejected(OPTED_OUT))
    return replace(results[sent.ref], ref=row.ref)


def _unfit(row: StatusWrite) -> str | None:
    """Why a row cannot be sent; None when it can."""
    if "@" not in row.email:
        return "not an email address"
    return None if row.subscription.isascii() and row.subscription.isdigit() else "not the id of a subscription type"


def _addresses(emails: Iterable[str]) -> list[str]:
    """Once each, in lower case; what cannot be an address has no state anywhere."""
    return list(dict.fromkeys(statuses.fold(email) for email in emails if "@" in email))
