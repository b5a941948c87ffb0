"""The records of events of somebody who was erased go from the CRM, too, whatever stands in the way at first."""

import pytest
from structlog.testing import capture_logs

from connector.errors import Denied, Rejected, Unavailable
from connector.sync import activities, sweep
from connector.sync.status import status

from .events import EVENTS, HOUR, counts, logins, register
from .test_people import everything
from .world import World

DAY = 24 * HOUR


@pytest.fixture
def world(tmp_path, migrated_url):
    world = World(tmp_path, migrated_url, EVENTS)
    yield world
    world.close()


@pytest.fixture
def erased(world):
    """Three records of somebody whose contact was erased for good in the CRM, and one of somebody else."""
    user, other = register(world, 2)
    world.run()
    logins(world, user, "evt-1", "evt-2")
    activities.send(world.work)
    assert counts(world)["sent"] == 4
    world.crm.forget(world.contact_of(user))
    world.crm.made.clear()
    world.run()
    assert world.link(user).state == "erased"
    assert left(world) == 3
    world.others = {one for one, row in world.crm.records.items() if row.user_id == other}
    return world


def left(world):
    return status(world.store)["removals"]


def test_a_privacy_deletion_takes_the_records_along(erased):
    assert sweep.sweep(erased.work) == 3
    activities.send(erased.work)
    assert set(erased.crm.records) == erased.others
    assert (left(erased), erased.crm.made["remove_events"]) == (0, 1)


def test_a_request_is_carried_out_at_once_and_leaves_nothing_to_do(world):
    (user,) = register(world, 1)
    world.run()
    activities.send(world.work)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.crm.records == {}
    assert (left(world), world.crm.made["remove_events"]) == (0, 1)


def test_a_request_that_may_not_remove_them_keeps_them_in_mind(world, monkeypatch):
    (user,) = register(world, 1)
    world.run()
    activities.send(world.work)
    remove = world.crm.remove_events

    def denied(schema, ids):
        raise Denied("no scope")

    monkeypatch.setattr(world.crm, "remove_events", denied)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert (world.link(user).state, left(world)) == ("erased", 1)
    monkeypatch.setattr(world.crm, "remove_events", remove)
    activities.send(world.work)
    assert (world.crm.records, left(world)) == ({}, 0)


def test_while_the_crm_is_down_they_wait_longer_each_time(erased):
    erased.crm.fails = [Unavailable("503")] * 3
    for _ in range(60):
        activities.send(erased.work)
        erased.clock.pass_(1)
    assert 2 <= erased.crm.made["remove_events"] <= 4
    erased.clock.pass_(HOUR)
    assert activities.send(erased.work) == 0
    assert (set(erased.crm.records), left(erased)) == (erased.others, 0)


def test_without_the_scope_it_is_said_once_and_looked_at_once_a_day(erased):
    erased.crm.fails = [Denied("no scope", retry_in=300)] * 3
    with capture_logs() as logs:
        for _ in range(3 * 24):
            activities.send(erased.work)
            erased.clock.pass_(HOUR)
    assert [one["why"] for one in logs if one["event"] == "activities.orphans"] == ["no scope"]
    assert (erased.crm.made["remove_events"], left(erased)) == (3, 3)
    erased.clock.pass_(DAY)
    activities.send(erased.work)
    assert (set(erased.crm.records), left(erased)) == (erased.others, 0)


def test_a_record_that_is_refused_keeps_no_other(erased, monkeypatch):
    remove = erased.crm.remove_events

    def one_is_locked(schema, ids):
        if "r-evt-1" in ids:
            raise Rejected("locked")
        remove(schema, ids)

    monkeypatch.setattr(erased.crm, "remove_events", one_is_locked)
    activities.send(erased.work)
    assert set(erased.crm.records) == {*erased.others, "evt-1"}
    assert left(erased) == 1
    monkeypatch.setattr(erased.crm, "remove_events", remove)
    erased.clock.pass_(DAY)
    activities.send(erased.work)
    assert left(erased) == 0


def test_our_own_mistake_is_a_crm_that_is_down(erased, monkeypatch):
    monkeypatch.setattr(erased.crm, "remove_events", lambda schema, ids: {}["no"])
    activities.send(erased.work)
    with erased.store.read() as tx:
        assert tx.removals.overdue(tx.now.replace(year=2027)) == {"unexpected KeyError": 3}


def test_a_record_made_while_its_person_was_erased_is_kept_in_mind(world):
    (user,) = register(world, 1)
    world.run()
    erasing = world.contact_of(user)
    world.crash_at("activities sent", lambda: (world.crm.forget(erasing), world.run()))
    world.crm.remove_events = lambda schema, ids: {}["no"]
    activities.send(world.work)
    assert (world.link(user).state, left(world)) == ("erased", 2)  # by its event, and by its own id once that was told


def test_a_record_whose_id_was_never_told_goes_with_the_others(world):
    user, other = register(world, 2)
    world.run()
    activities.send(world.work)
    logins(world, user, "evt-1", "evt-2")
    world.crm.loses = [Unavailable("timeout")] * 4
    activities.send(world.work)
    world.crm.forget(world.contact_of(user))
    world.run()
    assert (world.link(user).state, left(world)) == ("erased", 3)
    assert user not in everything(world)
    world.clock.pass_(HOUR)
    world.crm.made.clear()
    activities.send(world.work)
    assert {row.user_id for row in world.crm.records.values()} == {other}
    assert (left(world), world.crm.made["record_events"]) == (0, 0)


def test_what_was_never_sent_leaves_nothing_to_take_back(world):
    (user,) = register(world, 1)
    world.run()
    world.crm.forget(world.contact_of(user))
    world.run()
    assert left(world) == 0
