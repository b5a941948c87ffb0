"""What `show` and `explain` say of a link that waits, of one nobody knows yet, and of what caused what."""

from connector.errors import Paused, Unavailable
from connector.model import Change
from connector.sync import repair, unlisted, who
from connector.sync.brakes import APPROVED, approved
from connector.sync.explain import explain

from .world import MAPPING, USER, World

TYPOLOGIES = MAPPING + "typologies: {contact: member_types, values: {consumer: Consumer}}\n"
REFUSED = "members: read user u-1: 401"


def shown(world, user):
    with world.store.read() as tx:
        return who.shown(world.work, tx, world.link(user))


def explained(world, user, field):
    with world.store.read() as tx:
        return explain(world.work, tx, world.link(user), field)["chain"]


def last(world, user):
    """The latest entry of a user's history."""
    with world.store.read() as tx:
        return tx.history.of_link(world.link(user).id)[-1]


def refused(world, user):
    """A contact is edited while the provider refuses our credentials."""
    world.run()
    world.clock.pass_(60)
    world.crm.edit(world.contact_of(user), {"firstname": "Augusta"})
    world.idp.fails = [Paused(REFUSED)] * 50
    world.deliver_all()
    world.settle()
    world.work_off()


def test_a_link_that_waits_says_since_when_why_and_until_when(world):
    user = world.idp.register(USER)
    refused(world, user)
    told = shown(world, user)
    waits = told["link"]["waits"]
    assert waits.startswith("waits since 12:01 UTC: members: read user u-1: it refused our credentials (401); next try 12:01:0")
    assert {field["state"] for field in told["fields"]} == {"waits"}
    assert explained(world, user, "firstname")[-1]["rule"] == f"{waits}; as last seen: both sides agree"


def test_what_was_waited_for_is_forgotten_once_it_came(world):
    user = world.idp.register(USER)
    refused(world, user)
    world.idp.fails = []
    world.later(120)
    told = shown(world, user)
    assert (told["link"]["waits"], told["link"]["reason"]) == (None, None)
    assert {field["state"] for field in told["fields"]} == {"agreed"}


def test_the_sides_are_shown_with_the_time_they_were_seen(world):
    user = world.idp.register(USER)
    refused(world, user)
    told = shown(world, user)["link"]
    assert told["user_seen_at"].startswith("2026-11-01T12:00:00")
    assert told["contact_seen_at"].startswith("2026-11-01T12:00:00")
    world.idp.fails = []
    world.later(120)
    assert shown(world, user)["link"]["contact_seen_at"].startswith("2026-11-01T12:03:00")


def test_a_release_from_a_brake_outlives_a_failure(world):
    """Or else the brake would stop the link again."""
    user = world.idp.register(USER)
    world.run()
    known = world.link(user)
    with world.store.write() as tx:
        tx.links.notice(known.id, {"reason": APPROVED, "refetch": True}, tx.now)
    world.idp.fails = [Unavailable("down")] * 50
    world.settle()
    world.later(120)
    assert world.link(user).reason == "released from a brake; now: down"
    assert approved(world.link(user))


def test_a_user_nobody_knows_is_pending_with_the_looks_so_far(world):
    world.deliver(Change("user.updated", "u-9"))
    world.work_off()
    world.clock.pass_(3)
    world.work_off()
    told = shown(world, "u-9")
    assert (told["user"], told["contact"]) == (None, None)
    assert told["link"]["waits"].startswith("pending: members does not know this user; looked for 2 of 5 times; next try 12:00:0")
    assert explained(world, "u-9", "firstname")[-1]["rule"] == told["link"]["waits"]


def test_a_sweeps_effect_does_not_name_an_earlier_delivery(world):
    user = world.idp.register(USER)
    world.run()
    assert last(world, user).delivery.startswith("members-")
    world.crm.edit(world.contact_of(user), {"firstname": "Augusta"})
    world.crm.events.clear()
    world.sweep()
    assert (last(world, user).delivery, last(world, user).kind) == (None, "user.update")
    assert last(world, user).run is not None


def test_a_commands_effect_does_not_name_an_earlier_delivery(world):
    user = world.idp.register(USER)
    world.run()
    known = world.link(user)
    with world.store.write() as tx:
        repair.hold(tx, known, "wait")
    world.crm.edit(world.contact_of(user), {"firstname": "Augusta"})
    world.crm.events.clear()
    with world.store.write() as tx:
        repair.release(tx, known)
    world.work_off()
    assert (last(world, user).delivery, last(world, user).kind) == (None, "user.update")


def test_a_deletion_in_the_crm_is_the_cause_of_the_cut(world):
    user = world.idp.register(USER)
    world.run()
    contact = world.contact_of(user)
    world.crm.delete(contact)
    world.run()
    world.later(120)
    assert (last(world, user).kind, last(world, user).delivery[:4]) == ("unlink", "crm-")


def test_a_failure_keeps_its_cause_for_the_next_try(world):
    user = world.idp.register(USER)
    refused(world, user)
    world.idp.fails = []
    world.later(120)
    assert last(world, user).delivery.startswith("crm-")


def test_a_typology_that_is_not_listed_is_told_and_counted(tmp_path):
    world = World(tmp_path, mapping=TYPOLOGIES)
    user = world.idp.register(USER, memberships=["consumer", "vip"])
    world.run()
    rule = explained(world, user, "typologies")[-1]["rule"]
    assert rule.endswith("; the user also has vip, which is not in typologies.values")
    with world.store.read() as tx:
        assert unlisted.counted(tx, "members") > 0
        assert tx.cursors.beginning(unlisted.MARK) == {"members": str(unlisted.counted(tx, "members"))}


def test_nobody_says_what_was_looked_for(world):
    world.idp.register(USER)
    world.run()
    with world.store.read() as tx:
        nobody = "nobody had this email address, user or contact, when the connector last saw them"
        assert who.nobody(tx, "nobody@example.com").endswith(nobody)
        assert who.nobody(tx, "members:u-9").endswith("the connector knows no user of members with the id u-9")
        assert "no user of a provider membrs is known at all" in who.nobody(tx, "membrs:u-9")
        assert "knows no contact with this id" in who.nobody(tx, "123")


def test_an_address_that_somebody_left_is_not_told_as_erased(world):
    """Or else whoever carries out an erasure by the former address would take it for done."""
    with world.store.write() as tx:
        tx.tombstones.moved("left@example.com")
        told = who.nobody(tx, "Left@example.com")
        assert "moved to another one, which is no erasure" in told
        assert "erased;" not in told
        tx.tombstones.bury("members", "u-8", (), ["left@example.com", "erased@example.com"])
        assert "erased;" in (told := who.nobody(tx, "left@example.com"))
        assert "moved to another one" in told
        assert who.nobody(tx, "erased@example.com").endswith("erased; nothing is kept but a keyed hash")
