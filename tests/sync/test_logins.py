"""Logins: their time reaches the contact where the mapping wants it; where it does not, a login costs no call."""

from dataclasses import replace

import pytest

from connector.model import Change, User
from connector.providers.base import Capabilities

from .world import MAPPING, USER, World

LOGINS = MAPPING + "  - {user: last_login_at, contact: last_login, direction: to_contact}\n"
BEFORE, AFTER = "2026-11-01T10:00:00Z", "2026-11-01T12:00:30Z"


@pytest.fixture
def make(tmp_path):
    def make(mapping, hides=(), **idp):
        world = World(tmp_path, mapping=mapping, idp=idp)
        world.idp.hides = set(hides)
        user_id = world.idp.register({**USER, "last_login_at": BEFORE})
        world.run()
        world.idp.made.clear()
        world.crm.made.clear()
        return world, user_id

    return make


def log_in(world, user_id, body):
    """The person logs in, and the provider does not count that as a change. body: makes what the event carries."""
    user = world.idp.users[user_id]
    shown = body(user)
    world.idp.users[user_id] = replace(user, values={**user.values, "last_login_at": AFTER})
    world.clock.pass_(30)
    world.idp.events.append(Change("user.login", user_id, world.clock(), user=shown))
    world.run()


BODIES = {
    "nothing": lambda user: None,
    "as it was before": lambda user: user,
    "not newer": lambda user: replace(user, values={**user.values, "last_login_at": AFTER}),
    "not whole": lambda user: User(user.id, {"last_login_at": AFTER}, user.updated_at),
}
bodies = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())


@bodies
def test_the_time_reaches_the_contact(make, body):
    world, user_id = make(LOGINS)
    log_in(world, user_id, body)
    assert world.crm.contacts[world.contact_of(user_id)]["last_login"] == AFTER
    assert world.idp.made == {"fetch": 1}


@bodies
def test_a_login_nobody_asks_for_costs_no_call(make, body):
    world, user_id = make(MAPPING)
    log_in(world, user_id, body)
    assert world.idp.made == {}


def test_a_provider_that_never_tells_when_is_not_asked(make):
    world, user_id = make(LOGINS, hides={"last_login_at"})
    log_in(world, user_id, BODIES["nothing"])
    assert world.idp.made == {}


def test_who_is_only_listened_to_and_tells_nothing_new_costs_no_call(make):
    world, user_id = make(LOGINS, capabilities=Capabilities())
    log_in(world, user_id, BODIES["as it was before"])
    assert (world.idp.made, world.crm.made) == ({}, {})
