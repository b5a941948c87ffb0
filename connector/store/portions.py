"""Long lists of ids, a statement for each portion: SQLite takes 32,766 parameters in one, PostgreSQL 65,535."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

MOST = 1000


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """All of them in their order, up to MOST at a time."""
    rest = iter(items)
    while some := list(islice(rest, MOST)):
        yield some
