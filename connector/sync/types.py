"""The CRM's subscription types, by whatever word a mapping uses for one."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.crm.base import Crm
from connector.errors import Denied, Permanent
from connector.mapping.model import Mapping as FieldMapping

KEPT, SOON = 3600.0, 60.0
"""Seconds the types are remembered, since somebody may add one in the CRM; and that nobody may see them, since somebody may
grant the scope."""


@dataclass
class Types:
    """The CRM's subscription types, by id and by name. Asked for once an hour."""

    crm: Crm
    _known: dict[str, str] = field(default_factory=dict)
    _until: float = 0.0
    _closed: str = ""

    def of(self, mapping: FieldMapping) -> Mapping[str, str]:
        """The mapping's words for types -> their ids. Raises Transient; Denied also when the CRM refuses to list them.

        Absent: a word nobody knows, and one for a type that an earlier consent has, whose yes would be taken for this one's.
        """
        wanted = [one.subscription for one in mapping.consents if one.subscription]
        known = self.known() if wanted else {}
        found: dict[str, str] = {}
        for name in wanted:
            one = known.get(_fold(name))
            if one is not None and one not in found.values():
                found[name] = one
        return found

    def lacking(self, mapping: FieldMapping) -> str:
        """Why some of the mapping's consents go without a type; "" where none does. Raises Transient."""
        try:
            return unknown(mapping, self.of(mapping))
        except Denied as error:
            return str(error)

    def known(self) -> Mapping[str, str]:
        """Ids by id, and by name in lower case where only one type has it. Raises Transient, Denied."""
        if time.monotonic() >= self._until:
            self._learn()
        if self._closed:
            raise Denied(self._closed)
        return self._known

    def _learn(self) -> None:
        try:
            types = self.crm.subscription_types()
            self._closed = ""
        except (Denied, Permanent) as error:  # nothing but consents needs them
            types, self._closed = {}, str(error)
        names = Counter(map(_fold, types.values()))
        self._known = {_fold(name): one for one, name in types.items() if names[_fold(name)] == 1} | {one: one for one in types}
        self._until = time.monotonic() + (SOON if self._closed else KEPT)


def unknown(mapping: FieldMapping, found: Mapping[str, str]) -> str:
    """Which consents go without, because the portal has no such subscription type (any more). found: what `Types.of` tells."""
    lacking = [one for one in mapping.consents if one.subscription and one.subscription not in found]
    why = "the portal has no subscription type {0!r} of its own for {1}"
    return "; ".join(f"{mapping.path}:{one.line}: {why.format(one.subscription, one.consent)}" for one in lacking)


def _fold(name: str) -> str:
    return name.strip().casefold()
