"""One receiver for a module of tests, emptied for each of them."""

import pytest

from connector.web import throttle

from . import harness


@pytest.fixture(scope="module")
def server():
    with harness.Site() as site:
        yield site


@pytest.fixture
def site(server, monkeypatch):
    """A receiver with an empty inbox, which throttles nobody."""
    monkeypatch.setattr(throttle, "FAILURES", 10**6)
    server.inbox.__init__()
    server.rings = 0
    return server
