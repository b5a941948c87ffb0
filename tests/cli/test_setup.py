"""`setup`: what the mapping needs is made, once, and what exists stays as it is."""

import pytest

from connector.sandbox.faults import Answer
from connector.sandbox.schema import Property

from .portals import CONSENT_PROPERTY, EVENTS, FIRST, INTERESTS, OBJECT, SHOE, WHOLE, ready, remap, stack, told

__all__ = ["ready", "stack"]

pytestmark = pytest.mark.usefixtures("keyed")

MADE = [
    ("members_user_id", "string", True, []),
    ("interests", "enumeration", False, ["Sport", "Film"]),
    ("shoe_size", "number", False, []),
    ("member_types", "enumeration", False, ["Consumer", "Press"]),
    ("newsletter_consent", "bool", False, ["true", "false"]),
    ("communicable", "bool", False, ["true", "false"]),
]


def rows(document):
    return [(one["property"], one["type"], one["unique"], one["options"]) for one in document["properties"]]


def test_a_plan_names_all_there_is_to_make_and_makes_nothing(connector, stack):
    stack.portal.calls.clear()
    code, out, _ = done = connector("setup", "--json")
    document = told(done)
    assert (code, document["applied"], document["options"], document["refused"]) == (0, False, [], [])
    assert rows(document) == MADE
    assert [(one["schema"], one["kind"]) for one in document["schemas"]] == [("identity_event", "custom_object")]
    assert "event_id" in document["schemas"][0]["properties"]
    assert stack.portal.count(writes_only=True) == 0


def test_each_row_names_the_line_that_asks_for_it(connector):
    out = connector("setup")[1]
    lines = {line.split()[0]: line.split()[-1] for line in out.splitlines() if "members.yaml" in line}
    assert lines["interests"] == INTERESTS
    assert lines["newsletter_consent"] == CONSENT_PROPERTY
    assert lines["identity_event"] == OBJECT
    assert lines["members_user_id"] == WHOLE


def test_what_was_made_is_as_the_mapping_says(connector, stack):
    assert rows(told(connector("setup", "--apply", "--json"))) == MADE
    schema = stack.portal.schema
    assert schema["members_user_id"].unique
    assert (schema["interests"].field_type, list(schema["interests"].options)) == ("checkbox", ["Sport", "Film"])
    assert (schema["communicable"].type, schema["communicable"].field_type) == ("bool", "booleancheckbox")
    assert schema["shoe_size"].group == "connector"
    made = next(one for one in stack.portal.object_types.custom() if one.kind.singular == "identity_event")
    assert made.schema["event_id"].unique
    assert connector("check", "--live")[:2] == (0, "fine\n")


def test_a_second_time_nothing_is_made(ready, stack):
    stack.portal.calls.clear()
    document = told(ready("setup", "--apply", "--json"))
    assert (document["properties"], document["schemas"], document["options"]) == ([], [], [])
    assert stack.portal.count(writes_only=True) == 0
    assert "everything" in ready("setup", "--apply")[1]


def test_what_exists_is_left_alone(ready, stack):
    stack.portal.add_property("shoe_size", "string", label="Ours")
    assert ready("setup", "--apply")[0] == 0
    assert (stack.portal.schema["shoe_size"].type, stack.portal.schema["shoe_size"].label) == ("string", "Ours")


def test_options_are_added_only_when_asked_to(ready, stack):
    stack.portal.add_property("interests", "enumeration", "checkbox", options={"Sport": "Sports", "Music": "Music"})
    code, out, _ = ready("setup", "--apply")
    assert code == 0
    assert "connector setup --apply --add-options" in out
    assert list(stack.portal.schema["interests"].options) == ["Sport", "Music"]
    document = told(ready("setup", "--apply", "--add-options", "--json"))
    assert document["options"] == [{"property": "interests", "options": ["Film"], "where": INTERESTS}]
    assert stack.portal.schema["interests"].options == {"Sport": "Sports", "Music": "Music", "Film": "Film"}
    assert told(ready("setup", "--json"))["options"] == []


def test_a_plan_with_options_lists_them_as_what_would_be_added(ready, stack):
    stack.portal.add_property("interests", "enumeration", "checkbox", options={"Sport": "Sports"})
    plain, planned = ready("setup", "--plan")[1], ready("setup", "--plan", "--add-options")[1]
    assert "options of interests are added only with: connector setup --apply --add-options" in plain
    row, last = planned.splitlines()[1:]
    assert row.split() == ["interests", "new", "options", "Film", INTERESTS]
    assert last == "nothing was changed; create them with: connector setup --apply --add-options"
    assert list(stack.portal.schema["interests"].options) == ["Sport"]


def test_a_custom_event_is_made_and_completed(connector, stack):
    remap(stack, "as: custom_object", "as: custom_event")
    assert connector("setup", "--apply")[0] == 0
    assert connector("check", "--live")[0] == 0
    remap(stack, "[entry_point, ip_country]", "[entry_point, ip_country, browser]")
    code, _, err = connector("check", "--live")
    assert (code, f"{OBJECT}: custom event identity_event: lacks the properties browser; add them with" in err) == (3, True)
    assert connector("setup", "--apply")[0] == 0
    assert connector("check", "--live")[0] == 0


def test_a_tier_without_custom_objects_keeps_nothing_else_from_being_made(connector, stack):
    stack.portal.switch(custom_objects=False)
    code, out, err = connector("setup", "--apply")
    assert code == 3
    assert err == (
        f"{EVENTS}: events.as: custom_object: the account has no custom objects; they take an Enterprise account; "
        "or set events.as: note or none\n"
    )
    assert "communicable" in out
    assert stack.portal.schema.get("communicable")


@pytest.mark.parametrize("as_json", [False, True])
def test_without_the_scope_to_make_properties_one_line_says_so_and_the_object_is_made(connector, stack, as_json):
    stack.portal.scopes.discard("crm.schemas.contacts.write")
    code, out, err = done = connector("setup", "--apply", *["--json"] * as_json)
    assert (code, told(done)["refused"] if as_json else err.splitlines()) == (
        3,
        [
            f"{WHOLE}: hubspot: property group connector: create: 403 missing scopes: crm.schemas.contacts.write; "
            f"grant the token crm.schemas.contacts.write; without the group there can be no {', '.join(one[0] for one in MADE)}"
        ],
    )
    assert [one.kind.singular for one in stack.portal.object_types.custom()] == ["identity_event"]


PROPERTIES = "/crm/v3/properties/contacts"
GROUPS = f"{PROPERTIES}/groups"


def test_a_group_that_is_refused_keeps_nothing_else_from_being_made(connector, stack):
    body = {"status": "error", "category": "VALIDATION_ERROR", "message": "You have reached the limit of groups"}
    stack.portal.faults.status_queue.append(Answer(400, body, prefix=GROUPS, method="POST"))
    code, _, err = connector("setup", "--apply")
    line = f"{WHOLE}: hubspot: property group connector: create: 400 VALIDATION_ERROR: You have reached the limit of groups; "
    assert (code, err.startswith(line), len(err.splitlines())) == (3, True, 1)
    assert [one.kind.singular for one in stack.portal.object_types.custom()] == ["identity_event"]


def test_what_hubspot_says_of_a_property_it_refuses_is_told_with_the_line_of_the_mapping(connector, stack):
    body = {"status": "error", "category": "VALIDATION_ERROR", "message": "You have reached the limit of 10 unique properties"}
    stack.portal.faults.status_queue.extend([Answer(prefix=GROUPS), Answer(400, body, prefix=PROPERTIES, method="POST")])
    assert connector("setup", "--apply")[::2] == (
        3,
        f"{WHOLE}: members_user_id: hubspot: property members_user_id: create: 400 VALIDATION_ERROR: "
        "You have reached the limit of 10 unique properties\n",
    )
    assert stack.portal.schema.get("communicable")


TAKEN = {"status": "error", "category": "CONFLICT", "message": "already exists"}


def refused_once(stack, prefix):
    """Another one was made just before ours, or there is one that is not shown."""
    stack.portal.faults.status_queue.extend([Answer(prefix=GROUPS), Answer(409, TAKEN, prefix=prefix, method="POST")])


@pytest.mark.parametrize(
    ("name", "there", "line"),
    [
        (
            "shoe_size", {"archived": True},
            f"{SHOE}: shoe_size: is archived in the portal; restore it in HubSpot's settings, or name another property\n",
        ),
        (
            "members_user_id", {"archived": True, "unique": True},
            f"{WHOLE}: members_user_id: is archived in the portal; restore it in HubSpot's settings, "
            "or give the provider another name in the configuration\n",
        ),
        (
            "shoe_size", {"sensitivity": "highly_sensitive"},
            f"{SHOE}: shoe_size: is a sensitive property in the portal, and those are left alone; name another property\n",
        ),
    ],
    ids=["archived", "the id property, archived", "sensitive"],
)  # fmt: skip
def test_a_property_that_keeps_its_name_without_being_listed_is_refused_and_not_created(connector, stack, name, there, line):
    stack.portal.schema.add(Property(name, **there))
    code, _, err = connector("setup", "--apply")
    assert (code, err) == (3, line)
    document = told(connector("setup", "--apply", "--json"))
    assert (document["properties"], document["exists"], document["refused"]) == ([], [], err.splitlines())
    assert connector("check", "--live")[::2] == (3, line)


def test_a_property_whose_name_is_taken_and_that_is_not_shown_is_refused(connector, stack):
    refused_once(stack, PROPERTIES)
    code, _, err = connector("setup", "--apply")
    assert (code, err) == (
        3,
        f"{WHOLE}: members_user_id: the portal says that the name is taken, and shows the token no such property (a sensitive "
        "one?); give the provider another name in the configuration\n",
    )


@pytest.mark.parametrize(
    ("unique", "expected"),
    [
        (True, (0, ["members_user_id"], [])),
        (False, (3, [], [
            f"{WHOLE}: members_user_id: somebody made it meanwhile, and otherwise; look at it with: connector check --live",
        ])),
    ],
    ids=["as wanted", "otherwise"],
)  # fmt: skip
def test_what_somebody_made_meanwhile_is_compared(connector, stack, monkeypatch, unique, expected):
    """Between the listing and our own call."""
    listed, times = stack.portal.schema.listed, []

    def late(*asked):
        times.append(asked)
        return [one for one in listed(*asked) if one.name != "members_user_id" or len(times) > 1]

    stack.portal.schema.add(Property("members_user_id", unique=unique))
    monkeypatch.setattr(stack.portal.schema, "listed", late)
    code, _, _ = done = connector("setup", "--apply", "--json")
    document = told(done)
    assert (code, document["exists"], document["refused"]) == expected
    assert "members_user_id" not in [one["property"] for one in document["properties"]]


@pytest.mark.parametrize(("kind", "prefix"), [("custom_object", "/crm-object-schemas"), ("custom_event", "/events/")])
def test_an_object_or_event_whose_name_is_taken_is_refused_and_not_created(connector, stack, kind, prefix):
    remap(stack, "as: custom_object", f"as: {kind}")
    refused_once(stack, prefix)
    code, out, err = connector("setup", "--apply")
    words = kind.replace("_", " ")
    assert (code, err) == (
        3,
        f"{OBJECT}: {words} identity_event: hubspot: {words} identity_event: create: 409, the name is taken by what HubSpot "
        "does not show (an archived one?); restore it in HubSpot, or name another under events.object\n",
    )
    assert "identity_event" not in out


def test_without_the_scope_to_make_objects_the_line_says_so(connector, stack):
    stack.portal.scopes.discard("crm.schemas.custom.write")
    code, _, err = connector("setup", "--apply")
    assert code == 3
    assert err.startswith(f"{OBJECT}: custom object identity_event: ")
    assert "crm.schemas.custom.write" in err


def test_without_the_scope_to_read_properties_nothing_is_guessed(connector, stack):
    stack.portal.scopes.discard("crm.schemas.contacts.read")
    code, _, err = connector("setup", "--apply")
    assert (code, f"{FIRST}: properties:" in err, "grant it crm.schemas.contacts.read" in err) == (3, True, True)


def test_an_id_property_that_is_not_unique_cannot_be_mended_from_here(connector, stack):
    stack.portal.add_property("members_user_id")
    code, _, err = connector("setup", "--apply")
    assert code == 3
    assert f"{WHOLE}: members_user_id: exists in the portal but is not unique; archive or rename it there" in err
    assert stack.portal.schema.get("communicable")


def test_two_mappings_share_a_property_with_the_options_of_both(connector, stack):
    config = stack.folder / "config.yaml"
    other = (
        "providers:\n  shop: {kind: generic, mapping: shop.yaml, webhook_secret: whsec_c2hvcC1zZWNyZXQtc2hvcC1zZWNyZXQtc2hvcA==}"
    )
    config.write_text(config.read_text().replace("providers:", other))
    (stack.folder / "shop.yaml").write_text((stack.folder / "members.yaml").read_text().replace("film: Film", "music: Music"))
    assert connector("setup", "--apply")[0] == 0
    assert list(stack.portal.schema["interests"].options) == ["Sport", "Music", "Film"]
    assert stack.portal.schema["shop_user_id"].unique
    assert connector("check", "--live")[0] == 0
