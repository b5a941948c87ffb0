"""What is told of MemberSpace's members: in the profile's shape, in MemberSpace's own, and from a browser."""

import json
from pathlib import Path

import pytest

from connector.errors import BadDelivery
from connector.providers.base import Capabilities
from connector.providers.registry import build
from connector.settings import ProviderSettings
from tests.providers.profile import SECRET

FIXTURES = Path(__file__).parent / "fixtures"
API = {"api_url": "https://relay.test", "api_key": "identity-key"}


def provider(**given):
    mapping = FIXTURES / "user_created.json"
    told = {"kind": "memberspace", "mapping": mapping, "webhook_secret": SECRET, **given}
    return build("site", ProviderSettings.model_validate(told))


def read(name, **given):
    return provider(**given).read_item((FIXTURES / f"{name}.json").read_bytes(), {})


def test_it_is_listened_to_unless_there_is_an_api():
    assert provider().capabilities == Capabilities()
    assert provider(**API).capabilities.update


def test_a_member():
    change = read("user_created")
    assert (change.kind, change.record_id, change.details) == ("user.created", "48213", {})
    assert change.user.values == {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "custom.31": "Oslo"}
    assert [(one["key"], one["active"]) for one in change.user.memberships] == [("7", True), ("8", False), ("9", False)]
    assert change.user.consents is None


def test_what_is_not_told_stays_open():
    user = read("user_updated").user
    assert (user.values, user.memberships) == ({"email": "ada@example.com"}, None)
    assert read("user_updated_profile").user.values == {"email": "ada@example.com", "first_name": "Ada"}


def test_which_words_mean_active_is_a_setting():
    user = read("user_created", active_statuses=["Canceled"]).user
    assert [one["active"] for one in user.memberships] == [False, False, True]


@pytest.mark.parametrize("name", ["registration", "info", "ready", "conversion"])
@pytest.mark.parametrize("trust", ["auto", "full"])
def test_a_browser_only_gives_a_hint(name, trust):
    """Whoever forwards it, and whatever is configured: a visitor can make it up."""
    change = read(f"{name}_browser", trust=trust, **API)
    assert (change.kind, change.record_id, change.user, change.details) == ("user.updated", "48213", None, {})


def test_a_hint_about_who_cannot_be_read_does_nothing():
    assert read("registration_browser").kind == "hint.user.created"


def test_names_of_events_can_be_given():
    told = json.dumps({"type": "Member Joined", "data": {"member": {"id": 1}}}).encode()
    with pytest.raises(BadDelivery):
        provider().read_item(told, {})
    assert provider(events={"Member Joined": "user.created"}).read_item(told, {}).kind == "user.created"


@pytest.mark.parametrize(
    "member", [None, [], "x", {}, {"id": None}, {"id": 1.5}, {"id": {}}, {"id": ""}, {"email": "ada@example.com"}]
)
def test_no_member(member):
    told = json.dumps({"type": "user.created", "data": {"member": member}}).encode()
    with pytest.raises(BadDelivery):
        provider().read_item(told, {})


def test_odd_memberships_and_fields_are_left_out():
    member = {"id": 1, "memberships": [None, {}, {"planId": []}, {"planId": 7}], "customSignupFields": [1, {"value": 2}]}
    user = provider().read_item(json.dumps({"type": "user.created", "data": {"member": member}}).encode(), {}).user
    assert [(one["key"], one["active"]) for one in user.memberships] == [("7", False)]
    assert user.values == {}
