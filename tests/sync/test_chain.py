"""The chain behind a value on a contact that several links lead to, and behind what ties a link to its contact."""

import pytest

from connector.store.history import Entry
from connector.sync import repair
from connector.sync.explain import explain

from .consenting import ADA, CONSENTS
from .test_two_providers import Two, both
from .world import USER, World


@pytest.fixture
def two(tmp_path):
    return Two(tmp_path)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def told(world, user, field, provider="members"):
    with world.store.read() as tx:
        return explain(world.work, tx, tx.links.by_users(provider, [user])[user], field)


def kinds(found):
    return [(one["kind"], one["link"]) for one in found["chain"] if one["effect"]]


def test_what_another_links_user_wrote_to_the_property_is_told_in_its_place(two):
    member, customer = both(two)
    two.clock.pass_(10)
    two.shop.edit(customer, {"last_name": "King"})
    two.run()
    two.clock.pass_(10)
    two.idp.edit(member, {"last_name": "Byron"})
    two.run()
    found = told(two, member, "lastname")
    written = [
        (one["link"], one["effect"]["to"]) for one in found["chain"] if one["effect"] and one["effect"]["side"] == "contact"
    ]
    assert written == [(f"members:{member}", "Lovelace"), (f"shop:{customer}", "King"), (f"members:{member}", "Byron")]
    assert [one["at"] for one in found["chain"]] == sorted(one["at"] for one in found["chain"])
    assert not [one for one in told(two, member, "firstname")["chain"] if one["link"] == f"shop:{customer}"]


def test_who_else_wrote_the_subscription_and_its_copy_is_told(two):
    member, customer = both(two)
    two.clock.pass_(10)
    two.shop.consent(customer, "newsletter", "granted")
    two.run()
    found = told(two, member, "newsletter")
    assert ("consent.grant", f"shop:{customer}") in kinds(found)
    assert ("contact.update", f"shop:{customer}") in kinds(found)
    assert not [one for one in told(two, member, "product")["chain"] if one["link"] == f"shop:{customer}"]


def test_what_was_refused_to_the_other_link_was_not_written(two):
    member, customer = both(two)
    change = {"field": "last_name", "property": "lastname", "side": "contact", "from": None, "to": "No", "rule": "", "line": 1}
    with two.store.write() as tx:
        tx.history.add([Entry(tx.links.by_users("shop", [customer])[customer].id, "refused", changes=[change])])
    assert not [one for one in told(two, member, "lastname")["chain"] if one["link"] == f"shop:{customer}"]


def test_what_the_other_link_did_to_another_contact_is_left_out(two):
    """It was relinked to this one later."""
    member = two.idp.register(USER)
    customer = two.shop.register(USER | {"email": "other@example.com", "last_name": "King"})
    two.run()
    with two.store.read() as tx:
        links = [tx.links.by_users(*one)[one[1][0]] for one in (("shop", [customer]), ("members", [member]))]
    two.crm.check_portal = lambda: None
    repair.relink(two.work, links[0], links[1].contact_id)
    two.run()
    told_ = [one["effect"] for one in told(two, member, "country")["chain"] if one["link"] == f"shop:{customer}"]
    assert all(one["from"] for one in told_)


def test_what_the_other_link_did_before_it_was_cut_for_a_while_is_told(two):
    member, customer = both(two)
    two.clock.pass_(10)
    two.shop.edit(customer, {"last_name": "King"})
    two.run()
    with two.store.write() as tx:
        repair.unlink(tx, tx.links.by_users("shop", [customer])[customer])
    with two.store.read() as tx:
        link = tx.links.by_users("shop", [customer])[customer]
    repair.relink(two.work, link, None)
    assert ("contact.update", f"shop:{customer}") in kinds(told(two, member, "lastname"))


def test_a_merge_that_was_told_is_part_of_the_ids_chain(world):
    user = world.idp.register(USER)
    world.run()
    contact = world.contact_of(user)
    other = world.crm.create({"email": "other@example.com"})
    survivor = world.crm.merge(contact, other)
    world.run()
    (merged,) = [one for one in told(world, user, "id")["chain"] if one["kind"] == "contact.merged"]
    assert (merged["rule"], merged["delivery"][:4]) == (f"contact {contact} -> {survivor}", "crm-")


@pytest.mark.parametrize("name", ["id", "members_user_id"])
def test_the_id_is_explained_by_what_became_of_the_link(world, name):
    user = world.idp.register(USER)
    world.run()
    world.crm.edit(world.contact_of(user), {"email": "old@example.com"})
    contact = world.crm.create({"email": ADA})
    world.crm.check_portal = lambda: None
    repair.relink(world.work, world.link(user), contact)
    world.run()
    found = told(world, user, name)
    assert (found["value"], found["side"]) == (user, "user" if name == "id" else "contact")
    relinked = [one["rule"] for one in found["chain"] if one["kind"] == "relink"]
    assert relinked == [f"contact 1001 -> {contact}"]
    assert [one["effect"]["to"] for one in found["chain"] if one["effect"]] == [user, user]
    assert found["chain"][-1]["rule"] == "nothing is done, because the contact carries its user's id"


@pytest.mark.parametrize("name", ["Newsletter", "newsletter", "1002"])
def test_a_subscription_is_explained_by_its_consent(world, name):
    user = world.idp.register(USER, consents=[{"purpose": one, "state": "granted"} for one in ("newsletter", "product")])
    world.run()
    found = told(world, user, name)
    assert (found["value"], found["side"]) == ("granted", "both")
    assert "consent.grant" in [one["kind"] for one in found["chain"]]
    assert world.crm.preferences[ADA, "1002"].state == "granted"
