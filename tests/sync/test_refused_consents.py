"""Consents that one side does not take: said, parked or held, and never tried for ever."""

import pytest

from connector.crm.base import StatusOutcome
from connector.errors import Rejected
from connector.sync import repair

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


def refuse_grants(world, why, out=False):
    """HubSpot takes no yes; returns what takes that back."""
    write = world.crm.write_statuses

    def refusing(rows, still=lambda refs: set(refs)):
        outcomes = write([row for row in rows if not row.granted], still)
        return [*outcomes, *(StatusOutcome(row.ref, Rejected(why), out=out) for row in rows if row.granted)]

    world.crm.write_statuses = refusing
    return lambda: setattr(world.crm, "write_statuses", write)


def test_a_first_grant_that_is_refused_is_parked_and_goes_out_once_the_cause_is_mended(world):
    """There is no opt-out that the person could lift."""
    mended = refuse_grants(world, "hubspot: legalBasis is required")
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    assert (world.parked(), world.link(user).held) == ([("consent.newsletter", "hubspot: legalBasis is required")], {})
    world.sweep()
    mended()
    with world.store.write() as tx:
        repair.retry(tx, list(tx.parked.of_links([1])[1]))
    world.run()
    assert (status(world), world.parked()) == ("granted", [])


def test_what_the_crm_calls_an_opt_out_is_one_though_no_status_shows_it(world):
    refuse_grants(world, "the person opted out", out=True)
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    assert (world.parked(), contact(world, user)["communicable"]) == ([], "false")
    assert "refuses the re-subscription" in world.link(user).held["consent.newsletter"]


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
