"""The vendors of the sandbox: what they deliver is what the adapters accept, and their APIs want the vendor's own key."""

from datetime import UTC, datetime

import pytest
import requests

from connector.model import Delivery
from connector.providers.memberstack import Habits
from connector.providers.memberstack import Memberstack as MemberstackProvider
from connector.providers.memberstack_member import USUAL, Words
from connector.providers.shopify.provider import Shop
from connector.providers.shopify.provider import Shopify as ShopifyProvider
from connector.sandbox.server import serve
from connector.sandbox.vendors import graphql, memberstack, shopify
from tests.sandbox.conftest import PACE


def taken(provider, receiver):
    """What a provider makes of all deliveries, in the order they came."""
    changes = []
    for headers, body in receiver.deliveries:
        pairs = tuple((name.lower(), value) for name, value in headers.items())
        delivery = Delivery("POST", receiver.url, pairs, body)
        provider.authenticate(delivery, datetime.now(UTC))
        changes += [provider.read_item(item.body, item.meta) for item in provider.split(delivery) if item.problem is None]
    return [(change.kind, change.record_id) for change in changes]


def test_a_life_at_memberstack(receiver):
    vendor = memberstack.Memberstack(webhook_url=receiver.url, pace=PACE)
    provider = MemberstackProvider(
        "members", [memberstack.SECRET], memberstack.KEY, Habits(Words(USUAL, {})), "http://127.0.0.1:9"
    )
    ada = vendor.register({"email": "ada@example.com"})
    for act in (
        lambda: vendor.edit(ada, {"customFields": {"first-name": "Ada"}}), lambda: vendor.consent(ada, "newsletter", True),
        lambda: vendor.add_plan(ada, "pln_gold"), lambda: vendor.cancel_plan(ada, "pln_gold"), lambda: vendor.remove(ada),
    ):  # fmt: skip
        assert vendor.flush_webhooks()
        act()
    assert vendor.flush_webhooks()
    kinds = ["user.created", "user.updated", "user.updated", "membership.added", "membership.removed", "user.deleted"]
    assert taken(provider, receiver) == [(kind, ada) for kind in kinds]


def test_a_life_at_shopify(receiver):
    vendor = shopify.Shopify(webhook_url=receiver.url, pace=PACE)
    provider = ShopifyProvider("shop", [shopify.SECRET], shopify.TOKEN, Shop(shopify.SHOP, "http://127.0.0.1:9"))
    ada = vendor.register({"email": "ada@example.com"})
    for act in (
        lambda: vendor.edit(ada, {"firstName": "Ada"}), lambda: vendor.consent(ada, "SUBSCRIBED"),
        lambda: vendor.consent(ada, "UNSUBSCRIBED"), lambda: vendor.tag(ada, "vip"), lambda: vendor.untag(ada, "vip"),
        lambda: vendor.join_company(ada, "Analytical Engines"), lambda: vendor.request_data(ada), lambda: vendor.redact(ada),
        lambda: vendor.remove(ada),
    ):  # fmt: skip
        assert vendor.flush_webhooks()
        act()
    assert vendor.flush_webhooks()
    kinds = [
        "user.created", "user.updated", "consent.granted", "consent.revoked", "membership.added", "membership.removed",
        "membership.added", "customers/data_request", "erasure.requested", "user.deleted",
    ]  # fmt: skip
    assert taken(provider, receiver) == [(kind, ada) for kind in kinds]


def test_a_merge_at_shopify(receiver):
    vendor = shopify.Shopify(webhook_url=receiver.url, pace=PACE)
    provider = ShopifyProvider("shop", [shopify.SECRET], shopify.TOKEN, Shop(shopify.SHOP, "http://127.0.0.1:9"))
    ada, other = (vendor.register({"email": f"{name}@example.com"}) for name in ("ada", "lovelace"))
    assert vendor.flush_webhooks()
    vendor.merge(ada, other)
    assert vendor.flush_webhooks()
    assert taken(provider, receiver)[2:] == [("user.updated", ada), ("user.deleted", other)]
    assert vendor.customer(other) is None


def test_an_attempt_is_repeated_with_the_same_id(receiver):
    receiver.answers.extend([500, 500])
    vendor = memberstack.Memberstack(webhook_url=receiver.url, pace=PACE)
    vendor.register({"email": "ada@example.com"})
    assert vendor.flush_webhooks()
    assert len(receiver.deliveries) == 3
    assert len({headers["svix-id"] for headers, _ in receiver.deliveries}) == 1


@pytest.mark.parametrize(
    ("make", "method", "path", "header", "key"),
    [(memberstack.Memberstack, "GET", "/members", "X-API-KEY", memberstack.KEY),
     (shopify.Shopify, "POST", "/admin/api/2026-07/graphql.json", "X-Shopify-Access-Token", shopify.TOKEN)],
)  # fmt: skip
def test_the_key_has_a_header_of_its_own(make, method, path, header, key):
    vendor = make()
    with serve(vendor.app) as server:
        body = {"query": "{ customers(first: 1) { nodes { id } pageInfo { hasNextPage } } }"}
        answers = [requests.request(method, server.url + path, headers=told, json=body, timeout=5).status_code
                   for told in ({header: key}, {"Authorization": f"Bearer {key}"}, {header: "another"}, {})]  # fmt: skip
    assert answers == [200, 401, 401, 401]
    assert len(vendor.calls) == 4


RESOLVERS = {"customer": lambda told: {"id": told["id"], "name": "Ada", "address": {"city": "London"}}}


class TestGraphQL:
    def test_what_is_selected_and_no_more(self):
        document = "query One($id: ID!) { ada: customer(id: $id) { id address { town: city } ... on Customer { name } } }"
        assert graphql.run(document, {"id": 7}, RESOLVERS) == {"ada": {"id": 7, "address": {"town": "London"}, "name": "Ada"}}

    @pytest.mark.parametrize(
        "document",
        ["{ customer(id: 1) { age } }", "{ order { id } }", "{ customer(id: 1) { address } }", "{ customer(id: 1) { id", ""],
    )
    def test_what_cannot_be_run(self, document):
        with pytest.raises(graphql.BadQuery):
            graphql.run(document, {}, RESOLVERS)

    def test_arguments(self):
        document = """mutation X($in: I!) { go(input: $in, list: [1, "two", THREE], more: {a: true, b: null}) }"""
        told = {}
        graphql.run(document, {"in": {"x": 1}}, {"go": lambda arguments: told.update(arguments)})
        assert told == {"input": {"x": 1}, "list": [1, "two", "THREE"], "more": {"a": True, "b": None}}
