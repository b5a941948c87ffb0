"""Paths of other API versions."""

import pytest

from connector.crm.hubspot import paths
from connector.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "march", "september"),
    [
        (paths.SCHEMAS, "/crm-object-schemas/{}/schemas", None),
        ("/crm/v3/objects/p1_x/batch/upsert", "/crm/objects/{}/p1_x/batch/upsert", None),
        ("/crm/v4/associations/notes/contacts/batch/read", "/crm/associations/{}/notes/contacts/batch/read", None),
        (paths.EVENTS_SEND, "/events/{}/send/batch", "/events/custom/{}/send/batch"),
        (paths.STATUSES_READ, "/communication-preferences/{}/statuses/batch/read", None),
        (paths.SUBSCRIBE_V3, "/communication-preferences/{}/subscribe", None),
        (paths.USAGE, "/account-info/{}/api-usage/daily/private-apps", None),
        (paths.TOKEN, paths.TOKEN, None),
    ],
)
def test_dated_paths(path, march, september):
    assert paths.at_version(path, "v3") == path
    assert paths.at_version(path, "2026-03") == march.format("2026-03")
    assert paths.at_version(path, "2026-09") == (september or march).format("2026-09")


def test_a_path_nobody_knows_is_a_finding():
    with pytest.raises(ConfigError, match="no path known for API version 2026-09"):
        paths.at_version("/webhooks/v3/1/settings", "2026-09")


def test_parts_of_a_path_may_hold_anything():
    assert paths.under("/a", "k@x.no/../?b#c") == "/a/k%40x.no%2F..%2F%3Fb%23c"
