"""The key of keyed hashes: where it comes from, and what another one means."""

import pytest
from sqlalchemy import text

from connector.errors import ConfigError
from connector.store import Store, keyed

KEY = "a key of some length"


@pytest.fixture
def opened(migrated_url):
    """Open the database with a `hash_key`, or without."""
    stores = []

    def open_(hash_key=None):
        stores.append(Store(migrated_url, hash_key=hash_key))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def bury(store, user="u-1"):
    with store.write() as tx:
        tx.tombstones.bury("members", user)


def buried(store, user="u-1"):
    with store.read() as tx:
        return tx.tombstones.users("members", [user]) == {user}


def test_parts_are_told_apart(store):
    with store.read() as tx:
        assert tx.keyed.digest("a", "bc") != tx.keyed.digest("ab", "c")
        assert len(tx.keyed.digest("\ud800")) == 64


def test_without_a_setting_a_key_is_made_once_and_kept(opened):
    bury(opened())
    assert buried(opened())


def test_a_transaction_that_fails_keeps_no_key(opened):
    store = opened()
    with pytest.raises(RuntimeError), store.write() as tx:
        assert tx.keyed
        raise RuntimeError
    bury(store)
    assert buried(opened())


def test_reading_makes_no_key(opened):
    store = opened()
    assert not buried(store)
    with store.read() as tx:
        assert tx.cursors.get("hash_key") is None


def test_the_setting_is_the_key_and_is_not_kept(opened):
    bury(opened(KEY))
    assert buried(opened(KEY))
    with opened().read() as tx:
        assert KEY not in str(tx.connection.execute(text("select * from cursor")).all())


@pytest.mark.parametrize(("other", "said"), [("quite another key", "hash_key: not the one"), (None, "hash_key: missing")])
def test_another_key_is_refused_once_something_was_made(opened, other, said):
    bury(opened(KEY))
    with pytest.raises(ConfigError, match=said), opened(other).read() as tx:
        assert tx.keyed


def test_a_key_given_later_is_taken_while_nothing_was_made(opened):
    with opened().write() as tx:
        assert tx.keyed
    bury(opened(KEY))
    assert buried(opened(KEY))
    with pytest.raises(ConfigError), opened().read() as tx:
        assert tx.keyed


def test_a_setting_after_a_kept_key_is_refused(opened):
    bury(opened())
    with pytest.raises(ConfigError, match="hash_key: not the one"), opened(KEY).write() as tx:
        assert tx.keyed


def test_one_process_takes_a_key_into_use_while_another_looks(opened, monkeypatch):
    """It is a healthy new database for both."""
    one, other = opened(), opened()
    look = keyed._mark

    def mark(tx, name):
        found = look(tx, name)
        monkeypatch.setattr(keyed, "_mark", look)
        if tx.connection.dialect.name == "postgresql":
            bury(other)
        return found

    monkeypatch.setattr(keyed, "_mark", mark)
    with one.write() as tx:
        found = tx.keyed.fingerprint
    with other.read() as tx:
        assert tx.keyed.fingerprint == found
