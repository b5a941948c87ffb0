"""Shopify's deliveries: the topic stands in a header, and what the body calls its customer depends on it. Pure.

Facts (Shopify, "Webhooks", topics, "Verify deliveries", "Privacy law compliance", changelogs; read 2026-11):
- only the body is signed: topic, shop, ids and times in headers are not, so a body must fit its topic before it counts;
- an app's secret signs for every shop that installed it, so a delivery must name ours;
- `X-Shopify-Event-Id` is one for all deliveries about an event, `X-Shopify-Webhook-Id` one for all attempts at a delivery;
- a repeated attempt carries the old payload; topics about tags and segments write names as `customerId`;
- data_request and redact differ by `data_request` and `orders_to_redact`; the body of customers/merge is not documented;
- nothing tells of logins. `not_subscribed` is no withdrawal.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connector.model import Change
from connector.providers.reading import details, mapping, moment
from connector.providers.shopify.customers import PURPOSE, Wanted, number, user_from_hook

Body = Mapping[str, Any]

CARRYING = ("customers/create", "customers/update", "customers/enable", "customers/disable")
"""Topics with a customer in the body."""
KINDS = {
    "customers/create": "user.created",
    "customers/update": "user.updated",
    "customers/enable": "user.updated",
    "customers/disable": "user.updated",
    "customers/merge": "user.updated",
    "customers/delete": "user.deleted",
    "customers/redact": "erasure.requested",
    "customer/tags_added": "membership.added",
    "customer/tags_removed": "membership.removed",
    "customer/joined_segment": "membership.added",
    "customer/left_segment": "membership.removed",
    "company_contacts/create": "membership.added",
    "company_contacts/update": "user.updated",
    "company_contacts/delete": "membership.removed",
    "company_contact_roles/assign": "membership.added",
    "company_contact_roles/revoke": "membership.removed",
}
CONSENTS = {
    "customers_email_marketing_consent/update": ("email_marketing_consent", "email"),
    "customers_marketing_consent/update": ("sms_marketing_consent", "sms"),
    "customers_whats_app_marketing_consent/update": ("whats_app_marketing_consent", "whatsapp"),
}
"""Topic -> the part of the body with the consent, and its channel."""
KEPT = (
    "customer_kept_id",
    "admin_graphql_api_customer_kept_id",
    "resulting_customer_id",
    "resultingCustomerId",
    "customerKeptId",
)
DROPPED = ("customer_deleted_id", "admin_graphql_api_customer_deleted_id", "customerDeletedId")
"""Spellings met in others' code for the two customers of a merge."""


def topic_of(text: str) -> str | None:
    """A topic in one spelling: `customer.tags_added` is written with a slash, too."""
    topic = text.strip().lower().replace(".", "/")
    return topic if re.fullmatch(r"[a-z_]{1,60}/[a-z_]{1,60}", topic) else None


def about(topic: str, body: Body) -> Iterator[str]:
    """Whose changes a delivery tells: "" for the one customer there mostly is; of a merge, "kept" and "dropped"."""
    if topic == "customers/merge" and _first(body, DROPPED):
        yield from ("kept", "dropped")
    else:
        yield "kept" if topic == "customers/merge" else ""


def problem(topic: str, body: Any, shop: str) -> str | None:
    """Why a delivery cannot be read; None when it can."""
    if not isinstance(body, dict):
        return "not_an_object"
    if str(body.get("shop_domain") or shop).lower() != shop:
        return "another_shop"
    if topic == "customers/redact" and ("orders_to_redact" not in body or "data_request" in body):
        return "not_this_topic"
    if topic in CONSENTS and not isinstance(mapping(body.get(CONSENTS[topic][0])).get("state"), str):
        return "not_this_topic"
    optional = topic.startswith("company") or (topic not in KINDS and topic not in CONSENTS)
    return None if optional or customer_of(topic, body) else "no_user_id"


def customer_of(topic: str, body: Body, whom: str = "") -> str | None:
    """The number of the customer a body is about."""
    if topic == "customers/merge":
        return _first(body, DROPPED if whom == "dropped" else KEPT)
    if topic in ("customers/redact", "customers/data_request"):
        return number(mapping(body.get("customer")).get("id"))
    if topic.startswith("customers/"):
        return _first(body, ("id", "admin_graphql_api_id", "customerId"))
    if topic.startswith("company"):
        return next(
            filter(None, (_first(mapping(one), ("id", "admin_graphql_api_id")) for one in _people(body))), None
        ) or _first(body, ("customer_id", "customer_admin_graphql_api_id", "customerId"))
    return _first(body, ("customer_id", "customerId", *(["id"] if topic in CONSENTS else [])))


def change_of(topic: str, body: Body, meta: Mapping[str, str], wanted: Wanted) -> Change:
    """What a readable body says."""
    whom = meta.get("about", "")
    found = customer_of(topic, body, whom)
    kind = _kind(topic, body) if found else topic
    return Change(
        kind="user.deleted" if whom == "dropped" else kind,
        record_id=found or "",
        occurred_at=_when(topic, body) or moment(meta.get("triggered_at")),
        event_id=meta.get("event", ""),
        user=user_from_hook(body, wanted) if topic in CARRYING else None,
        details=details(_tells(topic, body)),
    )


def _kind(topic: str, body: Body) -> str:
    if topic not in CONSENTS:
        return KINDS.get(topic, topic)
    state = str(mapping(body.get(CONSENTS[topic][0])).get("state")).lower()
    return {"subscribed": "consent.granted", "unsubscribed": "consent.revoked"}.get(state, "user.updated")


def _when(topic: str, body: Body) -> datetime | None:
    """When it happened, as the signed body tells it."""
    if topic in CONSENTS:
        return moment(mapping(body.get(CONSENTS[topic][0])).get("consent_updated_at"))
    if topic == "customers/create":
        return moment(body.get("created_at"))
    return moment(body.get("updated_at")) or moment(body.get("occurredAt"))


def _tells(topic: str, body: Body) -> dict[str, Any]:
    """What an event tells beside the customer; no address and no number to call."""
    told: dict[str, Any] = {"topic": topic}
    if topic in CONSENTS:
        part, channel = CONSENTS[topic]
        consent = mapping(body.get(part))
        told |= {name: consent.get(name) for name in ("state", "opt_in_level", "consent_updated_at", "consent_collected_from")}
        return told | {"channel": channel} | ({"purpose": PURPOSE} if channel == "email" else {})
    if isinstance(body.get("tags"), list):
        told["tags"] = ", ".join(str(one) for one in body["tags"])
    company = mapping(body.get("company"))
    return told | {"segment": body.get("segmentId"), "company": company.get("name"), "title": body.get("title"),
                   "data_request": mapping(body.get("data_request")).get("id")}  # fmt: skip


def _people(body: Body) -> tuple[Any, ...]:
    """Where the customer of a company's contact may stand."""
    return body.get("customer"), *(mapping(body.get(name)).get("customer") for name in ("company_contact", "contact"))


def _first(body: Body, names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := number(body.get(name)))), None)
