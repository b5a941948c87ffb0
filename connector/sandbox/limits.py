"""HubSpot's rate limits: ten seconds rolling, searches per second, calls per day.

Facts (HubSpot API, "API usage guidelines"; captured bodies):
- custom events have none of these limits;
- searches have a limit of their own, are exempt from the ten-second one, and tell no headers;
- `policyName` says which limit it was; `Retry-After` is not promised, and not sent here.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from uuid import uuid4

import orjson
from starlette.responses import Response

from connector.sandbox.faults import Faults

BURST_WINDOW = 10.0
SEARCH_WINDOW = 1.0
"""Seconds."""


class Limits:
    """Counts calls by limit. For any number of threads."""

    def __init__(self, faults: Callable[[], Faults], clock: Callable[[], float]) -> None:
        self._faults = faults
        self._clock = clock
        self._burst: deque[float] = deque()
        self._searches: deque[float] = deque()
        self.today = 0
        self._lock = threading.Lock()

    @property
    def most_today(self) -> int:
        """The daily limit."""
        return self._faults().daily_limit

    def refuse(self, path: str) -> Response | None:
        """See `gate.Limits`."""
        if _is_event(path):
            return None
        faults, now = self._faults(), self._clock()
        with self._lock:
            if faults.daily_limit and self.today >= faults.daily_limit:
                return _too_many("DAILY", "daily")
            if _is_search(path):
                full = _full(self._searches, now, SEARCH_WINDOW, faults.search_limit)
                refused = _too_many("SECONDLY", "secondly") if full else None
            else:
                full = _full(self._burst, now, BURST_WINDOW, faults.burst_limit)
                refused = _too_many("TEN_SECONDLY_ROLLING", "ten_secondly_rolling") if full else None
            if refused is None:
                (self._searches if _is_search(path) else self._burst).append(now)
                self.today += 1
            return refused

    def headers(self, path: str) -> Mapping[str, str]:
        """See `gate.Limits`. What is left counts the call that asks."""
        if _is_search(path) or _is_event(path):
            return {}
        faults, now = self._faults(), self._clock()
        told: dict[str, str] = {}
        with self._lock:
            if faults.burst_limit:
                _full(self._burst, now, BURST_WINDOW, faults.burst_limit)
                left = max(0, faults.burst_limit - len(self._burst) - 1)
                told |= {"X-HubSpot-RateLimit-Max": str(faults.burst_limit), "X-HubSpot-RateLimit-Remaining": str(left)}
                told["X-HubSpot-RateLimit-Interval-Milliseconds"] = str(int(BURST_WINDOW * 1000))
            if faults.daily_limit:
                left = max(0, faults.daily_limit - self.today - 1)
                told |= {"X-HubSpot-RateLimit-Daily": str(faults.daily_limit), "X-HubSpot-RateLimit-Daily-Remaining": str(left)}
        return told


def _is_search(path: str) -> bool:
    return path.endswith("/search")


def _is_event(path: str) -> bool:
    return path.startswith("/events/") and path.endswith(("/send", "/send/batch"))


def _full(calls: deque[float], now: float, window: float, limit: int) -> bool:
    """Forget calls outside of the window; is there no room for one more?"""
    while calls and calls[0] <= now - window:
        calls.popleft()
    return bool(limit) and len(calls) >= limit


def _too_many(policy: str, words: str) -> Response:
    body = {
        "status": "error", "message": f"You have reached your {words} limit.", "errorType": "RATE_LIMIT",
        "correlationId": str(uuid4()), "policyName": policy, "requestId": uuid4().hex, "category": "RATE_LIMITS",
    }  # fmt: skip
    return Response(orjson.dumps(body), 429, media_type="application/json")
