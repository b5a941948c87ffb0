"""The groups of a SCIM server: whoever is put into one, or taken out, has or loses a membership.

Facts (RFC 7643, "Group resource schema" and the users' `groups`; RFC 7644, "Modifying with PATCH"; what servers were seen to do):
- a user's `groups` can only be read: a group has `members`, which PATCH adds by value and removes by a filter in the path;
- adding a member who is one changes nothing; removing one who is none may be an error, `noTarget`;
- each of a user's groups has a `value`, the group's id, mostly a `display`, and a `type`: an `indirect` one follows from another;
- two groups may have one `displayName`; a server may leave out `groups` that are empty, or never tell them;
- `excludedAttributes=members` spares long lists; who does not know it ignores it.
"""

from typing import Any
from urllib.parse import quote

from connector.errors import BadDelivery, Rejected
from connector.providers.http import Rest
from connector.providers.reading import mapping, objects, usable_id
from connector.providers.scim.listing import Listing, Record, Refused
from connector.providers.scim.user import HEADERS, PATCH_SCHEMA, group_key, look, quoted
from connector.strictjson import parse

WITHOUT = (404, 405, 409, 501)
"""Answers where there is no such group, or no such call."""


class Groups:
    """The groups of one server."""

    def __init__(self, name: str, rest: Rest) -> None:
        self._name = name
        self._rest = rest
        self._listing = Listing(name, rest, "/Groups", {"excludedAttributes": "members"}, "has the server groups?")

    def held(self, record: Record, key: str) -> list[Record] | None:
        """Those of a user's groups that have this key; None where none are told at all."""
        told = look(record, "groups")
        return [one for one in objects(told) if group_key(one) == key] if isinstance(told, list) else None

    def to_give(self, what: str, key: str, held: list[Record] | None) -> list[str]:
        """The id of the one group that a user is to join. Raises Rejected where there is none, or several."""
        if held:
            return []
        found = self._ids(what, key)
        if len(found) != 1:
            raise Rejected(f"{self._name}: {what}: there {'is no group' if not found else 'are several groups'} called {key}")
        return found

    def to_take(self, what: str, key: str, held: list[Record] | None) -> list[str]:
        """Ids of the groups that a user is to leave. Raises Rejected for one that follows from another group."""
        if held is None:
            return self._ids(what, key)
        if any(str(look(one, "type")).casefold() == "indirect" for one in held):
            raise Rejected(f"{self._name}: {what}: {key} follows from another group")
        return [one for entry in held if (one := usable_id(look(entry, "value")))]

    def write(self, what: str, user_id: str, group_id: str, give: bool) -> bool:
        """Put a user into a group, or take one out. Returns False where the server did not find something. Raises Rejected."""
        change: dict[str, Any] = {"op": "remove", "path": f"members[value eq {quoted(user_id)}]"}
        if give:
            change = {"op": "add", "path": "members", "value": [{"value": user_id}]}
        body = {"schemas": [PATCH_SCHEMA], "Operations": [change]}
        path = f"/Groups/{quote(group_id, safe='')}"
        reply = self._rest.call(what, "PATCH", path, body=body, headers=HEADERS, accept=(400, *WITHOUT))
        if reply.status_code == 400 and (give or _scim_type(reply.content) != "notarget"):
            raise Rejected(f"{self._name}: {what}: 400: the server refuses it")
        return reply.status_code not in WITHOUT

    def _ids(self, what: str, key: str) -> list[str]:
        """Ids of the groups called so, whether the server filters or not; or the key itself, where it is an id."""
        for query in (f"displayName eq {quoted(key)}", ""):
            try:
                found = [one for page in self._listing.all(what, query) for one in page if look(one, "displayName") == key]
            except Refused:
                continue
            if found:
                return [str(look(one, "id")) for one in found]
        path, headers = f"/Groups/{quote(key, safe='')}", {"Accept": HEADERS["Accept"]}
        reply = self._rest.call(what, "GET", path, headers=headers, accept=(400, *WITHOUT))
        return [key] if reply.ok and look(self._rest.json(what, reply), "id") == key else []


def _scim_type(raw: bytes) -> str:
    """What an error says is wrong."""
    try:
        return str(look(mapping(parse(raw)), "scimType")).casefold()
    except BadDelivery:
        return ""
