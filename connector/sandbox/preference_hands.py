"""Email preferences by hand: what a person does on the preference page, and an administrator in the settings."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from connector.sandbox.contact_records import ContactRecords
from connector.sandbox.events import Events, Source
from connector.sandbox.replies import bad_request, not_found
from connector.sandbox.schema import Property, Schema
from connector.sandbox.standard import YES_NO
from connector.sandbox.subscriptions import (
    DEFAULT_TYPES,
    NOT_SPECIFIED,
    PERSON,
    UNSUBSCRIBED,
    State,
    Subscriptions,
    SubscriptionType,
)
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told, Work

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

RECIPIENT = Source("EMAIL", "preferences", PERSON)


class PreferenceHands:
    """A part of `portal.Portal`. subscription: a type's id or name. Raises `replies.Refusal` for one that does not exist."""

    lock: AbstractContextManager[Any]
    records: ContactRecords
    schema: Schema
    webhooks: Events
    subscriptions: Subscriptions
    optout_webhooks: bool

    def add_subscription_type(self, name: str, description: str = "", active: bool = True) -> int:
        """Make a type, with its contact property. Returns its id; the first is 1001."""
        with self.lock:
            made = self.subscriptions.add(name, description, active)
            self._add_optout(made.optout, f"Opted out of email: {name}")
        return made.id

    def add_default_subscription_types(self) -> None:
        """1001 Newsletter and 1002 Product news."""
        for name, description in DEFAULT_TYPES:
            self.add_subscription_type(name, description)

    def unsubscribe(self, email: str, subscription: int | str) -> None:
        """A person wants no more of it."""
        with self.lock:
            state = State(UNSUBSCRIBED, self.subscriptions.now(), PERSON, own=True)
            self.subscriptions.put(email, self._type(subscription).id, state)

    def unsubscribe_all(self, email: str) -> None:
        """A person wants no more email at all."""
        with self.lock:
            self.subscriptions.opt_out_of_all(email, PERSON, own=True)

    def subscribe(self, email: str, subscription: int | str) -> None:
        """A person wants it, again or for the first time; no longer opted out of all, then."""
        with self.lock:
            self.subscriptions.opt_in(email, self._type(subscription).id)

    def subscription(self, email: str, subscription: int | str) -> str:
        """SUBSCRIBED, UNSUBSCRIBED or NOT_SPECIFIED."""
        with self.lock:
            state = self.subscriptions.state(email, self._type(subscription).id)
            return state.status if state else NOT_SPECIFIED

    def preferences(self, email: str) -> dict[str, Any]:
        """All that is known of an address: `opted_out_of_all`, and of each type `id, name, status, at, source, own`."""
        with self.lock:
            listed = [(one, self.subscriptions.state(email, one.id)) for one in self.subscriptions.types.values()]
            wide = self.subscriptions.opted_out_of_all(email) is not None
        return {"email": email, "opted_out_of_all": wide, "subscriptions": [_seen(one, state) for one, state in listed]}

    def refresh_optouts(self, email: str) -> None:
        """Let the contact with this address show what holds now; a webhook tells of it when `optout_webhooks` says so."""
        refreshed = self.records.refresh(email)
        if refreshed and self.optout_webhooks:
            record, changes = refreshed
            self.webhooks.changed(record.id, self.subscriptions.now(), RECIPIENT, changes)

    def _add_optout(self, name: str, label: str) -> None:
        new = Property(name, "bool", "booleancheckbox", label, "emailinformation", dict(YES_NO), read_only=True, ours=False)
        self.schema.add(new, replace=True)

    def _type(self, subscription: int | str) -> SubscriptionType:
        found = self.subscriptions.type(subscription)
        if found is None:
            raise not_found(what=f"Subscription '{subscription}'")
        return found


def preference_lines(portal: "Portal") -> list[tuple[str, str, Work]]:
    """The same over HTTP."""

    def seen(asked: Asked) -> Told:
        return Told(portal.preferences(asked.params["email"]))

    def change(act: Callable[[str, str], None]) -> Work:
        def work(asked: Asked) -> Told:
            act(asked.params["email"], str(asked.body.get("subscription", "")))
            return seen(asked)

        return work

    def unsubscribe_all(asked: Asked) -> Told:
        portal.unsubscribe_all(asked.params["email"])
        return seen(asked)

    def add(asked: Asked) -> Told:
        name = asked.body.get("name")
        if not isinstance(name, str) or not name:
            raise bad_request("a subscription type has name and description; the name is needed")
        return Told({"id": portal.add_subscription_type(name, str(asked.body.get("description", ""))), "name": name}, 201)

    return [
        ("POST", "/subscription-types", add),
        ("GET", "/subscriptions/{email}", seen),
        ("POST", "/subscriptions/{email}/subscribe", change(portal.subscribe)),
        ("POST", "/subscriptions/{email}/unsubscribe", change(portal.unsubscribe)),
        ("POST", "/subscriptions/{email}/unsubscribe-all", unsubscribe_all),
    ]


def _seen(kind: SubscriptionType, state: State | None) -> dict[str, Any]:
    if state is None:
        return {"id": kind.id, "name": kind.name, "status": NOT_SPECIFIED, "at": None, "source": None, "own": False}
    return {
        "id": kind.id,
        "name": kind.name,
        "status": state.status,
        "at": iso(state.at),
        "source": state.source,
        "own": state.own,
    }
