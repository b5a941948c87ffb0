"""Sending the events of one sink: one sender at a time, what is sent is put down first, what fails alone delays nobody else.

A call that fails as a whole says nothing about its events: they are tried one by one, and more of them at a time as long as that
works. An event that fails alone is under suspicion until another one gets through; when another one fails, too, it was the sink.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from connector.crm.base import BATCH, EVENTS, EventOutcome, EventRecord
from connector.errors import ConnectorError, Denied, Missing, Paused, Permanent, Transient, Unavailable
from connector.model import LinkState
from connector.sinks import Sink
from connector.store import Tx
from connector.store.activities import Activity, Result
from connector.store.removals import Made, Removal
from connector.store.troubles import Trouble
from connector.sync.work import Work

LEASE = timedelta(seconds=120)
"""How long a sender has the sink to itself; renewed before each call."""

WORKING = 20.0
"""Seconds after which a sender lets others have a turn."""

GONE_FOR = 30.0
"""Seconds before an event is tried again whose contact was not there: its link finds out why."""

AFTER_OTHERS = 120.0
"""Seconds by which an event goes later than others that wait for the same pause to end: of two that fail for ever, neither keeps
the others from showing that the sink works. More than what lies between two sweeps."""

SHUT = 86_400.0
"""Seconds before a record is tried again that cannot be removed until a person grants a scope, or removes it by hand."""

LOCK = "activities:"

log = structlog.get_logger()


class Sender:
    """One sink's sender, for one round in one thread. `sent` counts what the sink took.

    goes_on: asked after each call whether what is left is worth another one; without it everything goes.
    """

    def __init__(self, work: Work, sink: Sink, goes_on: Callable[[], bool] = lambda: True) -> None:
        self._work = work
        self._sink = sink
        self._goes_on = goes_on
        self._calls = 0
        self._holder = f"{work.owner}/{threading.get_ident()}"
        self._until = time.monotonic() + WORKING
        self._most = EVENTS
        self.sent = 0

    def run(self) -> int:
        """Send until nothing more can go. Returns how many events the sink took. Raises Unavailable for the database."""
        while self._something():
            if time.monotonic() > self._until:
                self._work.ring()
                break
            if not self._locked():
                break
            self._rounds()
            with self._work.store.write() as tx:
                tx.runs.unlock(LOCK + self._sink.name, self._holder)
        return self.sent

    def _something(self) -> bool:
        if self._calls and not self._goes_on():
            return False
        with self._work.store.read() as tx:
            name, providers = self._sink.name, self._sink.providers
            over = tx.troubles.of(name).over(tx.now)
            return over and (tx.activities.ready(name, providers, 1)[0] > 0 or bool(tx.removals.due(name, providers, 1)))

    def _locked(self) -> bool:
        with self._work.store.write() as tx:
            trouble = tx.troubles.of(self._sink.name)
            self._most = 1 if trouble.failures or trouble.suspect else EVENTS
            return tx.runs.lock(LOCK + self._sink.name, self._holder, LEASE)

    def _rounds(self) -> None:
        while time.monotonic() < self._until and (not self._calls or self._goes_on()) and (rows := self._begin()):
            self._work.reached("activities sending")
            self._calls += 1
            told = self._call(rows)
            self._work.reached("activities sent")
            self._end(rows, told)
        while time.monotonic() < self._until and (records := self._orphans()):
            self._take_back(records)

    def _begin(self) -> list[Activity]:
        """Put down what is about to be sent."""
        sink = self._sink
        with self._work.store.write() as tx:
            if not tx.runs.extend(LOCK + sink.name, self._holder, LEASE) or not tx.troubles.of(sink.name).over(tx.now):
                return []
            return tx.activities.take(sink.name, sink.providers, self._most)

    def _call(self, rows: Sequence[Activity]) -> dict[int, EventOutcome]:
        """What became of each event. Whatever goes wrong, there is an outcome for every one."""
        try:
            told = {int(one.ref): one for one in self._sink.send([event_record(row) for row in rows])}
            error: Transient = Unavailable("no answer for this event")
        except Transient as raised:
            told, error = {}, raised
        except ConnectorError as raised:
            told, error = {}, Unavailable(str(raised))
        except SoftTimeLimitExceeded:  # about the task, not about the sink: the next sender asks what became of these
            raise
        except Exception as raised:  # our own mistake must not stop the other sinks
            log.error("activities.failed", sink=self._sink.name, error=type(raised).__name__)
            told, error = {}, Unavailable(f"unexpected {type(raised).__name__}")
        return {row.id: told.get(row.id) or EventOutcome(str(row.id), error=error) for row in rows}

    def _end(self, rows: Sequence[Activity], told: dict[int, EventOutcome]) -> None:
        """Record the outcomes, unless somebody else has the sink by now: then they are the other one's."""
        errors = [told[row.id].error for row in rows]
        with self._work.store.write() as tx:
            if not tx.runs.extend(LOCK + self._sink.name, self._holder, LEASE):
                log.warning("activities.fenced", sink=self._sink.name)
                return
            if not all(isinstance(error, Transient) for error in errors):
                self._judge(tx, rows, told)
            elif not any(isinstance(error, Paused) for error in errors):
                self._doubt(tx, rows, errors[0])
            if paused := next((error for error in errors if isinstance(error, Paused)), None):
                self._pause(tx, paused)
            self._work.reached("activities before commit")

    def _judge(self, tx: Tx, rows: Sequence[Activity], told: dict[int, EventOutcome]) -> None:
        """The sink works. Records made of events that were deleted meanwhile, of somebody who was erased, are taken back."""
        trouble = tx.troubles.of(self._sink.name)
        if trouble.suspect:
            tx.activities.blame(trouble.suspect, self._work.retries.attempts)
        if trouble != Trouble():
            tx.troubles.over(self._sink.name)
        self._most = min(self._most * 2, EVENTS)
        judged = [row for row in rows if not isinstance(told[row.id].error, Paused)]
        results = [self._result(tx, row, told[row.id]) for row in judged]
        deleted = tx.activities.record(results)
        self.sent += sum(one.state == "sent" for one in results)
        providers = {row.id: row.provider for row in judged}
        for one in results:
            if one.id in deleted and one.record_id:
                tx.removals.add(providers[one.id], [Made(self._sink.name, one.record_id)])

    def _result(self, tx: Tx, row: Activity, outcome: EventOutcome) -> Result:
        error = outcome.error
        if error is None:
            return Result(row.id, "sent", row.attempts, reason=outcome.note, record_id=outcome.record_id)
        if isinstance(error, Missing):
            tx.links.notice(row.link_id, {"reread": True}, tx.now)
            waited = (tx.now - row.noticed_at).total_seconds()
            return self._later(tx, row, str(error), max(GONE_FOR, min(waited, self._work.retries.longest)))
        attempts = row.attempts + 1
        if isinstance(error, Permanent) or attempts >= self._work.retries.attempts:
            log.warning("activity.refused", activity=row.id, provider=row.provider, sink=row.sink, why=str(error))
            return Result(row.id, "refused", attempts, reason=str(error))
        wait = getattr(error, "retry_in", 0.0) or self._backoff(row.attempts)
        return self._later(tx, replace(row, attempts=attempts), str(error), wait)

    def _later(self, tx: Tx, row: Activity, why: str, wait: float) -> Result:
        """It may have got through all the same: it stays `sending`."""
        return Result(row.id, "sending", row.attempts, tx.now + timedelta(seconds=wait), why)

    def _doubt(self, tx: Tx, rows: Sequence[Activity], error: ConnectorError | None) -> None:
        """Nothing got through. Of several events: try one. Of one: it is the event or the sink, another one will show."""
        assert isinstance(error, Transient)
        if len(rows) > 1:
            self._most = 1
            return
        row, trouble = rows[0], tx.troubles.of(self._sink.name)
        if trouble.suspect not in (0, row.id):
            until = self._pause(tx, error) + AFTER_OTHERS
            tx.activities.record([self._later(tx, row, str(error), until)])
            return
        tx.troubles.keep(self._sink.name, replace(trouble, suspect=row.id, failures=trouble.failures + 1))
        wait = error.retry_in or self._backoff(row.attempts + trouble.failures)
        tx.activities.record([self._later(tx, row, str(error), wait)])

    def _pause(self, tx: Tx, error: Transient) -> float:
        """The sink as a whole waits, longer each time. What was about to be sent stays put down as such. Returns the seconds."""
        trouble = tx.troubles.of(self._sink.name)
        wait = error.retry_in or self._backoff(trouble.failures)
        later = replace(trouble, failures=trouble.failures + 1, until=tx.now.timestamp() + wait)
        tx.troubles.keep(self._sink.name, later, str(error))
        log.warning("activities.paused", sink=self._sink.name, seconds=round(wait, 1), why=str(error))
        return wait

    def _backoff(self, failures: int) -> float:
        """Seconds: twice as long each time, within the configured bounds, with jitter."""
        retries = self._work.retries
        plain = min(retries.first * 2.0 ** min(failures, 30), retries.longest)
        return plain * (0.75 + 0.5 * random.random())  # noqa: S311 - spreads load, guards nothing

    def _orphans(self) -> list[Removal]:
        """Records to take back now, while the sink is ours."""
        sink = self._sink
        with self._work.store.read() as tx:
            if not tx.removals.due(sink.name, sink.providers, 1):
                return []
        with self._work.store.write() as tx:
            if not tx.runs.extend(LOCK + sink.name, self._holder, LEASE) or not tx.troubles.of(sink.name).over(tx.now):
                return []
            return tx.removals.due(sink.name, sink.providers, BATCH)

    def _take_back(self, records: Sequence[Removal]) -> None:
        """Have records removed. Several that are refused are tried one by one; when it is the sink, all wait.

        Nothing is given up: a record that is gone, by whatever way, counts as removed.
        """
        error = self._remove(records)
        if isinstance(error, Permanent) and len(records) > 1:
            for one in records:
                self._take_back([one])
            return
        with self._work.store.write() as tx:
            if error is None:
                tx.removals.done([one.id for one in records])
            elif isinstance(error, Permanent):
                tx.removals.postpone(records[0].id, tx.now + timedelta(seconds=SHUT), str(error))
            else:
                attempts = max(one.attempts for one in records)
                wait = SHUT if isinstance(error, Denied) else getattr(error, "retry_in", 0.0) or self._backoff(attempts)
                until = tx.now + timedelta(seconds=wait)
                tx.removals.postpone_due(self._sink.name, self._sink.providers, until, str(error))
        if error is not None and not any(one.attempts for one in records):  # said once
            ids = [one.record_id or one.key for one in records]
            log.warning("activities.orphans", sink=self._sink.name, records=ids, why=str(error))

    def _remove(self, records: Sequence[Removal]) -> ConnectorError | None:
        """What stood in the way."""
        try:
            ids = [one.record_id for one in records if one.record_id]
            self._sink.remove(ids + self._sink.find([one.key for one in records if one.key]))
        except ConnectorError as error:
            return error
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:  # our own mistake must not stop the other sinks
            return Unavailable(f"unexpected {type(error).__name__}")
        return None


def event_record(row: Activity) -> EventRecord:
    """An event as a sink takes it."""
    return EventRecord(
        ref=str(row.id),
        key=row.key or row.event_id,
        contact_id=row.contact_id,
        kind=row.kind,
        occurred_at=row.occurred_at,
        provider=row.provider,
        user_id=row.user_id,
        entry_point=row.entry_point,
        details=row.details,
        sent_before=row.sent_before,
        gone=row.link_state == LinkState.DELETED,
    )
