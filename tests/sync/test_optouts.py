"""Opt-outs that no subscription status shows, and opt-outs that stay although a re-subscription was accepted."""

from datetime import timedelta

import pytest

from connector.crm.base import StatusOutcome
from connector.engine.rulings import ALL, NOT_KEPT
from connector.errors import Denied, Unavailable
from connector.model import ConsentState, Statement
from connector.sync import subscriptions

from .consenting import ADA, CONSENTS, GRANTED, consent, contact, granted, roll, status
from .scenes import HOUR
from .world import USER, World


@pytest.fixture
def world(tmp_path):
    """The portal tells opt-outs of everything only to who asks for them."""
    world = World(tmp_path, mapping=CONSENTS)
    world.crm.shows_optouts = False
    return world


@pytest.mark.parametrize("timed", [True, False])
def test_nobody_who_opted_out_of_everything_before_registering_is_subscribed(world, timed):
    world.crm.out_of_all[ADA] = world.clock() - timedelta(days=9) if timed else None
    user = world.idp.register(USER, consents=[{**GRANTED, "at": world.clock().isoformat(), "source": "form"}])
    world.run()
    assert (status(world), contact(world, user)["communicable"], consent(world, user)) == (None, "false", "granted")
    assert world.link(user).held == {"consent.newsletter": ALL}
    del world.crm.out_of_all[ADA]
    world.sweep()
    assert (status(world), contact(world, user)["communicable"]) == ("granted", "true")


@pytest.mark.parametrize("timed", [True, False])
def test_an_opt_out_of_everything_that_no_status_shows_is_found_by_the_rolling_look(world, timed):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.out_of_all[ADA] = world.clock() if timed else None
    world.clock.pass_(60)
    roll(world)
    assert (consent(world, user), contact(world, user)["communicable"]) == ("revoked", "false")
    made = world.crm.writes + world.idp.writes
    roll(world)
    world.sweep()
    assert world.crm.writes + world.idp.writes == made


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed since"])
def test_an_opt_out_of_everything_that_was_asked_for_holds_when_nobody_asks_again(world, closed):
    world.crm.prefer(ADA, "Newsletter", granted=True)
    world.crm.out_of_all[ADA] = None
    world.clock.pass_(60)
    user = granted(world)
    assert contact(world, user)["communicable"] == "false"
    if closed:
        world.crm.denied = Denied("grant it", retry_in=60)
        world.work = world.worker("restarted")
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert (contact(world, user)["firstname"], contact(world, user)["communicable"]) == ("Augusta", "false")
    world.crm.denied = None
    del world.crm.out_of_all[ADA]
    world.work = world.worker("restarted")
    roll(world)
    assert contact(world, user)["communicable"] == "true"


def test_an_opt_out_that_the_rolling_look_finds_while_a_worker_has_the_link_is_not_lost(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.edit(user, {"first_name": "Augusta"})

    def meanwhile():
        world.crm.out_of_all[ADA] = world.clock()
        assert subscriptions.roll(world.work) == 1

    world.crash_at("contact.update", meanwhile)
    world.run()
    assert (consent(world, user), contact(world, user)["communicable"]) == ("revoked", "false")


def test_a_resubscription_that_is_accepted_and_not_carried_out_is_written_once_and_held(world):
    user = granted(world)
    world.clock.pass_(60)
    opted_out = Statement(ConsentState.REVOKED, world.clock(), "hubspot: the person")
    world.crm.preferences[ADA, "1001"] = opted_out
    roll(world)
    writes = []

    def accept(rows, still):
        writes.append(rows)
        return [StatusOutcome(row.ref) for row in rows if still([row.ref])]

    world.crm.write_statuses = accept
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    for _ in range(3):
        world.clock.pass_(60)
        roll(world)
    assert world.link(user).held == {"consent.newsletter": NOT_KEPT}
    assert (status(world), contact(world, user)["communicable"]) == ("revoked", "false")
    assert len(writes) == 1
    world.crm.preferences[ADA, "1001"] = Statement(ConsentState.GRANTED, world.clock(), "hubspot: the person")
    roll(world)
    assert (world.link(user).held, contact(world, user)["communicable"]) == ({}, "true")


def test_an_opt_out_whose_time_could_not_be_read_at_once_is_no_timeless_one(world):
    """A later yes lifts it."""
    user = granted(world)
    world.clock.pass_(60)
    world.crm.edit(world.contact_of(user), {"newsletter_consent": "false"})
    call, failed = world.crm._call, []

    def fails_once(name):
        call(name)
        if name == "changed_at" and not failed:
            failed.append(name)
            raise Unavailable("502")

    world.crm._call = fails_once
    world.run()
    world.later(HOUR)
    assert (failed, status(world), consent(world, user)) == (["changed_at"], "revoked", "revoked")
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert (status(world), consent(world, user)) == ("granted", "granted")


def test_a_yes_that_is_later_than_an_unticked_property_reaches_the_subscription_with_it(world):
    """Whether it is later shows only once the time of the property is read, and then the grant may be written."""
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.crm.edit(world.contact_of(user), {"newsletter_consent": "false"})
    world.crm.events.clear()
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert (status(world), contact(world, user)["newsletter_consent"], consent(world, user)) == ("granted", "true", "granted")
    assert world.link(user).consents["newsletter"]["now"]["state"] == "granted"


def leaves_out(monkeypatch, world, *left):
    """The portal's next answers about statuses leave these types out, one after the other."""
    look, coming = world.crm.statuses, list(left)

    def answer(emails):
        types = coming.pop(0) if coming else ()
        return {email: {one: said for one, said in told.items() if one not in types} for email, told in look(emails).items()}

    monkeypatch.setattr(world.crm, "statuses", answer)


def regranted(world):
    """Withdrawn, and then granted anew, of which nobody has heard yet."""
    user = granted(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.clock.pass_(1)
    return user


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_an_opt_out_that_answers_leave_out_is_asked_for_again_before_a_grant(world, monkeypatch, times):
    """It is later than the grant that would go out."""
    user = regranted(world)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    leaves_out(monkeypatch, world, *[["1001"]] * times)
    written = world.crm.made["write_statuses"]
    world.run()
    world.later(60)
    assert (status(world), consent(world, user), world.crm.made["write_statuses"]) == ("revoked", "revoked", written)


def test_what_an_answer_told_is_not_forgotten_when_the_next_leaves_it_out(world, monkeypatch):
    user = regranted(world)
    for state in ("revoked", "granted"):
        world.idp.consent(user, "product", state)
        world.run()
        world.clock.pass_(1)
    world.idp.consent(user, "product", "revoked")
    world.run()
    world.clock.pass_(60)
    for name in ("newsletter", "product"):
        world.idp.consent(user, name, "revoked")
    world.run()
    world.clock.pass_(60)
    for name in ("newsletter", "product"):
        world.idp.consent(user, name, "granted")
    world.clock.pass_(1)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    leaves_out(monkeypatch, world, ["1002"], ["1001"], ["1001"])
    written = world.crm.made["write_statuses"]
    world.run()
    assert (status(world), status(world, "1002"), consent(world, user)) == ("revoked", "granted", "revoked")
    assert world.crm.made["write_statuses"] == written + 1


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("side", ["provider", "crm"])
def test_an_opt_out_at_the_former_address_that_an_answer_leaves_out_is_asked_for_again(world, monkeypatch, side, times):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.clock.pass_(60)
    if side == "provider":
        world.idp.edit(user, {"email": "new@example.com"})
    else:
        world.crm.edit(world.contact_of(user), {"email": "new@example.com"})
    leaves_out(monkeypatch, world, *[["1001"]] * times)
    world.run()
    assert (status(world, email="new@example.com"), consent(world, user)) != ("granted", "granted")


def test_what_an_answer_told_of_the_former_address_is_not_forgotten_when_the_next_leaves_it_out(world, monkeypatch):
    both = [{"purpose": name, "state": "granted"} for name in ("newsletter", "product")]
    user = world.idp.register(USER, consents=both)
    world.run()
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.crm.events.clear()
    world.crm.edit(world.contact_of(user), {"email": "new@example.com"})
    leaves_out(monkeypatch, world, ["1002"], ["1001"], ["1001"])
    world.run()
    new = [status(world, type_id, "new@example.com") for type_id in ("1001", "1002")]
    assert (new[0] == "granted", new[1], consent(world, user)) == (False, "granted", "revoked")


def test_a_status_that_was_told_as_unspecified_is_asked_for_again_and_counts_as_none_at_last(world, monkeypatch):
    world.crm.preferences[ADA, "1001"] = Statement(ConsentState.UNKNOWN, source="hubspot")
    user = world.idp.register(USER)
    world.run()
    world.idp.consent(user, "newsletter", "granted")
    leaves_out(monkeypatch, world, ["1001"])
    world.clock.pass_(1)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    written = world.crm.made["write_statuses"]
    world.run()
    assert (status(world), world.crm.made["write_statuses"]) == ("revoked", written)


def test_a_portal_that_tells_nothing_of_who_was_never_asked_gets_the_grant_at_once(world):
    user = world.idp.register(USER)
    world.run()
    looks = world.crm.made["statuses"]
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert (status(world), world.crm.made["statuses"]) == ("granted", looks + 1)


def test_what_a_look_leaves_out_is_not_forgotten(world, monkeypatch):
    """The look comes before anything is to be granted."""
    user = granted(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    leaves_out(monkeypatch, world, ["1001"])
    world.sweep()
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.clock.pass_(1)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    leaves_out(monkeypatch, world, ["1001"])
    written = world.crm.made["write_statuses"]
    world.run()
    assert (status(world), world.crm.made["write_statuses"]) == ("revoked", written)
