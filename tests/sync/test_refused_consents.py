"""Consents that one side does not take: said, parked or held, and never tried for ever."""

import pytest

from .consenting import ADA, CONSENTS, GRANTED, consent, contact, granted, roll, status
from .scenes import HOUR
from .world import USER, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def test_a_refused_resubscription_is_held_with_the_reason_and_not_tried_for_ever(world):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    world.clock.pass_(60)
    world.crm.refuses_resubscription = True
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert "refuses the re-subscription" in world.link(user).held["consent.newsletter"]
    assert (contact(world, user)["newsletter_consent"], contact(world, user)["communicable"]) == ("false", "false")
    assert consent(world, user) == "granted"
    tried = world.crm.made["write_statuses"]
    world.sweep()
    world.later(HOUR)
    assert world.crm.made["write_statuses"] == tried
    world.crm.refuses_resubscription = False
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert (status(world), world.link(user).held) == ("granted", {})


def test_a_new_contact_shows_no_grant_that_the_crm_refuses(world):
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.crm.refuses_resubscription = True
    world.clock.pass_(60)
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    assert (contact(world, user)["newsletter_consent"], contact(world, user)["communicable"]) == ("false", "false")


def test_a_provider_that_does_not_take_a_consent_parks_it(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.noop = {"consent.newsletter"}
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    assert [what for what, _ in world.parked()] == ["user.consent.newsletter"]
    assert contact(world, user)["communicable"] == "false"
    tried = world.idp.made["set_consent"]
    world.sweep()
    for name in ("Augusta", "Ada", "Augusta"):
        world.idp.edit(user, {"first_name": name})
        world.run()
    assert [what for what, _ in world.parked()] == ["user.consent.newsletter"]
    assert world.idp.made["set_consent"] == tried


def test_a_consent_of_a_provider_that_cannot_be_written_still_holds_in_the_crm(tmp_path):
    from connector.providers.base import Capabilities

    world = World(tmp_path, mapping=CONSENTS, idp={"capabilities": Capabilities(read=True, list=True, update=True)})
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    world.sweep()
    assert (status(world), contact(world, user)["communicable"]) == ("revoked", "false")
