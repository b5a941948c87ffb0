"""Deliveries that nobody could attribute are searched for a person before the transaction that forgets the person."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from connector.model import Item, LinkState
from connector.store.inbox import Inbox
from connector.sync import batch
from connector.sync.forget import forget, search

from .scenes import PAST_LEASE
from .test_forget import EMAIL, LAST, NAME, known, traces

__all__ = ["known"]


@pytest.fixture
def scans(monkeypatch):
    """Pages of deliveries that were looked at in a transaction that writes: (source, after which row)."""
    seen = []
    look = Inbox.unattributed

    def watched(inbox, source, after, limit):
        if not inbox._tx.reading:
            seen.append((source, after))
        return look(inbox, source, after, limit)

    monkeypatch.setattr(Inbox, "unattributed", watched)
    return seen


def test_a_long_search_keeps_the_lease(known, monkeypatch):
    world, user, _ = known
    other, taken = world.worker("other"), []
    look = Inbox.unattributed

    def slowly(inbox, source, after, limit):
        if inbox._tx.reading:
            world.clock.pass_(PAST_LEASE / 3)
            taken.extend(batch.lease(other))
        return look(inbox, source, after, 1)

    monkeypatch.setattr(Inbox, "unattributed", slowly)
    monkeypatch.setattr("connector.sync.forget.OFTEN", 0)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert (world.link(user).state, taken) == (LinkState.ERASED, [])


def add_odd(world, key, text):
    with world.store.write() as tx:
        tx.inbox.add([("members", Item(key, key, json.dumps({"mail": text}).encode(), problem="odd"))])


def test_what_came_after_the_search_is_looked_through_as_well(known, scans):
    world, user, _ = known
    before = search(world.store, [world.link(user)])
    add_odd(world, "late", EMAIL)
    with world.store.write() as tx:
        forget(tx, world.link(user), before=before)
    assert traces(world, EMAIL, NAME, LAST, user) == set()
    assert scans[0] == ("members", before.upto["members"])
    assert min(after for _, after in scans) > 0


def test_a_search_for_another_address_is_made_again(known, scans):
    world, user, _ = known
    before = search(world.store, [world.link(user)])
    add_odd(world, "new", "new@example.com")
    with world.store.write() as tx:
        one = tx.links.by_users("members", [user])[user]
        tx.links.see_user(one.id, replace(one.user, values={**one.user.values, "email": "new@example.com"}))
        forget(tx, one, before=before)
    assert traces(world, EMAIL, "new@example.com") == set()
    assert ("members", 0) in scans


def test_what_became_somebody_elses_since_the_search_stays(known):
    world, user, _ = known
    add_odd(world, "other", EMAIL)
    before = search(world.store, [world.link(user)])
    with world.store.write() as tx:
        tx.connection.execute(text("update inbox set record = 'somebody' where key = 'other'"))
        forget(tx, world.link(user), before=before)
        assert [one.sender_id for one in tx.inbox.of("members", ["somebody"])] == ["other"]


@pytest.mark.parametrize("how", ["a privacy deletion", "a request"])
def test_no_writer_waits_for_the_search(known, scans, how):
    world, user, contact = known
    if how == "a request":
        world.idp.ask_to_be_forgotten(user)
    else:
        world.crm.forget(contact)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    assert traces(world, EMAIL, NAME, LAST, user) == set()
    assert scans
    assert min(after for _, after in scans) > 0
