"""After a person is forgotten no table holds anything of the person, and nothing that comes later brings the person back."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from connector.errors import Rejected, Unavailable
from connector.model import Change, ConsentState, Item, LinkState
from connector.store.history import Entry
from connector.store.ledger import LedgerRow
from connector.store.tables import metadata
from connector.sync import batch, intake, who
from connector.sync import erase as erasing
from connector.sync.forget import forget
from connector.sync.sweep import expire

from .scenes import BOB, DELETE_USER, link
from .world import USER, World

EMAIL, NAME, LAST = "canary.bird@example.com", "Tweety", "Zwitscherling"
ADA = {**USER, "email": EMAIL, "first_name": NAME, "last_name": LAST}


@pytest.fixture
def known(migrated_url, tmp_path):
    """A world on either database with somebody in it of whom every table tells."""
    world = World(tmp_path, migrated_url)
    world.crm.check_portal = lambda: None
    world, user, contact = link(world, ADA)
    world.idp.edit(user, {"country": "NO"})
    world.run()
    with world.store.write() as tx:
        one = tx.links.by_users("members", [user])[user]
        tell_everywhere(tx, one)
    yield world, user, contact
    world.close()


def tell_everywhere(tx, one):
    """Rows about a link's person in every table there is."""
    tx.parked.put(one.id, "lastname", f"refused: {LAST}", 1, LAST)
    tx.aliases.add(one.id, "members", "c-canary")
    tx.history.add([Entry(one.id, "hold", f"evt {EMAIL}", None, "m1", [{"to": NAME, "from": None}], EMAIL, LAST)])
    intent = [{"kind": NAME, "changes": []}]
    tx.links.notice(one.id, {"held": {"last_name": LAST}, "cause": EMAIL, "reason": LAST, "intent": intent}, None)
    subject = tx.ledger.subject("members", one.user_id)
    told = {"source": EMAIL, "entry_point": NAME, "text_version": LAST, "delivery": f"evt {one.user_id}"}
    tx.ledger.append([LedgerRow(one.id, "members", subject, "newsletter", ConsentState.GRANTED, **told)])
    event = {"provider": "members", "event_id": "e-1", "sink": "crm", "user_id": one.user_id, "kind": "user.login"}
    tx.activities.add([{**event, "occurred_at": tx.now, "details": {"name": NAME}, "entry_point": LAST}])
    body = json.dumps({"user": one.user_id, "name": NAME}).encode()
    rows = [
        ("members", Item("k-1", "s-1", body, {"topic": NAME}, problem="odd")),
        ("members", Item("k-2", "s-2", body[:-1], problem="not JSON")),
        ("crm", Item("k-3", "s-3", json.dumps({"objectId": 1, "value": EMAIL, "name": LAST}).encode(), problem="odd")),
        ("members", Item("k-4", "s-4", b'{"user": "somebody else"}', problem="odd")),
    ]
    tx.inbox.add(rows)


def everything(world):
    """All rows of all tables as text."""
    with world.store.read() as tx:
        tables = {name: tx.connection.execute(text(f'select * from "{name}"')).all() for name in metadata.tables}
    return {name: str([tuple(row) for row in rows]) for name, rows in tables.items()}


def traces(world, *canaries):
    """Where something can still be read."""
    plain = [(name, rows.casefold()) for name, rows in everything(world).items()]
    words = [form for one in canaries for form in (one, json.dumps(one)[1:-1])]
    return {(name, word) for name, rows in plain for word in words if word.casefold() in rows}


def put_out(world, user):
    with world.store.write() as tx:
        forget(tx, tx.links.by_users("members", [user])[user])


def test_every_table_tells_of_the_person_before(known):
    world, user, _ = known
    tables = {name for name, _ in traces(world, EMAIL, NAME, LAST, user)}
    assert tables >= {"link", "history", "parked", "consent", "activity", "inbox"}


def test_no_table_tells_of_the_person_afterwards(known):
    world, user, contact = known
    put_out(world, user)
    assert traces(world, EMAIL, NAME, LAST, user, "c-canary") == set()
    assert f"'{contact}'" not in "".join(everything(world).values())


def test_what_stays_says_what_was_done_and_when(known):
    world, user, _ = known
    one = world.link(user)
    put_out(world, user)
    with world.store.read() as tx:
        told = tx.history.of_link(one.id)
        assert [entry.kind for entry in told] == ["contact.create", "contact.update", "hold", "forget"]
        assert all(entry.at and not entry.changes and not entry.request for entry in told)
        assert told[2].mapping == "m1"
        assert [row.state for row in tx.ledger.of_subject("members", user)] == [ConsentState.GRANTED]
        assert tx.ledger.verify() == []


def test_only_deliveries_about_the_person_are_blanked(known):
    world, user, _ = known
    put_out(world, user)
    with world.store.read() as tx:
        assert [row["body"] for row in tx.inbox.quarantined(10)] == [b'{"user": "somebody else"}']
    with world.store.write() as tx:
        assert tx.inbox.add([("members", Item("k-1", "s-1", b"again")), ("members", Item("k-2", "s-2", b"again"))]) == set()


def test_the_person_is_recognised_afterwards(known):
    world, user, contact = known
    put_out(world, user)
    with world.store.read() as tx:
        assert tx.tombstones.users("members", [user, "u-other"]) == {user}
        assert tx.tombstones.contacts([contact, "c-canary"]) == {contact, "c-canary"}
        assert set(tx.tombstones.emails([EMAIL])) == {EMAIL}
        (found,) = who.find(tx, f"members:{user}")
        assert (found.state, found.reason, found.contact_id, found.erasure) == (LinkState.ERASED, "erased", None, False)
        assert who.find(tx, found.name) == [found]
        assert who.find(tx, EMAIL) == who.find(tx, contact) == []
        assert "erased" in who.nobody(tx, EMAIL)
        assert "erased" in who.nobody(tx, contact)
        assert "erased" in who.nobody(tx, f"members:{user}")
        assert "nobody" in who.nobody(tx, "nobody@example.com")


def test_forgetting_twice_is_fine(known):
    world, user, _ = known
    put_out(world, user)
    before = everything(world)
    with world.store.write() as tx:
        (found,) = who.find(tx, f"members:{user}")
        forget(tx, found)
    assert everything(world) == before


@pytest.mark.parametrize("state", list(LinkState))
def test_a_link_in_any_state_can_be_forgotten(known, state):
    world, user, _ = known
    with world.store.write() as tx:
        tx.links.notice(world.link(user).id, {"state": state}, None)
    put_out(world, user)
    assert traces(world, EMAIL, NAME, LAST, user) == set()


def test_an_id_that_was_erased_before_can_be_erased_again(known):
    world, user, _ = known
    put_out(world, user)
    with world.store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": user}])
    put_out(world, user)
    assert traces(world, EMAIL, NAME, LAST, user) == set()


def test_a_contact_that_waits_for_its_user_can_be_forgotten(tmp_path):
    world = World(tmp_path)
    with world.store.write() as tx:
        tx.links.create([{"provider": "members", "contact_id": contact} for contact in ("c-1", "c-2")])
        for contact in ("c-1", "c-2"):
            forget(tx, tx.links.by_contacts([contact])[contact][0])
        assert tx.tombstones.contacts(["c-1", "c-2"]) == {"c-1", "c-2"}
        assert tx.links.counts()["erased"] == 2


def test_a_contact_that_others_are_linked_to_is_still_heard_of(known):
    world, user, contact = known
    with world.store.write() as tx:
        tx.links.create([{"provider": "others", "user_id": "o-1", "contact_id": contact, "state": LinkState.ACTIVE}])
    put_out(world, user)
    with world.store.write() as tx:
        assert tx.tombstones.contacts([contact]) == set()
        (other,) = tx.links.by_contacts([contact])[contact]
        forget(tx, other)
        assert tx.tombstones.contacts([contact]) == {contact}


def test_a_worker_that_is_at_it_cannot_write_over_it(known):
    world, user, _ = known
    world.idp.edit(user, {"first_name": f"{NAME} the Second"})
    world.crash_at("contact.update", lambda: put_out(world, user))
    world.run()
    assert traces(world, NAME, user) == set()


def test_what_was_read_before_it_is_not_written_after_it(known):
    """On PostgreSQL a listing may have looked the link up before the person was forgotten."""
    world, user, _ = known
    one = world.link(user)
    put_out(world, user)
    with world.store.write() as tx:
        tx.links.see_user(one.id, one.user, cause=EMAIL)
        tx.links.notice(one.id, {"cause": EMAIL}, tx.now)
    assert traces(world, EMAIL, NAME, LAST, user) == set()


def test_the_records_of_events_are_kept_in_mind_until_they_are_gone(known):
    world, user, _ = known
    with world.store.write() as tx:
        tx.connection.execute(text("update activity set record_id = 'r-1', state = 'sent'"))
    put_out(world, user)
    with world.store.read() as tx:
        assert [one.record_id for one in tx.removals.due("crm", ["members"], 10)] == ["r-1"]


def test_a_privacy_deletion_in_the_crm_forgets_all_links_and_spares_the_user(known):
    world, user, contact = known
    with world.store.write() as tx:
        tx.links.create([{"provider": "others", "user_id": "o-canary", "contact_id": contact, "state": LinkState.ACTIVE}])
    world.crm.contacts.pop(contact)
    world.deliver(Change("contact.changed", contact, property="firstname", value=NAME))
    world.deliver(Change("contact.erased", contact), key="evt-privacy")
    world.deliver(Change("contact.changed", contact, property="firstname", value="late"))
    world.run()
    assert traces(world, EMAIL, NAME, LAST, user, "o-canary") == set()
    assert world.idp.users[user].values["email"] == EMAIL
    with world.store.read() as tx:
        assert tx.links.counts()["erased"] == 2
        assert not tx.links.waiting()


def test_nobody_comes_back_by_a_late_delivery_a_listing_or_a_new_look(tmp_path):
    world, user, contact = link(World(tmp_path, mapping=DELETE_USER), ADA)
    world.crm.contacts.pop(contact)
    world.deliver(Change("contact.erased", contact))
    world.run()
    world.deliver(Change("contact.created", contact))
    world.deliver(Change("contact.changed", contact, property="firstname", value=NAME))
    world.idp.edit(user, {"first_name": NAME})
    world.run()
    world.sweep()
    assert world.crm.contacts == {}
    assert traces(world, NAME, EMAIL, user) == set()
    assert user in world.idp.users


def test_erasing_on_request_takes_the_contact_and_our_copies(known):
    world, user, contact = known
    (outcome,) = erasing.erase(world.work, [world.link(user)], world.doze)
    assert (outcome.link, outcome.contact, outcome.copies) == (f"members:{user}", "contact erased", True)
    assert contact not in world.crm.contacts
    assert traces(world, EMAIL, NAME, LAST, user) == set()
    with world.store.read() as tx:
        (again,) = who.find(tx, f"members:{user}")
    assert erasing.erase(world.work, [again], world.doze)[0].copies


def test_what_waits_to_be_read_is_read_before_and_after(known, monkeypatch):
    """Of others it names the person, or it is about the person and comes while the erasure is on."""
    world, user, _ = known
    bob = world.idp.register({**BOB, "custom.invited_by": EMAIL})
    world.deliver_all()
    erase = world.crm.erase

    def meanwhile(contact):
        erase(contact)
        world.deliver(Change("user.login", user, world.clock(), details={"said": NAME}), key="evt-late")

    monkeypatch.setattr(world.crm, "erase", meanwhile)
    (outcome,) = erasing.erase(world.work, [world.link(user)], world.doze)
    assert outcome.copies
    with world.store.read() as tx:
        assert tx.inbox.waiting() == 0
        (row,) = tx.inbox.of("members", [bob])
    assert '"(erased)"' in row.body.decode()
    assert "inbox" not in {table for table, _ in traces(world, EMAIL, NAME)}


def test_what_waits_is_read_even_while_the_crm_cannot_be_reached(known, monkeypatch):
    world, user, _ = known
    bob = world.idp.register(BOB)
    world.deliver_all()

    def down():
        raise Unavailable("down")

    monkeypatch.setattr(world.crm, "check_portal", down)
    (outcome,) = erasing.erase(world.work, [world.link(user)], world.doze)
    assert (outcome.copies, outcome.why) == (False, "down")
    assert world.link(bob).state is LinkState.PENDING


def test_a_cut_link_is_erased_like_any_other(known):
    world, user, contact = known
    with world.store.write() as tx:
        tx.links.notice(world.link(user).id, {"state": LinkState.UNLINKED}, None)
    (outcome,) = erasing.erase(world.work, [world.link(user)], world.doze)
    assert outcome.copies
    assert contact not in world.crm.contacts


def test_a_link_whose_provider_is_not_configured_any_more_is_refused(known):
    world, user, _ = known
    with world.store.write() as tx:
        tx.links.create([{"provider": "former", "user_id": "f-1"}])
        former = tx.links.by_users("former", ["f-1"])["f-1"]
    with pytest.raises(Rejected, match="former:f-1: no provider of this name is configured any more"):
        erasing.erase(world.work, [world.link(user), former], world.doze)
    assert not world.link(user).erasure


def test_an_erasure_that_cannot_be_done_says_why(known):
    world, user, _ = known
    world.crm.fails = [Rejected("crm: 403 not allowed to erase")]
    (outcome,) = erasing.erase(world.work, [world.link(user)], world.doze)
    assert (outcome.copies, outcome.why, outcome.parked) == (False, "crm: 403 not allowed to erase", True)


def test_an_erasure_that_the_crm_does_not_answer_stays_due(known):
    world, user, contact = known
    world.crm.fails = [Unavailable("down")] * 30
    (outcome,) = erasing.erase(world.work, [world.link(user)], world.doze)
    assert (outcome.copies, outcome.why, outcome.parked) == (False, "down", False)
    world.crm.fails = []
    world.later(3600)
    assert contact not in world.crm.contacts
    assert traces(world, EMAIL, NAME, LAST, user) == set()


def test_a_link_that_another_worker_has_is_waited_for(known):
    world, user, _ = known
    one = world.link(user)
    with world.store.write() as tx:
        tx.links.notice(one.id, {}, tx.now)
    leased = batch.lease(world.worker("other"))

    def doze(seconds):
        if leased:
            batch.settle(world.worker("other"), [leased.pop()])
        world.doze(seconds)

    (outcome,) = erasing.erase(world.work, [one], doze)
    assert outcome.copies


def test_a_contact_that_the_crm_says_is_erased_meanwhile_is_told_as_erased(known):
    """The CRM's word of what this run did may be taken in before this run has recorded it."""
    world, user, contact = known
    one = world.link(user)
    with world.store.write() as tx:
        tx.links.notice(one.id, {}, tx.now)
    assert batch.lease(world.worker("other"))

    def doze(seconds):
        if world.crm.contacts.pop(contact, None):
            world.deliver(Change("contact.erased", contact), key="evt-own-erasure")
            intake.take(world.work)
        world.doze(seconds)

    (outcome,) = erasing.erase(world.work, [one], doze)
    assert (outcome.contact, outcome.copies) == ("contact erased", True)
    with world.store.read() as tx:
        (again,) = who.find(tx, f"members:{user}")
    assert erasing.erase(world.work, [again], world.doze)[0].contact == "nothing was left to do"


def test_deliveries_in_quarantine_are_not_kept_for_ever(known):
    world, _, _ = known
    world.clock.pass_(10 * 86400)
    with world.store.read() as tx:
        assert len(tx.inbox.quarantined(10)) == 4
    expire(world.work, timedelta(days=9), timedelta(0))
    with world.store.read() as tx:
        assert tx.inbox.quarantined(10) == []


def test_what_comes_along_with_a_privacy_deletion_is_not_kept_either(known):
    """The user's edit waits in the inbox when the deletion is told, and both are read at once."""
    world, user, contact = known
    world.idp.edit(user, {"last_name": "Zwitscherlein"})
    world.crm.forget(contact)
    world.run()
    assert world.link(user).state is LinkState.ERASED
    assert traces(world, "Zwitscherlein", EMAIL, user) == set()
