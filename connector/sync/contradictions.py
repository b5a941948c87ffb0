"""Whether the ledger is whole, and says of each consent what stands at the link.

The chain shows what was changed in the ledger, as long as its end and key are ours. Whoever takes both away, or puts back an end
that was signed earlier, leaves a chain that holds; the links tell all the same what its last rows have to be.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from connector.engine.consent import UNKNOWN, standing_now
from connector.store import Tx
from connector.store.ledger import LastWords, Progress, as_stored

NAMED = 5
"""Links that are named."""

SAME = timedelta(milliseconds=1)
"""Times that differ by less are one: columns hold them as fractions of seconds."""


def findings(tx: Tx, progress: Progress | None = None) -> list[str]:
    """What is wrong with the ledger, in words; empty when nothing is."""
    return [*tx.ledger.verify(progress), *_contradictions(tx)]


def _contradictions(tx: Tx) -> Iterator[str]:
    links: list[int] = []
    count = 0
    for one in tx.ledger.beside_links():
        wrong = sum(_contradicts(one, purpose) for purpose in one.consents)
        count += wrong
        if wrong and len(links) <= NAMED:
            links.append(one.link_id)
    if count:
        named = ", ".join(map(str, links[:NAMED])) + (" and more" if len(links) > NAMED else "")
        yield f"consents whose last row is missing, or is not what stands at the link: {count} (links {named})"


def _contradicts(one: LastWords, purpose: str) -> bool:
    """Whether a consent that was settled is not what its last row says. What is unknown at the link was never told, or was
    begun anew.
    """
    now = standing_now(one.consents[purpose])
    if now.state is UNKNOWN:
        return False
    state, at = one.told.get(as_stored(purpose), (None, None))
    return state != now.state.value or not _same(now.at, at)


def _same(one: datetime | None, other: datetime | None) -> bool:
    return one is other if one is None or other is None else abs(one - other) < SAME
