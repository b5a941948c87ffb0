"""Codes in words: each one that a reader gives has some."""

import re
from pathlib import Path

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
