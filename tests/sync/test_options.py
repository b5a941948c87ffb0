"""An option of a set that the portal lacks waits alone: the others are written, and once it is there it follows."""

import pytest

from connector.errors import Denied, Late, Rejected, Unavailable
from connector.settings import Brakes
from connector.sync import repair
from connector.sync.explain import explain
from connector.sync.options import KEPT, SOON
from connector.sync.who import shown

from .world import MAPPING, USER, World

VALUES = MAPPING.replace(
    "contact: interests, type: set}", "contact: interests, type: set, values: {film: Film, sport: Sport, opera: Opera}}"
)
BOTH = VALUES + "typologies: {contact: member_types, values: {consumer: Consumer, press: Press}}\n"
LINE, TEXT = next((number, line) for number, line in enumerate(VALUES.splitlines(), 1) if "opera" in line)
WAY_OUT = "add it there, or with: connector setup --apply --add-options"


def made(folder, mapping=BOTH, **options):
    world = World(folder, mapping=mapping)
    world.crm.options = {"interests": {"Film", "Sport"}, **options}
    return world


@pytest.fixture
def world(tmp_path):
    return made(tmp_path)


def register(world, *interests, email="ada@example.com", memberships=()):
    user = world.idp.register({**USER, "email": email, "custom.interests": list(interests)}, memberships=memberships)
    world.run()
    return user


def elements(world, user, name="interests"):
    return set(filter(None, (world.crm.contacts[world.contact_of(user)].get(name) or "").split(";")))


def retry(world):
    with world.store.write() as tx:
        repair.retry(tx, tx.parked.rows())
    world.run()


def denied_definitions(world, monkeypatch):
    """Whoever asks for definitions is denied them. Returns who asked."""
    asked = []

    def denied():
        asked.append("properties")
        raise Denied("grant the token crm.schemas.contacts.read")

    monkeypatch.setattr(world.crm, "properties", denied)
    return asked


def writes(world, work):
    before = world.crm.writes
    work()
    return world.crm.writes - before


def test_the_other_options_are_written_and_the_missing_one_is_parked(world):
    user = register(world, "film", "opera", "sport")
    assert elements(world, user) == {"Film", "Sport"}
    ((what, reason),) = world.parked()
    where = f"{world.mapping.path}:{LINE}:{TEXT.index('{film') + 1}"
    assert what == "interests"
    assert reason == f"the portal has no option 'Opera' of interests ({where}); {WAY_OUT}"


def test_so_it_is_with_an_edit(world):
    user = register(world, "film")
    world.idp.edit(user, {"custom.interests": ["opera", "sport"]})
    world.run()
    assert (elements(world, user), [what for what, _ in world.parked()]) == ({"Sport"}, ["interests"])
    assert world.idp.users[user].values["custom.interests"] == ["opera", "sport"]


def test_so_it_is_with_typologies(tmp_path):
    world = made(tmp_path, member_types={"Consumer"})
    user = register(world, "film", memberships=("consumer", "press"))
    assert elements(world, user, "member_types") == {"Consumer"}
    ((what, reason),) = world.parked()
    assert (what, "'Press' of member_types" in reason, WAY_OUT in reason) == ("member_types", True, True)
    world.crm.options["member_types"].add("Press")
    retry(world)
    assert (elements(world, user, "member_types"), world.parked()) == ({"Consumer", "Press"}, [])


def test_without_values_setup_cannot_add_it_and_is_not_named(tmp_path):
    world = made(tmp_path, MAPPING, interests={"film"})
    user = register(world, "film", "opera")
    assert elements(world, user) == {"film"}
    ((_, reason),) = world.parked()
    assert reason.endswith("; add it there")


def test_while_it_waits_nothing_is_written_and_the_user_loses_nothing(world):
    user = register(world, "film", "opera")
    for _ in range(3):
        assert writes(world, world.sweep) == 0
        world.clock.pass_(KEPT.total_seconds())
    assert world.idp.users[user].values["custom.interests"] == ["film", "opera"]
    assert world.link(user).base["custom.interests"] == ("Film",)
    with world.store.read() as tx:
        assert [row.attempts for row in tx.parked.rows()] == [1]


def test_what_marketing_takes_away_meanwhile_goes_and_what_waits_stays(world):
    user = register(world, "film", "sport", "opera")
    world.crm.edit(world.contact_of(user), {"interests": "Film"})
    world.run()
    assert world.idp.users[user].values["custom.interests"] == ["film", "opera"]
    assert [what for what, _ in world.parked()] == ["interests"]


def test_a_retry_writes_it_at_once_when_it_is_there_and_parks_it_again_when_not(world):
    user = register(world, "film", "opera")
    retry(world)
    assert (elements(world, user), len(world.parked())) == ({"Film"}, 1)
    world.crm.options["interests"].add("Opera")
    world.clock.pass_(1)
    retry(world)
    assert (elements(world, user), world.parked()) == ({"Film", "Opera"}, [])
    assert world.link(user).base["custom.interests"] == ("Film", "Opera")


@pytest.mark.parametrize("change", [
    lambda world, user: world.sweep(),
    lambda world, user: world.idp.edit(user, {"first_name": "Augusta"}),
    lambda world, user: world.crm.edit(world.contact_of(user), {"firstname": "Augusta"}),
], ids=["a sweep", "the user changes", "the contact changes"])  # fmt: skip
def test_whatever_comes_next_writes_it_once_it_is_there(world, change):
    user = register(world, "film", "opera")
    world.crm.options["interests"].add("Opera")
    world.clock.pass_(SOON.total_seconds())
    change(world, user)
    world.run()
    assert (elements(world, user), world.parked()) == ({"Film", "Opera"}, [])


def test_the_only_one_is_written_too_once_it_is_there(world):
    user = register(world, "opera")
    assert (elements(world, user), [what for what, _ in world.parked()]) == (set(), ["interests"])
    world.crm.options["interests"].add("Opera")
    world.clock.pass_(KEPT.total_seconds())
    world.sweep()
    assert (elements(world, user), world.parked()) == ({"Opera"}, [])


def test_what_is_missing_is_left_out_for_everybody_for_some_minutes_and_then_tried(world):
    register(world, "opera")
    world.clock.pass_(KEPT.total_seconds() - 1)
    register(world, "opera", "film", email="bob@example.com")
    assert (world.crm.made["upsert"], world.crm.made["properties"]) == (3, 1)
    world.crm.options["interests"].add("Opera")
    world.clock.pass_(1)
    cyd = register(world, "opera", email="cyd@example.com")
    assert (elements(world, cyd), world.crm.made["upsert"], world.crm.made["properties"]) == ({"Opera"}, 4, 1)


def test_what_is_remembered_gives_way_to_what_is_refused(world):
    register(world, "opera")
    world.crm.options["interests"].remove("Sport")
    world.clock.pass_(1)
    bob = register(world, "film", "sport", email="bob@example.com")
    assert elements(world, bob) == {"Film"}


def test_an_option_the_user_gives_up_waits_no_more(world):
    user = register(world, "film", "opera")
    world.idp.edit(user, {"custom.interests": ["film"]})
    world.run()
    assert (world.parked(), elements(world, user)) == ([], {"Film"})


def test_show_and_explain_say_so(world):
    user = register(world, "film", "opera", "chess")
    link = world.link(user)
    with world.store.read() as tx:
        told = shown(world.work, tx, link)
        chain = explain(world.work, tx, link, "interests")["chain"]
    (field,) = [one for one in told["fields"] if one["contact"] == "interests"]
    assert "held: the user's 'chess' is not in `values`; parked: the portal has no option 'Opera'" in field["state"]
    assert told["parked"][0]["reason"].endswith(WAY_OUT)
    assert "parked: the portal has no option 'Opera'" in chain[-1]["rule"]
    assert any("but for 'Opera', which the portal lacks" in one["rule"] for one in chain)


def test_a_choice_is_parked_with_the_option_that_is_missing(tmp_path):
    world = made(tmp_path, country={"Norway"})
    users = [register(world, "film", email=f"u{number}@example.com") for number in range(3)]
    assert [world.crm.contacts[world.contact_of(user)].get("country") for user in users] == [None] * 3
    reasons = {reason for what, reason in world.parked() if what == "country"}
    assert len(reasons) == 1
    assert reasons.pop().startswith("the portal has no option 'Spain' of country (")
    assert world.crm.made["properties"] == 1


def test_a_choice_is_parked_with_what_the_crm_says_when_it_has_the_option(world):
    world.crm.refuses = {"country": "country: HubSpot does not let it be written (READ_ONLY_VALUE)"}
    world.crm.options["country"] = {"Spain"}
    register(world, "film")
    assert world.parked() == [("country", "country: HubSpot does not let it be written (READ_ONLY_VALUE)")]


def test_a_choice_is_parked_with_what_the_crm_says_when_options_cannot_be_read(world, monkeypatch):
    world.crm.options["country"] = {"Norway"}
    asked = denied_definitions(world, monkeypatch)
    for number in range(3):
        register(world, "film", email=f"u{number}@example.com")
    assert world.parked() == [("country", "country: HubSpot refuses the value (INVALID_OPTION)")] * 3
    assert asked == ["properties"]


def test_another_property_that_is_refused_meanwhile_is_parked_by_itself(world):
    world.crm.options["country"] = {"Norway"}
    user = register(world, "film", "opera")
    assert sorted(what for what, _ in world.parked()) == ["country", "interests"]
    assert elements(world, user) == {"Film"}
    assert writes(world, world.sweep) == 0


def test_a_set_that_is_refused_for_another_reason_is_parked_as_a_whole(world):
    world.crm.refuses = {"interests": "interests: HubSpot does not let it be written (READ_ONLY_VALUE)"}
    user = register(world, "film", "opera")
    assert (elements(world, user), [reason[-17:] for _, reason in world.parked()]) == (set(), ["(READ_ONLY_VALUE)"])
    for _ in range(2):
        assert writes(world, world.sweep) == 0
        world.clock.pass_(KEPT.total_seconds())


def test_what_the_contact_has_is_not_taken_away_because_the_portal_has_the_option_no_more(world):
    world.crm.options["interests"].add("Opera")
    user = register(world, "opera")
    world.crm.options["interests"].remove("Opera")
    world.idp.edit(user, {"custom.interests": ["film", "opera"]})
    world.run()
    assert elements(world, user) == {"Opera"}
    assert [reason for _, reason in world.parked()] == ["interests: HubSpot refuses the value (INVALID_OPTION)"]
    assert world.idp.users[user].values["custom.interests"] == ["film", "opera"]
    assert writes(world, world.sweep) == 0


def test_while_nobody_may_see_definitions_the_property_waits_as_a_whole(world, monkeypatch):
    asked = denied_definitions(world, monkeypatch)
    user = register(world, "film", "opera")
    assert (elements(world, user), [what for what, _ in world.parked()]) == (set(), ["interests"])
    assert (writes(world, world.sweep), asked) == (0, ["properties"])
    monkeypatch.undo()
    world.clock.pass_(KEPT.total_seconds())
    world.sweep()
    assert elements(world, user) == {"Film"}


def test_while_definitions_cannot_be_read_for_a_moment_it_is_tried_again(world, monkeypatch):
    def away():
        raise Unavailable("hubspot: properties: list: 503")

    monkeypatch.setattr(world.crm, "properties", away)
    user = register(world, "film", "opera")
    assert (world.contact_of(user), world.parked()) == (None, [])
    monkeypatch.undo()
    world.later(60)
    assert (elements(world, user), len(world.parked())) == ({"Film"}, 1)


def test_many_people_who_lack_the_same_option_cost_one_refused_batch_and_one_read(world):
    for number in range(1000):
        world.idp.register({**USER, "email": f"u{number}@example.com", "custom.interests": ["film", "opera"]})
    world.deliver_all()
    world.work_off(rounds=100)
    assert world.crm.made == {"upsert": 11, "properties": 1}
    assert len(world.parked()) == 1000
    before = world.crm.made.total()
    world.clock.pass_(KEPT.total_seconds())
    world.sweep()
    assert (world.crm.made.total() - before, world.crm.made["properties"]) == (11, 2)  # ten reads of contacts, one of options


def test_what_is_blanked_only_because_the_portal_lacks_an_option_meets_the_brake(tmp_path):
    """The one option of each property gives way to one that cannot be written."""
    world = World(tmp_path, mapping=MAPPING, brakes=Brakes(clears=1, clears_percent=0))
    world.crm.options = {"interests": {"film", "sport"}}
    users = [world.idp.register({**USER, "email": f"u{n}@example.com"}) for n in range(6)]
    world.run()
    for user in users:
        world.idp.edit(user, {"custom.interests": ["opera"]})
    world.run()
    assert sum(not elements(world, user) for user in users) == 1


def test_a_portal_that_refuses_to_tell_its_options_holds_up_nobody(world):
    user = register(world, "film", "opera")
    world.crm.properties = refuses
    world.clock.pass_(KEPT.total_seconds())
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Augusta"


def refuses():
    raise Rejected("400")


def test_an_option_that_is_added_while_our_write_waits_is_not_lost(world):
    user = register(world, memberships=["consumer"])
    contact = world.contact_of(user)
    write = world.crm.update

    def later(rows, properties):
        world.crm.update = write
        world.crm.edit(contact, {"member_types": "Consumer;Marketing"})
        world.crm.events.clear()
        raise Late("no calls left for the moment", retry_in=5)

    world.crm.update = later
    world.idp.join(user, "press")
    world.run()
    assert elements(world, user, "member_types") == {"Consumer", "Marketing", "Press"}
    assert world.link(user).failed_since is None
