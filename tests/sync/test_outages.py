"""A side that is down, records that always fail, batches that fail in part."""

import time
from datetime import timedelta

import pytest
import structlog
from celery.exceptions import SoftTimeLimitExceeded

from connector.errors import Paused, Rejected, Unavailable
from connector.model import Change, User
from connector.settings import Retries
from connector.sync import batch, health, intake, pace, sweep
from connector.web.app import require_moving

from .events import EVENTS, counts, login
from .scenes import BOB, HOUR, PAST_LEASE, link, values_of
from .world import USER, World

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


def test_an_outage_of_one_side_parks_nobody_while_others_settle_with_the_other_side_alone(tmp_path):
    """That somebody's contact could be read says nothing about why the provider does not answer."""
    world = World(tmp_path, retries=Retries(attempts=4))
    one, two = world.idp.register(USER), world.idp.register(BOB)
    world.run()
    world.crm.edit(world.contact_of(one), {"lastname": "King"})
    for number in range(HOUR // 30):
        world.idp.fails = [Unavailable("down")] * 50
        world.crm.edit(world.contact_of(two), {"tier": f"tier {number}"})
        world.later(30)
    world.idp.fails = []
    assert world.parked() == []
    world.later(2 * HOUR)
    assert values_of(world, one)["last_name"] == "King"


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


def test_a_row_that_cannot_be_recorded_keeps_its_history(tmp_path, monkeypatch):
    """It is told nowhere whose it is, and what was written for it is on record."""
    world = World(tmp_path, retries=Retries(attempts=3))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(4)]
    world.deliver_all()
    intake.take(world.work)

    def broken(tx, case):
        if case.link.user_id == users[1]:
            raise ValueError(f"no column holds {case.seen.user.values['email']}")
        return []

    monkeypatch.setattr("connector.sync.standings.ledger_rows", broken)
    with structlog.testing.capture_logs() as logs:
        assert world.settle() == 4
    assert [world.link(user).state for user in users] == ["active", "pending", "active", "active"]
    assert "u1@example.com" in [change["to"] for change in world.history(users[1])]
    assert [one["told"] for one in world.link(users[1]).intent] == [True]
    assert "u1@example.com" not in str(logs)
    monkeypatch.undo()
    world.later(HOUR)
    assert world.link(users[1]).state == "active"
    assert world.crm.made["upsert"] == 1


def test_a_row_of_which_not_even_the_failure_can_be_recorded_keeps_its_lease(world, monkeypatch):
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    world.deliver_all()
    intake.take(world.work)

    def broken(work, tx, case, *row):
        if case.link.user_id == users[0]:
            raise ValueError("no column holds this")

    monkeypatch.setattr("connector.sync.record._record", broken)
    monkeypatch.setattr("connector.sync.record.backoff", lambda work, since, now: 1 / 0)
    assert world.settle() == 3
    monkeypatch.undo()
    assert world.link(users[0]).settled_at is None
    world.clock.pass_(PAST_LEASE)
    world.work_off()
    assert [world.link(user).state for user in users] == ["active"] * 3


def test_a_row_that_can_never_be_recorded_is_parked(tmp_path, monkeypatch):
    world = World(tmp_path, retries=Retries(attempts=3))
    user = world.idp.register(USER)
    monkeypatch.setattr("connector.sync.standings.ledger_rows", lambda tx, case: 1 / 0)
    for _ in range(10):
        world.later(HOUR)
    reason = "cannot be recorded: unexpected ZeroDivisionError; gave up after 3 attempts"
    assert (world.parked(), world.link(user).due_at) == ([("link", reason)], None)


def test_a_history_that_takes_nothing_stops_nobody(tmp_path, monkeypatch):
    """Nobody knows then what was written, so that what was about to be is kept."""
    world = World(tmp_path)
    user = world.idp.register(USER)
    world.deliver_all()
    intake.take(world.work)
    monkeypatch.setattr("connector.store.history.History.add", lambda history, entries: 1 / len(entries[:0]))
    world.settle()
    assert [(one["kind"], one.get("told")) for one in world.link(user).intent] == [("contact.create", None)]
    assert world.link(user).failed_since


def test_a_task_whose_time_is_over_leaves_its_links_to_another_worker(linked, monkeypatch):
    """As if the worker had died: nothing is anybody's mistake, and nothing is agreed."""
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    world.deliver_all()
    intake.take(world.work)

    def over(rows, properties):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(world.crm, "update", over)
    with pytest.raises(SoftTimeLimitExceeded):
        world.settle()
    monkeypatch.undo()
    assert (world.link(user).lone, world.link(user).failed_since) == (False, None)
    world.clock.pass_(PAST_LEASE)
    world.work_off()
    assert world.crm.contacts[contact]["firstname"] == "Augusta"


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


def test_links_of_a_provider_that_is_not_configured_any_more_keep_no_worker_busy(tmp_path):
    world, user, _ = link(World(tmp_path, mapping=EVENTS))
    with world.store.write() as tx:
        tx.links.create([{"provider": "former", "user_id": "f-1"}])

    def again(seconds):
        raise AssertionError("there is nothing to wait for")

    assert pace.gather(world.work, sleep=again) == []
    login(world, user, "evt-1")
    began = time.monotonic()
    pace.work_off(world.work)
    assert time.monotonic() - began < pace.WORKING / 2
    assert counts(world)["pending"] == 0
    assert sweep.sweep(world.work) == 0
    world.clock.pass_(HOUR)
    sweep.sweep(world.work)
    require_moving(world.work, timedelta(minutes=1))


def test_workers_that_work_off_a_reconcile_count_as_working(world):
    """It makes all links due at once, and the last ones wait for long."""
    patience = timedelta(seconds=90)
    links = [world.idp.register({**USER, "email": f"u{one}@example.com"}) for one in range(3)]
    world.run()
    ids = [world.link(user).id for user in links]
    with world.store.write() as tx:
        tx.links.ring_for(tx.runs.start("reconcile", "members"), ids)
    for _ in range(3):
        world.clock.pass_(60)
        sweep.sweep(world.work)
        require_moving(world.work, patience)
        batch.settle(world.work, batch.lease(world.work, limit=1))
    with world.store.write() as tx:
        tx.links.notice(ids[0], {}, tx.now)
    world.clock.pass_(100)
    sweep.sweep(world.work)
    with pytest.raises(Unavailable, match="is a worker running"):
        require_moving(world.work, patience)


def test_deliveries_that_nobody_takes_in_do_not_wait_for_links(world):
    world.idp.register(USER)
    world.deliver_all()
    world.clock.pass_(100)
    with world.store.write() as tx:
        tx.cursors.set(health.MOVED)
    with pytest.raises(Unavailable, match="is a worker running"):
        require_moving(world.work, timedelta(seconds=90))


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
