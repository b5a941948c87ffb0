"""Codes in words: each one that a reader gives has some."""

import re
from pathlib import Path

import pytest

from connector.cli import words

ROOT = Path(__file__).parents[2]
READERS = [*ROOT.glob("connector/providers/**/*.py"), ROOT / "connector" / "crm" / "hubspot" / "webhooks.py"]


def test_every_code_has_words():
    given = re.compile(r'(?:return|else|problem =) "([a-z]+(?:_[a-z]+)+)"')
    codes = {code for path in READERS for code in given.findall(path.read_text(encoding="utf-8"))}
    assert codes >= {"bad_type", "no_user_id", "unknown_portal"}
    assert codes - words.QUARANTINE.keys() == set()


def test_words_stay_words():
    assert words.quarantine("generic: bad_type") == "generic: has no `type` (up to 64 characters, no spaces)"
    assert words.quarantine("not JSON, at character 1") == "not JSON, at character 1"
    assert words.quarantine(None) == ""


@pytest.mark.parametrize(
    ("answer", "way_out"),
    [
        ("members: list users: 401", "; check the credentials under providers.members, and what they may do"),
        ("members: erase user u-1: 403", "; check the credentials under providers.members, and what they may do"),
        ("members: list users: 500", "; try again later"),
        ("members: list users: 429", "; try again later"),
        ("members: list users: 404", "; look at the addresses under providers.members"),
        ("members: list users: 200, but no JSON object", "; look at the addresses under providers.members"),
        ("members: list users: 302, a redirect, which is not followed: is api_url right?", ""),
        ("hubspot: contacts: read: 500", ""),
        ("42: nobody; the connector knows no contact with this id", ""),
    ],
)
def test_a_bare_answer_of_a_provider_gets_the_way_out(answer, way_out):
    assert words.with_way_out(answer) == answer + way_out


def test_a_moment_is_told_to_the_second():
    assert words.moment("2026-11-24T16:01:07.433980+00:00") == "2026-11-24 16:01:07"
    assert (words.moment(None), words.moment(None, "")) == ("a time not known", "")
