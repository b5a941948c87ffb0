"""A Shopify customer in our words, and back. Pure.

Facts (Shopify, Admin GraphQL objects Customer and CustomerInput, webhook topics customers/*; read 2026-11):
- the number in a webhook is the end of the global id `gid://shopify/Customer/NUMBER`;
- `defaultEmailAddress` has the address and its marketing state; `email` and `emailMarketingConsent` are deprecated;
- NOT_SUBSCRIBED was never asked, INVALID is about the address: neither is a withdrawal; REDACTED is of somebody erased;
- webhooks have the shape of the old REST API, and since 2025-01 neither tags nor consents;
- `state` means something with classic accounts only; `identityProviderSubjects` came with 2026-07;
- `tags` in an update replaces all of them, and tags and consent have mutations of their own: an update has neither;
- a tag has no comma; a company has contacts with roles and places, which is more than a membership.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.model import User
from connector.providers.reading import mapping, moment, objects

PURPOSE = "email_marketing"
"""What the consent to mails of the shop is called in a mapping."""
COMPANY = "company"
GID = "gid://shopify/Customer/"
STATES = {"SUBSCRIBED": "granted", "UNSUBSCRIBED": "revoked", "REDACTED": "revoked", "PENDING": "pending"}
INPUT = {
    "email": "email", "phone": "phone", "first_name": "firstName", "last_name": "lastName", "locale": "locale",
    "custom.note": "note",
}  # fmt: skip
"""Our name of what can be written -> its name in a CustomerInput."""
TEXTS = {"firstName": "first_name", "lastName": "last_name", "locale": "locale", "createdAt": "created_at",
         "updatedAt": "updated_at", "verifiedEmail": "email_verified", "note": "custom.note",
         "multipassIdentifier": "custom.multipass_identifier"}  # fmt: skip
HOOKED = {"email": "email", "phone": "phone", "first_name": "first_name", "last_name": "last_name", "created_at": "created_at",
          "updated_at": "updated_at", "verified_email": "email_verified", "note": "custom.note",
          "multipass_identifier": "custom.multipass_identifier"}  # fmt: skip

FIELDS = """id firstName lastName locale note createdAt updatedAt verifiedEmail state tags multipassIdentifier
defaultEmailAddress { emailAddress marketingState marketingOptInLevel marketingUpdatedAt }
defaultPhoneNumber { phoneNumber } defaultAddress { countryCodeV2 }"""
COMPANIES = "companyContactProfiles { id isMainContact title company { id name externalId } }"
SUBJECTS = "identityProviderSubjects { subject providerName }"


@dataclass(frozen=True)
class Wanted:
    """What is read of a customer beyond the plain fields: companies (scope and plan needed), subjects (2026-07 and later)."""

    companies: bool = False
    subjects: bool = False

    @property
    def fields(self) -> str:
        """The selection of a query."""
        return " ".join([FIELDS, *([COMPANIES] if self.companies else []), *([SUBJECTS] if self.subjects else [])])


def number(value: object) -> str | None:
    """A customer's number, from a number or a global id; None for what is neither."""
    text = str(value) if type(value) is int else value if isinstance(value, str) else ""
    text = text.removeprefix(GID)
    return text if re.fullmatch("[1-9][0-9]{0,19}", text) else None


def user_from(record: Mapping[str, Any]) -> User:
    """A customer as the API tells it, which has a usable id."""
    address, phone = mapping(record.get("defaultEmailAddress")), mapping(record.get("defaultPhoneNumber"))
    values = {ours: record.get(theirs) for theirs, ours in TEXTS.items()}
    values |= {
        "email": address.get("emailAddress"),
        "phone": phone.get("phoneNumber"),
        "country": mapping(record.get("defaultAddress")).get("countryCodeV2"),
        "custom.state": _lower(record.get("state")),
        "custom.tags": _texts(record.get("tags")),
    }
    if "identityProviderSubjects" in record:
        subjects = objects(record["identityProviderSubjects"])
        values["custom.subjects"] = [f"{one.get('providerName') or ''}:{one.get('subject')}" for one in subjects]
    return User(
        id=number(record.get("id")) or "",
        values=values,
        updated_at=moment(record.get("updatedAt")),
        memberships=(*_tags(_texts(record.get("tags"))), *_companies(record.get("companyContactProfiles"))),
        consents=_consent(address.get("marketingState"), address.get("marketingUpdatedAt"), address.get("marketingOptInLevel")),
    )


def user_from_hook(body: Mapping[str, Any], wanted: Wanted) -> User:
    """A customer as a webhook tells it: without a locale, and mostly without tags and consents."""
    values = {ours: body[theirs] for theirs, ours in HOOKED.items() if theirs in body}
    if "default_address" in body:
        values["country"] = mapping(body["default_address"]).get("country_code")
    if "state" in body:
        values["custom.state"] = _lower(body["state"])
    tags = body.get("tags")
    listed = [one.strip() for one in tags.split(",") if one.strip()] if isinstance(tags, str) else None
    if listed is not None:
        values["custom.tags"] = listed
    told = mapping(body.get("email_marketing_consent"))
    return User(
        id=number(body.get("id")) or "",
        values=values,
        updated_at=moment(body.get("updated_at")),
        memberships=None if listed is None or wanted.companies else _tags(listed),
        consents=_consent(told["state"], told.get("consent_updated_at"), told.get("opt_in_level")) if "state" in told else None,
    )


def refusal(field: str) -> str | None:
    """Why a field cannot be written; None when it can."""
    return None if field in INPUT else "Shopify keeps it itself, or takes it elsewhere"


def no_tag(key: str, wanted: Wanted) -> str | None:
    """Why a membership cannot be given or taken away; None for a tag, which can."""
    if wanted.companies and (key == COMPANY or key.startswith(f"{COMPANY}:")):
        return "whom a customer buys for is decided in the shop, not here"
    usable = key and key == key.strip() and "," not in key and key.isprintable()
    return None if usable else "a tag has no comma, and no blanks around it"


def input_from(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Our names as Shopify takes them; and those it does not take -> why."""
    written = {INPUT[name]: value for name, value in values.items() if name in INPUT}
    return written, {name: why for name in values if (why := refusal(name))}


def ours(field: object) -> str | None:
    """Our name of an input field that Shopify complains about; `field` is a path."""
    named = [str(one) for one in field] if isinstance(field, list) else []
    return next((name for name, theirs in INPUT.items() if theirs in named or name in named), None)


def _consent(state: object, at: object, level: object) -> tuple[Mapping[str, Any], ...]:
    """What a marketing state says; nothing when nobody ever answered."""
    found = STATES.get(str(state).upper())
    if found is None:
        return ()
    entry = {"purpose": PURPOSE, "channel": "email", "state": found, "at": at, "source": "shopify", "level": _lower(level)}
    return (entry,)


def _tags(tags: list[str]) -> tuple[Mapping[str, Any], ...]:
    return tuple({"key": tag, "kind": "tag", "active": True, "since": None, "until": None} for tag in tags)


def _companies(profiles: object) -> tuple[Mapping[str, Any], ...]:
    """`company` for whoever is a contact of one, and `company:ID` for each: the shop's own id of it, else Shopify's number."""
    keys = []
    for one in objects(profiles):
        company = mapping(one.get("company"))
        own = company.get("externalId") or str(company.get("id") or "").rpartition("/")[2]
        keys += [COMPANY, *([f"{COMPANY}:{own}"] if own else [])]
    return tuple({"key": key, "kind": "company", "active": True, "since": None, "until": None} for key in dict.fromkeys(keys))


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _lower(value: object) -> str | None:
    return value.lower() if isinstance(value, str) else None
