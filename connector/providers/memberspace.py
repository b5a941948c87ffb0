"""MemberSpace: what a relay or an automation platform tells of its members, in the generic profile or in MemberSpace's own shape.

Facts this file rests on (MemberSpace's script for pages, as public wrappers type it; it has no public API for servers and no
webhooks that anybody describes):
- a member is {"id": number, "firstName", "lastName", "email", "memberships": [...], "customSignupFields": [{"id", "value"}]};
- a membership is {"planId", "name", "status", "createdAt", "cancelsOn"}; which words `status` has is not described;
- the events `MemberSpace.*` happen in the visitor's browser, where anybody can make them up.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from connector.providers.generic import Generic, arguments
from connector.providers.reading import moment
from connector.settings import ProviderSettings

BROWSER = "MemberSpace."
"""How the names of events begin that a browser sent."""

EVENTS = {
    "MemberSpace.member.registration": "user.created",
    "MemberSpace.member.info": "user.updated",
    "MemberSpace.ready": "user.login",
    "MemberSpace.conversion": "membership.added",
}
FIELDS = {"email": "email", "firstName": "first_name", "lastName": "last_name"}


class MemberSpace(Generic):
    """One site. The generic profile, and `data.member` in MemberSpace's shape in the place of `data.user`."""

    def __init__(self, name: str, *, active_statuses: Collection[str] = ("active",), **given: Any) -> None:
        """active_statuses: words of `status` with which a membership is in force."""
        super().__init__(name, **{**given, "events": {**EVENTS, **(given.get("events") or {})}})
        self._active = {status.casefold() for status in active_statuses}

    def _believes(self, envelope: Any) -> bool:
        """A browser's word is only ever a hint, whoever forwarded it."""
        return super()._believes(envelope) and not envelope["type"].startswith(BROWSER)

    def _normal(self, envelope: Any) -> Any:
        envelope = super()._normal(envelope)
        data = envelope.get("data") if isinstance(envelope, dict) else None
        if not isinstance(data, dict) or "user" in data or not isinstance(data.get("member"), dict):
            return envelope
        rest = {name: one for name, one in data.items() if name != "member"}
        user = self._from_member(data["member"], moment(envelope.get("occurred_at")) or datetime.now(UTC))
        return {**envelope, "data": {**rest, "user": user}}

    def _from_member(self, member: dict[str, Any], at: datetime) -> dict[str, Any]:
        """A member in the profile's shape. What is absent stays absent."""
        user: dict[str, Any] = {ours: member[theirs] for theirs, ours in FIELDS.items() if theirs in member}
        if "id" in member:
            user["id"] = member["id"]
        if isinstance(member.get("memberships"), list):
            user["memberships"] = [self._membership(one, at) for one in member["memberships"] if _has(one, "planId")]
        if isinstance(member.get("customSignupFields"), list):
            fields = [one for one in member["customSignupFields"] if _has(one, "id")]
            user["custom"] = {str(one["id"]): one.get("value") for one in fields}
        return user

    def _membership(self, one: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        """In force while its status says so and it has not ended."""
        ends = moment(one.get("cancelsOn"))
        active = str(one.get("status")).casefold() in self._active and (ends is None or ends > at)
        return {"key": str(one["planId"]), "kind": "plan", "active": active,
                "since": one.get("createdAt"), "until": one.get("cancelsOn")}  # fmt: skip


def _has(one: Any, name: str) -> bool:
    return isinstance(one, dict) and type(one.get(name)) in (str, int)


def from_settings(name: str, settings: ProviderSettings) -> MemberSpace:
    """See registry.KINDS."""
    return MemberSpace(name, active_statuses=settings.active_statuses, **arguments(settings))
