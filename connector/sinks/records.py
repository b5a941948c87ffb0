"""Events as records of the CRM."""

from collections.abc import Sequence

from connector.crm.base import Crm, EventOutcome, EventRecord, EventSchema


class Records:
    """The CRM, for events of one schema. `base.Sink` states what each method promises."""

    name = "crm"

    def __init__(self, crm: Crm, schema: EventSchema, providers: frozenset[str]) -> None:
        self.providers = providers
        self._crm = crm
        self._schema = schema

    def send(self, events: Sequence[EventRecord]) -> list[EventOutcome]:
        """See Sink."""
        return self._crm.record_events(self._schema, events)

    def find(self, keys: Sequence[str]) -> list[str]:
        """See Sink."""
        return self._crm.find_events(self._schema, keys) if keys else []

    def remove(self, record_ids: Sequence[str]) -> None:
        """See Sink."""
        self._crm.remove_events(self._schema, record_ids)
