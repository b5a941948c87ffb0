"""What variables of the environment give, and what is refused of them."""

from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.settings import load_settings

from .configs import KEY, MINIMAL, findings, loaded, write


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


@pytest.mark.parametrize("text", ["", "# all of it comes from the environment\n", "---\n", "{}\n"])
def test_a_file_with_nothing_in_it_leaves_all_to_the_environment(tmp_path: Path, text: str) -> None:
    (finding,) = findings(tmp_path, text)
    assert finding.endswith(":1: crm: missing: give it here or as CONNECTOR_CRM")
    crm = '{"portal_id": 7, "access_token": "pat-test-0001", "webhook_secret": "hush-hush"}'
    assert loaded(tmp_path, text, CONNECTOR_CRM=crm).crm.portal_id == 7


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
