"""The command line against two sandboxes: exit codes, JSON shapes, and errors that are one line without a traceback."""

import json
import re
import socket
import sqlite3

import pytest
from jsonschema import Draft202012Validator

from ..e2e.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    one = Stack(tmp_path_factory.mktemp("cli"))
    one.portal.create({"email": "known@example.com", "lastname": "Known"})
    for number in range(5):
        one.idp.register({"email": f"p{number}@example.com", "first_name": "P", "last_name": f"N{number}", "country": "ES"})
    one.idp.register({"email": "known@example.com", "first_name": "Kay", "last_name": None, "country": None})
    yield one
    one.close()


@pytest.mark.parametrize(
    "arguments",
    [("frob",), ("status", "--frob"), ("show",), ("parked", "retry"), ("setup", "--plan", "--apply"), ("schema", "x")],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_exit_2(connector, arguments):
    code, out, err = connector(*arguments)
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "--help" in err


def test_global_options_stand_before_and_after_the_command(connector, stack):
    before = connector("--config", stack.folder / "config.yaml", "--json", "status")
    after = connector("status", "--json", "--config", stack.folder / "config.yaml")
    assert before[0] == after[0] == 0
    assert json.loads(before[1]).keys() == json.loads(after[1]).keys()


@pytest.mark.parametrize("words", [("parked", "list"), ("link", "list"), ("quarantine", "list"), ("db", "current")], ids=" ".join)
def test_global_options_stand_between_a_group_and_its_command(connector, stack, words):
    group, command = words
    after = connector(group, command, "--json", "--config", stack.folder / "config.yaml")
    assert connector(group, "--json", "--config", stack.folder / "config.yaml", command) == after
    assert connector("--json", group, "--config", stack.folder / "config.yaml", command) == after
    json.loads(after[1])


def test_a_missing_configuration_is_exit_3_and_says_how_to_begin(connector):
    code, _, err = connector("status", "--config", "nowhere.yaml")
    assert code == 3
    assert err.startswith("nowhere.yaml: no such file: copy config.example.yaml")


def test_a_wrong_mapping_is_exit_3_with_its_place(connector, stack):
    good = (stack.folder / "members.yaml").read_text()
    (stack.folder / "members.yaml").write_text(good.replace("contact: lastname", "contcat: lastname"))
    try:
        code, _, err = connector("check")
    finally:
        (stack.folder / "members.yaml").write_text(good)
    assert code == 3
    assert "members.yaml:7:23:" in err
    assert "did you mean contact?" in err


def test_check_is_fine_offline_and_live(connector, keyed):
    assert connector("check")[:2] == (0, "fine\n")
    assert connector("check", "--live")[:2] == (0, "fine\n")


def test_check_warns_of_a_key_that_is_not_set(connector):
    code, out, _ = connector("check")
    assert (code, out.splitlines()[-1]) == (0, "fine")
    assert out.startswith("warning: hash_key: not set: the key stands in the database, and who can write there can forge")
    assert "set one before the first start" in out
    assert json.loads(connector("check", "--json")[1])["warnings"] == [out.splitlines()[0].removeprefix("warning: ")]


def test_check_live_names_the_line_of_a_property_the_portal_lacks(connector, stack):
    good = (stack.folder / "members.yaml").read_text()
    (stack.folder / "members.yaml").write_text(good.replace("contact: lastname", "contact: last_name_of_all"))
    try:
        code, _, err = connector("check", "--live")
    finally:
        (stack.folder / "members.yaml").write_text(good)
    assert code == 3
    assert "members.yaml:7:32: last_name_of_all: the portal has no such property" in err


def test_another_portal_is_refused(connector, monkeypatch):
    monkeypatch.setenv("CONNECTOR_CRM__PORTAL_ID", "999")
    code, _, err = connector("reconcile")
    assert code == 3
    assert "999" in err
    assert "12345678" in err


def test_an_unreachable_portal_is_exit_4(connector, monkeypatch):
    monkeypatch.setenv("CONNECTOR_CRM__BASE_URL", "http://127.0.0.1:9")
    code, _, err = connector("check", "--live")
    assert code == 4
    assert len(err.strip().splitlines()) == 1


def test_an_unreachable_database_is_exit_4_and_names_no_password(connector, monkeypatch):
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", "postgresql://someone:hunter2@127.0.0.1:9/none")
    code, _, err = connector("status")
    assert code == 4
    assert "hunter2" not in err
    assert len(err.strip().splitlines()) == 1


def test_setup_shows_then_makes_and_then_has_nothing_to_do(connector, stack):
    stack.portal.schema.purge("members_user_id")
    code, out, _ = connector("setup", "--plan", "--json")
    assert code == 0
    assert [one["property"] for one in json.loads(out)["properties"]] == ["members_user_id"]
    assert connector("up")[0] == 3
    assert "connector setup --apply" in connector("up")[2]
    assert connector("setup", "--apply")[0] == 0
    assert "everything" in connector("setup")[1]


def test_a_reconcile_creates_links_and_then_finds_nothing_to_do(connector, stack):
    code, out, _ = connector("reconcile", "--json")
    assert code == 0
    told = json.loads(out)
    assert set(told) == {"run", "summary"}
    assert told["summary"] | {"calls": 0} == {
        "read": 6, "creates": 5, "updates": 2, "links": 1, "clears": 0, "deletes": 0, "consents": 0, "held": 0, "parked": 0,
        "unchanged": 0, "calls": 0,
    }  # fmt: skip
    assert len(stack.portal.contacts()) == 6
    stack.portal.calls.clear()
    again = json.loads(connector("reconcile", "--json")[1])["summary"]
    assert again["unchanged"] == 6
    assert stack.portal.count(writes_only=True) == 0


def test_show_puts_both_sides_next_to_each_other(connector, stack):
    connector("reconcile")
    contact = stack.portal.contact("known@example.com")["id"]
    for who in ("known@example.com", contact):
        code, out, _ = connector("show", who, "--json")
        told = json.loads(out)
        assert code == 0
        assert set(told) >= {"link", "user", "contact", "base", "fields", "history"}
        names = [field for field in told["fields"] if field["user"] == "last_name"]
        assert names == [
            {
                "user": "last_name", "contact": "lastname", "direction": "both", "user_value": "Known", "base": "Known",
                "contact_value": "Known", "state": "agreed",
            }
        ]  # fmt: skip
    assert "Known" in connector("show", told["link"]["name"])[1]


def test_show_of_nobody_is_exit_1(connector):
    code, out, err = connector("show", "nobody@example.com")
    assert (code, out) == (1, "")
    assert err.startswith("nobody@example.com: nobody")


def test_status_has_the_shape_scripts_rely_on(connector):
    told = json.loads(connector("status", "--json")[1])
    assert set(told) == {
        "inbox", "links", "due", "oldest_due_seconds", "held", "parked", "drift", "activities", "removals", "subscriptions",
        "last_sweep_at", "outages", "sinks",
    }  # fmt: skip
    assert set(told["inbox"]) == {"pending", "done", "quarantined"}
    assert set(told["subscriptions"]) == {"last_pass_at", "lag_seconds", "unread", "paused"}
    assert set(told["links"]) == {"pending", "active", "held", "unlinked", "deleted", "merged", "erased"}
    assert "deliveries" in connector("status")[1]


def test_a_refused_value_is_parked_listed_retried_and_dropped(connector, stack):
    user = stack.idp.register({"email": "nowhere@host.invalid", "first_name": "No", "last_name": "Where"})
    connector("reconcile")
    rows = json.loads(connector("parked", "list", "--json")[1])
    assert [set(row) for row in rows] == [{"id", "link", "what", "reason", "since", "attempts"}]
    assert rows[0]["link"] == f"members:{user}"
    assert "nowhere@host.invalid" not in rows[0]["reason"]
    assert connector("parked", "retry", rows[0]["id"])[0] == 0
    connector("reconcile")
    row = json.loads(connector("parked", "list", "--json")[1])[0]
    assert connector("parked", "drop", row["id"], "--reason", "test")[0] == 0
    assert json.loads(connector("parked", "list", "--json")[1]) == []
    assert connector("parked", "drop", 999, "--reason", "test")[0] == 1
    stack.idp.remove(user)
    connector("reconcile")


def test_a_link_is_held_released_unlinked_and_relinked(connector, stack):
    connector("reconcile")

    def state():
        return json.loads(connector("show", "p1@example.com", "--json")[1])["link"]["state"]

    assert connector("link", "hold", "p1@example.com")[0] == 0
    assert state() == "held"
    assert connector("link", "release", "p1@example.com")[0] == 0
    assert connector("link", "unlink", "p1@example.com")[0] == 0
    assert state() == "unlinked"
    assert connector("link", "hold", "p1@example.com")[0] == 1
    assert connector("link", "relink", "p1@example.com")[0] == 0
    connector("reconcile")
    assert state() == "active"


def test_the_schemas_are_json_schema(connector):
    for which in ("mapping", "config"):
        Draft202012Validator.check_schema(json.loads(connector("schema", which)[1]))


def test_db_current_and_upgrade(connector):
    assert connector("db", "upgrade")[0] == 0
    told = json.loads(connector("db", "current", "--json")[1])
    assert told["current"] == told["needed"]


def test_two_reconciles_at_once_are_refused(connector, stack):
    from connector.store import Store
    from connector.sync.reconcile import LASTING, LOCK

    store = Store(f"sqlite:///{stack.folder / 'connector.db'}")
    with store.write() as tx:
        assert tx.runs.lock(LOCK, "somebody else", LASTING)
    try:
        assert connector("reconcile")[0] == 6
    finally:
        with store.write() as tx:
            tx.runs.unlock(LOCK, "somebody else")


def test_held_links_and_quarantined_deliveries_are_listed(connector, stack):
    from connector.model import Item
    from connector.store import Store

    connector("reconcile")
    connector("link", "hold", "p2@example.com", "--reason", "legal hold")
    rows = json.loads(connector("link", "list", "--json")[1])
    assert [(row["state"], row["reason"]) for row in rows] == [("held", "legal hold")]
    assert "legal hold" in connector("link", "list")[1]
    assert connector("link", "release", "p2@example.com")[0] == 0
    assert connector("link", "list", "--state", "held")[1] == "no link is held\n"
    with Store(f"sqlite:///{stack.folder / 'connector.db'}").write() as tx:
        tx.inbox.add([("members", Item("odd", "evt_odd", b"{", problem="not JSON, at character 1"))])
    assert "not JSON, at character 1" in connector("quarantine", "list")[1]
    assert json.loads(connector("quarantine", "list", "--json")[1])[0]["body"] == "{"


def test_relinking_moves_the_users_id_to_the_new_contact(connector, stack):
    connector("reconcile")
    before = stack.portal.contact("p3@example.com")
    target = stack.portal.create({"email": "p3.private@example.com"})
    assert connector("link", "relink", "p3@example.com", "--contact", target)[0] == 0
    connector("reconcile")
    user = before["properties"]["members_user_id"]
    assert stack.portal.contact(target)["properties"]["members_user_id"] == user
    assert not stack.portal.contact(before["id"])["properties"].get("members_user_id")


def test_a_provider_that_does_not_let_us_in_is_told_with_the_way_out(connector, monkeypatch):
    monkeypatch.setenv("CONNECTOR_PROVIDERS__MEMBERS__API_KEY", "another-key-0001")
    for command in ("reconcile", "backfill"):
        code, _, err = connector(command)
        told = "members: list users: 401; check the credentials under providers.members, and what they may do"
        assert (code, err.splitlines()[-1]) == (4, told)


def test_a_schema_of_a_newer_version_is_exit_3(connector, stack, monkeypatch, tmp_path):
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"sqlite:///{tmp_path / 'newer.db'}")
    assert connector("status")[0] == 0
    with sqlite3.connect(tmp_path / "newer.db") as database:
        database.execute("update alembic_version set version_num = '9999'")
    for command in (("status",), ("db", "upgrade")):
        code, _, err = connector(*command)
        assert code == 3
        assert err.startswith("database: schema 9999 is from a newer version")
    code, out, _ = connector("db", "current")
    assert code == 1
    assert re.fullmatch(r"schema 9999, needed \d+; run the newer version of the connector .*, or restore a backup\n", out)


def test_a_file_that_is_no_database_is_exit_3(connector, monkeypatch, tmp_path):
    (tmp_path / "junk.db").write_text("not a database, but long enough to be looked at. " * 20)
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"sqlite:///{tmp_path / 'junk.db'}")
    code, _, err = connector("status")
    assert code == 3
    assert len(err.strip().splitlines()) == 1


def test_up_on_a_port_that_is_taken_says_so(connector, stack):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = connector("up", "--port", taken.getsockname()[1])
    assert code == 6
    assert "another one running?" in err
    assert connector("up", "--port", 70000)[0] == 2


def test_the_connectors_own_property_is_not_to_be_mapped(connector, stack):
    good = (stack.folder / "members.yaml").read_text()
    (stack.folder / "members.yaml").write_text(good.replace("contact: lastname", "contact: members_user_id"))
    try:
        code, _, err = connector("check")
    finally:
        (stack.folder / "members.yaml").write_text(good)
    assert code == 3
    assert "members.yaml:7:32: fields.2.contact: members_user_id carries the user's id" in err
