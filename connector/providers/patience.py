"""A listing that has begun waits for a short trouble and goes on at the same page: from its beginning it might never end.

Only calls that are made while `patiently` asks for the next page wait. All else fails at once, and whoever asked tries again: a
worker holds leases meanwhile.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from connector.errors import ConnectorError, Transient

PAUSES = (1.0, 5.0, 15.0)
"""Seconds before a call is made again, the first, second and third time, where the provider does not say."""
LONGEST = 60.0
"""Seconds; who asks for a longer wait is not waited for."""
IN_ALL = 90.0
"""Seconds waited for one call: less than the lock on a listing lasts."""

T = TypeVar("T")


class Patience:
    """That of one listing. begun: it had an answer; a provider that gives none at all is not waited for."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self.begun = False

    def waits(self, error: ConnectorError, spent: list[float]) -> bool:
        """Whether it waited, so that the call can be made again. spent: what was waited for this call before; added to."""
        if not self.begun or not isinstance(error, Transient) or len(spent) == len(PAUSES):
            return False
        pause = error.retry_in or PAUSES[len(spent)]
        if pause > LONGEST or sum(spent) + pause > IN_ALL:
            return False
        spent.append(pause)
        self._sleep(pause)
        return True


_HERE: ContextVar[Patience | None] = ContextVar("patience", default=None)
"""The patience of the listing that is being read here; None outside of one."""


def answered() -> None:
    """A call was answered."""
    if patience := _HERE.get():
        patience.begun = True


def waits(error: ConnectorError, spent: list[float]) -> bool:
    """Whether, in a listing, it was waited until a call may be made again. spent: see Patience."""
    patience = _HERE.get()
    return patience is not None and patience.waits(error, spent)


def patiently(pages: Iterable[T], sleep: Callable[[float], None] = time.sleep) -> Iterator[T]:
    """The pages of a listing. May wait between two of them, so no transaction may be open."""
    patience, following = Patience(sleep), iter(pages)
    while True:
        token = _HERE.set(patience)
        try:
            page = next(following)
        except StopIteration:
            return
        finally:
            _HERE.reset(token)
        yield page
