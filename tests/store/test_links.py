"""Links: found by ids, leased by one worker at a time, recorded only by whoever holds the lease."""

import concurrent.futures
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from connector.model import Contact, LinkState, User
from connector.store import Store

LASTING = timedelta(seconds=60)
AT = datetime(2026, 11, 1, 12, 0, 0, 250000, tzinfo=UTC)


def make(store, count=1, **values):
    with store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": f"u-{number}", **values} for number in range(1, count + 1)])


def lease(store, limit=100, owner="one", lasting=LASTING):
    with store.write() as tx:
        return tx.links.lease(limit, owner, lasting)


def get(store, user_id="u-1"):
    with store.read() as tx:
        return tx.links.by_users("members", [user_id])[user_id]


def record(store, link, **values):
    with store.write() as tx:
        return tx.links.record(link.id, link.token, values)


def notice(store, link, values, due=None):
    with store.write() as tx:
        tx.links.notice(link.id, values, due or tx.now)


def test_a_link_comes_back_as_it_was_recorded(store):
    make(store)
    (link,) = lease(store)
    values = {
        "state": LinkState.ACTIVE, "contact_id": "c-1", "base": {"a": "x", "b": None, "c": ("p", "q"), "d": True}, "echo": {"a": "X"},
        "user": User("u-1", {"email": "ada\x00\ud800", "n": 1}, AT, "e1", ({"m": 1},), ({"c": 1},)),
        "contact": Contact("c-1", {"email": "ada", "x": None}, AT), "held": {"a": "why"}, "drift": ("b",), "gone_since": AT,
    }  # fmt: skip
    assert record(store, link, **values)
    found = get(store)
    assert {name: getattr(found, name) for name in values} == values
    with store.read() as tx:
        assert tx.links.sums() == (1, 1)


def test_a_new_link_is_due_at_once_unless_its_state_is_final(store):
    make(store)
    make(store, provider="other", state=LinkState.DELETED)
    assert [link.provider for link in lease(store)] == ["members"]


def test_one_link_per_provider_and_user(store):
    make(store)
    with pytest.raises(IntegrityError):
        make(store)


def test_a_listing_leaves_out_whom_somebody_else_met(store):
    make(store)
    with store.write() as tx:
        tx.links.meet([{"provider": "members", "user_id": f"u-{number}", "reason": "listed"} for number in (1, 2)])
    assert (get(store, "u-1").reason, get(store, "u-2").reason) == (None, "listed")


def test_a_listing_waits_for_whoever_is_just_meeting_the_same_user(postgres):
    store = Store(postgres(migrated=True))
    rows = [{"provider": "members", "user_id": "u-1"}]

    def list_users():
        with store.write() as tx:
            tx.links.meet(rows)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            tx.links.create(rows)
            listing = pool.submit(list_users)
            with pytest.raises(TimeoutError):
                listing.result(0.3)
        assert listing.result(5) is None
    with store.read() as tx:
        assert tx.links.counts()["pending"] == 1
    store.close()


def test_one_active_link_per_provider_and_contact(store):
    make(store, 2)
    one, two = lease(store)
    record(store, one, state=LinkState.ACTIVE, contact_id="c-1")
    with pytest.raises(IntegrityError):
        record(store, two, state=LinkState.ACTIVE, contact_id="c-1")


def test_links_that_are_not_active_may_share_a_contact_and_so_may_providers(store):
    make(store, 2)
    make(store, provider="other")
    one, two, other = lease(store)
    record(store, one, state=LinkState.ACTIVE, contact_id="c-1")
    assert record(store, two, state=LinkState.HELD, contact_id="c-1")
    assert record(store, other, state=LinkState.ACTIVE, contact_id="c-1")


def test_of_two_users_links_to_one_contact_one_is_leased_at_a_time(store):
    """Also when both are due at once; of a contact that waits for its first users all links are."""
    rows = [{"provider": name, "user_id": "u-1", "contact_id": "c-1"} for name in ("members", "shop")]
    rows += [{"provider": name, "contact_id": "c-2"} for name in ("members", "shop")]
    with store.write() as tx:
        tx.links.create(rows)
    found = lease(store)
    assert [(link.provider, link.contact_id) for link in found] == [("members", "c-1"), ("members", "c-2"), ("shop", "c-2")]
    assert lease(store) == []
    with store.write() as tx:
        tx.links.record(found[0].id, found[0].token, {"due_at": None})
    assert [(link.provider, link.contact_id) for link in lease(store)] == [("shop", "c-1")]


def test_each_link_is_leased_by_exactly_one_of_many_workers(store):
    make(store, 200)
    taken, errors, together = [], [], threading.Barrier(8)

    def work(owner):
        together.wait()
        try:
            while links := lease(store, 7, owner):
                assert len(links) <= 7
                taken.extend(link.id for link in links)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 200


def test_a_contact_nobody_knows_becomes_known_once(store):
    """Its webhook and the look at what was created may meet it in the same instant."""
    together = threading.Barrier(8)

    def meet(number):
        with store.read() as tx:
            assert tx.links.by_contacts(["c-1"]) == {}
        together.wait()
        with store.write() as tx:
            if unknown := tx.links.nobody_knows("c-1"):
                tx.links.create([{"provider": "members", "contact_id": "c-1"}])
            return unknown

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(meet, range(8))) == 1
    with store.read() as tx:
        assert len(tx.links.by_contacts(["c-1"])["c-1"]) == 1


def test_the_oldest_due_is_leased_first(store):
    make(store, 3)
    with store.write() as tx:
        tx.links.notice(3, {}, tx.now - timedelta(hours=1))
    assert [link.id for link in lease(store, 1)] == [3]


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_token(store):
    make(store)
    (first,) = lease(store, lasting=timedelta(seconds=-1))
    (second,) = lease(store, owner="two")
    assert second.token == first.token + 1
    assert lease(store, owner="three") == []


def test_a_zombies_record_writes_nothing(store):
    make(store)
    (old,) = lease(store, lasting=timedelta(seconds=-1))
    (new,) = lease(store, owner="two")
    assert not record(store, old, reason="zombie", due_at=None)
    assert get(store).reason is None
    assert lease(store) == []  # the successor's lease was not ended either
    assert record(store, new, reason="successor", due_at=None)


def test_a_zombie_cannot_extend_a_lease_it_lost(store):
    make(store)
    (old,) = lease(store, lasting=timedelta(seconds=-1))
    (new,) = lease(store, owner="two")
    with store.write() as tx:
        assert tx.links.renew([old], LASTING) == set()
        assert tx.links.renew([new], LASTING) == {new.id}
        assert tx.links.current([old]) == {}


def test_a_renewed_lease_lasts(store):
    make(store)
    (link,) = lease(store, lasting=timedelta(seconds=-1))
    with store.write() as tx:
        tx.links.renew([link], LASTING)
    assert lease(store, owner="two") == []


def test_a_released_lease_is_free_at_once(store):
    make(store)
    lease(store, owner="dead")
    with store.write() as tx:
        assert tx.links.owners() == ["dead"]
        assert tx.links.release(["dead"]) == 1
    assert len(lease(store, owner="two")) == 1


@pytest.mark.parametrize("state", [LinkState.UNLINKED, LinkState.DELETED, LinkState.MERGED])
def test_a_link_that_has_ended_is_due_for_an_erasure_alone(store, state):
    make(store)
    link = get(store)
    notice(store, link, {"state": state, "run": 7})
    with store.read() as tx:
        assert (tx.links.waiting(), tx.links.busy(7), tx.links.oldest_due()) == (0, False, None)
    assert lease(store) == []
    notice(store, link, {"erasure": True})
    with store.read() as tx:
        assert (tx.links.waiting(), tx.links.busy(7), tx.links.oldest_due() is None) == (1, True, False)
    assert len(lease(store)) == 1


def test_what_waits_is_counted_by_provider(store):
    make(store)
    make(store, 2, provider="former")
    with store.read() as tx:
        assert [tx.links.waiting(providers=names) for names in (None, ["members"], [])] == [3, 1, 0]
        assert tx.links.oldest_due([]) is None
        assert tx.links.oldest_due(["members"])


def test_a_locked_link_is_leased_by_nobody(postgres):
    store = Store(postgres(migrated=True))
    make(store)
    with store.write() as tx:
        assert tx.links.locked(get(store).id)
        assert lease(store) == []
    assert len(lease(store)) == 1
    store.close()


def test_one_link_is_taken_due_or_not_unless_somebody_has_it(store):
    make(store)
    (link,) = lease(store)
    with store.write() as tx:
        assert tx.links.take(link.id, "other", LASTING) is None
    record(store, link, due_at=None)
    with store.write() as tx:
        assert tx.links.take(link.id, "other", LASTING).token == link.token + 1
    assert not record(store, link)


def test_a_lone_link_comes_alone_and_waits_for_nobody_who_is_due_later(store):
    make(store, 6)
    for number, lone in enumerate((False, True, False, True, True, False), 1):
        notice(store, get(store, f"u-{number}"), {"lone": lone}, AT + timedelta(seconds=number))
    assert [link.id for link in lease(store, 3)] == [1, 3]
    assert [[link.id for link in lease(store)] for _ in range(5)] == [[2], [4], [5], [6], []]


def test_a_ring_during_a_lease_is_seen_by_whoever_records(store):
    make(store)
    (link,) = lease(store)
    notice(store, link, {"refetch": True})
    with store.write() as tx:
        assert tx.links.current([link])[link.id].rung == link.rung + 1


def test_noticing_nothing_changes_nothing(store):
    make(store, state=LinkState.HELD)
    with store.write() as tx:
        tx.links.notice(1, {}, None)
    assert get(store).rung == 1


def test_a_ring_never_makes_a_link_due_later(store):
    make(store)
    with store.write() as tx:
        tx.links.notice(1, {}, tx.now + timedelta(hours=1))
    assert len(lease(store)) == 1


def test_a_ring_makes_a_link_due_sooner(store):
    make(store)
    (link,) = lease(store)
    with store.write() as tx:
        tx.links.record(link.id, link.token, {"due_at": tx.now + timedelta(hours=1)})
        tx.links.notice(link.id, {}, tx.now)
    assert len(lease(store)) == 1


def test_a_link_is_found_by_a_former_contact_id(store):
    make(store)
    (link,) = lease(store)
    record(store, link, state=LinkState.ACTIVE, contact_id="new")
    with store.write() as tx:
        tx.aliases.add(link.id, "members", "old")
        tx.aliases.add(link.id, "members", "old")
        found = tx.links.by_contacts(["old", "new", "nobody"])
    assert {contact: [one.id for one in links] for contact, links in found.items()} == {"old": [link.id], "new": [link.id]}


def test_every_state_is_counted(store):
    make(store, 2)
    record(store, lease(store, 1)[0], state=LinkState.HELD)
    with store.read() as tx:
        counts = tx.links.counts()
    assert counts == {**dict.fromkeys([state.value for state in LinkState], 0), "pending": 1, "held": 1}


@pytest.mark.parametrize("odd", ["a\x00b@example.com", "\ud800@example.com", "x" * 1000 + "@example.com", "İ@example.com" * 30])
def test_an_address_no_column_can_hold_stops_nobody(store, odd):
    make(store, user=User("u-1", {"email": odd}, AT))
    (link,) = lease(store)
    assert record(store, link, user=User("u-1", {"email": odd}, AT), reason="odd \x00 \ud800", cause="\x00" * 400)
    assert get(store).user.values["email"] == odd


def test_a_run_is_busy_while_a_link_of_it_is_due_or_on_lease(store):
    make(store, 2)
    with store.write() as tx:
        tx.links.ring_for(7, [1, 2])
        assert tx.links.busy(7)
        (one, two) = tx.links.lease(10, "one", LASTING, run=7)
        tx.links.record(one.id, one.token, {"due_at": None})
        assert (tx.links.busy(7), tx.links.busy(8)) == (True, False)
        tx.links.end_run(7, 10)
        assert not tx.links.busy(7)


def test_finding_what_is_due_uses_the_index(postgres):
    """Every worker asks this many times a second; without the index it reads the whole table."""
    store = Store(postgres(migrated=True))
    with store.engine.begin() as connection:
        connection.execute(text(
            "insert into link (provider, user_id, state, base, echo, held, drift, intent, user_gone, refetch, lone, created_at, due_at)"
            " select 'p', i::text, 'active', '{}', '{}', '{}', '[]', '[]', false, false, false, 0, case when i % 2 = 0 then 9e9 end"
            " from generate_series(1, 20000) i"
        ))  # fmt: skip
        connection.execute(text("analyze link"))
    statements = []
    event.listen(store.engine, "before_cursor_execute", lambda c, cur, sql, params, ctx, many: statements.append((sql, params)))
    with store.read() as tx:
        assert tx.links.waiting() == 0
        sql, params = statements[-1]
        plan = "\n".join(tx.connection.exec_driver_sql(f"explain {sql}", params).scalars())
    store.close()
    assert "Index Cond" in plan, plan


def test_a_run_lets_go_of_some_of_its_links_at_a_time(store):
    make(store, 3)
    with store.write() as tx:
        run = tx.runs.start("reconcile", "members")
        tx.links.ring_for(run, [link.id for link in tx.links.page("members", 0, 10)])
    went = []
    for _ in range(3):
        with store.write() as tx:
            went.append(tx.links.end_run(run, 2))
    assert went == [2, 1, 0]
