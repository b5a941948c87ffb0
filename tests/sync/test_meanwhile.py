"""What is told while a link is on lease, and ends up waiting for a person, is not forgotten."""

import pytest

from connector.model import LinkState
from connector.settings import Brakes
from connector.sync import intake, repair

from .consenting import CONSENTS, GRANTED, status
from .scenes import BOB, HOUR
from .world import MAPPING, USER, World

BOTH = [GRANTED, {"purpose": "product", "state": "granted"}]


@pytest.fixture
def world(request, tmp_path):
    return World(tmp_path, mapping=getattr(request, "param", CONSENTS))


def meanwhile(world, place, *happens):
    """While the link is worked on, at a place, this happens and is taken in."""

    def do():
        world.clock.pass_(1)
        for one in happens:
            one()
        world.deliver_all()
        intake.take(world.work)

    world.crash_at(place, do)
    world.run()
    world.later(HOUR)
    world.sweep()
    world.later(HOUR)


def withdraws(world, user, purpose="newsletter"):
    return lambda: world.idp.consent(user, purpose, "revoked")


def test_a_second_withdrawal_at_a_held_link_goes_out_after_the_first(world):
    user = world.idp.register(USER, consents=BOTH)
    world.run()
    with world.store.write() as tx:
        repair.hold(tx, tx.links.by_users("members", [user])[user], "a person says so")
    world.clock.pass_(10)
    world.idp.consent(user, "newsletter", "revoked")
    meanwhile(world, "subscription.write", withdraws(world, user, "product"))
    assert (status(world), status(world, "1002")) == ("revoked", "revoked")


def test_a_withdrawal_while_a_brake_stops_the_link_goes_out(tmp_path):
    brakes = Brakes(deletes=0, deletes_percent=0, clears=1, clears_percent=0, opt_outs=0, opt_outs_percent=0, floor=0)
    world = World(tmp_path, mapping=CONSENTS, brakes=brakes)
    ada, bob = world.idp.register(USER, consents=[GRANTED]), world.idp.register(BOB)
    world.run()
    world.clock.pass_(10)
    world.idp.edit(bob, {"first_name": None})
    world.run()
    world.idp.edit(ada, {"first_name": None})
    meanwhile(world, "leased", withdraws(world, ada))
    assert (world.link(ada).state, status(world)) == (LinkState.HELD, "revoked")


@pytest.fixture
def merging(world):
    """Ada is worked on while her contact is merged with Bob's: both are held."""
    ada, bob = world.idp.register(USER, consents=[GRANTED]), world.idp.register(BOB)
    world.run()
    contacts = world.contact_of(ada), world.contact_of(bob)
    world.idp.edit(ada, {"first_name": "Augusta"})
    return ada, lambda: world.crm.merge(*contacts)


def test_a_withdrawal_told_with_a_merge_goes_out(world, merging):
    ada, merge = merging
    meanwhile(world, "contact.update", merge, withdraws(world, ada))
    assert (world.link(ada).state, status(world)) == (LinkState.HELD, "revoked")


@pytest.mark.parametrize("world", [CONSENTS, MAPPING], indirect=True, ids=["consents", "none"])
def test_an_erasure_asked_for_with_a_merge_is_carried_out(world, merging):
    ada, merge = merging
    meanwhile(world, "contact.update", merge, lambda: world.idp.ask_to_be_forgotten(ada))
    assert world.link(ada).state is LinkState.ERASED
