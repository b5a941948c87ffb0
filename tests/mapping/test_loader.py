"""Mapping files that are right, and what they mean."""

import hashlib
from pathlib import Path

import pytest

from connector.mapping.loader import load
from tests.mapping.files import EVERYTHING, MINIMAL, fields, loaded, write

ROOT = Path(__file__).parents[2]


def test_defaults_of_a_minimal_mapping(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, MINIMAL)
    (email,) = mapping.fields
    assert mapping.match == ("email",)
    assert (email.direction, email.conflict, email.on_blank, email.enforce) == ("both", "newest", "keep", False)
    assert mapping.defaults.newest_fallback == "user"
    assert (mapping.consents, mapping.typologies, mapping.communicable, mapping.events.as_) == ((), None, None, "none")
    assert mapping.lifecycle.model_dump() == {
        "user_created": "create_contact",
        "contact_created": "ignore",
        "user_deleted": "archive_contact",
        "contact_deleted": "unlink",
        "contact_restored": "ignore",
        "user_erased": "erase_contact",
    }


def test_defaults_reach_every_field_that_says_nothing_else(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, EVERYTHING)
    email, member_no = mapping.fields[:2]
    assert (email.direction, email.conflict, email.on_blank) == ("to_contact", "user", "clear")
    assert (member_no.direction, member_no.conflict, member_no.on_blank) == ("both", "hold", "keep")


def test_the_whole_grammar_is_understood(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, EVERYTHING)
    assert mapping.match == ("email", "custom.member_no")
    assert mapping.fields[2].transform == ("trim", "e164")
    assert mapping.fields[2].region == "ES"
    assert mapping.fields[4].transform == ("lower",)
    assert (mapping.fields[4].purpose, mapping.fields[4].on_withdrawal, mapping.fields[4].enforce) == (
        "newsletter",
        "clear",
        True,
    )
    assert mapping.typologies is not None
    assert mapping.typologies.remove is True
    assert mapping.consents[0].subscription == "4711"
    assert mapping.communicable is not None
    assert mapping.communicable.any_of == ("newsletter",)
    assert mapping.events.types == ("user.created", "consent.revoked")
    assert mapping.events.forward[0].url == "https://sink.example"
    assert mapping.events.forward[0].write_key.get_secret_value() == "a-write-key"
    assert mapping.events.forward[0].deletes is False


def test_keys_and_values_stay_the_text_that_was_written(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, EVERYTHING)
    assert mapping.fields[3].values == {"sport": "Sport", "NO": "None of them", "2": "007", "true": "yes"}


def test_a_field_knows_its_line(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, EVERYTHING)
    assert [field.line for field in mapping.fields] == [5, 6, 7, 8, 9]


def test_a_mapping_knows_its_file_and_version(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    mapping = load(path)
    assert mapping.path == path
    assert mapping.sha256 == hashlib.sha256(MINIMAL.encode()).hexdigest()


def test_properties_are_all_that_is_read_or_written(tmp_path: Path) -> None:
    names = "email member_no phone interests locale member_types newsletter_consent communicable"
    assert loaded(tmp_path, EVERYTHING).properties == tuple(names.split())


def test_a_field_is_found_by_its_user_field(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, EVERYTHING)
    found = mapping.field_by_user("phone")
    assert found is not None
    assert found.contact == "phone"
    assert mapping.field_by_user("country") is None


@pytest.mark.parametrize(
    ("entry", "type_"),
    [
        ("{user: email, contact: other_email}", "email"),
        ("{user: birth_date, contact: x}", "date"),
        ("{user: last_login_at, contact: x, direction: to_contact}", "datetime"),
        ("{user: created_at, contact: x, direction: to_contact}", "datetime"),
        ("{user: email_verified, contact: x}", "bool"),
        ("{user: phone, contact: x}", "text"),
        ("{user: custom.colour, contact: x}", "text"),
        ("{user: custom.colour, contact: x, values: {red: Red}}", "choice"),
    ],
)
def test_a_type_left_out_follows_from_the_user_field(tmp_path: Path, entry: str, type_: str) -> None:
    mapping = loaded(tmp_path, f"version: 1\nmatch: []\nfields:\n  - {entry}\n")
    assert mapping.fields[0].type == type_


def test_the_write_key_of_a_sink_is_never_shown(tmp_path: Path) -> None:
    assert "a-write-key" not in repr(loaded(tmp_path, EVERYTHING))


def test_a_chain_is_no_circle(tmp_path: Path) -> None:
    entries = (
        "{user: custom.a, contact: x}",
        "{user: custom.b, contact: x, direction: to_user}",
        "{user: custom.b, contact: y, direction: to_contact}",
    )
    assert len(loaded(tmp_path, fields(*entries)).fields) == 4


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            fields("{user: custom.hub, contact: hs_object_id, direction: to_user}"), id="a read-only property can be read"
        ),
        pytest.param(
            fields("{user: country, contact: x, direction: to_contact, values: {ES: Spain, EA: Spain}}"),
            id="one option for two values",
        ),
        pytest.param(fields("{user: email, contact: x, direction: to_contact}"), id="one user field to two properties"),
        pytest.param(
            fields("{user: phone, contact: x, purpose: calls}", tail="consents: [{consent: calls}]\n"), id="a bare purpose"
        ),
        pytest.param("version: 1\nmatch: []\nfields: [{user: phone, contact: phone}]\n", id="match by id only"),
        pytest.param("\ufeff" + MINIMAL.replace("\n", "\r\n"), id="as Windows saves it"),
    ],
)
def test_what_is_fine(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).fields


def test_the_shipped_example_is_right() -> None:
    mapping = load(ROOT / "mappings" / "generic.yaml")
    assert mapping.field_by_user("email") is not None
