"""What makes the ledger tamper-evident: digests of rows, a chain through them, its end, and the walk that checks all three."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from sqlalchemy import Row

from connector.store.keyed import Keyed

CONTENT = (
    "link_id", "provider", "subject", "purpose", "state", "occurred_at", "learnt_at", "source", "entry_point", "legal_basis",
    "text_version", "delivery",
)  # fmt: skip
"""The columns that say something."""

BLANKED = ("link_id", "source", "entry_point", "text_version", "delivery")
"""What an erasure takes away."""

EDITED = "edited"
"""In the place of the proof of an erasure: the row was edited before, and its content proves nothing."""

MOST = 100
"""Findings that are told one by one."""


def content_digest(keyed: Keyed, content: Mapping[str, Any]) -> str:
    """The digest of a row's content, as it comes back from the database."""
    return keyed.digest("consent", _told(content))


def link_digest(keyed: Keyed, before: str, digest: str) -> str:
    """What the chain says at a row, after what it says at the row before."""
    return keyed.digest("chain", before, digest)


def erased_digest(keyed: Keyed, row_id: int, digest: str, content: Mapping[str, Any]) -> str:
    """The proof that a row was blanked by us, and of what was left of it."""
    return keyed.digest("erased", str(row_id), digest, _told(content))


def is_sound(keyed: Keyed, row: Row[Any]) -> bool:
    """Whether a row's content is what was written, or what our erasure left of it."""
    content = {name: getattr(row, name) for name in CONTENT}
    if row.erased is None:
        return content_digest(keyed, content) == str(row.digest)
    blank = all(content[name] is None for name in BLANKED)
    return blank and erased_digest(keyed, row.id, row.digest, content) == str(row.erased)


def _told(content: Mapping[str, Any]) -> str:
    return json.dumps([content[name] for name in CONTENT], default=lambda moment: moment.astimezone(UTC).isoformat())


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain. damaged: ids of rows before which it had been changed or lost. ours: nobody else changed it."""

    count: int = 0
    id: int = 0
    chain: str = ""
    damaged: tuple[int, ...] = ()
    ours: bool = True

    def written(self, keyed: Keyed) -> str:
        """As it is kept."""
        told = {"count": self.count, "id": self.id, "chain": self.chain, "damaged": self.damaged}
        return json.dumps(told | {"digest": self._digest(keyed)})

    @classmethod
    def read(cls, keyed: Keyed, text: str) -> "Head":
        """What is kept, whether it is ours or not."""
        try:
            told = json.loads(text)
            head = cls(int(told["count"]), int(told["id"]), str(told["chain"]), tuple(map(int, told["damaged"])))
            return replace(head, ours=told["digest"] == head._digest(keyed))
        except (ValueError, KeyError, TypeError):
            return cls(ours=False)

    def _digest(self, keyed: Keyed) -> str:
        return keyed.digest("head", json.dumps([self.count, self.id, self.chain, self.damaged]))


class Check:
    """A walk along the chain, row by row. What it says at the last row that belongs to it is compared with what comes next."""

    def __init__(self, keyed: Keyed, head: Head) -> None:
        self._keyed = keyed
        self._head = head
        self._chain = ""
        self._last = 0
        self._count = 0
        self.findings: list[str] = []
        if not head.ours:
            self.say("the mark of the ledger's end was changed or lost")
        for row in head.damaged:
            self.say(f"row {row}: before it was added, the mark of the ledger's end had been changed or lost")

    def walk(self, rows: Iterator[Row[Any]]) -> Iterator[int]:
        """Check the rows, in order of their ids; yields how many are checked."""
        row, number = next(rows, None), 0
        while row is not None:
            after = next(rows, None)
            self._row(row, after)
            row, number = after, number + 1
            yield number
        self._end()

    def say(self, finding: str) -> None:
        """Note a finding, as long as there are not too many."""
        if len(self.findings) < MOST:
            self.findings.append(finding)
        elif len(self.findings) == MOST:
            self.findings.append("and more")

    def _row(self, row: Row[Any], after: Row[Any] | None) -> None:
        sound = is_sound(self._keyed, row)
        chain = link_digest(self._keyed, self._chain, row.digest)
        if chain == row.chain:
            self._go_on(row, chain, edited=not sound)
        elif self._leads_on(self._chain, after):
            self.say(f"row {row.id}: inserted, or moved here")
        elif self._leads_on(chain, after):
            self._go_on(row, chain, edited=True)
        elif not sound and self._leads_on(row.chain, after):
            self._go_on(row, row.chain, edited=True)
        elif sound:
            where = f"after row {self._last}" if self._last else "at the beginning"
            self.say(f"{where}: rows were removed, or row {row.id} was moved here")
            self._go_on(row, row.chain, edited=False)
        else:
            self.say(f"row {row.id}: inserted, or moved here")

    def _end(self) -> None:
        if self._head.ours and self._chain != self._head.chain:
            where = f"after row {self._last}" if self._last else "from the beginning"
            missing = max(1, self._head.count - self._count)
            self.say(f"the end is missing: {missing} of {self._head.count} rows, {where}")

    def _go_on(self, row: Row[Any], chain: str, edited: bool) -> None:
        if edited:
            self.say(f"row {row.id}: " + ("edited" if row.erased is None else "blanked or edited, and not by an erasure of ours"))
        self._chain, self._last, self._count = chain, row.id, self._count + 1

    def _leads_on(self, chain: str, after: Row[Any] | None) -> bool:
        """Whether what comes next, a row or the end, follows from a chain that says this."""
        if after is None:
            return self._head.ours and chain == self._head.chain
        return link_digest(self._keyed, chain, after.digest) == str(after.chain)
