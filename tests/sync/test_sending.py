"""Sending identity events: senders that die or freeze, events that are refused, sinks that are down or closed."""

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from connector.errors import Denied, Rejected, Unavailable
from connector.settings import Retries
from connector.store.troubles import Trouble
from connector.sync import activities, sweep
from connector.sync.sender import LEASE

from .events import EVENTS, HOUR, counts, login, logins, of, register, settle_for_good
from .world import USER, Crash, World

PAST_LEASE = LEASE.total_seconds() + 1


@pytest.fixture
def world(tmp_path, migrated_url):
    world = World(tmp_path, migrated_url, EVENTS)
    yield world
    world.close()


@pytest.fixture
def linked(world):
    user = world.idp.register(USER)
    world.run()
    activities.send(world.work)
    world.crm.recorded.clear()
    return world, user, world.contact_of(user)


# workers that die


@pytest.mark.parametrize("where", ["activities sending", "activities sent", "activities before commit"])
def test_a_sender_that_dies_sends_nothing_twice(linked, where):
    world, user, _ = linked
    logins(world, user, "evt-2", "evt-3")
    world.crash_at(where)
    with pytest.raises(Crash):
        activities.send(world.work)
    assert counts(world)["pending"] == 2
    successor = world.worker("successor")
    assert activities.send(successor) == 0
    world.clock.pass_(PAST_LEASE)
    assert activities.send(successor) == 2
    assert set(world.crm.records) >= {"evt-2", "evt-3"}
    assert all(world.crm.records[key].sent_before for key in ("evt-2", "evt-3"))
    assert counts(world) == {"pending": 0, "sent": 3, "refused": 0, "dropped": 0}


def test_a_sender_that_wakes_up_late_leaves_the_outcome_to_its_successor(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")

    def meanwhile():
        world.clock.pass_(PAST_LEASE)
        world.crm.event_faults["evt-2"] = Rejected("no")
        activities.send(world.worker("successor"))

    world.crash_at("activities sent", meanwhile)
    assert activities.send(world.work) == 0
    assert [one.state for one in of(world, user)] == ["sent", "refused"]


def test_a_sender_whose_time_is_over_leaves_its_events_to_the_next_one(linked, monkeypatch):
    """The time limit is about the task: neither the sink nor an event is to blame."""
    world, user, _ = linked
    logins(world, user, "evt-2")

    def over(schema, rows):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(world.crm, "record_events", over)
    with pytest.raises(SoftTimeLimitExceeded):
        activities.send(world.work)
    monkeypatch.undo()
    with world.store.read() as tx:
        assert tx.troubles.of("crm") == Trouble()
    world.clock.pass_(PAST_LEASE)
    assert activities.send(world.worker("successor")) == 1


def test_the_sink_of_a_dead_process_is_free_at_the_next_sweep(linked, monkeypatch):
    world, user, _ = linked
    logins(world, user, "evt-2")
    world.crash_at("activities sending")
    with pytest.raises(Crash):
        activities.send(world.worker("host/123"))
    monkeypatch.setattr("connector.sync.sweep.alive", lambda owner: owner != "host/123")
    sweep.sweep(world.work)
    assert activities.send(world.work) == 1


# sinks that fail


def test_one_bad_event_is_refused_with_a_reason_and_delays_nobody(world):
    users = register(world, 5)
    world.run()
    activities.send(world.work)
    for number, user in enumerate(users):
        login(world, user, f"evt-{number}", number)
    world.crm.event_faults["evt-2"] = Rejected("PROPERTY_DOESNT_EXIST")
    world.work_off()
    assert activities.send(world.work) == 4
    assert counts(world) == {"pending": 0, "sent": 9, "refused": 1, "dropped": 0}
    (refused,) = (one for one in of(world, users[2]) if one.state == "refused")
    assert refused.reason == "PROPERTY_DOESNT_EXIST"


def test_refused_events_can_be_tried_again(linked):
    world, user, _ = linked
    world.crm.event_faults["evt-2"] = Rejected("no")
    logins(world, user, "evt-2")
    activities.send(world.work)
    world.crm.event_faults.clear()
    with world.store.write() as tx:
        assert tx.activities.retry() == 1
    assert activities.send(world.work) == 1


def test_an_event_that_makes_every_call_fail_is_found_and_delays_nobody(world):
    users = register(world, 30)
    world.run()
    activities.send(world.work)
    for number, user in enumerate(users):
        login(world, user, "poison" if number == 17 else f"evt-{number}", number)
    world.crm.event_faults["poison"] = Unavailable("500")
    world.work_off()
    assert activities.send(world.work) == 29
    settle_for_good(world)
    assert counts(world) == {"pending": 1, "sent": 59, "refused": 0, "dropped": 0}, "nobody shows that the sink works"
    for number in range(10):
        logins(world, users[0], f"more-{number}")
        settle_for_good(world, rounds=1)
        world.clock.pass_(HOUR)
    assert counts(world) == {"pending": 0, "sent": 69, "refused": 1, "dropped": 0}


def test_several_events_that_make_every_call_fail_delay_nobody(tmp_path):
    world = World(tmp_path, mapping=EVENTS, retries=Retries(attempts=3, first=1, longest=60))
    ada, bob, eve = register(world, 3)
    world.run()
    activities.send(world.work)
    world.crm.event_faults |= dict.fromkeys(["bad-1", "bad-2"], Unavailable("500"))
    logins(world, ada, "bad-1")
    logins(world, bob, "bad-2")
    for number in range(20):
        activities.send(world.work)
        world.later(60)
        logins(world, eve, f"evt-{number}")
    settle_for_good(world, 60)
    assert counts(world) == {"pending": 0, "sent": 23, "refused": 2, "dropped": 0}


def test_an_event_that_fails_while_others_go_is_given_up_after_the_configured_attempts(tmp_path):
    world = World(tmp_path, mapping=EVENTS, retries=Retries(attempts=3))
    ada, bob = register(world, 2)
    world.run()
    activities.send(world.work)
    world.crm.event_faults["evt-1"] = Unavailable("500")
    logins(world, ada, "evt-1")
    for number in range(3):
        assert counts(world)["refused"] == 0
        logins(world, bob, f"b-{number}")
        activities.send(world.work)
        world.clock.pass_(HOUR)
    assert counts(world)["refused"] == 1


def test_an_outage_costs_no_attempt_and_few_calls(world):
    users = register(world, 120)
    world.run()
    world.crm.made.clear()
    world.crm.fails = [Unavailable("503")] * 200
    for _ in range(20):
        assert activities.send(world.work) == 0
        world.clock.pass_(HOUR)
    assert world.crm.made["record_events"] < 50
    assert all(one.attempts == 0 for user in users for one in of(world, user))
    with world.store.read() as tx:
        assert tx.troubles.paused() == {"crm": "503"}
    world.crm.fails = []
    world.crm.made.clear()
    settle_for_good(world)
    assert counts(world)["sent"] == 120
    assert world.crm.made["record_events"] < 12
    with world.store.read() as tx:
        assert tx.troubles.paused() == {}


def test_a_closed_sink_is_left_alone_until_it_says_so_and_links_go_on(world):
    users = register(world, 3)
    world.run()
    world.crm.made.clear()
    world.crm.fails = [Denied("scope missing", retry_in=300)]
    assert activities.send(world.work) == 0
    assert sweep.sweep(world.work) == 0
    world.clock.pass_(299)
    assert activities.send(world.work) == 0
    assert world.crm.made["record_events"] == 1
    with world.store.read() as tx:
        assert tx.cursors.get("paused:activities")[0] == "scope missing"
    world.idp.edit(users[0], {"first_name": "Augusta"})
    world.run()
    assert world.crm.contacts[world.contact_of(users[0])]["firstname"] == "Augusta"
    world.clock.pass_(2)
    assert activities.send(world.work) == 4
    with world.store.read() as tx:
        assert tx.cursors.get("paused:activities") is None


def test_an_answer_that_is_lost_is_asked_for_again_as_such(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")
    world.crm.loses = [Unavailable("timeout")]
    activities.send(world.work)
    assert counts(world)["pending"] == 1
    world.clock.pass_(60)
    activities.send(world.work)
    assert world.crm.records["evt-2"].sent_before
    assert counts(world)["pending"] == 0


def test_a_contact_that_is_gone_makes_its_link_look_and_the_event_goes_with_it(linked):
    world, user, contact = linked
    world.crm.archived[contact] = world.crm.contacts.pop(contact)
    logins(world, user, "evt-2")
    assert activities.send(world.work) == 0
    world.work_off()
    world.later(HOUR)
    activities.send(world.work)
    assert world.link(user).state == "unlinked"
    assert counts(world)["dropped"] == 1


def test_our_own_mistake_is_a_sink_that_is_down(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")
    world.crm.event_faults["poison"] = KeyError("secret")
    world.crm.record_events = lambda schema, rows: {}["no"]
    assert activities.send(world.work) == 0
    assert of(world, user)[-1].reason == "unexpected KeyError"
