"""Anything at all, signed or not: never a 5xx, never an unhandled exception, and what was answered 200 is kept."""

import copy
import json

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection

from connector.errors import BadDelivery
from connector.model import Delivery
from connector.strictjson import split_array
from connector.web import throttle

from . import harness
from .harness import HUBSPOT, JSON, MEMBERS, event, hubspot_signed, signed
from .openapi import DOCUMENT

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["\0", "\ud800", 2**63, -1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = (
    *("Content-Type", "Content-Encoding", "Transfer-Encoding", "Expect", "Connection", "Upgrade", "Host", "X-Forwarded-For", "a"),
    *("webhook-id", "webhook-timestamp", "webhook-signature", "svix-signature"),
    *("X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp", "X-HubSpot-Signature"),
)
HEADER_NAMES = st.sampled_from(NAMES)
HEADER_VALUES = st.binary(max_size=30).filter(lambda value: not set(value) & set(b"\r\n\0")) | st.sampled_from(
    [b"application/json", b"v1,AAAA", b"1767225600", b"gzip", b"chunked", b"100-continue", b"upgrade", b"9" * 40]
)


@pytest.fixture(scope="module")
def site():
    before, throttle.FAILURES = throttle.FAILURES, 10**9
    with harness.Site() as site:
        yield site
        assert site.errors.found == []
    throttle.FAILURES = before


def mutated(template):
    """The template with some of its values replaced by anything, or left out."""

    def change(changes):
        told = copy.deepcopy(template)
        for name, value in changes.items():
            told[name] = value
        return told

    return st.dictionaries(st.sampled_from(sorted(template)), ANY, max_size=4).map(change)


ENVELOPES = st.builds(
    lambda told, user: told | {"data": {"user": user}},
    mutated(json.loads(harness.envelope())),
    mutated({"id": "u-1", "email": "a", "updated_at": "2026-01-01", "custom": {}, "memberships": [], "consents": []}) | ANY,
) | mutated(json.loads(harness.envelope()))
EVENTS = mutated(
    event(subscriptionType="contact.merge", newObjectId=1, primaryObjectId=2, mergedObjectIds=[3], objectTypeId="0-1")
)
EVENTS |= mutated(event()) | mutated(event(subscriptionType="object.restore", objectTypeId="0-1", isSensitive=True))
BODIES = st.binary(max_size=300) | st.text(alphabet='[]{}",:0123456789.eE-+ntfalsru\\ud8\0 ', max_size=60).map(str.encode)


def encoded(value):
    return json.dumps(value).encode()


@quick
@given(st.binary(max_size=400))
def test_raw_bytes(site, data):
    answer = site.raw(data + b"\r\n\r\n", ends=True)
    assert answer is None or answer.status < 500


@quick
@given(st.sampled_from([MEMBERS, HUBSPOT]), st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6), st.binary(max_size=100))
def test_any_headers(site, path, headers, body):
    answer = site.request("POST", path, headers, body)
    assert answer is None or 400 <= answer.status < 500


@quick
@given(st.text(alphabet=st.characters(codec="latin-1", exclude_characters="\r\n \0"), max_size=40))
def test_any_path(site, path):
    answer = site.request("POST", "/webhooks" + path, JSON, b"[]")
    assert answer is None or (400 <= answer.status < 500 and "location" not in answer.headers)


@quick
@given(BODIES | ANY.map(encoded) | ENVELOPES.map(encoded) | st.lists(ENVELOPES | ANY, max_size=4).map(encoded))
def test_signed_members(site, body):
    site.inbox.__init__()
    answer = site.request("POST", MEMBERS, signed(body), body)
    check_kept(site, body, answer)


@quick
@given(BODIES | ANY.map(encoded) | st.lists(EVENTS | ANY, max_size=4).map(encoded))
def test_signed_hubspot(site, body):
    site.inbox.__init__()
    answer = site.request("POST", HUBSPOT, hubspot_signed(body), body)
    check_kept(site, body, answer)


def check_kept(site, body, answer):
    """A signed delivery is kept: item by item when it can be read, as a whole when it cannot."""
    assert answer.status in (200, 400)
    if answer.status == 400:
        assert site.inbox.bodies == [body]
        return
    pieces = split_array(body)
    assert sum(answer.json.values()) == len(pieces)
    assert len(site.inbox.rows) == answer.json["accepted"] + answer.json["quarantined"]
    assert set(site.inbox.bodies) <= {piece.raw for piece in pieces}


@quick
@given(ENVELOPES | ANY.filter(lambda told: not isinstance(told, list)))
def test_an_envelope_is_readable_or_has_a_problem(told):
    check_reading(harness.MEMBERS_PROVIDER, encoded(told))


@quick
@given(st.lists(EVENTS | ANY, min_size=1, max_size=1))
def test_an_event_is_readable_or_has_a_problem(told):
    check_reading(harness.HUBSPOT_WEBHOOKS, encoded(told))


def check_reading(sender, body):
    """What has no problem at the door has none later, and the other way round; its texts fit the database."""
    (item,) = sender.split(Delivery("POST", "", (), body))
    assert max(len(item.key), len(item.sender_id)) <= 300
    (item.key + item.sender_id + "".join(item.meta.values()) + (item.problem or "")).encode()
    if item.problem:
        with pytest.raises(BadDelivery):
            sender.read_item(item.body, item.meta)
    else:
        change = sender.read_item(item.body, item.meta)
        assert "\0" not in change.kind + change.record_id + change.event_id + str(change.property) + str(change.value)
        json.dumps(change.user.values if change.user else None, allow_nan=False).encode()


api = schemathesis.openapi.from_dict(DOCUMENT)


@api.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_requests(case, site):
    """Requests made from an OpenAPI document, right and wrong ones, all of them signed; the answers are as documented."""
    request = requests.Request(**case.as_transport_kwargs(base_url=f"http://127.0.0.1:{site.port}")).prepare()
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    path = request.path_url
    request.headers.update(signed(body) if path.startswith(MEMBERS) else hubspot_signed(body, path=path, method=request.method))
    request.headers["Content-Type"] = (case.headers or {}).get("Content-Type", "application/json")
    with requests.Session() as session:
        reply = session.send(request, timeout=10)
    case.validate_response(reply, excluded_checks=[negative_data_rejection])  # a bad item is quarantined, and answered 200
