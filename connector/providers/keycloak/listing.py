"""Listings of a Keycloak realm: plain arrays, by `first` and `max`, a page at a time.

Facts: see `provider`. Some listings know no pages; these are one page.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from connector.errors import BadDelivery, Missing, Rejected
from connector.providers.http import MAX_NODES, Rest
from connector.providers.reading import usable_id
from connector.strictjson import parse

PAGE = 100
"""Entries asked for in one page."""

Record = dict[str, Any]


class Listing:
    """The listings of one realm."""

    def __init__(self, name: str, rest: Rest) -> None:
        self._name = name
        self._rest = rest

    def all(self, what: str, path: str, keyed: bool = True) -> Iterator[list[Record]]:
        """Follow a listing to its end. keyed: whether its entries have ids, so that one that repeats itself is noticed.

        Raises Rejected for one that repeats itself: it has no end.
        """
        seen: set[str] = set()
        first = 0
        while True:
            found = self.page(what, path, {"first": str(first), "max": str(PAGE)})
            marks = {str(one["id"]) if keyed else repr(sorted(one.items(), key=str)) for one in found}
            if found and marks <= seen:
                raise Rejected(f"{self._name}: {what}: the listing repeats itself")
            yield found
            if len(found) < PAGE:
                return
            seen |= marks
            first += len(found)

    def page(self, what: str, path: str, query: Mapping[str, str]) -> list[Record]:
        """The objects of an array. Anything else is a failure, never an empty page. Raises Missing below a user who is gone."""
        try:
            reply = self._rest.call(what, "GET", path, query=query)
        except Missing as error:
            if path.startswith("/users/"):
                raise
            raise Rejected(f"{error}: are api_url and realm right?") from None
        try:
            found = parse(reply.content, MAX_NODES)
        except BadDelivery:
            found = None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Rejected(f"{self._name}: {what}: the answer is no listing")
        if path.startswith("/users") and any(usable_id(one.get("id")) is None for one in found):
            raise Rejected(f"{self._name}: {what}: an entry has no id")
        return found
