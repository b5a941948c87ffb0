"""The entry point of a consent, taken from the delivery that told of it: never from one that may be about something else."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connector.errors import Unavailable
from connector.model import Change, ConsentState, Statement
from connector.providers.base import Capabilities
from connector.providers.druid.events import Events
from connector.sync import entrypoints
from connector.sync.entrypoints import SAME_MOMENT

from .consenting import ADA, CONSENTS, GRANTED, roll
from .scenes import BOB, HOUR, RECEIVE_ONLY
from .world import START, USER, World

LATER = START + SAME_MOMENT + timedelta(seconds=1)
YES, UNTIMED = Statement(ConsentState.GRANTED, START, "form"), Statement(ConsentState.GRANTED, None, "form")


def told(kind="consent.granted", at=START, entry_point="shop"):
    return Change(kind, "u-1", at, details={} if entry_point is None else {"entry_point": entry_point})


@pytest.mark.parametrize(
    ("changes", "said", "found"),
    [
        pytest.param([told()], YES, "shop", id="an event about it"),
        pytest.param([told("user.created")], UNTIMED, "shop", id="a registration"),
        pytest.param([told("user.updated")], YES, "shop", id="an edit of that moment"),
        pytest.param(
            [told(), told("user.updated", None, "app")], YES, None, id="an edit elsewhere that nobody knows the time of"
        ),
        pytest.param([told(entry_point=7)], YES, "7", id="a number"),
        pytest.param([told(entry_point=" ")], YES, None, id="a blank"),
        pytest.param([told(entry_point=True)], YES, None, id="a truth value"),
        pytest.param([told(entry_point=None)], YES, None, id="it names none"),
        pytest.param([], YES, None, id="no delivery"),
        pytest.param([told("user.updated")], UNTIMED, None, id="an edit, and nobody knows when it was decided"),
        pytest.param([told("user.updated", None)], YES, None, id="an edit nobody knows the time of"),
        pytest.param([told("consent.revoked")], UNTIMED, None, id="an event about the contrary"),
        pytest.param([told(at=LATER)], YES, None, id="an event of another time"),
        pytest.param([told("user.login")], YES, None, id="a login"),
        pytest.param([told(), told("user.login", START, "app")], YES, "shop", id="a login elsewhere does not matter"),
        pytest.param([told(), told("user.updated", LATER, "app")], YES, "shop", id="nor does an edit elsewhere at another time"),
        pytest.param([told(), told("user.updated", START, "app")], YES, None, id="two that name different ones"),
        pytest.param([told(), told("user.updated", START, None)], YES, None, id="two of which one names none"),
        pytest.param([told(), told("user.updated", LATER, "app")], UNTIMED, None, id="two, and nobody knows when it was decided"),
        pytest.param([told(), told("user.updated")], YES, "shop", id="two that name the same"),
    ],
)
def test_what_deliveries_name(changes, said, found):
    assert entrypoints.named(changes, said) == found


def test_a_registration_at_druid_names_its_entry_point():
    body = b'{"event": "register", "objectId": "a1b2", "entrypoint_id": "100200300-main"}'
    assert entrypoints.named([Events().change(body, {})], UNTIMED) == "100200300-main"


@pytest.fixture(params=[RECEIVE_ONLY, {}], ids=["told whole", "read"])
def world(request, tmp_path):
    return World(tmp_path, mapping=CONSENTS, idp=request.param)


def at(world, entry_point, kind=None):
    """What happened last at the provider happened at this entry point."""
    event = world.idp.events[-1]
    details = {} if entry_point is None else {"entry_point": entry_point}
    world.idp.events[-1] = replace(event, details=details, kind=kind or event.kind)


def registered(world, **entry):
    """Somebody who registered at the shop."""
    user = world.idp.register(USER, consents=[GRANTED | entry])
    at(world, "shop")
    world.run()
    return user


def proof(world, user):
    link = world.link(user)
    with world.store.read() as tx:
        assert tx.ledger.verify() == []
        return [(row.purpose, row.state.value, row.entry_point) for row in tx.ledger.of_link(link.id)]


def test_a_consent_of_a_registration_has_its_entry_point(world):
    assert proof(world, registered(world)) == [("newsletter", "granted", "shop")]


def test_what_the_entry_tells_counts(world):
    assert proof(world, registered(world, entry_point="app")) == [("newsletter", "granted", "app")]


def test_each_change_has_its_own(world):
    user = registered(world)
    for state, entry_point in (("revoked", "app"), ("granted", None), ("revoked", "kiosk")):
        world.clock.pass_(HOUR)
        world.idp.consent(user, "newsletter", state)
        at(world, entry_point)
        world.run()
    assert [row[2] for row in proof(world, user)] == ["shop", "app", None, "kiosk"]


def test_what_was_dealt_with_does_not_matter(world):
    user = registered(world)
    world.clock.pass_(HOUR)
    world.idp.consent(user, "newsletter", "revoked", at=None)
    at(world, "app")
    world.run()
    assert proof(world, user)[1:] == [("newsletter", "revoked", "app")]


def test_nor_does_what_others_did(world):
    world.idp.register(BOB)
    at(world, "app")
    assert proof(world, registered(world)) == [("newsletter", "granted", "shop")]


def test_a_consent_that_stays_is_not_written_anew(world):
    user = registered(world)
    world.clock.pass_(HOUR)
    world.idp.consent(user, "product", "granted")
    at(world, "app")
    world.run()
    assert proof(world, user) == [("newsletter", "granted", "shop"), ("product", "granted", "app")]


def test_a_change_learnt_with_somebody_elses_word_has_none(world):
    """The event about it was lost; an edit at another entry point, an hour later, shows it."""
    user = registered(world)
    world.clock.pass_(HOUR)
    world.idp.consent(user, "newsletter", "revoked")
    world.idp.events.clear()
    world.clock.pass_(HOUR)
    world.idp.edit(user, {"first_name": "Augusta"})
    at(world, "app")
    world.run()
    assert proof(world, user)[1:] == [("newsletter", "revoked", None)]


def test_two_entry_points_at_the_same_moment_give_none(world):
    user = registered(world)
    world.clock.pass_(HOUR)
    world.idp.consent(user, "newsletter", "revoked")
    at(world, "app")
    world.clock.pass_(1)
    world.idp.edit(user, {"first_name": "Augusta"})
    at(world, "kiosk")
    world.run()
    assert proof(world, user)[1:] == [("newsletter", "revoked", None)]


def test_a_delivery_that_came_while_the_last_was_settled_counts(world):
    user = registered(world)
    world.clock.pass_(HOUR)
    world.idp.edit(user, {"first_name": "Augusta"})
    at(world, "shop")

    def meanwhile():
        world.clock.pass_(15)
        world.idp.consent(user, "newsletter", "revoked")
        at(world, "app")
        world.deliver_all()
        world.clock.pass_(5)

    world.crash_at("contact.update", meanwhile)
    world.run()
    assert proof(world, user)[1:] == [("newsletter", "revoked", "app")]


def test_a_delivery_that_could_not_be_settled_at_once_counts(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    user = world.idp.register(USER, consents=[GRANTED])
    at(world, "shop")
    world.crm.fails = [Unavailable("500")]
    world.run()
    world.later(HOUR)
    assert proof(world, user) == [("newsletter", "granted", "shop")]


def test_an_opt_out_in_the_crm_has_none_whatever_happens_at_the_provider_at_that_moment(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    user = registered(world)
    world.clock.pass_(HOUR)
    world.crm.prefer(ADA, "Newsletter", granted=False)
    world.idp.edit(user, {"first_name": "Augusta"})
    at(world, "app")
    world.run()
    roll(world)
    assert proof(world, user)[1:] == [("newsletter", "revoked", None)]


def test_a_delivery_that_cannot_be_read_any_more_costs_the_entry_point_only(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, idp={"capabilities": Capabilities(read=True)})
    user = world.idp.register(USER, consents=[GRANTED])
    at(world, "shop")
    world.crash_at("leased", world.idp.told.clear)
    world.run()
    assert proof(world, user) == [("newsletter", "granted", None)]


def test_an_erasure_takes_it_along(world):
    user = registered(world)
    world.idp.ask_to_be_forgotten(user)
    world.run()
    with world.store.read() as tx:
        assert [row.entry_point for row in tx.ledger.of_subject("members", user)] == [None]
        assert tx.ledger.verify() == []
