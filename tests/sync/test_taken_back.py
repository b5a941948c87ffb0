"""A yes that is taken back where it was given, and times that do not fit: of clocks that are ahead, of our own writes."""

from datetime import date, timedelta

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


class TestWholeSeconds:
    """HubSpot tells milliseconds, the provider cuts them off."""

    def test_a_withdrawal_may_be_of_any_moment_of_its_second(self, world):
        world.clock.pass_(0.1)
        world.crm.prefer(ADA, "Newsletter", granted=True)
        world.clock.pass_(0.3)
        said = world.clock().replace(microsecond=0)
        user = world.idp.register(USER, consents=[{**GRANTED, "state": "revoked", "at": said.isoformat()}])
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
        assert [state for _, state, _ in ledger(world, user)] == ["revoked"]

    def test_a_grant_may_be_of_its_beginning(self, world):
        world.clock.pass_(0.3)
        world.crm.prefer(ADA, "Newsletter", granted=False)
        world.clock.pass_(0.3)
        said = world.clock().replace(microsecond=0)
        user = world.idp.register(USER, consents=[{**GRANTED, "at": said.isoformat()}])
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")


class TestDays:
    """A withdrawal dated with a day alone, on the day on which a yes of HubSpot was given."""

    def test_one_after_a_yes_that_the_provider_was_never_told(self, tmp_path):
        world = World(
            tmp_path, mapping=CONSENTS.replace("direction: both\n    legal_basis", "direction: to_contact\n    legal_basis")
        )
        user = world.idp.register(USER)
        world.run()
        world.crm.prefer(ADA, "Newsletter", granted=True)
        roll(world)
        assert contact(world, user)["communicable"] == "true"
        world.idp.consent(user, "newsletter", "revoked", at=world.clock().date())
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
        assert ledger(world, user)[-1][:2] == ("newsletter", "revoked")

    def test_one_of_somebody_who_registers(self, world):
        world.crm.prefer(ADA, "Newsletter", granted=True)
        world.clock.pass_(300)
        user = world.idp.register(USER, consents=[{"purpose": "newsletter", "state": "revoked", "at": str(world.clock().date())}])
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
        assert [state for _, state, _ in ledger(world, user)] == ["revoked"]

    def test_one_on_the_last_day_there_is(self, world):
        """What everybody types who knows no date; it counts from when we heard of it."""
        user = granted(world)
        world.clock.pass_(60)
        world.idp.consent(user, "newsletter", "revoked", at=date.max)
        world.run()
        assert (status(world), world.parked()) == ("revoked", [])
        world.clock.pass_(60)
        world.idp.consent(user, "newsletter", "granted")
        world.run()
        assert status(world) == "granted"

    def test_a_grant_of_a_later_day_lifts_it_and_it_is_no_news_again(self, world):
        user = granted(world)
        world.idp.consent(user, "newsletter", "revoked", at=world.clock().date())
        world.run()
        world.clock.pass_(3 * 86_400)
        world.sweep()
        assert [state for _, state, _ in ledger(world, user)] == ["granted", "revoked"]
        world.idp.consent(user, "newsletter", "granted", at=world.clock().date())
        world.run()
        assert (status(world), consent(world, user)) == ("granted", "granted")


class TestMeanwhile:
    """Somebody opts out after we looked and before we write, and HubSpot says that it subscribed them again."""

    def opts_out(self, world, monkeypatch):
        look = world.crm.opted_out_of_all

        def then(emails):
            found = look(emails)
            world.crm.prefer(ADA, "Newsletter", granted=False)
            return found

        monkeypatch.setattr(world.crm, "opted_out_of_all", then)

    def test_the_opt_out_is_written_back(self, world, monkeypatch):
        self.opts_out(world, monkeypatch)
        user = world.idp.register(USER, consents=[GRANTED])
        world.run()
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
        assert contact(world, user)["communicable"] == "false"
        assert ledger(world, user)[-1] == ("newsletter", "revoked", "hubspot: opted out while a grant was written")

    def test_whoever_consents_anew_is_subscribed(self, world, monkeypatch):
        with monkeypatch.context() as patched:
            self.opts_out(world, patched)
            user = world.idp.register(USER, consents=[GRANTED])
            world.run()
        world.clock.pass_(60)
        world.idp.consent(user, "newsletter", "granted")
        world.run()
        assert (status(world), consent(world, user)) == ("granted", "granted")

    def test_an_opt_out_we_knew_is_lifted_by_a_later_grant(self, world):
        user = world.idp.register(USER, consents=[{**GRANTED, "state": "revoked"}])
        world.run()
        world.clock.pass_(60)
        world.idp.consent(user, "newsletter", "granted")
        world.run()
        assert (status(world), consent(world, user)) == ("granted", "granted")


class TestBehind:
    """HubSpot's clock is behind ours and the provider's."""

    @pytest.fixture
    def user(self, world):
        world.crm.clock = lambda: ago(world, 300)
        user = granted(world)
        world.clock.pass_(10)
        return user

    def test_an_unsubscription_soon_after_a_grant(self, world, user):
        world.crm.prefer(ADA, "Newsletter", granted=False)
        roll(world)
        assert (status(world), consent(world, user)) == ("revoked", "revoked")
        assert ledger(world, user)[-1][:2] == ("newsletter", "revoked")

    def test_an_unsubscription_after_a_grant_said_once_more(self, world, user):
        world.idp.consent(user, "newsletter", "granted")
        world.run()
        world.clock.pass_(10)
        world.crm.prefer(ADA, "Newsletter", granted=False)
        roll(world)
        assert (status(world), consent(world, user)) == ("revoked", "revoked")

    def test_an_opt_out_of_everything(self, world, user):
        world.crm.unsubscribe_all(ADA)
        roll(world)
        assert consent(world, user) == "revoked"
        assert contact(world, user)["communicable"] == "false"

    def test_what_is_later_at_the_provider_lifts_it(self, world, user):
        world.crm.prefer(ADA, "Newsletter", granted=False)
        roll(world)
        world.clock.pass_(10)
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
