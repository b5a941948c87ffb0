"""A yes that is taken back where it was given, and times that do not fit: of clocks that are ahead, of our own writes."""

from datetime import timedelta

import pytest

from .consenting import ADA, CONSENTS, GRANTED, consent, contact, granted, ledger, roll, status
from .scenes import BOB
from .world import USER, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def ago(world, seconds):
    return world.clock() - timedelta(seconds=seconds)


def ahead(world, seconds):
    return ago(world, -seconds)


class TestWithdrawals:
    @pytest.mark.parametrize("days", [0, 1, 400], ids=["the same day", "the day before", "long before"])
    def test_one_with_a_date_only(self, world, days):
        user = granted(world)
        world.clock.pass_(60)
        midnight = world.clock().replace(hour=0, minute=0, second=0, microsecond=0)
        world.idp.consent(user, "newsletter", "revoked", at=midnight - timedelta(days=days))
        world.run()
        roll(world)
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
        assert ledger(world, user)[-1][:2] == ("newsletter", "revoked")
        assert contact(world, user)["communicable"] == "false"

    def test_one_of_a_grant_by_a_clock_that_is_ahead(self, world):
        user = world.idp.register(USER, consents=[{**GRANTED, "at": ahead(world, 60).isoformat()}])
        world.run()
        world.clock.pass_(10)
        world.idp.consent(user, "newsletter", "revoked")
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")

    def test_one_of_a_grant_that_came_from_the_crm(self, world):
        """We wrote it at the provider, whose clock is behind."""
        user = world.idp.register(USER, consents=[{**GRANTED, "state": "revoked"}])
        world.run()
        world.clock.pass_(60)
        world.crm.prefer(ADA, "Newsletter", granted=True)
        roll(world)
        assert consent(world, user) == "granted"
        world.clock.pass_(3)
        world.idp.consent(user, "newsletter", "revoked", at=ago(world, 20))
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")

    def test_the_grant_that_was_taken_back_lifts_nothing_when_it_comes_again(self, world):
        user = granted(world)
        given = world.clock()
        world.clock.pass_(60)
        world.idp.consent(user, "newsletter", "revoked", at=ago(world, 3600))
        world.run()
        world.idp.consent(user, "newsletter", "granted", at=given)
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")

    def test_a_new_grant_lifts_it(self, world):
        user = granted(world)
        world.clock.pass_(60)
        world.idp.consent(user, "newsletter", "revoked", at=ago(world, 3600))
        world.run()
        world.clock.pass_(60)
        world.idp.consent(user, "newsletter", "granted")
        world.run()
        assert (status(world), consent(world, user)) == ("granted", "granted")


class TestAhead:
    """The provider's clock is ahead of HubSpot's, by less than what makes a time worthless."""

    @pytest.fixture
    def user(self, world):
        user = world.idp.register(USER, consents=[{**GRANTED, "at": ahead(world, 300).isoformat()}])
        world.run()
        world.clock.pass_(10)
        return user

    def test_an_unsubscription_made_since_is_no_refused_grant(self, world, user):
        world.crm.prefer(ADA, "Newsletter", granted=False)
        roll(world)
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
        assert ledger(world, user)[-1][:2] == ("newsletter", "revoked")

    def test_unticking_the_property_is_an_opt_out(self, world, user):
        world.crm.edit(world.contact_of(user), {"newsletter_consent": "false"})
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")

    def test_an_address_that_was_subscribed_before_us(self, world):
        world.crm.prefer(BOB["email"], "Newsletter", granted=True)
        world.clock.pass_(60)
        user = world.idp.register(BOB, consents=[{**GRANTED, "at": ahead(world, 300).isoformat()}])
        world.run()
        world.clock.pass_(10)
        world.crm.prefer(BOB["email"], "Newsletter", granted=False)
        roll(world)
        assert (status(world, email=BOB["email"]), consent(world, user)) == ("revoked", "revoked")


class TestOurOwnWriting:
    def late(self, world):
        """Withdrawn a hundred seconds ago and written now; then a grant comes that was given thirty seconds ago."""
        given = {"purpose": "newsletter", "state": "revoked", "at": ago(world, 100).isoformat(), "source": "form"}
        user = world.idp.register(USER, consents=[given])
        world.run()
        world.idp.consent(user, "newsletter", "granted", at=ago(world, 30))
        world.run()
        roll(world)
        return user

    def test_its_time_is_no_opt_out(self, world):
        user = self.late(world)
        assert (status(world), consent(world, user)) == ("granted", "granted")
        assert [state for _, state, _ in ledger(world, user)] == ["revoked", "granted"]

    def test_where_the_crm_does_not_tell_its_time_it_may_be_one(self, world):
        world.crm.tells_times = False
        user = self.late(world)
        assert (status(world), consent(world, user)) == ("revoked", "revoked")

    def test_the_time_of_what_was_so_before_is_not_ours(self, world):
        """The person had opted out there a moment before we wrote the same."""
        user = granted(world)
        world.clock.pass_(100)
        world.idp.consent(user, "newsletter", "revoked")
        world.clock.pass_(20)
        world.crm.prefer(ADA, "Newsletter", granted=False)
        world.clock.pass_(20)
        world.run()
        world.idp.consent(user, "newsletter", "granted", at=ago(world, 30))
        world.run()
        roll(world)
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
