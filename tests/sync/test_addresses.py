"""Consents hang on the email address: what becomes of them when somebody has another one."""

from datetime import timedelta

import pytest

from connector.errors import Denied, Unavailable
from connector.sync import intake

from .consenting import ADA, CONSENTS, consent, contact, granted, ledger, status
from .scenes import HOUR
from .world import USER, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def test_an_email_change_takes_the_consents_along(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.run()
    assert status(world, email="new@example.com") == "granted"
    assert consent(world, user) == "granted"


def test_after_an_email_change_an_opt_out_goes_along_too(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    world.clock.pass_(60)
    world.crm.prefer("new@example.com", "Newsletter", granted=True)
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.run()
    assert (status(world, email="new@example.com"), consent(world, user)) == ("revoked", "revoked")


def test_an_address_somebody_moved_away_from_grants_nothing_to_the_next(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.run()
    world.clock.pass_(60)
    other = world.idp.register(USER)
    world.run()
    assert consent(world, other) is None
    assert contact(world, other)["communicable"] == "false"


def test_an_address_somebody_moved_away_from_and_was_erased_at_once_grants_nothing_to_the_next(world):
    """Nobody looked at the person between the move and the erasure."""
    user = granted(world)
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.deliver_all()
    intake.take(world.work)
    world.settle()
    assert contact(world, user)["email"] == "new@example.com"
    world.idp.ask_to_be_forgotten(user)
    world.run()
    world.clock.pass_(60)
    other = world.idp.register(USER)
    world.run()
    assert status(world) == "granted"
    assert (consent(world, other), contact(world, other)["communicable"]) == (None, "false")


def test_the_address_of_somebody_whose_erasure_is_not_confirmed_yet_grants_nothing_to_the_next(world):
    """It was carried out, and the answer never came."""
    user = granted(world)
    world.idp.ask_to_be_forgotten(user)
    world.crm.loses = [Unavailable("no answer")]
    world.deliver_all()
    intake.take(world.work)
    world.settle()
    assert (world.link(user).state, world.crm.contacts) == ("active", {})
    world.crm.events, other = [], world.idp.register(USER)
    world.run()
    assert status(world) == "granted"
    assert (consent(world, other), contact(world, other)["communicable"]) == (None, "false")


def test_nothing_is_granted_at_an_address_that_is_being_left(world):
    """Somebody else may have it next; what is granted along with the move is granted at the new one."""
    user = world.idp.register(USER)
    world.run()
    world.idp.edit(user, {"email": "new@example.com"})
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert world.crm.consent_log == [("us", "new@example.com", "1001", "granted")]


def test_an_opt_out_at_an_address_that_was_just_left_counts(world):
    """Nobody had looked at it since, and the status of the new address knows nothing of it."""
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.clock.pass_(60)
    world.crm.edit(world.contact_of(user), {"email": "new@example.com"})
    world.run()
    assert (status(world, email="new@example.com"), consent(world, user)) == ("revoked", "revoked")


def test_nothing_is_granted_at_an_address_that_is_still_somebody_elses(world):
    """Two people swap their addresses at the provider; the CRM refuses the first of them, and the other said nothing."""
    user = granted(world)
    other = world.idp.register(USER | {"email": "bob@example.com"})
    world.run()
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "bob@example.com"})
    world.idp.edit(other, {"email": ADA})
    world.run()
    assert status(world, email="bob@example.com") is None
    assert (consent(world, other), contact(world, other)["communicable"]) == (None, "false")


def test_what_a_user_grants_whose_new_address_somebody_else_has_is_granted_at_the_contacts_alone(world):
    user = world.idp.register(USER)
    world.idp.register(USER | {"email": "bob@example.com"})
    world.run()
    world.idp.edit(user, {"email": "bob@example.com"})
    world.run()
    while not world.parked():
        world.later(HOUR)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert world.crm.consent_log == [("us", ADA, "1001", "granted")]


def test_an_address_somebody_left_grants_nothing_even_when_first_seen_without_statuses(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.run()
    world.crm.denied = Denied("grant it", retry_in=60)
    other = world.idp.register(USER)
    world.run()
    world.crm.denied = None
    world.work = world.worker("restarted")
    world.sweep()
    assert (consent(world, other), contact(world, other)["communicable"]) == (None, "false")


def test_a_grant_at_an_address_moved_to_while_statuses_could_not_be_read_is_not_the_persons(world):
    user = world.idp.register(USER)
    world.run()
    world.crm.prefer("new@example.com", "Newsletter", granted=True)
    world.clock.pass_(60)
    world.crm.denied = Denied("grant it", retry_in=60)
    world.crm.edit(world.contact_of(user), {"email": "new@example.com"})
    world.run()
    world.crm.denied = None
    world.work = world.worker("restarted")
    world.sweep()
    assert (consent(world, user), contact(world, user)["communicable"]) == (None, "false")


def test_a_withdrawal_after_a_merge_reaches_the_address_that_is_only_an_additional_one_now(world):
    user = granted(world)
    other = world.crm.create({"email": "bob@example.com"})
    world.run()
    world.crm.merge(other, world.contact_of(user))
    world.run()
    world.clock.pass_(10)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert [status(world, email=email) for email in (ADA, "bob@example.com")] == ["revoked", "revoked"]


@pytest.mark.parametrize("times", [True, False])
def test_what_we_wrote_at_the_address_to_come_is_nobody_elses_word(world, times):
    """Address and withdrawal come in one delivery; the yes is later than that, and older than our writing."""
    user = granted(world)
    world.crm.tells_times = times
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.idp.consent(user, "newsletter", "revoked")
    later = world.clock() + timedelta(seconds=1)
    world.clock.pass_(5)
    world.run()
    assert (status(world), status(world, email="new@example.com")) == ("revoked", "revoked")
    assert ledger(world, user)[-1] == ("newsletter", "revoked", "entrypoint:main")
    world.clock.pass_(5)
    world.idp.consent(user, "newsletter", "granted", at=later)
    world.run()
    told = "granted" if times else "revoked"
    assert (status(world, email="new@example.com"), consent(world, user), status(world)) == (told, told, "revoked")


def test_an_opt_out_at_the_address_to_come_after_we_wrote_one_there_is_heard(world):
    user = granted(world)
    world.crm.tells_times = True
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.idp.consent(user, "newsletter", "revoked")
    later = world.clock() + timedelta(seconds=30)
    world.run()
    world.clock.pass_(60)
    world.crm.prefer("new@example.com", "Newsletter", granted=True)
    world.clock.pass_(60)
    world.crm.prefer("new@example.com", "Newsletter", granted=False)
    world.clock.pass_(5)
    world.idp.consent(user, "newsletter", "granted", at=later)
    world.run()
    assert (status(world, email="new@example.com"), consent(world, user)) == ("revoked", "revoked")


def test_what_we_wrote_at_another_address_hides_no_opt_out_that_comes_after_a_new_yes(world):
    user = granted(world)
    other = world.crm.create({"email": "new@example.com"})
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "new@example.com"})
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert (status(world), status(world, email="new@example.com")) == ("revoked", "revoked")
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    for _ in range(12):  # the address is tried again for a while, and nothing is granted at one that is about to be left
        world.later(HOUR)
    assert (status(world), consent(world, user)) == ("granted", "granted")
    for wants in (True, False):
        world.clock.pass_(60)
        world.crm.prefer("new@example.com", "Newsletter", granted=wants)
    world.crm.delete(other)
    world.crm.edit(world.contact_of(user), {"email": "new@example.com"})
    world.run()
    world.sweep()
    assert (status(world, email="new@example.com"), consent(world, user)) == ("revoked", "revoked")
