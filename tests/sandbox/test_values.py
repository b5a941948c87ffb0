"""What is kept of a value, and what is refused."""

import pytest

from tests.sandbox.conftest import code_of

KEPT = [
    ("shoe_size", "41.5", "41.5"),
    ("shoe_size", 41, "41"),
    ("member", True, "true"),
    ("member", "False", "false"),
    ("born", "1990-02-28", "1990-02-28"),
    ("born", "0", "1970-01-01"),
    ("seen_at", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000Z"),
    ("seen_at", "1767225600123", "2026-01-01T00:00:00.123Z"),
    ("interests", "sport;film", "sport;film"),
    ("email", " ADA@Example.COM ", "ada@example.com"),
    ("email", "ada@some.test", "ada@some.test"),
    ("hs_language", "es", "es"),
]

REFUSED = [
    ("shoe_size", "1,5", "INVALID_INTEGER"),
    ("shoe_size", "big", "INVALID_INTEGER"),
    ("member", "yes", "INVALID_OPTION"),
    ("born", "1990-02-30", "INVALID_DATE"),
    ("born", "1", "INVALID_DATE"),
    ("born", "28/02/1990", "INVALID_LONG"),
    ("seen_at", "2026-01-01T00:00:00", "INVALID_LONG"),
    ("seen_at", "soon", "INVALID_LONG"),
    ("interests", "Film", "INVALID_OPTION"),
    ("interests", "film; sport", "INVALID_OPTION"),
    ("email", "ada", "INVALID_EMAIL"),
    ("email", "ada@localhost", "INVALID_EMAIL"),
    ("email", "ada@corp.local", "INVALID_EMAIL"),
    ("email", "ada@corp.internal", "INVALID_EMAIL"),
    ("email", "a da@example.com", "INVALID_EMAIL"),
    ("email", '"ada"@example.com', "INVALID_EMAIL"),
    ("lastmodifieddate", "2026-01-01T00:00:00Z", "READ_ONLY_VALUE"),
    ("hs_additional_emails", "x@example.com", "READ_ONLY_VALUE"),
    ("nope", "1", "PROPERTY_DOESNT_EXIST"),
    ("city", ["Oslo"], "INVALID_VALUE"),
]


@pytest.mark.parametrize(("name", "given", "kept"), KEPT)
def test_kept(api, portal, name, given, kept):
    contact = portal.create({"firstname": "Ada"})
    reply = api("PATCH", contact, {"properties": {name: given}})
    assert reply.json()["properties"][name] == kept


@pytest.mark.parametrize(("name", "given", "code"), REFUSED)
def test_refused(api, portal, name, given, code):
    contact = portal.create({"firstname": "Ada"})
    reply = api("PATCH", contact, {"properties": {"city": "Bergen", name: given}})
    assert reply.status_code == 400
    assert reply.json()["category"] == "VALIDATION_ERROR"
    assert code_of(reply.json()) == {name: code}
    assert "city" not in portal.contact(contact)["properties"]


def test_a_leading_semicolon_adds_an_option(api, portal):
    contact = portal.create({"firstname": "Ada", "interests": "film"})
    reply = api("PATCH", contact, {"properties": {"interests": ";sport"}})
    assert reply.json()["properties"]["interests"] == "film;sport"


def test_which_domains_are_refused_is_a_setting(api, portal):
    portal.faults.refused_domains = {"test"}
    assert api("POST", "", {"properties": {"email": "ada@some.test"}}).status_code == 400
    assert api("POST", "", {"properties": {"email": "ada@some.local"}}).status_code == 201


def test_messages_may_come_in_portuguese(api, portal):
    contact = portal.create({"email": "a@example.com"})
    portal.faults.localised = True
    conflict = api("POST", "", {"properties": {"email": "a@example.com"}}).json()
    assert conflict["message"] == f"O contato já existe. ID existente: {contact}"
    invalid = api("PATCH", contact, {"properties": {"shoe_size": "big"}}).json()
    assert invalid["message"].startswith("Os valores")
    assert code_of(invalid) == {"shoe_size": "INVALID_INTEGER"}
