"""Shopify's deliveries: one file of fixtures per topic and case, and what senders and forgers get wrong."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.errors import BadDelivery, BadSignature
from connector.model import USER_KINDS, Delivery
from connector.providers.shopify.customers import Wanted
from connector.providers.shopify.provider import Shop, Shopify
from connector.providers.shopify.webhooks import CONSENTS, KINDS

FIXTURES = Path(__file__).parent / "fixtures"
SECRET = "hush-test-secret"
DOMAIN = "sandbox.myshopify.com"
ID = "706405506930370084"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOP = Shopify("shop", [SECRET, "hush-former-secret"], "shpat_test_0001", Shop(DOMAIN, "http://127.0.0.1:9/graphql.json"))
CONSENT = "customers_email_marketing_consent/update"
EXPECTED = {
    "customers_create": ("customers/create", "user.created"),
    "customers_update": ("customers/update", "user.updated"),
    "customers_update_before_2025_01": ("customers/update", "user.updated"),
    "customers_update_without_email": ("customers/update", "user.updated"),
    "customers_enable": ("customers/enable", "user.updated"),
    "customers_disable": ("customers/disable", "user.updated"),
    "customers_delete": ("customers/delete", "user.deleted"),
    "customers_purchasing_summary": ("customers/purchasing_summary", "customers/purchasing_summary"),
    "customers_email_marketing_consent_update_subscribed": (CONSENT, "consent.granted"),
    "customers_email_marketing_consent_update_unsubscribed": (CONSENT, "consent.revoked"),
    "customers_email_marketing_consent_update_pending": (CONSENT, "user.updated"),
    "customers_email_marketing_consent_update_not_subscribed": (CONSENT, "user.updated"),
    "customers_marketing_consent_update_subscribed": ("customers_marketing_consent/update", "consent.granted"),
    "customers_marketing_consent_update_unsubscribed": ("customers_marketing_consent/update", "consent.revoked"),
    "customers_whats_app_marketing_consent_update_subscribed": (
        "customers_whats_app_marketing_consent/update",
        "consent.granted",
    ),
    "customer_tags_added": ("customer.tags_added", "membership.added"),
    "customer_tags_removed": ("customer.tags_removed", "membership.removed"),
    "customer_joined_segment": ("customer.joined_segment", "membership.added"),
    "customer_left_segment": ("customer.left_segment", "membership.removed"),
    "company_contacts_create": ("company_contacts/create", "membership.added"),
    "company_contacts_update": ("company_contacts/update", "user.updated"),
    "company_contacts_delete": ("company_contacts/delete", "membership.removed"),
    "company_contact_roles_assign": ("company_contact_roles/assign", "membership.added"),
    "company_contact_roles_revoke": ("company_contact_roles/revoke", "membership.removed"),
    "customers_redact": ("customers/redact", "erasure.requested"),
    "customers_data_request": ("customers/data_request", "customers/data_request"),
}
NOBODYS = {
    "company_contacts_delete_without_customer": "company_contacts/delete",
    "shop_redact": "shop/redact",
    "app_uninstalled": "app/uninstalled",
    "bulk_operations_finish": "bulk_operations/finish",
}
"""Stored and counted under the topic's own name: nobody to look at."""
MERGE = "customers_merge"


def fixture(name):
    return (FIXTURES / f"{name}.json").read_bytes()


def signed(body, topic, webhook="b54557e4", secret=SECRET, **headers):
    """A request as Shopify sends it."""
    signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    told = {
        "x-shopify-topic": topic, "x-shopify-shop-domain": DOMAIN, "x-shopify-api-version": "2026-07",
        "x-shopify-hmac-sha256": signature, "x-shopify-webhook-id": webhook, "x-shopify-event-id": f"e-{webhook}",
        "x-shopify-triggered-at": "2026-01-01T00:00:00.877041743Z",
    }  # fmt: skip
    told |= {f"x-shopify-{name.replace('_', '-')}": value for name, value in headers.items()}
    pairs = tuple((name, value) for name, value in told.items() if value is not None)
    return Delivery("POST", "https://connector.test/webhooks/identity/shop", pairs, body)


def read(name, topic, provider=SHOP):
    (item,) = provider.split(signed(fixture(name), topic))
    assert item.problem is None
    return provider.read_item(item.body, item.meta)


def test_every_topic_we_know_has_a_fixture_and_every_fixture_a_test():
    assert {path.stem for path in FIXTURES.glob("*.json")} == {*EXPECTED, *NOBODYS, MERGE}
    assert {*KINDS, *CONSENTS} <= {topic.replace(".", "/") for topic, _ in EXPECTED.values()} | {"customers/merge"}


@pytest.mark.parametrize(("name", "topic", "kind"), [(name, *what) for name, what in EXPECTED.items()])
def test_every_topic(name, topic, kind):
    sent = signed(fixture(name), topic)
    SHOP.authenticate(sent, NOW)
    (item,) = SHOP.split(sent)
    assert (item.sender_id, item.problem, item.body) == ("b54557e4", None, fixture(name))
    change = SHOP.read_item(item.body, item.meta)
    assert (change.kind, change.record_id) == (kind, ID)
    assert change.event_id == f"{topic.replace('.', '/')}:e-b54557e4"
    assert "ada@example.com" not in json.dumps(change.details)
    assert "+34" not in json.dumps(change.details)


@pytest.mark.parametrize(("name", "topic"), NOBODYS.items())
def test_what_is_about_nobody_is_stored_under_its_own_name(name, topic):
    change = read(name, topic)
    assert (change.kind, change.record_id) == (topic, "")
    assert change.kind not in USER_KINDS


def test_a_merge_is_about_two_customers():
    items = SHOP.split(signed(fixture(MERGE), "customers/merge"))
    changes = [SHOP.read_item(item.body, item.meta) for item in items]
    assert [(one.kind, one.record_id) for one in changes] == [("user.updated", ID), ("user.deleted", "706405506930370085")]
    assert len({item.key for item in items}) == len({one.event_id for one in changes}) == 2


def test_a_customer():
    user = read("customers_create", "customers/create").user
    assert user.values == {
        "email": "ada@example.com", "email_verified": True, "first_name": "Ada", "last_name": "Lovelace", "phone": "+34600123456",
        "country": "ES", "created_at": "2025-12-31T09:00:00+01:00", "updated_at": "2026-01-01T00:00:00Z", "custom.note": None,
        "custom.multipass_identifier": None, "custom.state": "disabled",
    }  # fmt: skip
    assert user.updated_at == NOW
    assert user.memberships is None
    assert user.consents is None


def test_a_customer_of_an_old_version_also_tells_tags_and_consent():
    user = read("customers_update_before_2025_01", "customers/update").user
    assert [one["key"] for one in user.memberships] == ["vip", "press"]
    assert [(one["purpose"], one["state"], one["at"]) for one in user.consents] == [
        ("email_marketing", "granted", "2025-12-31T10:00:00Z")
    ]


def test_where_companies_count_tags_alone_are_not_all_memberships():
    shop = Shopify("shop", [SECRET], "shpat_test_0001", Shop(DOMAIN, "http://127.0.0.1:9/x", Wanted(companies=True)))
    assert read("customers_update_before_2025_01", "customers/update", shop).user.memberships is None


def test_somebody_without_an_address():
    values = read("customers_update_without_email", "customers/update").user.values
    assert (values["email"], values["country"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "topic", "at"),
    [
        ("customers_create", "customers/create", datetime(2025, 12, 31, 8, tzinfo=UTC)),
        ("customers_update", "customers/update", NOW),
        ("customers_email_marketing_consent_update_subscribed", CONSENT, NOW),
        ("customer_tags_added", "customer.tags_added", NOW),
        ("customers_delete", "customers/delete", datetime(2026, 1, 1, 0, 0, 0, 877041, tzinfo=UTC)),
    ],
)
def test_when_it_happened_is_what_the_signed_body_says(name, topic, at):
    assert read(name, topic).occurred_at == at


def test_a_consent_event_tells_its_channel():
    assert read("customers_marketing_consent_update_unsubscribed", "customers_marketing_consent/update").details == {
        "topic": "customers_marketing_consent/update", "state": "unsubscribed", "opt_in_level": "single_opt_in",
        "consent_updated_at": "2026-01-01T00:00:00Z", "consent_collected_from": "SHOPIFY", "channel": "sms",
    }  # fmt: skip
    assert read("customers_email_marketing_consent_update_subscribed", CONSENT).details["purpose"] == "email_marketing"
    assert read("customer_tags_added", "customer.tags_added").details["tags"] == "vip, press"


class TestProof:
    def test_the_former_secret_still_counts(self):
        SHOP.authenticate(signed(b"{}", "customers/update", secret="hush-former-secret"), NOW)

    def test_another_does_not(self):
        with pytest.raises(BadSignature):
            SHOP.authenticate(signed(b"{}", "customers/update", secret="hush"), NOW)

    def test_an_access_request_cannot_be_sent_again_as_an_erasure(self):
        """The topic is not signed: whoever captured the one could send it under the other."""
        (item,) = SHOP.split(signed(fixture("customers_data_request"), "customers/redact"))
        assert item.problem == "not_this_topic"

    @pytest.mark.parametrize("name", ["customers_update", "customers_delete"])
    def test_no_other_body_becomes_an_erasure_or_a_consent(self, name):
        for topic in ("customers/redact", *CONSENTS):
            (item,) = SHOP.split(signed(fixture(name), topic))
            assert item.problem == "not_this_topic"

    def test_another_shop_of_the_same_app(self):
        (item,) = SHOP.split(signed(fixture("customers_update"), "customers/update", shop_domain="other.myshopify.com"))
        assert item.problem == "another_shop"
        body = fixture("customers_redact").replace(b"sandbox.", b"other.")
        (item,) = SHOP.split(signed(body, "customers/redact"))
        assert item.problem == "another_shop"


class TestRepeats:
    def key(self, body=b'{"id":1}', topic="customers/update", webhook="w1", **headers):
        (item,) = SHOP.split(signed(body, topic, webhook, **headers))
        return item.key

    def test_an_attempt_has_the_key_of_the_first(self):
        assert self.key() == self.key(triggered_at="2026-01-01T05:00:00Z")

    def test_topic_id_and_body_make_a_difference(self):
        assert len({self.key(), self.key(topic="customers/enable"), self.key(webhook="w2"), self.key(b'{"id":2}')}) == 4

    def test_one_event_told_twice_is_recorded_once(self):
        items = [SHOP.split(signed(b'{"id":1}', "customers/update", webhook, event_id="e1"))[0] for webhook in ("w1", "w2")]
        assert {item.key for item in items} != {items[0].key}
        assert {SHOP.read_item(item.body, item.meta).event_id for item in items} == {"customers/update:e1"}


@pytest.mark.parametrize("topic", [None, "", "customers", "Customers/Update/x", "a/b\0", "x" * 70 + "/y"])
def test_a_delivery_without_a_topic_is_unreadable(topic):
    with pytest.raises(BadDelivery):
        SHOP.split(signed(b"{}", topic))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[1]", "not_an_object"), (b"{}", "no_user_id"), (b'{"id":0}', "no_user_id"), (b'{"id":-5}', "no_user_id"),
        (b'{"id":1.0}', "no_user_id"), (b'{"id":true}', "no_user_id"), (b'{"id":"gid://shopify/Order/1"}', "no_user_id"),
        (b'{"id":1,"email":"\\u0000"}', "unstorable_text"), (b'{"id":' + b"9" * 21 + b"}", "no_user_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_set_aside(body, problem):
    (item,) = SHOP.split(signed(body, "customers/update"))
    assert item.problem == problem
    with pytest.raises(BadDelivery):
        SHOP.read_item(item.body, item.meta)


def test_an_unknown_topic_keeps_its_name():
    (item,) = SHOP.split(signed(b'{"id":5}', "orders/paid"))
    assert item.problem is None
    assert SHOP.read_item(item.body, item.meta).kind == "orders/paid"
