"""Mapping files for the tests, and what is made of them."""

from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.mapping.loader import load
from connector.mapping.model import Mapping

MINIMAL = "version: 1\nfields:\n  - {user: email, contact: email}\n"
EVERYTHING = """\
version: 1
match: [email, custom.member_no]
defaults: {direction: to_contact, conflict: user, on_blank: clear, newest_fallback: contact}
fields:
  - {user: email, contact: email}
  - {user: custom.member_no, contact: member_no, type: number, direction: both, conflict: hold, on_blank: keep}
  - {user: phone, contact: phone, type: phone, region: ES, transform: [trim, e164]}
  - {user: custom.interests, contact: interests, type: set, values: {sport: Sport, NO: None of them, 2: 007, true: yes}}
  - {user: locale, contact: locale, transform: lower, enforce: true, purpose: newsletter, on_withdrawal: clear}
typologies: {contact: member_types, values: {consumer: Consumer, press: Press}, remove: true}
consents:
  - consent: newsletter
    subscription: 4711
    direction: both
    legal_basis: CONSENT_WITH_NOTICE
    explanation: "Opted in on the registration form"
    property: newsletter_consent
communicable: {contact: communicable, any_of: [newsletter]}
events:
  as: custom_object
  object: identity_event
  types: [user.created, consent.revoked]
  details: [entry_point]
  forward: [{as: segment, url: "https://sink.example/", write_key: a-write-key, deletes: false}]
lifecycle: {user_created: link_only, contact_created: ignore, user_deleted: unlink, contact_deleted: delete_user}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "members.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> Mapping:
    return load(write(folder, text))


def findings(folder: Path, text: str) -> list[str]:
    """What is wrong with a mapping, without the path in front."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    for finding in caught.value.findings:
        assert "\n" not in finding
    return [finding.partition("members.yaml:")[2] for finding in caught.value.findings]


def fields(*entries: str, head: str = "version: 1\n", tail: str = "") -> str:
    return f"{head}fields:\n  - {{user: email, contact: email}}\n" + "".join(f"  - {entry}\n" for entry in entries) + tail
