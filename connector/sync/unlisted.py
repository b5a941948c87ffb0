"""Typologies that users have and their mapping does not list: passed over, and counted for the metrics."""

from collections import Counter
from collections.abc import Iterable

from connector.engine.readings import typologies
from connector.mapping.model import TYPOLOGIES, Mapping
from connector.model import User
from connector.store import Tx
from connector.sync.case import Case

MARK = "unlisted:"
"""What stands before the provider's name in the name of its count."""


def of(mapping: Mapping, user: User | None) -> list[str]:
    """A user's typologies that are not in `typologies.values`."""
    listed = next((rule.values for rule in mapping.rules if rule.user == TYPOLOGIES), None)
    return [] if user is None or listed is None else [key for key in typologies(user) if key not in listed]


def count(tx: Tx, batch: Iterable[Case]) -> None:
    """Add what this batch passed over. Last in its transaction: others wait for the same rows."""
    found = Counter({case.link.provider: 0 for case in batch})
    for case in batch:
        found[case.link.provider] += len(of(case.mapping, case.seen.user))
    for provider, more in sorted(found.items()):
        if more:
            tx.cursors.count(MARK + provider, more)


def counted(tx: Tx, provider: str) -> int:
    """How many were passed over so far."""
    kept = tx.cursors.get(MARK + provider)
    return int(kept[0]) if kept else 0
