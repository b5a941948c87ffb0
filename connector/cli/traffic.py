"""A minute in the life of two systems: what people do in the demo, and how to tell that it arrived."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

PATIENCE = 8.0
"""Seconds after which a change counts as lost."""


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody does something on one side ("user" or "crm"); `arrived` says whether the other side shows it."""

    side: str
    who: str
    what: str
    do: Callable[[], Any]
    arrived: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step and how long the other side took, in seconds; None: it did not arrive."""

    step: Step
    seconds: float | None


def play(step: Step, stopped: Callable[[], bool]) -> Outcome:
    """Do one step and wait until the other side shows it."""
    step.do()
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE and not stopped():
        if step.arrived():
            return Outcome(step, time.monotonic() - started)
        time.sleep(0.01)
    return Outcome(step, None)


PEOPLE = (
    ("Ada", "Lovelace", "ada.lovelace@example.com", "GB"),
    ("Ramón", "y Cajal", "ramon.cajal@example.com", "ES"),
    ("Fridtjof", "Nansen", "fridtjof.nansen@example.com", "NO"),
    ("Mary", "Somerville", "mary.somerville@example.com", "GB"),
    ("Clara", "Campoamor", "clara.campoamor@example.com", "ES"),
)


def _granted(purpose: str) -> dict[str, str]:
    return {"purpose": purpose, "state": "granted", "source": "registration form"}


def _lead(first: str) -> str:
    return f"{first.lower()}.lead@example.org".replace("ó", "o")


class Traffic:
    """Steps on a sandbox portal and a sandbox identity provider, for ever: each round with new people."""

    def __init__(self, portal: Any, idp: Any) -> None:
        self._portal = portal
        self._idp = idp

    def prepare(self) -> None:
        """Contacts that sales had before the connector came."""
        for first, *_ in PEOPLE:
            self._portal.create({"email": _lead(first), "lastname": "Lead", "phone": "+34600000001"})

    def steps(self) -> Iterator[Step]:
        """Round after round; both directions show within the first few steps."""
        number = 0
        while True:
            first, last, email, country = PEOPLE[number % len(PEOPLE)]
            turn = number // len(PEOPLE)
            yield from self._life(first, last, email if turn == 0 else email.replace("@", f"+{turn}@"), country)
            number += 1

    def _life(self, first: str, last: str, email: str, country: str) -> Iterator[Step]:
        who = f"{first} {last}"
        ids: dict[str, Any] = {}
        values = {
            "email": email, "first_name": first, "last_name": last, "country": country, "phone": "600 123 456",
            "custom": {"plan": "basic", "interests": ["film"], "shoe_size": 42},
            "consents": [_granted("newsletter"), _granted("product")],
            "memberships": [{"key": "consumer", "kind": "typology", "active": True}],
        }  # fmt: skip

        def register() -> None:
            ids["user"] = self._idp.register(values)

        def contact() -> dict[str, Any]:
            return self._portal.contact(email) or {}

        def property_is(name: str, value: str) -> Callable[[], bool]:
            return lambda: (contact().get("properties") or {}).get(name) == value

        def user_is(name: str, value: Any) -> Callable[[], bool]:
            return lambda: (self._idp.user(ids["user"]) or {}).get(name) == value

        yield Step("user", who, "registers", register, property_is("lastname", last))
        yield Step(
            "crm", who, "gets the phone number +34600999888 from sales",
            lambda: self._portal.edit(contact()["id"], {"phone": "+34600999888"}), user_is("phone", "+34600999888"),
        )  # fmt: skip
        yield Step(
            "user", who, "upgrades to plan gold",
            lambda: self._idp.edit(ids["user"], {"custom": {"plan": "gold"}}), property_is("plan", "gold"),
        )  # fmt: skip
        yield Step(
            "crm", who, "likes sport, marketing learnt",
            lambda: self._portal.edit(contact()["id"], {"interests": "film;sport"}),
            lambda: "sport" in ((self._idp.user(ids["user"]) or {}).get("custom") or {}).get("interests", []),
        )  # fmt: skip
        yield from self._known_before(first)
        yield from self._new_lead(last)
        yield from self._consents(who, email, ids)
        yield Step(
            "user", who, "becomes a press member",
            lambda: self._idp.join(ids["user"], "press"),
            lambda: "Press" in ((contact().get("properties") or {}).get("member_types") or ""),
        )  # fmt: skip
        yield Step(
            "user", who, "logs in", lambda: self._idp.login(ids["user"]), lambda: self._recorded(contact(), "user.login"),
        )  # fmt: skip
        leaves = ("asks to be forgotten", self._idp.erase) if len(first) % 2 else ("deletes the account", self._idp.remove)
        yield Step("user", who, leaves[0], lambda: leaves[1](ids["user"]), lambda: not contact())

    def _consents(self, who: str, email: str, ids: dict[str, Any]) -> Iterator[Step]:
        """One consent is withdrawn on each side. HubSpot tells nobody: the connector looks at the statuses in turn."""

        def consent() -> str | None:
            told = (self._idp.user(ids["user"]) or {}).get("consents") or []
            return next((one["state"] for one in told if one["purpose"] == "product"), None)

        yield Step(
            "user", who, "withdraws the newsletter in the private area",
            lambda: self._idp.consent(ids["user"], "newsletter", "revoked", source="private area"),
            lambda: self._portal.subscription(email, "Newsletter") == "UNSUBSCRIBED",
        )  # fmt: skip
        yield Step(
            "crm", who, "unsubscribes from product news by a link in a mail",
            lambda: self._portal.unsubscribe(email, "Product news"), lambda: consent() == "revoked",
        )  # fmt: skip

    def _recorded(self, contact: dict[str, Any], kind: str) -> bool:
        """Whether an identity event is a record on the contact."""
        if not contact:
            return False
        ids = self._portal.associated("contacts", contact["id"], "identity_event")
        records = {one["id"]: one["properties"] for one in self._portal.objects("identity_event")}
        return any(records[str(one)]["kind"] == kind for one in ids if str(one) in records)

    def _known_before(self, first: str) -> Iterator[Step]:
        """A contact that sales had already is linked, not doubled."""
        email = _lead(first)
        if any(user.get("email") == email for user in self._idp.users()):
            return
        values = {"email": email, "first_name": first, "last_name": None, "custom": {"plan": "basic"}}

        def filled() -> bool:
            found = self._portal.contact(email) or {}
            return bool((found.get("properties") or {}).get("firstname") == first)

        yield Step("user", f"{first} Lead", "registers; sales knew that address", lambda: self._idp.register(values), filled)

    def _new_lead(self, last: str) -> Iterator[Step]:
        """A contact made in the CRM becomes a user."""
        email = f"new.{last.lower().replace(' ', '')}@example.net"
        if self._portal.contact(email):
            return

        def registered() -> bool:
            return any(user.get("email") == email for user in self._idp.users())

        made = {"email": email, "firstname": "New", "lastname": last}
        yield Step("crm", f"New {last}", "is created by sales", lambda: self._portal.create(made), registered)
