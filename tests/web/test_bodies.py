"""What the receiver answers to what is in a body, and to trouble of its own: rows B19 to B35 of the matrix of bad input."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from connector.errors import Unavailable
from connector.web import throttle

from . import harness
from .harness import JSON, MEMBERS, counts, envelope, event, hubspot_signed, refusal, signed

BODY = envelope()
MIB = 1 << 20

WHOLES = {
    "B19-empty": b"",
    "B19-cut": b"{",
    "B19-trailing": b"[] x",
    "B19-utf16": "[]".encode("utf-16"),
    "B19-not-utf8": b'["\xff"]',
    "B19-bom": b"\xef\xbb\xbf[]",
    "B20-deep": b"[" * 100_000 + b"]" * 100_000,
    "B21-digits": b"[" + b"9" * 5000 + b"]",
    "B21-1e400": b"[1e400]",
    "B21-nan": b"[NaN]",
    "B21-infinity": b"[-Infinity]",
    "B22-name-twice": b'[{"objectId":1,"objectId":2}]',
    "B23-500k-names": b"[{"
    + b",".join(b'"%x":1' % number for number in range(95_000))
    + b',"x":{}, "y":['
    + b"0," * 9000
    + b"0]}]",
    "B23-350k-lists": b"[" + b"[]," * 349_000 + b"[]]",
}


@pytest.mark.parametrize("name", WHOLES)
@pytest.mark.parametrize("sender", ["members", "hubspot"])
def test_b19_to_b23_unreadable_as_a_whole(site, name, sender):
    body = WHOLES[name]
    assert len(body) <= MIB
    for _ in range(2):
        answer = site.members(body) if sender == "members" else site.hubspot(body)
        assert refusal(answer, 400, "unreadable")
    (item,) = site.inbox.rows.values()
    assert item.key.startswith("body:")
    assert (item.body, bool(item.problem)) == (body, True)
    assert site.rings == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"[]", counts()), (b"[null]", counts(quarantined=1)), (b"[1]", counts(quarantined=1)), (b"{}", counts(quarantined=1))],
)
def test_b24_arrays_that_are_none(site, body, expected):
    for answer in (site.hubspot(body), site.members(body)):
        assert (answer.status, answer.json) == (200, expected)


def test_b24_one_object_is_not_what_hubspot_sends(site):
    assert site.hubspot(event()).json == counts(quarantined=1)
    assert site.inbox.problems == {"not_an_array": 1}


def test_b25_one_bad_item_among_99_good(site):
    answer = site.hubspot([event(number, **({"objectId": "x"} if number == 50 else {})) for number in range(100)])
    assert (answer.status, answer.json) == (200, counts(99, quarantined=1))
    assert site.inbox.calls == 1


@pytest.mark.parametrize("value", ["123", 1.0, 1.5, -1, 2**63, True, None], ids=repr)
def test_b26_object_id(site, value):
    assert site.hubspot([event(objectId=value)]).json == counts(quarantined=1)
    assert site.inbox.problems == {"bad_object_id": 1}


@pytest.mark.parametrize("value", [253_402_300_800_000, -1, 10**18, "x", None], ids=repr)
def test_b27_occurred_at(site, value):
    assert site.hubspot([event(occurredAt=value)]).json == counts(1)


def test_b28_text(site):
    kept = ["\u202eevil", "😀", "e\u0301", "é"]
    answer = site.hubspot([event(n, propertyValue=text) for n, text in enumerate([*kept, "a\0b", "\ud83d"])])
    assert answer.json == counts(4, quarantined=2)
    assert site.inbox.problems == {None: 4, "unstorable_text": 2}
    stored = {json.loads(item.body)["propertyValue"] for item in site.inbox.rows.values() if not item.problem}
    assert stored == set(kept)


def test_b29_unknown_types_and_fields(site):
    assert site.hubspot([event(subscriptionType="invoice.creation", brandNew=[1])]).json == counts(1)
    assert site.members(envelope(type="user.brand_new", brand_new=1)).json == counts(1)


@pytest.mark.parametrize("portal", [1, None, "62515", 62515.0])
def test_b30_another_portal(site, portal):
    assert site.hubspot([event(portalId=portal), event()]).json == counts(1, quarantined=1)
    assert site.inbox.problems == {None: 1, "unknown_portal": 1}


def test_b31_many_events(site):
    assert site.hubspot([event(number) for number in range(101)]).json == counts(101)
    assert site.hubspot([event(number) for number in range(1000)]).json == counts(899, 101)
    assert site.members(b"[" + b",".join([envelope()] * 1000) + b"]").json == counts(1000)


@pytest.mark.parametrize("body", [b"[" + b",".join([b'{"portalId":62515,"objectId":1}'] * n) + b"]" for n in (1001, 10_000)])
def test_b31_too_many_events(site, body):
    assert refusal(site.hubspot(body), 413, "too_many_items")
    assert refusal(site.members(body), 413, "too_many_items")
    assert site.inbox.bodies == [body, body]


@pytest.mark.parametrize("length", [65_537, 1_000_000])
def test_b32_large_values(site, length):
    assert site.hubspot([event(propertyValue="x" * length)]).json == counts(1)


def test_b33_flood(site, monkeypatch):
    """Whoever fails often is told to wait, without delaying what is signed."""
    monkeypatch.setattr(throttle, "FAILURES", 5)
    monkeypatch.setattr(throttle, "WINDOW", 3.0)
    time.sleep(0.01)
    answers = [site.members(BODY, JSON) for _ in range(8)]
    statuses = [answer.status for answer in answers]
    assert statuses[-1] == 429
    assert set(statuses) <= {401, 429}
    assert refusal(answers[-1], 429, "too_many_failures")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 3
    assert site.members(BODY).status == 200
    assert site.hubspot([event()]).status == 200


@pytest.mark.parametrize("sender", ["members", "hubspot"])
def test_b34_database_down(site, sender):
    site.inbox.fails = [Unavailable("database: down")]
    answer = site.members(BODY) if sender == "members" else site.hubspot([event(1), event(2)])
    assert refusal(answer, 503, "unavailable")
    assert answer.headers["retry-after"].isdigit()
    assert not site.inbox.rows
    assert site.rings == 0
    assert site.members(BODY).json == counts(1)


def test_b34_unreadable_while_the_database_is_down(site):
    """What cannot be kept is not refused for good: it is asked for again."""
    site.inbox.fails = [Unavailable("database: down")]
    assert refusal(site.members(b"{"), 503, "unavailable")
    assert refusal(site.members(b"{"), 400, "unreadable")


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks", "/webhooks/", "/webhooks/identity", "/webhooks/identity/", "/webhooks/identity/nobody", "/webhooks/hubspot/",
        MEMBERS + "/", "//webhooks/hubspot", "/webhooks//hubspot", "/webhooks/%2e%2e/webhooks/hubspot",
        "/webhooks/identity/../hubspot", "/webhooks/./hubspot", "/webhooks/%68ubspot",
        "/webhooks/identity/member%73", "/webhooks/identity/members%00",
        "/webhooks/identity/MEMBERS", "/Webhooks/hubspot", "/webhooks/hubspot;x", "/webhooks/identity/crm", "/nowhere",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
def test_b35_unknown_paths(site, path, method):
    answer = site.request(method, path, hubspot_signed(b"[]", path=path), b"[]")
    assert (answer.status, answer.headers.get("location")) == (404, None)
    assert not path.startswith("/webhooks") or refusal(answer, 404, "not_found")


class TestOrderOfChecks:
    def test_path_before_method_before_size_before_type_before_signature_before_body(self, site):
        huge = ("Content-Length", str(MIB + 1))
        assert site.request("PUT", "/webhooks/identity/nobody", [huge], None).status == 404
        assert site.request("PUT", MEMBERS, [huge], None).status == 405
        assert site.request("POST", MEMBERS, [huge, ("Content-Type", "text/plain")], None).status == 413
        assert site.request("POST", MEMBERS, {"Content-Type": "text/plain"}, b"{").status == 415
        assert site.request("POST", MEMBERS, JSON, b"{").status == 401

    def test_nothing_reads_a_body_that_is_not_signed(self, site, monkeypatch):
        def spy(*given):
            raise AssertionError("read before it was verified")

        monkeypatch.setattr("connector.providers.generic.split_array", spy)
        monkeypatch.setattr("connector.crm.hubspot.webhooks.split_array", spy)
        assert site.members(BODY, JSON).status == 401
        assert site.hubspot(b"[]", secret="x").status == 401


class TestTroubleOfOurOwn:
    def test_a_reader_that_fails_loses_nothing(self, site, monkeypatch):
        def broken(*given):
            raise KeyError("oops")

        monkeypatch.setattr("connector.providers.generic.split_array", broken)
        assert site.members(BODY).json == counts(quarantined=1)
        (item,) = site.inbox.rows.values()
        assert (item.body, item.problem) == (BODY, "the reader failed: KeyError")

    def test_a_doorbell_that_fails_is_not_the_senders_business(self):
        def ring():
            raise OSError("no broker")

        with harness.Site(ring=ring) as site:
            assert site.members(BODY).json == counts(1)
            assert site.members(BODY).json == counts(duplicates=1)

    def test_nothing_is_answered_before_the_commit(self, site):
        committed = []
        site.inbox.before = lambda rows: (time.sleep(0.2), committed.append(len(rows)))
        assert site.members(BODY).status == 200
        assert committed == [1]


def test_the_same_delivery_many_times_at_once(site):
    """One of them is new, whichever transaction they fell into."""
    site.inbox.before = lambda rows: time.sleep(0.02)
    with ThreadPoolExecutor(16) as pool:
        answers = [answer.json for answer in pool.map(lambda _: site.members(BODY), range(64))]
    assert sum(one["accepted"] for one in answers) == 1
    assert sum(one["duplicates"] for one in answers) == 63
    assert site.inbox.calls < 64


def test_connections_are_kept(site):
    """A sender may send one delivery after the other on one connection, good and bad ones."""
    with requests.Session() as session:
        for number in range(3):
            body = envelope(f"u-{number}")
            url = f"http://127.0.0.1:{site.port}{MEMBERS}"
            assert session.post(url, body, headers=signed(body, f"msg_{number}")).status_code == 200
            assert session.post(url, body, headers=JSON).status_code == 401
