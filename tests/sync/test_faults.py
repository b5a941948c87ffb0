"""Crashes, lost answers, frozen workers, outages, poison and disorder, one at a time."""

from datetime import timedelta

import pytest

from connector.errors import Paused, Rejected, Unavailable
from connector.model import Change, User
from connector.providers.base import Capabilities
from connector.settings import Brakes, Retries
from connector.sync import batch, brakes, intake, repair
from connector.sync.work import LEASE

from .world import MAPPING, USER, Crash, World

HOUR = 3600
PAST_LEASE = LEASE.total_seconds() + 1
BOB = {**USER, "email": "bob@example.com", "first_name": "Bob"}
CREATE_USER = MAPPING + "lifecycle: {contact_created: create_user}\n"
DELETE_USER = MAPPING + "lifecycle: {contact_deleted: delete_user}\n"
RECEIVE_ONLY = {"capabilities": Capabilities()}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def linked(world):
    return link(world)


def link(world, values=USER):
    user = world.idp.register(values)
    world.run()
    return world, user, world.contact_of(user)


def crash(world, where):
    """Work until the worker dies at this place; its leases stay."""
    world.crash_at(where)
    with pytest.raises(Crash):
        world.run()


def recover(world):
    """Nobody tells anything new; the dead worker's leases run out and another takes over."""
    world.clock.pass_(PAST_LEASE)
    world.work_off()


def values_of(world, user):
    return world.idp.users[user].values


# a worker that dies (F04, F08, F09, F10)


@pytest.mark.parametrize("where", ["intake before commit", "leased", "contact.create", "record before commit"])
def test_a_worker_that_dies_while_creating_makes_no_second_contact(world, where):
    user = world.idp.register(USER)
    crash(world, where)
    recover(world)
    world.run()
    assert len(world.crm.contacts) == 1
    assert world.link(user).state == "active"


@pytest.mark.parametrize("where", ["leased", "contact.update", "record before commit"])
def test_a_worker_that_dies_while_updating_changes_nothing_twice(linked, where):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    crash(world, where)
    recover(world)
    assert world.crm.contacts[contact]["firstname"] == "Augusta"
    assert [told for told in world.crm.log if told[2].get("firstname") == "Augusta"] == [
        ("us", contact, {"firstname": "Augusta"})
    ]
    assert world.link(user).base["first_name"] == "Augusta"


@pytest.mark.parametrize("where", ["leased", "user.update", "record before commit"])
def test_a_worker_that_dies_while_updating_the_user_changes_nothing_twice(linked, where):
    world, user, contact = linked
    world.crm.edit(contact, {"firstname": "Augusta"})
    crash(world, where)
    recover(world)
    assert [told for told in world.idp.log if told[2].get("first_name") == "Augusta"] == [("us", user, {"first_name": "Augusta"})]
    assert world.link(user).base["first_name"] == "Augusta"


def test_a_creation_whose_answer_is_lost_is_found_again(world):
    user = world.idp.register(USER)
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    world.later(HOUR)
    assert len(world.crm.contacts) == 1
    assert world.link(user).state == "active"


@pytest.mark.parametrize("where", ["user.create", "record before commit"])
def test_a_worker_that_dies_while_creating_a_user_makes_no_second_one(tmp_path, where):
    world = World(tmp_path, mapping=CREATE_USER)
    contact = world.crm.create({"email": "ada@example.com", "firstname": "Ada"})
    crash(world, where)
    recover(world)
    world.run()
    (user,) = world.idp.users
    assert (world.link(user).contact_id, world.contact_of(user)) == (contact, contact)
    assert len(world.crm.contacts) == 1


def test_a_user_deleted_while_the_answer_to_its_creation_was_lost_takes_the_contact_along(world):
    user = world.idp.register(USER)
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    world.idp.remove(user)
    world.later(HOUR)
    assert world.crm.contacts == {}
    assert world.link(user).state == "deleted"


def test_our_own_write_whose_record_was_lost_does_not_win_against_a_later_edit(tmp_path):
    """The CRM holds what we wrote, and nobody there has an opinion: the person's edit since then is the only change."""
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: contact")))
    world.idp.edit(user, {"first_name": "First"})
    crash(world, "contact.update")
    world.idp.edit(user, {"first_name": "Second"})
    world.clock.pass_(PAST_LEASE)
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Second"
    assert values_of(world, user)["first_name"] == "Second"


def test_our_own_write_to_the_user_does_not_win_against_a_later_edit_in_the_crm(tmp_path):
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: user")))
    world.crm.edit(contact, {"firstname": "First"})
    crash(world, "user.update")
    world.crm.edit(contact, {"firstname": "Second"})
    world.clock.pass_(PAST_LEASE)
    world.run()
    assert values_of(world, user)["first_name"] == "Second"


def test_a_first_write_whose_answer_was_lost_does_not_win_against_a_later_edit(tmp_path):
    world = World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: contact"))
    user = world.idp.register(USER)
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    world.idp.edit(user, {"first_name": "Second"})
    world.later(HOUR)
    assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Second"


def test_the_loser_of_a_conflict_is_on_record_even_when_the_worker_dies(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Loser"})
    world.clock.pass_(10)
    world.crm.edit(contact, {"firstname": "Winner"})
    crash(world, "user.update")
    recover(world)
    assert any(change["user"] == "Loser" and change["contact"] == "Winner" for change in world.history(user))


def test_a_write_that_got_through_counts_although_another_one_failed(tmp_path):
    """The contact took its half, the provider is down: the contact's half is agreed."""
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: contact")))
    world.idp.edit(user, {"first_name": "First"})
    world.crm.edit(contact, {"lastname": "King"})
    world.idp.loses = []
    world.crash_at("contact.update", lambda: world.idp.fails.append(Unavailable("down")))
    world.run()
    world.idp.edit(user, {"first_name": "Second"})
    world.later(HOUR)
    assert world.crm.contacts[contact]["firstname"] == "Second"
    assert values_of(world, user)["last_name"] == "King"


def test_a_worker_that_is_killed_each_time_parks_the_link_after_all_attempts(tmp_path):
    """F05: work that kills its process, for want of memory, say. Others go on."""
    world = World(tmp_path, retries=Retries(attempts=3))
    poison = world.idp.register(USER)
    world.deliver_all()
    intake.take(world.work)
    for _ in range(3):
        batch.lease(world.work)
        world.clock.pass_(PAST_LEASE)
    other = world.idp.register(BOB)
    world.run()
    world.later(PAST_LEASE)
    assert world.link(other).state == "active"
    assert [what for what, reason in world.parked() if "worker" in reason] == ["link"]
    assert world.contact_of(poison) is None


def test_kills_now_and_then_park_nobody(world):
    """F04: a worker that dies again and again, under load."""
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(12)]
    places = ["leased", "contact.create", "record before commit", "intake before commit", "contact.update"]
    for round_ in range(20):
        world.crash_at(places[round_ % len(places)])
        world.idp.edit(users[round_ % 12], {"first_name": f"Name {round_}"})
        world.deliver_all()
        try:
            world.work_off()
        except Crash:
            world.clock.pass_(PAST_LEASE)
    world.reached = lambda where: None
    world.later(HOUR)
    assert len(world.crm.contacts) == 12
    assert world.parked() == []
    assert all(world.crm.contacts[world.contact_of(user)]["firstname"] == values_of(world, user)["first_name"] for user in users)


# a worker that freezes (F07)


def test_a_frozen_workers_late_record_is_void_and_it_writes_nothing_more(linked):
    world, user, contact = linked
    other = world.worker("other")

    def successor():
        world.clock.pass_(PAST_LEASE)
        world.idp.edit(user, {"first_name": "Newer", "custom.score": 1})
        world.deliver_all()
        intake.take(other)
        while world.settle(other):
            pass

    world.idp.edit(user, {"first_name": "Older"})
    world.crm.edit(contact, {"lastname": "King"})
    world.crash_at("contact.update", successor)
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Newer"
    assert [told[2]["firstname"] for told in world.crm.log if "firstname" in told[2]] == ["Ada", "Older", "Newer"]
    assert sum(told[2].get("last_name") == "King" for told in world.idp.log) == 1
    assert world.link(user).base["first_name"] == "Newer"


def test_a_worker_that_lost_its_lease_before_writing_writes_nothing(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Once"})
    world.crash_at("leased", lambda: (world.clock.pass_(PAST_LEASE), world.settle(world.worker("other"))))
    world.run()
    assert world.crm.made["update"] == 1


def test_a_late_record_keeps_what_the_frozen_worker_did_in_the_history(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Older"})
    world.crash_at("contact.update", lambda: (world.clock.pass_(PAST_LEASE), batch.lease(world.worker("other"))))
    world.run()
    recover(world)
    assert any(change["to"] == "Older" for change in world.history(user))


# outages (F31, F33, F34 in small)


@pytest.mark.parametrize("side", ["crm", "idp"])
def test_an_outage_of_an_hour_parks_nobody(world, side):
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    world.run()
    for user in users:
        world.idp.edit(user, {"first_name": "Augusta"})
        world.crm.edit(world.contact_of(user), {"lastname": "King"})
    world.deliver_all()
    down = getattr(world, side)
    for _ in range(HOUR // 20):
        down.fails = [Unavailable("down")] * 50
        world.clock.pass_(20)
        world.work_off()
    down.fails = []
    assert world.parked() == []
    world.later(2 * HOUR)
    assert {values_of(world, user)["last_name"] for user in users} == {"King"}
    assert {world.crm.contacts[world.contact_of(user)]["firstname"] for user in users} == {"Augusta"}


def test_a_side_that_asks_to_wait_is_left_alone_and_uses_no_attempt(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    world.crm.fails = [Paused("rate limit", retry_in=30)]
    world.run()
    calls = world.crm.calls
    world.later(29)
    assert (world.crm.calls, world.link(user).attempts) == (calls, 0)
    world.later(2)
    assert world.crm.contacts[contact]["firstname"] == "Augusta"


def test_calls_thin_out_while_a_side_is_down(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    world.deliver_all()
    world.crm.fails = [Unavailable("down")] * 1000
    before = world.crm.calls
    for _ in range(HOUR):
        world.clock.pass_(1)
        world.work_off()
    assert world.crm.calls - before < 20


def test_one_link_that_keeps_failing_is_parked_while_others_settle(world):
    user, other = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    fetch = world.idp.fetch

    def broken(user_id):
        if user_id == user:
            raise Unavailable("504 for this user only")
        return fetch(user_id)

    world.idp.fetch = broken
    world.deliver(Change("user.updated", user))
    for _ in range(200):
        world.deliver(Change("user.updated", other))
        world.later(120)
        if world.parked():
            break
    assert [what for what, reason in world.parked() if "gave up after 8 attempts" in reason] == ["link"]
    assert world.link(other).attempts == 0


# poison (F47)


def poison_fetch(world, user):
    fetch = world.idp.fetch

    def broken(user_id):
        if user_id == user:
            raise KeyError("a mistake of ours")
        return fetch(user_id)

    world.idp.fetch = broken


def test_a_poison_link_is_parked_and_delays_nobody(tmp_path):
    world = World(tmp_path, retries=Retries(attempts=4))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(5)]
    world.run()
    poison_fetch(world, users[2])
    for user in users:
        world.idp.edit(user, {"first_name": "Augusta"})
        world.idp.events.clear()
        world.deliver(Change("user.updated", user))
    world.work_off()
    world.later(60)
    fine = [user for user in users if user != users[2]]
    assert {world.crm.contacts[world.contact_of(user)]["firstname"] for user in fine} == {"Augusta"}
    for _ in range(5):
        world.later(HOUR)
    assert [(what, "KeyError" in reason) for what, reason in world.parked()] == [("link", True)]


def test_a_mistake_in_the_middle_of_a_batch_loses_no_write(tmp_path, monkeypatch):
    """The contact is written, then something breaks: the user's half is still to come."""
    world, user, contact = link(World(tmp_path))
    world.idp.edit(user, {"first_name": "Augusta"})
    world.crm.edit(contact, {"lastname": "King"})
    monkeypatch.setattr("connector.sync.users.update", lambda work, cases: 1 / 0)
    world.deliver_all()
    intake.take(world.work)
    world.settle()
    monkeypatch.undo()
    world.later(HOUR)
    assert values_of(world, user)["last_name"] == "King"


def test_a_row_that_cannot_be_recorded_stops_no_other(tmp_path, monkeypatch):
    world = World(tmp_path, retries=Retries(attempts=3))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    from connector.sync import record

    settled = record._settled

    def broken(work, tx, case, row):
        if case.link.user_id == users[1]:
            raise ValueError("no column holds this")
        return settled(work, tx, case, row)

    monkeypatch.setattr(record, "_settled", broken)
    world.run()
    for _ in range(5):
        world.later(HOUR)
    assert all(world.contact_of(user) for user in users)
    assert [what for what, _ in world.parked()] == ["link"]


def test_a_delivery_that_cannot_be_taken_in_stops_no_other(world, monkeypatch):
    notice = intake._notice_unknown

    def broken(work, new, provider, row, change):
        if change.record_id == "u-1":
            raise ValueError("no column holds this")
        notice(work, new, provider, row, change)

    monkeypatch.setattr(intake, "_notice_unknown", broken)
    world.idp.register(USER)
    fine = world.idp.register(BOB)
    world.run()
    assert world.link(fine).state == "active"
    with world.store.read() as tx:
        assert tx.inbox.counts() == {"pending": 0, "done": 1 + len(world.crm.told), "quarantined": 1}


@pytest.mark.parametrize("odd", ["x" * 301, "u\x00", "u\ud800", ""])
def test_an_id_no_column_can_hold_is_quarantined(world, odd):
    world.deliver(Change("user.updated", odd, user=User(odd, USER, world.clock())))
    world.deliver(Change("contact.changed", odd, property="firstname", value="x"))
    fine = world.idp.register(BOB)
    world.run()
    assert world.link(fine).state == "active"
    with world.store.read() as tx:
        assert tx.inbox.counts()["quarantined"] == 2


def test_hostile_values_of_one_user_stop_nobody(world):
    hostile = world.idp.register(
        {**USER, "email": "a\x00\ud800@example.com", "first_name": "\x00\ud800", "custom.interests": ["a;b"]}
    )
    world.idp.register({**BOB, "country": {"a": 1}, "custom.score": [1]})
    fine = world.idp.register({**USER, "email": "fine@example.com"})
    world.run()
    assert world.link(fine).state == "active"
    assert world.link(hostile).state == "active"


def test_links_of_a_provider_that_is_not_configured_any_more_wait_quietly(world):
    user = world.idp.register(USER)
    world.deliver_all()
    intake.take(world.work)
    world.work.mappings.clear()
    world.work_off()
    world.clock.pass_(HOUR)
    assert world.settle() == 0
    assert world.link(user).token == 0


# part of a batch fails (F36)


def test_only_the_rows_that_failed_are_tried_again(world):
    world.idp.register(USER)
    world.idp.register({**BOB, "country": "NO"})
    world.crm.refuses = {"country": "INVALID_OPTION"}
    world.run()
    assert len(world.crm.contacts) == 2
    assert world.parked() == [("country", "INVALID_OPTION")] * 2
    assert world.crm.made["upsert"] == 2


def test_a_refusal_of_the_whole_record_is_parked_at_once_with_its_reason(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    world.crm.fails = [Rejected("403 for this call")]
    world.crash_at("leased", lambda: None)
    world.run()
    assert world.link(user).attempts in (0, 1)


def test_parked_work_goes_when_the_link_does(linked):
    world, user, contact = linked
    world.crm.refuses = {"country": "INVALID_OPTION"}
    world.idp.edit(user, {"country": "NO"})
    world.run()
    assert world.parked() == [("country", "INVALID_OPTION")]
    world.idp.remove(user)
    world.run()
    assert world.parked() == []


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


def test_two_edits_within_one_second_of_a_receive_only_provider_end_as_the_later_delivery(tmp_path):
    world, user, contact = link(World(tmp_path, idp=RECEIVE_ONLY))
    world.idp.edit(user, {"first_name": "One"})
    world.idp.edit(user, {"first_name": "Two"})
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Two"


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


# identities (F45)


def test_two_users_who_swap_their_addresses_are_parked_not_looped(world):
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    world.idp.edit(one, {"email": BOB["email"]})
    world.idp.edit(two, {"email": USER["email"]})
    world.run()
    calls = world.crm.calls
    for _ in range(60):
        world.later(1)
    assert world.crm.calls - calls < 25
    for _ in range(10):
        world.later(HOUR)
    calls = world.crm.calls
    world.later(HOUR)
    assert world.crm.calls == calls
    assert {what for what, _ in world.parked()} == {"email"}
    assert all("another contact has this address" in reason for _, reason in world.parked())


def test_an_address_handed_on_from_one_user_to_another_arrives_whatever_the_order(world):
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    world.idp.edit(two, {"email": "new@example.com"})
    world.idp.edit(one, {"email": BOB["email"]})
    world.idp.events.reverse()
    world.run()
    for _ in range(4):
        world.later(60)
    assert world.crm.contacts[world.contact_of(one)]["email"] == BOB["email"]
    assert world.crm.contacts[world.contact_of(two)]["email"] == "new@example.com"
    assert world.parked() == []


def test_an_address_taken_over_from_a_deleted_user_makes_a_new_contact(world):
    one = world.idp.register(USER)
    world.run()
    old = world.contact_of(one)
    world.idp.remove(one)
    two = world.idp.register(USER)
    world.run()
    world.later(60)
    assert old not in world.crm.contacts
    assert world.link(two).state == "active"
    assert world.contact_of(two) != old


def test_two_new_users_with_one_address_do_not_share_a_contact(world):
    contact = world.crm.create({"email": "ada@example.com", "lastname": "King"})
    world.run()
    one, two = world.idp.register(USER), world.idp.register({**USER, "first_name": "Other"})
    world.run()
    world.later(HOUR)
    assert sorted([world.link(one).state, world.link(two).state]) == ["active", "held"]
    assert values_of(world, one)["first_name"] == "Ada"
    assert values_of(world, two)["first_name"] == "Other"
    assert world.crm.contacts[contact]["members_user_id"] == one


def test_two_workers_who_meet_one_contact_link_it_once(world):
    contact = world.crm.create({"email": "ada@example.com"})
    world.run()
    one = world.idp.register(USER)
    world.deliver_all()
    intake.take(world.work)
    two = []

    def second():
        two.append(world.idp.register({**USER, "first_name": "Other"}))
        world.deliver_all()
        world.settle(world.worker("other")) if intake.take(world.work) else None

    world.crash_at("contact.update", second)
    world.work_off()
    world.run()
    world.later(HOUR)
    assert sorted([world.link(one).state, world.link(two[0]).state]) == ["active", "held"]
    assert values_of(world, one)["first_name"] == world.crm.contacts[contact]["firstname"] == "Ada"
    assert values_of(world, two[0])["first_name"] == "Other"


def test_a_merge_of_two_linked_contacts_nobody_told_about_mixes_no_users(world):
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    survivor = world.crm.merge(world.contact_of(two), world.contact_of(one))
    world.crm.events.clear()
    world.sweep()
    world.later(HOUR)
    assert values_of(world, one)["first_name"] == "Ada"
    assert values_of(world, two)["first_name"] == "Bob"
    assert "held" in {world.link(one).state, world.link(two).state}
    assert world.crm.contacts[survivor]["firstname"] == "Bob"


def test_a_merge_with_a_contact_that_waits_for_its_user_keeps_the_link(tmp_path):
    world, user, contact = link(World(tmp_path, mapping=CREATE_USER))
    other = world.crm.create({"firstname": "No address"})
    world.run()
    survivor = world.crm.merge(contact, other)
    world.run()
    world.later(HOUR)
    assert (world.link(user).state, world.link(user).contact_id) == ("active", survivor)


@pytest.mark.parametrize("rule", ["ignore", "link_only", "create_user"])
@pytest.mark.parametrize("properties", [{"firstname": "Ada"}, {"email": "ada@example.com"}])
def test_a_contact_nobody_is_linked_to_is_never_touched(tmp_path, rule, properties):
    world = World(tmp_path, mapping=MAPPING + f"lifecycle: {{contact_created: {rule}}}\n")
    contact = world.crm.create(properties)
    world.run()
    world.crm.edit(contact, {"firstname": "Augusta"})
    world.later(HOUR)
    assert world.crm.contacts[contact].items() >= {**properties, "firstname": "Augusta"}.items()


def test_a_contact_that_gets_its_address_later_gets_its_user_then(tmp_path):
    world = World(tmp_path, mapping=CREATE_USER)
    contact = world.crm.create({"firstname": "Ada"})
    world.run()
    assert world.idp.users == {}
    world.crm.edit(contact, {"email": "ada@example.com"})
    world.run()
    (user,) = world.idp.users
    assert world.link(user).contact_id == contact


def test_a_users_own_link_makes_no_contact_while_one_is_on_its_way_to_it(tmp_path):
    """A user was made for a contact by a worker that died; its event and the contact's second look come in one batch."""
    world = World(tmp_path, mapping=CREATE_USER)
    contact = world.crm.create({"email": "ada@example.com"})
    crash(world, "user.create")
    world.crm.edit(contact, {"email": "new@example.com"})
    world.clock.pass_(PAST_LEASE)
    world.run()
    assert (list(world.crm.contacts), list(world.idp.users)) == ([contact], ["u-1"])
    assert world.link("u-1").contact_id == contact


def test_a_user_made_for_a_contact_is_on_record(tmp_path):
    world = World(tmp_path, mapping=CREATE_USER)
    world.crm.create({"email": "ada@example.com", "firstname": "Ada"})
    world.crash_at("user.create", lambda: (world.deliver_all(), intake.take(world.work)))
    world.run()
    (user,) = world.idp.users
    with world.store.read() as tx:
        assert "user.create" in [entry.kind for entry in tx.history.of_link(world.link(user).id)]


def test_an_address_the_crm_calls_taken_but_does_not_show_yet_is_waited_for(world):
    """Searches lag behind by seconds; asking again and again in that time helps nobody."""
    world.crm.names_existing = False
    contact = world.crm.create({"email": "ada@example.com"})
    world.crm.unindexed = {contact}
    user = world.idp.register(USER)
    world.run()
    assert world.crm.calls < 5
    world.crm.unindexed = set()
    world.later(60)
    assert world.contact_of(user) == contact


def test_a_contact_shared_with_a_held_link_of_another_provider_is_not_archived(linked):
    world, user, contact = linked
    with world.store.write() as tx:
        tx.links.create([{"provider": "shop", "user_id": "s-1", "contact_id": contact, "state": "held"}])
    world.idp.remove(user)
    world.run()
    assert contact in world.crm.contacts
    assert world.link(user).state == "deleted"


# mass harm (rule 10)


def test_deletions_of_users_are_braked_like_those_of_contacts(tmp_path):
    world = World(tmp_path, mapping=DELETE_USER, brakes=Brakes(deletes=2, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(5)]
    world.run()
    for contact in list(world.crm.contacts):
        world.crm.delete(contact)
    world.run()
    world.later(61)
    assert len(world.idp.users) == 3
    assert sorted(world.link(user).state for user in users) == ["deleted"] * 2 + ["held"] * 3


def test_a_sweep_after_everything_is_told_makes_no_write(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta", "custom.interests": ["sport"]})
    world.crm.edit(contact, {"lastname": "King", "score": "3"})
    world.run()
    writes = world.crm.writes + world.idp.writes
    world.sweep()
    world.clock.now += timedelta(days=1)
    world.sweep()
    assert world.crm.writes + world.idp.writes == writes


def test_who_waited_for_a_side_goes_on_at_once_when_it_is_back(world):
    """After an hour of outage the backoff is long; the first success ends everybody's wait."""
    first, second = world.idp.register(USER), world.idp.register({**USER, "email": "bob@example.com"})
    world.deliver_all()
    world.crm.fails = [Unavailable("down")] * 1000
    for _ in range(HOUR // 60):
        world.clock.pass_(60)
        world.work_off()
    world.crm.fails = []
    link = world.link(first)
    with world.store.write() as tx:
        tx.links.notice(link.id, {}, tx.now)
    world.work_off()
    assert world.contact_of(first)
    assert world.contact_of(second)


def test_a_link_released_from_a_brake_is_stopped_by_no_brake(tmp_path):
    world = World(tmp_path, brakes=Brakes(deletes=1, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(2)]
    world.run()
    for user in users:
        world.idp.remove(user)
    world.run()
    held = [user for user in users if world.link(user).state == "held"]
    assert len(held) == 1
    link = world.link(held[0])
    with world.store.write() as tx:
        repair.release(tx, link)
    world.run()
    assert world.crm.contacts == {}


def test_two_batches_that_delete_at_once_pass_the_limit_together_no_more_than_alone(tmp_path):
    world = World(tmp_path, brakes=Brakes(deletes=1, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(2)]
    world.run()
    for user in users:
        world.idp.remove(user)
    world.deliver_all()
    with world.store.write() as tx:
        assert tx.runs.lock(brakes.LOCK, "another batch", timedelta(seconds=60))
    world.work_off()
    assert len(world.crm.contacts) == 2
    with world.store.write() as tx:
        tx.runs.unlock(brakes.LOCK, "another batch")
    world.later(2)
    assert len(world.crm.contacts) == 1


def test_blanking_beyond_the_limit_is_held_before_it_happens(tmp_path):
    world = World(tmp_path, brakes=Brakes(clears=1, clears_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    world.run()
    for user in users:
        world.idp.edit(user, {"first_name": None})
    world.run()
    cleared = [contact for contact in world.crm.contacts.values() if contact["firstname"] == ""]
    held = [world.link(user) for user in users if world.link(user).state == "held"]
    assert (len(cleared), len(held)) == (1, 2)
    assert held[0].reason == "brake: more than 1 clears in one hour (brakes.clears, brakes.clears_percent)"
    with world.store.write() as tx:
        repair.release(tx, held[0])
    world.run()
    assert len([contact for contact in world.crm.contacts.values() if contact["firstname"] == ""]) == 2


def test_other_changes_go_on_while_a_brake_holds_some(tmp_path):
    world = World(tmp_path, brakes=Brakes(clears=1, clears_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    world.run()
    world.idp.edit(users[0], {"first_name": None})
    world.idp.edit(users[1], {"first_name": None})
    world.idp.edit(users[2], {"first_name": "Augusta"})
    world.run()
    assert world.crm.contacts[world.contact_of(users[2])]["firstname"] == "Augusta"
