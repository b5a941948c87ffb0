"""Links that wait, for a person or for a contact that is missing: who says stop is not mailed, and nothing else is done."""

from datetime import timedelta

import pytest

from connector.errors import Denied, Unavailable
from connector.model import LinkState
from connector.settings import Brakes
from connector.sync import intake, repair

from .consenting import CONSENTS, GRANTED, contact, ledger, status
from .scenes import BOB, HOUR
from .world import USER, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def hold(world, user):
    link = world.link(user)
    with world.store.write() as tx:
        repair.hold(tx, link, "sales is cleaning this up")
    world.clock.pass_(60)


def release(world, user):
    link = world.link(user)
    with world.store.write() as tx:
        repair.release(tx, link)
    world.run()


def withdraw(world, user, purpose="newsletter"):
    world.idp.consent(user, purpose, "revoked")
    world.run()
    world.later(HOUR)


def shown(world, user):
    found = contact(world, user)
    return found.get("newsletter_consent"), found.get("communicable")


def parked(world, user):
    link = world.link(user)
    with world.store.read() as tx:
        return [row.what for row in tx.parked.of_links([link.id]).get(link.id, [])]


def held(world, **values):
    user = world.idp.register(USER | values, consents=[GRANTED])
    world.run()
    assert shown(world, user) == ("true", "true")
    hold(world, user)
    return user


def test_a_withdrawal_is_shown_at_the_contact_of_a_held_link(world):
    user = held(world)
    world.idp.edit(user, {"first_name": "Augusta"})
    withdraw(world, user)
    assert (shown(world, user), status(world)) == (("false", "false"), "revoked")
    assert (contact(world, user)["firstname"], world.link(user).state) == ("Ada", "held")
    assert world.link(user).reason == "sales is cleaning this up"
    before = world.crm.writes
    world.sweep()
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert (world.crm.writes, shown(world, user)) == (before, ("false", "false"))
    release(world, user)
    assert (shown(world, user), contact(world, user)["firstname"]) == (("true", "true"), "Augusta")


def test_it_is_shown_where_statuses_cannot_be_read(world):
    """There the property is all that whoever sends mail has."""
    world.crm.denied = Denied("grant it", retry_in=60)
    user = held(world)
    withdraw(world, user)
    assert (shown(world, user), status(world)) == (("false", "false"), None)


def test_it_goes_out_once_the_scopes_are_back(world):
    user = held(world)
    world.crm.denied = Denied("grant it", retry_in=60)
    world.work = world.worker("another")
    withdraw(world, user)
    assert (shown(world, user), status(world)) == (("false", "false"), "granted")
    world.crm.denied, world.work = None, world.worker("a third one")
    other = world.idp.register(BOB, consents=[GRANTED])
    world.later(HOUR)
    assert (status(world, email=BOB["email"]), world.link(other).state) == ("granted", "active")
    assert (status(world), world.link(user).state) == ("revoked", "held")


def test_another_consent_that_is_granted_keeps_the_contact_communicable(world):
    user = world.idp.register(USER, consents=[GRANTED, {**GRANTED, "purpose": "product"}])
    world.run()
    hold(world, user)
    withdraw(world, user)
    assert shown(world, user) == ("false", "true")
    withdraw(world, user, "product")
    assert shown(world, user) == ("false", "false")


def test_nothing_is_shown_as_granted_meanwhile(world):
    user = world.idp.register(USER, consents=[GRANTED, {**GRANTED, "purpose": "product"}])
    world.run()
    world.crm.contacts[world.contact_of(user)]["communicable"] = "false"
    hold(world, user)
    withdraw(world, user)
    assert shown(world, user) == ("false", "false")


@pytest.mark.parametrize("edited", [False, True], ids=["as agreed", "edited since"])
def test_what_is_bound_to_it_goes_and_is_no_edit_of_the_contact_later(world, edited):
    user = held(world, **{"custom.shoe_size": 42})
    if edited:
        world.crm.edit(world.contact_of(user), {"shoe_size": "88"})
    withdraw(world, user)
    assert contact(world, user)["shoe_size"] == ("88" if edited else "")
    world.idp.consent(user, "newsletter", "granted")
    release(world, user)
    kept = "88" if edited else "42"
    assert (contact(world, user)["shoe_size"], world.idp.users[user].values["custom.shoe_size"]) == (kept, float(kept))


@pytest.mark.parametrize("answered", [True, False], ids=["its answer is lost", "it is not made"])
def test_a_call_that_fails_is_made_again_and_the_link_stays_held(world, answered):
    user = held(world, **{"custom.shoe_size": 42})
    call, lost = world.crm._call, []

    def breaks(name):
        call(name)
        if name == "update" and not lost:
            lost.append(Unavailable("lost"))
            if not answered:
                raise lost[0]
            world.crm.loses = lost.copy()

    world.crm._call = breaks
    withdraw(world, user)
    assert lost
    assert (shown(world, user), status(world), contact(world, user)["shoe_size"]) == (("false", "false"), "revoked", "")
    assert (world.link(user).state, world.link(user).reason) == ("held", "sales is cleaning this up")
    world.idp.consent(user, "newsletter", "granted")
    release(world, user)
    assert contact(world, user)["shoe_size"] == "42"


def test_a_property_that_is_refused_is_parked_and_the_withdrawal_goes_out(world):
    user = held(world)
    world.crm.refuses = {"newsletter_consent": "read only"}
    withdraw(world, user)
    assert (shown(world, user), status(world), world.link(user).state) == (("true", "false"), "revoked", "held")
    assert parked(world, user) == ["newsletter_consent"]


def test_what_is_parked_of_a_held_link_stays_parked(world):
    world.crm.refuses = {"tier": "no such property"}
    user = held(world)
    withdraw(world, user)
    assert parked(world, user) == ["tier"]


def test_only_the_brake_on_opt_outs_makes_a_withdrawal_wait(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(clears=1, clears_percent=0, opt_outs=0, opt_outs_percent=0))
    users = [world.idp.register({**one, "custom.shoe_size": 42}, consents=[GRANTED]) for one in (USER, BOB)]
    world.run()
    for user in users:
        world.idp.edit(user, {"country": None})
    world.run()
    (stopped,) = [user for user in users if world.link(user).state is LinkState.HELD]
    world.clock.pass_(60)
    withdraw(world, stopped)
    assert (shown(world, stopped), status(world, email=contact(world, stopped)["email"])) == (("false", "false"), "revoked")
    assert (contact(world, stopped)["country"], contact(world, stopped)["shoe_size"]) == ("Spain", "42")


def test_blanking_counts_for_the_brakes(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(clears=1, clears_percent=0, opt_outs=0, opt_outs_percent=0))
    people = [USER, BOB, {**USER, "email": "cy@example.com"}]
    users = [world.idp.register({**one, "custom.shoe_size": 42}, consents=[GRANTED]) for one in people]
    world.run()
    for user in users:
        hold(world, user)
    for user in users:
        world.idp.consent(user, "newsletter", "revoked")
    world.run()
    sizes = [contact(world, user)["shoe_size"] for user in users]
    assert sorted(sizes) == ["", "42", "42"]
    assert {shown(world, user) for user in users} == {("false", "false")}
    assert sum("brakes.clears" in world.link(user).reason for user in users) == 2
    assert {world.link(user).state.value for user in users} == {"held"}


def test_a_yes_counts_from_when_it_was_heard_however_long_the_link_is_held(world):
    """Its clock is ahead; after it was heard, the person opts out in HubSpot."""
    user = world.idp.register(USER)
    world.run()
    hold(world, user)
    world.idp.consent(user, "newsletter", "granted", at=world.clock() + timedelta(seconds=30))
    world.deliver_all()
    intake.take(world.work)
    world.clock.pass_(4)
    world.crm.prefer(USER["email"], "Newsletter", granted=False)
    world.clock.pass_(600)
    release(world, user)
    assert (status(world), shown(world, user)) == ("revoked", ("false", "false"))


@pytest.fixture
def merged(world):
    """Two users on one contact, both held."""
    people = [{**USER, "custom.shoe_size": 42}, {**BOB, "custom.shoe_size": 43}]
    users = [world.idp.register(one, consents=[GRANTED]) for one in people]
    world.run()
    survivor = world.crm.merge(world.contact_of(users[1]), world.contact_of(users[0]))
    world.run()
    assert [world.link(user).state.value for user in users] == ["held", "held"]
    world.clock.pass_(60)
    return world, users, survivor


def test_after_a_merge_of_two_users_either_may_say_stop(merged):
    world, users, survivor = merged
    withdraw(world, users[0])
    found = world.crm.contacts[survivor]
    assert (found["newsletter_consent"], found["communicable"]) == ("false", "false")
    assert (status(world, email=USER["email"]), status(world, email=BOB["email"])) == ("revoked", "revoked")
    assert found["firstname"] == "Bob"


def test_both_may_say_stop_at_once(merged):
    world, users, survivor = merged
    assert world.crm.contacts[survivor]["shoe_size"] == "43"
    for user in users:
        world.idp.consent(user, "newsletter", "revoked")
    world.run()
    found = world.crm.contacts[survivor]
    assert (found["newsletter_consent"], found["communicable"]) == ("false", "false")
    assert found["shoe_size"] == "43", "whose it is, a person says"
    assert [one.values["custom.shoe_size"] for one in world.idp.users.values()] == [42, 43]


def test_each_may_take_back_another_consent_at_once(world):
    both = [GRANTED, {**GRANTED, "purpose": "product"}]
    users = [world.idp.register(one, consents=both) for one in (USER, BOB)]
    world.run()
    survivor = world.crm.merge(world.contact_of(users[1]), world.contact_of(users[0]))
    world.run()
    world.clock.pass_(60)
    world.idp.consent(users[0], "newsletter", "revoked")
    world.idp.consent(users[1], "product", "revoked")
    world.run()
    assert world.crm.contacts[survivor]["communicable"] == "false"


def test_what_somebody_took_back_before_a_merge_counts_at_once(world):
    """The other one's yes is older."""
    users = [world.idp.register(one, consents=[GRANTED]) for one in (USER, BOB)]
    world.run()
    world.clock.pass_(60)
    withdraw(world, users[0])
    survivor = world.crm.merge(world.contact_of(users[1]), world.contact_of(users[0]))
    world.run()
    assert (status(world, email=BOB["email"]), world.crm.contacts[survivor]["communicable"]) == ("revoked", "false")


def test_a_merge_that_is_told_while_a_withdrawal_is_carried_out_does_not_stop_it(world):
    users = [world.idp.register(one, consents=[GRANTED]) for one in (USER, BOB)]
    world.run()
    world.clock.pass_(60)

    def merge():
        world.crm.merge(world.contact_of(users[1]), world.contact_of(users[0]))
        world.deliver_all()
        intake.take(world.work)

    world.crash_at("subscription.write", merge)
    world.idp.consent(users[0], "newsletter", "revoked")
    world.run()
    world.later(HOUR)
    assert [world.link(user).state.value for user in users] == ["held", "held"]
    assert status(world, email=BOB["email"]) == "revoked"


def test_a_later_grant_of_the_other_outweighs_an_older_withdrawal(world):
    users = [world.idp.register(one, consents=[GRANTED]) for one in (USER, BOB)]
    world.run()
    world.clock.pass_(60)
    withdraw(world, users[0])
    world.clock.pass_(60)
    world.idp.consent(users[1], "newsletter", "revoked")
    world.run()
    world.clock.pass_(60)
    world.idp.consent(users[1], "newsletter", "granted")
    world.run()
    survivor = world.crm.merge(world.contact_of(users[1]), world.contact_of(users[0]))
    world.run()
    world.idp.edit(users[0], {"first_name": "Augusta"})
    world.run()
    assert (status(world, email=BOB["email"]), world.crm.contacts[survivor]["communicable"]) == ("granted", "true")


def test_at_a_contact_that_another_users_active_link_leads_to_the_values_stay(world):
    user = held(world, **{"custom.shoe_size": 42})
    other = {"provider": "members", "user_id": "u-other", "contact_id": world.contact_of(user), "state": "active"}
    with world.store.write() as tx:
        tx.links.create([other])
    withdraw(world, user)
    assert (shown(world, user), status(world), contact(world, user)["shoe_size"]) == (("false", "false"), "revoked", "42")


def test_a_contact_that_is_gone_meanwhile_is_no_obstacle(world):
    user = held(world)
    world.crm.contacts.pop(world.contact_of(user))
    withdraw(world, user)
    assert (status(world), world.link(user).state) == ("revoked", "held")


@pytest.mark.parametrize("after", [10, 61], ids=["within the grace", "just after it"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_who_says_stop_while_the_contact_is_missing_has_said_it_to_the_address(world, after, told):
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    world.crm.delete(world.contact_of(user))
    if not told:
        world.crm.events.clear()
        world.idp.edit(user, {"first_name": "Augusta"})
    world.deliver_all()
    world.work_off()
    world.clock.pass_(after)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert status(world) == "revoked"
    world.later(HOUR)
    assert (status(world), world.link(user).state, world.idp.writes) == ("revoked", "unlinked", 0)
    assert ledger(world, user)[-1][:2] == ("newsletter", "revoked")


def test_who_says_stop_by_another_address_while_the_contact_is_missing_has_said_it_to_the_contacts_as_well(world):
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    world.crm.delete(world.contact_of(user))
    world.run()
    world.idp.edit(user, {"email": "new@example.com"})
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert (status(world), status(world, email="new@example.com")) == ("revoked", "revoked")


def test_a_grant_while_the_contact_is_missing_is_not_written(world):
    user = world.idp.register(USER)
    world.run()
    world.crm.delete(world.contact_of(user))
    world.run()
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    world.later(HOUR)
    assert (status(world), world.link(user).state) == (None, "unlinked")


def test_a_withdrawal_that_cannot_be_written_keeps_the_link_until_it_is(world):
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    world.crm.delete(world.contact_of(user))
    world.run()
    world.idp.consent(user, "newsletter", "revoked")
    call = world.crm._call

    def breaks(name):
        call(name)
        if name == "write_statuses":
            raise Unavailable("502")

    world.crm._call = breaks
    world.run()
    world.later(120)
    assert (status(world), world.link(user).state) == ("granted", "active")
    world.crm._call = call
    world.later(HOUR)
    assert (status(world), world.link(user).state) == ("revoked", "unlinked")


def test_a_contact_that_is_restored_for_a_held_link_shows_what_was_said_meanwhile(world):
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    here = world.contact_of(user)
    world.crm.delete(here)
    world.run()
    hold(world, user)
    withdraw(world, user)
    assert status(world) == "revoked"
    world.crm.restore(here)
    world.run()
    assert (shown(world, user), world.link(user).state) == (("false", "false"), "held")
