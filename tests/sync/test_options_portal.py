"""The same against the sandbox portal: what it takes until only the missing option is left out, however the portal refuses."""

from dataclasses import replace

import pytest

from connector.crm.hubspot.driver import HubSpot
from connector.crm.hubspot.limits import BURST, SEARCH, Budget, Limiter, MemoryLog
from connector.sandbox.portal import Portal
from connector.sandbox.server import serve
from connector.sync import setup
from connector.sync.options import KEPT

from .test_options import BOTH
from .world import USER, OneByOne, World

PORTAL, TOKEN = 4711, "portal-token"
LISTS = {"interests": ["Film", "Sport"], "member_types": ["Consumer", "Press"]}


@pytest.fixture
def portal():
    portal = Portal(token=TOKEN, portal_id=PORTAL)
    portal.add_property("members_user_id", unique=True)
    for name in ("tier", "score"):
        portal.add_property(name)
    for name, options in LISTS.items():
        portal.add_property(name, "enumeration", "checkbox", options=options)
    portal.faults.burst_limit = portal.faults.search_limit = 0
    return portal


@pytest.fixture
def world(portal, tmp_path):
    """A world whose CRM is HubSpot."""
    world = World(tmp_path, mapping=BOTH)
    limiter = Limiter(MemoryLog(), {BURST: Budget(100_000, 10), SEARCH: Budget(100_000, 1)})
    with serve(portal.app) as server:
        world.work = replace(world.work, crm=HubSpot(server.url, TOKEN, PORTAL, limiter, None, sleep=lambda seconds: None))
        world.work.__dict__["readers"] = OneByOne()
        yield world


def register(world, count, interests):
    for number in range(count):
        values = {**USER, "email": f"u{number}@example.com", "first_name": f"N{number}", "custom.interests": interests}
        world.idp.register(values, memberships=("press",))
    world.deliver_all()
    world.work_off(rounds=200)


def interests(portal):
    return {one["properties"]["interests"] for one in portal.contacts()}


def test_what_is_missing_is_left_out_and_follows_once_somebody_adds_it(world, portal):
    register(world, 3, ["film", "opera"])
    assert interests(portal) == {"Film"}
    assert {what for what, _ in world.parked()} == {"interests"}
    world.work.crm.add_options("interests", {"Opera": "Opera"})
    world.clock.pass_(KEPT.total_seconds())
    world.sweep()
    assert (interests(portal), world.parked()) == ({"Film;Opera"}, [])


def test_what_setup_adds_is_written_with_the_next_change_at_once(world, portal):
    register(world, 1, ["film", "opera"])
    setup.make(world.work, setup.missing(world.work), add_options=True)
    world.idp.edit("u-1", {"first_name": "Augusta"})
    world.deliver_all()
    world.work_off()
    assert (interests(portal), world.parked()) == ({"Film;Opera"}, [])


@pytest.mark.parametrize(("faults", "most"), [
    pytest.param({}, 1, id="each row is refused by name"),
    pytest.param({"localised": True, "trace_ids": False}, 65, id="no row is named"),
    pytest.param({"whole_batch": True}, 65, id="the whole batch is refused"),
])  # fmt: skip
def test_many_people_cost_one_read_and_the_batch_that_is_refused_first(world, portal, faults, most):
    for name, value in faults.items():
        setattr(portal.faults, name, value)
    register(world, 250, ["opera", "sport"])
    world.clock.pass_(60)  # what one batch left for the next
    world.work_off()
    assert (len(portal.contacts()), interests(portal), len(world.parked())) == (250, {"Sport"}, 250)
    paths = [call.path for call in portal.calls]
    assert sum(path.startswith("/crm/v3/properties") for path in paths) == 1
    assert sum(path.endswith("/batch/upsert") for path in paths) <= 3 + most
    portal.calls.clear()
    world.sweep()
    assert portal.count(writes_only=True) == 0
