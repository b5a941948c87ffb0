"""The CRM's subscription types, by whatever word a mapping uses for one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.crm.base import Crm
from connector.errors import Denied
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
        """The mapping's words for types -> their ids; words nobody knows are absent. Raises Transient, Denied."""
        wanted = [one.subscription for one in mapping.consents if one.subscription]
        if not wanted:
            return {}
        known = self.known()
        return {name: known[name.casefold()] for name in wanted if name.casefold() in known}

    def known(self) -> Mapping[str, str]:
        """Ids by id and by name in lower case. Raises Transient, Denied."""
        if time.monotonic() >= self._until:
            self._learn()
        if self._closed:
            raise Denied(self._closed)
        return self._known

    def _learn(self) -> None:
        try:
            types = self.crm.subscription_types()
            self._closed = ""
        except Denied as error:
            types, self._closed = {}, str(error)
        self._known = {name.strip().casefold(): one for one, name in types.items()} | {one: one for one in types}
        self._until = time.monotonic() + (SOON if self._closed else KEPT)
