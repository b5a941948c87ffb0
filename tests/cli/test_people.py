"""`consents`, `export` and `erase` against two sandboxes."""

import json
import stat

import pytest
from sqlalchemy import text

from connector.engine.consent import Standing, encoded
from connector.model import ConsentState, LinkState, Statement, User
from connector.store import Store
from connector.store.ledger import LedgerRow

from ..e2e.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    one = Stack(tmp_path_factory.mktemp("people"))
    yield one
    one.close()


@pytest.fixture
def store(stack):
    opened = Store(f"sqlite:///{stack.folder / 'connector.db'}")
    yield opened
    opened.close()


@pytest.fixture
def person(stack, connector, store, request):
    """Somebody on both sides who consented to something: email, user id, contact id."""
    email = f"{abs(hash(request.node.name))}@example.com"
    user = stack.idp.register({"email": email, "first_name": "Ada", "last_name": "Lovelace", "country": "ES"})
    connector("reconcile")
    with store.write() as tx:
        link = tx.links.by_users("members", [user])[user]
        subject = tx.ledger.subject("members", user)
        tx.ledger.append([LedgerRow(link.id, "members", subject, "newsletter", ConsentState.GRANTED, tx.now, source="form")])
    return email, user, stack.portal.contact(email)["id"]


KEYS = {
    "purpose", "state", "occurred_at", "learnt_at", "source", "entry_point", "legal_basis", "text_version", "delivery", "link",
    "edited",
}  # fmt: skip


def test_consents_are_listed_as_proof(connector, person):
    email, user, _ = person
    (row,) = json.loads(connector("consents", email, "--json")[1])
    assert set(row) == KEYS
    assert (row["purpose"], row["state"], row["source"], row["link"]) == ("newsletter", "granted", "form", f"members:{user}")
    code, out, _ = connector("consents", f"members:{user}")
    assert code == 0
    assert "newsletter  granted" in out


@pytest.mark.parametrize("change", ["state = 'revoked'", "occurred_at = 1", "source = 'us'", "state = 'of anybody''s making'"])
def test_an_edited_row_is_no_proof(connector, person, store, change):
    email, user, _ = person
    assert connector("consents", email)[0] == 0
    with store.write() as tx:
        link = tx.links.by_users("members", [user])[user].id
        (row,) = tx.ledger.of_link(link)
        tx.connection.execute(text(f"update consent set {change} where id = {row.id}"))
    code, out, err = connector("consents", email)
    assert (code, out.splitlines()[-1].rstrip().endswith("edited")) == (1, True)
    assert err.splitlines()[-1].startswith("consents: 1 of these rows were edited and prove nothing")
    code, out, _ = connector("consents", f"members:{user}", "--json")
    assert (code, [one["edited"] for one in json.loads(out)]) == (1, [True])
    with store.write() as tx:
        restored = "update consent set state = :state, occurred_at = :at, source = :source where id = :id"
        at = row.occurred_at.timestamp()
        tx.connection.execute(text(restored), {"state": row.state.value, "at": at, "source": row.source, "id": row.id})
    assert connector("consents", email)[0] == 0


def test_a_row_that_an_erasure_blanked_is_proof_until_it_is_edited(connector, person, store):
    email, user, _ = person
    connector("erase", email)
    assert connector("consents", f"members:{user}")[0] == 0
    with store.write() as tx:
        (row,) = tx.ledger.of_subject("members", user)
        tx.connection.execute(text(f"update consent set purpose = 'calls' where id = {row.id}"))
    assert connector("consents", f"members:{user}")[0] == 1
    with store.write() as tx:
        tx.connection.execute(text(f"update consent set purpose = 'newsletter' where id = {row.id}"))


def test_of_somebody_erased_the_proof_is_found_by_who_names_the_user(connector, person):
    email, user, _ = person
    assert connector("erase", email)[0] == 0
    (row,) = json.loads(connector("consents", f"members:{user}", "--json")[1])
    assert (row["purpose"], row["state"], row["source"]) == ("newsletter", "granted", None)
    assert user not in row["link"]


def test_what_stands_at_the_links_is_checked_along_with_the_ledger(connector, person, store):
    with store.write() as tx:
        link = tx.links.by_users("members", [person[1]])[person[1]]
        stands = {"calls": encoded(Standing(Statement(ConsentState.REVOKED)))}
        tx.links.notice(link.id, {"consents": stands}, None)
    code, _, err = connector("consents", "--verify")
    assert (code, err.splitlines()[-1]) == (
        1, f"consents: consents whose last row is missing, or is not what stands at the link: 1 (links {link.id})",
    )  # fmt: skip
    with store.write() as tx:
        tx.links.notice(link.id, {"consents": link.consents}, None)


def test_the_ledger_is_checked_on_demand(connector, person, store):
    code, out, _ = connector("consents", "--verify")
    assert code == 0
    assert "nothing was changed" in out
    with store.write() as tx:
        (row,) = tx.ledger.of_subject("members", person[1])
        tx.connection.execute(text(f"update consent set state = 'revoked' where id = {row.id}"))
    code, _, err = connector("consents", "--verify")
    assert (code, err.splitlines()[-1]) == (1, f"consents: row {row.id}: edited")
    code, out, _ = connector("consents", "--verify", "--json")
    assert (code, json.loads(out)["findings"]) == (1, [f"row {row.id}: edited"])
    with store.write() as tx:
        tx.connection.execute(text(f"update consent set state = 'granted' where id = {row.id}"))
    assert connector("consents")[0] == connector("consents", person[0], "--verify")[0] == 2


def test_nobody_is_exit_1(connector):
    for command in ("consents", "export", "erase"):
        code, out, err = connector(command, "nobody@example.com")
        assert (code, out) == (1, "")
        assert err.startswith("nobody@example.com: nobody")


def test_an_export_goes_to_a_file_for_its_owner_alone(connector, person, tmp_path):
    email, _, contact = person
    file = tmp_path / "person.json"
    file.touch(0o644)
    assert connector("export", email, "--out", file)[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads(file.read_text())
    assert told == json.loads(connector("export", contact)[1]) | {"made_at": told["made_at"]}
    assert connector("export", email, "--out", tmp_path / "no" / "where")[0] == 1


def test_erasing_takes_the_contact_and_our_copies_and_spares_the_user(connector, stack, person, store):
    email, user, contact = person
    code, out, _ = connector("erase", email, "--json")
    assert code == 0
    assert json.loads(out) == {
        "erased": [{"link": f"members:{user}", "contact": "contact erased", "copies": True, "user": False}]
    }  # fmt: skip
    assert stack.portal.contact(email) is None
    assert stack.idp.user(user) is not None
    connector("reconcile")
    assert stack.portal.contact(email) is None
    shown = json.loads(connector("show", f"members:{user}", "--json")[1])
    assert (shown["link"]["state"], shown["user"], shown["contact"]) == ("erased", None, None)
    assert connector("show", contact)[2].startswith(f"{contact}: erased")
    assert connector("erase", f"members:{user}")[0] == 0
    with store.read() as tx:
        assert tx.ledger.verify() == []


def test_the_user_is_erased_too_on_demand(connector, stack, person):
    email, user, _ = person
    code, out, _ = connector("erase", email, "--user-too")
    assert code == 0
    assert out == f"members:{user}: contact erased, user erased at the provider, our copies are gone\n"
    assert not any(one["id"] == user for one in stack.idp.users())


def test_a_person_is_asked_on_a_terminal(connector, person, monkeypatch):
    email, user, _ = person
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        connector("erase", email)
    assert connector("erase", f"members:{user}", "--yes")[0] == 0


def test_of_two_users_of_one_provider_with_one_address_none_is_erased_unless_named(connector, stack, person, store):
    """One of them registered with the other's address, and an erasure cannot be taken back."""
    email, user, contact = person
    other = {"provider": "members", "user_id": "u-2", "user": User("u-2", {"email": email}), "state": LinkState.HELD}
    with store.write() as tx:
        tx.links.create([other])
    code, out, err = connector("erase", email, "--yes", "--user-too")
    assert (code, out) == (2, "")
    assert f"members:{user} (contact {contact}, active), members:u-2 (contact none, held)" in err
    assert stack.portal.contact(email) is not None
    assert stack.idp.user(user) is not None
    assert connector("erase", f"members:{user}", "--yes")[0] == 0
    with store.read() as tx:
        assert tx.links.by_users("members", ["u-2"])["u-2"].state is LinkState.HELD


def test_what_is_left_of_an_earlier_registration_goes_along(connector, stack, person, store):
    email, user, _ = person
    left = {"provider": "members", "user_id": "u-0", "user": User("u-0", {"email": email}), "state": LinkState.UNLINKED}
    with store.write() as tx:
        tx.links.create([left])
    assert connector("erase", email, "--yes")[0] == 0
    assert stack.portal.contact(email) is None
    with store.read() as tx:
        assert not tx.links.by_users("members", ["u-0", user])


def test_without_the_provider_nothing_is_done(connector, stack, person, monkeypatch):
    email, _, _ = person
    monkeypatch.setenv("CONNECTOR_PROVIDERS__MEMBERS__API_URL", "http://127.0.0.1:9")
    assert connector("erase", email, "--user-too")[0] == 4
    assert stack.portal.contact(email) is not None
    assert json.loads(connector("show", email, "--json")[1])["link"]["state"] == "active"


def test_without_hubspot_the_erasure_stays_due(connector, stack, person, monkeypatch):
    email, user, _ = person
    with monkeypatch.context() as away:
        away.setenv("CONNECTOR_CRM__BASE_URL", "http://127.0.0.1:9")
        code, out, err = connector("erase", email, "--json")
    assert code == 4
    assert json.loads(out)["erased"][0]["copies"] is False
    assert "it stays due" in err
    connector("reconcile")
    assert stack.portal.contact(email) is None
    assert json.loads(connector("show", f"members:{user}", "--json")[1])["link"]["state"] == "erased"


def test_a_provider_that_only_tells_cannot_erase(connector, stack, person, monkeypatch):
    email, user, _ = person
    config = (stack.folder / "config.yaml").read_text()
    cut = config.replace("api_key: identity-token", "").replace(f"api_url: {stack.sides[1].url},", "")
    members = (stack.folder / "members.yaml").read_text()
    (stack.folder / "listening.yaml").write_text(members.replace("contact_created: create_user", "contact_created: ignore"))
    (stack.folder / "listening-config.yaml").write_text(cut.replace("members.yaml", "listening.yaml"))
    code, out, err = connector("erase", email, "--user-too", "--config", "listening-config.yaml")
    assert code == 1
    assert "our copies are gone" in out
    assert err == f"members:{user}: the provider cannot erase users, or there is none; do it there by hand\n"


def test_another_hash_key_is_exit_3(connector, person, monkeypatch):
    monkeypatch.setenv("CONNECTOR_HASH_KEY", "another key than before")
    code, _, err = connector("status")
    assert code == 3
    assert err.startswith("hash_key: not the one that the consents and erasures in this database were recorded with")


def test_of_somebody_erased_no_fields_are_shown(connector, person):
    email, user, _ = person
    assert "user field" in connector("show", email)[1]
    assert connector("erase", email)[0] == 0
    told = connector("show", f"members:{user}")[1]
    assert "user field" not in told
    assert "history" in told
