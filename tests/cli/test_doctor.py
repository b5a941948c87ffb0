"""`doctor`: each check against a real portal, database or broker that is not as it should be."""

import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from connector.crm.hubspot.driver import HubSpot
from connector.engine.consent import Standing, encoded
from connector.model import ConsentState, LinkState, Statement
from connector.store import Store
from connector.store.ledger import LedgerRow
from connector.store.removals import Made
from connector.store.troubles import Trouble
from connector.sync import subscriptions
from connector.sync.sweep import SWEPT

from ..e2e.stack import SECRET, free_port
from ..queue.test_workers import redis_server
from .portals import CONSENT, EVENTS, FIRST, OF_SUBSCRIPTIONS, SHOE, ready, remap, stack, told

__all__ = ["ready", "stack"]

UNKNOWN_KEY = "another-key-of-at-least-32-characters"


@pytest.fixture
def doctor(ready):
    """Run it: exit code, and each check by its name (of several with one name, the first that is not ok)."""

    def examine():
        code, out, err = done = ready("doctor", "--json")
        assert err == ""
        document = told(done)
        assert set(document) == {"ok", "checks"}
        assert document["ok"] is (code == 0)
        found = {}
        for one in document["checks"]:
            assert set(one) == {"name", "state", "detail", "way_out"}
            if one["name"] not in found or found[one["name"]]["state"] == "ok":
                found[one["name"]] = one
        return code, found

    return examine


@pytest.fixture
def store(stack):
    opened = Store(f"sqlite:///{stack.folder / 'connector.db'}")
    yield opened
    opened.close()


@pytest.fixture
def access(monkeypatch):
    """Let the portal tell something else of itself."""
    asked = HubSpot.access

    def change(**values):
        monkeypatch.setattr(HubSpot, "access", lambda self: replace(asked(self), **values))

    return change


@pytest.fixture
def redis(tmp_path):
    """Start a Redis with an eviction policy; its address."""
    running = []

    def start(policy):
        port = free_port()
        command = [redis_server(), "--port", str(port), "--save", "", "--maxmemory-policy", policy]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path))
        time.sleep(0.3)
        return f"redis://127.0.0.1:{port}/0"

    yield start
    for process in running:
        process.kill()
        process.wait()


def consented(store):
    """Something in the ledger."""
    with store.write() as tx:
        rows = [("newsletter", ConsentState.GRANTED), ("newsletter", ConsentState.REVOKED), ("calls", ConsentState.GRANTED)]
        tx.ledger.append([LedgerRow(None, "members", tx.ledger.subject("members", "u-1"), *row) for row in rows])


def test_what_was_set_up_is_fine(doctor):
    code, found = doctor()
    assert code == 0
    assert {one["name"]: one["detail"] for one in found.values() if one["state"] not in ("ok", "warning")} == {}
    assert found["database"]["detail"].startswith("SQLite 3")
    assert "journal wal" in found["database"]["detail"]
    assert found["crm"]["detail"].startswith("portal 12345678 at http://127.0.0.1")
    assert found["mapping"]["detail"] == "the portal has what the mappings need"
    assert {name for name, one in found.items() if one["state"] == "warning"} == {
        "hash_key", "sweep", "webhooks of HubSpot", "webhooks of members",
    }  # fmt: skip


def test_each_check_is_a_line(ready, stack):
    stack.portal.schema.purge("shoe_size")
    code, out, err = ready("doctor")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert all(line.split(": ")[0] in ("ok", "warning", "problem") for line in lines)
    assert f"problem: mapping: {SHOE}: shoe_size: the portal has no such property; create it with: connector setup" in out
    assert not any(secret in out for secret in ("portal-token", "client-secret", "identity-token", SECRET))


def test_a_portal_out_of_reach_is_exit_4_and_the_rest_is_told(doctor, stack):
    stack.sides[0].stop()
    code, found = doctor()
    assert (code, found["crm"]["state"]) == (4, "unreachable")
    assert found["database"]["state"] == found["ledger"]["state"] == "ok"
    assert "scopes" not in found


def test_a_database_out_of_reach_is_exit_4_and_the_rest_is_told(doctor, monkeypatch):
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", "postgresql://someone:hunter2@127.0.0.1:9/none")
    code, found = doctor()
    assert (code, found["database"]["state"]) == (4, "unreachable")
    assert found["scopes"]["state"] == "ok"
    assert "ledger" not in found
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:9/0", "amqp://someone:hunter2@127.0.0.1:9//"])
def test_a_broker_out_of_reach_is_exit_4_and_the_rest_is_told(doctor, monkeypatch, url):
    monkeypatch.setenv("CONNECTOR_BROKER_URL", url)
    code, found = doctor()
    assert (code, found["broker"]["state"]) == (4, "unreachable")
    assert found["scopes"]["state"] == found["ledger"]["state"] == "ok"
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(("policy", "state", "exit_code"), [("noeviction", "ok", 0), ("allkeys-lru", "problem", 1)])
def test_redis_must_not_throw_anything_away(doctor, redis, monkeypatch, policy, state, exit_code):
    monkeypatch.setenv("CONNECTOR_BROKER_URL", redis(policy))
    code, found = doctor()
    assert (code, found["broker"]["state"]) == (exit_code, state)
    assert policy in found["broker"]["detail"]
    assert "append-only" in found["broker"]["detail"]


def test_an_old_schema_names_the_command(doctor, postgres, monkeypatch):
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", postgres())
    code, found = doctor()
    assert (code, found["database"]["state"], found["database"]["way_out"]) == (1, "problem", "run: connector db upgrade")


def test_postgresql_tells_its_version(doctor, postgres, monkeypatch):
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", postgres(migrated=True))
    code, found = doctor()
    assert code == 0
    assert found["database"]["detail"].startswith("PostgreSQL 1")
    assert found["database clock"]["state"] == "ok"


@pytest.mark.parametrize(("off", "state"), [(0, "ok"), (40, "warning"), (-40, "warning"), (200, "problem"), (-200, "problem")])
def test_clocks_that_differ_break_signatures(doctor, access, off, state):
    access(clock=datetime.now(UTC) + timedelta(seconds=off))
    code, found = doctor()
    assert (code, found["crm clock"]["state"]) == (1 if state == "problem" else 0, state)


def test_a_refused_token_is_a_problem(doctor, monkeypatch):
    monkeypatch.setenv("CONNECTOR_CRM__ACCESS_TOKEN", "not-the-token-of-this-portal")
    code, found = doctor()
    assert (code, found["crm"]["state"]) == (1, "problem")
    assert "credentials refused" in found["crm"]["detail"]


def test_another_portal_is_a_problem(doctor, monkeypatch):
    monkeypatch.setenv("CONNECTOR_CRM__PORTAL_ID", "999")
    code, found = doctor()
    assert (code, found["crm"]["state"]) == (1, "problem")
    assert "crm.portal_id is 999, but crm.access_token belongs to portal 12345678" in found["crm"]["detail"]


def test_scopes_that_are_needed_and_not_granted_are_named_with_their_line(doctor, stack):
    stack.portal.scopes -= {"crm.objects.custom.write", "crm.objects.contacts.write"}
    code, found = doctor()
    assert (code, found["scopes"]["state"]) == (1, "problem")
    assert found["scopes"]["detail"] == (
        f"the token lacks crm.objects.contacts.write ({FIRST}), crm.objects.custom.write ({EVENTS})"
    )


def test_scopes_for_setup_alone_may_be_taken_away(doctor, stack):
    stack.portal.scopes -= {"crm.schemas.contacts.write", "crm.schemas.custom.write"}
    code, found = doctor()
    assert code == 0
    assert "without crm.schemas.contacts.write, crm.schemas.custom.write, which setup --apply needs" in found["scopes"]["detail"]


def test_scopes_that_are_not_told_are_listed(doctor, access):
    access(scopes=None)
    code, found = doctor()
    assert (code, found["scopes"]["state"]) == (0, "warning")
    assert "crm.objects.contacts.write" in found["scopes"]["way_out"]


@pytest.mark.parametrize(
    ("spoil", "state", "words"),
    [
        (lambda portal: None, "ok", "a hundred addresses a call"),
        (lambda portal: portal.switch(batch_subscriptions=False), "warning", "one address a call"),
        (
            lambda portal: portal.scopes.discard("communication_preferences.statuses.batch.write"),
            "warning",
            "are read a hundred addresses a call, and written one a call: the token lacks "
            "communication_preferences.statuses.batch.write",
        ),
        (lambda portal: portal.switch(v4_subscriptions=False), "warning", "without times, and an opt-out cannot be taken back"),
        (lambda portal: portal.scopes.difference_update(OF_SUBSCRIPTIONS), "problem", "`property` is the only way"),
    ],
)
def test_how_subscriptions_are_read_and_what_that_means(doctor, stack, spoil, state, words):
    spoil(stack.portal)
    code, found = doctor()
    assert (code, found["subscriptions"]["state"]) == (1 if state == "problem" else 0, state)
    assert words in found["subscriptions"]["detail"]
    assert state != "problem" or found["mapping"]["detail"].startswith(f"{CONSENT}: newsletter: ")


def test_a_tier_without_custom_objects(doctor, stack):
    stack.portal.switch(custom_objects=False)
    code, found = doctor()
    assert (code, found["account"]["state"]) == (1, "problem")
    assert found["mapping"]["detail"].startswith(f"{EVENTS}: events.as: custom_object: the account has no custom objects")


def test_a_tier_without_them_is_fine_when_nobody_asks(doctor, stack):
    remap(stack, "as: custom_object", "as: note")
    stack.portal.switch(custom_objects=False, custom_events=False)
    code, found = doctor()
    assert (code, found["account"]["detail"]) == (0, "custom objects no, custom events no")


@pytest.mark.parametrize(("used", "state"), [(700, "ok"), (800, "warning"), (1000, "problem"), (None, "ok")])
def test_limits_that_are_nearly_reached(doctor, access, used, state):
    access(calls_today=used, calls_limit=1000, properties_made=used, properties_limit=1000)
    code, found = doctor()
    assert (found["calls today"]["state"], found["contact properties"]["state"]) == (state, state)


def test_webhooks_that_must_be_subscribed_to_are_listed(doctor, stack):
    listed = doctor()[1]["webhook subscriptions"]["detail"].split("; ")
    kinds = {line.partition(":")[0]: line.partition(": ")[2] for line in listed}
    assert set(kinds) == {
        "contact.creation", "contact.deletion", "contact.merge", "contact.restore", "contact.privacyDeletion",
        "contact.propertyChange",
    }  # fmt: skip
    assert kinds["contact.propertyChange"].split(", ") == [
        "communicable", "email", "firstname", "interests", "member_types", "newsletter_consent", "shoe_size",
    ]  # fmt: skip


def test_webhooks_are_dated_once_one_came(doctor, stack):
    never = doctor()[1]["webhooks of HubSpot"]
    assert (never["state"], never["way_out"]) == ("warning", f"it must be told to send them to {stack.public}/webhooks/hubspot")
    stack.up()
    stack.portal.create({"email": "ada@example.com"})
    assert stack.portal.flush_webhooks()
    came = doctor()[1]
    assert came["webhooks of HubSpot"]["detail"].startswith("the last one came ")
    assert came["webhooks of members"]["state"] == "warning"
    assert came["sweep"]["state"] == "ok"


def test_parts_that_are_closed_to_us_say_why(doctor, store):
    with store.write() as tx:
        tx.cursors.set(f"{subscriptions.PAUSED}members", "hubspot: 403 missing scopes: x; grant the token x")
        tx.cursors.set("paused:activities", "hubspot: no custom objects; set events.as: note")
    code, found = doctor()
    assert code == 1
    assert found["paused: subscriptions of members"]["way_out"] == "grant the token x"
    assert found["paused: activities"]["detail"] == "hubspot: no custom objects"


def test_a_part_that_is_open_again_is_not_mentioned(doctor, store):
    with store.write() as tx:
        tx.cursors.set(f"{subscriptions.PAUSED}members", "")
    code, found = doctor()
    assert (code, "paused: subscriptions of members" in found) == (0, False)


def test_records_of_erased_people_that_stay_in_the_crm_are_told(doctor, store):
    with store.write() as tx:
        tx.removals.add("members", [Made("crm", "1"), Made("crm", "2")])
    assert doctor()[0] == 0
    with store.write() as tx:
        tx.removals.postpone_due("crm", ["members"], tx.now, "hubspot: 403 missing scopes")
        tx.connection.execute(text("update removal set since = since - 7200"))
    code, found = doctor()
    assert (code, found["erased people"]["state"]) == (1, "problem")
    assert found["erased people"]["detail"] == "2 records of their events are still in the CRM: hubspot: 403 missing scopes"


def test_the_ledger_shows_its_end_and_any_change(doctor, store):
    consented(store)
    with store.read() as tx:
        head = tx.ledger.head()
    assert doctor()[1]["ledger"]["detail"] == f"whole, 3 rows, end {head.chain}"
    with store.write() as tx:
        tx.connection.execute(text("update consent set state = 'granted' where state = 'revoked'"))
    code, found = doctor()
    assert (code, found["ledger"]["state"], found["ledger"]["detail"]) == (1, "problem", "row 2: edited")


def test_a_ledger_that_contradicts_the_links_is_told_beside_its_broken_chain(doctor, store):
    consented(store)
    stands = {"newsletter": encoded(Standing(Statement(ConsentState.GRANTED)))}
    with store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": "u-7", "state": LinkState.HELD, "consents": stands}])
        link = tx.links.by_users("members", ["u-7"])["u-7"].id
        tx.connection.execute(text("update consent set state = 'granted' where state = 'revoked'"))
    code, found = doctor()
    assert (code, found["ledger"]["state"]) == (1, "problem")
    assert found["ledger"]["detail"] == (
        f"row 2: edited; consents whose last row is missing, or is not what stands at the link: 1 (links {link})"
    )
    assert "with a backup" in found["ledger"]["way_out"]


def test_another_hash_key_is_told_from_forgery(doctor, store, monkeypatch):
    consented(store)
    monkeypatch.setenv("CONNECTOR_HASH_KEY", UNKNOWN_KEY)
    code, found = doctor()
    assert (code, found["hash_key"]["state"], "ledger" in found) == (1, "problem", False)
    assert "not the one that the consents and erasures in this database were recorded with" in found["hash_key"]["detail"]
    assert UNKNOWN_KEY not in str(found)


def test_a_key_that_is_not_set_can_be_set_before_the_first_consent_only(doctor, store):
    told = doctor()[1]["hash_key"]
    assert told["detail"].startswith("not set: the key stands in the database")
    assert told["way_out"] == "set one before the first start"
    consented(store)
    assert doctor()[1]["hash_key"]["way_out"].startswith("this database has consents or erasures already: leave it")


def test_a_database_that_everybody_can_read(doctor, stack):
    (stack.folder / "connector.db").chmod(0o644)
    code, found = doctor()
    assert (code, found["database"]["state"]) == (0, "warning")
    assert found["database"]["detail"] == "every user of this machine can read connector.db"
    assert found["database"]["way_out"] == "chmod 600 connector.db"


@pytest.mark.usefixtures("ready")
def test_a_database_that_cannot_be_opened_is_named(doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"sqlite:///{tmp_path / 'gone' / 'c.db'}")
    code, found = doctor()
    assert (code, found["database"]["state"]) == (4, "unreachable")
    assert "gone/c.db cannot be opened (No such file or directory): make the folder " in found["database"]["detail"]


def waits(store, call="user.read", why="401", provider="members"):
    """A link waits since a moment ago, because its side fails."""
    with store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": "u-1"}])
        link = tx.links.by_users("members", ["u-1"])["u-1"]
        tx.connection.execute(
            text("update link set failed_since = :now where id = :id"), {"now": tx.now.timestamp(), "id": link.id}
        )
        tx.troubles.fails(provider, call, why)
        return f"{tx.now:%H:%M} UTC"


class TestProviders:
    def test_one_that_lets_us_in(self, doctor):
        assert doctor()[1]["provider members"] == {
            "name": "provider members", "state": "ok", "detail": "lets us in", "way_out": "",
        }  # fmt: skip

    def test_one_that_refuses_the_key(self, doctor, store, monkeypatch):
        since = waits(store)
        monkeypatch.setenv("CONNECTOR_PROVIDERS__MEMBERS__API_KEY", "another-key-0001")
        code, found = doctor()
        told = found["provider members"]
        assert (code, told["state"]) == (1, "problem")
        assert told["detail"] == f"refuses api_key (401) since {since}; 1 link waits"
        assert told["way_out"] == "correct providers.members.api_key and restart"
        assert "another-key" not in str(found)

    def test_one_that_is_down(self, doctor, stack):
        stack.sides[1].stop()
        code, found = doctor()
        told = found["provider members"]
        assert (code, told["state"]) == (1, "problem")
        assert told["detail"] == f"{stack.sides[1].url} cannot be reached (connection refused)"
        assert told["way_out"] == "look at the addresses under providers.members and the network"

    def test_one_that_lets_us_in_again(self, doctor, store):
        since = waits(store)
        told = doctor()[1]["provider members"]
        assert (told["state"], told["detail"]) == ("warning", f"lets us in now; 1 link waits since {since} (401)")

    def test_one_that_lets_us_in_and_refuses_what_links_wait_for(self, doctor, store):
        since = waits(store, "user.write", "403")
        code, found = doctor()
        told = found["provider members"]
        assert (code, told["state"]) == (1, "problem")
        assert told["detail"] == f"lets us in, but refuses user.write; 1 link waits since {since} (403)"

    def test_one_that_is_only_listened_to(self, doctor, stack):
        config = stack.folder / "config.yaml"
        config.write_text(config.read_text().replace(f", api_url: {stack.sides[1].url}, api_key: identity-token", ""))
        remap(stack, "version: 1", "version: 1\ndefaults: {direction: to_contact}")
        assert doctor()[1]["provider members"]["detail"] == "is only listened to"

    def test_status_says_which_sinks_take_no_events(self, ready, store):
        assert told(ready("status", "--json"))["sinks"] == []
        assert "waiting for" not in ready("status")[1]
        with store.write() as tx:
            tx.troubles.keep("segment", Trouble(1), "segment: 401")
            tx.troubles.keep("crm", Trouble(1), "hubspot: 403")
        assert told(ready("status", "--json"))["sinks"] == [
            {"sink": None, "why": "hubspot: 403"}, {"sink": "segment", "why": "segment: 401"},
        ]  # fmt: skip
        assert "HubSpot: hubspot: 403; segment: segment: 401" in ready("status")[1]

    def test_status_says_what_links_wait_for(self, ready, store):
        waits(store)
        assert [(one["provider"], one["why"], one["links"]) for one in told(ready("status", "--json"))["outages"]] == [
            ("members", "401", 1)
        ]
        assert [line.split(maxsplit=3) for line in ready("status")[1].splitlines() if "for a side" in line] == [
            ["for", "a", "side", "1 (members: 401)"]
        ]


def test_a_key_that_is_set_needs_no_word(doctor, monkeypatch):
    monkeypatch.setenv("CONNECTOR_HASH_KEY", UNKNOWN_KEY)
    assert "hash_key" not in doctor()[1]


def late(store, name, by):
    with store.write() as tx:
        tx.cursors.set(name)
        tx.connection.execute(
            text("update cursor set at = :at where name = :name"), {"at": tx.now.timestamp() - by, "name": name}
        )


def test_sweeps_and_rounds_that_are_overdue(doctor, store):
    late(store, SWEPT, 5)
    late(store, subscriptions.PASSED, 600)
    found = doctor()[1]
    assert found["sweep"]["state"] == found["subscription statuses"]["state"] == "ok"
    late(store, SWEPT, 500)
    late(store, subscriptions.PASSED, 7200)
    found = doctor()[1]
    assert (found["sweep"]["state"], found["sweep"]["detail"]) == ("warning", "the last one was 8 min ago")
    assert found["subscription statuses"]["detail"] == "the last round ended 2 h ago"


def test_people_whose_statuses_cannot_be_read_are_counted(doctor, store):
    with store.write() as tx:
        tx.cursors.count(subscriptions.UNREAD, 2)
    code, found = doctor()
    assert (code, found["subscription statuses"]["state"]) == (0, "warning")
    assert found["subscription statuses"]["detail"].endswith("; HubSpot fails to tell the statuses of 2")


def test_what_waits_for_a_person_is_counted(doctor, store):
    with store.write() as tx:
        tx.links.create([{"provider": "members", "user_id": "u-1"}, {"provider": "members", "user_id": "u-2"}])
        found = tx.links.by_users("members", ["u-1", "u-2"])
        values = {"state": LinkState.HELD, "reason": "brake: more than 1 deletes in run 7 (brakes.deletes)"}
        tx.links.notice(found["u-1"].id, values, None)
        tx.parked.put(found["u-2"].id, "phone", "phone: HubSpot refuses the value", 1)
    code, found = doctor()
    assert code == 0
    assert found["waiting"]["detail"].startswith("due ")
    assert "held 1, of these stopped by a brake 1, parked 1, quarantined 0" in found["waiting"]["detail"]
    assert "connector link list" in found["waiting"]["way_out"]
