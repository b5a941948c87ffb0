"""A side that is out is remembered for people, and told; a record with a trouble of its own is not mistaken for one."""

import pytest
import structlog

from connector.errors import Denied, Paused, Rejected, Unavailable
from connector.model import Change
from connector.sync.health import brief
from connector.sync.sweep import sweep

from .scenes import BOB, HOUR
from .world import USER


def outages(world):
    with world.store.read() as tx:
        return [(one.provider, one.why, one.since, one.links) for one in tx.troubles.outages()]


DOWN = "http://127.0.0.1:9 cannot be reached (connection refused)"


@pytest.mark.parametrize(
    ("side", "provider", "error", "why"),
    [
        ("idp", "members", Paused("members: read user u-1: 401"), "401"),
        ("idp", "members", Unavailable("members: read user u-1: 503"), "503"),
        ("idp", "members", Unavailable(f"members: {DOWN}: look at the network"), DOWN),
        ("crm", "", Paused("hubspot: contacts: update: 401 credentials refused: correct crm.access_token"),
         "401 credentials refused: correct crm.access_token"),
        ("crm", "", Unavailable(f"hubspot: {DOWN}: look at crm.base_url"), DOWN),
    ],
)  # fmt: skip
def test_a_side_that_is_out_is_remembered_and_logged_once_a_minute_until_it_works(linked, side, provider, error, why):
    world, user, contact = linked
    began = world.clock()
    with structlog.testing.capture_logs() as logs:
        world.deliver(Change("user.updated", user))
        for _ in range(18):
            getattr(world, side).fails = [error] * 50
            world.work_off()
            sweep(world.work)
            world.clock.pass_(10)
    assert outages(world) == [(provider, why, began, 1)]
    told = [one for one in logs if one["event"] == "task.postponed"]
    assert [(one["why"], one["links"]) for one in told] == [(why, 1)] * 3
    assert {one["side"] for one in told} == {f"provider {provider}" if provider else "crm"}
    getattr(world, side).fails = []
    world.later(2 * HOUR)
    assert outages(world) == []
    again = world.clock()
    getattr(world, side).fails = [error] * 50
    world.deliver(Change("user.updated", user))
    world.work_off()
    assert outages(world) == [(provider, why, again, 1)]


def test_an_erasure_that_is_refused_is_remembered_while_others_are_written(world):
    user, other = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    began = world.clock()
    why = "403 missing scopes: x; add them to the app"
    world.crm.erase = lambda contact_id: _refuse(f"hubspot: contact {contact_id}: erase: {why}")
    world.idp.ask_to_be_forgotten(user)
    world.run()
    for name in ("Rob", "Bert"):
        world.later(120)
        world.idp.edit(other, {"first_name": name})
        world.run()
    assert world.crm.contacts[world.contact_of(other)]["firstname"] == "Bert"
    assert outages(world) == [("", why, began, 1)]


def _refuse(message):
    raise Paused(message, 300)


def test_a_link_with_a_trouble_of_its_own_is_no_outage(world):
    user, other = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    fetch = world.idp.fetch

    def broken(user_id):
        if user_id == user:
            raise Unavailable(f"members: read user {user_id}: 504")
        return fetch(user_id)

    world.idp.fetch = broken
    world.deliver(Change("user.updated", user))
    for _ in range(6):
        world.deliver(Change("user.updated", other))
        world.later(120)
    assert outages(world) == []


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("contact 7 belongs to user u-2, who is looked at first"),
        Unavailable("members: update user 401: 412"),
        Denied("hubspot: subscriptions: 403 missing scopes: x; grant it x"),
        Rejected("members: update user: 400"),
    ],
)
def test_what_is_about_one_record_or_one_part_says_nothing_of_a_side(error):
    assert brief(error) == ""
