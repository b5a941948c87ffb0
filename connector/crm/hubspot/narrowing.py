"""One batch call, repeated on fewer rows until each row has an answer of its own.

A batch is sent once. Rows that its answer leaves open go out again without the refused ones; when nobody says which rows are
to blame, by halves; and rows that a 2xx says nothing of are looked up. `writes` does the same for contacts, where conflicts
over emails make it a longer story.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from connector.crm.hubspot import answers
from connector.crm.hubspot.answers import Reply
from connector.errors import ConnectorError, Transient, Unavailable

MOST_SENDS = 64
"""Calls one batch may cost: enough for four bad rows of a hundred that nobody names."""

Fault = Mapping[str, Any]


class Row(Protocol):
    """Anything with a name of its own."""

    @property
    def ref(self) -> str:
        """Unique within the batch."""


R = TypeVar("R", bound=Row)
O = TypeVar("O")  # noqa: E741 - an outcome


@dataclass(slots=True)
class Told(Generic[R, O]):
    """An answer, by row.

    done: what is known, by ref. open: rows it does not settle. faults: errors that could not be given to a row.
    """

    done: dict[str, O] = field(default_factory=dict)
    open: list[R] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def settle(self, ref: str, outcome: O) -> None:
        """A row has its answer."""
        self.open = [row for row in self.open if row.ref != ref]
        self.done[ref] = outcome


@dataclass(frozen=True, slots=True)
class Steps(Generic[R, O]):
    """How one kind of batch is sent and read. what: names the call in messages.

    send: one call, with refusals returned. tell: its answer by row. refuse: the outcome of a row from the fault it gets.
    fail: the outcome of a row nobody knows about. look: the outcomes of rows that a 2xx says nothing of, by ref; a row left
    out of it failed. send and look may raise Transient.
    """

    what: str
    send: Callable[[Sequence[R]], Reply]
    tell: Callable[[Sequence[R], Reply], Told[R, O]]
    refuse: Callable[[R, Fault, Reply], O]
    fail: Callable[[R, Transient], O]
    look: Callable[[Sequence[R], Reply], Mapping[str, O]]


def faults(reply: Reply) -> list[Fault]:
    """The errors of an answer: those it lists, or itself when it is a refusal."""
    body = reply.body or {}
    if not reply.ok:
        return [{**body, "status": reply.status}]
    return [one for one in body.get("errors") or [] if isinstance(one, dict)]


def raise_failures(what: str, reply: Reply) -> None:
    """Raises Transient when HubSpot failed at some row; a row that is not there is no failure."""
    for fault in faults(reply):
        problem = answers.row_error(f"hubspot: {what}:", fault)
        if isinstance(problem, Transient):
            raise problem


def values(fault: Fault) -> set[str]:
    """Every value in the context of an error, or of the errors inside it, in lower case. Which one names a row is documented
    for few calls."""
    inner = [one for one in fault.get("errors") or [] if isinstance(one, dict)]
    found: list[Any] = []
    for one in (fault, *inner):
        context = one.get("context")
        for value in context.values() if isinstance(context, dict) else ():
            found += value if isinstance(value, list) else [value]
    return {str(one).strip().lower() for one in found}


def settle(steps: Steps[R, O], rows: Sequence[R]) -> dict[str, O]:
    """The outcome of every row, by ref. Raises Transient when nothing is known of any."""
    job = _Job(steps)
    if rows:
        job.send(rows)
    return job.done


class _Job(Generic[R, O]):
    def __init__(self, steps: Steps[R, O]) -> None:
        self.done: dict[str, O] = {}
        self._steps = steps
        self._sends = 0

    def send(self, rows: Sequence[R]) -> None:
        """One call, and what it takes to settle the rows that its answer leaves open."""
        if self._sends >= MOST_SENDS:
            self._fail(rows, Unavailable(f"hubspot: {self._steps.what}: too many rows of one batch refused, left for the next"))
            return
        self._sends += 1
        try:
            reply = self._steps.send(rows)
            told = self._steps.tell(rows, reply)
        except Transient as error:
            if self._sends == 1:
                raise
            self._fail(rows, error)
            return
        self.done |= told.done
        if told.open:
            self._go_on(told, reply)

    def _go_on(self, told: Told[R, O], reply: Reply) -> None:
        if told.faults and len(told.open) == 1:
            row = told.open[0]
            self.done[row.ref] = self._steps.refuse(row, told.faults[0], reply)
        elif told.faults:
            half = len(told.open) // 2
            self.send(told.open[:half])
            self.send(told.open[half:])
        elif reply.ok:
            self._look(told.open, reply)
        else:  # refused as a whole, and the rows to blame are known now
            self.send(told.open)

    def _look(self, rows: Sequence[R], reply: Reply) -> None:
        unknown = Unavailable(f"hubspot: {self._steps.what}: accepted, but not read back")
        try:
            self.done |= self._steps.look(rows, reply)
        except ConnectorError as error:  # it may not even let us look
            unknown.retry_in = getattr(error, "retry_in", 0.0)
        self._fail([row for row in rows if row.ref not in self.done], unknown)

    def _fail(self, rows: Sequence[R], error: Transient) -> None:
        self.done |= {row.ref: self._steps.fail(row, error) for row in rows}
