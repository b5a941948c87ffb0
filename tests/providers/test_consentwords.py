"""Consents in fields of a provider's own: only the configured words say anything."""

from datetime import UTC, datetime

import pytest

from connector.errors import Rejected
from connector.model import ConsentState, Statement
from connector.providers.consentwords import changes, entries
from connector.providersettings import ConsentField

AT = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = {"newsletter": ConsentField(field="news")}
WORDS = {"newsletter": ConsentField(field="news", at="news_at", source="news_from", granted="yes", revoked="no")}


@pytest.mark.parametrize(
    ("value", "state"),
    [(True, "granted"), ("TRUE ", "granted"), (False, "revoked"), ("false", "revoked"), ("", None), (None, None), ("maybe", None),
     (1, None), ([], None), ({}, None)],
)  # fmt: skip
def test_anything_else_says_nothing(value, state):
    assert [one["state"] for one in entries(PLAIN, {"news": value}.get)] == ([state] if state else [])


def test_time_and_source_come_along():
    told = {"news": "No", "news_at": "2026-01-01T00:00:00Z", "news_from": "form"}
    assert entries(WORDS, told.get) == (
        {"purpose": "newsletter", "channel": "email", "state": "revoked", "at": "2026-01-01T00:00:00Z", "source": "form"},
    )


def test_without_fields_nothing_is_told():
    assert entries({}, {}.get) is None


@pytest.mark.parametrize(("texts", "value"), [(True, "true"), (False, True)])
def test_what_is_written(texts, value):
    assert changes("members", PLAIN, "newsletter", Statement(ConsentState.GRANTED), texts) == {"news": value}
    told = changes("members", WORDS, "newsletter", Statement(ConsentState.REVOKED, AT, "form"), texts)
    assert told == {"news": "no", "news_at": "2026-01-01T00:00:00.000Z", "news_from": "form"}
    assert changes("members", WORDS, "newsletter", Statement(ConsentState.GRANTED), texts)["news_at"] is None


@pytest.mark.parametrize(("purpose", "state"), [("shop", ConsentState.GRANTED), ("newsletter", ConsentState.UNKNOWN)])
def test_what_cannot_be_put_down(purpose, state):
    with pytest.raises(Rejected):
        changes("members", PLAIN, purpose, Statement(state), texts=True)
