"""Which deliveries tell of a person, and what they say without that."""

import pytest

from connector.sync.mentions import Body

IDS, EMAILS = ["u-1", "57"], ["ada@example.com"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(b'{"data": {"user_id": "u-1"}}', True, id="an id"),
        pytest.param(b'{"objectId": 57}', True, id="a number that is an id"),
        pytest.param(b'[{"ids": [1, {"userId": 57}]}]', True, id="deep inside"),
        pytest.param(b'{"count": 57, "user_id": "u-2"}', False, id="a number that is none"),
        pytest.param(b'{"user_id": "u-12", "note": "u-1 called"}', False, id="part of another id"),
        pytest.param(b'{"mail": "Ada <ADA@example.com>"}', True, id="an address in any case"),
        pytest.param(b'{"mail": "ada\\u0040example.com"}', True, id="an escaped address"),
        pytest.param(b'{"ada@example.com": 1}', True, id="a name"),
        pytest.param(b'{"user_id": "u-1"', True, id="broken JSON with an id"),
        pytest.param(b'{"user_id": "u-12"', False, id="broken JSON about somebody else"),
        pytest.param(b'{"mail": "ada\\u0040example.com"', True, id="broken JSON with an escaped address"),
        pytest.param(b"\xff\xfe ada@example.com", True, id="no text at all"),
        pytest.param('{"user_id": "u-1"}'.encode("utf-16"), True, id="two bytes a letter"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(b"[" * 100_000, False, id="no end of brackets"),
    ],
)
def test_mentions(body, told):
    assert Body(body).mentions(IDS, EMAILS) == told


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        pytest.param(b'{"by": "u-1", "user_id": "u-12"}', b'{"by": "(erased)", "user_id": "u-12"}', id="an id"),
        pytest.param(b'{"byId": 57, "n": 57}', b'{"byId": "(erased)", "n": 57}', id="a number that is an id"),
        pytest.param(
            b'[{"to": ["Ada <ADA@example.com>, bob@example.com"]}]', b'[{"to": ["Ada <(erased)>, bob@example.com"]}]',
            id="an address in any case",
        ),
        pytest.param(b'{"mail": "ada\\u0040example.com"}', b'{"mail": "(erased)"}', id="an escaped address"),
        pytest.param(b'{"ada@example.com": {"x": null}}', b'{"(erased)": {"x": null}}', id="a name"),
        pytest.param('{"name": "Zoë", "by": "u-1"}'.encode(), '{"name": "Zoë", "by": "(erased)"}'.encode(), id="letters"),
        pytest.param(b'{"half": "\\ud800", "by": "u-1"}', b'{"half": "\xed\xa0\x80", "by": "(erased)"}', id="half a letter"),
        pytest.param(b'{"user_id": "u-1"', b"", id="broken JSON"),
    ],
)  # fmt: skip
def test_without(body, rest):
    assert Body(body).without(IDS, EMAILS) == rest
    assert not Body(rest).mentions(IDS, EMAILS)
