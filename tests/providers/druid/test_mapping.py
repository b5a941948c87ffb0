"""The shipped example is one that `check` accepts, as it is and with its comments taken for lines."""

import re
from pathlib import Path

import pytest

from connector.cli.app import run

ROOT = Path(__file__).parents[3]
COMMENTED = re.compile(r"^( *)# ((?:- |typologies:|consents:|communicable:|  ).*)$", re.MULTILINE)
CONFIG = """\
crm: {portal_id: 12345678, access_token: canary-access-token, webhook_secret: canary-webhook-secret}
providers:
  members:
    mapping: members.yaml
    kind: druid
    webhook_secret: canary-cockpit-password
    api_url: https://graph.id.example.com
    auth_url: https://auth.id.example.com
    client_id: "100200300"
    client_secret: canary-client-secret
    entry_point: 100200300-main
    events: {login: user.login}
    event_path: /event
    user_id_path: /objectId
    occurred_at_path: /date
    patch_path: /activityid/v1/user/{id}
    pending_email_path: /pending/email
    consent_at_path: /date
    date_format: "%d/%m/%Y"
    allow_delete: true
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    def check(text):
        (tmp_path / "members.yaml").write_text(text)
        (tmp_path / "config.yaml").write_text(CONFIG)
        (tmp_path / "config.yaml").chmod(0o600)
        code = run(["check", "--config", str(tmp_path / "config.yaml")])
        told = capsys.readouterr()
        return code, told.err + "".join(line for line in told.out.splitlines() if "members.yaml" in line)

    return check


@pytest.fixture(scope="module")
def example():
    return (ROOT / "mappings" / "druid.yaml").read_text(encoding="utf-8")


def test_as_it_is(check, example):
    assert check(example) == (0, "")


def test_with_what_stands_in_comments(check, example):
    text = re.sub(
        r"^( *)# ((?:- |typologies:|consents:|communicable:|  |contact:|values:|remove:).*)$", r"\1\2", example, flags=re.M
    )
    assert "\nconsents:" in text
    assert "\ntypologies:" in text
    assert check(text) == (0, "")
