"""The identity provider over HTTP: the generic REST profile, and what is under /sandbox.

The profile: bearer token; `GET /users/{id}` with ETag; `GET /users` by email, or page by page, or by `updated_since`;
POST with Idempotency-Key; PATCH as a JSON merge patch with If-Match; PUT for consents and memberships; DELETE, and POST for an
erasure. Errors are JSON: `error`, `message`, and `id` where another user is in the way.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.gate import Gate
from connector.sandbox.hands import common_routes
from connector.sandbox.page import render
from connector.sandbox.people import LOGIN, Person, Refused
from connector.sandbox.values import millis
from connector.sandbox.wire import Asked, BadRequest, Endpoint, Told, Work, endpoint, response

if TYPE_CHECKING:
    from connector.sandbox.identity import IdentityProvider

PAGE, MOST_PAGE = 100, 500
Place = tuple[int, int]
"""Where a user stands in a listing."""
UNAUTHORISED = Told({"error": "unauthorised", "message": "A bearer token is needed."}, 401, {"WWW-Authenticate": "Bearer"})


class Users:
    """The calls about users. Every method takes a request and gives its answer, or raises Refused."""

    def __init__(self, provider: "IdentityProvider") -> None:
        self._provider = provider
        self._people = provider.people
        self._keys: dict[str, tuple[bytes, Told]] = {}

    def read(self, asked: Asked) -> Told:
        """One user."""
        with self._people.lock:
            return _told(self._people.get(asked.params["id"]))

    def listed(self, asked: Asked) -> Told:
        """Users by email, or a page of all, or of those changed since."""
        with self._people.lock:
            if "email" in asked.query:
                found = self._people.find(asked.query["email"])
                return Told({"items": [found.user] if found else []})
            if "updated_since" not in asked.query:
                return self._page(asked, self._people.by_registration(), lambda one: (0, one.number), (0, 0))
            since = _moment(asked.query["updated_since"])
            return self._page(asked, self._people.by_change(), lambda one: (one.updated, one.number), (since, 0))

    def create(self, asked: Asked) -> Told:
        """A new user. The same Idempotency-Key gives the same answer again."""
        key, body = asked.headers.get("idempotency-key"), orjson.dumps(asked.body, option=orjson.OPT_SORT_KEYS)
        with self._people.lock:
            if key in self._keys:
                before, told = self._keys[key]
                if before != body:
                    raise Refused(422, "key_reused", "This Idempotency-Key came with another body before.")
                return told
            if not asked.body.get("email"):
                raise Refused(422, "invalid", "A user needs an email.", fields={"email": "is missing"})
            told = _told(self._people.add(asked.body), 201)
            if key:
                self._keys[key] = (body, told)
            return told

    def update(self, asked: Asked) -> Told:
        """Some fields of one user. Raises Refused with 412 when the user changed since the ETag that If-Match tells."""
        with self._people.lock:
            person = self._people.get(asked.params["id"])
            expected = asked.headers.get("if-match", "*")
            if expected != "*" and person.etag not in [one.strip() for one in expected.split(",")]:
                raise Refused(412, "stale", "The user changed since it was read.")
            self._people.change(person, asked.body)
            return _told(person)

    def consent(self, asked: Asked) -> Told:
        """The state of one consent."""
        with self._people.lock:
            person = self._people.get(asked.params["id"])
            self._people.consent(person, asked.params["purpose"], asked.body)
            return _told(person)

    def join(self, asked: Asked) -> Told:
        """A membership."""
        with self._people.lock:
            person = self._people.get(asked.params["id"])
            self._people.join(person, asked.params["key"], asked.body)
            return _told(person)

    def leave(self, asked: Asked) -> Told:
        """The end of a membership."""
        with self._people.lock:
            self._people.leave(self._people.get(asked.params["id"]), asked.params["key"])
        return Told(status=204)

    def remove(self, asked: Asked) -> Told:
        """Delete a user."""
        with self._people.lock:
            self._people.remove(self._people.get(asked.params["id"]))
        return Told(status=204)

    def erase(self, asked: Asked) -> Told:
        """Delete a user who asked to be forgotten."""
        with self._people.lock:
            self._people.remove(self._people.get(asked.params["id"]), erased=True)
        return Told(status=202)

    def _page(self, asked: Asked, people: list[Person], place: Callable[[Person], Place], first: Place) -> Told:
        """A page of users: those after the cursor's place, or after `first`."""
        faults, cursor = self._provider.faults, asked.query.get("cursor")
        after = _place(cursor) if cursor else first
        start, last = bisect_right(people, after, key=place), len(people)
        if faults.listing_truncated:
            last = bisect_right(people, first, key=place) + faults.listing_truncated
        if faults.listing_empty:
            last = 0
        shown = people[start : min(start + _limit(asked.query.get("limit")), last)]
        following = _cursor(place(shown[-1])) if start + len(shown) < min(last, len(people)) else None
        if faults.cursor_repeats and shown:
            following = _cursor(after)
        return Told({"items": [one.user for one in shown], "next_cursor": following})


def make_app(provider: "IdentityProvider") -> Starlette:
    """The app of a provider."""
    users = Users(provider)
    lines: list[tuple[str, str, Work]] = [
        ("GET", "/users", users.listed),
        ("POST", "/users", users.create),
        ("GET", "/users/{id}", users.read),
        ("PATCH", "/users/{id}", users.update),
        ("DELETE", "/users/{id}", users.remove),
        ("POST", "/users/{id}/erasure", users.erase),
        ("PUT", "/users/{id}/consents/{purpose}", users.consent),
        ("PUT", "/users/{id}/memberships/{key}", users.join),
        ("DELETE", "/users/{id}/memberships/{key}", users.leave),
    ]
    routes = [Route(path, endpoint(work, _refused), methods=[method]) for method, path, work in lines]
    gate = Middleware(
        Gate,
        token=provider.token,
        faults=lambda: provider.faults,
        calls=provider.calls,
        unauthorised=lambda: response(UNAUTHORISED),
    )
    return Starlette(routes=[*routes, *_hand_routes(provider)], middleware=[gate])


def _hand_routes(provider: "IdentityProvider") -> list[Route]:
    people = provider.people

    def does(act: Callable[[Person, Asked], object]) -> Work:
        def work(asked: Asked) -> Told:
            with people.lock:
                person = provider.person(asked.params["id"])
                act(person, asked)
                return Told(person.user)

        return work

    def gone(act: Callable[[str], object]) -> Work:
        def work(asked: Asked) -> Told:
            act(asked.params["id"])
            return Told(status=204)

        return work

    lines: list[tuple[str, str, Work]] = [
        ("GET", "", lambda asked: Told(provider.users())),
        ("POST", "", lambda asked: Told(provider.user(provider.register(asked.body)), 201)),
        ("GET", "/{id}", does(lambda one, asked: None)),
        ("PATCH", "/{id}", does(lambda one, asked: people.change(one, asked.body))),
        ("DELETE", "/{id}", gone(provider.remove)),
        ("POST", "/{id}/erasure", gone(provider.erase)),
        ("POST", "/{id}/login", does(lambda one, asked: people.log_in(one, {**LOGIN, **asked.body}))),
        ("PUT", "/{id}/consents/{purpose}", does(lambda one, asked: people.consent(one, asked.params["purpose"], asked.body))),
        ("PUT", "/{id}/memberships/{key}", does(lambda one, asked: people.join(one, asked.params["key"], asked.body))),
        ("DELETE", "/{id}/memberships/{key}", does(lambda one, asked: people.leave(one, asked.params["key"]))),
    ]
    own = [Route("/sandbox/users" + path, endpoint(work, _refused), methods=[method]) for method, path, work in lines]
    common = common_routes(provider, lambda: provider.faults, _refused)
    return [*own, *common, Route("/", _page(provider), methods=["GET"])]


def _page(provider: "IdentityProvider") -> Endpoint:
    tries = [
        """curl -X POST {url}/sandbox/users -d '{"email": "ada@example.com", "first_name": "Ada"}'""",
        """curl -X PATCH {url}/sandbox/users/ada@example.com -d '{"first_name": "Augusta"}'""",
        """curl -X PUT {url}/sandbox/users/ada@example.com/consents/newsletter -d '{"state": "granted"}'""",
        """curl -X PUT {url}/sandbox/users/ada@example.com/memberships/press -d '{}'""",
        """curl -X PUT {url}/sandbox/webhook -d '{"url": "http://127.0.0.1:8000/webhooks/identity/members"}'""",
    ]
    columns = ("id", "email", "first_name", "last_name", "updated_at")
    intro = f"An identity provider in memory (tenant {provider.tenant}), with the generic profile. Nothing leaves this machine."

    async def page(request: Request) -> Response:
        return render(request, "Sandbox identity provider", intro, "users", columns, provider.users(), tries)

    return page


def _told(person: Person, status: int = 200) -> Told:
    return Told(person.user, status, {"ETag": person.etag})


def _refused(error: Exception) -> Told | None:
    if isinstance(error, BadRequest):
        error = Refused(400, "bad_request", str(error))
    return Told(error.told(), error.status) if isinstance(error, Refused) else None


def _limit(text: str | None) -> int:
    if text is not None and (not text.isdecimal() or not int(text)):
        raise BadRequest("limit is a number above 0")
    return min(int(text or PAGE), MOST_PAGE)


def _moment(text: str) -> int:
    try:
        return millis(text.replace(" ", "+"))
    except (ValueError, OverflowError) as error:
        raise BadRequest("updated_since is a time, ISO 8601") from error


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode()


def _place(cursor: str) -> Place:
    try:
        first, second = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadRequest("cursor is not one of this listing") from error
    return int(first), int(second)
