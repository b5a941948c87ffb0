"""HubSpot as a CRM: the modules of this package behind the methods of `crm.base.Crm`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from connector.crm.base import (
    Access,
    EventOutcome,
    EventRecord,
    EventSchema,
    EventType,
    NewProperty,
    Outcome,
    Property,
    StatusOutcome,
    StatusWrite,
    Still,
    Write,
    all_of_them,
)
from connector.crm.hubspot import access, paths
from connector.crm.hubspot.contacts import Contacts
from connector.crm.hubspot.events import Events
from connector.crm.hubspot.limits import Limiter
from connector.crm.hubspot.records import Records
from connector.crm.hubspot.schema import Schema
from connector.crm.hubspot.subscriptions import Subscriptions
from connector.crm.hubspot.transport import Transport
from connector.crm.hubspot.webhooks import HubSpotWebhooks
from connector.crm.hubspot.writes import Writes
from connector.model import Change, Contact, Delivery, Item, Statement


class HubSpot:
    """One HubSpot portal. `crm.base.Crm` states what each method promises. For any number of threads and forks."""

    name = "hubspot"

    def __init__(
        self,
        base_url: str,
        access_token: str,
        portal_id: int,
        limiter: Limiter,
        webhooks: HubSpotWebhooks,
        *,
        version: str = paths.V3,
        statuses_per_read: int = 100,
        deadline: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """limiter: from `limits.make_limiter`. statuses_per_read: where one call reads many. deadline: seconds one HTTP call
        may take with all waiting and retrying.
        """
        transport = Transport(base_url, access_token, limiter, version=version, deadline=deadline, sleep=sleep, clock=clock)
        records = Records(transport)
        self._transport = transport
        self._webhooks = webhooks
        self._schema = Schema(transport, portal_id)
        self._contacts = Contacts(transport, records, self._schema.definition)
        self._writes = Writes(transport, records)
        self._subscriptions = Subscriptions(transport, clock, statuses_per_read)
        self._events = Events(transport, portal_id)

    @property
    def calls(self) -> int:
        """See Crm."""
        return self._transport.calls

    def check_portal(self) -> None:
        """Raises ConfigError, naming both, when the token belongs to another portal. To be called before anything else."""
        self._schema.check_portal()

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Crm."""
        self._webhooks.authenticate(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Crm."""
        return self._webhooks.split(delivery)

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Crm."""
        return self._webhooks.read_item(body, meta)

    def read(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Contact]:
        """See Crm."""
        return self._contacts.read(ids, properties)

    def find(self, key: str, values: Sequence[str], properties: Sequence[str]) -> dict[str, list[Contact]]:
        """See Crm."""
        return self._contacts.find(key, values, properties)

    def upsert(self, key: str, rows: Sequence[Write], properties: Sequence[str]) -> list[Outcome]:
        """See Crm."""
        return self._writes.upsert(key, rows, properties)

    def update(self, rows: Sequence[Write], properties: Sequence[str]) -> list[Outcome]:
        """See Crm."""
        return self._writes.update(rows, properties)

    def archive(self, ids: Sequence[str]) -> None:
        """See Crm."""
        self._contacts.archive(ids)

    def erase(self, contact_id: str) -> None:
        """See Crm."""
        self._contacts.erase(contact_id)

    def changed_at(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, datetime]]:
        """See Crm."""
        return self._contacts.changed_at(ids, properties)

    def changed_since(self, since: datetime, properties: Sequence[str]) -> Iterator[list[Contact]]:
        """See Crm."""
        return self._contacts.changed_since(since, properties)

    def portal_id(self) -> int:
        """See Crm."""
        return self._schema.portal_id()

    def properties(self) -> dict[str, Property]:
        """See Crm."""
        return self._schema.properties()

    def find_property(self, name: str) -> Property | None:
        """See Crm."""
        return self._schema.find_property(name)

    def create_group(self, name: str, label: str) -> None:
        """See Crm."""
        self._schema.create_group(name, label)

    def create_property(self, new: NewProperty) -> None:
        """See Crm."""
        self._schema.create_property(new)

    def add_options(self, name: str, options: Mapping[str, str]) -> None:
        """See Crm."""
        self._schema.add_options(name, options)

    def subscription_types(self) -> dict[str, str]:
        """See Crm."""
        return self._subscriptions.types()

    def statuses(self, emails: Sequence[str]) -> dict[str, dict[str, Statement]]:
        """See Crm."""
        return self._subscriptions.statuses(emails)

    @property
    def statuses_per_read(self) -> int:
        """See Crm."""
        return self._subscriptions.statuses_per_read

    @property
    def optouts_apart(self) -> bool:
        """See Crm."""
        return self._subscriptions.optouts_apart

    def opted_out_of_all(self, emails: Sequence[str]) -> dict[str, datetime | None]:
        """See Crm."""
        return self._subscriptions.opted_out_of_all(emails)

    def write_statuses(self, rows: Sequence[StatusWrite], still: Still = all_of_them) -> list[StatusOutcome]:
        """See Crm."""
        return self._subscriptions.write(rows, still)

    def record_events(self, schema: EventSchema, rows: Sequence[EventRecord]) -> list[EventOutcome]:
        """See Crm."""
        return self._events.record(schema, rows)

    def find_events(self, schema: EventSchema, keys: Sequence[str]) -> list[str]:
        """See Crm."""
        return self._events.find(schema, keys)

    def remove_events(self, schema: EventSchema, record_ids: Sequence[str]) -> None:
        """See Crm."""
        self._events.remove(schema, record_ids)

    def event_schema(self, schema: EventSchema) -> EventType | None:
        """See Crm."""
        return self._events.look(schema)

    def create_event_schema(self, schema: EventSchema, details: Sequence[str]) -> None:
        """See Crm."""
        self._events.create(schema, details)

    def access(self) -> Access:
        """See Crm."""
        return access.access(self._transport, self._subscriptions)
