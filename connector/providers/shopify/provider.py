"""Shopify: check and read its webhooks, read and write its customers by the Admin GraphQL API.

Facts this file rests on, beside those in the other modules (Shopify, Admin GraphQL mutations and queries; read 2026-11):
- mutations answer with status 200 and `userErrors`; an address or a number of somebody else's "has already been taken";
- the search of `customers` lags behind, and may honour only the day of `updated_at`; `customerByIdentifier` does neither;
- a consent that is older than the one on record is taken and changes nothing; only three states can be written;
- tagsAdd and tagsRemove change the tags they name and leave the others; a list of tags may also be told as one text with commas;
- a customer with orders cannot be deleted; a data erasure is a request, carried out days or months later;
- there are no versions to write against; `customerSet` replaces lists and knows no consents, so it is not used.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from connector.errors import BadDelivery, ConfigError, Exists, Missing, Rejected, Unavailable
from connector.model import Change, ConsentState, Delivery, Item, Statement, User
from connector.providers.base import Capabilities
from connector.providers.http import WHY
from connector.providers.reading import Page, follow, mapping, objects, written
from connector.providers.shopify import queries
from connector.providers.shopify.bulk import Bulk
from connector.providers.shopify.customers import GID, PURPOSE, Wanted, input_from, no_tag, number, ours, refusal, user_from
from connector.providers.shopify.graphql import GraphQL
from connector.providers.shopify.webhooks import about, change_of, problem, topic_of
from connector.providers.signature import SCHEMES, Verifier, short
from connector.settings import ProviderSettings
from connector.strictjson import parse, storable

VERSION = "2026-07"
"""Of the API, where none is configured."""
SUBJECTS_SINCE = "2026-07"
PAGE = 100
"""Customers asked for in one page; with their addresses that is under half of the points one call may cost."""
TAKEN = "already been taken"
"""What `userErrors` say about an address of somebody else's."""


PLAIN = Wanted()


@dataclass(frozen=True)
class Shop:
    """One shop and how it is read. domain: NAME.myshopify.com. bulk: whether everybody is listed by a bulk operation."""

    domain: str
    url: str
    wanted: Wanted = PLAIN
    bulk: bool = False
    opt_in_level: str = "SINGLE_OPT_IN"


class Shopify:
    """One shop. `providers.base.Provider` states what each method promises."""

    capabilities = Capabilities(
        read=True, find=True, list=True, list_changed=True, create=True, update=True, consent=True, membership=True, delete=True,
        erase=True,
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        secrets: Sequence[str],
        api_key: str,
        shop: Shop,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """secrets: client secrets of the app, or the key of the shop's notification settings. api_key: an Admin access token."""
        self.name = name
        self._shop = shop
        self._verifier = Verifier(SCHEMES["shopify"], secrets)
        self._graphql = GraphQL(name, shop.url, api_key, session, sleep)
        self._bulk = Bulk(name, self._graphql, shop.url.startswith("https://"), sleep)
        self._documents = queries.Documents(shop.wanted.fields)

    def unwritable(self, field: str) -> str | None:
        """See Particular."""
        return refusal(field)

    def unwritable_consent(self, purpose: str) -> str | None:
        """See Particular."""
        return None if purpose == PURPOSE else f"Shopify has one consent, {PURPOSE}"

    def unwritable_membership(self, key: str) -> str | None:
        """See Particular."""
        return no_tag(key, self._shop.wanted)

    def authenticate(self, delivery: Delivery, now: datetime) -> None:
        """See Provider. No time is signed, so none is checked."""
        self._verifier.verify(delivery, now)

    def split(self, delivery: Delivery) -> list[Item]:
        """See Provider. A delivery is one event; a merge is about two customers."""
        topic = topic_of(delivery.header("x-shopify-topic") or "")
        if topic is None:
            raise BadDelivery("shopify: no topic that can be read")
        body = parse(delivery.body)
        if body == []:
            return []
        why = problem(topic, body, self._shop.domain)
        if (delivery.header("x-shopify-shop-domain") or self._shop.domain).lower() != self._shop.domain:
            why = "another_shop"
        if why is None and not storable(delivery.body, body):
            why = "unstorable_text"
        key = hashlib.sha256(f"{topic} {self._verifier.dedupe_key(delivery, delivery.body)}".encode()).hexdigest()
        sender_id = short(self._verifier.delivery_id(delivery) or key)
        event = short(delivery.header("x-shopify-event-id") or sender_id)
        meta = {"topic": topic, "event": f"{topic}:{event}", "triggered_at": delivery.header("x-shopify-triggered-at") or ""}
        parts = [""] if why else about(topic, body)
        return [Item(f"{key}:{one}" if one else key, sender_id, delivery.body, _meta(meta, one), why) for one in parts]

    def read_item(self, body: bytes, meta: Mapping[str, str]) -> Change:
        """See Provider."""
        topic, told = meta.get("topic", ""), parse(body)
        if why := problem(topic, told, self._shop.domain) or (None if storable(body, told) else "unstorable_text"):
            raise BadDelivery(f"shopify: {why}")
        return change_of(topic, told, meta, self._shop.wanted)

    def fetch(self, user_id: str) -> User:
        """See Provider."""
        what = f"read user {user_id}"
        data = self._graphql.ask(what, self._documents.one, {"id": self._gid(user_id)})
        return self._customer(what, data, "customer", user_id)

    def find(self, email: str) -> list[User]:
        """See Provider."""
        what = "find by email"
        data = self._graphql.ask(what, self._documents.find, {"email": email.strip()})
        if "customerByIdentifier" in data and data["customerByIdentifier"] is None:
            return []
        user = self._customer(what, data, "customerByIdentifier")
        if str(user.values.get("email") or "").strip().casefold() != email.strip().casefold():
            raise Rejected(f"{self.name}: {what}: the answer is about another address")
        return [user]

    def pages(self) -> Iterator[list[User]]:
        """See Provider. By a bulk operation, where the settings say so."""
        if self._shop.bulk:
            return self._bulk.pages("list users", self._shop.wanted.fields)
        return self._listing("list users", {"sort": "ID", "query": None})

    def changed_since(self, since: datetime) -> Iterator[list[User]]:
        """See Provider. Where Shopify honours the day only, it lists more than was asked for, which does no harm."""
        stamp = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._listing("list changed users", {"sort": "UPDATED_AT", "query": f"updated_at:>='{stamp}'"})

    def create(self, values: Mapping[str, Any], key: str) -> User:
        """See Provider. An address that is taken is looked up, so a repeat finds what the first attempt made."""
        what = "create user"
        told = self._graphql.run(what, self._documents.create, {"input": self._input(values)}, values)
        self._refuse(what, told, values, str(values.get("email") or ""))
        return self._customer(what, told, "customer")

    def update(self, user_id: str, values: Mapping[str, Any], etag: str | None) -> User:
        """See Provider."""
        what = f"update user {user_id}"
        given = {"id": self._gid(user_id), **self._input(values)}
        told = self._graphql.run(what, self._documents.update, {"input": given}, values)
        self._refuse(what, told, values, str(values.get("email") or ""))
        return self._customer(what, told, "customer", user_id)

    def set_consent(self, user_id: str, purpose: str, told: Statement, etag: str | None) -> User:
        """See Provider. A withdrawal stands, whatever time Shopify has for the consent."""
        if purpose != PURPOSE:
            raise Rejected(f"{self.name}: Shopify has one consent to mails, {PURPOSE}")
        user = self._say(user_id, told.state, told.at)
        withdrawn = told.state is ConsentState.REVOKED
        if withdrawn and told.at and [one["state"] for one in user.consents or ()] != ["revoked"]:
            user = self._say(user_id, told.state, None)
        return user

    def set_membership(self, user_id: str, key: str, held: bool, etag: str | None) -> User:
        """See Provider. It is a tag."""
        what = f"set a tag of user {user_id}"
        if why := self.unwritable_membership(key):
            raise Rejected(f"{self.name}: {what}: {why}")
        document = queries.TAG if held else queries.UNTAG
        told = self._graphql.run(what, document, {"id": self._gid(user_id), "tags": [key]})
        user = self.fetch(user_id)
        self._refuse(what, told, (), "")
        return user

    def delete(self, user_id: str) -> None:
        """See Provider. Raises Rejected for a customer with orders."""
        what = f"delete user {user_id}"
        if not self._delete(what, user_id):
            raise Rejected(f"{self.name}: {what}: a customer with orders cannot be deleted; an erasure can be requested")

    def erase(self, user_id: str) -> None:
        """See Provider. A customer with orders stays until Shopify has carried out the erasure that is requested."""
        what = f"erase user {user_id}"
        if self._delete(what, user_id):
            return
        told = self._graphql.run(what, queries.ERASE, {"id": self._gid(user_id)})
        errors = objects(told["userErrors"])
        if errors and {one.get("code") for one in errors} != {"DOES_NOT_EXIST"}:
            raise Rejected(f"{self.name}: {what}: the request for an erasure is refused")

    def _delete(self, what: str, user_id: str) -> bool:
        """Delete a customer without orders; whether nobody is there now. Raises Unavailable."""
        if number(user_id) is None:
            return True
        data = self._graphql.ask(what, queries.DELETABLE, {"id": self._gid(user_id)})
        if "customer" not in data:
            raise Unavailable(f"{self.name}: {what}: 200, but not about this user")
        if data["customer"] is None:
            return True
        if mapping(data["customer"]).get("canDelete") is not True:
            return False
        told = self._graphql.run(what, queries.DELETE, {"id": self._gid(user_id)})
        return bool(told.get("deletedCustomerId"))

    def _say(self, user_id: str, state: ConsentState, at: datetime | None) -> User:
        """Write a consent. Without a time it is a decision of now."""
        what = f"set a consent of user {user_id}"
        granted = state is ConsentState.GRANTED
        consent = {"marketingState": "SUBSCRIBED" if granted else "UNSUBSCRIBED"}
        consent |= {"marketingOptInLevel": self._shop.opt_in_level} if granted else {}
        consent |= {"consentUpdatedAt": written(at)} if at else {}
        given = {"customerId": self._gid(user_id), "emailMarketingConsent": consent}
        told = self._graphql.run(what, self._documents.consent, {"input": given})
        self._refuse(what, told, (), "")
        return self._customer(what, told, "customer", user_id)

    def _listing(self, what: str, variables: Mapping[str, Any]) -> Iterator[list[User]]:
        def read(cursor: str | None) -> Page:
            data = self._graphql.ask(what, self._documents.page, {**variables, "first": PAGE, "after": cursor})
            told = mapping(data.get("customers"))
            info, nodes = mapping(told.get("pageInfo")), told.get("nodes")
            more, end = info.get("hasNextPage"), info.get("endCursor")
            if not isinstance(nodes, list) or type(more) is not bool or (more and not (isinstance(end, str) and end)):
                raise Rejected(f"{self.name}: {what}: the answer is no listing")
            if not all(isinstance(one, dict) and number(one.get("id")) for one in nodes):
                raise Rejected(f"{self.name}: {what}: the listing holds what is no customer")
            return [user_from(one) for one in nodes], end if more else None

        return follow(f"{self.name}: {what}", read)

    def _gid(self, user_id: str) -> str:
        if number(user_id) != user_id:
            raise Missing(f"{self.name}: no user can have this id")
        return f"{GID}{user_id}"

    def _customer(self, what: str, data: Mapping[str, Any], name: str, user_id: str | None = None) -> User:
        """The customer in an answer. Raises Missing where Shopify says that there is none."""
        if name in data and data[name] is None:
            raise Missing(f"{self.name}: {what}: no such customer")
        record = mapping(data.get(name))
        found = number(record.get("id"))
        if found is None or user_id not in (None, found):
            raise Unavailable(f"{self.name}: {what}: 200, but not about this user")
        return user_from(record)

    def _input(self, values: Mapping[str, Any]) -> dict[str, Any]:
        given, refused = input_from(values)
        if refused:
            raise Rejected(f"{self.name}: not to be written: {', '.join(refused)}", refused)
        return given

    def _refuse(self, what: str, told: Mapping[str, Any], values: Any, email: str) -> None:
        """Raise what a mutation's errors mean: Missing, Exists, Rejected by our names of the fields."""
        errors = objects(told["userErrors"])
        if not errors and not told["userErrors"]:
            return
        paths: list[list[object]] = [one["field"] if isinstance(one.get("field"), list) else [] for one in errors]
        if any(path and path[-1] in ("id", "customerId") for path in paths):
            raise Missing(f"{self.name}: {what}: no such customer")
        taken = any(ours(path) == "email" and TAKEN in str(one.get("message")) for path, one in zip(paths, errors, strict=True))
        if taken and email:
            raise Exists(f"{self.name}: {what}: a customer has this address", next((one.id for one in self.find(email)), None))
        refused = {name for path in paths if (name := ours(path)) in values}
        raise Rejected(f"{self.name}: {what}: refused by Shopify", {str(name): WHY for name in refused})


def from_settings(name: str, settings: ProviderSettings) -> Shopify:
    """See registry.KINDS. Raises ConfigError."""
    domain, version = (settings.shop or "").lower(), settings.api_version or VERSION
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*\.myshopify\.com", domain):
        raise ConfigError("shop: expected NAME.myshopify.com, not the shop's own domain")
    if not re.fullmatch(r"\d{4}-\d{2}|unstable", version):
        raise ConfigError(f"api_version: expected one such as {VERSION}")
    if settings.subjects and version < SUBJECTS_SINCE:
        raise ConfigError(f"subjects: needs api_version {SUBJECTS_SINCE} or later")
    shop = Shop(
        domain,
        _endpoint(settings.api_url or f"https://{domain}", version),
        Wanted(settings.companies, settings.subjects),
        settings.listing == "bulk",
        settings.opt_in_level,
    )
    secrets = [secret.get_secret_value() for secret in settings.webhook_secret]
    return Shopify(name, secrets, settings.api_key.get_secret_value() if settings.api_key else "", shop)


def _endpoint(url: str, version: str) -> str:
    """The address of the API: of a shop, or the whole of it as it is."""
    if url.endswith(".json"):
        return url
    return f"{url.rstrip('/')}{'' if '/admin/api/' in url else f'/admin/api/{version}'}/graphql.json"


def _meta(meta: Mapping[str, str], whom: str) -> dict[str, str]:
    """What the reader needs; the two parts of a merge are two events."""
    return {**meta, "about": whom, "event": f"{meta['event']}:{whom}"} if whom else dict(meta)
