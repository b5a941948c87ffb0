"""What is read after somebody was erased: it waited meanwhile, or came late, is about others, and names the person."""

import pytest

from connector.model import Item, LinkState
from connector.sync.forget import forget
from connector.sync.search import search

from .events import EVENTS, login, of
from .scenes import BOB, one_by_one
from .test_forget import ADA, EMAIL, known
from .test_search import in_deliveries, of_bob, said_of
from .world import World

__all__ = ["known"]


def erased(world, user):
    world.idp.ask_to_be_forgotten(user)
    world.run()
    assert world.link(user).state is LinkState.ERASED


@pytest.mark.parametrize("waited", [True, False])
def test_what_is_read_after_the_erasure_does_not_name_the_person(known, waited):
    world, user, _ = known
    if waited:
        bob = world.idp.register({**BOB, "custom.invited_by": f"Tweety <{EMAIL.upper()}>"})
        world.deliver_all()
        before = search(world.store, [world.link(user)])
        with world.store.write() as tx:
            forget(tx, world.link(user), before=before)
        world.run()
    else:
        erased(world, user)
        bob = of_bob(world, **{"custom.invited_by": f"Tweety <{EMAIL.upper()}>"})
    assert in_deliveries(world, EMAIL) == []
    assert ('"Tweety <(erased)>"' in said_of(world, bob), BOB["email"] in said_of(world, bob)) == (True, True)
    assert world.link(bob).state is LinkState.ACTIVE


def test_what_is_read_with_the_privacy_deletion_does_not_name_the_person(known):
    world, user, contact = known
    bob = world.idp.register({**BOB, "custom.invited_by": EMAIL})
    world.crm.forget(contact)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    assert (in_deliveries(world, EMAIL), '"(erased)"' in said_of(world, bob)) == ([], True)


def test_an_event_that_comes_after_the_erasure_does_not_name_the_person(tmp_path):
    world = World(tmp_path, mapping=EVENTS.replace("plan", "invited_by"))
    user, bob = world.idp.register(ADA), world.idp.register(BOB)
    world.run()
    erased(world, user)
    login(world, bob, "e-late", invited_by=f"by {EMAIL}")
    world.run()
    told = [one.details for one in of(world, bob) if one.kind == "user.login"]
    assert told == [{"invited_by": "by (erased)"}]


def test_a_former_address_is_not_kept_after_the_erasure_either(known):
    world, user, _ = known
    world.idp.edit(user, {"email": "new@example.com"})
    world.run()
    erased(world, user)
    of_bob(world, **{"custom.invited_by": EMAIL})
    assert in_deliveries(world, EMAIL, "new@example.com") == []


def test_an_address_that_somebody_has_after_the_erasure_stays_theirs(known):
    world, user, _ = known
    erased(world, user)
    other = of_bob(world, email=EMAIL)
    assert (EMAIL in said_of(world, other), "(erased)" in said_of(world, other)) == (True, False)


@pytest.mark.parametrize("problem", [None, "odd"], ids=["found out when read", "known when it came"])
@pytest.mark.parametrize(
    ("body", "rest"), [(f'["{EMAIL}", "odd"]', b'["(erased)", "odd"]'), (f'["{EMAIL}', None)],
)  # fmt: skip
def test_what_cannot_be_read_after_the_erasure_does_not_name_the_person(known, body, rest, problem):
    world, user, _ = known
    erased(world, user)
    with world.store.write() as tx:
        tx.inbox.add([("members", Item("k-odd", "k-odd", body.encode(), problem=problem))])
    world.run()
    with world.store.read() as tx:
        found = [row["body"] for row in tx.inbox.quarantined(10) if row["sender_id"] == "k-odd"]
    assert (found, in_deliveries(world, EMAIL)) == ([rest] if rest else [], [])


def test_rows_that_are_taken_one_by_one_are_searched_as_well(known, monkeypatch):
    world, user, contact = known
    bob = of_bob(world, **{"custom.invited_by": EMAIL})
    one_by_one(monkeypatch)
    world.crm.forget(contact)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    assert (in_deliveries(world, EMAIL), '"(erased)"' in said_of(world, bob)) == ([], True)
