"""Shopify keeps the promises of every provider, listing page by page or by bulk operations."""

import json

import pytest

from connector.providers.shopify.provider import Shop, Shopify
from connector.sandbox.vendors import shopify as vendor
from connector.testing import Reply
from tests.providers.sandboxed import Sandboxed
from tests.providers.shopify.test_webhooks import CONSENT, fixture, signed

ID = "706405506930370001"
NAMES = {
    "user.created": ("customers_create", "customers/create"), "user.updated": ("customers_update", "customers/update"),
    "user.deleted": ("customers_delete", "customers/delete"), "erasure.requested": ("customers_redact", "customers/redact"),
    "consent.granted": ("customers_email_marketing_consent_update_subscribed", CONSENT),
    "consent.revoked": ("customers_email_marketing_consent_update_unsubscribed", CONSENT),
    "membership.added": ("customer_tags_added", "customer.tags_added"),
    "membership.removed": ("customer_tags_removed", "customer.tags_removed"),
}  # fmt: skip


class TestShopify(Sandboxed):
    secrets = (vendor.SECRET, vendor.TOKEN)
    proof = ("x-shopify-hmac-sha256",)
    user_id = ID
    events = {kind: fixture(name).replace(b"706405506930370084", ID.encode()) for kind, (name, _) in NAMES.items()}
    unknown = ("orders/paid", b'{"id":1}')
    new = {"email": "grace.canary@example.com", "first_name": "Grace", "custom.note": "by hand"}
    edit = {"first_name": "Augusta", "phone": "+34600999888"}
    cleared = ("last_name", "phone")
    purpose = "email_marketing"
    bulk = False

    def make(self, url):
        shop = Shop(vendor.SHOP, url + vendor.PATH.format(version="2026-07"), bulk=self.bulk)
        return Shopify("shop", [vendor.SECRET], vendor.TOKEN, shop, sleep=lambda seconds: None)

    def deliver(self, body, event, at, wrong, number):
        topic = NAMES[event][1] if event in NAMES else event
        return signed(body, topic, f"w-{number}", "another-secret" if wrong else vendor.SECRET)

    def app(self):
        shop = vendor.Shopify()
        shop.register({"email": self.email, "firstName": "Ada", "lastName": "Lovelace", "phone": "+34600123456", "tags": ["vip"]})
        return shop.app

    def page(self, cursor):
        listing = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": cursor}}
        return Reply(200, json.dumps({"data": {"customers": listing}}).encode())


class TestByBulkOperation(TestShopify):
    bulk = True

    def page(self, cursor):
        return None

    @pytest.fixture(autouse=True)
    def only_listing(self, request):
        if "list" not in request.node.name and "answer" not in request.node.name:
            pytest.skip("as page by page")
