"""Organizations and roles of an Auth0 tenant's users: read, given and taken.

Facts (Auth0, Management API v2, "Users", "Roles", "Organizations"):
- GET, POST and DELETE /users/ID/roles, the latter two with {"roles": [ID of a role]}; GET /users/ID/organizations, and POST and
  DELETE /organizations/ID/members with {"members": [ID of a user]}; 204 without a body;
- ids are not names: an organization is found at /organizations/name/NAME, a role in /roles, whose `name_filter` ignores the case
  and may find more, so names are compared;
- a user's roles within an organization are others than these, and are left alone.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from connector.errors import Rejected
from connector.providers.auth0.listing import array
from connector.providers.auth0.user import entry
from connector.providers.http import Rest
from connector.providers.reading import usable_id

ORGANIZATIONS, ROLES = "organizations", "roles"
KINDS = {ORGANIZATIONS: "organization", ROLES: "role"}
"""Where memberships are kept -> what they are called there."""
PAGE, PAGES = 100, 10
"""Entries in one page, and pages that are read."""
REFUSED = (404, 409)

Record = dict[str, Any]
Held = tuple[str, str]
"""Where a membership is kept, and its id."""


class Memberships:
    """places: those of KINDS that the operator chose. Users are told by ids that are usable."""

    def __init__(self, name: str, rest: Rest, places: Collection[str]) -> None:
        self._name = name
        self._rest = rest
        self._places = [one for one in KINDS if one in places]

    def entries(self, user_id: str) -> tuple[Mapping[str, Any], ...] | None:
        """All a user has; None where none are to be read. Raises Missing for a user who is gone."""
        found = [entry(str(one["name"]), KINDS[place]) for place in self._places for one in self._of(user_id, place)]
        return tuple(found) if self._places else None

    def held(self, user_id: str, key: str) -> list[Held]:
        """What a user has by this name."""
        return [(place, str(one.get("id"))) for place in self._places for one in self._of(user_id, place) if one["name"] == key]

    def named(self, what: str, key: str) -> Held:
        """The one organization or role with a name. Raises Rejected where there is none, or several."""
        found = [(place, one) for place in self._places for one in self._ids(what, place, key)]
        if not found:
            wanted = " and no ".join(KINDS[place] for place in self._places)
            raise Rejected(f"{self._name}: {what}: there is no {wanted} with the name {key}")
        if len(found) > 1:
            raise Rejected(f"{self._name}: {what}: more than one organization or role has the name {key}")
        return found[0]

    def write(self, what: str, user_id: str, one: Held, give: bool) -> bool:
        """Give or take it. Returns False where the user, or what is to be given, is not there."""
        place, its_id = one
        path, body = f"/users/{quote(user_id, safe='')}/roles", {"roles": [its_id]}
        if place == ORGANIZATIONS:
            path, body = f"/organizations/{quote(its_id, safe='')}/members", {"members": [user_id]}
        reply = self._rest.call(what, "POST" if give else "DELETE", path, body=body, accept=REFUSED)
        return reply.status_code not in REFUSED

    def _of(self, user_id: str, place: str) -> Iterator[Record]:
        path = f"/users/{quote(user_id, safe='')}/{place}"
        return (one for one in self._listed(f"read {place} of user {user_id}", path) if one.get("name"))

    def _ids(self, what: str, place: str, key: str) -> list[str]:
        if place == ORGANIZATIONS:
            reply = self._rest.call(what, "GET", f"/organizations/name/{quote(key, safe='')}", accept=(400, 404))
            found = [] if reply.status_code in (400, 404) else [self._rest.json(what, reply)]
        else:
            found = list(self._listed(what, "/roles", {"name_filter": key}))
        return [str(one["id"]) for one in found if one.get("name") == key and usable_id(one.get("id"))]

    def _listed(self, what: str, path: str, query: Mapping[str, str] | None = None) -> Iterator[Record]:
        for number in range(PAGES):
            asked = {**(query or {}), "page": str(number), "per_page": str(PAGE)}
            found = array(self._name, self._rest, what, path, asked)
            yield from found
            if len(found) < PAGE:
                return
