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
    kind: outseta
    webhook_secret: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    api_url: https://acme.outseta.com
    api_key: canary-key:canary-secret
    events: {PersonEmailBounce: user.updated}
    donotlog: true
    update_sends: whole
    paging: pages
    double_opt_in: ask
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
    return (ROOT / "mappings" / "outseta.yaml").read_text(encoding="utf-8")


def test_as_it_is(check, example):
    assert check(example) == (0, "")


def test_with_what_stands_in_comments(check, example):
    text = re.sub(
        r"^( *)# ((?:- |typologies:|consents:|communicable:|  |contact:|values:|remove:).*)$", r"\1\2", example, flags=re.M
    )
    assert "\nconsents:" in text
    assert "\ntypologies:" in text
    assert check(text) == (0, "")
