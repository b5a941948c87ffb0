"""Users, or groups, of a SCIM server by the page and by filters, whatever its dialect: what it can do is found out, not assumed.

Facts (RFC 7644, "Query resources", and what servers were seen to do):
- pages are told by `startIndex`, from 1, and `count`; they are cut anew for each call, so users may repeat or be skipped;
- `totalResults` counts all; `Resources` may be absent when there are none; an answer says in `schemas` that it is a listing;
- filters are optional: some servers refuse them (400, 501), some answer everybody, some nobody; some know `gt`, not `ge`;
- some refuse `count`, ignore `startIndex`, or leave `totalResults` out, and with it an empty `Resources`;
- a deleted user is in no listing.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from connector.errors import Missing, Rejected
from connector.providers.http import Rest
from connector.providers.reading import mapping, moment, usable_id
from connector.providers.scim.user import look

PAGE = 100
"""Users asked for in one page."""
LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:listresponse"
"""What an answer calls itself that is a listing; names have no case."""
NOT_HERE = (400, 501)
"""Answers to a query that a server does not understand."""
BEGINNING, END = "1970-01-01T00:00:00Z", "9999-01-01T00:00:00Z"
"""Moments after and before which everybody was changed."""

Record = dict[str, Any]
log = structlog.get_logger(__name__)


class Page(NamedTuple):
    """records: its usable users. size: how many it lists. total: how many there are in all; None when it does not say."""

    records: list[Record]
    size: int
    total: int | None


class Refused(Rejected):
    """The server does not understand the query."""


class Listing:
    """What one server lists at a path. Remembers for as long as the process lives what the server was found to do."""

    def __init__(
        self, name: str, rest: Rest, path: str = "/Users", more: Mapping[str, str] | None = None, doubt: str = "is api_url right?"
    ) -> None:
        """more: asked along with every page. doubt: what to look at where there is no such listing."""
        self._name = name
        self._rest = rest
        self._path, self._more, self._doubt = path, dict(more or {}), doubt
        self._counts = True
        self._since: str | None = None

    def all(self, what: str, query: str = "") -> Iterator[list[Record]]:
        """Users that a filter matches, if the server applies it; nobody twice.

        Raises Refused for a filter it does not understand, Rejected for a listing that repeats itself, or ends too early.
        """
        seen: set[str] = set()
        start, odd = 1, 0
        while True:
            page = self._page(what, query, start)
            fresh = [one for one in page.records if str(look(one, "id")) not in seen]
            seen.update(str(look(one, "id")) for one in fresh)
            if fresh:
                yield fresh
            start += page.size
            odd += page.size - len(page.records)
            if self._last(what, page, fresh, start, len(seen) + odd):
                return

    @property
    def filters(self) -> bool:
        """Whether who changed can be asked for, as far as is known."""
        return self._since != ""

    def changed(self, since: datetime) -> Iterator[list[Record]]:
        """Users changed at or after a time, oldest first. Where filters cannot be relied on, everybody is read for that."""
        operator = self._operator()
        query = f'meta.lastModified {operator} "{_stamp(since)}"' if operator else ""
        timed: list[tuple[datetime, Record]] = []
        for records in self.all("list changed users", query):
            found = [(moment(look(mapping(look(one, "meta")), "lastModified")), one) for one in records]
            timed += [(at, one) for at, one in found if at is not None and at >= since]
            if unknown := [one for at, one in found if at is None]:
                yield unknown
        timed.sort(key=lambda pair: pair[0])
        for place in range(0, len(timed), PAGE):
            yield [one for _, one in timed[place : place + PAGE]]

    def _operator(self) -> str:
        """What to ask for changed users with, "" for nothing: tried out with two moments, one before and one after all times."""
        if self._since is None:
            found = next((one for one in ("ge", "gt") if self._understands(one)), "")
            if not found and self._empty(""):
                return ""  # nobody is there, so nothing can be told yet
            log.info("scim.filter", provider=self._name, operator=found or "none")
            self._since = found
        return self._since

    def _understands(self, operator: str) -> bool:
        try:
            nobody, everybody = (self._empty(f'meta.lastModified {operator} "{one}"') for one in (END, BEGINNING))
        except Rejected:  # also of what is no listing: then there is no filter
            return False
        return nobody and not everybody

    def _empty(self, query: str) -> bool:
        return not self._page("list changed users", query, 1, 1).records

    def _last(self, what: str, page: Page, fresh: list[Record], following: int, seen: int) -> bool:
        """Whether there is nothing after this page. Raises Rejected when there should be."""
        if page.total is not None and fresh:  # some count the page alone, so a full one may have followers
            return following > page.total and page.size < PAGE
        if page.total is not None:
            if seen >= page.total or (page.size == 0 and following > page.total):
                return True
            raise Rejected(f"{self._name}: {what}: it ended after {seen} of {page.total} users")
        if page.size == 0:
            return True
        if not fresh and page.size == PAGE and self._counts:  # the same page again, and it is cut off
            raise Rejected(f"{self._name}: {what}: the listing repeats itself")
        return not fresh

    def _page(self, what: str, query: str, start: int, count: int = PAGE) -> Page:
        asked = {**self._more, "startIndex": str(start)} | ({"filter": query} if query else {})
        if self._counts:
            try:
                return self._read(what, {**asked, "count": str(count)})
            except Refused:
                if start > 1:
                    raise
                found = self._read(what, asked)  # refused again: it is the filter
                log.info("scim.count_refused", provider=self._name)
                self._counts = False
                return found
        return self._read(what, asked)

    def _read(self, what: str, query: dict[str, str]) -> Page:
        """One page. An answer without a list is a failure, never an empty page, unless it counts none."""
        try:
            reply = self._rest.call(what, "GET", self._path, query=query, accept=NOT_HERE)
        except Missing as error:
            raise Rejected(f"{error}: {self._doubt}") from None
        if reply.status_code in NOT_HERE:
            raise Refused(f"{self._name}: {what}: {reply.status_code}")
        answer = self._rest.json(what, reply)
        total, found = _number(look(answer, "totalResults")), look(answer, "Resources")
        if found is None and (total is not None or _lists_nobody(answer)):
            return Page([], 0, total)
        if not isinstance(found, list):
            raise Rejected(f"{self._name}: {what}: the answer is no listing")
        good = [one for one in found if isinstance(one, dict) and usable_id(look(one, "id"))]
        if found and not good:
            raise Rejected(f"{self._name}: {what}: no user on the page has an id")
        if len(good) < len(found):
            log.warning("provider.items_without_id", provider=self._name, call=what, count=len(found) - len(good))
        return Page(good, len(found), total)


def _lists_nobody(answer: Record) -> bool:
    """Whether an answer without a list and without a total is an empty page: it says that it is one, and counts nobody."""
    schemas = look(answer, "schemas")
    named = [one.casefold() for one in schemas if isinstance(one, str)] if isinstance(schemas, list) else []
    return LIST_SCHEMA in named and look(answer, "itemsPerPage") in (None, 0, "0")


def _number(value: object) -> int | None:
    """A count, which some servers write as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if type(value) is int and value >= 0 else None


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
