"""How calls about many things at once are answered: results and errors, row by row.

Facts (HubSpot API, "Error handling"): the envelope is `status, results, startedAt, completedAt`, with `numErrors` and `errors`
when rows failed, and 207 then; results come in no promised order.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from connector.sandbox.faults import Faults
from connector.sandbox.replies import Refusal, bad_request
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told

MOST = 100
TRACE = "objectWriteTraceId"

Row = Mapping[str, Any]
Shown = dict[str, Any]
Write = Callable[[], Shown]
Plan = Callable[[Row], Write]
"""Checks one row and raises Refusal, or gives what would write it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the rows."""

    results: list[Shown] = field(default_factory=list)
    errors: list[Shown] = field(default_factory=list)


class Answers:
    """Makes the answers, and what faults make of them. clock: epoch seconds."""

    def __init__(self, faults: Callable[[], Faults], clock: Callable[[], float], shuffle: random.Random) -> None:
        self._faults = faults
        self._clock = clock
        self._shuffle = shuffle

    def each(self, rows: Sequence[Row], plan: Plan) -> Done:
        """Write row by row; what is refused becomes an error of its row, unless one bad row spoils the batch."""
        if self._faults().whole_batch:
            for row in rows:
                plan(row)
        done = Done()
        for row in rows:
            try:
                result = plan(row)()
            except Refusal as refused:
                done.errors.append(self.error(refused, row))
                continue
            if row.get(TRACE) and self._faults().trace_ids:
                result[TRACE] = row[TRACE]
            done.results.append(result)
        return done

    def error(self, refused: Refusal, row: Row) -> Shown:
        """A refusal as one of the errors."""
        error = {**refused.told(self._faults().localised), "id": str(uuid4())}
        error.setdefault("context", {})
        if row.get(TRACE) and self._faults().trace_ids:
            error["context"] = {**error["context"], TRACE: [row[TRACE]]}
        return error

    def wrote(self, done: Done, status: int = 200) -> Told:
        """The answer to a write."""
        return self.told(Done([], done.errors) if self._faults().results_empty else done, status)

    def found(self, results: list[Shown], errors: Sequence[Refusal] = ()) -> Told:
        """The answer to a read of many."""
        if self._faults().reads_empty:
            return self.told(Done())
        return self.told(Done(results, [one.told(self._faults().localised) for one in errors]))

    def told(self, done: Done, status: int = 200) -> Told:
        """The envelope."""
        now, results = iso(int(self._clock() * 1000)), done.results
        if self._faults().shuffle_results:
            self._shuffle.shuffle(results)
        body: Shown = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if done.errors:
            body |= {"numErrors": len(done.errors), "errors": done.errors}
        return Told(body, 207 if done.errors else status)


def rows_of(asked: Asked, most: int = MOST) -> list[Row]:
    """The rows of a request. Raises Refusal."""
    rows = asked.body.get("inputs")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise bad_request("Invalid input JSON: inputs must be a list of objects, and not empty")
    _count(rows, most)
    return rows


def texts_of(asked: Asked, most: int = MOST) -> list[str]:
    """The rows of a request whose rows are texts. Raises Refusal."""
    rows = asked.body.get("inputs")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, str) for row in rows):
        raise bad_request("Invalid input JSON: inputs must be a list of texts, and not empty")
    _count(rows, most)
    return rows


def _count(rows: Sequence[object], most: int) -> None:
    if len(rows) > most:
        raise bad_request(f"The maximum number of inputs supported in a batch request is {most}, found {len(rows)} inputs")
