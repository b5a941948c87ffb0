"""Groups and realm roles of a realm's users: read, given and taken.

Facts (Keycloak admin REST API 26, its source for role mappings and groups by path):
- GET /users/ID/groups and /users/ID/role-mappings/realm tell what is given directly, not what follows from it;
- PUT and DELETE /users/ID/groups/ID-OF-GROUP, POST and DELETE /users/ID/role-mappings/realm with a list of roles, each with its
  id and name; 204, also for what is so already;
- a group is found by its path at /group-by-path/PATH; the roles a client may give, and the user has not, are listed at
  /users/ID/role-mappings/realm/available, for which `view-users` suffices.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from connector.errors import Rejected
from connector.providers.http import Rest
from connector.providers.keycloak.listing import Listing, Record
from connector.providers.keycloak.user import entry
from connector.providers.reading import usable_id

GROUPS, ROLES = "groups", "realm_roles"
KINDS = {GROUPS: "group", ROLES: "role"}
"""Where memberships are kept -> what they are called there."""
REFUSED = (404, 409)

Held = tuple[str, Record]
"""Where a membership is kept, and the group or role."""


class Memberships:
    """places: those of KINDS that the operator chose. Users are told by ids that are usable."""

    def __init__(self, name: str, rest: Rest, listing: Listing, places: Collection[str]) -> None:
        self._name = name
        self._rest = rest
        self._listing = listing
        self.places = tuple(one for one in KINDS if one in places)

    def entries(self, user_id: str) -> tuple[Mapping[str, Any], ...] | None:
        """All a user has; None where none are to be read. Raises Missing for a user who is gone."""
        found = [entry(_key(place, one), KINDS[place]) for place in self.places for one in self._of(user_id, place)]
        return tuple(found) if self.places else None

    def held(self, user_id: str, key: str) -> list[Held]:
        """What a user has by this path or name."""
        return [(place, one) for place in self.places for one in self._of(user_id, place) if _key(place, one) == key]

    def named(self, what: str, user_id: str, key: str) -> Held:
        """The one group or role with this path or name. Raises Rejected where there is none, or one of each."""
        found = [(place, one) for place in self.places for one in self._known(what, user_id, place, key)]
        if not found:
            wanted = " and no ".join(KINDS[place] for place in self.places)
            raise Rejected(f"{self._name}: {what}: there is no {wanted} {key} that this client may give")
        if len(found) > 1:
            raise Rejected(f"{self._name}: {what}: both a group and a role are called {key}")
        return found[0]

    def write(self, what: str, user_id: str, one: Held, give: bool) -> bool:
        """Give or take it. Returns False where the user, or what is to be given, is not there."""
        place, record = one
        user, its_id = f"/users/{quote(user_id, safe='')}", quote(str(record.get("id")), safe="")
        if place == GROUPS:
            reply = self._rest.call(what, "PUT" if give else "DELETE", f"{user}/groups/{its_id}", accept=REFUSED)
        else:
            body, path = [{"id": record.get("id"), "name": record["name"]}], f"{user}/role-mappings/realm"
            reply = self._rest.call(what, "POST" if give else "DELETE", path, body=body, accept=REFUSED)
        return reply.status_code not in REFUSED

    def _of(self, user_id: str, place: str) -> Iterator[Record]:
        user = f"/users/{quote(user_id, safe='')}"
        if place == GROUPS:
            for page in self._listing.all(f"read groups of user {user_id}", f"{user}/groups?briefRepresentation=true"):
                yield from page
        else:
            roles = self._listing.page(f"read roles of user {user_id}", f"{user}/role-mappings/realm", {})
            yield from (one for one in roles if one.get("name"))

    def _known(self, what: str, user_id: str, place: str, key: str) -> list[Record]:
        if place == GROUPS:
            reply = self._rest.call(what, "GET", f"/group-by-path/{quote(key)}", accept=(404,)) if _is_path(key) else None
            found = [self._rest.json(what, reply)] if reply is not None and reply.status_code != 404 else []
        else:
            found = self._listing.page(what, f"/users/{quote(user_id, safe='')}/role-mappings/realm/available", {})
        return [one for one in found if _key(place, one) == key and usable_id(one.get("id"))]


def _key(place: str, one: Record) -> str:
    """A group's path, which names a top group by its name alone; a role's name."""
    if place == GROUPS:
        return str(one.get("path") or one.get("name") or one.get("id")).lstrip("/")
    return str(one.get("name"))


def _is_path(key: str) -> bool:
    """Whether each part of it can be a group's name in an address."""
    return all(usable_id(part) for part in key.split("/"))
