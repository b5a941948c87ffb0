"""The configuration: file, defaults, secrets, the example and the schema."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from connector.errors import ConfigError
from connector.settings import AVAILABLE, ProviderSettings, Settings, config_schema, load_settings
from connector.settingwords import COMMON, KINDS
from connector.store.engine import file_of

from .configs import KEY, MINIMAL, SECRETS, loaded, write

ROOT = Path(__file__).parents[2]


def test_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.broker_url == "memory://"
    assert settings.public_url == "http://127.0.0.1:8000"
    assert (settings.crm.kind, settings.crm.base_url, settings.crm.burst_limit) == ("hubspot", "https://api.hubapi.com", 190)
    assert (settings.crm.api_version, settings.crm.accept_v1_signature) == ("v3", False)
    assert settings.crm.statuses_per_read == 100
    assert settings.schedule.model_dump() == {
        "sweep": 10,
        "reconcile": 3600,
        "full_reconcile": 86400,
        "poll": 300,
        "subscriptions": 900,
    }
    assert settings.grace.contact_deletion == 60
    assert settings.brakes.model_dump() == {
        "deletes": 50,
        "deletes_percent": 5,
        "opt_outs": 200,
        "opt_outs_percent": 5,
        "clears": 200,
        "clears_percent": 5,
        "floor": 20,
    }
    assert settings.retries.model_dump() == {"attempts": 8, "first": 2, "longest": 3600}
    assert settings.plan_max_age == 86400
    assert settings.retention.model_dump() == {"deliveries": 30, "history": 365}


def test_a_signature_is_that_of_standard_webhooks_by_default(tmp_path: Path) -> None:
    assert loaded(tmp_path).providers["members"].signature.model_dump() == {
        "header": "webhook-signature",
        "id_header": "webhook-id",
        "timestamp_header": "webhook-timestamp",
        "signed": "id.timestamp.body",
        "digest": "sha256",
        "encoding": "base64",
        "prefix": "v1,",
        "key": "whsec",
        "tolerance": 300,
    }


def test_relative_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(tmp_path)
    settings = load_settings(Path("../config.yaml"), {})
    assert settings.providers["members"].mapping == tmp_path / "members.yaml"
    assert settings.database_url == f"sqlite:///{tmp_path}/connector.db"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite:///data/c.db", "sqlite:///{folder}/data/c.db"),
        ("sqlite:////var/c.db", "sqlite:////var/c.db"),
        ("sqlite+pysqlite:////var/c.db", "sqlite+pysqlite:////var/c.db"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://u@server:a/b%40c@h:5432/db", "postgresql://u@server:a/b%40c@h:5432/db"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
    ],
)
def test_database_addresses(tmp_path: Path, url: str, meant: str) -> None:
    assert loaded(tmp_path, f"database_url: {url}\n{MINIMAL}").database_url == meant.format(folder=tmp_path)


def test_a_folder_with_signs_of_an_address_in_its_name_is_found(tmp_path: Path) -> None:
    (folder := tmp_path / "50%20 sure?").mkdir()
    assert file_of(loaded(folder).database_url) == folder / "connector.db"


def test_a_secret_may_be_a_list_while_rotating(tmp_path: Path) -> None:
    settings = loaded(tmp_path, MINIMAL.replace("webhook_secret: hush-hush", "webhook_secret: [hush-hush-new, hush-hush-old]"))
    assert [secret.get_secret_value() for secret in settings.crm.webhook_secret] == ["hush-hush-new", "hush-hush-old"]
    assert len(settings.providers["members"].webhook_secret) == 1


def test_the_slash_at_the_end_of_an_address_does_not_matter(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"public_url: https://sync.example/\n{MINIMAL}").public_url == "https://sync.example"


def test_all_shipped_kinds_are_available() -> None:
    assert AVAILABLE[: len(KINDS)] == tuple(KINDS)


def test_every_key_of_every_kind_is_a_setting() -> None:
    for kind in KINDS.values():
        assert {*COMMON, *kind.keys} <= ProviderSettings.model_fields.keys()
        assert {*kind.required} <= {*COMMON, *kind.keys}


def test_the_way_out_for_a_plain_text_secret_works(tmp_path: Path) -> None:
    text = MINIMAL.replace(KEY, "plain words of a secret") + "    signature: {key: utf8}\n"
    assert loaded(tmp_path, text).providers["members"].signature.key == "utf8"


def test_secrets_never_show(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "database_url: postgresql://joe:hush%40pw@host/db?password=hush\n" + MINIMAL)
    for told in (repr(settings), str(settings), json.dumps(settings.describe())):
        for secret in ("hush", "pw@host", "pat-test", KEY):
            assert secret not in told
    assert settings.describe()["database_url"] == "postgresql://joe:***@host/db?password=***"
    assert settings.describe()["crm"]["access_token"] == "***"


def test_describe_shows_the_keys_of_the_kind_only(tmp_path: Path) -> None:
    assert set(loaded(tmp_path).describe()["providers"]["members"]) == {
        *COMMON, "api_key", "signature", "webhook_auth", "trust",
    }  # fmt: skip


def test_a_secret_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.chmod(0o644)
    (warning,) = load_settings(path, {}).warnings
    assert "config.yaml:3:17: crm.access_token: a secret that every user of this machine can read" in warning
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert load_settings(path, {}).warnings == ()


@pytest.mark.parametrize(("providers", "place"), [("", "1:1"), ("providers: {}\n", "5:12")], ids=["no key", "none behind it"])
def test_a_configuration_without_providers_is_a_warning(tmp_path: Path, providers: str, place: str) -> None:
    text = MINIMAL[: MINIMAL.index("providers:")] + providers
    path = write(tmp_path, text)
    path.chmod(0o600)
    (warning,) = load_settings(path, {}).warnings
    assert (
        warning
        == f"{path}:{place}: providers: there is none, so nothing is kept in agreement: add one, as in config.example.yaml"
    )


def example(folder: Path) -> Path:
    """The example as the README has it copied, with its mapping."""
    (folder / "mappings").mkdir()
    (folder / "mappings" / "members.yaml").write_text((ROOT / "mappings" / "generic.yaml").read_text(encoding="utf-8"))
    path = folder / "config.yaml"
    path.write_text((ROOT / "config.example.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_a_file_without_secrets_may_be_read_by_all(tmp_path: Path) -> None:
    assert load_settings(example(tmp_path), SECRETS).warnings == ()


def test_settings_never_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded(tmp_path).crm.portal_id = 1  # type: ignore[misc]


def leaves(model: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting with its path."""
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from leaves(value, (*path, name))
        elif name == "providers":
            for provider, inner in value.items():
                allowed = {*COMMON, *KINDS[inner.kind].keys}
                yield from (leaf for leaf in leaves(inner, (*path, name, provider)) if leaf[0][2] in allowed)
        else:
            yield (*path, name), value


YOURS = {("crm", "portal_id"), *(("providers", "members", key) for key in ("kind", "mapping", "api_url"))}
SECRET = {tuple(name.removeprefix("CONNECTOR_").lower().split("__")) for name in SECRETS} | {("hash_key",)}


def test_the_example_has_every_key_with_its_default() -> None:
    example = YAML(typ="safe").load((ROOT / "config.example.yaml").read_text(encoding="utf-8"))
    plain = Settings.model_validate(
        {
            "crm": {"portal_id": 1, "access_token": "pat-test-0001", "webhook_secret": "hush-hush"},
            "providers": {"members": {"kind": "generic", "mapping": "x", "webhook_secret": KEY}},
        }
    )

    def flat(data: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
        found: dict[tuple[str, ...], Any] = {}
        for key, value in data.items():
            found |= flat(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value}
        return found

    shown, real = flat(example), dict(leaves(plain))
    assert shown.keys() == real.keys()
    assert {path for path, value in shown.items() if value != real[path]} <= YOURS | SECRET
    assert {path for path, value in shown.items() if value is None} == SECRET


def test_the_example_loads_with_the_secrets_it_names(tmp_path: Path) -> None:
    text = (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    assert all(name in text for name in SECRETS)
    settings = load_settings(example(tmp_path), SECRETS)
    assert settings.providers["members"].mapping == tmp_path / "mappings" / "members.yaml"


def test_the_example_alone_asks_for_its_secrets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(example(tmp_path), {})
    assert {finding.rpartition(" ")[2] for finding in caught.value.findings} == set(SECRETS)


def test_the_schema_accepts_the_example() -> None:
    Draft202012Validator.check_schema(config_schema())
    example = YAML(typ="safe").load((ROOT / "config.example.yaml").read_text(encoding="utf-8"))
    Draft202012Validator(config_schema()).validate(example)


def test_the_schema_refuses_an_unknown_key() -> None:
    assert not Draft202012Validator(config_schema()).is_valid({"databse_url": "sqlite://"})
