"""Who has the address of somebody else is held, and heard all the same when saying stop: that is about the address."""

from datetime import timedelta

import pytest

from connector.errors import Unavailable
from connector.settings import Brakes
from connector.sync import brakes, intake, recent, repair

from .consenting import ADA, CONSENTS, GRANTED, consent, contact, granted, ledger, roll, status
from .world import START, USER, World

BOB = "bob@example.com"
REVOKED = {"purpose": "newsletter", "state": "revoked"}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def register(world, *consents, **values):
    """Another user with the same address."""
    world.clock.pass_(60)
    return world.idp.register({**USER, "first_name": "Other", **values}, consents=list(consents))


def settle(world):
    world.run()
    world.later(60)


def duplicate(world, *consents):
    user = register(world, *consents)
    settle(world)
    assert (world.link(user).state, world.link(user).contact_id) == ("held", None)
    return user


def entries(world, user):
    with world.store.read() as tx:
        return [(row.kind, row.delivery) for row in tx.history.of_link(world.link(user).id)]


def test_a_second_user_who_registers_and_wants_no_mail_gets_none(world):
    granted(world)
    two = duplicate(world, REVOKED)
    assert status(world) == "revoked"
    assert world.link(two).reason.endswith("unlink that one or merge the users")
    assert ledger(world, two) == [("newsletter", "revoked", "form")]
    told = [kind for kind, _ in entries(world, two)]
    assert (told.count("consent.revoke"), told[-1]) == (1, "consent.revoke")


def test_a_second_user_who_says_stop_later_gets_no_mail(world):
    granted(world)
    two = duplicate(world, GRANTED)
    assert status(world) == "granted"
    world.clock.pass_(60)
    world.idp.consent(two, "newsletter", "revoked")
    world.run()
    assert status(world) == "revoked"
    assert entries(world, two)[-1][0] == "consent.revoke"
    assert [state for _, state, _ in ledger(world, two)] == ["granted", "revoked"]


@pytest.mark.parametrize("asks", [World.sweep, lambda world: recent.users(world.work, "members")], ids=["reconcile", "poll"])
def test_a_second_user_who_says_stop_at_a_provider_that_is_only_asked_gets_no_mail(world, asks):
    granted(world)
    two = duplicate(world, GRANTED)
    world.clock.pass_(60)
    world.idp.consent(two, "newsletter", "revoked")
    world.idp.events.clear()
    asks(world)
    world.work_off()
    assert status(world) == "revoked"


def test_the_first_user_follows_and_nobody_is_subscribed_again(world):
    one = granted(world)
    two = duplicate(world, REVOKED)
    roll(world)
    assert (status(world), consent(world, one), contact(world, one)["communicable"]) == ("revoked", "revoked", "false")
    before = world.crm.writes + world.idp.writes
    for _ in range(2):
        world.sweep()
        roll(world)
    world.idp.edit(one, {"first_name": "Augusta"})
    world.idp.edit(two, {"first_name": "Nobody"})
    world.run()
    assert status(world) == "revoked"
    assert world.crm.writes + world.idp.writes == before + 1  # the first user's name
    assert ledger(world, two) == [("newsletter", "revoked", "form")]


def test_both_at_once(world):
    """One batch makes the contact, grants, and holds the other one."""
    one = world.idp.register(USER, consents=[GRANTED])
    world.clock.pass_(60)
    two = world.idp.register({**USER, "first_name": "Other"}, consents=[REVOKED])
    settle(world)
    roll(world)
    assert {world.link(one).state, world.link(two).state} == {"active", "held"}
    assert status(world) == "revoked"


def test_of_a_yes_and_a_no_in_one_batch_only_the_no_reaches_the_crm(world):
    one = world.idp.register(USER)
    world.run()
    two = duplicate(world)
    world.clock.pass_(60)
    world.idp.consent(one, "newsletter", "granted")
    world.idp.consent(two, "newsletter", "revoked")
    world.run()
    assert world.crm.consent_log == [("us", ADA, "1001", "revoked")]
    assert (status(world), consent(world, one)) == ("revoked", "revoked")


def test_a_grant_of_the_second_user_subscribes_nobody(world):
    one = world.idp.register(USER, consents=[REVOKED])
    world.run()
    two = duplicate(world, GRANTED)
    world.clock.pass_(60)
    world.idp.consent(two, "newsletter", "granted")
    settle(world)
    world.sweep()
    assert (status(world), consent(world, one)) == ("revoked", "revoked")


def test_a_later_grant_of_the_first_user_outweighs_an_older_no(world):
    """Whichever of the two users said it, the later word stands."""
    world.idp.register(USER, consents=[{**GRANTED, "at": START.isoformat()}])
    world.run()
    two = duplicate(world, {**REVOKED, "at": (START - timedelta(days=9)).isoformat()})
    assert status(world) == "granted"
    assert ledger(world, two) == []


def test_the_time_at_which_we_wrote_a_grant_does_not_outweigh_a_no(world):
    """The first user granted before the second one said no; HubSpot knows only when it heard of it."""
    world.idp.register(USER, consents=[{**GRANTED, "at": (START - timedelta(days=9)).isoformat()}])
    world.run()
    duplicate(world, {**REVOKED, "at": (START - timedelta(days=2)).isoformat()})
    assert status(world) == "revoked"


def test_what_stands_at_a_contact_nobody_is_linked_to_does_not_outweigh_a_no(tmp_path):
    world = World(tmp_path, mapping=CONSENTS.replace("defaults:", "match: [last_name]\ndefaults:"))
    world.crm.create({"email": ADA})
    world.run()
    world.crm.prefer(ADA, "Newsletter", granted=True)
    duplicate(world, {**REVOKED, "at": (START - timedelta(days=2)).isoformat()})
    assert status(world) == "revoked"


def test_a_no_that_meets_an_outage_goes_out_later(world):
    granted(world)
    two = register(world, REVOKED)
    reads = world.crm.statuses

    def down_for_who_is_held(emails):
        if world.link(two).state == "held":
            world.crm.statuses = reads
            raise Unavailable("down")
        return reads(emails)

    world.crm.statuses = down_for_who_is_held
    settle(world)
    assert status(world) == "granted"
    world.later(60)
    assert status(world) == "revoked"
    assert (world.link(two).state, world.link(two).due_at) == ("held", None)


def test_the_no_follows_the_second_user_to_another_address(world):
    one = granted(world)
    two = duplicate(world, REVOKED)
    world.idp.consent(one, "newsletter", "granted")
    world.run()
    new = world.idp.register({**USER, "email": "new@example.com"}, consents=[GRANTED])
    world.run()
    world.clock.pass_(60)
    world.idp.edit(two, {"email": "new@example.com"})
    world.idp.consent(two, "newsletter", "revoked")
    world.run()
    assert status(world, email="new@example.com") == "revoked"
    assert contact(world, new)["email"] == "new@example.com"


def test_the_noes_of_duplicates_are_braked(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(opt_outs=2, opt_outs_percent=0))
    emails = [f"u{number}@example.com" for number in range(4)]
    for email in emails:
        world.idp.register({**USER, "email": email}, consents=[GRANTED])
    world.run()
    users = [register(world, REVOKED, email=email) for email in emails]
    settle(world)
    assert [status(world, email=email) for email in emails].count("revoked") == 2
    stopped = [link for user in users if brakes.BRAKE in (link := world.link(user)).reason]
    assert len(stopped) == 2
    assert all("unlink that one or merge the users; " in link.reason for link in stopped)


def test_a_no_is_on_its_way_when_the_contact_is_merged_with_somebody_elses(world):
    one = granted(world)
    two = world.idp.register({**USER, "email": BOB}, consents=[GRANTED])
    world.run()
    world.clock.pass_(60)
    world.idp.consent(two, "newsletter", "revoked")
    world.deliver_all()
    world.crm.merge(world.contact_of(one), world.contact_of(two))
    world.run()
    assert [world.link(one).state, world.link(two).state] == ["held", "held"]
    assert "revoked" in (status(world), status(world, email=BOB))


def test_a_no_is_on_its_way_when_a_person_holds_the_link(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.deliver_all()
    intake.take(world.work)
    link = world.link(user)
    with world.store.write() as tx:
        repair.hold(tx, link, "sales is cleaning this up")
    world.run()
    assert (status(world), world.link(user).state, world.link(user).due_at) == ("revoked", "held", None)


@pytest.mark.parametrize("at_once", [True, False], ids=["with the new address", "later"])
def test_a_user_whose_new_address_another_contact_has_gets_no_mail_there_after_saying_no(world, at_once):
    one = granted(world)
    two = register(world, GRANTED, email=BOB)
    settle(world)
    world.idp.edit(two, {"email": ADA})
    if not at_once:
        settle(world)
        assert contact(world, two)["email"] == BOB
    world.clock.pass_(60)
    world.idp.consent(two, "newsletter", "revoked")
    settle(world)
    assert (status(world), status(world, email=BOB)) == ("revoked", "revoked")
    roll(world)
    settle(world)
    assert contact(world, one)["communicable"] == "false"
    assert contact(world, one)["email"] == ADA


def test_what_somebody_else_granted_is_no_proof_about_the_second_user(world):
    granted(world)
    two = duplicate(world)
    assert ledger(world, two) == []
    assert "newsletter" not in world.link(two).consents


def test_a_held_user_who_is_deleted_is_no_question_any_more(world):
    granted(world)
    two = duplicate(world)
    world.idp.remove(two)
    settle(world)
    assert world.link(two).state == "deleted"


def test_a_held_user_with_a_contact_who_is_deleted_waits_for_a_person(world):
    user = granted(world)
    link = world.link(user)
    with world.store.write() as tx:
        repair.hold(tx, link, "wait")
    world.idp.remove(user)
    settle(world)
    assert (world.link(user).state, len(world.crm.contacts)) == ("held", 1)


def test_so_it_is_where_nothing_is_asked_about_consents(tmp_path):
    world = World(tmp_path)
    world.idp.register(USER)
    world.run()
    two = register(world)
    settle(world)
    assert world.link(two).state == "held"
    world.idp.remove(two)
    settle(world)
    assert world.link(two).state == "deleted"
