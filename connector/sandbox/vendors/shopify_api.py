"""The fields of Shopify's Admin GraphQL API that a connector uses, and the points they cost."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from connector.sandbox.faults import IdentityFaults
from connector.sandbox.values import millis
from connector.sandbox.vendors import graphql
from connector.sandbox.vendors.shopify_store import Customer, Customers, Refused

MOST_PAGE = 250
OPERATION = "gid://shopify/BulkOperation/"
BULK_FIELDS = ("errorCode", "partialDataUrl", "url")


class Points:
    """The bucket that calls are paid from. most, rate: its size, and what comes back in a second; may be changed at any time."""

    def __init__(self, clock: Callable[[], float], most: float = 2000, rate: float = 100) -> None:
        self.most = self.left = most
        self.rate = rate
        self._clock = clock
        self._at = clock()
        self._lock = threading.Lock()

    def spend(self, variables: Mapping[str, Any]) -> tuple[float, bool]:
        """What a call costs, and whether there was enough for it."""
        cost = 2.0 + 4.0 * int(variables.get("first") or 2)
        with self._lock:
            now = self._clock()
            self.left = min(self.most, self.left + self.rate * (now - self._at))
            self._at = now
            enough = cost <= self.left
            self.left -= cost if enough else 0
            return cost, enough

    def told(self) -> dict[str, Any]:
        """As answers tell it."""
        return {"throttleStatus": {"maximumAvailable": self.most, "currentlyAvailable": self.left, "restoreRate": self.rate}}


class Api:
    """Queries and mutations. Callers hold the customers' lock."""

    def __init__(self, customers: Customers, faults: Callable[[], IdentityFaults]) -> None:
        self._customers = customers
        self._faults = faults
        self._operations: list[dict[str, Any]] = []
        self.files: list[bytes] = []
        """What bulk operations left; a test may change it."""

    def resolvers(self, host: str) -> dict[str, graphql.Resolver]:
        """Name of a field -> what it does with its arguments. host: as the caller calls us, for the address of a file."""
        customers, act = self._customers, self._mutation
        return {
            "customer": lambda told: customers.find(told["id"]),
            "customerByIdentifier": lambda told: customers.find(told["identifier"]["emailAddress"]),
            "customers": self._page,
            "customerCreate": act(lambda told: customers.add(told["input"])),
            "customerUpdate": act(lambda told: self._change(told["input"])),
            "customerEmailMarketingConsentUpdate": act(lambda told: self._consent(told["input"])),
            "tagsAdd": act(lambda told: self._tagged(told, customers.tag)),
            "tagsRemove": act(lambda told: self._tagged(told, customers.untag)),
            "customerDelete": act(lambda told: self._delete(told["input"]["id"])),
            "customerRequestDataErasure": act(lambda told: self._erase(told["customerId"])),
            "bulkOperationRunQuery": lambda told: self._start(told["query"], host),
            "node": lambda told: self._look(told["id"]),
        }

    def _mutation(self, work: Callable[[Mapping[str, Any]], Customer]) -> graphql.Resolver:
        """Refusals become `userErrors`."""

        def resolve(told: Mapping[str, Any]) -> dict[str, Any]:
            nothing = {"customer": None, "deletedCustomerId": None, "customerId": None}
            try:
                done = work(told)
            except Refused as error:
                return {**nothing, "userErrors": [{"field": error.field, "message": str(error), "code": error.code}]}
            return {**nothing, "customer": done, "deletedCustomerId": done["id"], "customerId": done["id"], "userErrors": []}

        return resolve

    def _change(self, given: Mapping[str, Any]) -> Customer:
        customer = self._customers.get(given["id"])
        self._customers.change(customer, {name: value for name, value in given.items() if name != "id"})
        return customer

    def _consent(self, given: Mapping[str, Any]) -> Customer:
        customer = self._customers.get(given["customerId"], ("input", "customerId"))
        self._customers.consent(customer, given["emailMarketingConsent"])
        return customer

    def _tagged(self, told: Mapping[str, Any], work: Callable[[Customer, Sequence[str]], None]) -> Customer:
        customer = self._customers.get(told["id"])
        work(customer, [tag.strip() for one in told["tags"] for tag in one.split(",")])
        return customer

    def _delete(self, gid: str) -> Customer:
        customer = self._customers.get(gid)
        self._customers.remove(customer)
        return customer

    def _erase(self, gid: str) -> Customer:
        customer = self._customers.get(gid, ("customerId",))
        self._customers.erasures.append(gid)
        return customer

    def _page(self, told: Mapping[str, Any]) -> dict[str, Any]:
        faults, listed = self._faults(), self._customers.all()
        if since := re.fullmatch(r"updated_at:>='(.+)'", told.get("query") or ""):
            listed = [one for one in listed if millis(one["updatedAt"]) >= millis(since[1])]
        if told.get("sortKey") == "UPDATED_AT":
            listed.sort(key=lambda one: millis(one["updatedAt"]))
        listed = [] if faults.listing_empty else listed[: faults.listing_truncated or None]
        start = int(told.get("after") or 0)
        shown = listed[start : start + min(int(told["first"]), MOST_PAGE)]
        end = start + len(shown)
        more = end < len(listed) or (faults.cursor_repeats and bool(shown))
        return {"nodes": shown, "pageInfo": {"hasNextPage": more, "endCursor": str(start if faults.cursor_repeats else end)}}

    def _start(self, query: str, host: str) -> dict[str, Any]:
        nodes = graphql.run(query, {}, {"customers": lambda told: {"edges": [{"node": one} for one in self._customers.all()]}})
        records = [edge["node"] for edge in nodes["customers"]["edges"]]
        number = len(self.files)
        self.files.append(b"".join(orjson.dumps(one) + b"\n" for one in records))
        operation = {"id": f"{OPERATION}{number}", "status": "CREATED", **dict.fromkeys(BULK_FIELDS)}
        operation |= {"objectCount": str(len(records)), "rootObjectCount": str(len(records))}
        self._operations.append(operation | {"file": f"http://{host}/sandbox/files/{number}" if records else None})
        return {"bulkOperation": operation, "userErrors": []}

    def _look(self, gid: str) -> dict[str, Any] | None:
        """An operation, one step further each time somebody looks."""
        found = next((one for one in self._operations if one["id"] == gid), None)
        if found and found["status"] in ("CREATED", "RUNNING"):
            found["status"] = {"CREATED": "RUNNING", "RUNNING": "COMPLETED"}[found["status"]]
            found["url"] = found["file"] if found["status"] == "COMPLETED" else None
        return found
