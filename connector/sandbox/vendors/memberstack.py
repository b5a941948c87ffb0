"""Memberstack in memory: its Admin REST API on `app`, webhooks signed as Svix does, and methods that act as its members would.

vendor = Memberstack(webhook_url="http://127.0.0.1:8000/webhooks/identity/members")
with serve(vendor.app) as server:
    vendor.register({"email": "ada@example.com", "customFields": {"first-name": "Ada"}})
"""

import copy
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from connector.sandbox import signing
from connector.sandbox.courier import Courier, Event, Pace
from connector.sandbox.faults import IdentityFaults
from connector.sandbox.gate import Gate
from connector.sandbox.hands import common_routes
from connector.sandbox.side import Side
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, BadRequest, Told, Work, endpoint, response

KEY = "sk_sb_sandbox_0001"
SECRET = "whsec_c2FuZGJveC1tZW1iZXJzdGFjay0wMDAxLWtleQ=="
PAGE, MOST_PAGE = 50, 100
MERGED = ("customFields", "metaData")
"""Maps that an update merges name by name."""
WRITABLE = ("email", "verified", "json", "loginRedirect", "profileImage", *MERGED)

Member = dict[str, Any]


class Refused(Exception):
    """What the vendor does not do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Memberstack(Side):
    """One app with its members. For any number of threads.

    key: the secret API key. secret: of the webhook endpoint. faults: see `faults.IdentityFaults`. clock: epoch seconds.
    What is done through the methods here is no API call; they raise `Refused`.
    """

    def __init__(
        self,
        key: str = KEY,
        secret: str = SECRET,
        webhook_url: str | None = None,
        faults: IdentityFaults | None = None,
        seed: int = 0,
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        signing.standard_key(secret)
        super().__init__(Courier(self._pack, lambda: self.faults, webhook_url, replace(pace or Pace(window=0), most=1), seed))
        self.key = key
        self.secret = secret
        self.faults = faults or IdentityFaults()
        self._clock = clock
        self._lock = threading.RLock()
        self._members: dict[str, Member] = {}
        self._numbers = itertools.count(1)
        self._passwords: dict[str, str] = {}
        self.paid: set[str] = set()
        """Plans that cost something: the API neither gives nor takes them."""
        self.stripe: list[tuple[str, bool, bool]] = []
        """Deletions: the member, whether its Stripe customer went, too, and whether subscriptions were cancelled."""

    @cached_property
    def app(self) -> Starlette:
        """The API."""
        lines: list[tuple[str, str, Work]] = [
            ("GET", "/members", self._listed),
            ("POST", "/members", self._create),
            ("GET", "/members/{id}", self._read),
            ("PATCH", "/members/{id}", self._update),
            ("DELETE", "/members/{id}", self._delete),
            ("POST", "/members/{id}/add-plan", lambda asked: self._plan(asked, self.add_plan)),
            ("POST", "/members/{id}/remove-plan", lambda asked: self._plan(asked, self.cancel_plan)),
        ]
        routes = [Route(path, endpoint(work, _refused), methods=[method]) for method, path, work in lines]
        gate = Middleware(
            Gate,
            token=self.key,
            header="x-api-key",
            faults=lambda: self.faults,
            calls=self.calls,
            unauthorised=lambda: response(Told({"code": "unauthorized", "message": "Invalid API key."}, 401)),
        )
        return Starlette(routes=[*routes, *common_routes(self, lambda: self.faults, _refused)], middleware=[gate])

    # what a member does

    def register(self, values: Mapping[str, Any]) -> str:
        """Sign up. Returns the new member's id."""
        with self._lock:
            return str(self._add(values)["id"])

    def edit(self, member_id: str, values: Mapping[str, Any]) -> None:
        """Change the profile, as PATCH does."""
        with self._lock:
            self._change(self._get(member_id), values)

    def consent(self, member_id: str, field: str, value: Any) -> None:
        """Tick or clear a box, which is a custom field."""
        self.edit(member_id, {"customFields": {field: value}})

    def add_plan(self, member_id: str, plan_id: str) -> None:
        """Start a plan."""
        with self._lock:
            member = self._get(member_id)
            connection = {
                "id": f"con_sb_{next(self._numbers)}", "active": True, "status": "ACTIVE", "planId": plan_id, "planName": plan_id,
                "type": "SUBSCRIPTION" if plan_id in self.paid else "FREE", "payment": None,
            }  # fmt: skip
            member["planConnections"].append(connection)
            self._tell("member.plan.added", {"member": {"id": member["id"]}, "planConnection": connection})

    def cancel_plan(self, member_id: str, plan_id: str) -> None:
        """End a plan; it stays listed, inactive."""
        with self._lock:
            member = self._get(member_id)
            for one in member["planConnections"]:
                if one["planId"] == plan_id and one["active"]:
                    one |= {"active": False, "status": "CANCELED"}
                    self._tell("member.plan.canceled", {"id": member["id"], "planConnection": one})

    def remove(self, member_id: str) -> None:
        """Close the account."""
        with self._lock:
            del self._members[self._get(member_id)["id"]]
            self._tell("member.deleted", {"id": member_id})

    def member(self, id_or_email: str) -> Member | None:
        """One member as the API tells it; None when there is none."""
        with self._lock:
            return copy.deepcopy(self._find(id_or_email))

    def members(self) -> list[Member]:
        """Everybody, in the order of registration."""
        with self._lock:
            return copy.deepcopy(list(self._members.values()))

    def password(self, member_id: str) -> str:
        """What a member logs in with."""
        return self._passwords[member_id]

    # the API

    def _read(self, asked: Asked) -> Told:
        return Told({"data": self.member(asked.params["id"])})

    def _listed(self, asked: Asked) -> Told:
        limit = min(_number(asked.query.get("limit"), PAGE), MOST_PAGE)
        after = _number(asked.query.get("after"), 0)
        members = self.members()
        total = len(members)
        if self.faults.listing_truncated:
            members = members[: self.faults.listing_truncated]
        if self.faults.listing_empty:
            members, total = [], 0
        shown = members[after : after + limit]
        end = after if self.faults.cursor_repeats else after + len(shown)
        more = after + len(shown) < len(members) or (self.faults.cursor_repeats and bool(shown))
        return Told({"data": shown, "totalCount": total, "endCursor": end, "hasNextPage": more})

    def _create(self, asked: Asked) -> Told:
        if not asked.body.get("email") or not asked.body.get("password"):
            raise Refused(400, "missing-fields", "Email and password are required.")
        given = {name: value for name, value in asked.body.items() if name not in ("password", "plans")}
        with self._lock:
            member = self._add(given)
            self._passwords[member["id"]] = str(asked.body["password"])
            return Told({"data": copy.deepcopy(member)})

    def _update(self, asked: Asked) -> Told:
        with self._lock:
            member = self._get(asked.params["id"])
            self._change(member, asked.body)
            return Told({"data": copy.deepcopy(member)})

    def _delete(self, asked: Asked) -> Told:
        member_id = asked.params["id"]
        self.remove(member_id)
        self.stripe.append((member_id, asked.body.get("deleteStripeCustomer") is True,
                            asked.body.get("cancelStripeSubscriptions") is True))  # fmt: skip
        return Told({"data": {"id": member_id}})

    def _plan(self, asked: Asked, act: Callable[[str, str], None]) -> Told:
        plan_id = asked.body.get("planId")
        with self._lock:
            self._get(asked.params["id"])
            if not isinstance(plan_id, str) or not plan_id.startswith("pln_") or plan_id in self.paid:
                raise Refused(400, "invalid-plan", "The plan is not free, or is not there.")
            act(asked.params["id"], plan_id)
        return Told()

    # members

    def _find(self, id_or_email: str) -> Member | None:
        wanted = id_or_email.strip().lower()
        found = (one for one in self._members.values() if one["auth"]["email"].lower() == wanted)
        return self._members.get(id_or_email) or next(found, None)

    def _get(self, member_id: str) -> Member:
        member = self._members.get(member_id)
        if member is None:
            raise Refused(404, "not-found", "There is no such member.")
        return member

    def _add(self, values: Mapping[str, Any]) -> Member:
        self._check(values, None)
        member: Member = {
            "id": f"mem_sb_{next(self._numbers):06}", "auth": {"email": values["email"]},
            "verified": values.get("verified") is True,
            "customFields": dict(values.get("customFields") or {}), "metaData": dict(values.get("metaData") or {}),
            "json": values.get("json"), "permissions": [], "planConnections": [], "createdAt": iso(self._now()),
            "lastLogin": iso(self._now()), "loginRedirect": None, "profileImage": None, "stripeCustomerId": None,
        }  # fmt: skip
        self._members[member["id"]] = member
        self._tell("member.created", _shown(member))
        return member

    def _change(self, member: Member, values: Mapping[str, Any]) -> None:
        self._check(values, member)
        before = copy.deepcopy(member)
        for name, value in values.items():
            if name == "email":
                member["auth"] = {"email": value}
            else:
                member[name] = {**member[name], **(value or {})} if name in MERGED else value
        if member != before:
            self._tell("member.updated", _shown(member))

    def _check(self, values: Mapping[str, Any], member: Member | None) -> None:
        if unknown := sorted(values.keys() - set(WRITABLE)):
            raise Refused(400, "invalid-fields", f"Unknown fields: {', '.join(unknown)}.")
        if "email" in values or member is None:
            email = values.get("email")
            if not isinstance(email, str) or "@" not in email:
                raise Refused(400, "invalid-email", "A valid email is required.")
            holder = self._find(email)
            if holder is not None and holder is not member:
                raise Refused(400, "email-already-in-use", "This email is already in use.")

    # webhooks

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _tell(self, event: str, payload: Mapping[str, Any]) -> None:
        self.courier.send([{"event": event, "timestamp": self._now(), "payload": copy.deepcopy(payload),
                            "message": f"msg_sb_{next(self._numbers):08}"}])  # fmt: skip

    def _pack(self, url: str, events: Sequence[Event], attempt: int) -> tuple[bytes, Mapping[str, str]]:
        """One event on its way: all attempts have the same id, and a timestamp of their own."""
        event = dict(events[0])
        message, body = event.pop("message"), orjson.dumps(event)
        signed = signing.standard(self.secret, message, body, self._clock())
        headers = {name.replace("webhook-", "svix-"): value for name, value in signed.items()}
        return body, {"Content-Type": "application/json", "User-Agent": "Svix-Webhooks/sandbox", **headers}


def _shown(member: Member) -> Member:
    """What events tell of a member."""
    return {name: member[name] for name in ("id", "auth", "verified", "metaData", "customFields", "planConnections", "createdAt")}


def _number(text: str | None, usual: int) -> int:
    if text is not None and not text.isdecimal():
        raise BadRequest("expected a number")
    return int(text or usual)


def _refused(error: Exception) -> Told | None:
    if isinstance(error, BadRequest):
        error = Refused(400, "bad-request", str(error))
    return Told({"code": error.code, "message": str(error)}, error.status) if isinstance(error, Refused) else None
