"""Reading a stranger's JSON: one meaning or none, in bounded time."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import BadDelivery, TooManyItems
from connector.strictjson import MAX_DEPTH, MAX_ITEMS, MAX_NODES, parse, split_array, storable

MIB = 1 << 20
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(ANY)
def test_what_python_writes_is_read_back(value):
    try:
        text = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        text = json.dumps(value).encode()
    assert parse(text) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    for read in (parse, split_array):
        with contextlib.suppress(BadDelivery):
            read(raw)


def test_a_refusal_does_not_repeat_what_was_sent():
    with pytest.raises(BadDelivery) as caught:
        parse(b'{"email": "ada@example.com" "x"}')
    assert str(caught.value) == "not JSON, at character 28"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"a":1} x', id="trailing text"),
        pytest.param(b"[1,2,]", id="trailing comma"),
        pytest.param(b"[1 2]", id="no comma"),
        pytest.param(b"[1]]", id="one bracket too many"),
        pytest.param(b"[,1]", id="leading comma"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param("{}".encode("utf-16"), id="UTF-16"),
        pytest.param("[1]".encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param(b'["\xff"]', id="not UTF-8"),
        pytest.param(b'["\xed\xa0\x80"]', id="a surrogate in UTF-8"),
        pytest.param(b'["\xc0\x80"]', id="overlong NUL"),
        pytest.param(b'["a\x00"]', id="bare NUL"),
        pytest.param(b'["a\nb"]', id="bare line break"),
        pytest.param(b'{"objectId":1,"objectId":2}', id="name twice"),
        pytest.param(b'[{"a":{"b":1,"\\u0062":2}}]', id="name twice, once escaped"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[-Infinity]", id="Infinity"),
        pytest.param(b"[1e400]", id="1e400"),
        pytest.param(b"[" + b"9" * 5000 + b"]", id="5,000 digits"),
        pytest.param(b"[0." + b"9" * 5000 + b"]", id="5,000 digits of a fraction"),
        pytest.param(b"[01]", id="leading zero"),
        pytest.param(b"[0x10]", id="hexadecimal"),
        pytest.param(b"['a']", id="single quotes"),
        pytest.param(b"[\xc2\xa01]", id="no-break space"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="100,000 deep"),
        pytest.param(b'{"a":' * 33 + b"1" + b"}" * 33, id="33 deep"),
    ],
)
def test_is_refused(raw):
    with pytest.raises(BadDelivery):
        parse(raw)
    with pytest.raises(BadDelivery):
        split_array(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        pytest.param(b" \t\r\n[ ] \n", [], id="white space"),
        pytest.param(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None, id="32 deep"),
        pytest.param(b'["' + b"[{," * 200_000 + b'"]', None, id="brackets and commas in a text"),
        pytest.param(b'["\\"[[[[", "' + b"[" * 99 + b'\\\\"]', None, id="brackets after escaped quotes"),
        pytest.param(b'["\\u0000", "\\ud800"]', ["\0", "\ud800"], id="escaped NUL and surrogate, for the caller to judge"),
        pytest.param('["😀 é e\u0301 \u202e"]'.encode(), ["😀 é e\u0301 \u202e"], id="text is kept exactly"),
        pytest.param(b"[1e-400, -0, 1.5, 9007199254740993]", [0.0, 0, 1.5, 9_007_199_254_740_993], id="numbers"),
    ],
)
def test_is_read(raw, value):
    found = parse(raw)
    assert value is None or found == value


BOMBS = {
    "350,000 empty lists": b"[" + b"[]," * (MIB // 3 - 2) + b"[]]",
    "170,000 objects": b"[" + b'{"":0},' * (MIB // 7 - 2) + b"{}]",
    "520,000 numbers": b"[" + b"1," * (MIB // 2 - 2) + b"1]",
    "350,000 texts": b"[" + b'"",' * (MIB // 3 - 2) + b'""]',
    "as many values as are allowed": b"[" + b"1.25e-7," * (MAX_NODES - 2) + b"1]",
    "as many small objects as are allowed": b"[" + b'{"a":{"b":1}},' * 33_000 + b"1]",
    "names": b"{" + b",".join(b'"%x":1' % number for number in range(90_000)) + b"}",
    "a million brackets": b"[" * MIB,
    "a million digits": b"1" * MIB,
    "a million digits of a fraction": b"0." + b"1" * (MIB - 2),
    "nothing but backslashes": b'"' + b"\\\\" * (MIB // 2 - 1) + b'"',
    "open quotes and backslashes": b'"a\\' * (MIB // 3),
    "quotes": b'"\\"' * (MIB // 3),
    "spaces": b"[" + b" " * (MIB - 2) + b"]",
    "repeated names": b"{" + b'"a":1,' * 99_000 + b'"a":1}',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_megabyte_costs_less_than_100_ms(bomb):
    raw = BOMBS[bomb]
    assert len(raw) <= MIB

    def cost(read):
        started = time.process_time()
        with contextlib.suppress(BadDelivery):
            read(raw)
        return time.process_time() - started

    for read in (parse, split_array):
        assert any(cost(read) < 0.1 for _ in range(10))  # a busy machine makes the same work look longer


def test_elements_keep_their_own_bytes():
    raw = '[ {"b" : 1.0,"a":"é"} ,\n[ 1 ]\t, "x]" ,null ]'.encode()
    pieces = split_array(raw)
    assert [piece.raw for piece in pieces] == ['{"b" : 1.0,"a":"é"}'.encode(), b"[ 1 ]", b'"x]"', b"null"]
    assert [piece.value for piece in pieces] == [{"b": 1.0, "a": "é"}, [1], "x]", None]
    assert [piece.place for piece in pieces] == [0, 1, 2, 3]


@given(st.lists(ANY, max_size=8))
def test_an_element_reads_like_the_whole(values):
    raw = json.dumps(values, indent=1).encode()
    pieces = split_array(raw)
    assert [parse(piece.raw) for piece in pieces] == values


def test_a_document_that_is_no_array_is_one_piece():
    assert split_array(b' {"a": 1} ') == [(b' {"a": 1} ', {"a": 1}, None)]


def test_more_items_than_one_delivery_may_carry():
    assert len(split_array(b"[" + b",".join([b"1"] * MAX_ITEMS) + b"]")) == MAX_ITEMS
    with pytest.raises(TooManyItems):
        split_array(b"[" + b",".join([b"1"] * (MAX_ITEMS + 1)) + b"]")


def test_a_caller_may_allow_more_values():
    raw = json.dumps([0] * (MAX_NODES + 1)).encode()
    assert len(parse(raw, 2 * MAX_NODES)) == MAX_NODES + 1


@pytest.mark.parametrize(
    ("value", "can"),
    [
        ("é😀", True),
        ("a\0", False),
        ("\ud83d", False),
        (["a", {"b": "\0"}], False),
        ({"\udc00": 1}, False),
        (None, True),
        (1.5, True),
    ],
)
def test_what_can_be_stored(value, can):
    assert storable(json.dumps(value).encode(), value) is can
