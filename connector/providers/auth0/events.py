"""What a delivery of an Auth0 event stream says. Pure.

Facts (Auth0, "Event types", "Event testing", "Events best practices"; types of its SDKs):
- one event is one CloudEvent: `id`, `type`, `time`, `data.object`; its type is `user.updated`, or `com.auth0.user.updated` in an
  older text; what is sent to try a stream has `a0purpose` "test";
- the object of a user's event is the user; that of an organization's member has the user in `user`;
- events come at least once and in no order: an update may come before its creation.
"""

import re
from collections.abc import Mapping
from typing import Any

from connector.model import USER_KINDS
from connector.providers.reading import mapping, usable_id

KINDS = {
    "user.created": "user.created",
    "user.updated": "user.updated",
    "user.deleted": "user.deleted",
    "organization.member.added": "membership.added",
    "organization.member.deleted": "membership.removed",
    "organization.member.role.assigned": "membership.added",
    "organization.member.role.deleted": "membership.removed",
}
"""Type of an event -> our kind."""
PREFIX = "com.auth0."
TEST = "test."
"""Before the name of an event that was sent to try the stream: it is nobody's."""


def problem(event: Any) -> str | None:
    """Why an event cannot be read; None when it can."""
    if not isinstance(event, dict):
        return "not_an_object"
    if not isinstance(event.get("type"), str) or not re.fullmatch(r"[!-~]{1,100}", event["type"]):
        return "bad_type"
    return "no_user_id" if kind(event) in KINDS.values() and user_of(event) is None else None


def name(event: Mapping[str, Any]) -> str:
    """The type without its prefix."""
    return str(event["type"]).removeprefix(PREFIX)


def kind(event: Mapping[str, Any]) -> str:
    """Our kind of an event; for what we do not know, and for tests, a name of no kind of ours."""
    if event.get("a0purpose") is not None:
        return f"{TEST}{name(event)}"
    own = name(event)
    return KINDS.get(own) or (f"auth0.{own}" if own in USER_KINDS else own)


def user(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the event tells of the user."""
    told = mapping(mapping(event.get("data")).get("object"))
    return told if name(event).startswith("user.") else mapping(told.get("user"))


def user_of(event: Mapping[str, Any]) -> str | None:
    """Whose event it is."""
    return usable_id(user(event).get("user_id"))
