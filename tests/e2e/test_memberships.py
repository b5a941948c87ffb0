"""`typologies.direction: both` through `connector up`, over real HTTP: what marketing adds to the contact, the user gets."""

import pytest

from .stack import Stack, wait_for

MAPPING = """
version: 1
defaults: {direction: both, conflict: newest, on_blank: clear}
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - {user: last_name, contact: lastname}
typologies: {contact: member_types, values: {consumer: Consumer, press: Press}, direction: both, remove: true}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    one = Stack(tmp_path_factory.mktemp("memberships"), mapping=MAPPING, setup=False)
    assert one.run("setup", "--apply").returncode == 0
    one.up()
    yield one
    one.close()


def members(stack, user):
    return {one["key"] for one in stack.idp.user(user)["memberships"] if one["active"]}


def test_marketing_gives_and_takes_a_membership(stack):
    values = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"}
    user = stack.idp.register({**values, "memberships": [{"key": "consumer"}]})
    wait_for(lambda: stack.contact_of("ada@example.com"))
    contact = stack.portal.contact("ada@example.com")["id"]
    stack.portal.edit(contact, {"member_types": "Consumer;Press"})
    wait_for(lambda: members(stack, user) == {"consumer", "press"})
    stack.portal.edit(contact, {"member_types": "Press"})
    wait_for(lambda: members(stack, user) == {"press"})
    wait_for(stack.settled)
    assert stack.contact_of("ada@example.com")["member_types"] == "Press"
    told = stack.run("explain", "ada@example.com", "typologies", "--json")
    assert '"changed in the CRM: taken away"' in told.stdout
    assert "user: - -> press" in stack.run("explain", "ada@example.com", "typologies").stdout
