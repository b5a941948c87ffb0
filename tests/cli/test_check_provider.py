"""`check --live --provider` against two sandboxes: whether the provider lets us in, and what it can do."""

import json

import pytest
import structlog

from connector.cli.app import run

from ..e2e.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    one = Stack(tmp_path_factory.mktemp("check"))
    yield one
    one.close()


@pytest.fixture
def check(stack, capfd, monkeypatch):
    monkeypatch.chdir(stack.folder)

    def command(*arguments, key=None):
        if key:
            monkeypatch.setenv("CONNECTOR_PROVIDERS__MEMBERS__API_KEY", key)
        capfd.readouterr()
        code = run(["check", "--live", "--provider", "members", *arguments])
        return code, *capfd.readouterr()

    yield command
    structlog.reset_defaults()


def test_for_people(check):
    code, told, complaint = check()
    assert (code, complaint) == (0, "")
    lines = told.splitlines()
    assert "members: looked for an address that nobody has" in lines
    assert [line.split() for line in lines if line.startswith(("changed-since", "membership"))] == [
        ["changed-since", "yes"], ["membership", "yes"],
    ]  # fmt: skip


def test_for_scripts(check):
    code, told, _ = check("--json")
    found = json.loads(told)
    assert (code, found["ok"], found["findings"]) == (0, True, [])
    assert found["capabilities"]["update"] is True


def test_a_wrong_key(check):
    code, told, _ = check("--json", key="another-key-0001")
    found = json.loads(told)
    assert (code, found["ok"]) == (3, False)
    assert found["findings"][-1].startswith(
        "CONNECTOR_PROVIDERS__MEMBERS__API_KEY: providers.members.api_key: members: find by email: 401: it does not let us in"
    )
    code, told, complaint = check(key="another-key-0001")
    assert (code, "it does not let us in" in complaint) == (3, True)
    assert "yes" not in told
