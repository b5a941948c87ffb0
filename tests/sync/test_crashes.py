"""Workers that die or freeze in the middle of a batch."""

import pytest

from connector.errors import Unavailable
from connector.model import Change
from connector.settings import Retries
from connector.sync import batch, intake

from .scenes import BOB, CREATE_USER, HOUR, PAST_LEASE, crash, link, recover, values_of
from .world import MAPPING, USER, Crash, World

# a worker that dies (F04, F08, F09, F10)


@pytest.mark.parametrize("where", ["intake before commit", "leased", "contact.create", "record before commit"])
def test_a_worker_that_dies_while_creating_makes_no_second_contact(world, where):
    user = world.idp.register(USER)
    crash(world, where)
    recover(world)
    world.run()
    assert len(world.crm.contacts) == 1
    assert world.link(user).state == "active"


@pytest.mark.parametrize("where", ["leased", "contact.update", "record before commit"])
def test_a_worker_that_dies_while_updating_changes_nothing_twice(linked, where):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    crash(world, where)
    recover(world)
    assert world.crm.contacts[contact]["firstname"] == "Augusta"
    assert [told for told in world.crm.log if told[2].get("firstname") == "Augusta"] == [
        ("us", contact, {"firstname": "Augusta"})
    ]
    assert world.link(user).base["first_name"] == "Augusta"


@pytest.mark.parametrize("where", ["leased", "user.update", "record before commit"])
def test_a_worker_that_dies_while_updating_the_user_changes_nothing_twice(linked, where):
    world, user, contact = linked
    world.crm.edit(contact, {"firstname": "Augusta"})
    crash(world, where)
    recover(world)
    assert [told for told in world.idp.log if told[2].get("first_name") == "Augusta"] == [("us", user, {"first_name": "Augusta"})]
    assert world.link(user).base["first_name"] == "Augusta"


def test_a_creation_whose_answer_is_lost_is_found_again(world):
    user = world.idp.register(USER)
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    world.later(HOUR)
    assert len(world.crm.contacts) == 1
    assert world.link(user).state == "active"


@pytest.mark.parametrize("where", ["user.create", "record before commit"])
def test_a_worker_that_dies_while_creating_a_user_makes_no_second_one(tmp_path, where):
    world = World(tmp_path, mapping=CREATE_USER)
    contact = world.crm.create({"email": "ada@example.com", "firstname": "Ada"})
    crash(world, where)
    recover(world)
    world.run()
    (user,) = world.idp.users
    assert (world.link(user).contact_id, world.contact_of(user)) == (contact, contact)
    assert len(world.crm.contacts) == 1


def test_a_user_made_for_a_contact_is_linked_although_the_next_call_failed(tmp_path):
    world = World(tmp_path, mapping=CREATE_USER)
    contact = world.crm.create({"email": "ada@example.com"})
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    world.later(HOUR)
    assert (world.link("u-1").state, world.link("u-1").contact_id) == ("active", contact)
    assert list(world.idp.users) == ["u-1"]


def test_a_user_deleted_while_the_answer_to_its_creation_was_lost_takes_the_contact_along(world):
    user = world.idp.register(USER)
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    world.idp.remove(user)
    world.later(HOUR)
    assert world.crm.contacts == {}
    assert world.link(user).state == "deleted"


def test_our_own_write_whose_record_was_lost_does_not_win_against_a_later_edit(tmp_path):
    """The CRM holds what we wrote, and nobody there has an opinion: the person's edit since then is the only change."""
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: contact")))
    world.idp.edit(user, {"first_name": "First"})
    crash(world, "contact.update")
    world.idp.edit(user, {"first_name": "Second"})
    world.clock.pass_(PAST_LEASE)
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Second"
    assert values_of(world, user)["first_name"] == "Second"


def test_our_own_write_to_the_user_does_not_win_against_a_later_edit_in_the_crm(tmp_path):
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: user")))
    world.crm.edit(contact, {"firstname": "First"})
    crash(world, "user.update")
    world.crm.edit(contact, {"firstname": "Second"})
    world.clock.pass_(PAST_LEASE)
    world.run()
    assert values_of(world, user)["first_name"] == "Second"


def test_a_first_write_whose_answer_was_lost_does_not_win_against_a_later_edit(tmp_path):
    world = World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: contact"))
    user = world.idp.register(USER)
    world.crm.loses = [Unavailable("timeout")]
    world.run()
    world.idp.edit(user, {"first_name": "Second"})
    world.later(HOUR)
    assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Second"


def test_the_loser_of_a_conflict_is_on_record_even_when_the_worker_dies(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Loser"})
    world.clock.pass_(10)
    world.crm.edit(contact, {"firstname": "Winner"})
    crash(world, "user.update")
    recover(world)
    assert any(change["user"] == "Loser" and change["contact"] == "Winner" for change in world.history(user))


def test_what_was_written_first_is_on_record_even_when_the_worker_dies_later(linked):
    """The contact's half was answered, then the worker died over the user's half."""
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta"})
    world.crm.edit(contact, {"lastname": "King"})
    crash(world, "user.update")
    recover(world)
    told = [(change["side"], change["to"]) for change in world.history(user)]
    assert ("contact", "Augusta") in told
    assert ("user", "King") in told


def test_our_own_write_does_not_win_against_a_later_edit_because_the_contact_was_merged_meanwhile(tmp_path):
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: contact")))
    other = world.crm.create({"email": "other@example.com"})
    world.run()

    def meanwhile():
        world.crm.merge(contact, other)
        world.idp.edit(user, {"first_name": "Second"})
        world.deliver_all()
        intake.take(world.work)

    world.idp.edit(user, {"first_name": "First"})
    world.crash_at("contact.update", meanwhile)
    world.run()
    assert world.crm.contacts[world.link(user).contact_id]["firstname"] == values_of(world, user)["first_name"] == "Second"
    with world.store.read() as tx:
        assert "unheard" not in [entry.kind for entry in tx.history.of_link(world.link(user).id)]


def test_of_somebody_erased_while_a_worker_writes_no_value_is_kept(linked):
    world, user, contact = linked
    before = world.link(user)

    def erased():
        world.deliver(Change("contact.erased", contact))
        intake.take(world.work)

    world.idp.edit(user, {"first_name": "Secret"})
    world.crash_at("contact.update", erased)
    world.run()
    with world.store.read() as tx:
        link = tx.links.get(before.id)
        assert not any("Secret" in str(entry) for entry in tx.history.of_link(before.id))
    assert (link.state, link.user, link.contact, link.base, link.intent) == ("erased", None, None, {}, ())


def test_a_write_that_got_through_counts_although_another_one_failed(tmp_path):
    """The contact took its half, the provider is down: the contact's half is agreed."""
    world, user, contact = link(World(tmp_path, mapping=MAPPING.replace("conflict: newest", "conflict: contact")))
    world.idp.edit(user, {"first_name": "First"})
    world.crm.edit(contact, {"lastname": "King"})
    world.idp.loses = []
    world.crash_at("contact.update", lambda: world.idp.fails.append(Unavailable("down")))
    world.run()
    world.idp.edit(user, {"first_name": "Second"})
    world.later(HOUR)
    assert world.crm.contacts[contact]["firstname"] == "Second"
    assert values_of(world, user)["last_name"] == "King"


def test_a_worker_that_is_killed_each_time_parks_the_link_after_all_attempts(tmp_path):
    """F05: work that kills its process, for want of memory, say. Others go on."""
    world = World(tmp_path, retries=Retries(attempts=3))
    poison = world.idp.register(USER)
    world.deliver_all()
    intake.take(world.work)
    for _ in range(3):
        batch.lease(world.work)
        world.clock.pass_(PAST_LEASE)
    other = world.idp.register(BOB)
    world.run()
    world.later(PAST_LEASE)
    assert world.link(other).state == "active"
    assert [what for what, reason in world.parked() if "worker" in reason] == ["link"]
    assert world.contact_of(poison) is None


def test_kills_now_and_then_park_nobody(world):
    """F04: a worker that dies again and again, under load."""
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(12)]
    places = ["leased", "contact.create", "record before commit", "intake before commit", "contact.update"]
    for round_ in range(20):
        world.crash_at(places[round_ % len(places)])
        world.idp.edit(users[round_ % 12], {"first_name": f"Name {round_}"})
        world.deliver_all()
        try:
            world.work_off()
        except Crash:
            world.clock.pass_(PAST_LEASE)
    world.reached = lambda where: None
    world.later(HOUR)
    assert len(world.crm.contacts) == 12
    assert world.parked() == []
    assert all(world.crm.contacts[world.contact_of(user)]["firstname"] == values_of(world, user)["first_name"] for user in users)


# a worker that freezes (F07)


def test_a_frozen_workers_late_record_is_void_and_it_writes_nothing_more(linked):
    world, user, contact = linked
    other = world.worker("other")

    def successor():
        world.clock.pass_(PAST_LEASE)
        world.idp.edit(user, {"first_name": "Newer", "custom.score": 1})
        world.deliver_all()
        intake.take(other)
        while world.settle(other):
            pass

    world.idp.edit(user, {"first_name": "Older"})
    world.crm.edit(contact, {"lastname": "King"})
    world.crash_at("contact.update", successor)
    world.run()
    assert world.crm.contacts[contact]["firstname"] == "Newer"
    assert [told[2]["firstname"] for told in world.crm.log if "firstname" in told[2]] == ["Ada", "Older", "Newer"]
    assert sum(told[2].get("last_name") == "King" for told in world.idp.log) == 1
    assert world.link(user).base["first_name"] == "Newer"


def test_a_worker_that_lost_its_lease_before_writing_writes_nothing(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Once"})
    world.crash_at("leased", lambda: (world.clock.pass_(PAST_LEASE), world.settle(world.worker("other"))))
    world.run()
    assert world.crm.made["update"] == 1


def test_a_frozen_worker_does_not_write_over_what_happened_since_even_where_the_provider_knows_no_versions(linked):
    world, user, contact = linked
    update = world.idp.update
    world.idp.update = lambda user_id, values, etag: update(user_id, values, None)

    def meanwhile():
        world.clock.pass_(PAST_LEASE)
        world.settle(world.worker("other"))
        world.idp.edit(user, {"last_name": "Since"})

    world.idp.edit(user, {"first_name": "Augusta"})
    world.crm.edit(contact, {"lastname": "King"})
    world.crash_at("contact.update", meanwhile)
    world.deliver_all()
    intake.take(world.work)
    world.settle()
    assert values_of(world, user)["last_name"] == "Since"


def test_a_zombies_record_leaves_what_its_successor_agreed(linked):
    world, user, contact = linked

    def successor():
        world.clock.pass_(PAST_LEASE)
        world.idp.edit(user, {"first_name": "Newer"})
        world.deliver_all()
        intake.take(world.work)
        world.settle(world.worker("other"))

    world.idp.edit(user, {"first_name": "Older"})
    world.crash_at("contact.update", successor)
    world.deliver_all()
    intake.take(world.work)
    world.settle()
    assert world.link(user).base["first_name"] == "Newer"


def test_a_late_record_keeps_what_the_frozen_worker_did_in_the_history(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Older"})
    world.crash_at("contact.update", lambda: (world.clock.pass_(PAST_LEASE), batch.lease(world.worker("other"))))
    world.run()
    recover(world)
    assert any(change["to"] == "Older" for change in world.history(user))
