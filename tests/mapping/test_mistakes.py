"""Mapping files that are wrong: what is said, and where. Whatever a file holds, nothing but ConfigError is raised."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from connector.errors import ConfigError
from connector.mapping.loader import load
from connector.mapping.schema import json_schema
from tests.mapping.files import EVERYTHING, fields, findings

NEWS = "consents: [{consent: news, subscription: News}]\n"

BAD = {
    "not a mapping": ("§hello", "expected a mapping (key: value), found text"),
    "unknown key": (fields(head="version: 1\n§defualts: {}\n"), "defualts: unknown key; did you mean defaults?"),
    "unknown key of a field": (
        fields("{user: phone, contact: phone, §polcy: user}"),
        "fields.1.polcy: unknown key; allowed: user, con",
    ),
    "version": (fields(head="version: §2\n"), "version: expected 1, found '2'"),
    "no version": (fields(head="§match: [email]\n"), "version: missing"),
    "no fields": ("version: 1\nfields: §[]\n", "fields: must not be empty"),
    "fields left empty": ("version: 1\n§fields:\n", "fields: nothing behind it: fill it in"),
    "purpose left empty": (
        fields("{user: phone, contact: x, §purpose: }", tail=NEWS),
        "fields.1.purpose: nothing behind it: name a consent, or leave the key out",
    ),
    "consents left empty": (fields(tail="§consents:\n"), "consents: nothing behind it: give it a value, or leave the key out"),
    "no contact": (fields("§{user: phone}"), "fields.1.contact: missing"),
    "wrong word": (
        fields("{user: phone, contact: phone, direction: §to_crm}"),
        "fields.1.direction: expected one of both, to_contact, to_user, found 'to_crm'; did you mean to_contact?",
    ),
    "wrong default": (
        fields(head="version: 1\ndefaults: {conflict: §latest}\n"),
        "defaults.conflict: expected one of newest, user,",
    ),
    "hold is no blank": (
        fields(head="version: 1\ndefaults: {on_blank: §hold}\n"),
        "defaults.on_blank: expected one of clear, keep, found",
    ),
    "unknown user field": (
        fields("{user: §firstname, contact: firstname}"),
        "fields.1.user: unknown user field 'firstname'; did you mean first_name?",
    ),
    "nameless custom field": (
        fields("{user: §custom., contact: x}"),
        "fields.1.user: 'custom.' is no name for a provider's own field",
    ),
    "contact property by its label": (
        fields("{user: first_name, contact: §First Name}"),
        "fields.1.contact: 'First Name' is no internal property name",
    ),
    "contact property left empty": (fields("{user: first_name, contact: §''}"), "fields.1.contact: must not be empty"),
    "yes is no type": (fields("{user: phone, contact: phone, type: §yes}"), "fields.1.type: expected one of text, number, bool"),
    "unknown transform": (
        fields("{user: phone, contact: phone, transform: [trim, §lowercase]}"),
        "fields.1.transform.1: expected one of trim, collapse, lower, upper, title, e164, found 'lowercase'; did you mean lower?",
    ),
    "enforce is a switch": (
        fields("{user: phone, contact: phone, enforce: §sometimes}"),
        "fields.1.enforce: expected true or false, found 'sometimes'",
    ),
    "unknown legal basis": (
        fields(tail="consents: [{consent: news, subscription: News, legal_basis: §consent}]\n"),
        "consents.0.legal_basis: expected one of LEGITIMATE_INTEREST_PQL, LEGITIMATE_INTEREST_CLIENT, ",
    ),
    "unknown kind of event": (
        fields(tail="events: {types: [user.created, §user.signin]}\n"),
        "events.types.1: expected one of user.created, user.updated",
    ),
    "unknown sink": (
        fields(tail="events: {forward: [{as: §kafka, url: 'http://a', write_key: k}]}\n"),
        "events.forward.0.as: expected se",
    ),
    "sink without address": (
        fields(tail="events: {forward: [{as: segment, url: §sink, write_key: k}]}\n"),
        "events.forward.0.url: expected an address such as https://example.com",
    ),
    "write key that cannot be sent": (
        fields(tail="events: {forward: [{as: segment, url: 'http://a', write_key: §'key…'}]}\n"),
        "events.forward.0.write_key: a secret with a character that cannot be sent",
    ),
    "write key of two lines": (
        fields(tail="events: {forward: [{as: segment, url: 'http://a', write_key: §\"key\\n\"}]}\n"),
        "events.forward.0.write_key: a secret with a line break or a control character in it: copy it again",
    ),
    "object name": (
        fields(tail="events: {object: §identity event}\n"),
        "events.object: 'identity event' is no name for an object",
    ),
    "birth date as bool": (
        fields("{user: birth_date, contact: x, type: §bool}"),
        "fields.1.type: birth_date cannot be read as bool: use",
    ),
    "verified as set": (
        fields("{user: email_verified, contact: x, type: §set}"),
        "fields.1.type: email_verified cannot be read as set",
    ),
    "email as date": (
        fields("{user: email, contact: x, type: §date, direction: to_contact}"),
        "fields.1.type: email cannot be read as da",
    ),
    "contact's email as text": (
        "version: 1\nmatch: []\nfields: [{user: custom.mail, contact: email, type: §text}]\n",
        "fields.0.type: the contact's email takes type email, not text",
    ),
    "values on a date": (
        fields("{user: birth_date, contact: x, values: §{a: b}}"),
        "fields.1.values: values belong to type choice or set",
    ),
    "values on text": (
        fields("{user: country, contact: x, type: text, values: §{a: b}}"),
        "fields.1.values: values belong to type choice",
    ),
    "several options in one, of a set": (
        fields("{user: custom.a, contact: x, type: set, values: {a: A, b: §B;C}}"),
        "fields.1.values.b: HubSpot reads 'B;C' as several options: name one, without ;",
    ),
    "several options in one, of typologies": (
        fields(tail="typologies: {contact: x, values: {a: §'A;B'}}\n"),
        "typologies.values.a: HubSpot reads 'A;B' as several options: name one, without ;",
    ),
    "no values": (fields("{user: country, contact: x, type: choice, values: §{}}"), "fields.1.values: must not be empty"),
    "transform on a date": (
        fields("{user: birth_date, contact: x, transform: §trim}"),
        "fields.1.transform: a transform works on text, ph",
    ),
    "e164 on an email": (
        fields("{user: custom.mail, contact: x, type: email, transform: §e164}"),
        "fields.1.transform: e164 is for phone numbers",
    ),
    "region without a phone": (
        fields("{user: country, contact: x, §region: ES}"),
        "fields.1.region: region is only used with type: phone",
    ),
    "unknown region": (
        fields("{user: phone, contact: x, type: phone, region: §Spain}"),
        "fields.1.region: expected a country's ISO code",
    ),
    "id to the user": (
        fields("{user: id, contact: x, direction: §both}"),
        "fields.1.direction: id is set by the provider alone: add dire",
    ),
    "created_at to the user by default": (
        fields("§{user: created_at, contact: x}"),
        "fields.1.direction: created_at is set by the provid",
    ),
    "enforce with both": (
        fields("{user: phone, contact: x, §enforce: true}"),
        "fields.1.enforce: needs direction: to_contact, here it is both",
    ),
    "read-only property": (
        fields("{user: created_at, contact: §createdate, direction: to_contact}"),
        "fields.1.contact: createdate is kept by HubSpot and cannot be written: read it with direction: to_user, or choose",
    ),
    "two writers of a property": (
        fields("{user: custom.a, contact: x}", "{user: custom.b, contact: §x}"),
        "fields.2.contact: contact property x is written by an earlier entry too",
    ),
    "two typologies on one option, both ways": (
        fields(tail="typologies: {contact: x, direction: both, values: {a: A, b: §A}}\n"),
        "typologies.values.b: 'a' has the option 'A' too, so it cannot be read back: add direction: to_contact",
    ),
    "typologies to the user alone": (
        fields(tail="typologies: {contact: x, direction: §to_user, values: {a: A}}\n"),
        "typologies.direction: expected one of to_contact, both",
    ),
    "typologies over a field": (
        fields("{user: custom.a, contact: x}", tail="typologies: {contact: §x, values: {a: b}}\n"),
        "typologies.contact: contact property x is written by an earlier entry too",
    ),
    "consent over a field": (
        fields("{user: custom.a, contact: x}", tail="consents: [{consent: news, property: §x}]\n"),
        "consents.0.property: contact property x is written",
    ),
    "communicable over a consent": (
        fields(tail="consents: [{consent: news, property: x}]\ncommunicable: {contact: §x, any_of: [news]}\n"),
        "communicable.contact: contact property x is written",
    ),
    "two writers of a user field": (
        fields("{user: phone, contact: x}", "{user: §phone, contact: y}"),
        "fields.2.user: user field phone is written by an earlier entry too",
    ),
    "two consents on one subscription": (
        fields(tail="consents: [{consent: a, subscription: News}, {consent: b, subscription: §News}]\n"),
        "consents.1.subscription: subscription News is that of consent a, too: give each its own",
    ),
    "two consents on one subscription, of which one is only read": (
        fields(tail="consents: [{consent: a, subscription: News}, {consent: b, subscription: §' news', direction: to_user}]\n"),
        "consents.1.subscription: subscription news is that of consent a, too: give each its own",
    ),
    "two consents on one property, of which one is only read": (
        fields(tail="consents: [{consent: a, property: x}, {consent: b, property: §x, direction: to_user}]\n"),
        "consents.1.property: property x is that of consent a, too: give each its own",
    ),
    "a consent twice": (
        fields(tail="consents: [{consent: a, subscription: A}, {consent: §a, subscription: B}]\n"),
        "consents.1.consent: consent a is declared twice",
    ),
    "a consent used nowhere": (
        fields(tail="consents: [§{consent: a}]\n"),
        "consents.0: consent a is used nowhere: add subscription or pr",
    ),
    "ambiguous values": (
        fields("{user: country, contact: x, values: {ES: Spain, EA: §Spain}}"),
        "fields.1.values.EA: 'ES' has the option 'Spain' too, so it cannot be read back: add direction: to_contact",
    ),
    "match without a field": (
        fields(head="version: 1\nmatch: [email, §phone]\n"),
        "match.1: match finds contacts by phone, but no field",
    ),
    "default match without a field": (
        "version: 1\nfields:\n  §- {user: phone, contact: phone}\n",
        "fields: match finds contacts by email, but no field maps it: add a field {user: email, contact: ...}, or set match",
    ),
    "match by a set": (
        fields("{user: custom.a, contact: x, type: set}", head="version: 1\nmatch: [§custom.a]\n"),
        "match.0: custom.a is a set and cannot tell one person from another",
    ),
    "match twice by one field": (
        fields("{user: phone, contact: phone}", head="version: 1\nmatch: [email, phone, §email]\n"),
        "match.2: email is named twice: keep one",
    ),
    "withdrawal of what is only read": (
        fields("{user: phone, contact: x, direction: to_user, purpose: news, §on_withdrawal: clear}", tail=NEWS),
        "fields.1.on_withdrawal: is about what the contact got, and with direction: to_user it gets nothing: leave it out",
    ),
    "undeclared purpose": (
        fields("{user: phone, contact: x, purpose: §newz}", tail=NEWS),
        "fields.1.purpose: consent 'newz' is not declared under consents; did you mean news?",
    ),
    "withdrawal without purpose": (
        fields("{user: phone, contact: x, §on_withdrawal: clear}"),
        "fields.1.on_withdrawal: needs the consent it is about: add purpose",
    ),
    "undeclared consent in communicable": (
        fields(tail=NEWS + "communicable: {contact: x, any_of: [news, §calls]}\n"),
        "communicable.any_of.1: consent 'calls' is not declared under consents",
    ),
    "communicable by nothing": (
        fields(tail="communicable: {contact: x, any_of: §[]}\n"),
        "communicable.any_of: must not be empty",
    ),
    "a user without email": (
        fields(head="version: 1\ndefaults: {direction: to_contact}\n", tail="lifecycle: {contact_created: §create_user}\n"),
        "lifecycle.contact_created: a user cannot be created without email",
    ),
    "an end of a user that is none": (
        fields(tail="lifecycle: {user_deleted: §delete_contact}\n"),
        "lifecycle.user_deleted: expected one of archive_contact, erase_contact, unlink, found 'delete_contact'; did you mean",
    ),
    "a key twice": (fields(tail="match: [email]\n§match: []\n"), "match: this key was used before, on line 4: keep one"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_at_its_place(tmp_path: Path, text: str, message: str) -> None:
    """§ stands before the place that the finding must name."""
    before, _, after = text.partition("§")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    (finding,) = findings(tmp_path, before + after)
    assert finding.startswith(f"{line}:{column}: {message}")


def keys_of(node: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each key of a document stands."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        if isinstance(node, dict):
            yield (*loc, key)
        yield from keys_of(value, (*loc, key))


@pytest.mark.parametrize("loc", list(keys_of(YAML(typ="safe").load(EVERYTHING))), ids=lambda loc: ".".join(map(str, loc)))
def test_no_key_may_be_left_blank(tmp_path: Path, loc: tuple[str | int, ...]) -> None:
    document = YAML(typ="safe").load(EVERYTHING)
    inside = document
    for part in loc[:-1]:
        inside = inside[part]
    inside[loc[-1]] = None
    text = io.StringIO()
    YAML(typ="safe").dump(document, text)
    found = findings(tmp_path, text.getvalue())
    named = ".".join(map(str, loc)).lower()
    assert any(f": {named}: nothing behind it: " in finding.lower() for finding in found), found
    assert not Draft202012Validator(json_schema()).is_valid(document)


@pytest.mark.parametrize(
    "entries",
    [
        ("{user: first_name, contact: a, direction: to_contact}", "{user: first_name, contact: a, direction: to_user}"),
        (
            "{user: custom.a, contact: x, direction: to_contact}",
            "{user: custom.b, contact: x, direction: to_user}",
            "{user: custom.b, contact: y, direction: to_contact}",
            "{user: custom.a, contact: y, direction: to_user}",
        ),
    ],
    ids=["of two", "of four"],
)
def test_a_circle_is_refused(tmp_path: Path, entries: tuple[str, ...]) -> None:
    found = findings(tmp_path, fields(*entries))
    assert len(found) == len(entries)
    assert all("are part of a circle" in finding for finding in found)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
version: 1
feilds: []
fields:
  - {user: firstname, contact: First Name, direction: to_crm}
  - {user: birth_date, contact: x, type: bool, enforce: maybe, contct: 1}
  - hello
lifecycle: {contact_deleted: ignore}
"""
    places = [finding.split(": ")[0] for finding in findings(tmp_path, text)]
    assert places == ["2:1", "4:12", "4:32", "4:55", "5:57", "5:64", "6:5", "7:30"]


def test_several_contradictions_of_one_field_are_told_at_once(tmp_path: Path) -> None:
    found = findings(
        tmp_path, fields("{user: birth_date, contact: x, type: set, transform: trim, region: ES, on_withdrawal: keep}")
    )
    assert [finding.split(": ")[1] for finding in found] == [
        "fields.1.type",
        "fields.1.transform",
        "fields.1.region",
        "fields.1.on_withdrawal",
    ]


WORDS = [
    *EVERYTHING.split(),
    "version: 1",
    "fields:",
    "\n",
    "\n  - ",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "&a",
    "*a",
    "!!int",
    "'",
    '"',
    "|",
    "? ",
]


def outcome(path: Path) -> list[str]:
    """The findings, none for a mapping that is right; any other exception fails the test."""
    try:
        load(path)
    except ConfigError as error:
        return error.findings
    return []


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.lists(st.sampled_from(WORDS)).map("".join).map(str.encode),
        st.lists(st.sampled_from(WORDS)).map(" ".join).map(str.encode),
        st.text().map(lambda text: text.encode("utf-8", "replace")),
        st.binary(),
    )
)
def test_whatever_a_file_holds_it_is_a_mapping_or_a_config_error(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "members.yaml"
    path.write_bytes(raw)
    assert all(finding.isprintable() for finding in outcome(path))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_mapping_is_a_mapping_or_a_config_error(tmp_path: Path, data: st.DataObject) -> None:
    """A piece of the whole grammar is replaced by something else."""
    start = data.draw(st.integers(0, len(EVERYTHING)))
    end = data.draw(st.integers(start, min(len(EVERYTHING), start + 40)))
    piece = data.draw(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)))
    path = tmp_path / "members.yaml"
    path.write_bytes((EVERYTHING[:start] + piece + EVERYTHING[end:]).encode("utf-8", "replace"))
    assert all(finding.isprintable() and ".yaml" in finding for finding in outcome(path))
