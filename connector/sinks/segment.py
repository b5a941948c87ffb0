"""Events for whatever speaks Segment's HTTP tracking API.

Facts this file rests on (Segment, "HTTP API Source" and "Spec", read 2026-11):
- POST /v1/batch takes {"batch": [message ...]}; Basic authentication with the write key as user and no password;
- a batch has at most 500 KB and 2,500 messages, a message at most 32 KB: beyond that the answer is 400;
- `messageId`, of fewer than 100 characters, makes a repeat recognisable; `userId` is required; a track has an `event`;
- answers are 200 as soon as the JSON can be read: what is made of a message is not told.

A `delete` is less well known. Segment's "Spec for Partners" (segment.com/docs/partners/spec, "Delete"; in segmentio/segment-docs
src/partners/spec.md; read 2026-11) lists it among the types of a message: {"type": "delete", "userId", "messageId", "timestamp"}.
- Segment itself makes it when a deletion is asked for in its app or Config API, and hands it to destinations (`onDelete` in a
  destination function, where the template answers "not supported"). Its tracking API does not document it: nothing is promised.
- Jitsu's batch route (jitsucom/bulker ingest/router_batch_handler.go) looks at no type and answers 200; its client's types
  (jitsucom/jitsu types/protocols/analytics.d.ts) have no `delete`. It cuts a `messageId` after 64 characters.
- RudderStack checks no types within a batch (rudderlabs/rudder-server gateway/validator/req_type_validator.go); users are deleted
  by its User Suppression API, with another token (rudderstack.com/docs/api/user-suppression-api).
So it is sent by itself, after the tracks were taken, and who refuses it is believed.

An account that was made or edited is told by an `identify` before its `track`; one that is gone for good by a `delete` after it;
everything else is a `track` alone. Where the mapping tells nobody that a user left, the `delete` comes alone.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import requests
import structlog
from requests.auth import HTTPBasicAuth

from connector.crm.base import EventOutcome, EventRecord
from connector.errors import Paused, Permanent, Rejected, Transient, Unavailable
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
LEAVING = "user.deleted"
BUSY = (408, 425, 429)
"""The sink cannot take anything right now."""
DELETES_REFUSED = frozenset({*range(400, 500), 501} - {*BUSY})
"""The sink does not take a `delete`: where it just took tracks, neither the address nor the key is wrong."""
DELETES_UNKNOWN = (400, 405, 413, 422, 501)
"""Those of them that cannot be about the address or the key."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event's messages, and how large they are on the wire."""

    ref: str
    messages: list[dict[str, Any]]
    size: int


class Segment:
    """One address with one write key. `base.Sink` states what each method promises."""

    def __init__(
        self, url: str, write_key: str, providers: frozenset[str], deleting: frozenset[str] = frozenset(),
        untold: frozenset[str] = frozenset(), session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """deleting: those of the providers whose users are deleted there when they are gone. untold: those of which no track
        says so.
        """
        self._deleting = deleting
        self._untold = untold
        self._clock = clock
        self._refusing_since: float | None = None
        self.name = sink_name(url, write_key)
        self.providers = providers
        self._rest = Rest(self.name, url, HTTPBasicAuth(write_key.encode(), b""), session, setting="events.forward.url")

    def send(self, events: Sequence[EventRecord]) -> list[EventOutcome]:
        """See Sink."""
        parcels = [_parcel(event) for event in events if not self._is_untold(event)]
        large = [_refused(one.ref, f"larger than {MOST_MESSAGE_BYTES} bytes") for one in parcels if _too_large(one)]
        told: list[EventOutcome] = []
        until = self._clock() + SEARCHING
        for batch in _batches([one for one in parcels if not _too_large(one)]):
            told += self._deliver(batch, until, first=not told)
        silent = [EventOutcome(event.ref) for event in events if self._is_untold(event)]
        sure = any(one.error is None for one in told)
        return [*large, *self._with_deletes(events, [*self._judged(told), *silent], until, sure)]

    def find(self, keys: Sequence[str]) -> list[str]:
        """See `remove`."""
        return []

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
        try:
            return self._post(f"send {len(batch)} events", batch, UNREADABLE) not in UNREADABLE
        except Permanent as error:  # the address is wrong, not the events
            raise Paused(f"{error}: is the url under events.forward right?") from None

    def _post(self, what: str, batch: list[Parcel], refusals: Collection[int]) -> int:
        body = {"batch": [message for one in batch for message in one.messages], "sentAt": _iso(datetime.now(UTC))}
        return self._rest.call(what, "POST", "/v1/batch", body=body, accept=refusals).status_code

    def _with_deletes(
        self, events: Sequence[EventRecord], told: list[EventOutcome], until: float, sure: bool
    ) -> list[EventOutcome]:
        """Once the sink took what tells that users are gone, delete them there. A refusal is not the event's: it is noted.

        A failure brings the event back, with the same ids, but not for ever: who fails on a delete twice, and takes the track
        each time, refuses it. Where there is no track, it is the event's failure. sure: the sink has just taken something.
        """
        taken = {one.ref for one in told if one.error is None}
        going = {one.ref: one for one in events if one.ref in taken and self._is_to_go(one)}
        found = self._delete([_delete(one) for one in going.values()], until, sure) if going else {}
        failed = {ref: error for ref, error in found.items() if self._comes_back(going[ref], error)}
        noted = {ref: f"no delete: {error}" for ref, error in found.items() if ref not in failed}
        for ref, why in noted.items():
            log.warning("activity.delete_refused", activity=ref, sink=self.name, why=why)
        return [replace(one, error=failed.get(one.ref, one.error), note=noted.get(one.ref)) for one in told]

    def _is_to_go(self, event: EventRecord) -> bool:
        return event.kind == LEAVING and event.gone and event.provider in self._deleting

    def _is_untold(self, event: EventRecord) -> bool:
        return event.kind == LEAVING and event.provider in self._untold

    def _comes_back(self, event: EventRecord, error: Permanent | Transient) -> bool:
        """Whether an event is sent once more because of its delete."""
        once_more = self._is_untold(event) or not event.sent_before
        return isinstance(error, Paused) or (isinstance(error, Transient) and once_more)

    def _delete(self, batch: list[Parcel], until: float, sure: bool) -> dict[str, Permanent | Transient]:
        """Whom the sink does not delete, and why."""
        error: Permanent | Transient = Rejected("the sink does not accept it")
        try:
            status = self._post(f"delete {len(batch)} users", batch, DELETES_REFUSED)
            if status not in DELETES_REFUSED:
                return {}
            if not sure and status not in DELETES_UNKNOWN:
                wrong = f"{self.name}: delete {len(batch)} users: {status}: are url and write_key under events.forward right?"
                return {one.ref: Unavailable(wrong) for one in batch}
        except (Permanent, Transient) as raised:
            error = raised
        if isinstance(error, Transient) or len(batch) == 1 or self._clock() >= until:
            return {one.ref: error for one in batch}
        half = len(batch) // 2
        return self._delete(batch[:half], until, sure) | self._delete(batch[half:], until, sure)


def sink_name(url: str, write_key: str) -> str:
    """The sink's name in the database: another address or key is another sink."""
    return f"segment:{hashlib.sha256((url + write_key).encode()).hexdigest()[:12]}"


def _parcel(event: EventRecord) -> Parcel:
    """An event's messages; texts are cut when one of them is too large."""
    parcel = _packed(event, event.details)
    if not _too_large(parcel):
        return parcel
    return _packed(event, {name: value[:CUT] if isinstance(value, str) else value for name, value in event.details.items()})


def _delete(event: EventRecord) -> Parcel:
    """What deletes an event's user."""
    message = {"type": "delete", "messageId": f"{_key(event)}:delete", **_common(event)}
    return Parcel(event.ref, [message], len(json.dumps(message)))


def _key(event: EventRecord) -> str:
    return event.key if len(event.key) <= LONGEST_KEY else f"sha256:{hashlib.sha256(event.key.encode()).hexdigest()}"


def _common(event: EventRecord) -> dict[str, str]:
    return {"userId": f"{event.provider}:{event.user_id}", "timestamp": _iso(event.occurred_at)}


def _packed(event: EventRecord, details: Any) -> Parcel:
    key, common = _key(event), _common(event)
    about = {**details, "provider": event.provider} | ({"entry_point": event.entry_point} if event.entry_point else {})
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
