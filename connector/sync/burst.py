"""Whether a burst of events goes on in this process: then it is worth waiting for full calls. On a busy machine it comes in fits
and starts, so it counts as going on for a while after each large batch.
"""

import time
from dataclasses import dataclass

LARGE = 25
"""Links due at once that make a burst."""

AFTER = 3.0
"""Seconds after such a batch in which what comes is counted as the rest of it."""


@dataclass(slots=True)
class Burst:
    """until: monotonic seconds."""

    until: float = 0.0

    def seen(self, links: int) -> None:
        """A batch of so many links begins."""
        if links >= LARGE:
            self.until = time.monotonic() + AFTER

    @property
    def goes_on(self) -> bool:
        """Whether more of it may come."""
        return time.monotonic() < self.until


burst = Burst()
"""The one of this process."""
