"""A provider that can only be listened to: whatever it tells counts, in whatever order and in how many pieces it comes."""

from datetime import timedelta

import pytest

from connector.model import Change, LinkState, User

from .consenting import ADA, CONSENTS, status
from .scenes import HOUR, RECEIVE_ONLY
from .world import START, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS, idp=RECEIVE_ONLY)


def entry(state, at):
    told = {"purpose": "newsletter", "channel": "email", "state": state, "source": "form"}
    return told if at is None else told | {"at": at.isoformat()}


def tell(world, at=None, values=None, consents=None, kind="user.updated", version=None):
    """A delivery about Ada. at: when it happened. version: the user's own time of change."""
    user = User("x-1", values or {}, version, None, None, consents)
    world.deliver(Change(kind, "x-1", at, user=user))


def registers(world, *consents):
    tell(world, world.clock(), {"email": ADA, "first_name": "Ada"}, consents or None, "user.created")


@pytest.mark.parametrize("together", [True, False])
def test_parts_make_one_user(world, together):
    registers(world, entry("revoked", world.clock()))
    if not together:
        world.run()
    world.clock.pass_(5)
    tell(world, world.clock(), {"last_name": "Lovelace"})
    world.run()
    assert world.link("x-1").user.values == {"email": ADA, "first_name": "Ada", "last_name": "Lovelace"}
    assert status(world) == "revoked"


def test_what_comes_late_fills_in_what_nothing_was_told_of(world):
    registers(world)
    world.run()
    tell(world, START + timedelta(seconds=60), {"first_name": "Augusta"})
    world.run()
    tell(world, START + timedelta(seconds=50), {"first_name": "Old", "last_name": "Lovelace"})
    world.run()
    assert world.link("x-1").user.values == {"email": ADA, "first_name": "Augusta", "last_name": "Lovelace"}


def granted_to(world):
    registers(world, entry("granted", world.clock()))
    world.run()
    assert status(world) == "granted"
    world.clock.pass_(100)


@pytest.mark.parametrize("values", [{"email": ADA}, {}])
@pytest.mark.parametrize("own_time", [True, False])
def test_a_withdrawal_that_comes_late_is_heard(world, values, own_time):
    granted_to(world)
    tell(world, START + timedelta(seconds=60), {"first_name": "Augusta"})
    world.run()
    at = START + timedelta(seconds=50)
    tell(world, at, values, (entry("revoked", at if own_time else None),), "consent.revoked")
    world.run()
    assert status(world) == "revoked"


@pytest.mark.parametrize("at", [None, START + timedelta(hours=2)], ids=["no time", "a clock ahead"])
def test_a_withdrawal_whose_time_orders_nothing_is_heard(world, at):
    granted_to(world)
    tell(world, at, {"email": ADA}, (entry("revoked", at),), "consent.revoked")
    world.run()
    assert status(world) == "revoked"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("own_time", [True, False])
def test_of_a_yes_and_a_no_of_one_moment_the_no_counts(world, known, together, own_time):
    if known:
        granted_to(world)
    at = world.clock()
    for state in ("revoked", "granted"):
        tell(world, at, {"email": ADA}, (entry(state, at if own_time else None),))
        if not together:
            world.run()
    world.run()
    assert status(world) in (None, "revoked")


def test_a_late_grant_lifts_nothing(world):
    registers(world, entry("granted", world.clock()))
    world.run()
    world.clock.pass_(100)
    tell(world, world.clock(), {"email": ADA}, (entry("revoked", world.clock()),), "consent.revoked")
    tell(world, START + timedelta(seconds=50), {"email": ADA}, (entry("granted", START + timedelta(seconds=50)),))
    world.run()
    assert status(world) == "revoked"


def test_a_deletion_from_before_what_is_known_deletes_nobody(world):
    world.clock.pass_(100)
    registers(world)
    world.run()
    world.deliver(Change("user.deleted", "x-1", START))
    world.run()
    assert world.contact_of("x-1") in world.crm.contacts


def test_a_deletion_told_in_whole_seconds_is_not_before_an_edit_of_its_second(world):
    world.clock.pass_(0.5)
    registers(world)
    world.run()
    world.deliver(Change("user.deleted", "x-1", START))
    world.run()
    assert world.link("x-1").state is LinkState.DELETED


def test_a_grant_of_a_new_registration_keeps_its_time(world):
    """So that it lifts the opt-out of the life before."""
    registers(world, entry("revoked", world.clock()))
    world.run()
    world.clock.pass_(HOUR)
    world.deliver(Change("user.deleted", "x-1", world.clock()))
    world.run()
    world.later(24 * HOUR)
    registers(world, entry("granted", world.clock()))
    world.run()
    assert world.link("x-1").state is LinkState.ACTIVE
    assert world.link("x-1").consents["newsletter"]["now"]["at"] == world.clock().isoformat()
