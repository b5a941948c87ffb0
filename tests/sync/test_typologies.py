"""Typologies are added on the contact and never clobbered."""

import pytest

from .consenting import CONSENTS, GRANTED
from .scenes import HOUR
from .world import MAPPING, USER, World

TYPOLOGIES = MAPPING + "typologies: {contact: member_types, values: {consumer: Consumer, press: Press}}\n"
REMOVING = TYPOLOGIES.replace("Press}}", "Press}, remove: true}")
BOTH = TYPOLOGIES.replace("Press}}", "Press}, direction: both}")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=TYPOLOGIES)


def types(world, user):
    return set(filter(None, world.crm.contacts[world.contact_of(user)].get("member_types", "").split(";")))


def registered(world, *memberships):
    user = world.idp.register(USER, memberships=memberships)
    world.run()
    return user


def test_a_registration_carries_its_typologies(world):
    assert types(world, registered(world, "consumer")) == {"Consumer"}


def test_a_typology_gained_later_is_added(world):
    user = registered(world, "consumer")
    world.idp.join(user, "press")
    world.run()
    assert types(world, user) == {"Consumer", "Press"}


def test_what_marketing_added_survives(world):
    user = registered(world, "consumer")
    world.crm.edit(world.contact_of(user), {"member_types": "Consumer;VIP"})
    world.idp.join(user, "press")
    world.run()
    assert types(world, user) == {"Consumer", "Press", "VIP"}


def test_what_marketing_took_away_stays_away(world):
    user = registered(world, "consumer")
    world.crm.edit(world.contact_of(user), {"member_types": ""})
    world.run()
    world.idp.join(user, "press")
    world.run()
    assert types(world, user) == {"Press"}


def test_a_typology_that_is_lost_stays_on_the_contact(world):
    user = registered(world, "consumer", "press")
    world.idp.join(user, "press", active=False)
    world.run()
    assert types(world, user) == {"Consumer", "Press"}


def test_a_typology_that_is_lost_goes_where_the_mapping_says_so(tmp_path):
    world = World(tmp_path, mapping=REMOVING)
    user = registered(world, "consumer", "press")
    world.crm.edit(world.contact_of(user), {"member_types": "Consumer;Press;VIP"})
    world.idp.join(user, "press", active=False)
    world.run()
    assert types(world, user) == {"Consumer", "VIP"}
    world.idp.join(user, "consumer", active=False)
    world.run()
    assert types(world, user) == {"VIP"}


def merged(world, user, shown, told):
    """The contact is merged into another one whose typologies stand instead."""
    stray = world.crm.create({"email": "stray@example.com", "member_types": shown})
    world.crm.merge(stray, world.contact_of(user))
    if not told:
        world.crm.events.clear()
        world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    world.later(HOUR)


TOLD = pytest.mark.parametrize("told", [True, False], ids=["told", "found by reading"])


@TOLD
@pytest.mark.parametrize("mapping", [TYPOLOGIES, REMOVING, BOTH], ids=["added", "removed", "both ways"])
def test_a_merge_takes_no_typology_from_the_user_nor_from_the_contact_that_stays(tmp_path, mapping, told):
    world = World(tmp_path, mapping=mapping)
    user = registered(world, "consumer")
    merged(world, user, "Press;VIP", told)
    assert types(world, user) == {"Consumer", "Press", "VIP"}
    world.crm.edit(world.contact_of(user), {"member_types": "Press;VIP"})
    world.run()
    assert types(world, user) == {"Press", "VIP"}


@TOLD
def test_a_merge_gives_nothing_back_that_the_user_lost(tmp_path, told):
    world = World(tmp_path, mapping=BOTH)
    user = registered(world, "consumer", "press")
    world.idp.join(user, "press", active=False)
    world.run()
    merged(world, user, "Press", told)
    assert types(world, user) == {"Consumer", "Press"}
    assert [one["key"] for one in world.idp.users[user].memberships if one["active"]] == ["consumer"]


@TOLD
def test_what_the_portal_refuses_after_a_merge_is_added_later(world, told):
    """What could not be written yet does not look as if marketing had taken it away."""
    user = registered(world, "consumer")
    world.crm.refuses = {"member_types": "member_types: refused"}
    merged(world, user, "VIP", told)
    assert types(world, user) == {"VIP"}
    world.crm.refuses = {}
    world.idp.join(user, "press")
    world.run()
    world.later(HOUR)
    assert types(world, user) == {"Consumer", "Press", "VIP"}


def test_a_typology_nobody_mapped_is_ignored(world):
    assert types(world, registered(world, "consumer", "wholesale")) == {"Consumer"}


def test_an_option_the_portal_does_not_know_parks_the_property_and_never_the_person(world):
    world.crm.refuses = {"member_types": "member_types: HubSpot has no such option"}
    user = registered(world, "consumer")
    assert world.crm.contacts[world.contact_of(user)]["firstname"] == "Ada"
    assert [what for what, _ in world.parked()] == ["member_types"]
    world.crm.refuses = {}
    world.idp.join(user, "press")
    world.run()
    assert (types(world, user), world.parked()) == ({"Consumer", "Press"}, [])


def test_an_existing_contact_keeps_its_types_when_it_is_linked(world):
    contact = world.crm.create({"email": "ada@example.com", "member_types": "VIP;Press"})
    world.run()
    user = registered(world, "consumer")
    assert world.contact_of(user) == contact
    assert types(world, user) == {"Consumer", "Press", "VIP"}


def test_a_user_whose_typologies_are_not_told_loses_none(world):
    user = registered(world, "consumer")
    world.idp.users[user] = world.idp._made(user, world.idp.users[user].values, None, ())
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert types(world, user) == {"Consumer"}


@pytest.mark.parametrize("way", ["", ", direction: both", ", direction: both, remove: true"])
def test_what_marketing_added_survives_a_consent_that_changes_with_a_typology(tmp_path, way):
    """The contact's webhook is late: what was stored of it does not tell what marketing added."""
    given = "typologies: {contact: member_types, values: {consumer: Consumer, press: Press, vip: VIP}" + way + "}\n"
    world = World(tmp_path, mapping=f"{CONSENTS.rstrip()}\n{given}")
    grant = {**GRANTED, "at": "2026-10-01T00:00:00+00:00", "source": "form"}
    user = world.idp.register(USER, memberships=("consumer",), consents=[grant])
    world.run()
    world.crm.edit(world.contact_of(user), {"member_types": "Consumer;VIP"})
    world.crm.events.clear()
    world.clock.pass_(60)
    world.idp.join(user, "press")
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert types(world, user) == {"Consumer", "Press", "VIP"}
