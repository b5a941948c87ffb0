"""Somebody asks to be forgotten while something is being made of them: nothing comes of it, and nothing is kept."""

import threading

import pytest

from connector.errors import Unavailable
from connector.model import Change, Item, LinkState, User
from connector.store.inbox import Inbox
from connector.store.tombstones import Tombstones
from connector.sync import importing, intake, recent, reconcile
from connector.sync.forget import forget
from connector.sync.search import search

from .scenes import BOB, CREATE_USER, one_by_one
from .test_forget import ADA, EMAIL, LAST, NAME, traces
from .world import MAPPING, USER, World

LINK_ONLY = MAPPING + "lifecycle: {user_created: link_only}\n"


@pytest.fixture
def worlds(migrated_url, tmp_path):
    """Makes the world, with a mapping, on either database."""
    made = []

    def make(mapping=MAPPING):
        made.append(World(tmp_path, migrated_url, mapping))
        return made[0]

    yield make
    made[0].close()


def late(world, user, **more):
    """A link of somebody who was erased a moment before it was made."""
    with world.store.write() as tx:
        tx.tombstones.bury("members", user)
        values = {**ADA, "custom.interests": ["birds"]}
        tx.links.create([{"provider": "members", "user_id": user, "user": User(user, values), **more}])


def nothing_is_left(world, user):
    assert world.link(user).state is LinkState.ERASED
    assert traces(world, EMAIL, NAME, LAST, user) == set()
    with world.store.read() as tx:
        assert not tx.links.waiting()


def test_no_contact_is_made(worlds):
    world = worlds()
    late(world, "u-gone")
    world.run()
    assert (world.crm.contacts, world.crm.writes) == ({}, 0)
    nothing_is_left(world, "u-gone")


def test_a_contact_that_is_there_is_not_written(worlds):
    world = worlds(LINK_ONLY)
    contact = world.crm.create({"email": EMAIL})
    world.run()
    late(world, "u-gone")
    world.run()
    assert world.crm.contacts == {contact: {"email": EMAIL}}
    nothing_is_left(world, "u-gone")


def test_a_link_that_would_wait_does_not(worlds):
    world = worlds(LINK_ONLY)
    late(world, "u-gone")
    world.run()
    nothing_is_left(world, "u-gone")


def test_a_link_that_would_be_held_is_not(worlds):
    world = worlds(LINK_ONLY)
    for other in ("1@example.com", "2@example.com"):
        world.crm.contacts[world.crm.create({"email": other})]["hs_additional_emails"] = EMAIL
    world.run()
    late(world, "u-gone")
    world.run()
    nothing_is_left(world, "u-gone")


def test_no_user_is_made_of_an_erased_contact(worlds):
    world = worlds(CREATE_USER)
    contact = world.crm.create({"email": EMAIL, "firstname": NAME})
    world.crm.events.clear()
    with world.store.write() as tx:
        tx.tombstones.bury("crm", None, [contact])
        tx.links.create([{"provider": "members", "contact_id": contact}])
    world.run()
    assert world.idp.users == {}
    assert traces(world, EMAIL, NAME) == set()
    with world.store.read() as tx:
        assert (tx.links.counts()["erased"], tx.links.waiting()) == (1, 0)


def test_an_erasure_that_is_asked_for_again_is_carried_out(worlds):
    """Of the first one nothing but a keyed hash is left; a contact has come since."""
    world = worlds()
    contact = world.crm.create({"email": EMAIL})
    world.crm.events.clear()
    late(world, "u-gone", contact_id=contact, erasure=True)
    world.run()
    assert world.crm.contacts == {}
    nothing_is_left(world, "u-gone")


def test_somebody_else_in_the_batch_goes_on(worlds):
    world = worlds()
    late(world, "u-gone")
    other = world.idp.register({**ADA, "email": "other@example.com"})
    world.run()
    assert [one["members_user_id"] for one in world.crm.contacts.values()] == [other]


# two processes on PostgreSQL, one of which has not committed yet


@pytest.fixture
def world(postgres, tmp_path):
    world = World(tmp_path, postgres(migrated=True), CREATE_USER)
    with world.store.write() as tx:
        assert tx.keyed
    yield world
    world.close()


def elsewhere(monkeypatch, name, at, action):
    """Let another thread act when the tombstones are asked for the `at`-th time, as if between that look and our commit."""
    look = getattr(Tombstones, name)
    looks = []

    def interrupted(tombstones, *asked):
        found = look(tombstones, *asked)
        looks.append(asked)
        if len(looks) == at:
            thread = threading.Thread(target=action)
            thread.start()
            thread.join(10)
        return found

    monkeypatch.setattr(Tombstones, name, interrupted)


def listing(world):
    reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None)


def lately(world):
    recent.users(world.work, "members")


def loading(world):
    reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None, backfill=True)


def file(world):
    with (world.folder / "users.csv").open() as text:
        load = importing.Import(world.work, "members", text, "users.csv").load
        reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None, backfill=True, load=load)


@pytest.mark.parametrize("way", [listing, lately, loading, file])
def test_a_request_that_is_committed_while_users_are_listed_holds(world, tmp_path, monkeypatch, way):
    user = world.idp.register(ADA)
    world.idp.events.clear()
    world.folder = tmp_path
    (tmp_path / "users.csv").write_text(f"id,email,first_name\n{user},{EMAIL},{NAME}\n")

    def ask():
        world.deliver(Change("erasure.requested", user, world.clock()))
        intake.take(world.worker("other"))

    elsewhere(monkeypatch, "users", 1, ask)
    way(world)
    world.run()
    assert world.crm.contacts == {}
    nothing_is_left(world, user)


def test_a_request_that_is_not_committed_yet_is_waited_for(world, monkeypatch):
    """It has found no link, the listing no tombstone."""
    user = world.idp.register(ADA)
    world.idp.events.clear()
    looked, linked = threading.Event(), threading.Event()
    bury = Tombstones.bury

    def slowly(tombstones, *who):
        looked.set()
        linked.wait(5)
        return bury(tombstones, *who)

    monkeypatch.setattr(Tombstones, "bury", slowly)
    world.deliver(Change("erasure.requested", user, world.clock()))
    asking = threading.Thread(target=lambda: intake.take(world.worker("other")))
    asking.start()
    assert looked.wait(5)
    recent.users(world.work, "members")
    threading.Timer(0.5, linked.set).start()
    world.settle()
    asking.join()
    world.run()
    assert world.crm.contacts == {}
    nothing_is_left(world, user)


def test_a_link_that_is_committed_before_the_request_looks_is_found(world, monkeypatch):
    """The request waits for whoever asks whether it is there, and looks for the link after that."""
    user = world.idp.register(ADA)
    world.idp.events.clear()
    recent.users(world.work, "members")
    world.deliver(Change("erasure.requested", user, world.clock()))
    with world.store.write() as tx:
        tx.tombstones.complete()
        asking = threading.Thread(target=lambda: intake.take(world.worker("other")))
        asking.start()
        asking.join(0.5)
        assert asking.is_alive()
    asking.join()
    assert world.link(user).erasure
    world.run()
    assert world.crm.contacts == {}
    nothing_is_left(world, user)


def test_a_privacy_deletion_that_comes_while_the_contact_is_taken_in_holds(world, monkeypatch):
    contact = world.crm.create({"email": EMAIL, "firstname": NAME})
    world.crm.events.clear()
    world.deliver(Change("contact.created", contact))

    def ask():
        world.deliver(Change("contact.erased", contact))
        intake.take(world.worker("other"))

    wait = meanwhile(monkeypatch, Tombstones, "contacts", 2, ask)
    intake.take(world.work)
    wait()
    world.run()
    assert world.idp.users == {}
    assert traces(world, EMAIL, NAME) == set()
    with world.store.read() as tx:
        assert tx.links.counts()["erased"] == 1


def meanwhile(monkeypatch, owner, name, at, action):
    """Let another thread begin to act after the `at`-th call, as if between that look and our commit. It has to wait for that.

    Returns a wait for its end.
    """
    look, looks, thread = getattr(owner, name), [], threading.Thread(target=action)

    def interrupted(*asked, **more):
        found = look(*asked, **more)
        looks.append(asked)
        if len(looks) == at:
            thread.start()
            thread.join(0.5)
            assert thread.is_alive()
        return found

    monkeypatch.setattr(owner, name, interrupted)

    def wait():
        assert len(looks) >= at
        thread.join(10)

    return wait


def put_out(world, user, before=None):
    with world.store.write() as tx:
        one = tx.links.by_users("members", [user])[user]
        forget(tx, one, before=before or search(world.store, [one]))


def test_two_erasures_at_once_leave_nothing_of_either_in_what_others_are_told_of(world):
    first, second = world.idp.register(ADA), world.idp.register(USER)
    bob = world.idp.register({**BOB, "custom.invited_by": f"{EMAIL}, {USER['email']}, {BOB['email']}"})
    world.run()
    before = search(world.store, [world.link(first), world.link(second)])
    with world.store.write() as tx:
        forget(tx, world.link(first), before=before)
        other = threading.Thread(target=lambda: put_out(world, second, before))
        other.start()
        other.join(0.5)
        assert other.is_alive()
    other.join(10)
    with world.store.read() as tx:
        said = b" ".join(row.body for row in tx.inbox.of("members", [bob])).decode()
    assert (EMAIL in said, USER["email"] in said, f'"(erased), (erased), {BOB["email"]}"' in said) == (False, False, True)


def while_another_erases(world, link, action):
    """What an action fails with that has to wait for the turn to erase: whoever has it waits for the row of a link."""
    failed = []

    def act():
        try:
            action()
        except Exception as error:
            failed.append(error)

    with world.store.write() as tx:
        tx.tombstones.alone()
        other = threading.Thread(target=act)
        other.start()
        other.join(0.5)
        assert other.is_alive()
        tx.links.locked(link.id)
    other.join(10)
    return failed


def test_who_records_an_erasure_holds_nothing_up_while_another_is_at_it(world):
    user = world.idp.register(ADA)
    world.run()
    one = world.link(user)
    world.idp.ask_to_be_forgotten(user)
    world.deliver_all()
    intake.take(world.work)
    assert while_another_erases(world, one, world.settle) == []
    nothing_is_left(world, user)


def test_who_takes_rows_in_one_by_one_holds_nothing_up_while_another_is_at_it(world, monkeypatch):
    user, bob = world.idp.register(ADA), world.idp.register(BOB)
    world.run()
    world.idp.edit(bob, {"first_name": "Robert"})
    world.idp.ask_to_be_forgotten(user)
    world.deliver_all()
    one_by_one(monkeypatch)
    assert while_another_erases(world, world.link(bob), lambda: intake.take(world.work)) == []
    assert world.link(user).erasure


def test_what_is_read_while_its_person_is_forgotten_is_not_kept(world, monkeypatch):
    user = world.idp.register(ADA)
    world.run()
    world.deliver(Change("user.login", user, world.clock(), details={"said": EMAIL}), key="evt-late")
    wait = meanwhile(monkeypatch, Tombstones, "users", 1, lambda: put_out(world, user))
    intake.take(world.work)
    wait()
    nothing_is_left(world, user)


def test_who_is_forgotten_while_something_of_others_is_read_is_not_named_there(world, monkeypatch):
    user = world.idp.register(ADA)
    world.run()
    bob = world.idp.register({**BOB, "custom.invited_by": EMAIL})
    world.deliver_all()
    wait = meanwhile(monkeypatch, Tombstones, "emails", 1, lambda: put_out(world, user))
    intake.take(world.work)
    wait()
    with world.store.read() as tx:
        said = b" ".join(row.body for row in tx.inbox.of("members", [bob])).decode()
    assert (EMAIL in said, BOB["email"] in said, "(erased)" in said) == (False, True, True)


def test_who_reads_what_names_the_person_and_who_forgets_do_not_wait_for_each_other(world, monkeypatch):
    """What is in quarantine since it came is read like the rest, and is the person's to be blanked."""
    user = world.idp.register(ADA)
    world.run()
    with world.store.write() as tx:
        tx.inbox.add([("members", Item("k-odd", "k-odd", f'"{EMAIL}"'.encode(), problem="odd"))])
    failed = []

    def act():
        try:
            put_out(world, user)
        except Unavailable as error:
            failed.append(error)

    wait = meanwhile(monkeypatch, Inbox, "claim", 1, act)
    intake.take(world.work)
    wait()
    assert failed == []
    nothing_is_left(world, user)
