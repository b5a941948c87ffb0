"""Deliveries that nobody could attribute are searched for a person before the transaction that forgets the person."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from connector.model import Item, LinkState, User
from connector.store.inbox import Inbox
from connector.sync import batch
from connector.sync.export import export
from connector.sync.forget import forget
from connector.sync.search import search

from .scenes import BOB, PAST_LEASE
from .test_forget import ADA, EMAIL, LAST, NAME, known, traces

__all__ = ["known"]


@pytest.fixture
def scans(monkeypatch):
    """Pages of deliveries that were looked at in a transaction that writes: after which row."""
    seen = []

    def watched(look):
        def watch(inbox, *where):
            if not inbox._tx.reading:
                seen.append(where[-2])
            return look(inbox, *where)

        return watch

    for name in ("unattributed", "page"):
        monkeypatch.setattr(Inbox, name, watched(getattr(Inbox, name)))
    return seen


def test_a_long_search_keeps_the_lease(known, monkeypatch):
    world, user, _ = known
    other, taken = world.worker("other"), []
    look = Inbox.page

    def slowly(inbox, after, limit):
        if inbox._tx.reading:
            world.clock.pass_(PAST_LEASE / 3)
            taken.extend(batch.lease(other))
        return look(inbox, after, 1)

    monkeypatch.setattr(Inbox, "page", slowly)
    monkeypatch.setattr("connector.sync.search.OFTEN", 0)
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
    assert scans[0] == before.upto
    assert min(scans) > 0


def test_a_search_for_another_address_is_made_again(known, scans):
    world, user, _ = known
    before = search(world.store, [world.link(user)])
    add_odd(world, "new", "new@example.com")
    with world.store.write() as tx:
        one = tx.links.by_users("members", [user])[user]
        tx.links.see_user(one.id, replace(one.user, values={**one.user.values, "email": "new@example.com"}))
        forget(tx, one, before=before)
    assert traces(world, EMAIL, "new@example.com") == set()
    assert 0 in scans


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
    assert min(scans) > 0


def of_bob(world, **told):
    """Bob registers, and his deliveries tell more than of him."""
    bob = world.idp.register({**BOB, **told})
    world.run()
    return bob


def in_deliveries(world, *canaries):
    """What can still be read there. What Bob's provider holds of him today is his, as it is in our copy of it."""
    return [word for table, word in traces(world, *canaries) if table == "inbox"]


def said_of(world, user):
    with world.store.read() as tx:
        return b" ".join(row.body for row in tx.inbox.of("members", [user])).decode()


@pytest.mark.parametrize("how", ["a privacy deletion", "a request"])
def test_what_others_deliveries_say_of_the_person_goes_and_the_rest_stays(known, how):
    world, user, contact = known
    bob = of_bob(world, **{"custom.invited_by": f"Tweety <{EMAIL.upper()}>"})
    assert EMAIL.upper() in said_of(world, bob)
    if how == "a request":
        world.idp.ask_to_be_forgotten(user)
    else:
        world.crm.forget(contact)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    assert in_deliveries(world, EMAIL) == []
    assert '"Tweety <(erased)>"' in said_of(world, bob)
    assert (f'"{bob}"' in said_of(world, bob), BOB["email"] in said_of(world, bob)) == (True, True)
    assert world.link(bob).state is LinkState.ACTIVE


def test_what_comes_while_the_search_is_on_is_looked_through_as_well(known):
    world, user, _ = known
    before = search(world.store, [world.link(user)])
    bob = of_bob(world, **{"custom.invited_by": EMAIL})
    with world.store.write() as tx:
        forget(tx, world.link(user), before=before)
    assert (in_deliveries(world, EMAIL), '"(erased)"' in said_of(world, bob)) == ([], True)


def test_an_address_that_somebody_else_has_stays_theirs(known):
    world, user, _ = known
    other = of_bob(world, email=EMAIL)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    assert (EMAIL in said_of(world, other), "(erased)" in said_of(world, other)) == (True, False)


def test_the_same_id_at_another_provider_is_somebody_elses(known):
    world, user, _ = known
    body = json.dumps({"user": user}).encode()
    with world.store.write() as tx:
        tx.inbox.add([("shop", Item("k", "s", body, problem="odd"))])
    world.idp.ask_to_be_forgotten(user)
    world.run()
    with world.store.read() as tx:
        assert [row.body for row in tx.inbox.unattributed(0, 99) if row.source == "shop"] == [body]


def test_ids_stay_in_what_others_are_told_of_by(known):
    """They may be any number to others: an amount, a shop, another provider's user."""
    world, user, contact = known
    bob = of_bob(world, **{"custom.inviter": user, "custom.quantity": contact, "custom.invited_by": EMAIL})
    world.idp.ask_to_be_forgotten(user)
    world.run()
    said = said_of(world, bob)
    assert (f'"{user}"' in said, f'"{contact}"' in said, '"(erased)"' in said) == (True, True, True)


def add_about(world, source, key, whom, said):
    """A delivery that was dealt with; whom: about whom it turned out to be."""
    with world.store.write() as tx:
        tx.inbox.add([(source, Item(key, key, json.dumps(said).encode(), problem=None if whom else "odd"))])
        if whom:
            done = "update inbox set state = 'done', due_at = null, record = :whom where source = :source and key = :key"
            tx.connection.execute(text(done), {"source": source, "key": key, "whom": whom})


def said_in(world, *keys):
    with world.store.read() as tx:
        found = {row.sender_id: row.body.decode() for row in tx.inbox.page(0, 999)}
    return [found.get(key, "") for key in keys]


def test_an_address_is_found_wherever_it_was_delivered_to(known):
    world, user, _ = known
    add_about(world, "shop", "k-odd", None, {"to": EMAIL})
    add_about(world, "shop", "k-about", "s-1", {"to": EMAIL, "n": 1})
    add_about(world, "crm", "k-crm", "c-of-bob", {"to": EMAIL, "n": 1})
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert said_in(world, "k-odd", "k-about", "k-crm") == ["", '{"to": "(erased)", "n": 1}', '{"to": "(erased)", "n": 1}']


def test_a_longer_address_is_somebody_elses(known):
    world, user, _ = known
    for key, whom in (("k-odd", None), ("k-about", "u-other")):
        add_about(world, "members", key, whom, {"to": f"x{EMAIL}", "cc": f"{EMAIL}.br"})
    before = said_in(world, "k-odd", "k-about")
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert said_in(world, "k-odd", "k-about") == before


def test_an_id_means_somebody_only_to_whoever_gave_it(known):
    """A user's number may be the number of a HubSpot account, a contact's that of an order."""
    world, user, contact = known
    add_about(world, "crm", "n-1", None, {"portalId": user})
    add_about(world, "members", "n-2", None, {"order_id": contact})
    add_about(world, "crm", "n-3", None, {"objectId": contact})
    add_about(world, "members", "n-4", None, {"user_id": user})
    world.idp.ask_to_be_forgotten(user)
    world.run()
    told = [bool(said) for said in said_in(world, "n-1", "n-2", "n-3", "n-4")]
    assert told == [True, True, False, False]


def test_a_former_address_is_looked_for_as_well(known):
    world, user, _ = known
    bob = of_bob(world, **{"custom.invited_by": f"Tweety <{EMAIL}>"})
    add_about(world, "members", "k-odd", None, {"to": EMAIL})
    world.idp.edit(user, {"email": "new@example.com"})
    world.run()
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    assert (in_deliveries(world, EMAIL), "Tweety <(erased)>" in said_of(world, bob)) == ([], True)
    with world.store.read() as tx:
        assert set(tx.tombstones.emails([EMAIL, "new@example.com"], ["email"])) == {"new@example.com"}


def test_a_former_address_that_somebody_else_has_now_stays_theirs(known):
    world, user, _ = known
    world.idp.edit(user, {"email": "new@example.com"})
    world.run()
    bob = of_bob(world, email=EMAIL)
    add_about(world, "members", "k-odd", None, {"to": EMAIL})
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert (EMAIL in said_of(world, bob), EMAIL in said_in(world, "k-odd")[0]) == (True, True)


def test_what_turned_out_to_be_about_somebody_else_since_the_search_is_cleaned(known):
    world, user, _ = known
    add_odd(world, "other", f"{EMAIL}, bob@example.com")
    before = search(world.store, [world.link(user)])
    with world.store.write() as tx:
        tx.connection.execute(text("update inbox set record = 'somebody', state = 'done' where key = 'other'"))
        forget(tx, world.link(user), before=before)
    assert said_in(world, "other") == ['{"mail": "(erased), bob@example.com"}']


def test_an_address_that_several_links_of_the_person_have_goes_with_the_last(known):
    world, user, contact = known
    with world.store.write() as tx:
        values = {"user": User("o-1", ADA), "contact_id": contact, "state": LinkState.ACTIVE}
        tx.links.create([{"provider": "others", "user_id": "o-1", **values}])
    bob = of_bob(world, **{"custom.invited_by": EMAIL})
    world.crm.forget(contact)
    world.run()
    assert (in_deliveries(world, EMAIL), '"(erased)"' in said_of(world, bob)) == ([], True)


def event_of_bob(world, bob, number, state, details):
    told = {"provider": "members", "sink": "crm", "user_id": bob, "kind": "user.login", "occurred_at": world.clock()}
    with world.store.write() as tx:
        tx.activities.add([{**told, "event_id": f"e-bob-{number}", "state": state, "details": details}])


@pytest.mark.parametrize("late", [False, True])
def test_identity_events_of_others_lose_the_address(known, late):
    world, user, _ = known
    bob = of_bob(world)
    others = {"page": f"/?to=x{EMAIL}", "n": 1}

    def happen():
        event_of_bob(world, bob, 1, "pending", {"invited_by": f"Tweety <{EMAIL.upper()}>", "inviter": user})
        event_of_bob(world, bob, 2, "sent", {"invited_by": EMAIL})
        event_of_bob(world, bob, 3, "pending", others)
        event_of_bob(world, bob, 4, "dropped", {})
        event_of_bob(world, bob, 5, "pending", {"page": f"/?by={EMAIL.replace('@', '%40')}"})

    if not late:
        happen()
    before = search(world.store, [world.link(user)])
    if late:
        happen()
    with world.store.write() as tx:
        forget(tx, world.link(user), before=before)
        told = [one.details for one in tx.activities.of_user("members", bob) if one.event_id.startswith("e-bob")]
    assert told == [
        {"invited_by": "Tweety <(erased)>", "inviter": user},
        {"invited_by": "(erased)"},
        others,
        {},
        {"page": "(erased)"},
    ]


@pytest.mark.parametrize("said", [{"user": "{user}"}, {"mail": EMAIL}])
def test_what_waits_to_be_read_is_left_as_it_is(known, said):
    """Even with the person's id in it: it may be about somebody whom the person invited."""
    world, user, _ = known
    body = json.dumps(said).replace("{user}", user).encode()
    with world.store.write() as tx:
        tx.inbox.add([("members", Item("k-wait", "k-wait", body))])
    before = search(world.store, [world.link(user)])
    with world.store.write() as tx:
        told = export(world.work, tx, [world.link(user)])["links"][0]["deliveries"]
        assert "k-wait" not in [one["sender_id"] for one in told]
        forget(tx, world.link(user), before=before)
        (row,) = [one for one in tx.inbox.claim(10) if one.readable]
    assert (row.sender_id, row.body) == ("k-wait", body)


def test_what_waits_to_be_read_and_is_about_somebody_else_is_not_lost(known):
    """The erasure is recorded while Bob's registration is in the inbox."""
    world, user, _ = known
    bob = world.idp.register({**BOB, "custom.invited_by": EMAIL})
    world.deliver_all()
    before = search(world.store, [world.link(user)])
    with world.store.write() as tx:
        forget(tx, world.link(user), before=before)
    world.run()
    assert world.link(bob).state is LinkState.ACTIVE
    assert world.contact_of(bob) is not None


def test_a_privacy_deletion_that_comes_during_the_search_for_another_is_searched_for_as_well(known, monkeypatch):
    world, user, contact = known
    eve = world.idp.register({**BOB, "email": "eve@example.com"})
    world.run()
    bob = of_bob(world, **{"custom.invited_by": f"{EMAIL}, eve@example.com"})
    coming = [world.contact_of(eve)]

    def slowly(store, links, *more):
        if coming:
            world.crm.forget(coming.pop())
            world.deliver_all()
        return search(store, links, *more)

    monkeypatch.setattr("connector.sync.intake.search", slowly)
    world.crm.forget(contact)
    world.run()
    assert [world.link(one).state for one in (user, eve, bob)] == [LinkState.ERASED, LinkState.ERASED, LinkState.ACTIVE]
    assert in_deliveries(world, EMAIL, "eve@example.com") == []
    assert '"(erased), (erased)"' in said_of(world, bob)
