"""The search index: lags behind the store when asked to, and sees no archived contacts."""

from collections import deque
from collections.abc import Callable, Mapping

from connector.sandbox.faults import Faults

Values = Mapping[str, str]


class Index:
    """Contacts as searches see them."""

    def __init__(self, faults: Callable[[], Faults], clock: Callable[[], float]) -> None:
        self._faults = faults
        self._clock = clock
        self._seen: dict[int, Values] = {}
        self._coming: deque[tuple[float, int, Values | None]] = deque()

    def note(self, contact_id: int, properties: Values | None) -> None:
        """A contact changed; None when it is gone."""
        self._coming.append((self._clock(), contact_id, None if properties is None else dict(properties)))
        self.seen()

    def seen(self) -> Mapping[int, Values]:
        """Everything that searches see by now, in the order it became visible."""
        latest = self._clock() - self._faults().search_lag
        while self._coming and self._coming[0][0] <= latest:
            _, contact_id, properties = self._coming.popleft()
            self._apply(contact_id, properties)
        return self._seen

    def _apply(self, contact_id: int, properties: Values | None) -> None:
        if properties is None:
            self._seen.pop(contact_id, None)
        else:
            self._seen[contact_id] = properties
