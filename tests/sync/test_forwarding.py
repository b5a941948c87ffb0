"""Identity events that go to a second sink as well, over real HTTP."""

import pytest

from connector.errors import Unavailable
from connector.sync import activities

from ..sinks.server import Collector
from .events import EVENTS, HOUR, counts, logins, of, settle_for_good
from .world import USER, World


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def world(tmp_path, migrated_url, collector):
    forward = f", forward: [{{as: segment, url: '{collector.url}', write_key: k}}]}}\n"
    world = World(tmp_path, migrated_url, EVENTS.rstrip("}\n") + forward)
    yield world
    world.close()


@pytest.fixture
def linked(world):
    user = world.idp.register(USER)
    world.run()
    activities.send(world.work)
    return world, user


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
    assert [(message["type"], message.get("event")) for message in collector.messages][2:] == [("track", "user.deleted")]
    logins(world, user, "evt-late")
    activities.send(world.work)
    assert len(collector.messages) == 3


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
    assert counts(world) == {"pending": 0, "sent": 4, "refused": 0, "dropped": 0}
    assert [one.state for one in of(world, user) if one.event_id == "bad" and one.sink != "crm"] == ["refused"]
