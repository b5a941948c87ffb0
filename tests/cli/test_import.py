"""`import users` against two sandboxes."""

import json

import pytest

from ..e2e.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    one = Stack(tmp_path_factory.mktemp("import"))
    yield one
    one.close()


def test_users_from_a_file(stack, connector):
    user = stack.idp.register({"email": "import@example.com", "first_name": "Ada", "last_name": "Lovelace", "country": "ES"})
    (stack.folder / "users.csv").write_text(f"id\n{user}\n")
    code, told, _ = connector("import", "users", "users.csv", "--provider", "members", "--json")
    assert (code, json.loads(told)["users"]) == (0, {"rows": 1, "new": 1, "known": 0, "erased": 0})
    assert stack.portal.contact("import@example.com")["properties"]["firstname"] == "Ada"
    code, told, _ = connector("import", "users", "users.csv", "--provider", "members")
    assert code == 0
    assert "known" in told


def test_what_cannot_be_read(stack, connector):
    (stack.folder / "broken.csv").write_text("id\n\nu-1\n,\n")
    code, told, complaint = connector("import", "users", "broken.csv", "--provider", "members")
    assert (code, told) == (1, "")
    assert complaint.splitlines() == ["broken.csv: row 2: 0 cells, and 1 columns", "broken.csv: row 4: 2 cells, and 1 columns"]


def test_wrong_usage(stack, connector):
    (stack.folder / "broken.csv").write_text("id\n\n")
    assert connector("import", "users", "none.csv", "--provider", "members")[0] == 2
    assert connector("import", "users", "broken.csv", "--provider", "nobody")[0] == 3
    assert connector("import")[0] == 2


def test_users_whom_the_provider_does_not_know_are_named(stack, connector):
    user = stack.idp.register({"email": "known@example.com", "first_name": "Kay", "last_name": "Known", "country": "ES"})
    (stack.folder / "some.csv").write_text(f"id\nu-9\n{user}\n")
    code, told, _ = connector("import", "users", "some.csv", "--provider", "members")
    named = [line.split() for line in told.splitlines() if "unknown" in line]
    assert (code, named) == (1, [["unknown", "to", "members", "1", "(u-9)"]])
    told = json.loads(connector("import", "users", "some.csv", "--provider", "members", "--json")[1])
    assert told["unknown"] == ["u-9"]
    assert connector("show", "members:u-9")[1].splitlines()[0] == "members:u-9 <-> contact none: pending"
