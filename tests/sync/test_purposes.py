"""Values that are bound to a consent: withheld without it, and what goes with it when it is withdrawn."""

import pytest

from .consenting import ADA, CONSENTS, GRANTED, contact, status
from .test_refused_consents import refuse_grants
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


def test_what_marketing_has_there_of_somebody_who_never_consented_stays(world):
    world.crm.create({"email": ADA, "shoe_size": "39"})
    user = world.idp.register(USER | {"custom.shoe_size": 42}, consents=[{**GRANTED, "state": "revoked"}])
    world.run()
    world.sweep()
    assert contact(world, user)["shoe_size"] == "39"


class TestMeanwhile:
    """The consent is out before the contact that was made with the value is recorded."""

    SHOES = USER | {"custom.shoe_size": 42}

    @pytest.fixture(params=[{}, {"shoe_size": lambda size: size and "40"}], ids=["as it is", "rounded"])
    def world(self, request, world):
        world.crm.reformats = request.param
        return world

    def test_of_an_opt_out_that_our_writing_lifted(self, world, monkeypatch):
        look = world.crm.opted_out_of_all

        def then(emails):
            found = look(emails)
            world.crm.prefer(ADA, "Newsletter", granted=False)
            return found

        monkeypatch.setattr(world.crm, "opted_out_of_all", then)
        user = world.idp.register(self.SHOES, consents=[GRANTED])
        world.run()
        assert (status(world), contact(world, user)["shoe_size"]) == ("revoked", "")
        assert world.idp.users[user].values["custom.shoe_size"] == 42

    def test_of_an_opt_out_that_the_crm_keeps(self, world):
        refuse_grants(world, "the person opted out", out=True)
        user = world.idp.register(self.SHOES, consents=[GRANTED])
        world.run()
        assert (contact(world, user)["newsletter_consent"], contact(world, user)["shoe_size"]) == ("false", "")
        assert world.link(user).held.keys() == {"consent.newsletter"}
