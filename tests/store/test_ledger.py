"""The ledger keeps consents as proof: nothing can be edited, removed, inserted or moved in the table without its being told."""

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from connector.errors import ConfigError
from connector.model import ConsentState, LinkState
from connector.store import Store, ledger
from connector.store.ledger import LedgerRow

AT = datetime(2026, 11, 1, 12, 0, 0, 123457, tzinfo=UTC)
GRANTED, REVOKED = ConsentState.GRANTED, ConsentState.REVOKED


def row(tx, number, purpose="newsletter", state=GRANTED, link=1, **more):
    values = {
        "occurred_at": AT, "source": "form", "entry_point": "site", "legal_basis": "CONSENT_WITH_NOTICE", "text_version": "v1",
    }  # fmt: skip
    subject = tx.ledger.subject("members", f"u-{link}")
    return LedgerRow(link, "members", subject, purpose, state, delivery=f"evt-{number}", **{**values, **more})


def fill(store, count, start=1, **more):
    with store.write() as tx:
        tx.ledger.append([row(tx, number, **more) for number in range(start, start + count)])


def tamper(store, *statements):
    with store.write() as tx:
        for statement in statements:
            tx.connection.execute(text(statement))


def findings(store):
    with store.read() as tx:
        return tx.ledger.verify()


@pytest.fixture
def filled(store):
    fill(store, 6)
    return store


def test_an_untouched_ledger_is_fine(store):
    assert findings(store) == []
    fill(store, 3)
    fill(store, 1, start=4)
    assert findings(store) == []


def test_what_was_written_is_read_back(filled):
    with filled.read() as tx:
        rows = tx.ledger.of_link(1)
        assert [one.delivery for one in rows] == [f"evt-{number}" for number in range(1, 7)]
        assert (rows[0].occurred_at, rows[0].state, rows[0].source) == (AT, GRANTED, "form")
        assert abs((rows[0].learnt_at - tx.now).total_seconds()) < 5
        assert tx.ledger.of_subject("members", "u-1") == rows
        assert tx.ledger.of_link(2) == tx.ledger.of_subject("members", "u-2") == []


def test_the_latest_row_of_each_purpose(store):
    with store.write() as tx:
        told = [("newsletter", GRANTED, 1), ("partners", REVOKED, 1), ("newsletter", REVOKED, 1), ("newsletter", GRANTED, 2)]
        tx.ledger.append([row(tx, number, purpose, state, link) for number, (purpose, state, link) in enumerate(told)])
        last = tx.ledger.last([1, 2, 3])
    assert {link: {name: one.state for name, one in rows.items()} for link, rows in last.items()} == {
        1: {"newsletter": REVOKED, "partners": REVOKED}, 2: {"newsletter": GRANTED},
    }  # fmt: skip


def test_the_latest_rows_are_laid_beside_the_living_links(store, monkeypatch):
    """Of a million links a few at a time; ids are not without gaps."""
    monkeypatch.setattr(ledger, "PAGE", 2)
    with store.write() as tx:
        ids = []
        for number, (state, consents) in enumerate(
            [("active", {"newsletter": 1}), ("active", {}), ("erased", {"newsletter": 2}), ("held", {"newsletter": 3})] * 2
        ):
            tx.links.create([{"provider": "members", "user_id": f"u-{number}", "state": LinkState(state), "consents": consents}])
            ids.append(tx.links.by_users("members", [f"u-{number}"])[f"u-{number}"].id)
        tx.links.remove(ids[1])
        tx.ledger.append([row(tx, 1, link=ids[0]), row(tx, 2, link=ids[0], state=REVOKED), row(tx, 3, link=ids[5])])
        found = [(one.link_id, one.consents, one.told) for one in tx.ledger.beside_links()]
    assert found == [
        (ids[0], {"newsletter": 1}, {"newsletter": ("revoked", AT)}), (ids[3], {"newsletter": 3}, {}),
        (ids[4], {"newsletter": 1}, {}), (ids[7], {"newsletter": 3}, {}),
    ]  # fmt: skip


def test_any_text_can_be_evidence(store):
    with store.write() as tx:
        odd = "\x00\ud800" + "x" * 500
        tx.ledger.append([row(tx, 1, odd, source=odd, entry_point=odd, text_version=odd), row(tx, 2, occurred_at=None)])
    assert findings(store) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("update consent set state = 'revoked' where id = 3", ["row 3: edited"]),
        ("update consent set state = 'revoked' where id = 6", ["row 6: edited"]),
        ("update consent set occurred_at = occurred_at - 1 where id = 1", ["row 1: edited"]),
        ("update consent set source = null where id = 2", ["row 2: edited"]),
        ("update consent set digest = 'x' where id = 2", ["row 2: edited"]),
        ("update consent set chain = 'x' where id = 2", ["row 2: edited"]),
        ("update consent set chain = 'x' where id = 6", ["row 6: edited"]),
        ("delete from consent where id = 3", ["after row 2: rows were removed, or row 4 was moved here"]),
        ("delete from consent where id in (2, 3)", ["after row 1: rows were removed, or row 4 was moved here"]),
        ("delete from consent where id = 1", ["at the beginning: rows were removed, or row 2 was moved here"]),
        ("delete from consent where id = 5", ["after row 4: rows were removed, or row 6 was moved here"]),
        ("delete from consent where id > 4", ["the end is missing: 2 of 6 rows, after row 4"]),
        ("delete from consent", ["the end is missing: 6 of 6 rows, from the beginning"]),
        ("update consent set id = 9 where id = 6", ["the end is missing: 1 of 6 rows, after row 5", "row 9: inserted behind the end"]),
        ("update cursor set value = '{}' where name = 'ledger'", ["the mark of the ledger's end was changed or lost"]),
        ("delete from cursor where name = 'ledger'", ["the mark of the ledger's end was changed or lost"]),
    ],
)  # fmt: skip
def test_tampering_is_told_by_row(filled, statement, told):
    tamper(filled, statement)
    assert findings(filled) == told


COPY = (
    "insert into consent (id, link_id, provider, subject, purpose, state, learnt_at, digest, chain) "
    "select {to}, link_id, provider, subject, purpose, {state}, learnt_at, digest, chain from consent where id = {of}"
)


def test_an_inserted_row_is_told(filled):
    tamper(filled, "update consent set id = id + 10 where id > 3", COPY.format(to=4, of=2, state="'revoked'"))
    tamper(filled, "update consent set id = id - 9 where id > 10")
    assert findings(filled)[0] == "row 4: inserted, or moved here"


def test_a_row_behind_the_end_is_told(filled):
    tamper(filled, COPY.format(to=7, of=6, state="'revoked'"))
    assert findings(filled) == ["row 7: inserted behind the end"]


def test_swapped_rows_are_told(filled):
    tamper(filled, *(f"update consent set id = {to} where id = {of}" for of, to in ((2, 90), (3, 2), (90, 3))))
    assert findings(filled) == [
        "row 2: inserted, or moved here", "after row 3: rows were removed, or row 4 was moved here",
    ]  # fmt: skip


def test_a_mark_of_an_older_end_does_not_hide_what_is_missing(filled):
    """Whoever removes rows and makes the mark say so cannot sign it; rows that follow do not cover it up."""
    tamper(filled, "delete from consent where id > 4", "update cursor set value = replace(value, '6', '4') where name = 'ledger'")
    fill(filled, 2, start=7)
    told = findings(filled)
    assert any("before it was added, the mark of the ledger's end had been changed or lost" in one for one in told)


def test_a_ledger_taken_away_but_for_its_mark_is_not_begun_anew_silently(filled):
    tamper(filled, "delete from consent")
    fill(filled, 1)
    assert findings(filled) != []


def test_many_findings_are_cut_short(store):
    fill(store, 150)
    tamper(store, "update consent set state = 'revoked'")
    told = findings(store)
    assert (len(told), told[-1]) == (101, "and more")


def test_an_erasure_leaves_proof_without_the_person(store):
    fill(store, 2)
    fill(store, 2, start=3, link=2)
    with store.write() as tx:
        tx.ledger.erase(1)
        tx.ledger.erase(1)
        rows = tx.ledger.of_subject("members", "u-1")
        assert tx.ledger.of_link(1) == []
        assert [(one.state, one.purpose, one.occurred_at) for one in rows] == [(GRANTED, "newsletter", AT)] * 2
        assert {
            getattr(one, name) for one in rows for name in ("link_id", "source", "entry_point", "text_version", "delivery")
        } == {None}
        assert len(tx.ledger.of_link(2)) == 2
    assert findings(store) == []


def test_an_erasure_reaches_earlier_links_of_the_same_user(store):
    with store.write() as tx:
        tx.ledger.append([row(tx, 1)])
        tx.ledger.erase(99, tx.ledger.subject("members", "u-1"))
        assert tx.ledger.of_link(1) == []


BLANK = "update consent set link_id = null, source = null, entry_point = null, text_version = null, delivery = null, erased = {} where id = 2"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(BLANK.format("'x'"), id="a made-up proof"),
        pytest.param(BLANK.format("(select e.erased from consent e where e.id = 5)"), id="another row's proof"),
        pytest.param("update consent set erased = (select e.erased from consent e where e.id = 5), state = 'revoked' where id = 2", id="to edit"),
    ],
)  # fmt: skip
def test_a_faked_erasure_is_told(store, statement):
    fill(store, 3)
    fill(store, 3, start=4, link=2)
    with store.write() as tx:
        tx.ledger.erase(2)
    tamper(store, statement)
    assert findings(store) == ["row 2: blanked or edited, and not by an erasure of ours"]


@pytest.mark.parametrize("change", ["state = 'revoked'", "occurred_at = 0", "source = 'form'", "erased = null", "digest = 'x'"])
def test_what_an_erasure_left_cannot_be_edited(filled, change):
    with filled.write() as tx:
        tx.ledger.erase(1)
    tamper(filled, f"update consent set {change} where id = 3")
    told = findings(filled)
    assert len(told) == 1
    assert told[0].startswith("row 3: ")


def test_erasing_does_not_cover_up_an_edit(filled):
    tamper(filled, "update consent set state = 'revoked' where id = 3")
    with filled.write() as tx:
        tx.ledger.erase(1)
    assert findings(filled) == ["row 3: blanked or edited, and not by an erasure of ours"]


def test_another_key_is_not_taken_for_forgery(migrated_url):
    one, other = Store(migrated_url, hash_key="the first of two keys"), Store(migrated_url, hash_key="the second of two keys")
    fill(one, 2)
    with pytest.raises(ConfigError, match="hash_key"), other.read() as tx:
        tx.ledger.verify()
    assert findings(one) == []
    one.close()
    other.close()


def test_batches_that_append_at_once_make_one_chain(store):
    def batch(number):
        for turn in range(5):
            fill(store, 7, start=100 * number + 10 * turn, link=number)

    threads = [threading.Thread(target=batch, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert tx.ledger.head().count == 140
        assert [one.delivery for one in tx.ledger.of_link(3)] == [
            f"evt-{300 + 10 * turn + n}" for turn in range(5) for n in range(7)
        ]
    assert findings(store) == []


def test_progress_is_told(store):
    fill(store, 1200)
    told = []
    with store.read() as tx:
        tx.ledger.verify(lambda done, of: told.append((done, of)))
    assert told == [(1000, 1200), (1200, 1200)]


def test_a_transaction_that_fails_leaves_no_trace(filled):
    with pytest.raises(RuntimeError), filled.write() as tx:
        tx.ledger.append([row(tx, 7)])
        raise RuntimeError
    fill(filled, 1, start=8)
    assert findings(filled) == []
