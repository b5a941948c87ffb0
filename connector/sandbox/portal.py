"""A HubSpot portal in memory: its API on `app`, and methods that act as a person in HubSpot would.

    portal = Portal(token="T", webhook_url="http://127.0.0.1:8000/webhooks/hubspot")
    portal.add_property("members_user_id", unique=True)
    with serve(portal.app) as server:
        ...
"""

import random
import time
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any

from starlette.applications import Starlette

from connector.sandbox import standard
from connector.sandbox.batches import Batches
from connector.sandbox.contacts import Contacts
from connector.sandbox.courier import Courier, Event, Pace
from connector.sandbox.definitions import Account, Definitions
from connector.sandbox.events import UI, Events, Signer, Source
from connector.sandbox.faults import Answer, Faults
from connector.sandbox.gate import Call, Calls
from connector.sandbox.limits import Limits
from connector.sandbox.portal_app import make_app
from connector.sandbox.records import EMAIL, Record, Records
from connector.sandbox.replies import not_found
from connector.sandbox.schema import Property, Schema

__all__ = ["Answer", "Faults", "Portal"]

APP_ID = 9_318_066
SCOPES = (
    "oauth", "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
)  # fmt: skip


class Portal:
    """One portal. For any number of threads.

    faults: see `faults.Faults`; may be changed at any time. clock: epoch seconds. seed: of everything left to chance.
    signature: v3, v1 or both. scopes: what the token may do. pace: of webhooks.
    What a person does through the methods here is not an API call: not counted, not limited, told by webhooks.
    They raise `replies.Refusal` where HubSpot would not let the person.
    """

    def __init__(
        self,
        token: str = "sandbox-token",  # noqa: S107
        portal_id: int = 12345678,
        client_secret: str = "sandbox-secret",  # noqa: S107
        webhook_url: str | None = None,
        faults: Faults | None = None,
        seed: int = 0,
        *,
        signature: str = "v3",
        scopes: Collection[str] = SCOPES,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.token = token
        self.portal_id = portal_id
        self.faults = faults or Faults()
        self.scopes = set(scopes)
        self.schema = Schema(standard.properties())
        self.signer = Signer(client_secret, signature, clock)
        self.courier = Courier(self.signer.pack, lambda: self.faults, webhook_url, pace or Pace(), seed)
        self.records = Records(self.schema, lambda: self.faults, Events(self.courier, portal_id, APP_ID), clock)
        self.limits = Limits(lambda: self.faults, clock)
        self.called = Calls()
        source = Source("INTEGRATION", str(APP_ID))
        self.contacts_api = Contacts(self.records, self.schema, source)
        self.batches_api = Batches(self.contacts_api, self.schema, lambda: self.faults, source, random.Random(seed))  # noqa: S311
        self.definitions_api = Definitions(self.schema)
        self.account_api = Account(portal_id, APP_ID, self.scopes, self.limits, clock)

    @cached_property
    def app(self) -> Starlette:
        """The portal over HTTP."""
        return make_app(self)

    # counting

    @property
    def calls(self) -> list[Call]:
        """API calls so far: method, path template, status."""
        return self.called.listed()

    def count(self, prefix: str = "", writes_only: bool = False) -> int:
        """API calls whose path template starts with `prefix`; writes_only: those meant to change something."""
        return self.called.count(prefix, writes_only)

    # webhooks

    @property
    def webhook_url(self) -> str | None:
        """Where webhooks go; None keeps them here. May be set at any time."""
        return self.courier.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.courier.url = url

    @property
    def events(self) -> list[Event]:
        """Events so far, whether or not anybody was told."""
        return list(self.courier.events)

    def webhooks_pending(self) -> int:
        """Events not delivered yet, and not given up."""
        return self.courier.pending()

    def flush_webhooks(self, timeout: float = 10.0) -> bool:
        """Wait until nothing is pending. False when the time (seconds) is up first."""
        return self.courier.flush(timeout)

    # what a person does

    def add_property(
        self,
        name: str,
        type: str = "string",
        field_type: str = "text",
        *,
        options: Mapping[str, str] | Collection[str] = (),
        unique: bool = False,
        read_only: bool = False,
        label: str = "",
    ) -> None:
        """Make a contact property. options: value -> label, or values alone. One that exists is replaced."""
        given = dict(options) if isinstance(options, Mapping) else {one: one for one in options}
        if type == "bool":
            given, field_type = dict(standard.YES_NO), "booleancheckbox"
        new = Property(name, type, field_type, label or name, options=given, unique=unique, read_only=read_only)
        with self.records.lock:
            self.schema.add(new, replace=True)

    def create(self, properties: Mapping[str, Any]) -> str:
        """Make a contact. Returns its id."""
        with self.records.lock:
            return str(self.records.create(self.records.prepare(properties, None, hand=True), UI).id)

    def edit(self, contact_id: str | int, properties: Mapping[str, Any]) -> None:
        """Change a contact; "" clears. Also what only HubSpot itself writes, such as hs_email_optout."""
        with self.records.lock:
            record = self._live(contact_id)
            self.records.update(record, self.records.prepare(properties, record, hand=True), UI)

    def delete(self, contact_id: str | int) -> None:
        """Put a contact into the recycle bin."""
        with self.records.lock:
            self.records.archive(self._live(contact_id), UI)

    def restore(self, contact_id: str | int) -> None:
        """Bring a contact back from the recycle bin."""
        with self.records.lock:
            record = self.records.get(contact_id, archived=True)
            if record is None:
                raise not_found([str(contact_id)])
            self.records.restore(record, UI)

    def merge(self, primary: str | int, other: str | int) -> str:
        """Merge two contacts. Returns the new id."""
        with self.records.lock:
            return str(self.records.merge(self._live(primary), self._live(other), UI).id)

    def gdpr_delete(self, contact_id: str | int) -> None:
        """Delete a contact for good."""
        with self.records.lock:
            self.records.erase(self.records.any_state(contact_id), UI)

    # what a person sees

    def contacts(self, archived: bool = False) -> list[dict[str, str]]:
        """All contacts: `id` and every property that has a value."""
        with self.records.lock:
            return [_seen(one) for one in self.records.all(archived)]

    def contact(self, id_or_email: str | int) -> dict[str, str] | None:
        """One contact, by id (or one it absorbed) or by any of its addresses; None when there is none."""
        with self.records.lock:
            found = self.records.get(id_or_email) or self.records.find(EMAIL, str(id_or_email))
            return _seen(found) if found else None

    def by(self, name: str, value: str) -> list[dict[str, str]]:
        """Contacts whose property has exactly this value."""
        return [one for one in self.contacts() if one.get(name, "") == value]

    def _live(self, id_or_email: str | int) -> Record:
        found = self.records.get(id_or_email) or self.records.find(EMAIL, str(id_or_email))
        if found is None:
            raise not_found([str(id_or_email)])
        return found


def _seen(record: Record) -> dict[str, str]:
    return {"id": str(record.id), **{name: value for name, value in record.properties.items() if value}}
