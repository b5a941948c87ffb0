"""`typologies.direction: both`: what marketing adds to the contact becomes a membership of the user."""

from dataclasses import replace

import pytest

from connector.errors import Forbidden, Missing, Stale
from connector.settings import Brakes
from connector.sync import batch, intake, reconcile
from connector.sync.who import field_state, shown

from .scenes import PAST_LEASE, crash, recover
from .test_two_providers import Two
from .test_typologies import TYPOLOGIES, registered, types
from .world import USER, Crash, World

BOTH = TYPOLOGIES.replace("Press}}", "Press}, direction: both}")
TAKING = TYPOLOGIES.replace("Press}}", "Press}, direction: both, remove: true}")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=BOTH)


@pytest.fixture
def taking(tmp_path):
    return World(tmp_path, mapping=TAKING)


def members(world, user):
    return {one["key"] for one in world.idp.users[user].memberships if one["active"]}


def marked(world, user, options):
    """Marketing sets the contact's property."""
    world.crm.edit(world.contact_of(user), {"member_types": options})
    world.run()


def calls(world):
    return world.idp.made["set_membership"]


def test_what_marketing_adds_becomes_a_membership(world):
    user = registered(world, "consumer")
    marked(world, user, "Consumer;Press")
    assert (members(world, user), types(world, user)) == ({"consumer", "press"}, {"Consumer", "Press"})
    world.sweep()
    assert calls(world) == 1


def test_one_way_gives_nothing(tmp_path):
    world = World(tmp_path, mapping=TYPOLOGIES)
    user = registered(world, "consumer")
    marked(world, user, "Consumer;Press")
    assert (members(world, user), calls(world)) == ({"consumer"}, 0)


def test_an_option_nobody_mapped_stays_on_the_contact_and_gives_nothing(world):
    user = registered(world, "consumer")
    marked(world, user, "Consumer;VIP")
    assert (members(world, user), types(world, user), calls(world)) == ({"consumer"}, {"Consumer", "VIP"}, 0)
    assert world.link(user).held == {}


def test_what_marketing_takes_away_is_not_taken_from_the_user(world):
    user = registered(world, "consumer", "press")
    marked(world, user, "Consumer")
    assert (members(world, user), types(world, user), calls(world)) == ({"consumer", "press"}, {"Consumer"}, 0)


def test_with_remove_it_is(taking):
    user = registered(taking, "consumer", "press")
    marked(taking, user, "Consumer")
    assert (members(taking, user), types(taking, user)) == ({"consumer"}, {"Consumer"})
    taking.sweep()
    assert calls(taking) == 1


def test_what_the_user_loses_is_not_given_back(world, taking):
    for one, left in ((world, {"Consumer", "Press"}), (taking, {"Consumer"})):
        user = registered(one, "consumer", "press")
        one.idp.join(user, "press", active=False)
        one.run()
        one.sweep()
        assert (members(one, user), types(one, user), calls(one)) == ({"consumer"}, left, 0)


def test_both_sides_at_once(taking):
    user = registered(taking, "consumer")
    taking.idp.join(user, "press")
    marked(taking, user, "")
    assert (members(taking, user), types(taking, user)) == ({"press"}, {"Press"})


def test_an_existing_contact_brings_its_typologies_when_it_is_linked(world):
    world.crm.create({"email": "ada@example.com", "member_types": "VIP;Press"})
    user = registered(world, "consumer")
    assert members(world, user) == {"consumer", "press"}


def test_what_the_contact_may_have_from_us_gives_nothing(world):
    """The worker dies after its write, and the user has lost the membership since."""
    user = registered(world, "consumer")
    world.idp.join(user, "press")
    crash(world, "contact.update")
    assert types(world, user) == {"Consumer", "Press"}
    world.idp.join(user, "press", active=False)
    world.deliver_all()
    recover(world)
    assert (members(world, user), calls(world)) == ({"consumer"}, 0)


@pytest.mark.parametrize("how", ["refuses", "noop"])
def test_what_the_provider_does_not_do_is_parked_and_the_rest_goes_on(world, how):
    user = registered(world)
    setattr(world.idp, how, {"typologies.press"})
    marked(world, user, "Consumer;Press")
    assert members(world, user) == {"consumer"}
    assert [what for what, _ in world.parked()] == ["user.typologies.press"]
    tried = calls(world)
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    world.idp.edit(user, {"first_name": "Ada"})
    world.run()
    assert (calls(world), [what for what, _ in world.parked()]) == (tried, ["user.typologies.press"])
    marked(world, user, "Consumer")
    assert world.parked() == []
    setattr(world.idp, how, set())
    marked(world, user, "Consumer;Press")
    assert members(world, user) == {"consumer", "press"}


def test_a_provider_that_gives_none_is_not_asked(tmp_path):
    from connector.providers.base import Capabilities

    world = World(tmp_path, mapping=BOTH, idp={"capabilities": Capabilities(read=True, list=True, update=True)})
    user = registered(world, "consumer")
    marked(world, user, "Consumer;Press")
    assert (members(world, user), calls(world)) == ({"consumer"}, 0)


def test_the_history_tells(world):
    user = registered(world)
    marked(world, user, "Press")
    [change] = [one for one in world.history(user) if one["field"] == "typologies" and one["side"] == "user"]
    assert (change["from"], change["to"], change["rule"]) == (None, "press", "changed in the CRM: added")
    assert change["line"] > 0


def test_memberships_taken_beyond_the_brake_stop(tmp_path):
    world = World(tmp_path, mapping=TAKING, brakes=Brakes(clears=1, clears_percent=0))
    users = [world.idp.register({**USER, "email": f"u{n}@example.com"}, memberships=("press", "consumer")) for n in range(3)]
    world.run()
    for user in users:
        marked(world, user, "Consumer")
    assert [len(members(world, user)) for user in users] == [1, 2, 2]
    held = [world.link(user).reason for user in users[1:]]
    assert all("brakes.clears" in reason for reason in held)


def test_a_user_who_is_gone_meanwhile_is_looked_at_again(world):
    user = registered(world)
    give = world.idp.set_membership

    def gone(*asked):
        world.idp.set_membership = give
        raise Missing("gone")

    world.idp.set_membership = gone
    marked(world, user, "Press")
    world.run()
    assert members(world, user) == {"press"}


def test_a_membership_at_one_provider_reaches_the_other_by_way_of_the_contact(tmp_path):
    two = Two(tmp_path, mapping=TAKING)
    member = two.idp.register(USER, memberships=("press",))
    two.run()
    customer = two.shop.register(USER)
    two.run()

    def held():
        return [{one["key"] for one in idp.users[user].memberships if one["active"]} for idp, user in sides]

    sides = ((two.idp, member), (two.shop, customer))
    assert held() == [{"press"}, {"press"}]
    two.shop.join(customer, "press", active=False)
    two.shop.join(customer, "consumer")
    two.run()
    assert held() == [{"consumer"}, {"consumer"}]
    before = two.writes
    two.run()
    two.sweep()
    assert two.writes == before


def test_an_option_the_portal_lacks_is_nothing_marketing_took_away(taking):
    """Press cannot be shown on the contact; the user keeps it all the same."""
    taking.crm.options = {"member_types": {"Consumer", "VIP"}}
    user = registered(taking, "press")
    marked(taking, user, "Consumer")
    assert (members(taking, user), types(taking, user)) == ({"consumer", "press"}, {"Consumer"})
    marked(taking, user, "")
    assert members(taking, user) == {"press"}


def test_what_both_sides_lost_can_be_given_again(world):
    user = registered(world, "consumer", "press")
    world.idp.join(user, "press", active=False)
    world.run()
    marked(world, user, "Consumer")
    marked(world, user, "Consumer;Press")
    assert members(world, user) == {"consumer", "press"}


def test_what_the_user_gains_anew_is_added_anew(world):
    user = registered(world, "consumer", "press")
    world.idp.join(user, "press", active=False)
    world.run()
    marked(world, user, "Consumer")
    world.idp.join(user, "press")
    world.run()
    assert types(world, user) == {"Consumer", "Press"}


@pytest.mark.parametrize("error", [Missing, Stale])
def test_an_answer_that_was_heard_is_not_told_as_unheard(world, error):
    user = registered(world)
    give = world.idp.set_membership

    def refuses(*asked):
        world.idp.set_membership = give
        raise error("no")

    world.idp.set_membership = refuses
    marked(world, user, "Press")
    assert members(world, user) == {"press"}
    with world.store.read() as tx:
        assert "unheard" not in [entry.kind for entry in tx.history.of_link(world.link(user).id)]


def test_a_parked_membership_shows(world):
    user = registered(world)
    world.idp.refuses = {"typologies.press"}
    marked(world, user, "Press")
    rule = next(one for one in world.mapping.rules if one.user == "typologies")
    with world.store.read() as tx:
        assert field_state(rule, world.link(user), tx.parked.rows()) == "parked: no such plan"


def test_a_reconcile_counts_it(world):
    user = registered(world)
    world.crm.edit(world.contact_of(user), {"member_types": "Press"})
    world.crm.events.clear()
    told = reconcile.reconcile(world.work, world.doze, ["members"], lambda *told: None)
    assert (members(world, user), told.summary["updates"], told.summary["unchanged"]) == ({"press"}, 1, 0)


def test_what_else_the_provider_gave_meanwhile_is_not_lost(tmp_path):
    world = World(tmp_path, mapping=BOTH.replace("consumer: Consumer", "consumer: Consumer, vip: VIP"))
    user = registered(world, "consumer")
    give = world.idp.set_membership

    def meanwhile(user_id, key, held, etag):
        world.idp.set_membership = give
        world.idp.join(user, "vip")
        world.idp.events.clear()  # nobody tells
        return give(user_id, key, held, None)

    world.idp.set_membership = meanwhile
    marked(world, user, "Consumer;Press")
    assert types(world, user) == {"Consumer", "Press", "VIP"}


@pytest.mark.parametrize("after", [{"Press"}, {"Consumer", "Press"}], ids=["taken back", "left"])
def test_a_gift_whose_worker_died_counts_as_agreed(taking, after):
    """The worker dies after the first of two; marketing takes that one back meanwhile, or not."""
    user = registered(taking)
    give, calls = taking.idp.set_membership, []

    def dies(*asked):
        calls.append(asked)
        if len(calls) == 2:
            raise Crash("membership")
        return give(*asked)

    taking.idp.set_membership = dies
    with pytest.raises(Crash):
        marked(taking, user, "Consumer;Press")
    taking.idp.set_membership = give
    taking.crm.edit(taking.contact_of(user), {"member_types": ";".join(sorted(after))})
    recover(taking)
    taking.run()
    assert ({one.title() for one in members(taking, user)}, types(taking, user)) == (after, after)


def test_who_lost_the_link_gives_nothing(world):
    """A successor took over: rule 6."""
    user = registered(world)
    world.crm.edit(world.contact_of(user), {"member_types": "Press"})
    world.deliver_all()
    while intake.take(world.work):
        pass
    links = batch.lease(world.work)
    update = world.crm.read

    def slow(*asked):
        world.clock.pass_(PAST_LEASE)
        batch.lease(world.worker("other"))
        return update(*asked)

    world.crm.read = slow
    batch.settle(world.work, links)
    assert (members(world, user), calls(world)) == (set(), 0)


def test_the_user_is_read_before_anything_is_given(world):
    """What is stored may be older than what the person has now."""
    user = registered(world)
    world.idp.join(user, "press")
    world.idp.events.clear()  # nobody tells
    marked(world, user, "Press")
    assert (members(world, user), calls(world)) == ({"press"}, 0)


def test_a_membership_that_can_never_be_given_is_not_asked_for(world):
    world.idp.unwritable_membership = lambda key: "it is sold" if key == "press" else None
    user = registered(world)
    marked(world, user, "Consumer;Press")
    assert (members(world, user), world.parked()) == ({"consumer"}, [])


def test_a_refusal_to_give_is_over_when_the_user_has_it_and_loses_it(taking):
    """Parked is what was wanted then; the other way round is another matter."""
    user = registered(taking)
    taking.idp.refuses = {"typologies.press"}
    marked(taking, user, "Press")
    assert [what for what, _ in taking.parked()] == ["user.typologies.press"]
    taking.idp.refuses = set()
    taking.idp.join(user, "press")
    taking.run()
    marked(taking, user, "")
    assert (members(taking, user), taking.parked()) == (set(), [])


def test_what_was_given_beside_a_refusal_can_be_taken_again(taking):
    """The provider does not tell of what we gave."""
    user = registered(taking)
    taking.idp.refuses = {"typologies.press"}
    taking.crm.edit(taking.contact_of(user), {"member_types": "Consumer;Press"})
    taking.deliver_all()
    taking.work_off()
    taking.idp.events.clear()
    assert members(taking, user) == {"consumer"}
    marked(taking, user, "")
    assert (members(taking, user), types(taking, user)) == (set(), set())


def test_the_first_one_of_a_user_of_whom_none_is_told(world):
    """A server leaves out what is empty."""
    user = registered(world)
    world.idp.users[user] = replace(world.idp.users[user], memberships=None)
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert world.link(user).user.memberships is None
    marked(world, user, "Press")
    assert members(world, user) == {"press"}
    world.sweep()
    assert (calls(world), world.parked()) == (1, [])


def test_show_tells_that_it_goes_both_ways_and_what_the_user_has_now(world):
    user = registered(world)
    marked(world, user, "Press")
    with world.store.read() as tx:
        told = shown(world.work, tx, world.link(user))
    [field] = [one for one in told["fields"] if one["user"] == "typologies"]
    assert (field["direction"], field["state"]) == ("both", "agreed")
    assert list(field["user_value"]) == list(field["contact_value"]) == ["Press"]


def test_one_that_is_not_ours_to_give_is_parked_alone(world):
    """Keycloak, for one, answers 403 to a role that the client may not map."""
    user = registered(world)
    give = world.idp.set_membership

    def guarded(user_id, key, held, etag):
        if key == "press":
            raise Forbidden("members: set a membership of user u-1: 403")
        return give(user_id, key, held, etag)

    world.idp.set_membership = guarded
    marked(world, user, "Consumer;Press")
    assert (members(world, user), world.link(user).failed_since) == ({"consumer"}, None)
    assert world.parked() == [("user.typologies.press", "members: set a membership of user u-1: 403")]
