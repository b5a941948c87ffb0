"""What is refused when the parts are put together is told at the place of the setting it is about."""

import importlib.util

import pytest

from connector import assembly
from connector.errors import ConfigError
from connector.settings import Settings, load_settings

CONFIG = """\
broker_url: redis://127.0.0.1:9
crm: {portal_id: 1, access_token: pat-test-0001, webhook_secret: hush-hush}
providers:
  one:
    kind: scim
    mapping: one.yaml
    webhook_secret: hush-hush-hush
    api_url: https://one.test
    api_key: key-test-0001
  two:
    kind: outseta
    mapping: one.yaml
    webhook_secret: 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
    api_url: https://two.test
"""


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """What `build` refuses of this configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "one.yaml").write_text("version: 1\nfields: [{user: email, contact: email, direction: to_contact}]\n")

    def build(**variables):
        settings = load_settings(None, {"CONNECTOR_PROVIDERS__TWO__API_KEY": "a-key-without-its-secret"} | variables)
        with pytest.raises(ConfigError) as caught:
            assembly.build(settings)
        return caught.value.findings

    return build


def test_what_is_set_for_the_crm_reaches_it():
    crm = {"portal_id": 1, "access_token": "pat-test-0001", "webhook_secret": "hush-hush", "statuses_per_read": 7}
    assert assembly.open_crm(Settings(crm=crm)).statuses_per_read == 7


def test_what_a_provider_cannot_work_with_is_told_at_its_place_for_all_of_them(refused):
    one, two = refused()
    assert one.startswith("config.yaml:7:21: providers.one.webhook_secret: ")
    assert two.startswith("CONNECTOR_PROVIDERS__TWO__API_KEY: providers.two.api_key: expected KEY:SECRET")


def test_a_driver_that_is_not_installed_is_told_with_the_command(refused, monkeypatch):
    monkeypatch.setattr(assembly, "find_spec", lambda name: None if name == "redis" else importlib.util.find_spec(name))
    assert refused() == [
        "config.yaml:1:13: broker_url: redis:// needs a package that is not installed: "
        "pip install -c constraints.txt -e '.[redis]'"
    ]


@pytest.mark.parametrize("options", ["socket_timeout=soon-and-secret", "no_such_option=secret", "db=secret"])
def test_options_of_an_address_that_redis_does_not_take_are_told_and_not_shown(refused, options):
    found = refused(CONNECTOR_BROKER_URL=f"redis://127.0.0.1:9/0?{options}")
    assert found == ["CONNECTOR_BROKER_URL: broker_url: the Redis client does not know an option behind the ?, or not its value"]


@pytest.mark.parametrize("options", ["no_such_option=secret", "prepare_threshold=secret", "host=secret:1&host=b&port=2,3"])
def test_options_of_an_address_that_postgresql_does_not_take_are_told_and_not_shown(refused, options):
    found = refused(CONNECTOR_DATABASE_URL=f"postgresql:///db?{options}")
    told = "the PostgreSQL client does not know an option behind the ?, or not its value"
    assert found == [f"CONNECTOR_DATABASE_URL: database_url: {told}"]


@pytest.mark.parametrize("options", ["host=/run/postgresql", "sslmode=require&application_name=x", "host=a,b&port=1,2"])
def test_options_of_an_address_that_postgresql_takes(options):
    crm = {"portal_id": 1, "access_token": "pat-test-0001", "webhook_secret": "hush-hush"}
    assembly.open_store(Settings(crm=crm, database_url=f"postgresql:///db?{options}"))
