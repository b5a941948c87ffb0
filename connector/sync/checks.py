"""One line of `doctor`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """OK also says what is merely good to know. UNREACHABLE: a side that everything else waits for."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what to do about it. Never holds secrets or personal data."""

    name: str
    state: State
    detail: str
    way_out: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.name}: {self.detail}" + (f"; {self.way_out}" if self.way_out else "")


def split(name: str, state: State, message: str) -> Check:
    """A check from one of our messages, whose way out comes after the semicolon."""
    detail, _, way_out = message.removeprefix(f"{name}: ").partition("; ")
    return Check(name, state, detail, way_out)


def ago(now: datetime, then: datetime) -> str:
    """How long something is past, for people."""
    seconds = max(0.0, (now - then).total_seconds())
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def span(seconds: float) -> str:
    """A length of time, for people."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
