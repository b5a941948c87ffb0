"""Which deliveries that nobody could attribute tell of a person."""

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
