"""`explain` answers from our own history: why this value, and why nothing was done."""

import pytest

from connector.model import Change
from connector.sync.explain import UnknownField, explain

from .consenting import ADA, CONSENTS, GRANTED, granted, roll
from .world import MAPPING, USER, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def told(world, user, field):
    with world.store.read() as tx:
        return explain(world.work, tx, tx.links.by_users("members", [user])[user], field)


def test_a_fields_chain_names_delivery_line_rule_values_and_answer(world):
    user = world.idp.register(USER)
    world.run()
    world.idp.edit(user, {"first_name": "Augusta"})
    world.deliver(world.idp.events.pop())
    world.run()
    found = told(world, user, "firstname")
    last, now = found["chain"][-2:]
    assert (found["value"], found["side"]) == ("Augusta", "contact")
    assert last["kind"] == "contact.update"
    assert last["delivery"].startswith("members-")
    assert last["mapping"].endswith("members.yaml:6")
    assert (last["rule"], last["base"], last["user"], last["contact"]) == ("only the user changed", "Ada", "Augusta", "Ada")
    assert last["effect"] == {"side": "contact", "property": "firstname", "from": "Ada", "to": "Augusta"}
    assert (last["answer"], now["rule"]) == ("written", "nothing is done, because both sides agree")


def test_a_user_field_is_explained_too(world):
    user = world.idp.register(USER)
    world.run()
    assert (told(world, user, "custom.tier")["value"], told(world, user, "custom.tier")["side"]) == ("gold", "user")


def test_drift_is_explained(world):
    user = world.idp.register(USER)
    world.run()
    world.crm.edit(world.contact_of(user), {"tier": "platinum"})
    world.run()
    assert "direction: to_contact leaves it" in told(world, user, "tier")["chain"][-1]["rule"]


def test_a_conflict_that_is_held_is_told_once(tmp_path):
    world = World(tmp_path, mapping=CONSENTS.replace("conflict: newest", "conflict: hold"))
    user = world.idp.register(USER)
    world.run()
    world.idp.edit(user, {"first_name": "Augusta"})
    world.crm.edit(world.contact_of(user), {"firstname": "Ida"})
    world.run()
    assert told(world, user, "firstname")["chain"][-1]["rule"] == "held: both changed; conflict: hold"


def test_a_withheld_value_is_explained(world):
    user = world.idp.register(USER | {"custom.shoe_size": 42})
    world.run()
    found = told(world, user, "shoe_size")
    assert (found["value"], found["chain"][-1]["rule"]) == (None, "nothing is done, because withheld: no consent for newsletter")


def test_what_a_grant_releases_is_not_called_a_first_link(world):
    user = world.idp.register(USER | {"custom.shoe_size": 42})
    world.run()
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    (written,) = [one for one in told(world, user, "shoe_size")["chain"] if one["effect"]]
    assert written["rule"] == "consent for newsletter is given now: the contact's blank is filled"
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "revoked")
    world.run()
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert told(world, user, "shoe_size")["chain"][-2]["rule"] == "consent for newsletter is given now: only the user changed"


def test_what_a_consent_given_at_registration_lets_through_belongs_to_the_first_link(world):
    user = world.idp.register(USER | {"custom.shoe_size": 42}, consents=[GRANTED])
    world.run()
    (written,) = [one for one in told(world, user, "shoe_size")["chain"] if one["effect"]]
    assert written["rule"] == "first link: the contact's blank is filled"


def test_a_grant_that_goes_along_to_a_new_address_says_so(world):
    user = granted(world)
    world.clock.pass_(60)
    world.idp.edit(user, {"email": "augusta@example.com"})
    world.run()
    last = [one for one in told(world, user, "newsletter")["chain"] if one["kind"] == "consent.grant"][-1]
    assert (last["effect"]["to"], last["rule"]) == ("granted", "the address is new: it gets the person's consents")


def test_a_consents_chain_starts_with_the_evidence(world):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    roll(world)
    found = told(world, user, "newsletter")
    assert (found["value"], found["side"]) == ("revoked", "both")
    assert [one["kind"] for one in found["chain"]][:2] == ["consent", "consent.grant"] or found["chain"][0]["kind"] == "consent"
    assert "revoked at" in [one for one in found["chain"] if one["kind"] == "consent"][-1]["rule"]
    assert found["chain"][-1]["rule"].startswith("revoked stands since")


def test_communicable_is_explained(world):
    user = granted(world)
    found = told(world, user, "communicable")
    assert found["value"] is True
    assert "granted: newsletter" in [one["rule"] for one in found["chain"]]


def test_a_parked_copy_of_a_consent_is_explained(world):
    user = granted(world)
    with world.store.write() as tx:
        tx.parked.put(tx.links.by_users("members", [user])[user].id, "newsletter_consent", "HubSpot refuses the value", 1)
    for name in ("newsletter_consent", "newsletter"):
        rule = told(world, user, name)["chain"][-1]["rule"]
        assert rule.endswith("; not written to newsletter_consent: parked: HubSpot refuses the value")


def test_an_option_that_marketing_took_away_is_explained_as_left_alone(tmp_path):
    world = World(tmp_path, mapping=MAPPING + "typologies: {contact: member_types, values: {press: Press}}\n")
    user = world.idp.register(USER, memberships=("press",))
    world.run()
    assert told(world, user, "typologies")["chain"][-1]["rule"] == "nothing is done, because nothing to add or remove"
    world.crm.edit(world.contact_of(user), {"member_types": ""})
    world.run()
    assert told(world, user, "typologies")["chain"][-1]["rule"] == (
        "nothing is done, because what one side lost and the other has is left alone (drift)"
    )


def test_a_held_consent_is_explained(world):
    user = granted(world)
    world.clock.pass_(60)
    world.crm.unsubscribe_all(ADA)
    roll(world)
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", "granted")
    world.run()
    assert "held: granted" in told(world, user, "newsletter")["chain"][-1]["rule"]


def test_a_link_that_ended_explains_why_nothing_is_done(world):
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    world.deliver(Change("contact.deleted", world.contact_of(user)))
    world.crm.delete(world.contact_of(user))
    world.run()
    world.later(120)
    assert "nothing is done, because the link is unlinked" in told(world, user, "firstname")["chain"][-1]["rule"]


def test_an_unknown_field_names_those_there_are(world):
    user = world.idp.register(USER)
    world.run()
    with pytest.raises(UnknownField, match="firstname"):
        told(world, user, "fristname")


@pytest.mark.parametrize(("more", "told"), [
    ({"source": None}, " (no source given: cannot lift an opt-out)"),
    ({"at": None}, "granted, says entrypoint:main (no time given: cannot lift an opt-out)"),
    ({"source": None, "at": None}, "granted (no time and no source given: cannot lift an opt-out)"),
    ({"source": None, "state": "revoked"}, " (no source given)"),
])  # fmt: skip
def test_what_a_statement_lacks_is_told(world, more, told):
    user = world.idp.register(USER, consents=[{**GRANTED, "at": world.clock().isoformat(), "source": "entrypoint:main", **more}])
    world.run()
    assert told_evidence(world, user).endswith(told)


def told_evidence(world, user):
    """What the first row of the ledger says."""
    return next(one for one in told(world, user, "newsletter")["chain"] if one["kind"] == "consent")["rule"]
