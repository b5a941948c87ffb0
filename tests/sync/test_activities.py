"""Identity events become records, in order, once their person is linked, and are kept no longer than needed."""

from collections import defaultdict
from datetime import timedelta

import pytest

from connector.errors import Unavailable
from connector.model import Change, Item
from connector.sync import activities, intake, pace, sweep
from connector.sync.forget import forget

from .events import EVENTS, HOUR, counts, login, logins, of, register
from .fakes import FakeIdp
from .world import START, USER, World


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


def test_events_wait_longer_for_company_while_links_are_due(linked):
    world, user, _ = linked
    login(world, user, "evt-2")
    world.work_off()
    link = world.link(user)
    with world.store.write() as tx:
        tx.links.notice(link.id, {}, tx.now)
    world.clock.pass_(2)
    assert activities.follow(world.work) == 0
    world.clock.pass_(9)
    assert activities.follow(world.work) == 1
    login(world, user, "evt-3")
    world.work_off()
    world.clock.pass_(2)
    assert activities.follow(world.work) == 1


def test_an_event_that_comes_while_others_are_sent_waits_for_company_of_its_own(linked, monkeypatch):
    world, user, _ = linked
    login(world, user, "evt-2")
    world.work_off()
    world.clock.pass_(20)
    record = world.crm.record_events

    def meanwhile(schema, rows):
        if len(of(world, user)) < 4:
            login(world, user, f"evt-{len(of(world, user)) + 1}")
            intake.take(world.work)
        return record(schema, rows)

    monkeypatch.setattr(world.crm, "record_events", meanwhile)
    assert activities.follow(world.work) == 1
    assert [one.state for one in of(world, user)] == ["sent", "sent", "pending"]
    assert activities.send(world.work) == 2


def test_who_lingers_tells_of_an_event_that_came_meanwhile(linked, monkeypatch):
    world, user, _ = linked
    login(world, user, "evt-2")
    world.work_off()
    record = world.crm.record_events

    def meanwhile(schema, rows):
        monkeypatch.setattr(world.crm, "record_events", record)
        login(world, user, "evt-3")
        intake.take(world.work)
        return record(schema, rows)

    monkeypatch.setattr(world.crm, "record_events", meanwhile)
    assert activities.linger(world.work)
    assert not activities.linger(world.work)
    assert {one.state for one in of(world, user)} == {"sent"}


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


def test_a_thousand_registrations_are_recorded_five_hundred_at_a_time(world, monkeypatch):
    monkeypatch.setattr("connector.sync.pace.ALONE", pace.Patience(0, 0))
    monkeypatch.setattr("connector.sync.pace.IN_BURST", pace.Patience(0, 0))
    register(world, 1000)
    world.deliver_all()
    while pace.work_off(world.work):
        pass
    assert counts(world)["sent"] == 1000
    assert world.crm.made["record_events"] <= 3


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
            forget(tx, tx.links.by_users("members", [user])[user])

    world.crash_at("activities sent", erased)
    activities.send(world.work)
    assert world.crm.recorded == ["evt-2"]
    assert world.crm.records == {}
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


# keeping house


def test_what_nobody_was_linked_for_is_dropped_in_time(world):
    world.crm.fails = [Unavailable("down")]
    world.idp.register(USER)
    world.run()
    world.clock.pass_(31 * 86400)
    sweep.expire(world.work, timedelta(days=30), timedelta(days=365))
    assert counts(world) == {"pending": 0, "sent": 0, "refused": 0, "dropped": 1}


def test_what_a_removed_sink_did_not_get_is_dropped_in_time(linked):
    world, user, _ = linked
    logins(world, user, "evt-2")
    world.work.__dict__["sinks"] = ()
    world.clock.pass_(29 * 86400)
    sweep.expire(world.work, timedelta(days=30), timedelta(0))
    assert counts(world)["pending"] == 1
    world.clock.pass_(2 * 86400)
    sweep.expire(world.work, timedelta(days=30), timedelta(0))
    assert counts(world) == {"pending": 0, "sent": 1, "refused": 0, "dropped": 1}


def test_what_was_sent_is_deleted_with_the_history(linked):
    world, user, _ = linked
    world.clock.pass_(366 * 86400)
    sweep.expire(world.work, timedelta(days=30), timedelta(days=365))
    assert of(world, user) == []


def test_beyond_the_limit_what_waits_for_a_link_goes_first(linked):
    world, user, _ = linked
    logins(world, user, "old-1", "old-2")
    world.deliver(Change("user.login", "u-unknown", START, "never-1"))
    world.deliver(Change("user.login", "u-unknown", START, "never-2"))
    intake.take(world.work)
    with world.store.write() as tx:
        assert tx.activities.shorten(3, 10) == 1
    assert [one.state for one in of(world, "u-unknown")] == ["dropped", "pending"]
    with world.store.write() as tx:
        assert tx.activities.shorten(1, 10) == 2
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
        made = tx.activities.forget("members", user)
        assert sorted((one.sink, one.record_id) for one in made) == [("crm", "r-evt-2"), ("crm", "r-members-1")]
    assert of(world, user) == []
