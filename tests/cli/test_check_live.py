"""`check --live` and start-up: what does not fit is told with the mapping's line and the way out; exit code 3."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from connector.crm.hubspot.paths import TYPES
from connector.sandbox.faults import Answer
from connector.sandbox.schema import Property
from connector.sync.demands import OBJECT_PROPERTIES

from .portals import (
    COMMUNICABLE,
    CONSENT,
    CONSENT_PROPERTY,
    EVENTS,
    FIRST,
    INTERESTS,
    OBJECT,
    OF_SUBSCRIPTIONS,
    SHOE,
    TYPOLOGIES,
    WHOLE,
    at,
    ready,
    remap,
    stack,
    told,
)

__all__ = ["ready", "stack"]

pytestmark = pytest.mark.usefixtures("keyed")

ROOT = Path(__file__).parents[2]


def calculated(name, kind):
    new = Property(name, kind, "calculation_equation", calculated=True)
    return lambda stack: stack.portal.schema.add(new, replace=True)


def property_(*arguments, **options):
    return lambda stack: stack.portal.add_property(*arguments, **options)


def gone(name):
    return lambda stack: stack.portal.schema.purge(name)


def archived(name):
    return lambda stack: stack.portal.remove_property(name)


def sensitive(name):
    return lambda stack: stack.portal.schema.add(Property(name, "number", "number", sensitivity="sensitive"), replace=True)


def made_by_hand(stack, **definitions):
    """Somebody made the object of events by hand, without any association: all of texts, but for these."""
    remap(stack, "object: identity_event", "object: lone_event")
    given = {name: {"type": "string", "fieldType": "text"} for name in OBJECT_PROPERTIES}
    given["event_id"]["hasUniqueValue"] = True
    body = {
        "name": "lone_event", "labels": {"singular": "Lone", "plural": "Lones"}, "requiredProperties": [],
        "associatedObjects": [],
        "properties": [{"name": name, "label": name, **one, **definitions.get(name, {})} for name, one in given.items()],
    }  # fmt: skip
    url, token = f"{stack.sides[0].url}/crm-object-schemas/v3/schemas", {"Authorization": "Bearer portal-token"}
    assert requests.post(url, json=body, headers=token, timeout=10).status_code == 201


def options(*values):
    return {"type": "enumeration", "fieldType": "select", "options": [{"value": one, "label": one} for one in values]}


def without(*scopes):
    return lambda stack: stack.portal.scopes.difference_update(scopes)


def subscription(name):
    return lambda stack: remap(stack, "subscription: Newsletter", f"subscription: {name}")


LACKS = "the portal has no such property; create it with: connector setup --apply"
WRONG = [
    (
        "the id property is archived",
        archived("members_user_id"),
        f"{WHOLE}: members_user_id: is archived in the portal; restore it in HubSpot's settings, or give the provider another",
    ),
    (
        "a field's property is archived",
        archived("shoe_size"),
        f"{SHOE}: shoe_size: is archived in the portal; restore it in HubSpot's settings, or name another property",
    ),
    (
        "a field's property is sensitive",
        sensitive("shoe_size"),
        f"{SHOE}: shoe_size: is a sensitive property in the portal, and those are left alone; name another property",
    ),
    ("the id property is missing", gone("members_user_id"), f"{WHOLE}: members_user_id: {LACKS}"),
    ("a field's property is missing", gone("shoe_size"), f"{SHOE}: shoe_size: {LACKS}, or correct the name"),
    ("the typologies' property is missing", gone("member_types"), f"{TYPOLOGIES}: member_types: {LACKS}"),
    ("a consent's property is missing", gone("newsletter_consent"), f"{CONSENT_PROPERTY}: newsletter_consent: {LACKS}"),
    ("communicable is missing", gone("communicable"), f"{COMMUNICABLE}: communicable: {LACKS}"),
    (
        "read-only",
        property_("shoe_size", "number", "number", read_only=True),
        f"{SHOE}: shoe_size: is read-only in the portal; set direction: to_user",
    ),
    (
        "read-only, where no direction can be set",
        property_("communicable", "bool", read_only=True),
        f"{COMMUNICABLE}: communicable: is read-only in the portal; name another",
    ),
    (
        "calculated",
        calculated("shoe_size", "number"),
        f"{SHOE}: shoe_size: is calculated by the portal; set direction: to_user",
    ),
    (
        "another type",
        property_("shoe_size", "date", "date"),
        f"{SHOE}: shoe_size: is of type date in the portal, which cannot hold a number; change type",
    ),
    (
        "one option only",
        property_("interests", "enumeration", "select", options=["Sport", "Film"]),
        f"{INTERESTS}: interests: takes one option only in the portal (select), which cannot hold a set; change",
    ),
    (
        "an unknown subscription",
        subscription("Newslettr"),
        f"{CONSENT}: newsletter: the portal has no subscription type 'Newslettr'; "
        "did you mean Newsletter? there is Newsletter (1001)",
    ),
    (
        "an unknown subscription id",
        subscription("4711"),
        f"{CONSENT}: newsletter: the portal has no subscription type '4711'; there is Newsletter (1001), Product",
    ),
    (
        "an ambiguous subscription",
        lambda stack: stack.portal.add_subscription_type("Newsletter"),
        f"{CONSENT}: newsletter: several subscription types are called 'Newsletter'; give the id: 1001, 1003",
    ),
    (
        "two consents on one subscription, by name and by id",
        lambda stack: remap(stack, "communicable: {", '  - {consent: product, subscription: "1001"}\ncommunicable: {'),
        "members.yaml:17:38: product: subscription type Newsletter (1001) is that of consent newsletter, too; give each its own",
    ),
    (
        "no scope for subscriptions",
        without(*OF_SUBSCRIPTIONS),
        f"{CONSENT}: newsletter: subscriptions are closed to the token; grant it communication_preferences.read",
    ),
    (
        "subscription types that the portal refuses to list",
        lambda stack: stack.portal.faults.status_queue.extend([Answer(404, {"status": "error"}, prefix=TYPES)] * 2),
        f"{CONSENT}: newsletter: the portal does not list its subscription types (hubspot: subscription types: list: 404",
    ),
    (
        "no scope to write contacts",
        without("crm.objects.contacts.write"),
        f"{FIRST}: contacts: the token lacks the scope crm.objects.contacts.write; grant it",
    ),
    (
        "no scope to read definitions",
        without("crm.schemas.contacts.read"),
        f"{FIRST}: properties: the token may not read how they are defined; grant it crm.schemas.contacts.read",
    ),
    (
        "no scope to write custom objects",
        without("crm.objects.custom.write"),
        f"{EVENTS}: events.as: custom_object: the token lacks the scope crm.objects.custom.write; grant it",
    ),
    (
        "no scope to read custom objects",
        without("crm.schemas.custom.read"),
        f"{EVENTS}: events.as: custom_object: custom objects are closed to the token; grant it crm.schemas.custom.read",
    ),
    (
        "no custom objects",
        lambda stack: stack.portal.switch(custom_objects=False),
        f"{EVENTS}: events.as: custom_object: the account has no custom objects; they take an Enterprise account; or",
    ),
    (
        "no custom object of this name",
        lambda stack: remap(stack, "object: identity_event", "object: other_event"),
        f"{OBJECT}: custom object other_event: the portal has no such custom object; create it with: connector setup",
    ),
    (
        "no custom events",
        lambda stack: (remap(stack, "as: custom_object", "as: custom_event"), stack.portal.switch(custom_events=False)),
        f"{EVENTS}: events.as: custom_event: the account has no custom events; they take an Enterprise account",
    ),
]


@pytest.mark.parametrize(("spoil", "line"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_what_does_not_fit_is_told_and_nothing_starts(ready, stack, spoil, line):
    spoil(stack)
    code, out, err = ready("check", "--live")
    assert (code, out) == (3, "")
    assert any(one.startswith(line) for one in err.splitlines()), err
    code, _, again = ready("up")
    assert (code, [one for one in again.splitlines() if one.startswith("members.yaml")]) == (3, err.splitlines())


def test_a_misspelt_property_is_asked_about_before_it_is_made(ready, stack):
    remap(stack, "contact: firstname", "contact: fristname")
    place = at(4, "firstname")
    assert ready("check", "--live")[2] == (
        f"{place}: fristname: the portal has no such property; "
        "did you mean firstname? If not, create it with: connector setup --apply\n"
    )


def test_text_for_a_list_of_options_is_a_note_that_says_what_to_change(ready, stack):
    stack.portal.add_property("firstname", "enumeration", "select", options=["Ada"])
    code, out, _ = ready("check", "--live")
    assert (code, out.splitlines()[0]) == (
        0,
        f"warning: {at(4, 'firstname')}: firstname: is a list of options in HubSpot, which refuses any other text, and the "
        "mapping sends it text; "
        "write type: choice for this field: then a value that is no option is held, and told, and nothing is refused",
    )


@pytest.mark.parametrize(
    ("type_", "words"),
    [("number", "a number"), ("date", "a date"), ("datetime", "a date with time"), ("bool", "a yes or no")],
)
def test_text_for_a_property_that_takes_some_texts_only_is_a_note(ready, stack, type_, words):
    stack.portal.add_property("firstname", type_, "date" if "date" in type_ else type_)
    code, out, _ = ready("check", "--live")
    assert (code, out.splitlines()[0]) == (
        0,
        f"warning: {at(4, 'firstname')}: firstname: is {words} in HubSpot, which refuses any other text, and the "
        f"mapping sends it text; write type: {type_} for this field, or name another property",
    )


@pytest.mark.parametrize(("name", "place"), [("interests", INTERESTS), ("member_types", TYPOLOGIES)])
def test_options_for_a_text_are_a_note(ready, stack, name, place):
    stack.portal.add_property(name, "string", "text")
    code, out, _ = ready("check", "--live")
    assert (code, out.splitlines()[0]) == (
        0,
        f"warning: {place}: {name}: is a text in HubSpot, where several options become one text, with ; between; "
        "name a property of several options (multiple checkboxes)",
    )


def test_an_object_for_events_without_an_association_with_contacts_is_a_note(ready, stack):
    made_by_hand(stack)
    code, out, _ = ready("check", "--live")
    assert (code, out.splitlines()[0]) == (
        0,
        f"warning: {OBJECT}: custom object lone_event: has no association with contacts, so that no record may be anybody's; "
        "add one in HubSpot, or name another under events.object",
    )
    code, out, _ = ready("setup", "--apply")
    assert (code, "lone_event" in out) == (0, False)


@pytest.mark.parametrize(
    ("definitions", "wrong"),
    [
        ({"event_id": {"hasUniqueValue": False}}, "event_id does not have unique values"),
        ({"occurred_at": {"type": "date", "fieldType": "date"}}, "occurred_at is of type date, not datetime"),
        ({"details": {"type": "number", "fieldType": "number"}}, "details is of type number, not string"),
        (
            {"kind": options("user.created"), "user_id": options("u-1")},
            "kind is of type enumeration without our options user.created, user.login, not string, "
            "user_id is of type enumeration, not string",
        ),
    ],
    ids=["not unique", "a date", "a number", "options"],
)
def test_an_object_that_can_hold_no_event_stops_the_start(ready, stack, definitions, wrong):
    made_by_hand(stack, **definitions)
    line = (
        f"{OBJECT}: custom object lone_event: cannot hold events: {wrong}; "
        "make them anew in HubSpot, or name another under events.object\n"
    )
    for command in (("check", "--live"), ("setup",), ("up",)):
        code, out, err = ready(*command)
        assert (code, line in out + err) == (3, True)
    code, out, _ = ready("doctor")
    assert (code, "cannot hold events" in out) == (1, True)


def test_options_for_all_that_is_told_can_hold_events(ready, stack):
    made_by_hand(stack, kind=options("user.login", "user.created"), provider=options("members", "other"))
    assert ready("check", "--live")[0] == 0


def test_settings_that_the_portal_refuses_are_told_with_their_place(ready, stack, monkeypatch):
    text = (stack.folder / "config.yaml").read_text()
    line = text.splitlines().index(next(one for one in text.splitlines() if "access_token" in one)) + 1
    column = text.splitlines()[line - 1].index("portal-token") + 1
    monkeypatch.setenv("CONNECTOR_CRM__PORTAL_ID", "999")
    for command in (("check", "--live"), ("setup",), ("up",), ("reconcile",)):
        code, _, err = ready(*command)
        assert (code, err.partition(": crm.portal_id is 999, but")[0]) == (3, "CONNECTOR_CRM__PORTAL_ID")
    monkeypatch.delenv("CONNECTOR_CRM__PORTAL_ID")
    (stack.folder / "config.yaml").write_text(text.replace("portal-token", "another-token"))
    code, _, err = ready("check", "--live")
    assert (code, err) == (
        4, f"config.yaml:{line}:{column}: hubspot: account: read: 401 credentials refused: correct crm.access_token\n",
    )  # fmt: skip


def test_json_has_the_same_lines(ready, stack):
    stack.portal.remove_property("shoe_size")
    code, out, err = done = ready("check", "--live", "--json")
    assert (code, err) == (3, "")
    assert told(done)["ok"] is False
    assert [one.partition(": is archived")[0] for one in told(done)["findings"]] == [f"{SHOE}: shoe_size"]


def test_all_findings_come_at_once_in_the_order_of_the_lines(ready, stack):
    for name in ("shoe_size", "interests"):
        stack.portal.remove_property(name)
    stack.portal.switch(custom_objects=False)
    stack.portal.scopes -= OF_SUBSCRIPTIONS
    places = [line.split(": ")[0] for line in ready("check", "--live")[2].splitlines()]
    assert places == [INTERESTS, SHOE, CONSENT, EVENTS]


def test_a_missing_option_is_a_finding_and_start_up_bears_it(ready, stack):
    stack.portal.add_property("interests", "enumeration", "checkbox", options=["Sport"])
    code, _, err = ready("check", "--live")
    line = (
        f"{INTERESTS}: interests: the portal has no option 'Film'; add it there, or with: connector setup --apply --add-options"
    )
    assert (code, err) == (3, line + "\n")
    stack.up()
    assert f"warning: {line}" in (stack.folder / "up.log").read_text()


def test_a_property_that_is_only_read_may_be_read_only(ready, stack):
    remap(stack, "type: number}", "type: number, direction: to_user}")
    stack.portal.add_property("shoe_size", "number", "number", read_only=True)
    assert ready("check", "--live")[:2] == (0, "fine\n")


@pytest.mark.parametrize("word", ["newsletter", "1001", "' Newsletter '"])
def test_a_subscription_goes_by_name_in_any_case_or_by_id(ready, stack, word):
    remap(stack, "subscription: Newsletter", f"subscription: {word}")
    assert ready("check", "--live")[0] == 0


def test_a_lower_tier_of_subscriptions_is_a_note(ready, stack):
    stack.portal.switch(batch_subscriptions=False)
    assert ready("check", "--live")[0] == 0
    stack.portal.switch(v4_subscriptions=False)
    code, out, err = done = ready("check", "--live", "--json")
    assert (code, told(done)["findings"]) == (0, [])
    assert told(done)["warnings"][0].startswith(f"{CONSENT}: subscriptions: statuses come without times")


@pytest.mark.parametrize(("scope", "words"), [("read", "are read and written one address"), ("write", "and written one a call")])
def test_a_scope_for_many_subscriptions_at_once_that_is_lacking_is_a_note(ready, stack, scope, words):
    stack.portal.scopes.discard(f"communication_preferences.statuses.batch.{scope}")
    code, out, _ = ready("check", "--live")
    warning = out.splitlines()[0]
    assert (code, warning.partition(": statuses")[0]) == (0, f"warning: {CONSENT}: subscriptions")
    assert words in warning
    assert f"communication_preferences.statuses.batch.{scope}" in warning


def test_what_the_mapping_does_not_need_is_not_asked_for(ready, stack):
    """Subscriptions, custom objects and custom events may be closed to a mapping that names none."""
    remap(stack, "    subscription: Newsletter\n", "")
    remap(stack, "as: custom_object", "as: note")
    stack.portal.switch(custom_objects=False, custom_events=False, v4_subscriptions=False)
    stack.portal.scopes -= {one for one in stack.portal.scopes if not one.startswith("crm.") or "custom" in one} - {"oauth"}
    assert ready("check", "--live")[:2] == (0, "fine\n")


def test_scopes_that_are_not_told_are_found_out_by_asking(ready, stack):
    """As for a token whose scopes HubSpot does not tell."""
    unknown = {"status": "error", "category": "OBJECT_NOT_FOUND"}
    stack.portal.faults.status_queue.extend(Answer(404, unknown, prefix="/oauth/v2/private-apps") for _ in range(2))
    assert ready("check", "--live")[0] == 0
    stack.portal.scopes -= OF_SUBSCRIPTIONS
    stack.portal.switch(custom_objects=False)
    code, _, err = ready("check", "--live")
    assert code == 3
    assert [line.split(": ")[0] for line in err.splitlines()] == [CONSENT, EVENTS]
    assert "they take an Enterprise account and the scopes crm.schemas.custom.read" in err


def test_offline_nothing_is_said_of_sections_that_work_now(connector):
    assert connector("check")[:2] == (0, "fine\n")


def test_a_worker_refuses_too_and_waits_for_a_portal_out_of_reach(ready, stack):
    environment = {**os.environ, "CONNECTOR_CONFIG": str(stack.folder / "config.yaml"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "--pool", "solo", "--loglevel", "ERROR"]
    options = {"env": environment, "cwd": stack.folder, "capture_output": True, "text": True}
    stack.portal.remove_property("shoe_size")
    done = subprocess.run(command, timeout=60, **options)
    assert done.returncode == 3
    assert f"{SHOE}: shoe_size: is archived in the portal" in done.stderr
    stack.sides[0].stop()
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(command, timeout=8, **options)
