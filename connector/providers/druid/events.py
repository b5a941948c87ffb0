"""What a DruID webhook tells: an event's name and whose it is, at places that are configured. The user is read.

Facts this file rests on (DruID developer site, "Webhooks"): its readable part names the events `register` and `confirmRegister`,
and says nothing of the body but that it is signed as a whole. Everything else is a setting with a likely value.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.errors import BadDelivery
from connector.model import Change, Delivery, Item
from connector.providers.druid.user import any_moment, at_pointer
from connector.providers.reading import details, usable_id
from connector.providers.signature import Verifier
from connector.strictjson import Piece, parse, split_array, storable

EVENTS = {"register": "user.created", "confirmRegister": "user.updated"}
"""DruID's id of an event -> our kind, where nothing else is configured."""


@dataclass(frozen=True)
class Events:
    """Where a delivery tells what happened to whom: JSON pointers, and our kind for each of DruID's event ids."""

    kinds: Mapping[str, str] = field(default_factory=lambda: dict(EVENTS))
    name: str = "/event"
    user_id: str = "/objectId"
    occurred_at: str | None = None

    def items(self, delivery: Delivery, verifier: Verifier) -> list[Item]:
        """The events of a delivery, which may be an array. Raises BadDelivery, TooManyItems."""
        return [self._item(delivery, piece, verifier) for piece in split_array(delivery.body)]

    def _item(self, delivery: Delivery, piece: Piece, verifier: Verifier) -> Item:
        key = verifier.dedupe_key(delivery, piece.raw, piece.place)
        return Item(key, "", piece.raw, {"event": key}, self._problem(piece.raw, piece.value))

    def change(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """Whom one event is about. Raises BadDelivery."""
        event = parse(body)
        if problem := self._problem(body, event):
            raise BadDelivery(f"druid: {problem}")
        name = at_pointer(event, self.name)
        return Change(
            kind=self.kinds.get(name, name),
            record_id=usable_id(at_pointer(event, self.user_id)) or "",
            occurred_at=any_moment(at_pointer(event, self.occurred_at)) if self.occurred_at else None,
            event_id=meta.get("event", ""),
            details=_details(event, {self.name, self.user_id}),
        )

    def _problem(self, raw: bytes, event: Any) -> str | None:
        """Why an event cannot be read; None when it can."""
        if not isinstance(event, dict):
            return "not_an_object"
        name, user_id = at_pointer(event, self.name), at_pointer(event, self.user_id)
        if not isinstance(name, str) or not re.fullmatch(r"[!-~]{1,64}", name):
            return "bad_type"
        if user_id is None:
            return "no_user_id"
        if usable_id(user_id) is None:
            return "bad_user_id"
        return None if storable(raw, event) else "unstorable_text"


def _details(event: Mapping[str, Any], told: Collection[str]) -> dict[str, Any]:
    """The scalars of an event, but for those behind the pointers in `told`; the entry point also under our name for it."""
    found = details({name: value for name, value in event.items() if f"/{name}" not in told})
    return {"entry_point": found["entrypoint_id"], **found} if "entrypoint_id" in found else found
