"""Sides that links wait for: which, why, since when, and how many wait."""

from datetime import timedelta

from sqlalchemy import text


def links(tx, provider, *attempts):
    """Links that have failed since now, with so many attempts of their own."""
    ids = [f"{provider}-{number}" for number in range(len(attempts))]
    tx.links.create([{"provider": provider, "user_id": one} for one in ids])
    for count, link in zip(attempts, tx.links.by_users(provider, ids).values(), strict=True):
        values = {"now": tx.now.timestamp(), "count": count, "id": link.id}
        tx.connection.execute(text("update link set failed_since = :now, attempts = :count where id = :id"), values)


def told(tx):
    return [(one.provider, one.why, one.links) for one in tx.troubles.outages()]


def test_links_with_a_trouble_of_their_own_wait_for_nobody(store):
    with store.write() as tx:
        links(tx, "members", 0, 1, 0)
        tx.troubles.fails("members", "user.read", "401")
        assert told(tx) == [("members", "401", 2)]


def test_a_side_that_nobody_waits_for_is_not_mentioned(store):
    with store.write() as tx:
        links(tx, "members", 3)
        tx.troubles.fails("members", "user.read", "401")
        assert told(tx) == []


def test_what_waits_for_a_provider_does_not_wait_for_the_crm(store):
    with store.write() as tx:
        links(tx, "members", 0, 0)
        links(tx, "shop", 0)
        tx.troubles.fails("", "contact.read", "503")
        tx.troubles.fails("members", "user.read", "401")
        assert told(tx) == [("", "503", 1), ("members", "401", 2)]


def test_it_is_over_when_the_same_kind_of_call_works(store):
    with store.write() as tx:
        links(tx, "members", 0)
        tx.troubles.fails("members", "user.write", "403")
        tx.troubles.works("members", "user.read")
        assert told(tx) == [("members", "403", 1)]
        tx.troubles.works("members", "user.write")
        assert told(tx) == []


def test_it_is_told_at_intervals(store):
    with store.write() as tx:
        links(tx, "members", 0)
        tx.troubles.fails("members", "user.read", "401")
        assert [one.provider for one in tx.troubles.untold(timedelta(minutes=1))] == ["members"]
        tx.troubles.fails("members", "user.read", "401")
        assert tx.troubles.untold(timedelta(minutes=1)) == []
        assert [one.provider for one in tx.troubles.untold(timedelta())] == ["members"]
