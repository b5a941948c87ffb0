"""The portal itself: the pin, property definitions, and making what is missing."""

import pytest

from connector.crm.base import NewProperty, Property
from connector.errors import ConfigError, Denied, Exists, Rejected, Unavailable
from tests.crm.conftest import PORTAL, Say, error

VERBS = ("GET", "PATCH")


def test_the_configured_portal_is_accepted(hubspot, stub):
    stub.says(Say(200, {"portalId": PORTAL}))
    hubspot.check_portal()
    assert stub.calls[0].path == "/account-info/v3/details"


def test_another_portal_is_refused_and_both_are_named(hubspot, stub):
    stub.says(Say(200, {"portalId": 999}))
    with pytest.raises(ConfigError, match=rf"{PORTAL}.* 999"):
        hubspot.check_portal()


def test_an_account_without_an_id_is_no_portal(hubspot, stub):
    stub.says(Say(200, {"accountType": "STANDARD"}))
    with pytest.raises(Unavailable):
        hubspot.check_portal()


def test_definitions_say_what_may_be_written(hubspot, stub):
    definitions = [
        {"name": "city", "type": "string", "fieldType": "text", "modificationMetadata": {"readOnlyValue": False}},
        {"name": "score", "type": "number", "fieldType": "number", "calculated": True},
        {"name": "createdate", "type": "datetime", "fieldType": "date", "modificationMetadata": {"readOnlyValue": True}},
        {"name": "user_id", "type": "string", "fieldType": "text", "hasUniqueValue": True},
        {"name": "yes", "type": "bool", "fieldType": "booleancheckbox", "options": [{"value": "true", "label": "Yes"}]},
        {
            "name": "kind",
            "type": "enumeration",
            "fieldType": "select",
            "options": [{"value": "press", "label": "Press"}, {"value": "old", "label": "Old", "hidden": True}],
        },
        {"name": "dropped", "type": "string", "archived": True},
    ]
    stub.says(Say(200, {"results": definitions}))
    assert hubspot.properties() == {
        "city": Property("city", "string", "text"),
        "score": Property("score", "number", "number", read_only=True, calculated=True),
        "createdate": Property("createdate", "datetime", "date", read_only=True),
        "user_id": Property("user_id", "string", "text", unique=True),
        "yes": Property("yes", "bool", "booleancheckbox"),
        "kind": Property("kind", "enumeration", "select", options={"press": "Press", "old": "Old"}),
    }
    assert stub.calls[0].path == "/crm/v3/properties/contacts"


def test_a_definition_that_cannot_be_read_is_left_out(hubspot, stub):
    odd = {"name": "kind", "type": "enumeration", "options": [None, {"value": "a", "label": "A"}], "modificationMetadata": "none"}
    stub.says(Say(200, {"results": [{"name": "city", "type": "string"}, {"label": "Nameless"}, {"name": 7}, None, "city", odd]}))
    found = hubspot.properties()
    assert list(found) == ["city", "kind"]
    assert found["kind"].options == {"a": "A"}


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ({}, Property("city", "string", "")),
        ({"archived": ["true"]}, Property("city", "string", "", archived=True)),
        ({"dataSensitivity": ["sensitive"]}, Property("city", "string", "", sensitive=True)),
        ({"dataSensitivity": ["highly_sensitive"]}, Property("city", "string", "", sensitive=True)),
        (None, None),
    ],
    ids=["listed", "archived", "sensitive", "highly sensitive", "not at all"],
)
def test_one_property_is_found_whatever_hides_it(hubspot, stub, shown, found):
    def answer(call):
        assert call.path == "/crm/v3/properties/contacts/city"
        if call.query == shown:
            return Say(200, {"name": "city", "type": "string"})
        denied = "dataSensitivity" in call.query
        return Say(403, error("MISSING_SCOPES")) if denied else Say(404, error("OBJECT_NOT_FOUND"))

    stub.says(answer)
    assert hubspot.find_property("city") == found


def test_a_group_that_exists_is_left_alone(hubspot, stub):
    stub.says(Say(201, {"name": "connector"}), Say(409, error("CONFLICT")))
    hubspot.create_group("connector", "Connector")
    hubspot.create_group("connector", "Connector")
    assert stub.calls[0].body["label"] == "Connector"


def test_a_property_is_made_with_its_options_in_order(hubspot, stub):
    stub.says(Say(201, {"name": "kind"}))
    hubspot.create_property(NewProperty("kind", "Kind", "enumeration", "select", "g", {"b": "B", "a": "A"}, description="…"))
    sent = stub.calls[0].body
    assert [(one["value"], one["label"], one["displayOrder"]) for one in sent["options"]] == [("b", "B", 0), ("a", "A", 1)]
    assert (sent["groupName"], sent["fieldType"], sent["hasUniqueValue"]) == ("g", "select", False)


def test_a_boolean_gets_the_two_options_hubspot_wants(hubspot, stub):
    stub.says(Say(201, {"name": "communicable"}))
    hubspot.create_property(NewProperty("communicable", "Communicable", "bool", "booleancheckbox", "g"))
    assert [one["value"] for one in stub.calls[0].body["options"]] == ["true", "false"]


@pytest.mark.parametrize(("status", "category", "raised"), [(409, "CONFLICT", Exists), (400, "VALIDATION_ERROR", Rejected)])
def test_a_property_that_cannot_be_made(hubspot, stub, status, category, raised):
    stub.says(Say(status, error(category, "…")))
    with pytest.raises(raised, match="property user_id: create"):
        hubspot.create_property(NewProperty("user_id", "User", "string", "text", "g", unique=True))


def test_what_hubspot_says_of_a_definition_is_one_short_line(hubspot, stub):
    nested = [{"message": "You have reached the limit", "subCategory": "Properties.TOO_MANY_UNIQUE"}, {"message": 7}]
    stub.says(
        Say(400, {**error("VALIDATION_ERROR", "Not\nvalid\x1b[2J"), "errors": nested}),
        Say(400, error("VALIDATION_ERROR", "You have reached the limit" + "." * 999)),
        Say(403, error("FORBIDDEN", "Your account has no such thing")),
    )
    refusals = []
    for _ in range(3):
        with pytest.raises((Rejected, Denied)) as caught:
            hubspot.create_group("connector", "Connector")
        refusals.append(str(caught.value).removeprefix("hubspot: property group connector: create: "))
    assert refusals[0] == (r"400 VALIDATION_ERROR: Not valid\x1b[2J | Properties.TOO_MANY_UNIQUE | You have reached the limit")
    assert refusals[1].startswith("400 VALIDATION_ERROR: You have reached the limit...")
    assert len(refusals[1]) < 350
    assert refusals[2].startswith("403 missing scopes: not named: Your account has no such thing; grant")


def test_options_are_added_behind_those_that_are_there(hubspot, stub):
    held = [
        {"value": "old", "label": "Old one", "displayOrder": 4, "hidden": True, "description": "Since 2019"},
        {"value": "press", "label": "Press", "displayOrder": -1},
    ]
    stub.says(Say(200, {"name": "kinds", "type": "enumeration", "options": held}), Say(200, {"name": "kinds"}))
    hubspot.add_options("kinds", {"press": "The press", "shop": "Shop", "bar": "Bar"})
    assert [f"{call.method} {call.path}" for call in stub.calls] == [f"{one} /crm/v3/properties/contacts/kinds" for one in VERBS]
    new = [{"value": "shop", "label": "Shop", "displayOrder": 5, "hidden": False}]
    new += [{"value": "bar", "label": "Bar", "displayOrder": 6, "hidden": False}]
    assert stub.calls[1].body == {"options": [*held, *new]}


def test_options_that_are_all_there_cost_one_read(hubspot, stub):
    stub.says(Say(200, {"type": "enumeration", "options": [{"value": "press", "label": "Press"}]}))
    hubspot.add_options("kinds", {"press": "Press"})
    assert len(stub.calls) == 1


def test_only_an_enumeration_has_options(hubspot, stub):
    stub.says(Say(200, {"type": "string", "options": []}))
    with pytest.raises(Rejected, match="property kinds: add options: it is no enumeration"):
        hubspot.add_options("kinds", {"a": "A"})
