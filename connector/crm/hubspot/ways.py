"""Several ways to one end, best first: the best one that the token and the account allow is used.

Nothing in HubSpot's API says beforehand which calls a tier allows, so they are tried, and what was denied is left alone for
an hour.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from connector.errors import Denied

AGAIN, SOON = 3600.0, 60.0
"""Seconds until a way that was denied is tried again: while there is another way, and while there is none."""
NONE = "none"

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Ways:
    """Ways for one kind of call, by name. what: names the kind, for messages. For one process and any number of threads."""

    def __init__(self, what: str, names: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._names = tuple(names)
        self._clock = clock
        self._closed: dict[str, tuple[float, Denied]] = {}

    @property
    def best(self) -> str:
        """The best way that was not denied within the hour; "none" when all were."""
        return next((name for name in self._names if self._is_open(name)), NONE)

    def use(self, act: Callable[[str], T]) -> T:
        """Act the best way that is allowed. Raises Denied, with the words of the last way, when none is."""
        for name in self._names:
            if self._is_open(name):
                try:
                    return act(name)
                except Denied as error:
                    self._close(name, error)
        if self.best == NONE:
            self._look_again_soon()
        soonest = min(until for until, _ in self._closed.values()) - self._clock()
        raise Denied(str(self._closed[self._names[-1]][1]), max(0.0, soonest))

    def _look_again_soon(self) -> None:
        """Somebody may be granting scopes just now."""
        soon = self._clock() + SOON
        self._closed = {name: (min(until, soon), error) for name, (until, error) in self._closed.items()}

    def _is_open(self, name: str) -> bool:
        return name not in self._closed or self._clock() >= self._closed[name][0]

    def _close(self, name: str, error: Denied) -> None:
        self._closed[name] = (self._clock() + AGAIN, error)
        log.warning("hubspot denies a way to do this", call=self._what, way=name, reason=str(error))
