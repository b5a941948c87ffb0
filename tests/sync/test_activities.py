"""Identity events become records, once each and in order, and wait for their person."""

from collections import defaultdict
from datetime import timedelta

import pytest

from connector.errors import Denied, Rejected, Unavailable
from connector.model import Change, Item
from connector.settings import Retries
from connector.sync import activities, intake, pace, sweep
from connector.sync.sender import LEASE
from connector.sync.status import status

from .fakes import FakeIdp
from .world import MAPPING, START, USER, Crash, World

EVENTS = MAPPING + "events: {as: custom_object, types: [user.created, user.updated, user.login, user.deleted], details: [plan]}\n"
PAST_LEASE = LEASE.total_seconds() + 1
HOUR = 3600


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


def login(world, user, event_id, after=0, **details):
    """A login that is delivered now and happened some seconds after the start."""
    at = START + timedelta(seconds=after)
    world.deliver(Change("user.login", user, at, event_id=event_id, details=details))


def logins(world, user, *event_ids):
    for number, event_id in enumerate(event_ids):
        login(world, user, event_id, number)
    world.work_off()


def register(world, count):
    return [world.idp.register({**USER, "email": f"{n}@example.com"}) for n in range(count)]


def counts(world):
    return status(world.store)["activities"]


def of(world, user, provider="members"):
    with world.store.read() as tx:
        return tx.activities.of_user(provider, user)


def settle_for_good(world, seconds=HOUR, rounds=12):
    """Let time pass until nothing waits."""
    for _ in range(rounds):
        sweep.sweep(world.work)
        activities.send(world.work)
        world.work_off()
        if not counts(world)["pending"]:
            return
        world.clock.pass_(seconds)


# noticed and sent


def test_a_registration_is_recorded_on_the_contact(world):
    world.deliver(Change("user.created", "u-1", START, "evt-1", details={"plan": "gold", "entry_point": "shop", "ip": "::1"}))
    world.idp.users["u-1"] = world.idp._made("u-1", USER)
    world.work_off()
    assert activities.send(world.work) == 1
    record = world.crm.records["evt-1"]
    assert (record.contact_id, record.kind, record.occurred_at) == (world.contact_of("u-1"), "user.created", START)
    assert (record.provider, record.user_id, record.entry_point) == ("members", "u-1", "shop")
    assert record.details == {"plan": "gold"}
    assert not record.sent_before
    assert of(world, "u-1")[0].record_id == "r-evt-1"
    assert counts(world) == {"pending": 0, "sent": 1, "refused": 0, "dropped": 0}


def test_a_kind_the_mapping_does_not_name_leaves_no_record(linked):
    world, user, _ = linked
    world.deliver(Change("consent.granted", user, START, "evt-2"))
    world.work_off()
    assert activities.send(world.work) == 0
    assert len(of(world, user)) == 1


def test_an_event_that_is_delivered_again_is_recorded_once(linked):
    world, user, _ = linked
    for _ in range(3):
        logins(world, user, "evt-2")
        activities.send(world.work)
    assert world.crm.recorded == ["evt-2"]


def test_without_an_event_id_the_deliverys_own_counts(linked):
    world, user, _ = linked
    world.deliver(Change("user.login", user, START))
    world.work_off()
    activities.send(world.work)
    assert [one.event_id for one in of(world, user)][-1].startswith("members-")


def test_two_providers_may_use_the_same_event_id(linked):
    world, user, contact = linked
    other = FakeIdp(world.clock, "shop")
    for part in (world.work.providers, world.work.mappings):
        part["shop"] = other if part is world.work.providers else world.mapping
    world.work.__dict__.pop("sinks")
    with world.store.write() as tx:
        tx.links.create([{"provider": "shop", "user_id": "s-1", "contact_id": contact, "state": "active"}])
    logins(world, user, "evt-2")
    other.told[b"x"] = Change("user.login", "s-1", START, "evt-2")
    with world.store.write() as tx:
        tx.inbox.add([("shop", Item("x", "x", b"x"))])
    world.work_off()
    activities.send(world.work)
    assert world.crm.recorded == ["evt-2", "shop:evt-2"]
    assert [one.key for one in of(world, "s-1", "shop")] == ["shop:evt-2"]


def test_a_thousand_registrations_cost_eleven_calls(world, monkeypatch):
    monkeypatch.setattr("connector.sync.pace.ALONE", pace.Patience(0, 0))
    monkeypatch.setattr("connector.sync.pace.IN_BURST", pace.Patience(0, 0))
    register(world, 1000)
    world.deliver_all()
    pace.work_off(world.work)
    assert counts(world)["sent"] == 1000
    assert world.crm.made["record_events"] <= 11


# order


def test_each_persons_events_go_in_the_order_they_happened(linked):
    world, user, _ = linked
    login(world, user, "evt-3", 30)
    login(world, user, "evt-1", 10)
    login(world, user, "evt-2b", 20)
    login(world, user, "evt-2a", 20)
    world.work_off()
    activities.send(world.work)
    assert world.crm.recorded == ["evt-1", "evt-2b", "evt-2a", "evt-3"]


def test_a_failed_event_holds_up_the_later_ones_of_its_person_and_nobody_else(world):
    ada, bob = register(world, 2)
    world.run()
    activities.send(world.work)
    world.crm.recorded.clear()
    world.crm.event_faults["a-1"] = Unavailable("just this one")
    logins(world, ada, "a-1")
    activities.send(world.work)
    world.clock.pass_(0.5)
    login(world, bob, "b-1", 5)
    login(world, ada, "a-2", 6)
    world.work_off()
    activities.send(world.work)
    assert world.crm.recorded == ["b-1"]
    world.crm.event_faults.clear()
    world.clock.pass_(60)
    activities.send(world.work)
    assert world.crm.recorded == ["b-1", "a-1", "a-2"]
    assert world.crm.records["a-1"].sent_before


# waiting for the link


def test_an_event_waits_for_its_link_and_goes_at_once_when_that_is_settled(world):
    user = world.idp.register(USER)
    world.crm.fails = [Unavailable("down")]
    world.run()
    assert world.link(user).state == "pending"
    assert activities.send(world.work) == 0
    assert counts(world)["pending"] == 1
    assert sweep.sweep(world.work) == 0
    world.clock.pass_(HOUR)
    world.work_off()
    assert activities.send(world.work) == 1


def test_the_worker_that_settles_a_link_sends_its_events(world):
    world.idp.register(USER)
    world.deliver_all()
    pace.work_off(world.work)
    assert len(world.crm.recorded) == 1


def test_the_sweep_counts_events_that_could_go(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")
    assert sweep.sweep(world.work) == 1
    activities.send(world.work)
    assert sweep.sweep(world.work) == 0


def test_events_of_a_held_link_wait(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")
    with world.store.write() as tx:
        tx.links.notice(world.link(user).id, {"state": "held"}, None)
    assert activities.send(world.work) == 0
    assert sweep.sweep(world.work) == 0
    with world.store.write() as tx:
        tx.links.notice(world.link(user).id, {"state": "active"}, None)
    assert activities.send(world.work) == 1


@pytest.mark.parametrize("state", ["unlinked", "deleted", "merged", "erased"])
def test_what_waits_is_dropped_when_the_link_ends(linked, state):
    world, user, _ = linked
    login(world, user, "evt-2", plan="gold", entry_point="shop")
    world.work_off()
    with world.store.write() as tx:
        tx.links.notice(world.link(user).id, {"state": state}, None)
    logins(world, user, "evt-3")
    assert activities.send(world.work) == 0
    assert [(one.event_id, one.state, one.details, one.entry_point) for one in of(world, user)][1:] == [
        ("evt-2", "dropped", {}, None)
    ]
    assert world.crm.recorded == []


def test_nothing_of_somebody_who_is_being_erased_is_sent(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")
    with world.store.write() as tx:
        tx.links.notice(world.link(user).id, {"erasure": True}, None)
    assert activities.send(world.work) == 0
    assert world.crm.recorded == []


def test_nothing_is_kept_of_those_named_as_gone(linked):
    world, user, _ = linked
    told = Change("user.login", user, START, "evt-2")
    world.deliver(told)
    with world.store.write() as tx:
        (row,) = tx.inbox.claim(1)
        activities.notice(world.work, tx, "members", [(row, told)], gone={user})
    assert len(of(world, user)) == 1


def test_records_made_while_the_person_was_erased_are_taken_back(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")

    def erased():
        with world.store.write() as tx:
            assert tx.activities.forget("members", user) == ["r-members-1"]

    world.crash_at("activities sent", erased)
    activities.send(world.work)
    assert world.crm.recorded == ["evt-2"]
    assert "evt-2" not in world.crm.records
    assert of(world, user) == []


def test_that_a_user_left_is_recorded_on_a_contact_that_stays(tmp_path):
    world = World(tmp_path, mapping=EVENTS + "lifecycle: {user_deleted: unlink}\n")
    user = world.idp.register(USER)
    world.run()
    activities.send(world.work)
    world.idp.remove(user)
    world.run()
    world.later(HOUR)
    activities.send(world.work)
    assert world.link(user).state == "deleted"
    assert [record.kind for record in world.crm.records.values()] == ["user.created", "user.deleted"]


def test_that_a_user_left_is_not_recorded_where_the_contact_goes_too(linked):
    world, user, _ = linked
    world.idp.remove(user)
    world.run()
    assert activities.send(world.work) == 0
    assert [one.kind for one in of(world, user)] == ["user.created"]


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
    users = register(world, 150)
    world.run()
    world.crm.made.clear()
    world.crm.fails = [Unavailable("503")] * 200
    for _ in range(40):
        assert activities.send(world.work) == 0
        world.clock.pass_(HOUR)
    assert world.crm.made["record_events"] < 100
    assert all(one.attempts == 0 for user in users for one in of(world, user))
    with world.store.read() as tx:
        assert tx.troubles.paused() == {"crm": "503"}
    world.crm.fails = []
    world.crm.made.clear()
    settle_for_good(world)
    assert counts(world)["sent"] == 150
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


# keeping house


def test_what_nobody_was_linked_for_is_dropped_in_time(world):
    world.crm.fails = [Unavailable("down")]
    world.idp.register(USER)
    world.run()
    world.clock.pass_(31 * 86400)
    sweep.forget(world.work, timedelta(days=30), timedelta(days=365))
    assert counts(world) == {"pending": 0, "sent": 0, "refused": 0, "dropped": 1}


def test_what_was_sent_is_deleted_with_the_history(linked):
    world, user, _ = linked
    world.clock.pass_(366 * 86400)
    sweep.forget(world.work, timedelta(days=30), timedelta(days=365))
    assert of(world, user) == []


def test_beyond_the_limit_what_waits_for_a_link_goes_first(linked):
    world, user, _ = linked
    logins(world, user, "old-1", "old-2")
    world.deliver(Change("user.login", "u-unknown", START, "never-1"))
    world.deliver(Change("user.login", "u-unknown", START, "never-2"))
    intake.take(world.work)
    with world.store.write() as tx:
        assert tx.activities.tidy(None, None, most=3) == 1
    assert [one.state for one in of(world, "u-unknown")] == ["dropped", "pending"]
    with world.store.write() as tx:
        assert tx.activities.tidy(None, None, most=1) == 2
    assert [one.state for one in of(world, user)] == ["sent", "dropped", "pending"]


def test_the_events_of_one_user_can_be_told_and_forgotten(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")
    activities.send(world.work)
    by_state = defaultdict(list)
    for one in of(world, user):
        by_state[one.state].append(one.event_id)
    assert by_state == {"sent": ["members-1", "evt-2"]}
    with world.store.write() as tx:
        assert sorted(tx.activities.forget("members", user)) == ["r-evt-2", "r-members-1"]
    assert of(world, user) == []
