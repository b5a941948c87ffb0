"""Shopify in memory: its Admin GraphQL API on `app`, signed webhooks, and methods that act as customers and staff would.

Use: shop = Shopify(webhook_url=...); with serve(shop.app) as server: shop.register({"email": "ada@example.com"})
"""

import base64
import copy
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.courier import Courier, Event, Pace
from connector.sandbox.faults import IdentityFaults
from connector.sandbox.gate import Gate
from connector.sandbox.hands import common_routes
from connector.sandbox.side import Side
from connector.sandbox.vendors import graphql
from connector.sandbox.vendors.shopify_api import Api, Points
from connector.sandbox.vendors.shopify_store import Customer, Customers, Refused, hook
from connector.sandbox.wire import Asked, BadRequest, Told, endpoint, response

TOKEN = "shpat_sandbox_0001"
SECRET = "sandbox-client-secret-0001"
SHOP = "sandbox.myshopify.com"
PATH = "/admin/api/{version}/graphql.json"
VERSION = "2026-07"


class Shopify(Side):
    """One shop. For any number of threads.

    token: Admin access token. secret: the app's client secret, which signs webhooks. faults: see `faults.IdentityFaults`.
    What is done through the methods here is no API call; they raise `Refused`. Customers are named by number or email.
    """

    def __init__(
        self,
        token: str = TOKEN,
        secret: str = SECRET,
        webhook_url: str | None = None,
        faults: IdentityFaults | None = None,
        seed: int = 0,
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(Courier(self._pack, lambda: self.faults, webhook_url, replace(pace or Pace(window=0), most=1), seed))
        self.token = token
        self.secret = secret
        self.faults = faults or IdentityFaults()
        self.customers = Customers(self._tell, clock)
        self.points = Points(clock)
        self._api = Api(self.customers, lambda: self.faults)
        self._clock = clock
        self._sent = 0

    @cached_property
    def app(self) -> Starlette:
        """The API, and the files that bulk operations leave."""
        gate = Middleware(
            Gate,
            token=self.token,
            header="x-shopify-access-token",
            faults=lambda: self.faults,
            calls=self.calls,
            unauthorised=lambda: response(Told({"errors": "[API] Invalid API key or access token"}, 401)),
        )
        routes = [
            Route(PATH, endpoint(self._answer, _refused), methods=["POST"]),
            Route("/sandbox/files/{number}", self._file, methods=["GET"]),
            *common_routes(self, lambda: self.faults, _refused),
        ]
        return Starlette(routes=routes, middleware=[gate])

    # what customers and staff do

    def register(self, values: Mapping[str, Any]) -> str:
        """A new customer, in the names of a CustomerInput. Returns the number."""
        with self.customers.lock:
            return str(self.customers.add(values)["legacyResourceId"])

    def edit(self, who: str, values: Mapping[str, Any]) -> None:
        """Change some fields."""
        with self.customers.lock:
            self.customers.change(self.customers.get(who), values)

    def consent(self, who: str, state: str, at: str | None = None) -> None:
        """Subscribe to mails, or leave: SUBSCRIBED, UNSUBSCRIBED, PENDING."""
        with self.customers.lock:
            self.customers.consent(self.customers.get(who), {"marketingState": state, "consentUpdatedAt": at})

    def tag(self, who: str, *tags: str) -> None:
        """Add tags."""
        with self.customers.lock:
            self.customers.tag(self.customers.get(who), tags)

    def untag(self, who: str, *tags: str) -> None:
        """Take tags away."""
        with self.customers.lock:
            self.customers.untag(self.customers.get(who), tags)

    def join_company(self, who: str, name: str, external_id: str | None = None) -> None:
        """Make a customer a contact of a company."""
        with self.customers.lock:
            self.customers.join(self.customers.get(who), name, external_id)

    def order(self, who: str) -> None:
        """Buy something: nobody deletes this customer any more."""
        with self.customers.lock:
            self.customers.get(who)["canDelete"] = False

    def merge(self, kept: str, dropped: str) -> None:
        """Make one customer of two."""
        with self.customers.lock:
            self.customers.merge(self.customers.get(kept), self.customers.get(dropped))

    def remove(self, who: str) -> None:
        """Delete a customer without orders."""
        with self.customers.lock:
            self.customers.remove(self.customers.get(who))

    def redact(self, who: str) -> None:
        """Tell apps to forget somebody, as Shopify does after an erasure was requested."""
        with self.customers.lock:
            self._compliance("customers/redact", who, orders_to_redact=[])

    def request_data(self, who: str) -> None:
        """Tell apps that somebody asks for the data held."""
        with self.customers.lock:
            self._compliance("customers/data_request", who, orders_requested=[], data_request={"id": 9999})

    def uninstalled(self) -> None:
        """Tell the app to forget the shop."""
        self._tell("shop/redact", {"shop_id": 1, "shop_domain": SHOP})

    def customer(self, who: str) -> Customer | None:
        """One customer as the API tells it; None when there is none."""
        with self.customers.lock:
            return copy.deepcopy(self.customers.find(who))

    # the API

    def _answer(self, asked: Asked) -> Told:
        document, variables = str(asked.body.get("query")), asked.body.get("variables") or {}
        cost, left = self.points.spend(variables)
        more = {
            "extensions": {"cost": {"requestedQueryCost": cost, "actualQueryCost": cost if left else None, **self.points.told()}}
        }
        if not left:
            return Told({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], **more})
        try:
            with self.customers.lock:
                return Told(
                    {"data": graphql.run(document, variables, self._api.resolvers(asked.headers.get("host", ""))), **more}
                )
        except graphql.BadQuery as error:
            return Told({"errors": [{"message": str(error), "extensions": {"code": error.code}}]})

    async def _file(self, request: Request) -> Response:
        return Response(self._api.files[int(request.path_params["number"])], media_type="application/jsonl")

    # webhooks

    def _compliance(self, topic: str, who: str, **more: Any) -> None:
        body = hook(self.customers.get(who))
        person = {name: body[name] for name in ("id", "email", "phone")}
        self._tell(topic, {"shop_id": 1, "shop_domain": SHOP, "customer": person, **more})

    def _tell(self, topic: str, body: Mapping[str, Any]) -> None:
        self._sent += 1
        number = f"{self._sent:08}-0000-4000-8000-000000000000"
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(self._clock()))
        headers = {"X-Shopify-Topic": topic, "X-Shopify-Shop-Domain": SHOP, "X-Shopify-API-Version": VERSION,
                   "X-Shopify-Webhook-Id": number, "X-Shopify-Event-Id": f"e{number}", "X-Shopify-Triggered-At": at}  # fmt: skip
        self.courier.send([{"headers": headers, "body": copy.deepcopy(body)}])

    def _pack(self, url: str, events: Sequence[Event], attempt: int) -> tuple[bytes, Mapping[str, str]]:
        body = orjson.dumps(events[0]["body"])
        signature = base64.b64encode(hmac.new(self.secret.encode(), body, hashlib.sha256).digest()).decode()
        return body, {"Content-Type": "application/json", **events[0]["headers"], "X-Shopify-Hmac-Sha256": signature}


def _refused(error: Exception) -> Told | None:
    if isinstance(error, BadRequest | Refused):
        return Told({"errors": str(error)}, 400)
    return None
