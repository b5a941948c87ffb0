"""A shop's customers, in the shape of the Admin GraphQL API, and what webhooks tell of them."""

import copy
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connector.sandbox.values import iso, millis

GID = "gid://shopify/Customer/"
FIRST = 706405506930370000
"""Numbers of customers are long: they do not fit what JavaScript calls a number."""
PLAIN = ("firstName", "lastName", "locale", "note", "multipassIdentifier", "tags")
NAMES = {"firstName": "first_name", "lastName": "last_name", "note": "note", "createdAt": "created_at", "updatedAt": "updated_at",
         "verifiedEmail": "verified_email", "multipassIdentifier": "multipass_identifier"}  # fmt: skip

Customer = dict[str, Any]
Tell = Callable[[str, Mapping[str, Any]], None]
"""Topic and body of a webhook."""


class Refused(Exception):
    """A userError. field: the path of what it is about."""

    def __init__(self, field: Sequence[str], message: str, code: str = "INVALID") -> None:
        super().__init__(message)
        self.field = list(field)
        self.code = code


class Customers:
    """All customers. Callers hold `lock` around whatever must be seen as one step."""

    def __init__(self, tell: Tell, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self._tell = tell
        self._clock = clock
        self._customers: dict[str, Customer] = {}
        self._numbers = itertools.count(1)
        self.erasures: list[str] = []
        """Global ids of customers whose erasure was requested."""

    def all(self) -> list[Customer]:
        """Everybody, in the order of registration."""
        return list(self._customers.values())

    def find(self, who: object) -> Customer | None:
        """A customer by number, global id or address."""
        text = str(who).strip()
        held = (one for one in self._customers.values() if _address(one).lower() == text.lower() != "")
        return self._customers.get(text.removeprefix(GID)) or next(held, None)

    def get(self, who: object, field: Sequence[str] = ("id",)) -> Customer:
        """A customer. Raises Refused."""
        found = self.find(who)
        if found is None:
            raise Refused(field, "Customer does not exist", "DOES_NOT_EXIST")
        return found

    def add(self, values: Mapping[str, Any]) -> Customer:
        """A new customer. Raises Refused."""
        number, now = str(FIRST + next(self._numbers)), self._now()
        empty = ("defaultEmailAddress", "defaultPhoneNumber", "defaultAddress", *PLAIN)
        lists: Customer = {"tags": [], "companyContactProfiles": [], "identityProviderSubjects": []}
        made = {"id": GID + number, "legacyResourceId": number, "createdAt": now, "updatedAt": now}
        customer = {**dict.fromkeys(empty), **lists, **made, "verifiedEmail": True, "state": "DISABLED", "canDelete": True}
        self._set(customer, values)
        self._customers[number] = customer
        self._tell("customers/create", hook(customer))
        return customer

    def change(self, customer: Customer, values: Mapping[str, Any]) -> None:
        """Change some fields. Raises Refused."""
        before = copy.deepcopy(customer)
        self._set(customer, values)
        if customer != before:
            self._touched(customer)

    def consent(self, customer: Customer, told: Mapping[str, Any]) -> None:
        """A decision about mails: the newest one stands, an older one is taken without a word. Raises Refused."""
        address = customer["defaultEmailAddress"]
        if address is None:
            raise Refused(("input", "emailMarketingConsent"), "Customer must have an email address")
        if told.get("marketingState") not in ("SUBSCRIBED", "UNSUBSCRIBED", "PENDING"):
            raise Refused(("input", "emailMarketingConsent", "marketingState"), "is not included in the list")
        at = told.get("consentUpdatedAt") or self._now()
        if address["marketingUpdatedAt"] and millis(at) < millis(address["marketingUpdatedAt"]):
            return
        level = told.get("marketingOptInLevel") or address["marketingOptInLevel"]
        address |= {"marketingState": told["marketingState"], "marketingUpdatedAt": at, "marketingOptInLevel": level}
        customer["updatedAt"] = self._now()
        part = {"state": address["marketingState"].lower(), "opt_in_level": level and level.lower(), "consent_updated_at": at}
        body = {"customer_id": int(customer["legacyResourceId"]), "email_address": address["emailAddress"]}
        self._tell("customers_email_marketing_consent/update", {**body, "email_marketing_consent": part})

    def tag(self, customer: Customer, tags: Sequence[str]) -> None:
        """Add tags, which is told apart from other changes."""
        fresh = [one for one in tags if one not in customer["tags"]]
        customer["tags"] = sorted({*customer["tags"], *tags})
        self._tagged("customer.tags_added", customer, fresh)

    def untag(self, customer: Customer, tags: Sequence[str]) -> None:
        """Take tags away."""
        gone = [one for one in tags if one in customer["tags"]]
        customer["tags"] = [one for one in customer["tags"] if one not in tags]
        self._tagged("customer.tags_removed", customer, gone)

    def join(self, customer: Customer, name: str, external_id: str | None) -> None:
        """Make somebody a contact of a company."""
        number = next(self._numbers)
        company = {"id": f"gid://shopify/Company/{number}", "name": name, "externalId": external_id}
        contact = {"id": f"gid://shopify/CompanyContact/{number}", "isMainContact": False, "title": None, "company": company}
        customer["companyContactProfiles"].append(contact)
        body = {"id": number, "customer": {"id": int(customer["legacyResourceId"])}, "company": {"id": number, "name": name}}
        self._tell("company_contacts/create", {**body, "title": None, "updated_at": self._now()})

    def merge(self, kept: Customer, dropped: Customer) -> None:
        """One customer of two: the other one's tags stay."""
        del self._customers[dropped["legacyResourceId"]]
        kept["tags"] = sorted({*kept["tags"], *dropped["tags"]})
        kept["updatedAt"] = self._now()
        pair = {"admin_graphql_api_customer_kept_id": kept["id"], "admin_graphql_api_customer_deleted_id": dropped["id"]}
        self._tell("customers/merge", {**pair, "status": "completed"})

    def remove(self, customer: Customer) -> None:
        """Delete. Raises Refused for somebody with orders."""
        if not customer["canDelete"]:
            raise Refused(("base",), "Customer can't be deleted because they have associated orders")
        del self._customers[customer["legacyResourceId"]]
        self._tell("customers/delete", {"id": int(customer["legacyResourceId"]), "admin_graphql_api_id": customer["id"]})

    def _set(self, customer: Customer, values: Mapping[str, Any]) -> None:
        if unknown := sorted(values.keys() - {*PLAIN, "email", "phone", "id"}):
            raise Refused(("input", unknown[0]), "is not a field")
        for name, where, inner in (
            ("email", "defaultEmailAddress", "emailAddress"),
            ("phone", "defaultPhoneNumber", "phoneNumber"),
        ):
            if name not in values:
                continue
            self._check(customer, name, values[name])
            fresh = {"marketingState": "NOT_SUBSCRIBED", "marketingOptInLevel": None, "marketingUpdatedAt": None}
            customer[where] = {**(customer[where] or fresh), inner: values[name]} if values[name] else None
        customer |= {name: values[name] for name in PLAIN if name in values}

    def _check(self, customer: Customer, name: str, value: str | None) -> None:
        holder = self.find(value) if name == "email" and value else None
        if holder is not None and holder["id"] != customer["id"]:
            raise Refused(("email",), "Email has already been taken")
        if name == "email" and value and "@" not in value:
            raise Refused(("email",), "Email is invalid")

    def _touched(self, customer: Customer) -> None:
        customer["updatedAt"] = self._now()
        self._tell("customers/update", hook(customer))

    def _tagged(self, topic: str, customer: Customer, tags: Sequence[str]) -> None:
        if not tags:
            return
        customer["updatedAt"] = self._now()
        self._tell(topic, {"customerId": customer["id"], "tags": list(tags), "occurredAt": customer["updatedAt"]})

    def _now(self) -> str:
        return iso(int(self._clock() * 1000))


def hook(customer: Customer) -> dict[str, Any]:
    """A customer as webhooks tell it since 2025-01: in the names of the old REST API, without tags and consents."""
    number = int(customer["legacyResourceId"])
    body = {"id": number, "admin_graphql_api_id": customer["id"], **{theirs: customer[ours] for ours, theirs in NAMES.items()}}
    phone, address = customer["defaultPhoneNumber"], customer["defaultAddress"]
    body |= {"email": _address(customer) or None, "phone": phone and phone["phoneNumber"], "state": customer["state"].lower()}
    return body | {
        "addresses": [],
        "default_address": address and {"country_code": address["countryCodeV2"]},
        "tax_exempt": False,
    }


def _address(customer: Customer) -> str:
    return str((customer["defaultEmailAddress"] or {}).get("emailAddress") or "")
