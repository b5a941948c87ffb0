"""What `explain` says of a consent that one side does not have yet: who really says so, and why it is not written."""

import pytest

from connector.crm.base import StatusOutcome
from connector.errors import Denied, Rejected, Unavailable
from connector.providers.base import Capabilities
from connector.settings import Brakes
from connector.sync import repair
from connector.sync.explain import explain

from .consenting import ADA, CONSENTS, GRANTED, granted, roll, status
from .world import USER, World

OWED = "not written to the contact's subscription"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def told(world, user, field="newsletter"):
    """The value, who says so, and what the last entry of the chain says."""
    with world.store.read() as tx:
        found = explain(world.work, tx, world.link(user), field)
    return found["value"], found["side"], found["chain"][-1]["rule"]


def says(world, user, state):
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", state)
    world.run()


def test_what_both_sides_have_is_owed_to_neither(world):
    user = granted(world)
    value, side, rule = told(world, user)
    assert (value, side) == ("granted", "both")
    assert rule.startswith("granted stands since")
    assert "not written" not in rule


def test_a_withdrawal_while_subscriptions_are_closed_is_not_written_yet(world):
    user = granted(world)
    world.crm.denied = Denied("grant the scope", retry_in=60)
    world.work = world.worker("restarted")
    says(world, user, "revoked")
    value, side, rule = told(world, user)
    assert (status(world), value, side) == ("granted", "revoked", "user")
    assert rule.endswith(f"; {OWED}: paused: grant the scope")


def test_a_subscription_that_was_never_seen_says_nothing(world):
    world.crm.denied = Denied("grant the scope", retry_in=60)
    user = granted(world)
    value, side, rule = told(world, user)
    assert (value, side) == ("granted", "user")
    assert rule.endswith(f"; {OWED}: paused: grant the scope")


def test_a_withdrawal_that_a_brake_stopped_is_not_written_yet(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(opt_outs=1, opt_outs_percent=0))
    users = [world.idp.register(USER | {"email": email}, consents=[GRANTED]) for email in (ADA, "bob@example.com")]
    world.run()
    for user in users:
        world.idp.consent(user, "newsletter", "revoked")
    world.run()
    value, side, rule = told(world, users[1])
    assert (status(world, email="bob@example.com"), value, side) == ("granted", "revoked", "user")
    assert rule.startswith("nothing is done, because the link is held: brake: more than 1 opt_outs")
    assert rule.endswith(f"; {OWED} yet")


def test_a_held_grant_is_the_users_alone(world):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.unsubscribe_all(ADA)
    roll(world)
    says(world, user, "granted")
    value, side, rule = told(world, user)
    assert (value, side) == ("revoked", "contact")
    assert rule.startswith("held: granted, says")
    assert "not written to the contact: the address opted out of everything" in rule


def test_a_refused_withdrawal_is_parked(world):
    user = granted(world)
    refusal = Rejected("hubspot: subscriptions: write: 400")
    world.crm.write_statuses = lambda rows, still: [StatusOutcome(row.ref, refusal) for row in rows]
    says(world, user, "revoked")
    value, side, rule = told(world, user)
    assert (value, side) == ("revoked", "user")
    assert rule.endswith(f"; {OWED}: parked: hubspot: subscriptions: write: 400")


def test_what_the_provider_does_not_take_is_parked(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.noop = {"consent.newsletter"}
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    value, side, rule = told(world, user)
    assert (value, side) == ("revoked", "contact")
    assert rule.endswith("not written to the user: parked: the provider accepted the write but holds another state")


def test_a_provider_that_cannot_be_told_is_named(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, idp={"capabilities": Capabilities(read=True, list=True, update=True)})
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    assert told(world, user)[2].endswith("not written to the user: members does not take it")


def test_what_the_mapping_leaves_is_not_written_for_that_reason(tmp_path):
    world = World(
        tmp_path, mapping=CONSENTS.replace("subscription: Newsletter", "subscription: Newsletter\n    direction: to_contact")
    )
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    assert told(world, user)[1] == "contact"
    assert told(world, user)[2].endswith("not written to the user: direction: to_contact")


def test_a_withdrawal_whose_writing_failed_waits_for_its_next_attempt(world):
    user = granted(world)
    outage = Unavailable("hubspot: subscriptions: write: 503")
    world.crm.write_statuses = lambda rows, still: [StatusOutcome(row.ref, outage) for row in rows]
    says(world, user, "revoked")
    value, side, rule = told(world, user)
    assert (value, side) == ("revoked", "user")
    assert rule.startswith("waits since 12:01 UTC: hubspot: subscriptions: write: 503; next try 12:0")
    assert rule.endswith(f"; {OWED} yet")


def test_a_grant_to_a_link_that_a_person_holds_is_seen(world):
    user = granted(world)
    says(world, user, "revoked")
    link = world.link(user)
    with world.store.write() as tx:
        repair.hold(tx, link, "look at this first")
    says(world, user, "granted")
    value, side, rule = told(world, user)
    assert (value, side) == ("revoked", "contact")
    assert rule.startswith("nothing is done, because the link is held: look at this first; revoked stands")
