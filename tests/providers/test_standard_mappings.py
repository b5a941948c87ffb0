"""The mappings for SCIM, Keycloak and Auth0 are accepted by `connector check`: as they are, and with what stands in comments."""

import re
from pathlib import Path

import pytest

from connector.cli.app import run

ROOT = Path(__file__).parents[2]
CONSENTS = "consents: {newsletter: {field: user_metadata.newsletter}}"
KINDS = {
    "scim": f"api_url: https://id.test/scim/v2, api_key: canary-key-0001, {CONSENTS}, fields: {{birth_date: born}}",
    "keycloak": f"api_url: https://id.test, realm: a, client_id: c, client_secret: canary-01, memberships: [groups], {CONSENTS}",
    "auth0": f"domain: acme.test, client_id: c, client_secret: canary-0001, memberships: [roles], {CONSENTS}",
}
CONFIG = """
crm: {{portal_id: 12345678, access_token: portal-token, webhook_secret: client-secret}}
providers:
  members: {{kind: {kind}, mapping: members.yaml, {keys}}}
"""


@pytest.fixture
def check(tmp_path, capsys):
    def check(kind, text):
        (tmp_path / "members.yaml").write_text(text)
        (tmp_path / "config.yaml").write_text(CONFIG.format(kind=kind, keys=KINDS[kind]))
        (tmp_path / "config.yaml").chmod(0o600)
        code, told = run(["check", "--config", str(tmp_path / "config.yaml")]), capsys.readouterr()
        return code, told.err + "".join(line for line in told.out.splitlines() if "members.yaml" in line)

    return check


@pytest.mark.parametrize("kind", KINDS)
def test_as_it_is(check, kind):
    assert check(kind, (ROOT / "mappings" / f"{kind}.yaml").read_text(encoding="utf-8")) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_with_what_stands_in_comments(check, kind):
    text = (ROOT / "mappings" / f"{kind}.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^( *)# ((?:- \{user|typologies:|consents:|  - \{consent|     explanation).*)$", r"\1\2", text, flags=re.M)
    assert "\nconsents:" in text
    assert "\ntypologies:" in text
    assert check(kind, text) == (0, "")
