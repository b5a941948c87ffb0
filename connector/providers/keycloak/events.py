"""What Keycloak's events mean: those of webhooks, and those that the realm keeps. Pure.

Facts (p2-inc keycloak-events, its README and source; Keycloak admin REST API, EventRepresentation and AdminEventRepresentation):
- a webhook's `type` is access.EVENT or admin.RESOURCE-OPERATION; `uid` stays the same when it is sent again; `time` is in
  milliseconds; what failed has an `error`; `representation` is what an admin sent, not what a user then is;
- what users do themselves are access events, told of `authDetails.userId`; what admins do are admin events, whose user stands
  in `resourcePath`, as users/ID or users/ID/..., while `authDetails` is the admin;
- realms keep both kinds when that is switched on, for some time, newest first; `dateFrom` is a day.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from connector.model import Change
from connector.providers.reading import details, mapping, moment_of_millis, usable_id

KINDS = {
    "access.REGISTER": "user.created",
    "access.UPDATE_PROFILE": "user.updated",
    "access.UPDATE_EMAIL": "user.updated",
    "access.VERIFY_EMAIL": "user.updated",
    "access.IDENTITY_PROVIDER_FIRST_LOGIN": "user.updated",
    "access.LOGIN": "user.login",
    "access.DELETE_ACCOUNT": "user.deleted",
    "admin.USER-CREATE": "user.created",
    "admin.USER-UPDATE": "user.updated",
    "admin.USER-DELETE": "user.deleted",
    "admin.GROUP_MEMBERSHIP-CREATE": "membership.added",
    "admin.GROUP_MEMBERSHIP-DELETE": "membership.removed",
    "admin.REALM_ROLE_MAPPING-CREATE": "membership.added",
    "admin.REALM_ROLE_MAPPING-DELETE": "membership.removed",
}
"""Type of a webhook's event -> our kind."""
TELLING = ("REGISTER", "UPDATE_PROFILE", "UPDATE_EMAIL", "VERIFY_EMAIL", "IDENTITY_PROVIDER_FIRST_LOGIN")
"""Kept events of users that say that one changed."""
NEEDED = ("REGISTER", "UPDATE_PROFILE")
"""Those without which kept events tell too little."""
RESOURCES = ("USER", "GROUP_MEMBERSHIP", "REALM_ROLE_MAPPING")
"""What admins change that counts."""


def problem(event: Any) -> str | None:
    """Why a webhook's event cannot be read; None when it can."""
    if not isinstance(event, dict):
        return "not_an_object"
    kind = event.get("type")
    if not isinstance(kind, str) or not re.fullmatch(r"[!-~]{1,64}", kind):
        return "bad_type"
    return "no_user_id" if kind in KINDS and user_of(event) is None else None


def user_of(event: Mapping[str, Any]) -> str | None:
    """Whose event of a webhook it is."""
    by, told = mapping(event.get("authDetails")), usable_id(mapping(event.get("details")).get("userId"))
    if str(event.get("type")).startswith("admin."):
        return user_in(event.get("resourcePath")) or told
    return usable_id(by.get("userId")) or told


def user_in(path: object) -> str | None:
    """The user a resource belongs to."""
    found = re.match(r"users/([^/]+)", path) if isinstance(path, str) else None
    return usable_id(found[1]) if found else None


def change(event: Mapping[str, Any], realm: str) -> Change:
    """What a readable event of a webhook says. What failed, or happened in another realm, keeps its own name: it is no news."""
    kind, name = event["type"], event.get("realmName")
    ours = KINDS.get(kind, kind) if event.get("error") is None and name in (None, realm) else kind
    by = mapping(event.get("authDetails"))
    told = {"type": kind, "client": by.get("clientId"), "realm": name, "error": event.get("error")}
    return Change(
        kind=ours,
        record_id=user_of(event) or "",
        occurred_at=moment_of_millis(event.get("time")),
        event_id=usable_id(event.get("uid")) or "",
        details=details(told),
    )


def kept(config: Mapping[str, Any]) -> bool:
    """Whether a realm keeps the events that tell of changes, by its configuration of them."""
    types = config.get("enabledEventTypes")
    all_types = not (isinstance(types, list) and types) or set(NEEDED) <= set(map(str, types))
    return config.get("eventsEnabled") is True and config.get("adminEventsEnabled") is True and all_types


def reach(config: Mapping[str, Any], since: datetime, now: datetime) -> bool:
    """Whether kept events have not expired since then."""
    seconds = config.get("eventsExpiration")
    return not (type(seconds) is int and 0 < seconds <= (now - since).total_seconds())


def changed_users(events: Iterable[Mapping[str, Any]], since: datetime) -> dict[str, datetime]:
    """Users that kept events name, and when they last changed. since: UTC; what is older says nothing."""
    found: dict[str, datetime] = {}
    for one in events:
        at, user_id = moment_of_millis(one.get("time")), user_in(one.get("resourcePath")) or usable_id(one.get("userId"))
        if at is not None and at >= since and user_id is not None and one.get("error") is None:
            found[user_id] = max(at, found.get(user_id, at))
    return found
