"""A listing that meets a short trouble waits, and goes on where it was; nothing else waits."""

import itertools
import json

import pytest
import requests
import responses

from connector.errors import Missing, Paused, Rejected, Unavailable
from connector.providers import patience
from connector.providers.generic import Generic
from connector.providers.http import Rest
from connector.providers.oauth import ClientCredentials
from connector.providers.patience import patiently
from connector.providers.signature import SignatureScheme
from connector.sync import recent, reconcile

URL = "https://id.test/api"
OK, DOWN, MANY = (200, {}), (500, {}), (429, {})


@pytest.fixture
def api():
    return Generic("members", ["x" * 16], SignatureScheme(key="utf8"), URL, "identity-key")


@pytest.fixture
def web():
    """web(answer, ...): what the provider answers, one after the other; each page that is told has one user."""
    with responses.RequestsMock() as mock:

        def play(*answers):
            script = iter(answers)

            def answer(request):
                status, headers = next(script)
                number = int(request.params.get("cursor", 0))
                told = {"items": [{"id": f"u-{number}"}], "next_cursor": number + 1 if number < 2 else None}
                if isinstance(status, Exception):
                    raise status
                return status, headers, json.dumps(told)

            mock.add_callback("GET", f"{URL}/users", answer)
            return mock

        yield play


def ids(pages):
    return [user.id for page in pages for user in page]


def cursors(mock):
    return [call.request.params.get("cursor") for call in mock.calls]


@pytest.mark.parametrize("trouble", [DOWN, MANY, (503, {}), (408, {}), (requests.ConnectionError("reset"), {})])
def test_it_goes_on_at_the_same_page(web, api, trouble):
    mock, waited = web(OK, trouble, trouble, trouble, OK, OK), []
    assert ids(patiently(api.pages(), waited.append)) == ["u-0", "u-1", "u-2"]
    assert cursors(mock) == [None, "1", "1", "1", "1", "2"]
    assert waited == [1.0, 5.0, 15.0]


def test_it_waits_as_long_as_it_is_asked_to(web, api):
    web(OK, (429, {"Retry-After": "7"}), OK, (503, {"Retry-After": "60"}), OK)
    waited = []
    assert len(ids(patiently(api.pages(), waited.append))) == 3
    assert waited == [7, 60]


@pytest.mark.parametrize(
    ("answers", "error", "waited"),
    [
        pytest.param([OK, *[DOWN] * 4], Unavailable, [1.0, 5.0, 15.0], id="three times"),
        pytest.param([OK, (429, {"Retry-After": "61"})], Paused, [], id="asked for too long"),
        pytest.param([OK, *[(429, {"Retry-After": "50"})] * 2], Paused, [50], id="too long in all"),
        pytest.param([DOWN], Unavailable, [], id="it never began"),
        pytest.param([OK, (401, {"Retry-After": "1"})], Paused, [], id="not let in"),
        pytest.param([OK, (403, {})], Paused, [], id="not allowed"),
        pytest.param([OK, (400, {})], Rejected, [], id="refused"),
    ],
)
def test_what_is_not_waited_for(web, api, answers, error, waited):
    web(*answers)
    found = []
    with pytest.raises(error):
        ids(patiently(api.pages(), found.append))
    assert found == waited


def test_each_call_has_its_own_tries(web, api):
    web(OK, DOWN, DOWN, OK, DOWN, DOWN, OK)
    waited = []
    assert len(ids(patiently(api.pages(), waited.append))) == 3
    assert waited == [1.0, 5.0, 1.0, 5.0]


def test_nothing_else_waits_meanwhile(web, api):
    """The patience of a listing ends where its page does: what is done with the page does not wait."""
    web(OK, DOWN, DOWN)
    pages = patiently(api.pages(), lambda seconds: pytest.fail("it waited"))
    next(pages)
    with pytest.raises(Unavailable):
        api.find("ada@example.com")
    pages.close()
    with pytest.raises(Unavailable):
        ids(api.pages())


def test_two_listings_at_a_time(web, api):
    web(OK, OK, DOWN, OK, OK, OK, OK)
    first, second = [], []
    one, other = patiently(api.pages(), first.append), patiently(api.pages(), second.append)
    found = [ids([page]) for pair in zip(one, other, strict=True) for page in pair]
    assert sorted(itertools.chain(*found)) == ["u-0", "u-0", "u-1", "u-1", "u-2", "u-2"]
    assert (first, second) == ([1.0], [])


def test_a_token_that_cannot_be_had_for_a_moment():
    waited = []
    with responses.RequestsMock() as mock:
        for status, told in [(200, {"access_token": "a", "expires_in": 1}), (500, {}), (200, {"access_token": "b"})]:
            mock.post("https://id.test/token", status=status, json=told)
        mock.get(f"{URL}/x", json={})
        clock = itertools.count(step=10)
        auth = ClientCredentials("members", "https://id.test/token", {}, requests.Session(), lambda: next(clock))
        rest = Rest("members", URL, auth, requests.Session())
        pages = (rest.call("x", "GET", "/x").status_code for _ in range(2))
        assert list(patiently(pages, waited.append)) == [200, 200]
    assert waited == [1.0]


def test_a_user_who_is_gone_is_no_trouble():
    with responses.RequestsMock() as mock:
        mock.get(f"{URL}/x", json={})
        mock.get(f"{URL}/x", status=404)
        rest = Rest("members", URL, None, requests.Session())
        with pytest.raises(Missing):
            list(patiently((rest.call("x", "GET", "/x") for _ in range(2)), lambda seconds: pytest.fail("it waited")))


def test_its_waits_are_shorter_than_the_lock_on_a_listing():
    assert min(recent.LASTING, reconcile.LASTING).total_seconds() > patience.IN_ALL
    assert sum(patience.PAUSES) < patience.IN_ALL
