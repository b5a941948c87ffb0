"""People who are to be forgotten and are not yet: whoever looks is told, with what stands in the way."""

import json
from datetime import timedelta

import pytest

from connector.model import LinkState
from connector.sandbox.faults import Answer
from connector.store import Store
from connector.store.tables import link as table

from ..e2e.stack import Stack

SCOPE = "crm.objects.contacts.gdpr"
REFUSAL = {
    "status": "error", "category": "MISSING_SCOPES", "correlationId": "a", "message": "This app hasn't been granted them",
    "errors": [{"message": "x", "context": {"requiredGranularScopes": [SCOPE]}}],
}  # fmt: skip
REFUSED = Answer(403, REFUSAL, prefix="/crm/v3/objects/contacts/gdpr-delete")
UNKNOWN_TOKEN = Answer(401, {"status": "error", "category": "INVALID_AUTHENTICATION"})
NO_CALLS_LEFT = Answer(429, {"status": "error", "policyName": "DAILY"})
WHY = f"403 missing scopes: {SCOPE}; add them to the app"


@pytest.fixture
def stack(tmp_path):
    one = Stack(tmp_path)
    yield one
    one.close()


@pytest.fixture
def store(stack):
    opened = Store(f"sqlite:///{stack.folder / 'connector.db'}")
    yield opened
    opened.close()


@pytest.fixture
def person(stack, connector):
    """Somebody on both sides: user id and contact id."""
    user = stack.idp.register({"email": "ada@example.com", "first_name": "Ada"})
    connector("reconcile")
    return user, stack.portal.contact("ada@example.com")["id"]


@pytest.fixture
def refused(stack, connector, person):
    """The same, whose erasure HubSpot refused: what `erase` did, the user id, the contact id."""
    stack.portal.faults.status_queue.extend([REFUSED] * 2)
    return connector("erase", f"members:{person[0]}"), *person


def checks(connector, name):
    code, out, _ = connector("doctor", "--json")
    return code, [one for one in json.loads(out)["checks"] if one["name"] == name]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            Answer(401, {"status": "error", "category": "INVALID_AUTHENTICATION"}),
            "401 credentials refused: correct crm.access_token",
        ),
        (Answer(429, {"status": "error", "policyName": "DAILY"}), "429 daily limit reached"),
    ],
    ids=["token", "limit"],
)
def test_an_erasure_that_hubspot_does_not_hear_of_says_why(connector, stack, person, answer, told):
    stack.portal.faults.status_queue.append(answer)
    code, _, err = connector("erase", f"members:{person[0]}")
    assert (code, told in err) == (4, True)


@pytest.mark.parametrize(
    ("answer", "way_out"),
    [
        (Answer(401, {"status": "error", "category": "INVALID_AUTHENTICATION"}), "look at crm.access_token"),
        (
            Answer(429, {"status": "error", "policyName": "DAILY"}),
            "find out who makes all the calls: HubSpot shows that for each app",
        ),
    ],
    ids=["token", "limit"],
)
def test_doctor_says_of_a_refusal_what_it_is_about(connector, stack, person, answer, way_out):
    stack.portal.faults.status_queue.append(answer)
    code, (found,) = checks(connector, "crm")
    assert (code, found["state"], found["way_out"]) == (1, "problem", way_out)


def test_an_erasure_that_lacks_a_scope_names_it_wherever_it_is_told(connector, stack, refused):
    (code, _, err), user, contact = refused
    assert code == 4
    assert err == (
        f"members:{user}: not finished: hubspot: contact {contact}: erase: {WHY}; "
        "it stays due and a running worker completes it\n"
    )
    shown = connector("show", f"members:{user}")[1]
    assert f": to be erased by command; now: hubspot: contact {contact}: erase: {WHY}; next try" in shown
    assert "released" not in shown
    assert (
        f"to be erased by command; now: hubspot: contact {contact}: erase: {WHY}"
        in connector("explain", f"members:{user}", "email")[1]
    )
    assert f"1 (HubSpot: {WHY})" in connector("status")[1]


def test_doctor_says_who_waits_to_be_forgotten_and_for_what(connector, refused):
    _, user, _ = refused
    code, (told,) = checks(connector, "to be erased")
    assert (code, told["state"]) == (1, "problem")
    assert told["detail"].startswith("1 person not yet, since ")
    assert told["detail"].endswith(f"(members:{user}): 403 missing scopes: {SCOPE}")
    assert told["way_out"] == "add them to the app"
    (side,) = checks(connector, "waiting for HubSpot")[1]
    assert (side["state"], side["way_out"]) == ("problem", "add them to the app")
    assert side["detail"].startswith("1 link waits since ")
    assert side["detail"].endswith(f": 403 missing scopes: {SCOPE}")


def test_what_works_for_others_does_not_hide_it(connector, stack, refused):
    stack.idp.register({"email": "bob@example.com", "first_name": "Bob"})
    connector("reconcile")
    assert stack.portal.contact("bob@example.com") is not None
    assert checks(connector, "waiting for HubSpot")[1][0]["state"] == "problem"


def test_once_it_is_done_nobody_waits(connector, stack, refused):
    stack.portal.faults.status_queue.clear()
    assert connector("erase", f"members:{refused[1]}")[0] == 0
    assert checks(connector, "to be erased")[1] == checks(connector, "waiting for HubSpot")[1] == []


@pytest.mark.parametrize(
    ("values", "parked", "state", "detail", "way_out"),
    [
        ({}, "", "ok", "a worker is about to do it", ""),
        ({"due_at": -3600}, "", "warning", "nobody has tried", "is the connector running?"),
        ({"failed_since": -60, "reason": "hubspot: contact 7: erase: 503; x"}, "", "warning", "503", "it is tried again"),
        ({"due_at": None}, "hubspot: contact 7: erase: 400", "problem", "hubspot: contact 7: erase: 400",
         "then: connector parked retry"),
        ({"due_at": None, "state": LinkState.HELD, "reason": "brake: more than 1 deletes in one hour"}, "", "warning",
         "brake: more than 1 deletes in one hour", "look at them, then: connector link release"),
    ],
    ids=["due", "overdue", "fails", "parked", "braked"],
)  # fmt: skip
def test_each_cause_has_its_way_out(connector, store, person, values, parked, state, detail, way_out):
    user, _ = person
    with store.write() as tx:
        link = tx.links.by_users("members", [user])[user]
        told = {"erasure": True, "due_at": 0} | values
        told |= {
            name: tx.now + timedelta(seconds=told[name]) for name in ("due_at", "failed_since") if told.get(name) is not None
        }
        tx.connection.execute(table.update().where(table.c.id == link.id).values(told))
        if parked:
            tx.parked.put(link.id, "link", parked, 1)
    code, (told,) = checks(connector, "to be erased")
    assert (told["state"], told["way_out"]) == (state, way_out)
    assert told["detail"].endswith(f"(members:{user}): {detail}")
    assert (code == 1) is (state == "problem")
