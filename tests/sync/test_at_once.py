"""Two workers want the same rows of PostgreSQL at the same moment: neither loses its work."""

import concurrent.futures
import threading
import time
from datetime import timedelta

import pytest

from connector.model import Change, LinkState
from connector.store.links import Links
from connector.sync import intake, repair

from .world import USER, World

A_MOMENT = 0.3


@pytest.fixture
def world(tmp_path, postgres):
    world = World(tmp_path, postgres(migrated=True))
    yield world
    world.close()


def linked(world, number):
    users = [world.idp.register({**USER, "email": f"u{one}@example.com"}) for one in range(number)]
    world.run()
    return users


def leased(world, users):
    """The links of these users, leased."""
    with world.store.write() as tx:
        for user in users:
            tx.links.notice(tx.links.by_users("members", [user])[user].id, {}, tx.now)
    with world.store.write() as tx:
        return tx.links.lease(100, "other", timedelta(seconds=60))


def at_once(*jobs):
    """Run these in threads, each given a barrier; raises what one of them raised."""
    barrier = threading.Barrier(len(jobs), timeout=20)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for one in [pool.submit(job, barrier) for job in jobs]:
            one.result(timeout=20)


def after_the_first(monkeypatch, method, action):
    """Do something between the first call of a method of `Links` and the second."""
    plain, called = getattr(Links, method), []

    def counted(self, *given, **named):
        found = plain(self, *given, **named)
        called.append(method)
        if len(called) == 1:
            action()
        return found

    monkeypatch.setattr(Links, method, counted)


@pytest.mark.parametrize("side", ["user", "contact"])
def test_events_are_taken_in_while_their_links_are_recorded(world, monkeypatch, side):
    """The events come in another order than the ids of their links."""
    users = linked(world, 3)
    links = leased(world, users)
    for link in reversed(links):
        about = Change("user.updated", link.user_id) if side == "user" else Change("contact.changed", link.contact_id)
        world.deliver(about)

    def take(barrier):
        after_the_first(monkeypatch, "notice", lambda: (barrier.wait(), time.sleep(A_MOMENT)))
        assert intake.take(world.worker("taker")) == 3

    def record(barrier):
        barrier.wait()
        with world.store.write() as tx:
            assert len(tx.links.current(links)) == 3

    at_once(take, record)


def test_leases_are_renewed_while_events_are_taken_in(world):
    """A plain update takes the rows as they lie, the one that changed last comes last."""
    links = leased(world, linked(world, 3))
    with world.store.write() as tx:
        tx.links.notice(links[0].id, {}, tx.now)

    def take(barrier):
        with world.store.write() as tx:
            tx.links.locked(links[0].id)
            barrier.wait()
            time.sleep(A_MOMENT)
            tx.links.locked(links[1].id)

    def renew(barrier):
        barrier.wait()
        with world.store.write() as tx:
            assert len(tx.links.renew(links, timedelta(seconds=60))) == 3

    at_once(take, renew)


def test_who_waited_for_a_side_is_brought_forward_by_two_workers(world):
    """Each has one of them on record already."""
    users = linked(world, 2)
    with world.store.write() as tx:
        ids = [tx.links.by_users("members", [user])[user].id for user in users]
        for one in ids:
            tx.links.notice(one, {"failed_since": tx.now, "due_at": tx.now + timedelta(hours=1)}, None)

    def bring(own):
        def job(barrier):
            with world.store.write() as tx:
                tx.links.locked(own)
                barrier.wait()
                tx.links.bring_forward("members")

        return job

    at_once(*map(bring, ids))
    with world.store.read() as tx:
        assert not any(link.due_at > world.clock() for link in tx.links.page("members", 0, 10))


@pytest.mark.parametrize("how", ["retry", "drop"])
def test_parked_work_is_retried_while_its_link_is_recorded(world, how):
    (link,) = leased(world, linked(world, 1))
    with world.store.write() as tx:
        tx.parked.put(link.id, "firstname", "refused", 1, "x")

    def record(barrier):
        with world.store.write() as tx:
            tx.links.current([link])
            barrier.wait()
            time.sleep(A_MOMENT)
            tx.parked.put(link.id, "firstname", "refused", 2, "x")

    def mend(barrier):
        with world.store.write() as tx:
            rows = tx.parked.rows()
            barrier.wait()
            repair.retry(tx, rows) if how == "retry" else repair.drop(tx, rows[0], "given up")

    at_once(record, mend)


def met_by_another(world, monkeypatch, before):
    """Another worker takes in the same users; by which call of `create` or `meet` it is faster: user id."""
    plain, called = {name: getattr(Links, name) for name in ("create", "meet")}, []

    def slower(name):
        def call(self, rows):
            called.extend([name] if rows else [])
            if rows and (user := before.get(len(called))) is not None:
                with world.store.write() as tx:
                    plain["create"](tx.links, [{"provider": "members", "user_id": user}])
            return plain[name](self, rows)

        return call

    for name in plain:
        monkeypatch.setattr(Links, name, slower(name))


@pytest.mark.parametrize("before", [{1: "u-1"}, {1: "u-2"}, {1: "u-1", 2: "u-2"}])
def test_a_user_whom_two_meet_at_once_is_met_once(world, monkeypatch, before):
    """What the slower one was told is noticed all the same."""
    world.deliver(Change("user.created", "u-1"))
    world.deliver(Change("user.deleted", "u-2"))
    met_by_another(world, monkeypatch, before)
    assert intake.take(world.work) == 2
    with world.store.read() as tx:
        assert tx.inbox.counts() == {"pending": 0, "done": 2, "quarantined": 0}
    gone = world.link("u-2")
    assert gone.user_gone or gone.state is LinkState.DELETED


def test_an_event_that_others_are_in_the_way_of_is_looked_at_again(world, monkeypatch):
    world.deliver(Change("user.created", "u-1"))
    monkeypatch.setattr(Links, "meet", lambda self, rows: self.create(rows * 2))
    intake.take(world.work)
    with world.store.read() as tx:
        assert tx.inbox.counts()["pending"] == 1
    for _ in range(intake.TRIES):
        world.clock.pass_(60)
        intake.take(world.work)
    with world.store.read() as tx:
        assert tx.inbox.counts()["quarantined"] == 1


def test_what_two_workers_count_at_once_is_counted_whole(world):
    def count(barrier):
        barrier.wait()
        with world.store.write() as tx:
            tx.cursors.count("number", 5)
            time.sleep(A_MOMENT)

    at_once(count, count)
    with world.store.read() as tx:
        assert tx.cursors.get("number")[0] == "10"
