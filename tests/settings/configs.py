"""What the tests of the configuration share: a small one, and what is said of a wrong one."""

from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.settings import Settings, load_settings

KEY = "whsec_dGhpcyBpcyBvbmx5IGEgdGVzdCBrZXk="
MINIMAL = f"""\
crm:
  portal_id: 12345678
  access_token: pat-test-0001
  webhook_secret: hush-hush
providers:
  members:
    kind: generic
    mapping: members.yaml
    webhook_secret: {KEY}
"""
SECRETS = {
    "CONNECTOR_CRM__ACCESS_TOKEN": "pat-test-0001",
    "CONNECTOR_CRM__WEBHOOK_SECRET": "hush-hush",
    "CONNECTOR_PROVIDERS__MEMBERS__WEBHOOK_SECRET": KEY,
    "CONNECTOR_PROVIDERS__MEMBERS__API_KEY": "key-test-0001",
}


def write(folder: Path, text: str = MINIMAL) -> Path:
    (folder / "members.yaml").touch()
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str = MINIMAL, **environ: str) -> Settings:
    return load_settings(write(folder, text), environ)


def findings(folder: Path, text: str = MINIMAL, **environ: str) -> list[str]:
    """What is wrong with a configuration, without the folder in front."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ)
    return [finding.replace(f"{path}:", "") for finding in caught.value.findings]
