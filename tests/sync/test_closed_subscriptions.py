"""Portals whose subscription statuses cannot be read, or not for a while."""

import pytest

from connector.errors import Denied, Missing, Rejected, Unavailable
from connector.model import UNTOLD, ConsentState, Statement
from connector.sync import intake, subscriptions, sweep

from .consenting import ADA, CONSENTS, GRANTED, consent, contact, granted, roll, status
from .fakes import TYPES
from .scenes import HOUR
from .test_two_providers import Two
from .world import MAPPING, USER, World, read_mapping

LIST = "hubspot: subscription types: list"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, mapping=CONSENTS)


def paused(world):
    with world.store.read() as tx:
        return subscriptions.lag(tx, 900)["paused"]


def test_who_is_not_subscribed_any_more_has_opted_out_where_the_crm_cannot_tell(world):
    """HubSpot's v3 has no times and says "not subscribed" to both, opted out and never asked."""
    user = granted(world)
    never = world.idp.register(USER | {"email": "never@example.com"})
    world.run()
    world.crm.preferences.clear()
    told = dict.fromkeys(("1001", "1002"), Statement(ConsentState.UNKNOWN, source=UNTOLD))
    world.crm.statuses = lambda emails: dict.fromkeys(emails, told)
    roll(world)
    assert (consent(world, user), consent(world, never)) == ("revoked", None)
    assert contact(world, user)["communicable"] == "false"


class TestWithoutStatusScopes:
    """The portal or the token lets nobody see statuses: the property is the way to and fro."""

    @pytest.fixture
    def world(self, tmp_path):
        world = World(tmp_path, mapping=CONSENTS)
        world.crm.denied = Denied("grant the scope communication_preferences.read_write", retry_in=60)
        return world

    def test_the_property_follows_the_consent(self, world):
        user = granted(world)
        assert contact(world, user)["newsletter_consent"] == "true"
        assert status(world) is None

    def test_the_consent_follows_the_property(self, world):
        user = granted(world)
        world.clock.pass_(60)
        world.crm.edit(world.contact_of(user), {"newsletter_consent": "false"})
        world.run()
        assert consent(world, user) == "revoked"
        world.clock.pass_(60)
        world.crm.edit(world.contact_of(user), {"newsletter_consent": "true"})
        world.run()
        assert consent(world, user) == "granted"

    def test_it_is_shown(self, world):
        granted(world)
        assert "grant the scope" in paused(world)


def test_scopes_granted_later_are_used(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    world.crm.denied = Denied("grant it", retry_in=60)
    user = granted(world)
    world.crm.denied = None
    world.work = world.worker("restarted")
    world.sweep()
    assert status(world) == "granted"
    assert contact(world, user)["communicable"] == "true"


def test_scopes_that_come_back_are_used_for_what_was_owed(world, monkeypatch):
    """One link tries; once it got through, all the others follow."""
    monkeypatch.setattr("connector.sync.types.SOON", 0)
    monkeypatch.setattr(subscriptions, "PROBES", 1)
    emails = (ADA, "bob@example.com", "cyd@example.com")
    users = [world.idp.register(USER | {"email": email}, consents=[GRANTED]) for email in emails]
    world.run()
    world.clock.pass_(60)
    world.crm.denied = Denied("grant the scope", retry_in=60)
    world.work = world.worker("restarted")
    for user in users:
        world.idp.consent(user, "newsletter", "revoked")
    world.run()
    assert (status(world), contact(world, users[0])["communicable"]) == ("granted", "false")
    world.crm.denied = None
    world.clock.pass_(60)
    roll(world)
    assert {said.state.value for said in world.crm.preferences.values()} == {"revoked"}


@pytest.mark.parametrize("error", [Missing(f"{LIST}: 404"), Rejected(f"{LIST}: 400")], ids=["404", "400"])
def test_types_that_are_refused_for_good_hold_up_consents_alone(world, monkeypatch, error):
    monkeypatch.setattr("connector.sync.types.SOON", 0)
    world.crm.denied = error
    user = granted(world)
    world.idp.edit(user, {"first_name": "Augusta"})
    world.run()
    assert (contact(world, user)["firstname"], status(world), world.parked()) == ("Augusta", None, [])
    with world.store.read() as tx:
        assert tx.cursors.get(subscriptions.PAUSED + "members")[0] == str(error)
    world.crm.denied = None
    world.clock.pass_(60)
    roll(world)
    assert status(world) == "granted"


def test_a_large_base_is_rung_some_at_a_time(world, monkeypatch):
    monkeypatch.setattr(subscriptions, "SLICE", 2)
    users = [world.idp.register(USER | {"email": f"u{one}@example.com"}, consents=[GRANTED]) for one in range(5)]
    world.run()
    links = [world.link(user).id for user in users]
    with world.store.write() as tx:
        for link in links:
            tx.links.notice(link, {"recheck": True}, None)
    subscriptions.closed(world.work, "members", "grant the scope")
    subscriptions.closed(world.work, "members", "")
    rung = []
    for _ in range(4):
        with world.store.read() as tx:
            rung.append(tx.links.waiting())
        sweep.sweep(world.work)
    assert rung == [2, 4, 5, 5]


def test_while_closed_again_nobody_is_rung(world, monkeypatch):
    monkeypatch.setattr(subscriptions, "SLICE", 1)
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    subscriptions.closed(world.work, "members", "grant the scope")
    subscriptions.closed(world.work, "members", "")
    subscriptions.closed(world.work, "members", "grant it again")
    link = world.link(user).id
    with world.store.write() as tx:
        tx.links.notice(link, {"recheck": True}, None)
    assert subscriptions.ring_owed(world.work) == 0


def test_a_subscription_type_that_vanished_is_shown_and_the_rest_goes_on(tmp_path):
    world = World(tmp_path, mapping=CONSENTS.replace("subscription: Newsletter", "subscription: Gone"))
    user = world.idp.register(USER, consents=[GRANTED, {"purpose": "product", "state": "granted"}])
    world.run()
    assert (status(world), status(world, "1002"), contact(world, user)["firstname"]) == (None, "granted", "Ada")
    assert "no subscription type 'Gone'" in paused(world)


class TestOneOfTwoMappings:
    """Shop's names a type that the portal does not have; members' has all it names."""

    @pytest.fixture
    def two(self, tmp_path, monkeypatch):
        monkeypatch.setattr("connector.sync.types.KEPT", 0)
        two = Two(tmp_path)
        two.work.mappings["shop"] = read_mapping(tmp_path, CONSENTS.replace('"1002"', '"1003"'))
        for number in range(3):
            two.shop.register({**USER, "email": f"s{number}@example.com"}, consents=[{**GRANTED, "purpose": "product"}])
        two.idp.register(USER, consents=[GRANTED])
        two.run()
        return two

    def looks(self, two, provider="shop"):
        """How often a worker took a link of the provider."""
        with two.store.read() as tx:
            return sum(link.token for link in tx.links.page(provider, 0, 100))

    def test_its_people_are_not_rung_for_again_and_again(self, two):
        before = self.looks(two)
        for yes in (False, True) * 3:
            two.clock.pass_(HOUR)
            two.crm.prefer(ADA, "Newsletter", yes)
            roll(two)
            sweep.sweep(two.work)
            two.run()
        assert (self.looks(two), self.looks(two, "members") > 6) == (before, True)

    def test_it_is_shown_while_the_others_go_on(self, two):
        two.crm.prefer(ADA, "Newsletter", False)
        roll(two)
        assert "no subscription type '1003'" in paused(two)
        with two.store.read() as tx:
            assert list(subscriptions.paused(tx)) == ["shop"]

    def test_once_the_portal_has_it_all_of_its_people_are_seen_to(self, two, monkeypatch):
        monkeypatch.setattr(subscriptions, "PROBES", 1)
        monkeypatch.setattr(two.crm, "subscription_types", lambda: {**TYPES, "1003": "Offers"})
        roll(two)
        assert [status(two, "1003", f"s{number}@example.com") for number in range(3)] == ["granted"] * 3
        assert paused(two) is None

    def test_what_is_closed_to_both_is_told_once(self, two):
        two.crm.denied = Denied("grant the scope", retry_in=60)
        for idp in (two.idp, two.shop):
            idp.register({**USER, "email": f"{idp.name}@example.com"}, consents=[GRANTED])
        two.run()
        assert paused(two) == "grant the scope"

    def test_once_the_mapping_names_none_it_is_not_shown_any_more(self, two, tmp_path):
        two.work.mappings["shop"] = read_mapping(tmp_path, MAPPING)
        roll(two)
        assert paused(two) is None

    def test_once_the_provider_is_gone_it_is_not_shown_any_more(self, two):
        del two.work.mappings["shop"]
        roll(two)
        assert paused(two) is None


def test_a_type_that_two_consents_name_is_the_first_ones_alone(tmp_path):
    """By name and by id: nothing shows that before the portal is asked. The other consent goes without, and hears nothing."""
    world = World(tmp_path, mapping=CONSENTS.replace('"1002"', '"1001"'))
    user = world.idp.register(USER, consents=[{**GRANTED, "state": "revoked"}, {"purpose": "product", "state": "granted"}])
    world.run()
    roll(world)
    assert (status(world), consent(world, user), consent(world, user, "product")) == ("revoked", "revoked", "granted")
    assert "no subscription type '1001' of its own for product" in paused(world)


def test_a_name_that_two_types_have_is_nobodys(tmp_path, monkeypatch):
    world = World(tmp_path, mapping=CONSENTS)
    monkeypatch.setattr(world.crm, "subscription_types", lambda: {**TYPES, "1003": "newsletter "})
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    assert (status(world), status(world, "1003"), consent(world, user)) == (None, None, "granted")


def test_a_crm_that_is_down_parks_nobody(world):
    user = granted(world)
    world.idp.consent(user, "newsletter", "revoked")
    world.crm.fails = [Unavailable("down")] * 3
    world.run()
    for _ in range(5):
        world.later(HOUR)
    assert (status(world), world.parked()) == ("revoked", [])


def test_types_that_cannot_be_listed_are_asked_for_once_a_batch(world, monkeypatch):
    asked = []

    def down():
        asked.append(1)
        raise Unavailable(f"{LIST}: 503")

    monkeypatch.setattr(world.crm, "subscription_types", down)
    for one in range(40):
        world.idp.register(USER | {"email": f"u{one}@example.com"})
    world.deliver_all()
    while intake.take(world.work):
        pass
    assert (world.settle(), len(asked)) == (40, 1)
    monkeypatch.undo()
    world.later(HOUR)
    assert (len(world.crm.contacts), world.parked()) == (40, [])
