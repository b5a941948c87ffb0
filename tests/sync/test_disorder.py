"""Deliveries repeated, reordered and late, and both sides changing at once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connector.model import Change
from connector.sync import intake

from .scenes import HOUR, RECEIVE_ONLY, crash, link, recover, values_of
from .world import MAPPING, USER, World

# duplicates and disorder (F40, F41)


def test_a_delivery_that_comes_a_hundred_times_is_one_piece_of_work(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    change = world.idp.events.pop()
    new = [world.deliver(change, key="same") for _ in range(100)]
    assert sum(map(len, new)) == 1
    world.run()
    assert world.crm.made["update"] == 1


def test_a_senders_repeats_under_other_names_cost_no_write(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    change = world.idp.events.pop()
    for _ in range(5):
        world.deliver(change)
        world.work_off()
    assert world.crm.made["update"] == 1


@pytest.mark.parametrize("capabilities", [pytest.param({}, id="readable"), pytest.param(RECEIVE_ONLY, id="receive-only")])
def test_edits_that_arrive_backwards_end_as_the_last_one(tmp_path, capabilities):
    world, user, contact = link(World(tmp_path, idp=capabilities))
    for name in ("One", "Two", "Three"):
        world.clock.pass_(1)
        world.idp.edit(user, {"first_name": name})
    world.idp.events.reverse()
    for change in world.idp.events:
        world.deliver(change)
        world.work_off()
    world.idp.events.clear()
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Three"


def test_who_goes_back_to_what_was_agreed_before_anybody_looked_has_changed_nothing(linked):
    """So the contact's edit stands, although the user's last word came later: state decides, not the way it took."""
    world, user, contact = linked
    for name in ("There", "Ada"):
        world.clock.pass_(1)
        world.idp.edit(user, {"first_name": name})
        if name == "There":
            world.crm.edit(contact, {"firstname": "Elsewhere"})
    world.run()
    assert (world.idp.users[user].values["first_name"], world.crm.contacts[contact]["firstname"]) == ("Elsewhere", "Elsewhere")


def test_a_repeat_of_what_is_known_still_counts_as_the_later_observation(tmp_path):
    """There and back again, all told at once: what was said in between comes last and is old."""
    world, user, contact = link(World(tmp_path, idp=RECEIVE_ONLY))
    for name in ("There", "Ada"):
        world.clock.pass_(1)
        world.idp.edit(user, {"first_name": name})
    for change in (world.idp.events[1], world.idp.events[0]):
        world.deliver(change)
    world.idp.events.clear()
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Ada"


@pytest.mark.parametrize("known", [True, False])
def test_an_observation_from_before_a_hint_does_not_answer_it(world, known):
    user = world.idp.register({**USER, "first_name": "First"})
    if known:
        world.run()
    world.clock.pass_(1)
    world.idp.edit(user, {"first_name": "Told"})
    world.clock.pass_(1)
    world.idp.edit(user, {"first_name": "Only hinted at"})
    world.idp.events.pop()
    world.deliver(Change("user.updated", user))
    world.run()
    assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Only hinted at"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_two_edits_within_one_second_that_arrive_backwards_end_as_the_last_one(world, known, together):
    user = world.idp.register(USER)
    if known:
        world.run()
    world.idp.events.clear()
    for name in ("One", "Two"):
        world.idp.edit(user, {"first_name": name})
    for change in reversed(world.idp.events):
        world.deliver(change)
        if not together:
            world.work_off()
    world.idp.events.clear()
    world.run()
    assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Two"


def test_two_edits_within_one_second_of_a_receive_only_provider_end_as_the_later_delivery(tmp_path):
    world, user, contact = link(World(tmp_path, idp=RECEIVE_ONLY))
    world.idp.edit(user, {"first_name": "One"})
    world.idp.edit(user, {"first_name": "Two"})
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Two"


def test_a_delivery_from_the_future_stands_against_no_later_one(tmp_path):
    """A sender's clock was wrong once: what that delivery said is not the last word for as long as it was wrong."""
    world, user, contact = link(World(tmp_path, idp=RECEIVE_ONLY))
    world.idp.edit(user, {"first_name": "Early"})
    change = world.idp.events.pop()
    ahead = world.clock() + timedelta(days=9)
    world.deliver(replace(change, occurred_at=ahead, user=replace(change.user, updated_at=ahead)))
    world.run()
    world.clock.pass_(60)
    world.idp.edit(user, {"first_name": "Later"})
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Later"


@pytest.mark.parametrize("capabilities", [pytest.param({}, id="readable"), pytest.param(RECEIVE_ONLY, id="receive-only")])
def test_an_update_that_arrives_after_the_deletion_brings_nobody_back(tmp_path, capabilities):
    world, user, contact = link(World(tmp_path, idp=capabilities))
    world.clock.pass_(1)
    world.idp.edit(user, {"first_name": "Late"})
    late = world.idp.events.pop()
    world.clock.pass_(1)
    world.idp.remove(user)
    world.deliver(world.idp.events.pop())
    world.deliver(late)
    world.run()
    world.deliver(late)
    world.later(HOUR)
    assert world.crm.contacts == {}
    assert len(world.crm.creations) == 1


def test_a_hint_that_arrives_while_the_user_is_being_read_is_not_lost(linked):
    """The provider was read, then the person edited, then the hint came: the hint asks for another read."""
    world, user, contact = linked
    fetch = world.idp.fetch

    def slow(user_id):
        found = fetch(user_id)
        if world.idp.made["fetch"] == 1:
            world.idp.edit(user, {"first_name": "While reading"})
            world.idp.events.clear()
            world.deliver(Change("user.updated", user))
            intake.take(world.work)
        return found

    world.idp.fetch = slow
    world.deliver(Change("user.updated", user))
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "While reading"


def test_a_hint_that_arrives_while_a_worker_has_the_link_is_worked_on_next(linked):
    world, user, contact = linked

    def meanwhile():
        world.idp.edit(user, {"first_name": "Meanwhile"})
        world.deliver(world.idp.events.pop())
        intake.take(world.work)

    world.idp.edit(user, {"first_name": "First"})
    world.crash_at("contact.update", meanwhile)
    world.deliver(world.idp.events.pop())
    world.work_off()
    assert world.crm.contacts[contact]["firstname"] == "Meanwhile"


def test_an_edit_between_reading_and_writing_a_user_is_not_overwritten(linked):
    world, user, contact = linked
    world.idp.edit(user, {"last_name": "King"})
    world.crm.edit(contact, {"firstname": "Contact"})
    world.clock.pass_(5)
    world.crash_at("contact.update", lambda: world.idp.edit(user, {"first_name": "Newest"}))
    world.run()
    assert values_of(world, user)["first_name"] == world.crm.contacts[contact]["firstname"] == "Newest"


def test_a_write_that_is_refused_is_not_agreed(linked):
    world, user, contact = linked
    world.crm.refuses = {"firstname": "INVALID"}
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    world.crm.refuses = {}
    world.crm.edit(contact, {"lastname": "King"})
    world.run()
    assert world.link(user).base["first_name"] == "Ada"
    assert values_of(world, user)["first_name"] == "Augusta"


def test_a_difference_in_spelling_is_no_change(linked):
    world, user, contact = linked
    world.crm.edit(contact, {"firstname": " Ada ", "lastname": "Lovelace\n"})
    world.run()
    assert world.idp.writes == 0


def test_a_field_the_provider_does_not_tell_for_a_while_is_not_cleared(linked):
    world, user, contact = linked
    world.idp.hides = {"first_name"}
    world.deliver(Change("user.updated", user))
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Ada"


@pytest.mark.parametrize("capabilities", [pytest.param({}, id="readable"), pytest.param(RECEIVE_ONLY, id="receive-only")])
def test_a_user_whose_event_came_too_early_is_taken_in_when_it_is_there(tmp_path, capabilities):
    """The event is sent before the provider commits, or tells nothing but an id: the user is no lost soul for that."""
    world = World(tmp_path, idp=capabilities)
    world.deliver(Change("user.login", "u-1"))
    for _ in range(10):
        world.later(600)
    assert world.crm.contacts == {}
    assert world.idp.register(USER) == "u-1"
    world.run()
    assert world.contact_of("u-1")


# both sides at once (F43, F44)


@pytest.mark.parametrize(("policy", "winner"), [("user", "User"), ("contact", "Contact"), ("newest", "User")])
def test_edits_of_both_sides_at_the_same_moment_end_with_one_winner_and_a_recorded_loser(tmp_path, policy, winner):
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", f"conflict: {policy}")))
    world.idp.edit(user, {"first_name": "User"})
    world.crm.edit(contact, {"firstname": "Contact"})
    world.run()
    assert values_of(world, user)["first_name"] == world.crm.contacts[contact]["firstname"] == winner
    assert any((change["user"], change["contact"]) == ("User", "Contact") for change in world.history(user))
    writes = world.crm.writes + world.idp.writes
    world.sweep()
    assert world.crm.writes + world.idp.writes == writes


def test_a_conflict_that_shows_only_when_the_user_is_read_is_won_by_the_newest(linked):
    """The contact's edit is told, the user's earlier one is not."""
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "User"})
    world.idp.events.clear()
    world.clock.pass_(60)
    world.crm.edit(contact, {"firstname": "Contact"})
    world.run()
    assert (values_of(world, user)["first_name"], world.crm.contacts[contact]["firstname"]) == ("Contact", "Contact")


def test_a_conflict_on_the_first_meeting_is_settled_like_any_other(world):
    contact = world.crm.create({"email": "ada@example.com", "firstname": "Contact"})
    world.clock.pass_(60)
    user = world.idp.register({**USER, "first_name": "User"})
    world.run()
    assert world.contact_of(user) == contact
    assert values_of(world, user)["first_name"] == world.crm.contacts[contact]["firstname"] == "User"


def test_a_crm_that_reformats_what_we_write_causes_no_echo(linked):
    world, user, contact = linked
    world.crm.reformats = {"firstname": str.upper}
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert (world.crm.contacts[contact]["firstname"], values_of(world, user)["first_name"]) == ("AUGUSTA", "Augusta")
    writes = world.crm.writes + world.idp.writes
    world.sweep()
    world.sweep()
    assert world.crm.writes + world.idp.writes == writes
    world.crm.edit(contact, {"firstname": "KING"})
    world.run()
    assert values_of(world, user)["first_name"] == "KING"


def test_a_reformatted_value_is_recognised_although_the_record_of_it_was_lost(linked):
    world, user, contact = linked
    world.crm.reformats = {"firstname": str.upper}
    world.idp.edit(user, {"first_name": "Augusta"})
    crash(world, "contact.update")
    recover(world)
    world.run()
    world.later(HOUR)
    writes = world.crm.writes + world.idp.writes
    world.sweep()
    assert world.crm.writes + world.idp.writes == writes
