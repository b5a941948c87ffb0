"""A HubSpot portal in memory: its API on `app`, and methods that act as a person in HubSpot would.

Use:
    portal = Portal(token="T", webhook_url="http://127.0.0.1:8000/webhooks/hubspot")
    portal.add_property("members_user_id", unique=True)
    with serve(portal.app) as server:
        ...
"""

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any

from starlette.applications import Starlette

from connector.sandbox import standard
from connector.sandbox.answers import Answers
from connector.sandbox.contact_records import EMAIL, ContactRecords
from connector.sandbox.courier import Courier, Pace
from connector.sandbox.events import UI, Events, Signer, Source
from connector.sandbox.faults import Answer, Faults
from connector.sandbox.kinds import CONTACT
from connector.sandbox.limits import Limits
from connector.sandbox.object_hands import ObjectHands, Seen, seen
from connector.sandbox.object_types import ObjectTypes
from connector.sandbox.occurrences import Occurrences
from connector.sandbox.portal_app import make_app
from connector.sandbox.preference_hands import PreferenceHands
from connector.sandbox.records import Record
from connector.sandbox.replies import not_found
from connector.sandbox.schema import Property, Schema
from connector.sandbox.scopes import SCOPES
from connector.sandbox.side import Side
from connector.sandbox.subscriptions import Subscriptions
from connector.sandbox.switches import Switches

__all__ = ["Answer", "Faults", "Portal"]

APP_ID = 9_318_066


class Portal(Side, PreferenceHands, ObjectHands, Switches):
    """One portal. For any number of threads.

    faults: see `faults.Faults`; may be changed at any time. clock: epoch seconds. seed: of everything left to chance.
    signature: v3, v1 or both. scopes: what the token may do; `scopes` may be changed at any time. subscribed: properties whose
    changes webhooks tell; None for all that can be written. pace: of webhooks. switches: see `switches.Switches`.
    What a person does through the methods here is not an API call: not counted, not limited, told by webhooks.
    They raise `replies.Refusal` where HubSpot would not let the person. lock: held by every call, so that it is one step.
    """

    def __init__(
        self,
        token: str = "sandbox-token",
        portal_id: int = 12345678,
        client_secret: str = "sandbox-secret",
        webhook_url: str | None = None,
        faults: Faults | None = None,
        seed: int = 0,
        *,
        signature: str = "v3",
        scopes: Collection[str] = SCOPES,
        subscribed: Collection[str] | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
        **switches: Any,
    ) -> None:
        self.switch(**switches)
        self.signer = Signer(client_secret, signature, clock)
        super().__init__(Courier(self.signer.pack, lambda: self.faults, webhook_url, pace or Pace(), seed))
        self.token = token
        self.portal_id = portal_id
        self.faults = faults or Faults()
        self.scopes = set(scopes)
        self.clock = clock
        self.limits = Limits(lambda: self.faults, clock)
        self.source = Source("INTEGRATION", str(APP_ID))
        self.answers = Answers(lambda: self.faults, clock, random.Random(seed))
        self._make_contacts(subscribed)

    def _make_contacts(self, subscribed: Collection[str] | None) -> None:
        """What there is before anybody does anything."""
        self.lock = threading.RLock()
        self.schema = Schema(standard.properties(), standard.GROUPS)
        self.webhooks = Events(self.courier, self.portal_id, APP_ID, subscribed)
        self.subscriptions = Subscriptions(self.clock, self.refresh_optouts)
        self.records = ContactRecords(
            self.schema, lambda: self.faults, self.webhooks, self.clock, self.subscriptions.properties,
            self._merged,
        )  # fmt: skip
        self.object_types = ObjectTypes(self)
        self.occurrences = Occurrences(self.records, self.portal_id)
        self.add_default_subscription_types()

    def _merged(self, old: int, new: int) -> None:
        """What belonged to a contact belongs to the one it became."""
        self.object_types.links.move(CONTACT.id, old, new)
        self.occurrences.move(old, new)

    @cached_property
    def app(self) -> Starlette:
        """The portal over HTTP."""
        return make_app(self)

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
        with self.lock:
            self.schema.add(new, replace=True)

    def remove_property(self, name: str) -> None:
        """Put a property away, as an administrator may at any time."""
        with self.lock:
            self.schema.archive(name)

    def create(self, properties: Mapping[str, Any]) -> str:
        """Make a contact. Returns its id."""
        with self.lock:
            return str(self.records.create(self.records.prepare(properties, None, hand=True), UI).id)

    def edit(self, contact_id: str | int, properties: Mapping[str, Any]) -> None:
        """Change a contact; "" clears. Also what only HubSpot itself writes, such as hs_marketable_status."""
        with self.lock:
            record = self._live(contact_id)
            self.records.update(record, self.records.prepare(properties, record, hand=True), UI)

    def delete(self, contact_id: str | int) -> None:
        """Put a contact into the recycle bin."""
        with self.lock:
            self.records.archive(self._live(contact_id), UI)

    def restore(self, contact_id: str | int) -> None:
        """Bring a contact back from the recycle bin."""
        with self.lock:
            record = self.records.get(contact_id, archived=True)
            if record is None:
                raise not_found([str(contact_id)])
            self.records.restore(record, UI)

    def merge(self, primary: str | int, other: str | int) -> str:
        """Merge two contacts. Returns the new id."""
        with self.lock:
            return str(self.records.merge(self._live(primary), self._live(other), UI).id)

    def gdpr_delete(self, contact_id: str | int) -> None:
        """Delete a contact for good."""
        with self.lock:
            self.records.erase(self.records.find(EMAIL, str(contact_id)) or self.records.any_state(contact_id), UI)

    # what a person sees

    def contacts(self, archived: bool = False) -> list[Seen]:
        """All contacts: `id`, `archived`, and in `properties` every property that has a value."""
        with self.lock:
            return [seen(one) for one in self.records.all(archived)]

    def contact(self, id_or_email: str | int) -> Seen | None:
        """One contact, by id (or one it absorbed) or by any of its addresses; None when there is none."""
        with self.lock:
            found = self.records.get(id_or_email) or self.records.find(EMAIL, str(id_or_email))
            return seen(found) if found else None

    def by(self, name: str, value: str) -> list[Seen]:
        """Contacts whose property has exactly this value."""
        return [one for one in self.contacts() if one["properties"].get(name, "") == value]

    def _live(self, id_or_email: str | int) -> Record:
        found = self.records.get(id_or_email) or self.records.find(EMAIL, str(id_or_email))
        if found is None:
            raise not_found([str(id_or_email)])
        return found
