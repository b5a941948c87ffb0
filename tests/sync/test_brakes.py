"""Mass harm is stopped before it happens."""

from collections import Counter
from datetime import timedelta

import pytest

from connector.errors import Unavailable
from connector.model import LinkState
from connector.providers.base import Capabilities
from connector.settings import Brakes
from connector.sync import brakes, erase, reconcile, repair

from .consenting import CONSENTS, GRANTED, status
from .scenes import DELETE_USER, HOUR
from .world import USER, World

# mass harm (rule 10)


def test_deletions_of_users_are_braked_like_those_of_contacts(tmp_path):
    world = World(tmp_path, mapping=DELETE_USER, brakes=Brakes(deletes=2, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(5)]
    world.run()
    for contact in list(world.crm.contacts):
        world.crm.delete(contact)
    world.run()
    world.later(61)
    assert len(world.idp.users) == 3
    assert sorted(world.link(user).state for user in users) == ["deleted"] * 2 + ["held"] * 3


def test_a_sweep_after_everything_is_told_makes_no_write(linked):
    world, user, contact = linked
    world.idp.edit(user, {"first_name": "Augusta", "custom.interests": ["sport"]})
    world.crm.edit(contact, {"lastname": "King", "score": "3"})
    world.run()
    writes = world.crm.writes + world.idp.writes
    world.sweep()
    world.clock.now += timedelta(days=1)
    world.sweep()
    assert world.crm.writes + world.idp.writes == writes


def test_who_waited_for_a_side_goes_on_at_once_when_it_is_back(world):
    """After an hour of outage the backoff is long; the first success ends everybody's wait."""
    first, second = world.idp.register(USER), world.idp.register({**USER, "email": "bob@example.com"})
    world.deliver_all()
    world.crm.fails = [Unavailable("down")] * 1000
    for _ in range(HOUR // 60):
        world.clock.pass_(60)
        world.work_off()
    world.crm.fails = []
    link = world.link(first)
    with world.store.write() as tx:
        tx.links.notice(link.id, {}, tx.now)
    world.work_off()
    assert world.contact_of(first)
    assert world.contact_of(second)


def test_a_link_released_from_a_brake_is_stopped_by_no_brake(tmp_path):
    world = World(tmp_path, brakes=Brakes(deletes=1, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(2)]
    world.run()
    for user in users:
        world.idp.remove(user)
    world.run()
    held = [user for user in users if world.link(user).state == "held"]
    assert len(held) == 1
    link = world.link(held[0])
    with world.store.write() as tx:
        repair.release(tx, link)
    world.run()
    assert world.crm.contacts == {}


def test_two_batches_that_delete_at_once_pass_the_limit_together_no_more_than_alone(tmp_path):
    world = World(tmp_path, brakes=Brakes(deletes=1, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(2)]
    world.run()
    for user in users:
        world.idp.remove(user)
    world.deliver_all()
    with world.store.write() as tx:
        assert tx.runs.lock(brakes.LOCK, "another batch", timedelta(seconds=60))
    world.work_off()
    assert len(world.crm.contacts) == 2
    with world.store.write() as tx:
        tx.runs.unlock(brakes.LOCK, "another batch")
    world.later(2)
    assert len(world.crm.contacts) == 1


def test_blanking_beyond_the_limit_is_held_before_it_happens(tmp_path):
    world = World(tmp_path, brakes=Brakes(clears=1, clears_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    world.run()
    for user in users:
        world.idp.edit(user, {"first_name": None})
    world.run()
    cleared = [contact for contact in world.crm.contacts.values() if contact["firstname"] == ""]
    held = [world.link(user) for user in users if world.link(user).state == "held"]
    assert (len(cleared), len(held)) == (1, 2)
    assert held[0].reason == "brake: more than 1 clears in one hour (brakes.clears, brakes.clears_percent)"
    with world.store.write() as tx:
        repair.release(tx, held[0])
    world.run()
    assert len([contact for contact in world.crm.contacts.values() if contact["firstname"] == ""]) == 2


def test_a_percent_stops_no_more_than_what_goes_beyond_the_floor(tmp_path):
    """A tenth of five people is nobody at all."""
    world = World(tmp_path, brakes=Brakes(deletes=0, deletes_percent=10, floor=2))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(5)]
    world.run()
    for user in users:
        world.idp.remove(user)
    world.run()
    assert sorted(world.link(user).state for user in users) == ["deleted"] * 2 + ["held"] * 3


def test_other_changes_go_on_while_a_brake_holds_some(tmp_path):
    world = World(tmp_path, brakes=Brakes(clears=1, clears_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(3)]
    world.run()
    world.idp.edit(users[0], {"first_name": None})
    world.idp.edit(users[1], {"first_name": None})
    world.idp.edit(users[2], {"first_name": "Augusta"})
    world.run()
    assert world.crm.contacts[world.contact_of(users[2])]["firstname"] == "Augusta"


def test_erasures_that_a_provider_asks_for_are_braked(tmp_path):
    world = World(tmp_path, brakes=Brakes(deletes=2, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(5)]
    world.run()
    for user in users:
        world.idp.ask_to_be_forgotten(user)
    world.run()
    assert len(world.crm.contacts) == 3
    held = [link for user in users if (link := world.link(user)).state == "held"]
    assert len(held) == 3
    with world.store.write() as tx:
        repair.release(tx, held[0])
    world.run()
    assert len(world.crm.contacts) == 2


def test_erasures_that_a_person_asks_for_are_stopped_by_no_brake(tmp_path):
    world = World(tmp_path, brakes=Brakes(deletes=2, deletes_percent=0))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(5)]
    world.run()
    world.crm.check_portal = lambda: None
    erase.erase(world.work, [world.link(user) for user in users], world.clock.pass_)
    assert world.crm.contacts == {}


def test_withdrawals_of_held_links_are_braked_and_the_link_stays_held_for_its_own_reason(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(opt_outs=2, opt_outs_percent=0))
    emails = [f"u{number}@example.com" for number in range(5)]
    users = [world.idp.register({**USER, "email": email}, consents=[GRANTED]) for email in emails]
    world.run()
    for link in [world.link(user) for user in users]:
        with world.store.write() as tx:
            repair.hold(tx, link, "somebody looks at it")
    world.clock.pass_(10)
    for user in users:
        world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert [status(world, email=email) for email in emails].count("revoked") == 2
    stopped = [link for user in users if brakes.BRAKE in (link := world.link(user)).reason]
    assert len(stopped) == 3
    assert all(link.reason.startswith("somebody looks at it; ") for link in stopped)
    for link in stopped:
        with world.store.write() as tx:
            repair.release(tx, link)
    world.run()
    assert [status(world, email=email) for email in emails] == ["revoked"] * 5


@pytest.mark.parametrize("later", [0, 2 * HOUR], ids=["within the hour", "after it"])
def test_what_the_brake_on_opt_outs_stopped_waits_though_the_link_is_looked_at_for_something_else(tmp_path, later):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(opt_outs=1, opt_outs_percent=0))
    emails = [f"u{number}@example.com" for number in range(3)]
    users = [world.idp.register({**USER, "email": email}, consents=[GRANTED]) for email in emails]
    world.run()
    world.clock.pass_(10)
    for user in users:
        world.idp.consent(user, "newsletter", "revoked")
    world.run()
    world.clock.pass_(later)
    for link in [world.link(user) for user in users]:
        with world.store.write() as tx:
            tx.links.notice(link.id, {"recheck": True}, tx.now)
    world.run()
    assert [status(world, email=email) for email in emails].count("revoked") == 1
    assert [world.link(user).state for user in users].count(LinkState.HELD) == 2


@pytest.mark.parametrize("limit", [0, 1, 7, 50, 200])
@pytest.mark.parametrize("percent", [0.1, 0.7, 3, 5, 33.3, 100])
def test_a_percent_means_the_same_though_no_more_links_are_counted_than_matter(limit, percent):
    settings, counted = Brakes(clears=limit, clears_percent=percent, floor=3), []
    for active in (0, 1, 19, 139, 140, 141, 999, 3999, 4000, 4001, 50_000, 200_001, 500_000):

        def count(most, active=active):
            counted.append(active if most is None else min(active, most))
            return counted[-1]

        share = max(3, int(active * percent / 100))
        assert brakes._allowed(settings, "clears", count) == (min(limit, share) if limit else share)
    assert not limit or max(counted) <= limit * 100 / percent + 2


@pytest.mark.parametrize("reads", [True, False])
def test_a_listing_that_shrank_deletes_no_more_than_the_brakes_allow(tmp_path, reads):
    """Whoever is not shown is read, and not found either. Who cannot be read is left alone."""
    can = Capabilities(reads, True, True, True, True, True)
    world = World(tmp_path, idp={"capabilities": can}, brakes=Brakes(deletes=50, deletes_percent=5, floor=2))
    users = [world.idp.register({**USER, "email": f"u{number}@example.com"}) for number in range(20)]
    world.run()
    for user in users[1:]:
        world.idp.remove(user)
    world.idp.events.clear()
    reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None)
    states = Counter(world.link(user).state.value for user in users)
    assert states == ({"active": 1, "deleted": 2, "held": 17} if reads else {"active": 20})
