"""Identity events that go to a second sink as well, over real HTTP."""

import pytest

from connector.errors import Unavailable
from connector.model import Change
from connector.settings import Retries
from connector.sync import activities, intake, reconcile, repair
from connector.sync.forget import forget

from ..sinks.server import Collector
from .events import EVENTS, HOUR, counts, login, logins, of, settle_for_good
from .world import START, USER, World


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def worlds(tmp_path, migrated_url, collector):
    """more: of the entry under `forward`; rule: lifecycle.user_deleted."""
    made = []

    def make(more="", rule="archive_contact", mapping=EVENTS, **options):
        forward = f", forward: [{{as: segment, url: '{collector.url}', write_key: k{more}}}]}}\n"
        made.append(
            World(
                tmp_path, migrated_url, f"{mapping.rstrip().rstrip('}')}{forward}lifecycle: {{user_deleted: {rule}}}\n", **options
            )
        )
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(worlds):
    return worlds()


@pytest.fixture
def linked(world):
    return world, joined(world)


def joined(world):
    user = world.idp.register(USER)
    world.run()
    activities.send(world.work)
    return user


def sinks(world):
    return [one.name for one in world.work.sinks]


def leave(world, user):
    world.idp.remove(user)
    world.run()
    world.later(HOUR)
    activities.send(world.work)


def told(collector):
    """What was told after the registration."""
    return [(message["type"], message["messageId"]) for message in collector.messages[2:]]


def test_both_sinks_get_the_event_and_it_counts_once(linked, collector):
    world, user = linked
    assert [message["type"] for message in collector.messages] == ["identify", "track"]
    assert {message["userId"] for message in collector.messages} == {f"members:{user}"}
    assert list(world.crm.records) == ["members-1"]
    assert {one.sink.partition(":")[0] for one in of(world, user)} == {"crm", "segment"}
    assert counts(world) == {"pending": 0, "sent": 1, "refused": 0, "dropped": 0}


def test_a_sink_that_is_down_does_not_stop_the_other(linked, collector):
    world, user = linked
    collector.answers = [503] * 50
    logins(world, user, "evt-2")
    assert activities.send(world.work) == 1
    assert "evt-2" in world.crm.records
    assert counts(world)["pending"] == 1
    collector.answers = []
    settle_for_good(world)
    assert [message["messageId"] for message in collector.messages][2:] == ["evt-2"]
    assert counts(world) == {"pending": 0, "sent": 2, "refused": 0, "dropped": 0}


def test_the_crm_being_down_does_not_stop_the_other_sink(linked, collector):
    world, user = linked
    world.crm.fails = [Unavailable("down")] * 3
    logins(world, user, "evt-2")
    activities.send(world.work)
    assert collector.messages[-1]["messageId"] == "evt-2"


def test_that_a_user_left_is_told_and_nothing_after_it(linked, collector):
    world, user = linked
    world.idp.remove(user)
    world.run()
    world.later(HOUR)
    activities.send(world.work)
    assert world.link(user).state == "deleted"
    track, delete = collector.messages[2:]
    assert (track["type"], track["event"]) == ("track", "user.deleted")
    assert (delete["type"], delete["messageId"]) == ("delete", f"{track['messageId']}:delete")
    assert delete["userId"] == f"members:{user}"
    logins(world, user, "evt-late")
    world.sweep()
    activities.send(world.work)
    assert len(collector.messages) == 4


def test_that_a_user_left_is_told_once_it_was_dealt_with(linked, collector):
    """A sender that looks in between would have to leave the delete out."""
    world, user = linked
    world.idp.remove(user)
    world.deliver_all()
    intake.take(world.work)
    activities.send(world.work)
    assert told(collector) == []
    world.later(HOUR)
    activities.send(world.work)
    assert [kind for kind, _ in told(collector)] == ["track", "delete"]


def test_the_delete_is_the_last_word_about_a_user(linked, collector):
    """What happened before, and is delivered with the deletion, goes first."""
    world, user = linked
    login(world, user, "evt-before", 1)
    world.idp.remove(user)
    world.run()
    world.later(HOUR)
    activities.send(world.work)
    assert told(collector)[-1][0] == "delete"
    assert counts(world)["pending"] == 0


@pytest.mark.parametrize(
    ("more", "rule", "types"),
    [
        (", deletes: true", "archive_contact", ["track", "delete"]),
        (", deletes: false", "archive_contact", ["track"]),
        ("", "unlink", ["track"]),
        ("", "erase_contact", []),
    ],
)
def test_who_is_deleted_there_the_mapping_says(worlds, collector, more, rule, types):
    world = worlds(more, rule)
    user = joined(world)
    leave(world, user)
    assert [kind for kind, _ in told(collector)] == types
    assert counts(world)["pending"] == 0


UNTOLD = EVENTS.replace(", user.deleted", "")


@pytest.mark.parametrize(
    ("more", "rule", "types"),
    [
        ("", "archive_contact", ["delete"]),
        (", deletes: false", "archive_contact", []),
        ("", "unlink", []),
        ("", "erase_contact", []),
    ],
)
def test_who_is_deleted_there_is_so_without_a_word_where_the_deletion_is_not_among_the_types(
    worlds, collector, more, rule, types
):
    world = worlds(more, rule, UNTOLD)
    user = joined(world)
    leave(world, user)
    assert [kind for kind, _ in told(collector)] == types
    assert {one.sink for one in of(world, user) if one.kind == "user.deleted"} == ({*sinks(world)} - {"crm"} if types else set())
    assert counts(world)["pending"] == 0


@pytest.mark.parametrize("mapping", [EVENTS, UNTOLD], ids=["among the types", "not among them"])
def test_who_is_found_gone_without_a_word_of_it_is_deleted_there_as_well(worlds, collector, mapping):
    world = worlds(mapping=mapping)
    user = joined(world)
    world.idp.remove(user)
    world.idp.events.clear()
    world.sweep()
    reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None)
    for _ in range(2):
        activities.send(world.work)
        world.later(HOUR)
    assert world.link(user).state == "deleted"
    assert [kind for kind, _ in told(collector)] == (["track"] if mapping == EVENTS else []) + ["delete"]
    assert counts(world)["pending"] == 0


def test_nobody_who_is_there_after_all_is_deleted_or_told_of(worlds, collector):
    world = worlds(mapping=UNTOLD)
    user = joined(world)
    world.deliver(Change("user.deleted", user, START, event_id="evt-wrong"))
    world.work_off()
    activities.send(world.work)
    assert (world.link(user).state, told(collector), counts(world)["pending"]) == ("active", [], 0)


def test_a_delete_without_a_word_outlasts_the_sinks_absence(worlds, collector):
    world = worlds(mapping=UNTOLD)
    user = joined(world)
    collector.answers = [503] * 4
    leave(world, user)
    settle_for_good(world)
    assert (collector.answers, [kind for kind, _ in told(collector)]) == ([], ["delete"])


@pytest.mark.parametrize(("status", "ends"), [(400, "sent"), (403, "refused"), (500, "refused")])
def test_deletes_without_a_word_that_fail_delay_nobody(worlds, collector, status, ends):
    world = worlds(mapping=UNTOLD, retries=Retries(attempts=3, first=1, longest=60))
    users = [world.idp.register({**USER, "email": f"{n}@example.com"}) for n in range(4)]
    world.run()
    activities.send(world.work)
    collector.deletes = status
    for one in users[:3]:
        world.idp.remove(one)
    world.run()
    for number in range(30):
        world.later(60)
        activities.send(world.work)
        logins(world, users[3], f"evt-{number}")
        activities.send(world.work)
    assert counts(world)["pending"] <= 1
    assert len([key for kind, key in told(collector) if kind == "track" and key.startswith("evt-")]) >= 29
    assert {one.state for user in users[:3] for one in of(world, user) if one.kind == "user.deleted"} == {ends}


def test_nobody_who_is_there_after_all_is_deleted(linked, collector):
    """The provider told a deletion, and shows the user when asked."""
    world, user = linked
    world.deliver(Change("user.deleted", user, START, event_id="evt-wrong"))
    world.work_off()
    activities.send(world.work)
    assert (world.link(user).state, told(collector)) == ("active", [("track", "evt-wrong")])


def test_a_deletion_that_waits_for_a_person_is_told_once_it_is_carried_out(worlds, collector):
    world = worlds()
    user = joined(world)
    link = world.link(user)
    with world.store.write() as tx:
        tx.links.notice(link.id, {"state": "held", "reason": "brake: more than 0 deletes"}, None)
    leave(world, user)
    assert told(collector) == []
    link = world.link(user)
    with world.store.write() as tx:
        repair.release(tx, link)
    world.later(HOUR)
    activities.send(world.work)
    assert [kind for kind, _ in told(collector)] == ["track", "delete"]


def test_who_asks_to_be_forgotten_before_it_went_out_is_not_told_at_all(linked, collector):
    world, user = linked
    collector.answers = [503] * 3
    leave(world, user)
    link = world.link(user)
    with world.store.write() as tx:
        forget(tx, link)
    settle_for_good(world)
    assert told(collector) == []


def test_a_sink_that_takes_no_delete_keeps_nobody_waiting_and_is_asked_once(linked, collector):
    world, user = linked
    collector.deletes = 400
    leave(world, user)
    assert [kind for kind, _ in told(collector)] == ["track"]
    assert counts(world) == {"pending": 0, "sent": 2, "refused": 0, "dropped": 0}
    assert [one.reason for one in of(world, user) if one.kind == "user.deleted"] == ["no delete: the sink does not accept it"]
    asked = len(collector.requests)
    settle_for_good(world)
    other = world.idp.register({**USER, "email": "bob@example.com"})
    world.run()
    activities.send(world.work)
    assert [message["userId"] for message in collector.messages[3:]] == [f"members:{other}"] * 2
    assert len(collector.requests) == asked + 1


def test_a_sink_that_fails_on_deletes_stops_nobody(linked, collector):
    world, user = linked
    others = [world.idp.register({**USER, "email": f"{n}@example.com"}) for n in range(3)]
    world.run()
    activities.send(world.work)
    collector.deletes = 500
    for one in (user, *others[:2]):
        world.idp.remove(one)
    world.run()
    world.later(HOUR)
    logins(world, others[2], "evt-login")
    settle_for_good(world)
    assert ("track", "evt-login") in told(collector)
    assert counts(world)["pending"] == counts(world)["refused"] == 0
    asked = len(collector.requests)
    settle_for_good(world)
    assert len(collector.requests) == asked


def test_a_delete_that_failed_goes_out_later_with_the_same_id(linked, collector):
    world, user = linked
    collector.answers = [200, 503]
    leave(world, user)
    settle_for_good(world)
    ids = [message["messageId"] for message in collector.messages if message["type"] == "delete"]
    assert len(ids) == 1
    assert counts(world) == {"pending": 0, "sent": 2, "refused": 0, "dropped": 0}


def test_nobody_appears_who_was_never_linked_or_is_being_erased(linked, collector):
    world, user = linked
    world.crm.fails = [Unavailable("down")]
    stranger = world.idp.register({**USER, "email": "bob@example.com"})
    world.run()
    logins(world, user, "evt-2")
    with world.store.write() as tx:
        tx.links.notice(world.link(user).id, {"erasure": True}, None)
    assert activities.send(world.work) == 0
    assert world.link(stranger).state == "pending"
    assert len(collector.messages) == 2


def test_a_batch_that_is_refused_is_taken_apart(linked, collector):
    world, user = linked
    collector.refuses = {"bad"}
    logins(world, user, "a", "bad", "b")
    activities.send(world.work)
    assert [message["messageId"] for message in collector.messages][2:] == ["a", "b"]
    assert counts(world) == {"pending": 0, "sent": 3, "refused": 1, "dropped": 0}
    assert [one.state for one in of(world, user) if one.event_id == "bad" and one.sink != "crm"] == ["refused"]
