"""What the receiver answers before it looks into a body: rows B01 to B18 of the matrix of bad input, over real HTTP."""

import hashlib
import json
import socket
import time

import pytest

from connector.web import receiver

from . import harness
from .harness import HUBSPOT, JSON, MEMBERS, OLD_KEY, counts, envelope, event, hubspot_signed, refusal, signed

BODY = envelope()
MIB = 1 << 20


def test_b01_valid_and_new(site):
    answer = site.members(BODY)
    assert (answer.status, answer.json, answer.headers["content-type"]) == (200, counts(1), "application/json")
    assert site.inbox.rows["members", "msg_1"].body == BODY
    answer = site.hubspot([event(1), event(2)])
    assert (answer.status, answer.json) == (200, counts(2))
    assert {source for source, _ in site.inbox.rows} == {"members", "crm"}
    assert site.rings == 2


def test_b02_the_same_again(site):
    first = site.members(BODY)
    again = site.members(BODY, age=240)
    assert (first.json, again.status, again.json) == (counts(1), 200, counts(duplicates=1))
    assert site.hubspot([event(), event(attemptNumber=1)]).json == counts(1, 1)
    assert site.hubspot([event(attemptNumber=2)]).json == counts(duplicates=1)
    assert site.rings == 2


@pytest.mark.parametrize("what", ["missing", "empty", "twice"])
@pytest.mark.parametrize("name", ["webhook-signature", "webhook-id", "X-HubSpot-Signature-v3"])
def test_b03_signature_header(site, what, name):
    path, body = (HUBSPOT, b"[]") if "HubSpot" in name else (MEMBERS, BODY)
    headers = hubspot_signed(body) if "HubSpot" in name else signed(body)
    pairs = {
        "missing": [(key, value) for key, value in headers.items() if key != name],
        "empty": [(key, "" if key == name else value) for key, value in headers.items()],
        "twice": [*headers.items(), (name, headers[name])],
    }[what]
    assert refusal(site.request("POST", path, pairs, body), 401, "unsigned")
    assert not site.inbox.rows


@pytest.mark.parametrize(
    "value",
    [b"v1,AAAA", b"v1,not base64!", b"v1,\xc3\xa9\xff", "v1," + "A" * 10_000, "v1", "x"],
    ids=["short", "not base64", "not ASCII", "long", "no comma", "no version"],
)
@pytest.mark.parametrize("sender", ["members", "hubspot"])
def test_b04_signature_wrong(site, value, sender):
    if sender == "members":
        answer = site.members(BODY, signed(BODY) | {"webhook-signature": value})
    else:
        answer = site.request("POST", HUBSPOT, hubspot_signed(b"[]") | {"X-HubSpot-Signature-v3": value}, b"[]")
    assert refusal(answer, 401, "signature")


def test_b05_old_signatures_are_not_enough(site):
    v1 = {**JSON, "X-HubSpot-Signature": hashlib.sha256(harness.CLIENT_SECRET.encode() + b"[]").hexdigest()}
    assert refusal(site.request("POST", HUBSPOT, v1, b"[]"), 401, "unsigned")
    with harness.Site(accept_v1=True) as lenient:
        assert lenient.request("POST", HUBSPOT, v1 | {"X-HubSpot-Signature-Version": "v1"}, b"[]").status == 200
        assert lenient.request("POST", HUBSPOT, v1 | {"X-HubSpot-Signature-v3": "x"}, b"[]").status == 401


@pytest.mark.parametrize("stamp", ["", "abc", "1e400", "-1", "１２３", "1_000", " 5 ", "1.5", "9" * 25])
def test_b06_timestamp_unreadable(site, stamp):
    for answer in (site.members(BODY, stamp=stamp), site.hubspot(b"[]", stamp=stamp)):
        assert refusal(answer, 401, "timestamp")


def test_b06_timestamp_missing(site):
    headers = signed(BODY)
    del headers["webhook-timestamp"]
    assert refusal(site.members(BODY, headers), 401, "timestamp")


@pytest.mark.parametrize(("age", "code"), [(303, "stale"), (-303, "future")])
def test_b07_timestamp_too_far(site, age, code):
    assert refusal(site.members(BODY, age=age), 401, code)
    assert refusal(site.hubspot(b"[]", age=age), 401, code)
    assert site.members(BODY, age=age * 0.95).status == 200


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"method": "PUT"}, id="method"),
        pytest.param({"public": "http://connector.example.com/in"}, id="scheme"),
        pytest.param({"public": "https://forged.example.org/in"}, id="host"),
        pytest.param({"public": "https://connector.example.com"}, id="prefix"),
        pytest.param({"path": MEMBERS}, id="path"),
        pytest.param({"path": HUBSPOT + "?a=1"}, id="query"),
    ],
)
def test_b08_signed_for_another_address(site, changed):
    headers = hubspot_signed(b"[]", **changed)
    assert refusal(site.request("POST", HUBSPOT, headers, b"[]"), 401, "signature")
    forged = {"X-Forwarded-Host": "forged.example.org", "X-Forwarded-Proto": "http", "Forwarded": "host=forged.example.org"}
    assert site.request("POST", HUBSPOT, headers | forged, b"[]").status == 401
    assert site.request("POST", HUBSPOT, hubspot_signed(b"[]") | forged, b"[]").status == 200


def test_b08_the_query_is_signed_as_it_was_sent(site):
    path = HUBSPOT + "?portal=1&x=%20y"
    assert site.hubspot(b"[]", path=path).status == 200


@pytest.mark.parametrize("body", [BODY.replace(b"u-1", b"u-2"), json.dumps(json.loads(BODY), indent=1).encode(), BODY + b"\n"])
def test_b09_body_altered(site, body):
    assert refusal(site.members(body, signed(BODY)), 401, "signature")


def test_b10_rotation(site):
    assert site.members(BODY, key=OLD_KEY).status == 200
    assert refusal(site.members(BODY, key=b"the secret before the one before"), 401, "signature")


def test_b11_too_large_as_announced(site):
    started = time.monotonic()
    answer = site.request("POST", MEMBERS, [*JSON.items(), ("Content-Length", str(MIB + 1))], None)
    assert refusal(answer, 413, "too_large")
    assert answer.closes
    assert time.monotonic() - started < 1


def test_b11_the_largest_body(site):
    body = b"[" + b" " * (MIB - 2) + b"]"
    assert site.members(body).json == counts()


@pytest.mark.parametrize("length", ["9" * 30, "10000000000000000000000"])
def test_b11_absurd_length(site, length):
    answer = site.request("POST", MEMBERS, [*JSON.items(), ("Content-Length", length)], None)
    assert answer is None or answer.status in (400, 413)


def chunked(headers, chunks):
    head = f"POST {MEMBERS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def test_b12_too_large_chunk_by_chunk(site):
    answer = site.raw(chunked(JSON, [b"x" * 65_536] * 17))
    assert refusal(answer, 413, "too_large")
    assert answer.closes


def test_b12_chunks_within_the_limit(site):
    assert site.raw(chunked(signed(BODY), [BODY[:5], BODY[5:], b""])).json == counts(1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(chunked(JSON, []) + b"zz\r\nx\r\n", id="bad chunk"),
        pytest.param(
            f"POST {MEMBERS} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
            id="length and chunks",
        ),
        pytest.param(
            f"POST {MEMBERS} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef".encode(),
            id="two lengths",
        ),
        pytest.param(f"POST {MEMBERS} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".encode(), id="negative length"),
        pytest.param(b"GARBAGE\r\n\r\n", id="no HTTP"),
    ],
)
def test_b13_broken_framing(site, data):
    answer = site.raw(data)
    assert answer is None or answer.status in (400, 413, 415)
    assert answer is None or answer.closes
    assert site.members(BODY).status == 200


def test_b13_less_than_announced(site):
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in signed(BODY).items())
        connection.sendall(f"POST {MEMBERS} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n{head}\r\n".encode() + BODY)
    time.sleep(0.1)
    assert not site.inbox.rows
    assert site.members(BODY).status == 200


def test_b14_slow_body(site, monkeypatch):
    monkeypatch.setattr(receiver, "BODY_SECONDS", 0.3)
    head = f"POST {MEMBERS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n".encode()
    answer = site.raw(head, pause=0.05, pieces=[b"x"] * 12)
    assert refusal(answer, 408, "too_slow")
    assert answer.closes


def test_b14_ten_seconds():
    assert receiver.BODY_SECONDS == 10


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "x"])
def test_b15_content_encoding(site, encoding):
    assert refusal(site.members(BODY, signed(BODY) | {"Content-Encoding": encoding}), 415, "content_encoding")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 415), ("multipart/form-data; boundary=x", 415), (None, 415), ("", 415),
        ("application/json; charset=latin-1", 415), ("application/json; charset=utf-16", 415),
        ("application/jsonp", 415), ("application/json, text/plain", 415),
        ("application/problem+json", 415), ("application/json", 200), ("application/json;charset=UTF-8", 200),
        ('Application/JSON ; charset="utf-8"', 200),
    ],
)  # fmt: skip
def test_b16_content_type(site, kind, status):
    headers = {name: value for name, value in signed(BODY).items() if name != "Content-Type"}
    answer = site.members(BODY, headers if kind is None else headers | {"Content-Type": kind})
    assert answer.status == status
    assert status == 200 or refusal(answer, 415, "content_type")


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [MEMBERS, HUBSPOT])
def test_b17_other_methods(site, method, path):
    answer = site.request(method, path)
    assert (
        (answer.status, answer.headers["allow"]) == (405, "POST") if method != "HEAD" else answer is None or answer.status == 405
    )


def test_b18_no_challenge_is_answered(site):
    """No provider of this version proves itself by a challenge, so nothing of a GET ever comes back."""
    answer = site.request("GET", MEMBERS + "?challenge=<img>", {"x-challenge": "y" * 10_000})
    assert answer.status == 405
    assert b"img" not in answer.body
    assert "y" * 100 not in str(answer.headers)
