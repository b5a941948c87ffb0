"""Values that are bound to a consent: withheld without it, and what goes with it when it is withdrawn."""

import pytest

from .consenting import CONSENTS, GRANTED, contact, status
from .world import USER, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def test_a_value_bound_to_a_consent_waits_for_it(world):
    user = world.idp.register(USER | {"custom.shoe_size": 42})
    world.run()
    assert "shoe_size" not in contact(world, user)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert contact(world, user)["shoe_size"] == "42"


def test_a_value_bound_to_a_consent_goes_with_it(world):
    user = world.idp.register(USER | {"custom.shoe_size": 42}, consents=[GRANTED])
    world.run()
    assert contact(world, user)["shoe_size"] == "42"
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert contact(world, user)["shoe_size"] == ""
    assert world.idp.users[user].values["custom.shoe_size"] == 42


def test_what_somebody_put_in_its_place_does_not(world):
    """Nobody told us of the edit: the contact is looked at before anything there is blanked."""
    user = world.idp.register(USER | {"custom.shoe_size": 42}, consents=[GRANTED])
    world.run()
    world.clock.pass_(60)
    world.crm.edit(world.contact_of(user), {"shoe_size": "88"})
    world.crm.events.clear()
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert (status(world), contact(world, user)["shoe_size"]) == ("revoked", "88")
    assert world.idp.users[user].values["custom.shoe_size"] == 42
    world.run()
    assert contact(world, user)["shoe_size"] == "88"


def test_of_a_set_only_what_the_user_had_goes(tmp_path):
    mapping = CONSENTS.replace(
        "contact: interests, type: set}", "contact: interests, type: set, purpose: newsletter, on_withdrawal: clear}"
    )
    world = World(tmp_path, mapping=mapping)
    user = world.idp.register(USER | {"custom.interests": ["Film", "Sport"]}, consents=[GRANTED])
    world.run()
    world.clock.pass_(60)
    world.crm.edit(world.contact_of(user), {"interests": "Film;Opera;Sport"})
    world.crm.events.clear()
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert contact(world, user)["interests"] == "Opera"
