"""What the portal tells about its contacts, in HubSpot's shapes, to those who subscribed.

Facts (HubSpot API, "Webhooks"; captured payloads):
- events carry ids and single values, never a whole contact or its email;
- `changeFlag` of a creation is NEW or CREATED; `eventId` is not promised to be unique;
- a merge is told as deletions of both contacts and, a moment later, as a merge event without `objectId`; what it moved
  between properties is not told;
- a privacy deletion is told as a deletion too; opting out of email is told by no property event.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from connector.sandbox import signing
from connector.sandbox.courier import Courier, Event

MERGE_DELAY = 0.05
"""Seconds between the deletions of a merge and its own event."""
NEVER_TOLD = ("num_unique_conversion_events",)


@dataclass(frozen=True, slots=True)
class Source:
    """Who changes something: as the property history and as webhooks name it."""

    kind: str
    id: str
    label: str = ""


UI = Source("CRM_UI", "userId:123", "Ada Admin")


class Listener:
    """Is told what happens to records. This one tells nobody. at: epoch milliseconds."""

    def created(self, record_id: int, at: int, source: Source, changes: Mapping[str, str]) -> None:
        """A new record, with its values."""

    def changed(self, record_id: int, at: int, source: Source, changes: Mapping[str, str]) -> None:
        """Values that are now others."""

    def deleted(self, record_ids: Iterable[int], at: int, source: Source) -> None:
        """Records that were archived."""

    def erased(self, record_id: int, at: int, source: Source) -> None:
        """A record deleted for good."""

    def restored(self, record_id: int, at: int, source: Source) -> None:
        """A record brought back from the recycle bin."""


class Events(Listener):
    """Makes events and hands them to the courier. subscribed: properties whose changes are told; None tells all."""

    def __init__(self, courier: Courier, portal_id: int, app_id: int, subscribed: Collection[str] | None = None) -> None:
        self.subscribed = subscribed
        self._courier = courier
        self._portal_id = portal_id
        self._app_id = app_id
        self._numbers = itertools.count(3_100_000_001)

    def created(self, record_id: int, at: int, source: Source, changes: Mapping[str, str]) -> None:
        """A new contact, and a property event for each value it came with. at: epoch milliseconds."""
        first = self._event("contact.creation", at, source, record_id)
        first["changeFlag"] = "NEW" if record_id // 50 % 2 else "CREATED"
        self._courier.send([first, *self._property_events(first, changes)])

    def changed(self, record_id: int, at: int, source: Source, changes: Mapping[str, str]) -> None:
        """Values that are now others. One change, so one event id for all of them."""
        self._courier.send(list(self._property_events(self._event("", at, source, record_id), changes)))

    def deleted(self, record_ids: Iterable[int], at: int, source: Source) -> None:
        """Contacts that were archived, merged away or erased."""
        events = [self._event("contact.deletion", at, source, one) for one in record_ids]
        self._courier.send([{**one, "changeFlag": "DELETED"} for one in events])

    def erased(self, record_id: int, at: int, source: Source) -> None:
        """A contact deleted for privacy."""
        self._courier.send([{**self._event("contact.privacyDeletion", at, source, record_id), "changeFlag": "DELETED"}])
        self.deleted([record_id], at, source)

    def restored(self, record_id: int, at: int, source: Source) -> None:
        """A contact brought back from the recycle bin."""
        self._courier.send([{**self._event("contact.restore", at, source, record_id), "changeFlag": "RESTORED"}])

    def merged(self, primary: int, others: Sequence[int], survivor: int, moved: int, at: int, source: Source) -> None:
        """Contacts that became one, under a new id. moved: how many properties changed by it."""
        self.deleted([*others, primary], at, source)
        event = self._event("contact.merge", at, source)
        event |= {"primaryObjectId": primary, "mergedObjectIds": list(others), "newObjectId": survivor}
        self._courier.send([event | {"numberOfPropertiesMoved": moved}], after=MERGE_DELAY)

    def _property_events(self, model: Event, changes: Mapping[str, str]) -> Iterable[Event]:
        for name, value in changes.items():
            if name not in NEVER_TOLD and (self.subscribed is None or name in self.subscribed):
                event = {**model, "subscriptionType": "contact.propertyChange", "propertyName": name, "propertyValue": value}
                event.pop("changeFlag", None)
                yield event

    def _event(self, kind: str, at: int, source: Source, record_id: int | None = None) -> Event:
        event: Event = {
            "eventId": next(self._numbers), "subscriptionId": 2_000_000 + len(kind), "portalId": self._portal_id,
            "appId": self._app_id, "occurredAt": at, "subscriptionType": kind, "attemptNumber": 0,
            "changeSource": source.kind, "sourceId": source.id,
        }  # fmt: skip
        return event if record_id is None else {**event, "objectId": record_id}


class Signer:
    """Packs events into signed deliveries. version: v3, v1, or both. clock: epoch seconds."""

    def __init__(self, secret: str, version: str, clock: Callable[[], float]) -> None:
        self.secret = secret
        self.version = version
        self._clock = clock

    def pack(self, url: str, events: Collection[Event], attempt: int) -> tuple[bytes, Mapping[str, str]]:
        """See `courier.Pack`."""
        body = orjson.dumps([{**event, "attemptNumber": attempt} for event in events])
        headers = {"Content-Type": "application/json", "User-Agent": "HubSpot Connect 2.0"}
        if self.version in ("v1", "both"):
            headers |= signing.hubspot_v1(self.secret, body)
        if self.version in ("v3", "both"):
            headers |= signing.hubspot_v3(self.secret, url, body, self._clock())
        return body, headers
