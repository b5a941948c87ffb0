"""The ledger and what stands at the links: whatever was taken from the one shows at the other, and nothing else does."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from connector.errors import Denied, Unavailable
from connector.settings import Brakes
from connector.store import ledger
from connector.store.keyed import FINGERPRINT, HEAD, KEY, Keys
from connector.sync import brakes, contradictions

from .consenting import CONSENTS, GRANTED, consent
from .consenting import ledger as rows
from .world import USER, World

SOME = "consents whose last row is missing, or is not what stands at the link: 1 (links 1)"


def findings(world):
    with world.store.read() as tx:
        return contradictions.findings(tx)


def tamper(world, *statements):
    with world.store.write() as tx:
        for statement in statements:
            tx.connection.execute(text(statement))


def told(world, user, state):
    """The user decides anew."""
    world.clock.pass_(60)
    world.idp.consent(user, "newsletter", state, source="form")
    world.run()


def down(*_):
    raise Unavailable("down")


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path, mapping=CONSENTS)
    world.idp.register(USER, consents=[GRANTED])
    world.run()
    return world


def test_what_was_recorded_agrees(world):
    assert findings(world) == []


def test_a_ledger_that_was_emptied_together_with_its_end(world):
    tamper(world, "delete from consent", f"delete from cursor where name = '{HEAD}'")
    assert findings(world) == [SOME]
    world.idp.register({**USER, "email": "bob@example.com"}, consents=[GRANTED])
    world.run()
    assert findings(world) == [SOME]


def test_an_emptied_ledger_under_another_key(world):
    tamper(world, "delete from consent", f"delete from cursor where name in ('{HEAD}', '{FINGERPRINT}', '{KEY}')")
    world.store._keys = Keys("another key of at least 32 characters")
    assert findings(world) == [SOME]


def test_a_cut_end_with_an_earlier_mark_put_back(world):
    (user,) = world.idp.users
    with world.store.read() as tx:
        earlier = tx.cursors.get(HEAD)[0]
    told(world, user, "revoked")
    told(world, user, "granted")
    assert [state for _, state, _ in rows(world, user)] == ["granted", "revoked", "granted"]
    assert findings(world) == []
    tamper(world, "delete from consent where id > 1")
    with world.store.write() as tx:
        tx.cursors.set(HEAD, earlier)
    with world.store.read() as tx:
        assert tx.ledger.verify() == []
    assert findings(world) == [SOME], "the state is the same, but not the time"


def test_a_broken_chain_and_what_is_missing_are_both_told(world):
    (user,) = world.idp.users
    told(world, user, "revoked")
    tamper(world, "update consent set source = 'us' where id = 1", "delete from consent where id = 2")
    assert findings(world) == ["row 1: edited", "the end is missing: 1 of 2 rows, after row 1", SOME]


def test_some_links_are_named_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PAGE", 3)
    world = World(tmp_path, mapping=CONSENTS)
    for number in range(8):
        world.idp.register({**USER, "email": f"u{number}@example.com"}, consents=[GRANTED])
    world.run()
    assert findings(world) == []
    tamper(world, "delete from consent where link_id <> 2", f"delete from cursor where name = '{HEAD}'")
    assert findings(world)[-1].endswith("what stands at the link: 7 (links 1, 3, 4, 5, 6 and more)")


def test_a_purpose_longer_than_its_column(world):
    long = "x" * 300
    with world.store.write() as tx:
        link = tx.links.get(1)
        row = tx.ledger.of_link(1)[0]
        tx.ledger.append([ledger.LedgerRow(1, "members", row.subject, long, row.state, row.occurred_at)])
        tx.links.notice(1, {"consents": {**link.consents, long: link.consents["newsletter"]}}, None)
    assert findings(world) == []


def test_while_a_batch_waits_for_another_one_nothing_is_recorded(tmp_path):
    world = World(tmp_path, mapping=CONSENTS, brakes=Brakes(opt_outs=5))
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    with world.store.write() as tx:
        assert tx.runs.lock(brakes.LOCK, "another batch", timedelta(seconds=100))
    told(world, user, "revoked")
    assert [state for _, state, _ in rows(world, user)] == ["granted"]
    assert findings(world) == []
    world.later(90)
    assert [state for _, state, _ in rows(world, user)] == ["granted", "revoked"]


def test_what_a_contact_says_before_it_has_a_user_is_recorded_with_the_user(tmp_path, monkeypatch):
    world = World(tmp_path, mapping=CONSENTS + "lifecycle: {contact_created: create_user}\n")
    world.crm.denied = Denied("grant the scope", retry_in=60)
    world.crm.create({"email": "ada@example.com", "firstname": "Ada", "newsletter_consent": "true"})
    with monkeypatch.context() as patch:
        patch.setattr(world.idp, "create", down)
        world.run()
    world.later(600)
    world.run()
    (user,) = world.idp.users
    assert consent(world, user) == "granted"
    assert [state for _, state, _ in rows(world, user)] == ["granted"]
    assert findings(world) == []
