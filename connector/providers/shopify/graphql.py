"""One call to Shopify's Admin GraphQL API, and the bucket of points that calls cost.

Facts (Shopify, "API rate limits", "GraphQL Admin API", error codes; read 2026-11):
- calls cost points from a bucket per app and shop that fills up again at a constant rate; every answer tells both;
- a call beyond the bucket is answered with status 200 and the error code THROTTLED, or with 429; nothing was carried out;
- other errors come with status 200, too: ACCESS_DENIED for a missing scope or unapproved customer data, which then is null;
- a wrong shop or a version that is no more gives 404, a frozen shop 402, a locked one 423: none is about a customer.
"""

import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import requests

from connector.errors import Paused, Rejected, Unavailable
from connector.providers import patience
from connector.providers.http import HeaderKey, Rest, retry_after
from connector.providers.reading import mapping, objects

TRIES = 4
"""Calls made of one that is throttled."""
LONGEST_WAIT = 5.0
"""Seconds a call waits for points itself; longer waits are everybody's."""
CLOSED = (402, 404, 423)
"""Statuses that are about the shop."""
WAITING = {"ACCESS_DENIED", "SHOP_INACTIVE", "UNAUTHORIZED", "FORBIDDEN"}
TROUBLE = {"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"}
THROTTLED = "THROTTLED"
STATUS = ("maximumAvailable", "currentlyAvailable", "restoreRate")


class Bucket:
    """The points left, as far as this process knows. For any number of threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left, self._most, self._rate, self._at = 0.0, 0.0, 0.0, 0.0
        self._costs: dict[str, float] = {}

    def take(self, name: str) -> float:
        """Seconds until there are points for a call of this name; 0 when there are, and they are taken."""
        with self._lock:
            if not self._rate:
                return 0.0
            now, cost = self._clock(), self._costs.get(name, 0.0)
            self._left = min(self._most, self._left + self._rate * (now - self._at))
            self._at = now
            if cost > self._left:
                return (cost - self._left) / self._rate
            self._left -= cost
            return 0.0

    def note(self, name: str, cost: Mapping[str, Any]) -> None:
        """What an answer tells of costs."""
        status = mapping(cost.get("throttleStatus"))
        told = (cost.get("requestedQueryCost"), *(status.get(one) for one in STATUS))
        points = [float(one) for one in told if isinstance(one, int | float) and one >= 0]
        if len(points) == len(told):
            with self._lock:
                self._costs[name], self._most, self._left, self._rate = points
                self._at = self._clock()


class GraphQL:
    """The API of one shop."""

    def __init__(
        self,
        name: str,
        url: str,
        key: str,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._rest = Rest(name, url, HeaderKey("X-Shopify-Access-Token", key), session)
        self._sleep = sleep
        self._bucket = Bucket(clock)

    def ask(self, what: str, document: str, variables: Mapping[str, Any], fields: Collection[str] = ()) -> dict[str, Any]:
        """Run an operation and return its `data`. Waits for points, a little, and in a listing for a short trouble.

        what: names the call in errors. fields: names that a refusal may mention.
        Raises Paused (no points, no permission, closed shop), Unavailable, Rejected.
        """
        operation = re.split(r"\W+", document.strip(), maxsplit=2)[1]
        wait, spent = 0.0, list[float]()
        for _ in range(TRIES):
            wait = self._bucket.take(operation)
            if wait > LONGEST_WAIT:
                break
            if wait:
                self._sleep(wait)
                self._bucket.take(operation)
            answer = self._send(what, operation, {"query": document, "variables": dict(variables)}, fields)
            try:
                if THROTTLED not in _codes(answer):
                    return self._data(what, answer)
            except Unavailable as error:
                if not patience.waits(error, spent):
                    raise
        raise Paused(f"{self._name}: {what}: throttled", max(wait, 1.0))

    def run(self, what: str, document: str, variables: Mapping[str, Any], fields: Collection[str] = ()) -> dict[str, Any]:
        """Run a mutation and return what its only field tells, `userErrors` included. Raises as `ask` does."""
        data = self.ask(what, document, variables, fields)
        found = next(iter(data.values()), None)
        if not isinstance(found, dict) or not isinstance(found.get("userErrors"), list):
            raise Unavailable(f"{self._name}: {what}: 200, but not the outcome of a mutation")
        return found

    def _send(self, what: str, operation: str, body: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
        reply = self._rest.call(what, "POST", "", body=body, fields=fields, accept=CLOSED)
        if reply.status_code in CLOSED:
            why = f"{reply.status_code}: are shop, api_url and api_version right, and is the shop open?"
            raise Paused(f"{self._name}: {what}: {why}", retry_after(reply))
        answer = self._rest.json(what, reply)
        self._bucket.note(operation, mapping(mapping(answer.get("extensions")).get("cost")))
        return answer

    def _data(self, what: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The data of an answer without errors: with one, what is null may be there and only hidden."""
        where, codes = f"{self._name}: {what}", _codes(answer)
        named = ", ".join(sorted(code for code in codes if re.fullmatch(r"\w{1,60}", code)))
        if codes & WAITING:
            raise Paused(f"{where}: {named}: are the scopes granted, and is the access to customer data approved?")
        if codes & TROUBLE or codes == {""}:
            raise Unavailable(f"{where}: {named or 'an error without a code'}")
        if codes:
            raise Rejected(f"{where}: {named}: is api_version right?")
        if not isinstance(answer.get("data"), dict):
            raise Unavailable(f"{where}: 200, but no data")
        return dict(answer["data"])


def _codes(answer: Mapping[str, Any]) -> set[str]:
    """The codes of an answer's errors, "" for one that has none."""
    errors = answer.get("errors")
    if not errors:
        return set()
    return {str(mapping(one.get("extensions")).get("code") or "") for one in objects(errors)} or {""}
