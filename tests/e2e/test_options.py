"""An option of the mapping that the portal lacks, through `connector up`: what an operator is told, and what mends it."""

import pytest

from .stack import Stack, wait_for

MAPPING = """version: 1
fields:
  - {user: email, contact: email}
  - {user: custom.interests, contact: interests, type: set, values: {film: Film, opera: Opera}}
typologies: {contact: member_types, values: {consumer: Consumer, press: Press}}
"""
ADA = "ada@example.com"


@pytest.fixture
def stack(tmp_path):
    one = Stack(tmp_path, mapping=MAPPING, setup=False)
    one.portal.add_property("interests", "enumeration", "checkbox", options=["Film"])
    one.portal.add_property("member_types", "enumeration", "checkbox", options=["Press"])
    assert one.run("setup", "--apply").returncode == 0
    yield one.up()
    one.close()


def shown(stack):
    contact = stack.contact_of(ADA)
    return contact.get("interests"), contact.get("member_types")


def test_it_waits_alone_everybody_is_told_and_setup_and_a_retry_mend_it(stack):
    user = stack.idp.register({"email": ADA, "custom": {"interests": ["opera", "film"]}})
    stack.idp.join(user, "consumer")
    stack.idp.join(user, "press")
    wait_for(lambda: shown(stack) == ("Film", "Press") and stack.settled())
    rows = {row["what"]: row["reason"] for row in stack.json("parked", "list")}
    assert sorted(rows) == ["interests", "member_types"]
    assert "no option 'Opera' of interests (members.yaml:4:" in rows["interests"]
    assert "no option 'Consumer' of member_types (members.yaml:5:" in rows["member_types"]
    assert all("connector setup --apply --add-options" in reason for reason in rows.values())
    assert "parked: interests: the portal has no option 'Opera'" in stack.run("show", ADA).stdout
    assert "the portal has no option 'Opera'" in stack.run("explain", ADA, "interests").stdout
    assert stack.idp.user(user)["custom"]["interests"] == ["opera", "film"]

    assert stack.run("setup", "--apply", "--add-options").returncode == 0
    assert stack.run("parked", "retry", "--all").returncode == 0
    wait_for(lambda: set((shown(stack)[0] or "").split(";")) == {"Film", "Opera"})
    assert set(shown(stack)[1].split(";")) == {"Consumer", "Press"}
    wait_for(lambda: stack.settled() and not stack.json("parked", "list"))
