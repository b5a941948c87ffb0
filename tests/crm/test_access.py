"""Access, where the portal tells less than one would like."""

import pytest

from connector.errors import Paused, Unavailable
from tests.crm.conftest import PORTAL, Call, Say, error

NO = Say(404, error("OBJECT_NOT_FOUND"))


def portal(**answers: Say):
    """By the end of the path, with dashes as underscores; everything else is an empty list."""

    def answer(call: Call) -> Say:
        end = call.path.rsplit("/", 1)[-1].replace("-", "_")
        return answers.get(end, Say(200, {"results": [], "portalId": PORTAL}))

    return answer


@pytest.mark.parametrize(
    "answer", [NO, Say(403, error("FORBIDDEN")), Say(400, error("VALIDATION_ERROR")), Say(200, {"hubId": 1})]
)
def test_scopes_may_not_be_told(hubspot, stub, answer):
    stub.says(portal(access_token_info=answer))
    assert hubspot.access().scopes is None


def test_the_token_is_asked_about_in_the_body(hubspot, stub):
    stub.says(portal(access_token_info=Say(200, {"scopes": ["oauth"]})))
    assert hubspot.access().scopes == {"oauth"}
    asked = next(call for call in stub.calls if call.path == "/oauth/v2/private-apps/get/access-token-info")
    assert (asked.method, asked.body) == ("POST", {"tokenKey": "pat-eu1-very-secret"})


BATCH_READ, BATCH_WRITE = (f"communication_preferences.statuses.batch.{one}" for one in ("read", "write"))


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        ([BATCH_READ, BATCH_WRITE], "batch"),
        ([BATCH_READ], "single_writes"),
        (["oauth"], "batch"),
        (None, "batch"),
    ],
    ids=["both", "reading only", "neither is named, and reading works", "not told"],
)
def test_writing_many_statuses_at_once_is_judged_by_its_scope(hubspot, stub, scopes, told):
    stub.says(portal(access_token_info=NO if scopes is None else Say(200, {"scopes": scopes})))
    assert hubspot.access().subscriptions == told


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(Say(200, {"results": [{"currentUsage": 7, "usageLimit": 1000}]}), (7, 1000), id="a list"),
        pytest.param(Say(200, {"currentUsage": 7, "usageLimit": 1000}), (7, 1000), id="plain"),
        pytest.param(Say(200, {"results": [{"currentUsage": None}]}), (None, None), id="nothing"),
        pytest.param(Say(200, {"results": ["x"]}), (None, None), id="something else"),
        pytest.param(Say(403, error("MISSING_SCOPES")), (None, None), id="denied"),
        pytest.param(NO, (None, None), id="not there"),
    ],
)
def test_usage(hubspot, stub, answer, told):
    stub.says(portal(private_apps=answer))
    found = hubspot.access()
    assert (found.calls_today, found.calls_limit) == told


def test_what_is_not_there_is_not_allowed(hubspot, stub):
    stub.says(portal(schemas=NO, event_definitions=NO))
    found = hubspot.access()
    assert (found.custom_objects, found.custom_events) == (False, False)


@pytest.mark.parametrize(
    ("answer", "raised"), [(Say(503, error("INTERNAL_ERROR")), Unavailable), (Say(401, error("INVALID_AUTHENTICATION")), Paused)]
)
@pytest.mark.parametrize("part", ["schemas", "event_definitions", "read", "details"])
def test_what_could_not_be_asked_is_not_denied(hubspot, stub, part, answer, raised):
    stub.says(portal(**{part: answer}))
    with pytest.raises(raised):
        hubspot.access()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(Say(200, {"byObjectType": [{"objectTypeId": "0-1", "usage": 7, "limit": 1000}]}), (7, 1000), id="told"),
        pytest.param(Say(200, {"byObjectType": [{"objectTypeId": "0-2", "usage": 7, "limit": 9}]}), (None, None), id="others"),
        pytest.param(Say(200, {"byObjectType": ["x"]}), (None, None), id="something else"),
        pytest.param(Say(403, error("MISSING_SCOPES")), (None, None), id="denied"),
        pytest.param(NO, (None, None), id="not there"),
    ],
)
def test_how_many_properties_there_are(hubspot, stub, answer, told):
    stub.says(portal(custom_properties=answer))
    found = hubspot.access()
    assert (found.properties_made, found.properties_limit) == told
