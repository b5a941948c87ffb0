"""What is told of a shop's customers: in the profile's shape, and in the words of Trustisto's script."""

import json
from pathlib import Path

import pytest

from connector.errors import BadDelivery
from connector.providers.base import Capabilities
from connector.providers.registry import build
from connector.settings import ProviderSettings
from tests.providers.profile import SECRET

FIXTURES = Path(__file__).parent / "fixtures"
API = {"api_url": "https://shop.test", "api_key": "identity-key"}


def provider(**given):
    mapping = FIXTURES / "user_created.json"
    told = {"kind": "trustisto", "mapping": mapping, "webhook_secret": SECRET, **given}
    return build("shop", ProviderSettings.model_validate(told))


def read(name, **given):
    return provider(**given).read_item((FIXTURES / f"{name}.json").read_bytes(), {})


def test_it_is_listened_to_unless_there_is_an_api():
    assert provider().capabilities == Capabilities()
    assert provider(**API).capabilities.read


def test_what_the_shop_tells_itself_is_believed():
    change = read("user_updated")
    assert (change.kind, change.record_id) == ("user.updated", "77")
    assert change.user.values == {"email": "ada@example.com", "first_name": "Ada", "custom.city": "Oslo"}


@pytest.mark.parametrize("name", ["customer_browser", "thank_you_browser"])
@pytest.mark.parametrize("trust", ["auto", "full"])
def test_a_browser_only_gives_a_hint(name, trust):
    change = read(name, trust=trust, **API)
    assert (change.kind, change.record_id, change.user, change.details) == ("user.updated", "77", None, {})
    assert read(name, trust=trust).kind.startswith("hint.")


@pytest.mark.parametrize("data", [{"customerId": None}, {"customerId": ""}, {"customerId": []}, {"client": {"firstname": "Ada"}}])
def test_no_customer(data):
    with pytest.raises(BadDelivery):
        provider().read_item(json.dumps({"type": "user.login", "data": data}).encode(), {})


@pytest.mark.parametrize("client", [None, "x", [], {}, {"firstname": {}, "city": []}])
def test_an_odd_client_is_no_trouble(client):
    told = json.dumps({"type": "user.login", "data": {"customerId": 77, "client": client}}).encode()
    assert provider(**API).read_item(told, {}).record_id == "77"
