"""Events for whatever speaks Segment's HTTP tracking API.

Facts this file rests on (Segment, "HTTP API Source" and "Spec", read 2026-11):
- POST /v1/batch takes {"batch": [message ...]}; Basic authentication with the write key as user and no password;
- a batch has at most 500 KB and 2,500 messages, a message at most 32 KB: beyond that the answer is 400;
- `messageId`, of fewer than 100 characters, makes a repeat recognisable; `userId` is required; a track has an `event`;
- answers are 200 as soon as the JSON can be read: what is made of a message is not told.

An account that was made or edited is told by an `identify` before its `track`; everything else is a `track` alone.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from connector.crm.base import EventOutcome, EventRecord
from connector.errors import Paused, Permanent, Rejected, Transient
from connector.providers.http import Rest

MOST_BYTES = 450_000
MOST_MESSAGE_BYTES = 32_000
LONGEST_KEY = 90
"""Characters of an event's id in a messageId; a longer one is told by its digest."""
CUT = 200
"""Characters that are left of each text when a message is too large."""
UNREADABLE = (400, 413, 422)
"""The sink does not take this batch: one of its messages is to blame, or the sink, when it takes none of them."""
PATIENCE = 3600.0
"""Seconds that a sink may refuse everything until an event is given up all the same; one in each such time."""
SEARCHING = 60.0
"""Seconds to look for the events that are to blame; the rest waits."""
IDENTIFYING = ("user.created", "user.updated")


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event's messages, and how large they are on the wire."""

    ref: str
    messages: list[dict[str, Any]]
    size: int


class Segment:
    """One address with one write key. `base.Sink` states what each method promises."""

    def __init__(
        self, url: str, write_key: str, providers: frozenset[str], session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._refusing_since: float | None = None
        self.name = sink_name(url, write_key)
        self.providers = providers
        self._rest = Rest(self.name, url, HTTPBasicAuth(write_key.encode(), b""), session, setting="events.forward.url")

    def send(self, events: Sequence[EventRecord]) -> list[EventOutcome]:
        """See Sink."""
        parcels = [_parcel(event) for event in events]
        large = [_refused(one.ref, f"larger than {MOST_MESSAGE_BYTES} bytes") for one in parcels if _too_large(one)]
        told: list[EventOutcome] = []
        until = self._clock() + SEARCHING
        for batch in _batches([one for one in parcels if not _too_large(one)]):
            told += self._deliver(batch, until, first=not told)
        return [*large, *self._judged(told)]

    def remove(self, record_ids: Sequence[str]) -> None:
        """Nothing can be taken back here."""

    def _judged(self, told: list[EventOutcome]) -> list[EventOutcome]:
        """A refusal is the event's fault once the sink takes another one. While it refuses all of several, it is the sink's.

        From then on a lone event tries whether it still does, and is not to blame for that, for as long as PATIENCE lasts.
        """
        refused = [one for one in told if isinstance(one.error, Permanent)]
        if any(one.error is None for one in told):
            self._refusing_since = None
        elif refused and (len(told) > 1 or self._refusing_since is not None):
            if self._refusing_since is None:
                self._refusing_since = self._clock()
            if len(told) > 1 or self._clock() - self._refusing_since < PATIENCE:
                error = Paused(f"{self.name}: it refuses every event: is the url under events.forward right?")
                return [replace(one, error=error) if one in refused else one for one in told]
            self._refusing_since = self._clock()
        return told

    def _deliver(self, batch: list[Parcel], until: float, first: bool) -> list[EventOutcome]:
        """What became of a batch. Raises what is wrong with the sink while that is the first word of it."""
        try:
            if self._accepts(batch):
                return [EventOutcome(one.ref) for one in batch]
        except Transient as error:
            if first:
                raise
            return [EventOutcome(one.ref, error=error) for one in batch]
        if len(batch) == 1:
            return [_refused(batch[0].ref, "the sink does not accept it")]
        if self._clock() >= until:
            paused = Paused(f"{self.name}: it takes long to find the events it refuses")
            return [EventOutcome(one.ref, error=paused) for one in batch]
        half = len(batch) // 2
        told = self._deliver(batch[:half], until, first)
        return told + self._deliver(batch[half:], until, first=False)

    def _accepts(self, batch: list[Parcel]) -> bool:
        """Whether the sink takes a batch as a whole. Raises Transient."""
        what = f"send {len(batch)} events"
        body = {"batch": [message for one in batch for message in one.messages], "sentAt": _iso(datetime.now(UTC))}
        try:
            return self._rest.call(what, "POST", "/v1/batch", body=body, accept=UNREADABLE).status_code not in UNREADABLE
        except Permanent as error:  # the address is wrong, not the events
            raise Paused(f"{error}: is the url under events.forward right?") from None


def sink_name(url: str, write_key: str) -> str:
    """The sink's name in the database: another address or key is another sink."""
    return f"segment:{hashlib.sha256((url + write_key).encode()).hexdigest()[:12]}"


def _parcel(event: EventRecord) -> Parcel:
    """An event's messages; texts are cut when one of them is too large."""
    parcel = _packed(event, event.details)
    if not _too_large(parcel):
        return parcel
    return _packed(event, {name: value[:CUT] if isinstance(value, str) else value for name, value in event.details.items()})


def _packed(event: EventRecord, details: Any) -> Parcel:
    key = event.key if len(event.key) <= LONGEST_KEY else f"sha256:{hashlib.sha256(event.key.encode()).hexdigest()}"
    about = {**details, "provider": event.provider} | ({"entry_point": event.entry_point} if event.entry_point else {})
    common = {"userId": f"{event.provider}:{event.user_id}", "timestamp": _iso(event.occurred_at)}
    messages = [{"type": "track", "messageId": key, "event": event.kind, "properties": about, **common}]
    if event.kind in IDENTIFYING:
        messages.insert(0, {"type": "identify", "messageId": f"{key}:identify", "traits": about, **common})
    return Parcel(event.ref, messages, max(len(json.dumps(one)) for one in messages))


def _too_large(parcel: Parcel) -> bool:
    return parcel.size > MOST_MESSAGE_BYTES


def _batches(parcels: Sequence[Parcel]) -> list[list[Parcel]]:
    """Parcels in order, in as few requests as the limit on their size allows."""
    batches: list[list[Parcel]] = []
    room = 0
    for one in parcels:
        size = (one.size + 2) * len(one.messages)
        if size > room:
            batches.append([])
            room = MOST_BYTES
        batches[-1].append(one)
        room -= size
    return batches


def _refused(ref: str, why: str) -> EventOutcome:
    return EventOutcome(ref, error=Rejected(why))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
