"""The configuration: file, environment, defaults, and what is refused."""

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

ROOT = Path(__file__).parents[1]
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


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder that no file of a test is below, so that paths are told in full."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def findings(folder: Path, text: str = MINIMAL, **environ: str) -> list[str]:
    """What is wrong with a configuration, without the folder in front."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ)
    return [finding.replace(f"{path}:", "") for finding in caught.value.findings]


def test_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.broker_url == "memory://"
    assert settings.public_url == "http://127.0.0.1:8000"
    assert (settings.crm.kind, settings.crm.base_url, settings.crm.burst_limit) == ("hubspot", "https://api.hubapi.com", 190)
    assert (settings.crm.api_version, settings.crm.accept_v1_signature) == ("v3", False)
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
        ("sqlite:///data/c.db?timeout=5", "sqlite:///{folder}/data/c.db?timeout=5"),
        ("sqlite:////var/c.db", "sqlite:////var/c.db"),
        ("'sqlite:///:memory:'", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://u@server:a/b%40c@h:5432/db", "postgresql://u@server:a/b%40c@h:5432/db"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
    ],
)
def test_database_addresses(tmp_path: Path, url: str, meant: str) -> None:
    assert loaded(tmp_path, f"database_url: {url}\n{MINIMAL}").database_url == meant.format(folder=tmp_path)


def test_a_secret_may_be_a_list_while_rotating(tmp_path: Path) -> None:
    settings = loaded(tmp_path, MINIMAL.replace("webhook_secret: hush-hush", "webhook_secret: [hush-hush-new, hush-hush-old]"))
    assert [secret.get_secret_value() for secret in settings.crm.webhook_secret] == ["hush-hush-new", "hush-hush-old"]
    assert len(settings.providers["members"].webhook_secret) == 1


def test_the_slash_at_the_end_of_an_address_does_not_matter(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"public_url: https://sync.example/\n{MINIMAL}").public_url == "https://sync.example"


def test_the_environment_wins(tmp_path: Path) -> None:
    settings = loaded(tmp_path, CONNECTOR_CRM__PORTAL_ID="7", CONNECTOR_PROVIDERS__MEMBERS__SIGNATURE__TOLERANCE="60")
    assert settings.crm.portal_id == 7
    assert settings.providers["members"].signature.tolerance == 60


def test_the_environment_gives_what_the_file_leaves_open(tmp_path: Path) -> None:
    settings = loaded(tmp_path, MINIMAL.replace("pat-test-0001", ""), CONNECTOR_CRM__ACCESS_TOKEN="pat-test-0002\n")
    assert settings.crm.access_token.get_secret_value() == "pat-test-0002"


def test_lists_and_sections_come_as_json(tmp_path: Path) -> None:
    environ = {"CONNECTOR_CRM__WEBHOOK_SECRET": '["hush-hush-1", "hush-hush-2"]', "CONNECTOR_RETRIES": '{"attempts": 3}'}
    settings = loaded(tmp_path, f"{MINIMAL}retries: {{first: 5}}\n", **environ)
    assert len(settings.crm.webhook_secret) == 2
    assert (settings.retries.attempts, settings.retries.first) == (3, 5)


def test_an_empty_variable_is_not_given(tmp_path: Path) -> None:
    assert loaded(tmp_path, CONNECTOR_CRM__PORTAL_ID="").crm.portal_id == 12345678


def test_a_list_that_is_no_json_is_not_taken_for_one_secret(tmp_path: Path) -> None:
    name = "CONNECTOR_CRM__WEBHOOK_SECRET"
    assert findings(tmp_path, **{name: "[new-secret,old-secret]"}) == [
        f'{name}: begins with [ and is no JSON list: write ["new","old"]'
    ]


def test_a_variable_joined_by_one_underscore_is_told_where_the_key_is_missing(tmp_path: Path) -> None:
    (finding,) = findings(
        tmp_path, MINIMAL.replace("  access_token: pat-test-0001\n", ""), CONNECTOR_CRM_ACCESS_TOKEN="pat-test-0002"
    )
    assert finding.endswith(
        "crm.access_token: missing: give it here or as CONNECTOR_CRM__ACCESS_TOKEN; "
        "CONNECTOR_CRM_ACCESS_TOKEN is set: it takes two underscores after CRM"
    )


@pytest.mark.parametrize(("name", "rest"), [("membrs", "; did you mean members?"), ("zzz", "; there is members")])
def test_a_variable_of_a_provider_that_is_none_is_one_line(tmp_path: Path, name: str, rest: str) -> None:
    variable = f"CONNECTOR_PROVIDERS__{name.upper()}__API_KEY"
    assert findings(tmp_path, **{variable: "key-test-0001"}) == [f"{variable}: no provider {name} is configured{rest}"]


def test_a_provider_may_come_from_the_environment_alone(tmp_path: Path) -> None:
    environ = {f"CONNECTOR_PROVIDERS__OTHER__{key}": value for key, value in (
        ("KIND", "generic"), ("MAPPING", "members.yaml"), ("WEBHOOK_SECRET", KEY),
    )}  # fmt: skip
    assert set(loaded(tmp_path, **environ).providers) == {"members", "other"}


def test_a_blank_key_may_get_its_value_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "CONNECTOR_PROVIDERS__MEMBERS__API_URL": "https://id.test",
        "CONNECTOR_PROVIDERS__MEMBERS__API_KEY": "key-test-0001",
    }
    text = MINIMAL + "    api_url:\n    api_key:\n"
    assert loaded(tmp_path, text, **environ).providers["members"].api_url == "https://id.test"


def test_a_message_is_put_at_the_place_of_the_setting_it_names(tmp_path: Path) -> None:
    path = write(tmp_path)
    settings = load_settings(path, {"CONNECTOR_CRM__PORTAL_ID": "7"})
    assert settings.placed("hubspot: 401: correct crm.access_token").startswith(f"{path}:3:17: hubspot: 401")
    assert settings.placed("crm.portal_id is 7, but crm.access_token ...").startswith(
        "CONNECTOR_CRM__PORTAL_ID: crm.portal_id is 7"
    )
    assert settings.placed("providers.members.webhook_secret: no webhooks").startswith(f"{path}:9:21: providers.members")
    assert settings.placed("hubspot: http://127.0.0.1:9 cannot be reached") == "hubspot: http://127.0.0.1:9 cannot be reached"


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    """Kubernetes sets such for a service called connector."""
    environ = {
        "CONNECTOR_PORT": "tcp://10.0.0.1:80",
        "CONNECTOR_SERVICE_HOST": "10.0.0.1",
        "CONNECTOR_CONFIG": "x",
        "PATH": "/bin",
    }
    assert loaded(tmp_path, **environ).crm.portal_id == 12345678


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("CONNECTOR_CRM__PORTAL_ID", "abc", "crm.portal_id: expected a whole number, found 'abc'"),
        ("CONNECTOR_CRM__ACES_TOKEN", "pat-test-0002", "crm.aces_token: unknown key; did you mean access_token?"),
        ("CONNECTOR_CRM__ACCESS_TOKEN", "x1y2", "crm.access_token: too short for a secret: 8 characters at least"),
        ("CONNECTOR_DATABSE_URL", "sqlite://", "unknown setting; did you mean CONNECTOR_DATABASE_URL?"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, name: str, value: str, finding: str) -> None:
    assert findings(tmp_path, **{name: value}) == [f"{name}: {finding}"]


def test_the_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path)
    settings = load_settings(None, {"CONNECTOR_CONFIG": str(path)})
    assert settings.path == path


def test_without_a_file_the_way_to_begin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {})
    (finding,) = caught.value.findings
    assert finding.startswith("config.yaml: no such file: copy config.example.yaml")
    assert "connector demo" in finding


def test_a_file_is_not_needed_where_the_environment_gives_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "members.yaml").write_text("version: 1\nfields: [{user: email, contact: email}]\n")
    given = {
        "CONNECTOR_CRM__PORTAL_ID": "1", "CONNECTOR_CRM__ACCESS_TOKEN": "t" * 16, "CONNECTOR_CRM__WEBHOOK_SECRET": "s" * 16,
        "CONNECTOR_PROVIDERS__MEMBERS__KIND": "generic", "CONNECTOR_PROVIDERS__MEMBERS__MAPPING": "members.yaml",
        "CONNECTOR_PROVIDERS__MEMBERS__WEBHOOK_SECRET": "whsec_" + "c2FuZGJveC1zZWNyZXQtc2FuZGJveC1zZWNyZXQ=",
    }  # fmt: skip
    settings = load_settings(None, given)
    assert (settings.crm.portal_id, settings.providers["members"].mapping) == (1, tmp_path / "members.yaml")
    del given["CONNECTOR_CRM__ACCESS_TOKEN"]
    with pytest.raises(ConfigError) as caught:
        load_settings(None, given)
    (finding,) = caught.value.findings
    assert "crm.access_token: missing" in finding
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "other.yaml", given)


BAD = {
    "unknown key": ("§databse_url: x\n" + MINIMAL, "databse_url: unknown key; did you mean database_url?"),
    "hash key": ("hash_key: §fifteen letters\n" + MINIMAL, "hash_key: too short for a key: 16 characters at least"),
    "hash key, very short": ("hash_key: §abc\n" + MINIMAL, "hash_key: too short for a key: 16 characters at least"),
    "address left open": (
        MINIMAL + "    §api_url:\n",
        "providers.members.api_url: nothing behind it: give it here or as CONNECTOR_PROVIDERS__MEMBERS__API_URL, or leave",
    ),
    "optional secret left open": (
        MINIMAL.replace("generic", "scim").replace(f"webhook_secret: {KEY}", "§webhook_secret:")
        + "    api_url: https://id.test\n    api_key: key-test-0001\n",
        "providers.members.webhook_secret: nothing behind it: give it here or as CONNECTOR_PROVIDERS__MEMBERS__WEBHOOK_SECRET",
    ),
    "section left open": (
        MINIMAL + "§schedule:\n",
        "schedule: nothing behind it: give it here or as CONNECTOR_SCHEDULE, or leave",
    ),
    "no crm": ("§plan_max_age: 5\n", "crm: missing: give it here or as CONNECTOR_CRM"),
    "portal id": (MINIMAL.replace("12345678", "§0"), "crm.portal_id: expected more than 0, found '0'"),
    "secret left open": (
        MINIMAL.replace("access_token: pat-test-0001", "§access_token:"),
        "crm.access_token: missing: give it here or as ",
    ),
    "secret empty": (MINIMAL.replace("pat-test-0001", "§''"), "crm.access_token: a secret is missing"),
    "placeholder": (MINIMAL.replace("pat-test-0001", "§changeme"), "crm.access_token: this is a placeholder"),
    "dots": (MINIMAL.replace("pat-test-0001", "§..."), "crm.access_token: this is a placeholder"),
    "two lines": (MINIMAL.replace("pat-test-0001", '§"pat-test\\n0001"'), "crm.access_token: a secret with a line break"),
    "too short to sign": (
        MINIMAL.replace(KEY, "§whsec_c2hvcnQ="),
        "providers.members.webhook_secret.0: too short to sign webhooks: 16",
    ),
    "not base64": (
        MINIMAL.replace(KEY, "§plain words of a secret"),
        "providers.members.webhook_secret.0: expected whsec_ and base64, as ",
    ),
    "not hex": (
        MINIMAL + "    signature: {key: hex}\n",
        "providers.members.webhook_secret.0: expected hex, as signature.key says",
    ),
    "public address": ("public_url: §sync.example\n" + MINIMAL, "public_url: expected an address such as https://example.com"),
    "public address with a route": (
        "public_url: §https://sync.example/x/webhooks/hubspot\n" + MINIMAL,
        "public_url: write it without /webhooks/hubspot, which is added to it: https://sync.example/x",
    ),
    "public address with a provider's route": (
        "public_url: §https://sync.example/webhooks/identity/members/\n" + MINIMAL,
        "public_url: write it without /webhooks/identity/members, which is added to it: https://sync.example",
    ),
    "database": ("database_url: §mysql://u:hush@h/db\n" + MINIMAL, "database_url: expected sqlite:///FILE or postgresql://"),
    "database file": ("database_url: §sqlite://c.db\n" + MINIMAL, "database_url: expected sqlite:///FILE or postgresql://"),
    "broker": ("broker_url: §kafka://u:hush@h\n" + MINIMAL, "broker_url: expected memory://, redis://"),
    "crm kind": (MINIMAL + "crm2: {}\n", "crm2: unknown key; did you mean crm?"),
    "crm": (MINIMAL.replace("crm:\n", "crm:\n  kind: §salesforce\n"), "crm.kind: expected hubspot, found 'salesforce'"),
    "api version": (
        MINIMAL.replace("crm:\n", "crm:\n  api_version: §latest\n"),
        "crm.api_version: expected a version such as v3",
    ),
    "provider name": (
        MINIMAL.replace("members:", "§Our Members:"),
        "providers.Our Members: a provider's name is a letter, then lower-ca",
    ),
    "unknown kind": (
        MINIMAL.replace("generic", "§generc"),
        "providers.members.kind: expected one of generic, druid, memberstack, ",
    ),
    "no mapping file": (MINIMAL.replace("members.yaml", "§none.yaml"), "providers.members.mapping: no such file: "),
    "unknown key of a kind": (
        MINIMAL + "    §shap: x\n",
        "providers.members.shap: unknown key; allowed: kind, mapping, webhook_sec",
    ),
    "key of another kind": (
        MINIMAL + "    §shop: x\n",
        "providers.members.shop: not a key of kind generic; allowed: kind, mapping, ",
    ),
    "no api key": (
        MINIMAL.replace("    kind", "    §kind") + "    api_url: https://id.example\n",
        "providers.members.api_key: missing: gi",
    ),
    "signed": (
        MINIMAL + "    signature: {signed: §id.body}\n",
        "providers.members.signature.signed: expected one of body, timestamp.b",
    ),
    "header": (
        MINIMAL + "    signature: {header: §'X Sig:'}\n",
        "providers.members.signature.header: expected the name of an HTTP head",
    ),
    "no user and password": (
        MINIMAL + "    webhook_auth: basic\n",
        "providers.members.webhook_secret.0: expected user:password, as web",
    ),
    "negative seconds": (MINIMAL + "schedule: {sweep: §-1}\n", "schedule.sweep: expected 0 or more, found '-1'"),
    "seconds with a unit": (MINIMAL + "schedule: {sweep: §10s}\n", "schedule.sweep: expected a number, found '10s'"),
    "no end of seconds": (MINIMAL + "schedule: {sweep: §inf}\n", "schedule.sweep: expected a number, found 'inf'"),
    "percent": (MINIMAL + "brakes: {deletes_percent: §101}\n", "brakes.deletes_percent: expected 100 or less, found '101'"),
    "no attempts": (MINIMAL + "retries: {attempts: §0}\n", "retries.attempts: expected 1 or more, found '0'"),
    "longest wait": (
        MINIMAL + "retries: {first: 60, longest: §5}\n",
        "retries.longest: expected 60 (retries.first) or more, found 5",
    ),
    "switch": (
        MINIMAL.replace("crm:\n", "crm:\n  accept_v1_signature: §maybe\n"),
        "crm.accept_v1_signature: expected true or false, f",
    ),
    "part of a day": (MINIMAL + "retention: {history: §0.5}\n", "retention.history: expected a whole number, found '0.5'"),
    "a text for a section": (MINIMAL + "retention: §hush-hush\n", "retention: expected a mapping (key: value), found text"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_at_its_place(tmp_path: Path, text: str, message: str) -> None:
    """§ stands before the place that the finding must name."""
    before, mark, after = text.partition("§")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    (finding,) = findings(tmp_path, before + after)
    place = f"{line}:{column}" if mark else finding.split(": ")[0]
    assert finding.startswith(f"{place}: {message}")


WRONG_ADDRESSES = {
    "broker, / in the password": "broker_url: §'redis://user:hush/pw@h/0'",
    "broker, # in the password": "broker_url: §'amqp://user:hush#pw@h//'",
    "broker, ? in the password": "broker_url: §'redis://user:hush?pw@h/0'",
    "broker, [ in the password": "broker_url: §'redis://user:hush[pw@h/0'",
    "broker, ; in the password": "broker_url: §'redis://user:hush;pw@h/0'",
    "broker, / behind digits": "broker_url: §'redis://user:12/hush@h/0'",
    "broker, port no number": "broker_url: §'redis://user:hush@h:port/0'",
    "broker, port out of range": "broker_url: §'redis://user:hush@h:99999/0'",
    "database, @ in the password": "database_url: §'postgresql://u:hush@pw@h/db'",
    "database, @ and ? in the password": "database_url: §'postgresql://u:hush@pw?pw@h/db'",
    "database, port no number": "database_url: §'postgresql://u:hush@h:port/db'",
    "database, port out of range": "database_url: §'postgresql://u:hush@h:99999/db'",
    "database, no address": "database_url: §'postgresql+my-driver://u:hush@h/db'",
}


@pytest.mark.parametrize("text", WRONG_ADDRESSES.values(), ids=WRONG_ADDRESSES.keys())
def test_an_address_that_would_be_misread_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    before, _, after = text.partition("§")
    (finding,) = findings(tmp_path, f"{before}{after}\n{MINIMAL}")
    assert finding.startswith(f"1:{len(before) + 1}: {before.strip()} expected a port up to 65535, and special characters ")
    assert finding.endswith("percent-encoded (@ is %40, / %2F, # %23, ? %3F, [ %5B, ; %3B)")


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:a%2Fb%40c@h:6379/0?ssl_cert_reqs=required",
        "redis://:a@b:c@h",
        "amqp://u:p@h:5672/vhost;amqp://u:p@[::1]:5672/vhost",
    ],
)
def test_broker_addresses(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f'broker_url: "{url}"\n{MINIMAL}').broker_url == url


AUTH0 = MINIMAL[: MINIMAL.index("    kind")] + (
    "    {kind: auth0, mapping: members.yaml, domain: acme.auth0.com, client_id: us, client_secret: 'the-secret', "
    "webhook_secret: 'the-static-value'}\n"
)
UNSENDABLE = {
    "access token": (MINIMAL.replace("pat-test-0001", "§'pat-test-00…'"), "crm.access_token"),
    "api key": (MINIMAL + "    api_key: §'key-test-00…'\n", "providers.members.api_key"),
    "client secret": (AUTH0.replace("'the-secret'", "§'the-secrét'"), "providers.members.client_secret"),
    "static header": (AUTH0.replace("'the-static-value'", "§'the-static-val…'"), "providers.members.webhook_secret.0"),
}


@pytest.mark.parametrize(("text", "setting"), UNSENDABLE.values(), ids=UNSENDABLE.keys())
def test_a_secret_that_no_header_can_carry_is_refused(tmp_path: Path, text: str, setting: str) -> None:
    before, _, after = text.partition("§")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    (finding,) = findings(tmp_path, before + after)
    assert finding == (
        f"{line}:{column}: {setting}: a secret with a character that cannot be sent "
        "(é, or the … of a shortened copy, say): copy it again"
    )


def test_a_secret_that_only_signs_may_have_any_character(tmp_path: Path) -> None:
    text = MINIMAL.replace("hush-hush", "'hüsh-hüsh'").replace(KEY, "'ein Schlüssel für alle…'")
    secret = loaded(tmp_path, text + "    signature: {key: utf8}\n").crm.webhook_secret[0]
    assert secret.get_secret_value() == "hüsh-hüsh"


def test_an_error_never_shows_a_secret(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("pat-test-0001", "[hush, hush]").replace("hush-hush", "{hush: hush}").replace(KEY, "hush hush hush hush!")
    )
    told = findings(tmp_path, "database_url: mysql://u:hush@h\nbroker_url: [hush]\n" + text)
    assert len(told) >= 4
    assert not [finding for finding in told if "hush" in finding.split(": ", 2)[2]]


def test_a_kind_that_is_nearly_right(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, MINIMAL.replace("generic", "member_stack"))
    assert f"one of {', '.join(AVAILABLE)}, found 'member_stack'; did you mean memberstack? Or its package" in finding


def test_a_kind_of_a_package_that_is_not_installed(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, MINIMAL.replace("generic", "acme"))
    assert "found 'acme'" in finding
    assert finding.endswith("r its package is not installed here (docs/providers/write-a-provider.md)")


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
