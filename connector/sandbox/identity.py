"""An identity provider in memory: its API on `app`, signed webhooks, and methods that act as its users would.

Use:
    people = IdentityProvider(token="T", webhook_url="http://127.0.0.1:8000/webhooks/identity/members")
    with serve(people.app) as server:
        people.register({"email": "ada@example.com", "first_name": "Ada"})
"""

import copy
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import orjson
from starlette.applications import Starlette

from connector.sandbox import signing
from connector.sandbox.courier import Courier, Event, Pace
from connector.sandbox.faults import Answer, IdentityFaults
from connector.sandbox.identity_app import make_app
from connector.sandbox.people import LOGIN, People, Person, Refused
from connector.sandbox.side import Side
from connector.sandbox.values import iso

__all__ = ["Answer", "IdentityFaults", "IdentityProvider"]

SECRET = "whsec_c2FuZGJveC1pZGVudGl0eS1zZWNyZXQtMDAwMQ=="


class IdentityProvider(Side):
    """One identity provider. For any number of threads.

    secret: of Standard Webhooks, `whsec_` and base64. tenant: named in every event.
    faults: see `faults.IdentityFaults`; may be changed at any time. clock: epoch seconds. seed: of everything left to chance.
    What is done through the methods here is not an API call: not counted, told by webhooks. They raise `people.Refused`
    where the provider would not allow it.
    """

    def __init__(
        self,
        token: str = "sandbox-token",
        secret: str = SECRET,
        webhook_url: str | None = None,
        faults: IdentityFaults | None = None,
        seed: int = 0,
        *,
        tenant: str = "sandbox",
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        signing.standard_key(secret)
        pace = replace(pace or Pace(window=0), most=1)
        super().__init__(Courier(self._pack, lambda: self.faults, webhook_url, pace, seed))
        self.token = token
        self.secret = secret
        self.tenant = tenant
        self.faults = faults or IdentityFaults()
        self.people = People(self._tell, clock)
        self._clock = clock
        self._numbers = itertools.count(1)

    @cached_property
    def app(self) -> Starlette:
        """The provider over HTTP."""
        return make_app(self)

    # what a person does

    def register(self, values: Mapping[str, Any]) -> str:
        """Make a user. Returns its id, which `values` may choose."""
        given = dict(values)
        with self.people.lock:
            return str(self.people.add(given, given.pop("id", None)).user["id"])

    def edit(self, user_id: str, values: Mapping[str, Any]) -> None:
        """Change a user: a JSON merge patch, None empties a field."""
        with self.people.lock:
            self.people.change(self.person(user_id), values)

    def consent(self, user_id: str, purpose: str, state: str, **more: Any) -> None:
        """Set a consent: granted, revoked, pending or unknown. more: channel, scope, level, source, at, text_version."""
        with self.people.lock:
            self.people.consent(self.person(user_id), purpose, {"state": state, **more})

    def join(self, user_id: str, key: str, **more: Any) -> None:
        """Give a user a membership. more: kind, since, until."""
        with self.people.lock:
            self.people.join(self.person(user_id), key, more)

    def leave(self, user_id: str, key: str) -> None:
        """End a membership."""
        with self.people.lock:
            self.people.leave(self.person(user_id), key)

    def login(self, user_id: str, **details: Any) -> None:
        """Log a user in. details: what the event tells beside the user, such as entry_point and ip_country."""
        with self.people.lock:
            self.people.log_in(self.person(user_id), {**LOGIN, **details})

    def remove(self, user_id: str) -> None:
        """Delete a user."""
        with self.people.lock:
            self.people.remove(self.person(user_id))

    def erase(self, user_id: str) -> None:
        """Delete a user who asked to be forgotten."""
        with self.people.lock:
            self.people.remove(self.person(user_id), erased=True)

    # what a person sees

    def person(self, id_or_email: str) -> Person:
        """One user as stored. Raises Refused."""
        return self.people.find(id_or_email) or self.people.get(id_or_email)

    def user(self, id_or_email: str) -> dict[str, Any] | None:
        """One user as the API tells it; None when there is none."""
        with self.people.lock:
            try:
                return copy.deepcopy(self.person(id_or_email).user)
            except Refused:
                return None

    def users(self) -> list[dict[str, Any]]:
        """Everybody, in the order of registration."""
        with self.people.lock:
            return [copy.deepcopy(one.user) for one in self.people.by_registration()]

    def _tell(self, kind: str, user: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        now = self._clock()
        if self.faults.thin_events:
            user = {"id": user["id"], "email": user["email"]}
        event = {"id": f"evt_{next(self._numbers):06}_{int(now * 1000)}", "type": kind, "occurred_at": iso(int(now * 1000))}
        self.courier.send([{**event, "tenant": self.tenant, "data": {"user": user, **more}}])

    def _pack(self, url: str, events: Sequence[Event], attempt: int) -> tuple[bytes, Mapping[str, str]]:
        body = orjson.dumps(events[0])
        headers = {"Content-Type": "application/json", "User-Agent": "sandbox-identity"}
        return body, headers | signing.standard(self.secret, events[0]["id"], body, self._clock())
