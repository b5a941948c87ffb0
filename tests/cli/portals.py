"""A mapping that needs everything a portal can have, and a portal of its own for each test."""

import json

import pytest

from ..e2e.stack import Stack

MAPPING = """version: 1
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - user: custom.interests
    contact: interests
    type: set
    values: {sport: Sport, film: Film}
  - {user: custom.shoe, contact: shoe_size, type: number}
typologies: {contact: member_types, values: {consumer: Consumer, press: Press}}
consents:
  - consent: newsletter
    subscription: Newsletter
    legal_basis: CONSENT_WITH_NOTICE
    explanation: "Opted in on the form"
    property: newsletter_consent
communicable: {contact: communicable, any_of: [newsletter]}
events:
  as: custom_object
  object: identity_event
  types: [user.created, user.login]
  details: [entry_point, ip_country]
"""


def at(line, word):
    """Where the last of these words stands in a line of the mapping."""
    return f"members.yaml:{line}:{MAPPING.splitlines()[line - 1].rindex(word) + 1}"


INTERESTS, SHOE, TYPOLOGIES, CONSENT = at(6, "interests"), at(9, "shoe_size"), at(10, "member_types"), at(13, "Newsletter")
CONSENT_PROPERTY, COMMUNICABLE = at(16, "newsletter_consent"), at(17, "communicable, any")
EVENTS, OBJECT = at(19, "custom_object"), at(20, "identity_event")
FIRST = "members.yaml:3:5"
WHOLE = "members.yaml:1:1"
OF_SUBSCRIPTIONS = {
    "communication_preferences.read_write", "communication_preferences.statuses.batch.read",
    "communication_preferences.statuses.batch.write",
}  # fmt: skip


@pytest.fixture
def stack(tmp_path):
    """Both sandboxes; nothing was set up."""
    one = Stack(tmp_path, mapping=MAPPING, setup=False)
    yield one
    one.close()


@pytest.fixture
def ready(connector, stack):
    """The same, with all the mapping needs in the portal."""
    assert connector("setup", "--apply")[0] == 0
    return connector


def told(done):
    """The JSON document of a command that was run."""
    return json.loads(done[1])


def remap(stack, old, new):
    """Change the mapping."""
    file = stack.folder / "members.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
