"""Carries webhooks: collects them for a moment, sends, repeats what was not taken, and misbehaves when asked to.

Threads are started when there is something to carry and end when there is not.
"""

import heapq
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from connector.sandbox.faults import CommonFaults

Event = dict[str, Any]
Pack = Callable[[str, Sequence[Event], int], tuple[bytes, Mapping[str, str]]]
"""URL, events and attempt (from 0) -> body and headers of one delivery."""

KEPT = 10_000
"""Events remembered, for whoever looks."""


@dataclass
class Pace:
    """How deliveries go out. Times in seconds.

    most: events in one delivery. window: how long it waits for more of them. timeout: how long an answer may take.
    backoff: waits before the second, third ... attempt; after the last one the event is given up.
    late: how late an event may be that is sent out of order. senders: deliveries under way at the same time.
    """

    most: int = 100
    window: float = 0.02
    timeout: float = 5.0
    backoff: tuple[float, ...] = (0.1, 0.2, 0.5, 1, 2, 5, 5, 10, 15, 20)
    late: float = 0.3
    senders: int = 4


@dataclass(order=True)
class _Parcel:
    due: float
    number: int
    events: list[Event] = field(compare=False)
    attempt: int = field(default=0, compare=False)


class Courier:
    """Sends events to one URL. For any number of threads."""

    def __init__(self, pack: Pack, faults: Callable[[], CommonFaults], url: str | None, pace: Pace, seed: int = 0) -> None:
        self.url = url
        self.pace = pace
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.delivered = self.refused = self.given_up = 0
        self._pack = pack
        self._faults = faults
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._parcels: list[_Parcel] = []
        self._open: _Parcel | None = None
        self._threads = self._idle = self._carried = 0
        self._hurry = False
        self._changed = threading.Condition()

    def send(self, events: Sequence[Event], after: float = 0) -> None:
        """Take events along, `after` seconds from now; without a URL they are only remembered."""
        with self._changed:
            self.events.extend(events)
            if not self.url or not events:
                return
            for event in events:
                for wait in self._fates(after):
                    self._load(event, wait)
            self._hire()
            self._changed.notify_all()

    def repeat_last(self) -> None:
        """Send the newest event once more."""
        with self._changed:
            if self.url and self.events:
                self._push([self.events[-1]], 0)
                self._hire()
                self._changed.notify_all()

    def pending(self) -> int:
        """Events not delivered and not given up."""
        with self._changed:
            return self._carried + sum(len(parcel.events) for parcel in self._parcels)

    def flush(self, timeout: float) -> bool:
        """Wait until nothing is pending, without waiting for more events to fill a delivery. False when time is up first."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._parcels and not self._carried, timeout)
            finally:
                self._hurry = False

    def _fates(self, after: float) -> list[float]:
        """When an event goes out: once, or never, twice, late."""
        faults, chance = self._faults(), self._random.random
        if faults.webhook_drop and chance() < faults.webhook_drop:
            return []
        fates = [after]
        if faults.webhook_shuffle and chance() < faults.webhook_shuffle:
            fates = [after + chance() * self.pace.late]
        if faults.webhook_duplicate and chance() < faults.webhook_duplicate:
            fates.append(after + chance() * self.pace.late)
        return fates

    def _load(self, event: Event, wait: float) -> None:
        """Put an event into the parcel that is being filled, or into one of its own that leaves later."""
        if wait:
            self._push([event], wait)
        elif self._open and len(self._open.events) < self.pace.most:
            self._open.events.append(event)
        else:
            self._open = self._push([event], self.pace.window)

    def _push(self, events: list[Event], wait: float, attempt: int = 0) -> _Parcel:
        parcel = _Parcel(time.monotonic() + wait, next(self._numbers), events, attempt)
        heapq.heappush(self._parcels, parcel)
        return parcel

    def _hire(self) -> None:
        """One more thread when there is work that nobody waits for."""
        if self._parcels and not self._idle and self._threads < self.pace.senders:
            self._threads += 1
            threading.Thread(target=self._work, name="sandbox webhooks", daemon=True).start()

    def _work(self) -> None:
        """What a thread does: send what is due until nothing is left."""
        with requests.Session() as session:
            session.trust_env = False
            while parcel := self._take():
                taken = self._deliver(session, parcel)
                with self._changed:
                    self._settle(parcel, taken)
                    self._changed.notify_all()

    def _take(self) -> _Parcel | None:
        """The next parcel, once it is due; None when there is nothing left to carry."""
        with self._changed:
            while self._parcels:
                first = self._parcels[0]
                wait = 0.0 if self._hurry and not first.attempt else first.due - time.monotonic()
                if wait <= 0:
                    heapq.heappop(self._parcels)
                    if first is self._open:
                        self._open = None
                    self._carried += len(first.events)
                    self._hire()
                    return first
                self._idle += 1
                self._changed.wait(wait)
                self._idle -= 1
            self._threads -= 1
            return None

    def _deliver(self, session: requests.Session, parcel: _Parcel) -> bool:
        url = self.url
        if not url:
            return True
        body, headers = self._pack(url, parcel.events, parcel.attempt)
        try:
            reply = session.post(url, data=body, headers=headers, timeout=self.pace.timeout, allow_redirects=False)
        except requests.RequestException:
            return False
        return reply.ok and reply.status_code < 300

    def _settle(self, parcel: _Parcel, taken: bool) -> None:
        count = len(parcel.events)
        self._carried -= count
        if taken:
            self.delivered += count
            return
        self.refused += 1
        if parcel.attempt < len(self.pace.backoff):
            self._push(parcel.events, self.pace.backoff[parcel.attempt], parcel.attempt + 1)
        else:
            self.given_up += count
