"""What the sync asks of a sink."""

from collections.abc import Sequence
from typing import Protocol

from connector.crm.base import EventOutcome, EventRecord


class Sink(Protocol):
    """A place for identity events. `name` stands in the database; `providers` are those whose events go there."""

    @property
    def name(self) -> str:
        """As in `activity.sink`."""

    @property
    def providers(self) -> frozenset[str]:
        """Whose events go there."""

    def send(self, events: Sequence[EventRecord]) -> list[EventOutcome]:
        """Hand over up to `crm.base.EVENTS` events, in this order; one that comes again makes no second one.

        Raises Transient or Permanent only when nothing is known of any event.
        """

    def find(self, keys: Sequence[str]) -> list[str]:
        """Ids of the records that were made of events with these keys, as far as the sink can tell."""

    def remove(self, record_ids: Sequence[str]) -> None:
        """Take back what was made of events whose person was erased meanwhile, where that is possible."""
