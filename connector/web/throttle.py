"""How often each address failed lately: a sliding window, bounded in addresses and in memory."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil

FAILURES = 60
WINDOW = 10.0
"""More than so many failures in so many seconds are too many."""
MAX_ADDRESSES = 10_000


class Throttle:
    """Counts failures by address. clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str) -> int:
        """Note a failure. Returns the seconds to wait, 0 while it is not too many; those beyond the limit do not count anew."""
        now = self._clock()
        times = self._failed.setdefault(address, deque())
        self._failed.move_to_end(address)
        while times and times[0] <= now - WINDOW:
            times.popleft()
        if len(times) >= FAILURES:
            return max(1, ceil(times[0] + WINDOW - now))
        times.append(now)
        if len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)
        return 0
