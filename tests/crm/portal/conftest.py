"""The sandbox portal over real HTTP, and a driver that talks to it without real waiting."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.crm.hubspot.driver import HubSpot
from connector.crm.hubspot.limits import Limiter
from connector.sandbox.portal import Portal
from connector.sandbox.server import serve
from tests.crm.conftest import PORTAL, TOKEN, Clock

KEY = "members_user_id"


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp()
    return clock


@pytest.fixture
def portal(clock: Clock) -> Portal:
    """A portal whose time is the test's, so that nothing waits for real."""
    portal = Portal(token=TOKEN, portal_id=PORTAL, clock=clock)
    portal.add_property(KEY, unique=True)
    portal.add_property("interests", "enumeration", "checkbox", options=["sport", "film"])
    portal.faults.burst_limit = portal.faults.search_limit = 0
    return portal


class Served:
    """One server for all tests; each puts its own portal behind it."""

    app: ASGIApp
    url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    served = Served()
    with serve(served) as server:
        served.url = server.url
        yield served


@pytest.fixture
def url(portal: Portal, served: Served) -> str:
    served.app = portal.app
    return served.url


@pytest.fixture
def hubspot(url: str, clock: Clock, limiter: Limiter) -> HubSpot:
    return HubSpot(url, TOKEN, PORTAL, limiter, None, sleep=clock.sleep, clock=clock)  # type: ignore[arg-type]
