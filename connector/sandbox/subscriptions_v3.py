"""The subscriptions API, v3: one address at a time, no times, no way back for who unsubscribed.

Facts (HubSpot API, "Subscriptions" v3; github.com/HubSpot/hubspot-api-ruby issue 170 for the words of a missing field):
- NOT_SUBSCRIBED is who unsubscribed and who never chose; `sourceOfStatus` tells of an opt-out of all;
- subscribing is refused for who unsubscribed, by whatever way, and for who opted out of all;
- a legal basis and its explanation are needed where data privacy is on.
Reported once: subscribing who is subscribed is refused. Assumed: unsubscribing who is unsubscribed is not.
"""

from typing import Any

from connector.sandbox.replies import bad_request
from connector.sandbox.subscriptions import SUBSCRIBED, UNSUBSCRIBED, State, Subscriptions, SubscriptionType, fold
from connector.sandbox.subscriptions_checks import Checks
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told


class SubscriptionsV3:
    """Every method takes a request and gives its answer, or raises Refusal. source: what is told of who wrote."""

    def __init__(self, subscriptions: Subscriptions, checks: Checks, source: str) -> None:
        self._subscriptions = subscriptions
        self._checks = checks
        self._source = source

    def definitions(self, asked: Asked) -> Told:
        """All types."""
        return Told({"subscriptionDefinitions": [definition(one) for one in self._subscriptions.types.values()]})

    def read(self, asked: Asked) -> Told:
        """What holds for one address."""
        email = self._checks.email(asked.params["email"])
        statuses = [self._told(email, one) for one in self._subscriptions.types.values()]
        return Told({"recipient": email, "subscriptionStatuses": statuses})

    def subscribe(self, asked: Asked) -> Told:
        """An address to one type."""
        email, kind = self._wanted(asked)
        self._checks.basis(asked.body, subscribes=True)
        current = self._subscriptions.state(email, kind.id)
        if current and current.status == UNSUBSCRIBED:
            raise bad_request("You cannot subscribe an unsubscribed address.")
        if current and current.status == SUBSCRIBED:
            raise bad_request(f"The address is already subscribed to subscription {kind.id}.")
        return self._set(asked, email, kind, SUBSCRIBED)

    def unsubscribe(self, asked: Asked) -> Told:
        """An address from one type."""
        email, kind = self._wanted(asked)
        self._checks.basis(asked.body, subscribes=False)
        current = self._subscriptions.state(email, kind.id)
        if current and current.status == UNSUBSCRIBED:
            return Told(self._told(email, kind))
        return self._set(asked, email, kind, UNSUBSCRIBED)

    def _wanted(self, asked: Asked) -> tuple[str, SubscriptionType]:
        missing = [name for name in ("emailAddress", "subscriptionId") if not asked.body.get(name)]
        if missing:
            raise bad_request(
                "Invalid input JSON on line 1, column 2: Cannot build PublicUpdateSubscriptionStatusRequest, "
                f"some of required attributes are not set [{', '.join(missing)}]"
            )
        return self._checks.email(asked.body["emailAddress"]), self._checks.type(asked.body["subscriptionId"])

    def _set(self, asked: Asked, email: str, kind: SubscriptionType, status: str) -> Told:
        basis, explanation = asked.body.get("legalBasis"), asked.body.get("legalBasisExplanation")
        state = State(status, self._subscriptions.now(), self._source, legal_basis=basis, explanation=explanation)
        self._subscriptions.put(email, kind.id, state)
        return Told(self._told(email, kind))

    def _told(self, email: str, kind: SubscriptionType) -> dict[str, Any]:
        state = self._subscriptions.state(fold(email), kind.id)
        wide = self._subscriptions.opted_out_of_all(email)
        return {
            "id": str(kind.id), "name": kind.name, "description": kind.description,
            "status": "SUBSCRIBED" if state and state.status == SUBSCRIBED else "NOT_SUBSCRIBED",
            "sourceOfStatus": "PORTAL_WIDE_STATUS" if wide else "SUBSCRIPTION_STATUS",
            "brandId": None, "preferenceGroupName": None,
            "legalBasis": state.legal_basis if state else None,
            "legalBasisExplanation": state.explanation if state else None,
        }  # fmt: skip


def definition(kind: SubscriptionType) -> dict[str, Any]:
    """A type as either version lists it."""
    return {
        "id": str(kind.id), "name": kind.name, "description": kind.description, "purpose": "Marketing",
        "communicationMethod": "Email", "isActive": kind.active, "isDefault": False, "isInternal": False,
        "createdAt": iso(kind.created), "updatedAt": iso(kind.created),
    }  # fmt: skip
