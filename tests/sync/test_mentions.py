"""Which deliveries tell of a person, and what they say without that."""

import json

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
        pytest.param(b'{"mail": "ada@example.com", "mail": "x"}', True, id="of two values of one name the other"),
        pytest.param(b'{"mail": "bob@example.com\\nada@example.com"', True, id="broken JSON with an address on a new line"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(b"[" * 100_000, False, id="no end of brackets"),
    ],
)
def test_mentions(body, told):
    assert Body(body).mentions(IDS, EMAILS) == told


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com", "Ada <ada@example.com>", "mailto:ada@example.com", "ADA@Example.COM",
        "ada@example.com,bob@example.com", "by ada@example.com.", "'ada@example.com'", "/?by=ada@example.com&to=x",
        "bob@example.com;ada@example.com", "bob+ada@example.com, ada@example.com",
        "/?by=ada%40example.com", "/?to=%22Ada%22%20ada@example.com", "/?x=%2Fada%40example.com%2Fy", "see /%41da%40EXAMPLE.com.",
    ],
)  # fmt: skip
def test_an_address_is_found_in_a_text(text):
    body = Body(json.dumps({"said": text}).encode())
    assert body.mentions([], EMAILS)
    assert Body(json.dumps({"said": text}).encode()[:-1]).mentions([], EMAILS)
    assert not Body(body.without(EMAILS)).mentions([], EMAILS)
    assert body.addresses() >= {*EMAILS}


@pytest.mark.parametrize(
    "text",
    [
        "bada@example.com", "bob.ada@example.com", "bob+ada@example.com", "bob-ada@example.com", "o'ada@example.com",
        "\u00e9ada@example.com", "ada@example.com.br", "ada@example.com-y", "ada@example.community", "ada@example.com--y",
        "bob%2Bada@example.com", "bob%2Dada%40example.com", "ada%40example.com%2Ebr",
    ],
)  # fmt: skip
def test_a_part_of_another_address_is_somebody_else(text):
    body = json.dumps({"said": text}).encode()
    assert not Body(body).mentions([], EMAILS)
    assert not Body(body[:-1]).mentions([], EMAILS)
    assert json.loads(Body(body).without(EMAILS)) == {"said": text}
    assert not Body(body).addresses() & {*EMAILS}


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        pytest.param(b'{"by": "u-1", "byId": 57}', b'{"by": "u-1", "byId": 57}', id="ids stay"),
        pytest.param(
            b'[{"to": ["Ada <ADA@example.com>, bob@example.com"]}]', b'[{"to": ["Ada <(erased)>, bob@example.com"]}]',
            id="an address in any case",
        ),
        pytest.param(b'{"to": "ada@example.com, bada@example.com"}', b'{"to": "(erased), bada@example.com"}', id="another one"),
        pytest.param(b'{"mail": "ada\\u0040example.com"}', b'{"mail": "(erased)"}', id="an escaped address"),
        pytest.param(b'{"ada@example.com": {"x": null}}', b'{"(erased)": {"x": null}}', id="a name"),
        pytest.param(b'{"a": "ada@example.com", "a": "x"}', b'{"a": "x"}', id="of two values of one name the other"),
        pytest.param(
            '{"name": "Zoë", "by": "ada@example.com"}'.encode(), '{"name": "Zoë", "by": "(erased)"}'.encode(), id="letters",
        ),
        pytest.param(
            b'{"half": "\\ud800", "by": "ada@example.com"}', b'{"half": "\xed\xa0\x80", "by": "(erased)"}', id="half a letter"
        ),
        pytest.param(b'{"by": "ada@example.com"', b"", id="broken JSON"),
    ],
)  # fmt: skip
def test_without(body, rest):
    assert Body(body).without(EMAILS) == rest
    assert not Body(rest).mentions([], EMAILS)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(b'{"mail": "ADA@example.com", "mail": "x"}', {"ada@example.com"}, id="of two values of one name the other"),
        pytest.param(b'{"by": "ada\\u0040example.com"', {"ada@example.com"}, id="broken JSON"),
        pytest.param('["ada@example.com"]'.encode("utf-16"), {"ada@example.com"}, id="two bytes a letter"),
        pytest.param('"o!x@b\u00fc.example"'.encode(), {"x@b\u00fc.example", "o!x@b\u00fc.example"}, id="signs"),
        pytest.param(b"@" * 1_000_000, set(), id="signs alone"),
        pytest.param(b"a" * 1_000_000 + b"!@", set(), id="no end of letters"),
        pytest.param(b"nobody", set(), id="none"),
    ],
)  # fmt: skip
def test_addresses(body, found):
    assert Body(body).addresses() == found


def test_an_odd_address_is_found_in_a_link():
    body = Body(b'{"from": "/i?by=a%2Fb%26c%3Dd%40example.com&x=1", "to": "a/b&c=d@example.com"}')
    assert "a/b&c=d@example.com" in body.addresses()
    assert body.without(["a/b&c=d@example.com"]) == b'{"from": "(erased)", "to": "(erased)"}'


def test_any_number_of_addresses_can_be_taken_out():
    many = [f"user{number}@example.com" for number in range(1000)]
    said = {"all": " ".join(many), "odd": f"'{many[7]}' bada@example.com", **dict.fromkeys(many, "x")}
    rest = json.loads(Body(json.dumps(said).encode()).without(many))
    assert rest == {"all": " ".join(["(erased)"] * 1000), "odd": "'(erased)' bada@example.com", "(erased)": "x"}


def test_no_address_is_longer_than_mail_servers_take():
    assert {len(one) for one in Body(b"a" * 1_000_000 + b"@" + b"b" * 1_000_000).addresses()} == {641}
