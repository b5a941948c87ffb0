"""Consents both ways: opted out wins, unknown is not no, and a grant needs to be later and to name its source."""

from datetime import timedelta

import pytest

from connector.errors import Unavailable
from connector.model import ConsentState
from connector.settings import Brakes
from connector.sync import subscriptions

from .consenting import ADA, CONSENTS, GRANTED, consent, contact, granted, ledger, roll, status
from .fakes import TYPES
from .scenes import HOUR, crash, recover
from .world import USER, World, read_mapping


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def test_a_consent_given_at_registration_reaches_the_subscription(world):
    user = granted(world)
    assert status(world) == "granted"
    assert (contact(world, user)["newsletter_consent"], contact(world, user)["communicable"]) == ("true", "true")
    assert status(world, "1002") is None
    assert ledger(world, user) == [("newsletter", "granted", "form")]


def test_nobody_who_said_nothing_is_subscribed_or_unsubscribed(world):
    user = world.idp.register(USER)
    world.run()
    assert (status(world), consent(world, user)) == (None, None)
    assert contact(world, user)["communicable"] == "false"
    assert "newsletter_consent" not in contact(world, user)
    assert ledger(world, user) == []


def test_a_withdrawal_at_the_provider_reaches_the_subscription(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert status(world) == "revoked"
    assert (contact(world, user)["newsletter_consent"], contact(world, user)["communicable"]) == ("false", "false")


def test_a_withdrawal_at_the_provider_needs_no_look_at_anything(world):
    user = granted(world)
    world.clock.pass_(60)
    before = world.crm.made.copy()
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert dict(world.crm.made - before) == {"write_statuses": 1, "update": 1}


def test_an_unsubscription_in_the_crm_is_found_by_the_rolling_read(world):
    """It rings no bell, and no workflow has to be built for it."""
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    assert consent(world, user) == "revoked"
    assert (contact(world, user)["newsletter_consent"], contact(world, user)["communicable"]) == ("false", "false")
    assert ledger(world, user)[-1] == ("newsletter", "revoked", "hubspot: person")


def test_an_unsubscription_in_the_crm_is_seen_when_the_contact_is_read(world):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.crm.edit(world.contact_of(user), {"firstname": "Augusta"})
    world.run()
    assert consent(world, user) == "revoked"


def test_a_new_subscription_in_the_crm_reaches_the_provider(world):
    user = world.idp.register(USER)
    world.run()
    world.crm.prefer(ADA, "Newsletter", granted=True)
    roll(world)
    assert consent(world, user) == "granted"


def test_a_later_grant_with_its_source_lifts_an_opt_out(world):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert (status(world), consent(world, user)) == ("granted", "granted")


@pytest.mark.parametrize("weak", [{"source": None}, {"at": None}], ids=["no source", "no time"])
def test_a_grant_that_cannot_be_shown_to_be_later_lifts_nothing(world, weak):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted", **weak)
    world.run()
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_an_older_grant_that_comes_late_lifts_nothing(world):
    user = granted(world)
    early = world.clock()
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    world.idp.consent(user, "newsletter", "granted", at=early + timedelta(seconds=30))
    world.run()
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_somebody_who_unsubscribed_before_registering_stays_out(world):
    """The status hangs on the address, before there is a contact."""
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.clock.pass_(60)
    user = world.idp.register(USER, consents=[{"purpose": "newsletter", "state": "granted", "source": None}])
    world.run()
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_an_opt_out_of_everything_is_never_lifted_by_us(world):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.unsubscribe_all(ADA)
    roll(world)
    assert consent(world, user) == "revoked"
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert status(world) == "revoked"
    assert "everything" in world.link(user).held["consent.newsletter"]
    assert contact(world, user)["communicable"] == "false"
    assert consent(world, user) == "granted", "what the person said at the provider is not overwritten"


def test_our_own_write_is_no_evidence_of_a_later_grant(world):
    """Granted, then withdrawn at the provider while the grant was on its way to the CRM: the CRM's own time is later."""
    user = world.idp.register(USER)
    world.run()
    world.clock.pass_(10)
    world.idp.consent(user, "newsletter", "granted")
    world.clock.pass_(5)

    def meanwhile():
        world.idp.consent(user, "newsletter", "revoked")
        world.clock.pass_(60)

    world.crash_at("subscription.write", meanwhile)
    world.run()
    roll(world)
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


@pytest.mark.parametrize("stamps", [False, True], ids=["keeps our time", "stamps its own"])
def test_a_grant_whose_answer_was_lost_is_no_evidence_of_a_later_grant(world, stamps):
    world.idp.stamps = stamps
    user = world.idp.register(USER)
    world.run()
    world.idp.consent(user, "newsletter", "granted")
    crash(world, "subscription.write")
    world.clock.pass_(-30)
    world.idp.consent(user, "newsletter", "revoked")
    world.clock.pass_(30)
    world.deliver_all()
    recover(world)
    roll(world)
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_a_grant_from_the_future_stands_against_no_opt_out(world):
    user = world.idp.register(USER)
    world.run()
    world.idp.consent(user, "newsletter", "granted", at=world.clock() + timedelta(days=900))
    world.run()
    assert status(world) == "granted"
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_what_the_person_says_between_two_of_our_writes_is_heard(world):
    """The provider knows no versions, and its answer to our second write shows the person's new word about the first."""
    both = [GRANTED, {"purpose": "product", "state": "granted"}]
    user = world.idp.register(USER, consents=both)
    world.run()
    world.clock.pass_(60)
    write = world.idp.set_consent

    def without_version(user_id, purpose, told, etag):
        answer = write(user_id, purpose, told, None)
        if world.idp.made["set_consent"] == 1:
            world.clock.pass_(1)
            world.idp.consent(user, "newsletter", "granted", source="private area")
        return answer

    world.idp.set_consent = without_version
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.crm.prefer(ADA, "Product news", granted=False)
    subscriptions.roll(world.work, 1)
    world.work_off()
    world.idp.events.clear()
    world.work_off()
    assert (status(world), status(world, "1002")) == ("granted", "revoked")
    assert (consent(world, user), consent(world, user, "product")) == ("granted", "revoked")


def test_the_time_of_our_own_write_beats_no_opt_out(world):
    """Granted, taken back a moment later, and heard of only after the grant was written: the CRM's time is later than both."""
    user = world.idp.register(USER)
    world.run()
    world.idp.consent(user, "newsletter", "granted")
    moment = world.clock() + timedelta(seconds=2)
    world.clock.pass_(5)
    world.run()
    roll(world)
    world.idp.consent(user, "newsletter", "revoked", at=moment)
    world.run()
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_an_opt_out_said_once_more_is_the_last_word(world):
    """The status was an opt-out already, of our writing: the person's own, later one changes nothing but its time."""
    user = granted(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.run()
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_an_opt_out_said_once_more_without_a_time_is_lifted_by_nothing(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=True)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked", at=None)
    world.run()
    roll(world)
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_a_withdrawal_between_reading_and_writing_a_user_is_not_overwritten(world):
    user = world.idp.register(USER)
    world.run()
    world.crm.prefer(ADA, "Newsletter", granted=True)
    world.clock.pass_(60)
    world.crash_at("contact.update", lambda: world.idp.consent(user, "newsletter", "revoked"))
    roll(world)
    roll(world)
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_marketing_cannot_grant_by_ticking_the_property(world):
    user = world.idp.register(USER)
    world.run()
    world.crm.edit(world.contact_of(user), {"newsletter_consent": "true", "communicable": "true"})
    world.run()
    assert (status(world), consent(world, user)) == (None, None)
    assert contact(world, user)["communicable"] == "false"


def test_unticking_the_property_is_an_opt_out(world):
    """A workflow writes it, say."""
    user = granted(world)
    world.clock.pass_(60)
    world.crm.edit(world.contact_of(user), {"newsletter_consent": "false"})
    world.run()
    assert (status(world), consent(world, user)) == ("revoked", "revoked")


def test_who_says_stop_is_not_mailed_while_a_link_waits_for_a_person(world):
    user = granted(world)
    link = world.link(user)
    with world.store.write() as tx:
        tx.links.notice(link.id, {"state": "held", "reason": "sales is cleaning this up", "due_at": None}, None)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.idp.edit(user, {"first_name": "Augusta"})
    world.crm.fails = [Unavailable("down")]
    world.run()
    world.later(HOUR)
    link = world.link(user)
    assert (status(world), link.state, link.reason) == ("revoked", "held", "sales is cleaning this up")
    assert contact(world, user)["firstname"] == "Ada"
    assert ledger(world, user)[-1][1] == "revoked"
    before = world.crm.writes
    world.idp.consent(user, "newsletter", "granted")
    world.later(HOUR)
    assert (status(world), world.crm.writes) == ("revoked", before)


@pytest.mark.parametrize("said", ["pending", "wibble", None], ids=["asked anew", "an unknown word", "no entry"])
def test_what_the_provider_does_not_know_any_more_is_not_granted_there_by_us(world, said):
    """A double opt-in that was begun anew is the person's to answer."""
    user = granted(world)
    world.clock.pass_(60)
    if said:
        world.idp.consent(user, "newsletter", said)
    else:
        known = world.idp.users[user]
        world.idp.users[user] = world.idp._made(user, known.values, known.memberships, ())
        world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    world.sweep()
    assert (status(world), consent(world, user), world.idp.made["set_consent"]) == ("granted", said, 0)


def test_who_has_not_answered_the_provider_yet_is_not_answered_for(world):
    """Subscribed in HubSpot, and asked at registration: the provider's question stays the person's."""
    world.crm.prefer(ADA, "Newsletter", granted=True)
    user = world.idp.register(USER, consents=[{"purpose": "newsletter", "state": "pending"}])
    world.run()
    assert (status(world), consent(world, user), world.idp.made["set_consent"]) == ("granted", "pending", 0)


def test_many_opt_outs_at_once_wait_for_a_person(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(opt_outs=2, opt_outs_percent=0))
    users = [world.idp.register(USER | {"email": f"p{n}@example.com"}, consents=[GRANTED]) for n in range(4)]
    world.run()
    world.clock.pass_(60)
    for user in users:
        world.idp.consent(user, "newsletter", "revoked")
    world.run()
    states = [world.link(user).state.value for user in users]
    assert states.count("held") == 2
    out = [one for one in world.crm.preferences.values() if one.state is ConsentState.REVOKED]
    assert len(out) == 2


def test_two_idle_sweeps_after_convergence_write_nothing(world):
    granted(world)
    world.sweep()
    before = world.crm.writes + world.idp.writes
    world.sweep()
    world.sweep()
    assert world.crm.writes + world.idp.writes == before


@pytest.mark.parametrize("state", ["granted", "revoked"])
def test_what_stands_goes_to_another_subscription_type_once_the_mapping_names_it(tmp_path, monkeypatch, state):
    monkeypatch.setitem(TYPES, "1003", "Weekly")
    world = World(tmp_path, mapping=CONSENTS)
    user = world.idp.register(USER, consents=[{**GRANTED, "state": state}])
    world.run()
    world.clock.pass_(60)
    world.mapping = read_mapping(tmp_path, CONSENTS.replace("subscription: Newsletter", 'subscription: "1003"'))
    world.work = world.worker("another mapping")
    world.sweep()
    assert status(world, "1003") == state
    before = world.crm.writes
    world.sweep()
    assert (world.crm.writes, consent(world, user)) == (before, state)


def test_what_is_found_at_another_subscription_type_lifts_nothing_and_its_opt_out_counts(tmp_path, monkeypatch):
    monkeypatch.setitem(TYPES, "1003", "Weekly")
    world = World(tmp_path, mapping=CONSENTS)
    users = [granted(world), world.idp.register({**USER, "email": "bob@example.com"}, consents=[{**GRANTED, "state": "revoked"}])]
    world.run()
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Weekly", granted=False)
    world.crm.prefer("bob@example.com", "Weekly", granted=True)
    world.mapping = read_mapping(tmp_path, CONSENTS.replace("subscription: Newsletter", 'subscription: "1003"'))
    world.work = world.worker("another mapping")
    world.sweep()
    assert [consent(world, one) for one in users] == ["revoked", "revoked"]
    assert [status(world, "1003", one) for one in (ADA, "bob@example.com")] == ["revoked", "revoked"]


def test_a_consent_taken_out_of_the_mapping_for_a_while_keeps_its_opt_out(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    user = granted(world)
    world.clock.pass_(10)
    world.idp.consent(user, "product", "revoked")
    world.run()
    without = CONSENTS.replace('  - {consent: product, subscription: "1002"}\n', "").replace(", product]", "]")
    world.mapping = read_mapping(tmp_path, without)
    world.work = world.worker("another mapping")
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert world.link(user).consents["product"]["now"]["state"] == "revoked"
