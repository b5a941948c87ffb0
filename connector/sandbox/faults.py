"""What can be made to go wrong, at run time: from Python, or by PUT /sandbox/faults."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

WAYS = ("title", "upper", "lower", "digits", "trim")
"""How `Faults.normalise` may store another form of a text."""


@dataclass
class Answer:
    """An answer that takes the place of the real one, once.

    status: 0 gives the real answer.
    prefix: only for calls whose path starts with it. method: only for this one, "" for any.
    after: the call is carried out first, so its outcome is unknown to the caller.
    delay: seconds before it is sent.
    """

    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    prefix: str = ""
    method: str = ""
    after: bool = False
    delay: float = 0

    def fits(self, method: str, path: str) -> bool:
        """Is it meant for this call?"""
        return path.startswith(self.prefix) and self.method in ("", method)


@dataclass
class CommonFaults:
    """What either side can do to us.

    delay: seconds before each call is looked at.
    status_queue: answers for the next calls, in order; the first that fits a call is used up by it.
    webhook_drop, webhook_duplicate, webhook_shuffle: probability per event that it is never sent, sent twice, sent late.
    """

    delay: float = 0
    status_queue: deque[Answer] = field(default_factory=deque)
    webhook_drop: float = 0
    webhook_duplicate: float = 0
    webhook_shuffle: float = 0

    def next_answer(self, method: str, path: str) -> Answer | None:
        """Take the queued answer for a call, if there is one."""
        for answer in list(self.status_queue):
            if answer.fits(method, path):
                self.status_queue.remove(answer)
                return answer
        return None

    def told(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def change(self, values: Mapping[str, Any]) -> None:
        """Set these and leave the others. Raises ValueError for an unknown name or a value of another kind."""
        kinds = {one.name: type(getattr(self, one.name)) for one in fields(self)}
        if unknown := sorted(values.keys() - kinds.keys()):
            raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(sorted(kinds))}")
        for name, value in {name: _read(name, kinds[name], value) for name, value in values.items()}.items():
            setattr(self, name, value)

    def clear(self) -> None:
        """Back to the defaults."""
        self.__dict__.update(self.fresh().__dict__)

    @classmethod
    def fresh(cls) -> Self:
        """Faults as they are when nobody asked for any."""
        return cls()


@dataclass
class Faults(CommonFaults):
    """What the portal can do to us. Limits are HubSpot's own; 0 switches one off.

    burst_limit: calls in any 10 s, without searches. search_limit: searches per second. daily_limit: calls since the start.
    search_lag: seconds until the search index knows of a change.
    trace_ids: errors and results of a batch name the row's objectWriteTraceId.
    whole_batch: one bad row makes HubSpot refuse a whole upsert or update, without naming it.
    shuffle_results: results come in another order than the rows.
    results_empty: batch writes are carried out, but the 2xx lists no results. reads_empty: batch reads find nothing, and no
        error says so.
    silent_noop: properties whose writes are accepted and not stored.
    normalise: property -> one of WAYS, the form that is stored instead.
    localised: messages come in Portuguese.
    refused_domains: endings of email domains that are not on the list of top-level domains.
    """

    burst_limit: int = 190
    search_limit: int = 5
    daily_limit: int = 650_000
    search_lag: float = 0
    trace_ids: bool = True
    whole_batch: bool = False
    shuffle_results: bool = True
    results_empty: bool = False
    reads_empty: bool = False
    silent_noop: set[str] = field(default_factory=set)
    normalise: dict[str, str] = field(default_factory=dict)
    localised: bool = False
    refused_domains: set[str] = field(default_factory=lambda: {"local", "internal", "invalid", "localhost"})


@dataclass
class IdentityFaults(CommonFaults):
    """What the identity provider can do to us.

    listing_empty: listings give nobody. listing_truncated: they end after so many users, as if that were all; 0 is off.
    cursor_repeats: a listing's next cursor leads to the same page again.
    thin_events: deliveries carry the user's id and email only.
    """

    listing_empty: bool = False
    listing_truncated: int = 0
    cursor_repeats: bool = False
    thin_events: bool = False


def _plain(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    return list(value) if isinstance(value, deque) else value


def _read(name: str, kind: type, value: Any) -> Any:
    """A value from JSON as the field holds it; numbers become float where the field is a number of seconds or a share."""
    try:
        if kind is deque:
            return deque(one if isinstance(one, Answer) else Answer(**one) for one in value)
        if kind is set and not isinstance(value, str):
            return {str(one) for one in value}
        if kind is dict:
            return {str(key): WAYS[WAYS.index(one)] for key, one in dict(value).items()}
        fits = isinstance(value, bool) if kind is bool else isinstance(value, int | float) and not isinstance(value, bool)
    except (TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise ValueError(f"{name}: not a {kind.__name__}: {value!r}")
    return value
