"""Two observations of one moment, or of none, and those that come while somebody works: nobody guesses which is the later."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connector.model import Change, LinkState
from connector.providers.reading import moment
from connector.sync import activities, intake, recent

from .consenting import CONSENTS, GRANTED, consent, contact, status
from .scenes import BOB, HOUR, link
from .world import MAPPING, USER, World

LAST = moment("9999-12-31T23:59:59.9999999Z")
"""The last moment there is, as some systems write "never"."""


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def granted(world):
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    world.later(10)
    return user


def take_in(world):
    world.deliver_all()
    intake.take(world.work)


# a listing


def listed(world, user, page):
    with world.store.write() as tx:
        tx.cursors.set("recent:users:members", world.clock().isoformat())
    world.idp.changed_since = lambda since: iter([page])
    recent.users(world.work, "members")
    world.work_off()
    world.run()


def test_a_listing_of_the_same_moment_takes_no_withdrawal_back(world):
    user = granted(world)
    world.idp.edit(user, {"first_name": "Augusta"})
    world.idp.events.clear()
    page = [world.idp._shown(user)]
    world.idp.consent(user, "newsletter", "revoked")
    take_in(world)
    listed(world, user, page)
    assert (consent(world, user), status(world)) == ("revoked", "revoked")


def test_a_listing_of_the_same_moment_takes_no_edit_back(world):
    user = granted(world)
    world.idp.edit(user, {"first_name": "One"})
    page = [world.idp._shown(user)]
    world.idp.edit(user, {"first_name": "Two"})
    world.run()
    listed(world, user, page)
    assert contact(world, user)["firstname"] == "Two"


# a delivery that comes while the user is written


@pytest.mark.parametrize("told", ["withdrawn", "back"])
def test_what_is_told_of_the_moment_of_our_own_write_is_looked_at(world, told):
    user = granted(world)
    world.crm.edit(world.contact_of(user), {"firstname": "Augusta"})
    write = world.idp.update

    def answered_late(*arguments, **more):
        answer = write(*arguments, **more)
        world.idp.events.clear()  # its echo is late
        if told == "withdrawn":
            world.idp.consent(user, "newsletter", "revoked")
        else:
            world.idp.edit(user, {"first_name": "Ada"})
        take_in(world)
        world.idp.update = write
        return answer

    world.idp.update = answered_late
    world.run()
    expected = ("revoked", "Augusta") if told == "withdrawn" else ("granted", "Ada")
    assert (status(world), contact(world, user)["firstname"]) == expected


def test_a_contact_that_is_edited_back_while_we_write_is_read_again(tmp_path):
    """Its event overtakes that of our own write."""
    world, user, contact_id = link(World(tmp_path))
    ours = []

    def meanwhile():
        world.crm.edit(contact_id, {"firstname": "Ada"})
        ours.append(world.crm.events.pop(0))
        take_in(world)

    world.idp.edit(user, {"first_name": "Augusta"})
    world.crash_at("contact.update", meanwhile)
    world.run()
    world.deliver(ours[0])
    world.run()
    assert world.idp.users[user].values["first_name"] == world.crm.contacts[contact_id]["firstname"] == "Ada"


# a provider that tells no times


@pytest.fixture
def timeless(world):
    """It tells of a user's change when that happened, and nothing of it when the user is read."""
    fetch = world.idp.fetch
    world.idp.fetch = lambda user_id: replace(fetch(user_id), updated_at=None)
    user = world.idp.register(USER)
    world.run()
    hint(world, user)
    world.clock.pass_(100)
    return user


def hint(world, user):
    world.idp.events.clear()
    world.deliver(Change("user.updated", user, world.clock()))
    world.run()


def late(world):
    change = world.idp.events.pop()
    world.clock.pass_(10)
    return replace(change, user=replace(change.user, updated_at=None))


def test_a_late_delivery_beats_no_reading(world, timeless):
    world.idp.edit(timeless, {"first_name": "Old"})
    old = late(world)
    world.idp.edit(timeless, {"first_name": "New"})
    hint(world, timeless)
    world.deliver(old)
    world.run()
    assert contact(world, timeless)["firstname"] == "New"


def test_a_late_grant_that_was_taken_back_unheard_is_not_given(world, timeless):
    world.idp.consent(timeless, "newsletter", "granted", at=None)
    old = late(world)
    world.idp.consent(timeless, "newsletter", "pending", at=None)
    hint(world, timeless)
    world.deliver(old)
    world.run()
    assert status(world) is None


def test_a_delivery_from_long_after_the_reading_is_believed(world, timeless):
    world.idp.fetch = None
    world.idp.edit(timeless, {"first_name": "New"})
    world.deliver(late(world))
    world.run()
    assert contact(world, timeless)["firstname"] == "New"


def test_a_change_nobody_told_of_is_read_once_and_not_for_ever(world, timeless):
    world.idp.edit(timeless, {"first_name": "Told"})
    world.deliver(late(world))
    world.run()
    world.clock.pass_(10)
    world.idp.edit(timeless, {"last_name": "Unheard"})
    world.idp.events.clear()
    world.crm.edit(world.contact_of(timeless), {"lastname": "King", "firstname": "Augusta"})
    world.run()
    assert world.idp.users[timeless].values["first_name"] == "Augusta"


# who registers anew


def test_created_deleted_and_created_again_before_we_looked(world):
    user = world.idp.register(USER)
    again = world.idp.users[user]
    world.clock.pass_(5)
    world.idp.events.append(Change("user.deleted", user, world.clock()))
    world.clock.pass_(5)
    world.idp.users[user] = replace(again, updated_at=world.clock(), etag="e99")
    world.idp.events.append(Change("user.created", user, world.clock(), user=world.idp._told(user)))
    world.run()
    assert world.link(user).state is LinkState.ACTIVE


def test_somebody_deleted_before_we_ever_saw_them_may_register(world):
    world.deliver(Change("user.deleted", "u-1", world.clock()))
    world.run()
    world.later(24 * HOUR)
    assert world.idp.register(USER) == "u-1"
    world.run()
    assert world.link("u-1").state is LinkState.ACTIVE


# the last moment


def test_a_user_changed_at_the_last_moment_stops_nobody(tmp_path):
    world = World(tmp_path)
    ada, bob = world.idp.register(USER), world.idp.register(BOB)
    world.idp.users[ada] = replace(world.idp.users[ada], updated_at=LAST)
    world.idp.events.clear()
    for user in (ada, bob):
        world.deliver(Change("user.created", user, world.clock()))
    world.run()
    link_id = world.link(ada).id
    with world.store.write() as tx:
        tx.links.notice(link_id, {}, tx.now)
    world.idp.edit(bob, {"first_name": "Robert"})
    world.run()
    assert contact(world, bob)["firstname"] == "Robert"
    world.sweep()


def test_an_event_of_the_last_moment_stops_nobody(tmp_path):
    world = World(tmp_path, mapping=MAPPING + "events: {as: custom_object, object: identity_event, types: [user.login]}\n")
    ada, bob = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    world.deliver(Change("user.login", ada, datetime.max.replace(tzinfo=UTC), event_id="e-last"))
    world.deliver(Change("user.login", bob, world.clock(), event_id="e-bob"))
    world.run()
    world.clock.pass_(10)
    activities.send(world.work)
    assert "e-bob" in world.crm.records
