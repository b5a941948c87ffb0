"""Which options the CRM's properties have, where that matters: of those it refused some value of a while ago."""

import threading
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.crm.base import Crm
from connector.errors import Denied

KEPT, SOON = timedelta(minutes=5), timedelta(seconds=30)
"""How long options are remembered, since somebody may add one in the CRM; and when whoever waits for one is looked at."""

ASKED = "options"
"""The mark that is set when somebody says that there are new options: what is remembered from before counts no more."""

Options = Mapping[str, Set[str]]
"""Property -> its options. Absent: one that takes any text, and every one while the token may not see definitions."""

Mark = tuple[str, datetime] | None


@dataclass
class KnownOptions:
    """The CRM's options of the properties in question, from one read of all definitions. For any number of threads."""

    crm: Crm
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _portal: dict[str, Set[str]] = field(default_factory=dict)
    _read_at: datetime | None = None
    _in_question: set[str] = field(default_factory=set)
    _asked: Mark = None

    def recall(self, names: Set[str], now: datetime, asked: Mark) -> Options:
        """What is known, and of these properties, which somebody waits for, in any case. asked: see ASKED. Raises Transient."""
        if not names and not self._in_question and asked == self._asked:
            return {}
        with self._lock:
            age = now - self._read_at if self._read_at else timedelta(0)
            if age >= KEPT or asked != self._asked:
                self._in_question, self._asked = set(), asked
                self._forget()
            elif names and age >= SOON:
                self._forget()
            return self._of(names, now)

    def learn(self, names: Set[str], now: datetime, age: timedelta = timedelta(0)) -> Options:
        """The same, of properties some value of which was refused just now: as of `now`, or `age` older. Raises Transient."""
        with self._lock:
            if self._read_at is not None and self._read_at < now - age:
                self._forget()
            return self._of(names, now)

    def _forget(self) -> None:
        self._portal, self._read_at = {}, None

    def _of(self, names: Set[str], now: datetime) -> Options:
        if names and self._read_at is None:
            with suppress(Denied):  # nobody can tell; somebody may grant the scope
                self._portal = {one.name: frozenset(one.options) for one in self.crm.properties().values() if one.options}
            self._read_at = now
        self._in_question |= names
        return {name: self._portal[name] for name in self._in_question if name in self._portal}
