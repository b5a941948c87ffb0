"""Outseta's activity notifications: what happened stands in the address that is called, whom it is about in the body.

Facts this file rests on (Outseta knowledge base, "Activity notifications"; the webhook types and the verifier of its SDK):
- each activity has an address of its own; ours carries the activity's name as `?event=`, which the signature does not cover: so
  it is a hint, and what the body or a reading says decides;
- the body is the person or the account as it is then, `ActivityEventData` beside it: for some activities it has a `PersonUid`;
- there is neither a delivery id nor a time; a delivery that was not answered comes again, with the same body;
- an account names its people in `PersonAccount[].Person`; the activity of an account is one of its people here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connector.errors import BadDelivery, TooManyItems
from connector.model import Change, Delivery, Item, User
from connector.providers.outseta.person import DoubleOptIn, tells_lists, user_from
from connector.providers.reading import details, mapping, moment, objects, usable_id
from connector.providers.signature import Verifier
from connector.strictjson import MAX_ITEMS, Piece, parse, split_array, storable

KINDS = {
    "PersonCreated": "user.created",
    "PersonUpdated": "user.updated",
    "PersonDeleted": "user.deleted",
    "PersonLogin": "user.login",
    "PersonListSubscribed": "consent.granted",
    "PersonListConfirmed": "consent.granted",
    "PersonEmailSubscribed": "consent.granted",
    "PersonListUnsubscribed": "consent.revoked",
    "PersonEmailUnsubscribed": "consent.revoked",
    "PersonEmailSpam": "consent.revoked",
    "PersonSegmentAdded": "membership.added",
    "PersonSegmentRemoved": "membership.removed",
    "AccountAddPerson": "membership.added",
    "AccountRemovePerson": "membership.removed",
    "AccountSubscriptionStarted": "membership.added",
    "AccountPaidSubscriptionCreated": "membership.added",
    "AccountSubscriptionCancellationRequested": "membership.removed",
    "AccountCreated": "user.updated",
    "AccountUpdated": "user.updated",
    "AccountStageUpdated": "user.updated",
    "AccountDeleted": "user.updated",
    "AccountSubscriptionPlanUpdated": "user.updated",
    "AccountSubscriptionRenewalExtended": "user.updated",
    "AccountSubscriptionAddOnsChanged": "user.updated",
    "AccountPersonRoleUpdated": "user.updated",
    "AccountPrimaryPersonUpdated": "user.updated",
}
"""Outseta's name of an activity -> our kind. What is not here is kept under its own name."""
CODES = {
    "100": "AccountCreated", "101": "AccountUpdated", "102": "AccountAddPerson", "103": "AccountStageUpdated",
    "104": "AccountDeleted", "106": "AccountSubscriptionPlanUpdated", "111": "AccountRemovePerson",
    "112": "AccountPaidSubscriptionCreated", "114": "AccountPrimaryPersonUpdated", "116": "AccountSubscriptionStarted",
    "117": "AccountSubscriptionRenewalExtended", "118": "AccountSubscriptionAddOnsChanged",
    "119": "AccountSubscriptionCancellationRequested", "121": "AccountPersonRoleUpdated", "200": "PersonCreated",
    "201": "PersonUpdated", "202": "PersonDeleted", "203": "PersonLogin", "204": "PersonListSubscribed",
    "205": "PersonListUnsubscribed", "206": "PersonSegmentAdded", "207": "PersonSegmentRemoved", "211": "PersonEmailSpam",
    "215": "PersonListConfirmed", "216": "PersonEmailSubscribed", "217": "PersonEmailUnsubscribed",
}  # fmt: skip
"""The activity's number in Outseta's API -> its name: `?event=201` will do as well."""
HINT = "user.updated"
"""What a delivery is about somebody when its address does not say."""


@dataclass(frozen=True)
class Activities:
    """How activities are read. kinds: Outseta's name -> our kind. double_opt_in: of which lists; see `person`."""

    kinds: Mapping[str, str] = field(default_factory=lambda: dict(KINDS))
    double_opt_in: DoubleOptIn = "ask"

    def items(self, delivery: Delivery, verifier: Verifier) -> list[Item]:
        """The events of a delivery, one for each person. Raises BadDelivery, TooManyItems."""
        name = activity(delivery.url)
        found = [item for piece in split_array(delivery.body) for item in self._items(delivery, piece, name, verifier)]
        if len(found) > MAX_ITEMS:
            raise TooManyItems(f"an account with more than {MAX_ITEMS} people")
        return found

    def _items(self, delivery: Delivery, piece: Piece, name: str, verifier: Verifier) -> list[Item]:
        """The same body may come for two activities, so its key also has the activity's name."""
        key = f"{name or 'any'}:{verifier.dedupe_key(delivery, piece.raw, piece.place)}"
        problem = _problem(piece.raw, piece.value, name)
        people: Sequence[str] = [] if problem else _people(piece.value)
        if not people:
            return [Item(key, "", piece.raw, {"event": name, "key": key}, problem)]
        return [Item(f"{key}:{uid}", "", piece.raw, {"event": name, "key": f"{key}:{uid}", "person": uid}) for uid in people]

    def change(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """Whom one event is about. One about nobody goes by its own name, with the entity's id. Raises BadDelivery."""
        entity, name = parse(body), meta.get("event", "")
        if problem := _problem(body, entity, name):
            raise BadDelivery(f"outseta: {problem}")
        uid = meta.get("person")
        if uid is None or uid not in _people(entity):
            return Change(kind=name or _type(entity) or "unnamed", record_id=str(entity["Uid"]), event_id=meta.get("key", ""))
        kind = self.kinds.get(name, name) if name else HINT
        person = entity if _type(entity) == "Person" else None
        return Change(
            kind=kind,
            record_id=uid,
            occurred_at=_occurred(kind, entity),
            event_id=meta.get("key", ""),
            user=_carried(person, self.double_opt_in) if person is not None and kind != "user.deleted" else None,
            details=_details(entity, name),
        )


def activity(url: str) -> str:
    """The activity's name in an address, "" where there is none."""
    told = [value for name, value in parse_qsl(urlsplit(url).query) if name == "event"]
    return CODES.get(told[0], told[0]) if len(told) == 1 else ""


def _type(entity: Mapping[str, Any]) -> str:
    """Person, Account, or whatever else an entity says it is."""
    told = entity.get("_objectType")
    if isinstance(told, str) and re.fullmatch("[A-Za-z]{1,50}", told):
        return told
    return "Person" if "Email" in entity else "Account" if "AccountStage" in entity else ""


def _people(entity: Mapping[str, Any]) -> list[str]:
    """Whom an entity is about: itself, the person that its activity names, or everybody in the account."""
    if _type(entity) == "Person":
        return [str(entity["Uid"])]
    if _type(entity) != "Account":
        return []
    named = usable_id(mapping(entity.get("ActivityEventData")).get("PersonUid"))
    everybody = [usable_id(mapping(one.get("Person")).get("Uid")) for one in objects(entity.get("PersonAccount"))]
    return [named] if named else list(dict.fromkeys(uid for uid in everybody if uid))


def _problem(raw: bytes, entity: Any, name: str) -> str | None:
    """Why a delivery's entity cannot be read; None when it can."""
    if not isinstance(entity, dict):
        return "not_an_object"
    if name and not re.fullmatch(r"[!-~]{1,64}", name):
        return "bad_type"
    if entity.get("Uid") is None:
        return "no_user_id"
    if usable_id(entity["Uid"]) is None:
        return "bad_user_id"
    return None if storable(raw, entity) else "unstorable_text"


def _carried(person: Mapping[str, Any], double_opt_in: DoubleOptIn) -> User:
    """The person as told; of the lists only what is sure."""
    user = user_from(person, double_opt_in)
    return user if tells_lists(person, double_opt_in) else replace(user, consents=None)


def _occurred(kind: str, entity: Mapping[str, Any]) -> datetime | None:
    own = {"user.login": "LastLoginDateTime", "user.created": "Created"}.get(kind, "")
    return moment(entity.get(own)) or moment(entity.get("Updated"))


def _details(entity: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the activity tells beside the entity, but no address of a person."""
    told = {key: value for key, value in mapping(entity.get("ActivityEventData")).items() if key != "Email"}
    found = {**details(told), "activity": name} if name else details(told)
    return {**found, "account": entity["Uid"]} if _type(entity) == "Account" else found
