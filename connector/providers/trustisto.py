"""Trustisto: what a relay tells of a shop's visitors, in the generic profile or in the words of Trustisto's script.

Facts this file rests on (Trustisto's documentation of its script for pages; there is no public API for servers, no webhook):
- `setCustomerId` tells the shop's own id of the customer, which is the id of a user here;
- `thankYouPage` tells {"client": {"firstname", "city"}} beside the order; no command tells an email address or a consent;
- all of it happens in the visitor's browser, where anybody can make it up.
"""

from typing import Any

from connector.providers.generic import Generic, arguments
from connector.settings import ProviderSettings


class Trustisto(Generic):
    """One shop. The generic profile, and `data.customerId` (with `data.client`) in the place of `data.user`."""

    def _believes(self, envelope: Any) -> bool:
        """A browser's word is only ever a hint, whoever forwarded it."""
        return super()._believes(envelope) and "user" in envelope["data"]

    def _normal(self, envelope: Any) -> Any:
        envelope = super()._normal(envelope)
        data = envelope.get("data") if isinstance(envelope, dict) else None
        if not isinstance(data, dict) or "user" in data or "customerId" not in data:
            return envelope
        client = data["client"] if isinstance(data.get("client"), dict) else {}
        user = {"id": data["customerId"]}
        user |= {"first_name": client["firstname"]} if "firstname" in client else {}
        user |= {"custom": {"city": client["city"]}} if "city" in client else {}
        rest = {name: one for name, one in data.items() if name not in ("customerId", "client")}
        return {**envelope, "data": {**rest, "user": user}}


def from_settings(name: str, settings: ProviderSettings) -> Trustisto:
    """See registry.KINDS."""
    return Trustisto(name, **arguments(settings))
