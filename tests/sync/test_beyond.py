"""What a provider can never write, though the defaults say both: the field goes one way, and stops nothing else."""

import pytest

from .scenes import CREATE_USER
from .world import MAPPING, USER, World


@pytest.fixture
def world(tmp_path):
    def build(mapping):
        one = World(tmp_path, mapping=mapping)
        one.idp.unwritable = {"country": "it has no such field"}.get
        return one

    return build


def test_an_edit_in_the_crm_stays_there(world):
    world = world(MAPPING)
    user = world.idp.register(USER)
    world.run()
    contact = world.contact_of(user)
    world.idp.made.clear()
    world.crm.edit(contact, {"country": "Norway"})
    world.run()
    assert world.idp.writes == 0
    assert (world.idp.users[user].values["country"], world.crm.contacts[contact]["country"]) == ("ES", "Norway")
    assert (world.link(user).drift, world.parked()) == (("country",), [])
    world.crm.edit(contact, {"firstname": "Augusta"})
    world.run()
    assert world.idp.users[user].values["first_name"] == "Augusta"


def test_a_user_is_created_without_it(world):
    world = world(CREATE_USER)
    contact = world.crm.create({"email": "ada@example.com", "firstname": "Ada", "country": "Norway"})
    world.run()
    (user,) = world.idp.users.values()
    assert (user.values["first_name"], user.values.get("country")) == ("Ada", None)
    assert world.crm.contacts[contact]["country"] == "Norway"
    assert world.parked() == []
