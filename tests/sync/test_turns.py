"""A batch makes many calls; each is made only while its link is ours, and what it is about to change is put down first."""

import pytest

from connector.crm.base import Outcome, StatusOutcome
from connector.errors import Missing, Stale, Unavailable
from connector.providers.base import Capabilities
from connector.sync import batch, intake

from .consenting import CONSENTS, GRANTED, status
from .scenes import PAST_LEASE
from .world import MAPPING, USER, World


def people(world, number=3, **values):
    users = [world.idp.register({**USER, "email": f"u{one}@example.com"}, **values) for one in range(number)]
    world.run()
    world.clock.pass_(10)
    return users


def take_over(world):
    """So much time has passed that another worker takes over whatever is due."""
    world.clock.pass_(PAST_LEASE)
    world.deliver_all()
    other = world.worker("other")
    intake.take(other)
    while world.settle(other):
        pass


def test_statuses_written_one_by_one_are_written_only_while_the_link_is_ours(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    users = people(world)
    for user in users:
        world.idp.consent(user, "newsletter", "granted")
    write = world.crm.write_statuses

    def slowly(rows, still):
        world.crm.write_statuses = write
        outcomes = write(rows[:-1], still)
        world.idp.consent(users[-1], "newsletter", "revoked")
        take_over(world)
        going = still([rows[-1].ref])
        return [*outcomes, *(write(rows[-1:]) if going else [StatusOutcome(rows[-1].ref, Stale("not sent"))])]

    world.crm.write_statuses = slowly
    world.run()
    assert [status(world, email=f"u{one}@example.com") for one in range(3)] == ["granted", "granted", "revoked"]


@pytest.mark.parametrize("erased", [0, 1])
def test_contacts_erased_one_by_one_are_erased_only_while_the_link_is_ours(tmp_path, erased):
    world = World(tmp_path, mapping=MAPPING + "lifecycle: {user_deleted: erase_contact}\n")
    users = people(world)
    back = world.idp.users[users[-1]]
    for user in users:
        world.idp.remove(user)
    erase, called = world.crm.erase, []

    def slowly(contact_id):
        called.append(contact_id)
        if len(called) == erased + 1:
            world.idp.users[users[-1]] = back
            link = world.link(users[-1])
            with world.store.write() as tx:
                tx.links.notice(link.id, {"refetch": True, "user_gone": False}, tx.now)
            take_over(world)
        return erase(contact_id)

    world.crm.erase = slowly
    world.run()
    assert world.link(users[-1]).state == "active"
    assert world.contact_of(users[-1]) in world.crm.contacts


def test_users_written_several_at_a_time_are_written_only_while_the_link_is_ours(tmp_path):
    world = World(tmp_path, idp={"capabilities": Capabilities(True, True, True, True, True, True)})
    users = people(world)
    update, called = world.idp.update, []
    for user in users:
        world.crm.edit(world.contact_of(user), {"firstname": "Augusta"})

    def slowly(user_id, values, etag):
        called.append(user_id)
        if len(called) == 1:
            world.crm.edit(world.contact_of(users[-1]), {"firstname": "Byron"})
            take_over(world)
        return update(user_id, values, None)

    world.idp.update = slowly
    world.run()
    assert world.idp.users[users[-1]].values["first_name"] == "Byron"
    assert called.count(users[-1]) == 1


def test_an_answer_about_one_consent_says_nothing_about_another_whose_answer_was_lost(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, idp={"capabilities": Capabilities()})
    (user,) = people(world, 1)
    write = world.crm.write_statuses

    def half(rows, still):
        return [
            StatusOutcome(one.ref, Unavailable("no answer")) if ":newsletter:" in one.ref else one for one in write(rows, still)
        ]

    world.crm.write_statuses = half
    world.idp.consent(user, "newsletter", "granted")
    world.idp.consent(user, "product", "granted")
    world.deliver_all()
    world.clock.pass_(1)
    world.idp.consent(user, "newsletter", "revoked")
    world.clock.pass_(4)  # that delivery is late: our write gets there first
    intake.take(world.work)
    world.settle()
    world.crm.write_statuses = write
    world.later(600)
    assert world.link(user).consents["newsletter"]["now"]["state"] == "revoked"
    assert status(world, email="u0@example.com") == "revoked"


def test_only_what_is_sent_is_put_down_as_about_to_be_written(tmp_path):
    """The grant waits for the new address; a withdrawal goes out now."""
    world = World(tmp_path, mapping=CONSENTS)
    (user,) = people(world, 1, consents=[GRANTED | {"purpose": "product"}])
    world.idp.edit(user, {"email": "new@example.com"})
    world.idp.consent(user, "newsletter", "granted")
    world.idp.consent(user, "product", "revoked")
    world.crm.loses = [Unavailable("no answer")]
    world.deliver_all()
    intake.take(world.work)
    world.settle()
    told = [change for intent in world.link(user).intent for change in intent["changes"]]
    assert [(one["field"], one["to"]) for one in told] == [("consent.product", "revoked")]


@pytest.mark.parametrize("error", [Stale("412"), Missing("404")])
def test_a_user_that_is_never_what_was_read_is_tried_with_backoff_and_parked(world, error):
    first, second = (world.idp.register({**USER, "email": email}) for email in ("ann@example.com", "ben@example.com"))
    world.run()
    update = world.idp.update
    world.idp.update = lambda user_id, *told: _raise(error) if user_id == first else update(user_id, *told)
    for user in (first, second):
        world.crm.edit(world.contact_of(user), {"firstname": "Augusta"})
    world.run()
    assert world.link(first).due_at > world.clock()
    for number in range(40):
        world.crm.edit(world.contact_of(second), {"firstname": f"Augusta {number}"})
        world.later(3700)
    assert world.parked() == [("link", f"{error}; gave up after 8 attempts")]


def _raise(error):
    raise error


def test_a_contact_that_an_update_does_not_find_is_read_before_it_is_believed_gone(tmp_path):
    world = World(tmp_path)
    (user,) = people(world, 1)
    update = world.crm.update
    world.crm.update = lambda rows, properties: [Outcome(row.ref, error=Missing("404")) for row in rows]
    world.idp.edit(user, {"first_name": "Augusta"})
    for _ in range(4):
        world.later(61)
    assert world.link(user).state == "active"
    world.crm.update = update
    world.later(600)
    assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Augusta"


def slowly(world, side, method, seconds):
    """Another worker looks what is due each time such a call was answered, which takes so long. Returns what it got."""
    plain, other, stolen = getattr(side, method), world.worker("other"), []

    def call(*given):
        world.clock.pass_(seconds)
        stolen.extend(batch.lease(other))
        return plain(*given)

    setattr(side, method, call)
    return stolen


def test_leases_are_kept_while_many_users_are_read(tmp_path):
    """100 users at 5 s each, eight at a time, take longer than a lease lasts."""
    world = World(tmp_path)
    links = [world.link(user).id for user in people(world, 100)]
    with world.store.write() as tx:
        for link in links:
            tx.links.notice(link, {"refetch": True}, tx.now)
    stolen = slowly(world, world.idp, "fetch", 5 / 8)
    assert (world.settle(), stolen) == (100, [])


def test_leases_are_kept_from_one_reading_to_the_next(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    links = [world.link(user).id for user in people(world)]
    with world.store.write() as tx:
        for link in links:
            tx.links.notice(link, {"refetch": True, "recheck": True}, tx.now)
    stolen = [slowly(world, *call) for call in ((world.idp, "fetch", 10), (world.crm, "read", 40), (world.crm, "statuses", 40))]
    assert (world.settle(), stolen) == (3, [[], [], []])
