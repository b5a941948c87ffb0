"""What the sandbox portal allows, as the driver finds it out."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.crm.base import StatusWrite
from connector.sandbox.portal import Portal
from tests.crm.conftest import PORTAL, TOKEN


def test_everything_is_allowed(hubspot, portal):
    portal.faults.daily_limit = 1000
    before = datetime.now(UTC) - timedelta(seconds=10)  # a busy server sets its date once a second, or less often
    found = hubspot.access()
    assert (found.portal_id, found.subscriptions) == (PORTAL, "batch")
    assert (found.custom_objects, found.custom_events) == (True, True)
    assert found.scopes == portal.scopes
    assert found.calls_limit == 1000
    assert 1 <= found.calls_today <= len(portal.calls)
    assert before <= found.clock <= datetime.now(UTC)
    assert not [one for one in portal.calls if one.write]


def test_nothing_but_contacts_is_allowed(hubspot, portal):
    portal.switch(custom_objects=False, custom_events=False, batch_subscriptions=False, v4_subscriptions=False)
    portal.scopes -= {one for one in portal.scopes if one.startswith("communication")}
    found = hubspot.access()
    assert (found.subscriptions, found.custom_objects, found.custom_events) == ("none", False, False)


@pytest.mark.parametrize(
    ("switches", "mode"),
    [
        pytest.param({}, "batch", id="batch"),
        pytest.param({"batch_subscriptions": False}, "single", id="single"),
        pytest.param({"batch_subscriptions": False, "v4_subscriptions": False}, "v3", id="v3"),
    ],
)
def test_the_way_to_subscriptions(hubspot, portal: Portal, switches, mode):
    portal.switch(**switches)
    assert hubspot.access().subscriptions == mode


def test_the_token_is_not_in_the_path(hubspot, portal):
    hubspot.access()
    assert not [one for one in portal.calls if TOKEN in one.path]


def test_writing_one_a_call_is_told_before_and_after_it_was_tried(hubspot, portal):
    portal.scopes.discard("communication_preferences.statuses.batch.write")
    assert hubspot.access().subscriptions == "single_writes"
    hubspot.write_statuses([StatusWrite("a", "ann@example.com", "1001", False)])
    assert hubspot.access().subscriptions == "single_writes"
