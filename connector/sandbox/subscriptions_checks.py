"""What both versions of the subscriptions API look at before they write."""

from collections.abc import Mapping
from typing import Any

from connector.sandbox.replies import bad_request
from connector.sandbox.subscriptions import LEGAL_BASES, Subscriptions, SubscriptionType, fold
from connector.sandbox.switches import Switches
from connector.sandbox.values import EMAIL


class Checks:
    """Every method raises Refusal."""

    def __init__(self, subscriptions: Subscriptions, switches: Switches) -> None:
        self.switches = switches
        self._subscriptions = subscriptions

    def email(self, raw: object) -> str:
        """An address, in the form under which it is known."""
        email = fold(str(raw))
        if not EMAIL.fullmatch(email):
            raise bad_request(f"Email address {raw} is invalid")
        return email

    def type(self, raw: object) -> SubscriptionType:
        """The type with this id."""
        found = self._subscriptions.types.get(int(str(raw))) if str(raw).isdecimal() else None
        if found is None:
            raise bad_request(f"Subscription {raw} does not exist.")
        return found

    def basis(self, body: Mapping[str, Any], subscribes: bool) -> None:
        """The legal basis is a known one, and there where it must be."""
        basis, explanation = body.get("legalBasis"), body.get("legalBasisExplanation")
        if basis is not None and basis not in LEGAL_BASES:
            raise bad_request(f"legalBasis: {basis} is not one of {list(LEGAL_BASES)}")
        if subscribes and self.switches.data_privacy and not (basis and explanation):
            raise bad_request("legalBasis and legalBasisExplanation are required, as data privacy is on in this account.")
