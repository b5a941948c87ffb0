"""A provider that says "not there" is not believed, however often; one that says it in two ways is."""

from datetime import timedelta

from connector.errors import Missing
from connector.model import Change, User
from connector.sync.reconcile import reconcile
from connector.sync.record import NOT_FOUND

from .world import USER


def quietly(what, done, of):
    """Nobody watches."""


def test_a_new_user_that_is_not_there_yet_is_looked_for_again(world):
    user = world.idp.register(USER)
    told = world.idp.events.pop()
    partial = User(user, {"email": USER["email"]}, told.user.updated_at)
    world.idp.fails = [Missing("not yet")]
    world.deliver(Change("user.created", user, told.occurred_at, user=partial))
    world.work_off()
    assert world.link(user).state == "pending"
    world.later(3)
    assert world.contact_of(user)


def test_a_linked_user_that_is_not_there_for_a_moment_keeps_the_contact(world):
    user = world.idp.register(USER)
    world.run()
    world.idp.fails = [Missing("hiccup")]
    world.deliver(Change("user.updated", user))
    world.work_off()
    world.later(3)
    assert world.contact_of(user)
    assert world.link(user).state == "active"


def test_a_linked_user_that_stays_away_waits_for_a_complete_listing(world):
    user, _ = world.idp.register(USER), world.idp.register({**USER, "email": "bob@example.com"})
    world.run()
    gone = world.idp.users.pop(user)
    world.deliver(Change("user.updated", user))
    for _ in range(8):
        world.later(400)
    assert (world.link(user).state, world.link(user).reason, world.link(user).due_at) == ("active", NOT_FOUND, None)
    world.idp.users[user] = gone
    world.deliver(Change("user.updated", user))
    world.run()
    assert world.link(user).reason is None
    world.idp.users.pop(user)
    world.sweep()
    assert world.link(user).state == "deleted"


def test_a_complete_listing_without_a_user_and_no_answer_by_id_are_believed_at_once(world):
    user, _ = world.idp.register(USER), world.idp.register({**USER, "email": "bob@example.com"})
    world.run()
    world.idp.users.pop(user)
    reconcile(world.work, world.clock.pass_, ["members"], quietly)
    assert world.link(user).state == "deleted"


def test_who_registers_anew_after_the_deletion_begins_again(world):
    user = world.idp.register(USER)
    created = world.idp.events[-1]
    world.run()
    gone = world.idp.users[user]
    world.idp.remove(user)
    world.run()
    assert world.link(user).state == "deleted"
    world.clock.pass_(60)
    world.deliver(created)
    world.run()
    assert world.crm.contacts == {}
    world.idp.users[user] = gone
    world.deliver(Change("user.created", user, world.clock() + timedelta(seconds=1), user=gone))
    world.run()
    assert world.link(user).state == "active"
    assert world.contact_of(user)


def test_a_creation_that_was_refused_is_not_tried_by_each_reconcile(world):
    world.crm.refuses = {"email": "INVALID_EMAIL"}
    user = world.idp.register(USER)
    world.run()
    before = world.crm.writes
    for _ in range(2):
        reconcile(world.work, world.clock.pass_, ["members"], quietly)
    assert world.crm.writes == before
    world.crm.refuses = {}
    world.idp.edit(user, {"email": "better@example.com"})
    world.idp.events.clear()
    reconcile(world.work, world.clock.pass_, ["members"], quietly)
    assert world.contact_of(user)
