"""Signatures: known answers of real schemes, and everything a forger or a careless sender may send instead."""

import hmac as hmac_module
import time
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks

from connector.errors import BadSignature, ConfigError
from connector.model import Delivery
from connector.providers.signature import SignatureScheme, Verifier

STANDARD = SignatureScheme()
NOW = datetime.fromtimestamp(1767225600, UTC)
SECRET = "whsec_aWRlbnRpdHktY29ubmVjdG9yLXRlc3Qta2V5LTAwMDE="
OTHER = "whsec_" + "b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC0wMDAx"
BODY = (
    b'{"event":"member.updated","timestamp":1767225600000,"payload":{"id":"mem_sb_test1","auth":{"email":"ada@example.com"},'
    b'"metaData":{},"customFields":{"first-name":"Ada"}}}'
)
GOOD = "v1,Ml7bM9JRFXcjvnixtRjNIJQBSHLQGi+06lCcw71lam4="
HEADERS = {"webhook-id": "msg_test_0001", "webhook-timestamp": "1767225600", "webhook-signature": GOOD}


def delivery(headers, body=BODY):
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Delivery("POST", "https://connector.test/webhooks/identity/members", tuple(pairs), body)


def code(headers, body=BODY, now=NOW, scheme=STANDARD, secrets=(SECRET,)):
    """The code of the refusal; None when the delivery is accepted."""
    try:
        Verifier(scheme, secrets).verify(delivery(headers, body), now)
    except BadSignature as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("scheme", "secret", "headers", "body"),
    [
        pytest.param(SignatureScheme(), SECRET, HEADERS, BODY, id="Standard Webhooks"),
        pytest.param(
            SignatureScheme(),
            SECRET,
            {name.replace("webhook", "svix"): value for name, value in HEADERS.items()},
            BODY,
            id="Svix",
        ),
        pytest.param(
            SignatureScheme(header="x-hub-signature-256", signed="body", encoding="hex", prefix="sha256=", key="hex"),
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            {"x-hub-signature-256": "sha256=64c8cb12c450fca00f4bdd6b0b2c9de15c97ee82dc887ed4b0192373375d0adb"},
            b'{"Uid":"DQ2DyknW","Email":"ada@example.com","FirstName":"Ada","LastName":"Lovelace","_objectType":"Person",'
            b'"Updated":"2026-01-01T00:00:00"}',
            id="Outseta",
        ),
        pytest.param(
            SignatureScheme(header="x-shopify-hmac-sha256", signed="body", prefix="", key="utf8"),
            "hush-test-secret",
            {"x-shopify-hmac-sha256": "2RBwPgk3ts6qJAAzRX0PyJrsJIVTTwyrQun86RhHy2M="},
            b'{"id":706405506930370084,"email":"ada@example.com","first_name":"Ada","last_name":"Lovelace","state":"disabled",'
            b'"updated_at":"2026-01-01T00:00:00-05:00","admin_graphql_api_id":"gid://shopify/Customer/706405506930370084"}',
            id="Shopify",
        ),
        pytest.param(
            SignatureScheme(header="x-hub-signature", signed="body", encoding="hex", prefix="sha256=", key="utf8"),
            "12345",
            {"x-hub-signature": "sha256=e2a3a4f9f8e5cebc4130d1bf24fee7f9e7c4623ce49159902aa06be284356911"},
            b'{"event":"register","objectId":"f0f0f0f0"}',
            id="DruID, SHA-256",
        ),
        pytest.param(
            SignatureScheme(header="x-hub-signature", signed="body", encoding="hex", prefix="sha1=", key="utf8", digest="sha1"),
            "12345",
            {"x-hub-signature": "sha1=7766c15d93a113b920e6d5fca0aa63666741053c"},
            b'{"event":"register","objectId":"f0f0f0f0"}',
            id="DruID, SHA-1",
        ),
        pytest.param(
            SignatureScheme("x-idp-signature", "x-idp-id", "x-idp-timestamp", encoding="hex", prefix="v1=", key="utf8"),
            "generic-profile-secret-0001",
            {
                "x-idp-id": "evt_0001",
                "x-idp-timestamp": "1767225600",
                "x-idp-signature": "v1=902c7b0ec70a94695f91e255f14617a9b70a89908f156f3913ec6ae515696d53",
            },
            b'{"id":"evt_0001","type":"user.updated","occurred_at":"2026-01-01T00:00:00Z","tenant":"demo",'
            b'"data":{"user":{"id":"u-1","email":"ada@example.com"}}}',
            id="own header names, hex",
        ),
    ],
)
def test_known_answers(scheme, secret, headers, body):
    assert code(headers, body, scheme=scheme, secrets=[secret]) is None
    assert code(headers, body + b"\n", scheme=scheme, secrets=[secret]) == "signature"
    assert code(headers, body, scheme=scheme, secrets=[OTHER if scheme.key == "whsec" else "ab" * 16]) == "signature"


def test_what_the_reference_library_signs():
    webhook = standardwebhooks.Webhook(SECRET)
    now = datetime.now(UTC)
    for body in (b"{}", BODY, '{"n":"Zoë"}'.encode()):
        signature = webhook.sign("msg_1", now, body.decode())
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
        webhook.verify(body, headers)
        assert code(headers, body, now) is None


@pytest.mark.parametrize(
    ("signature", "found"),
    [
        pytest.param("", "unsigned", id="empty"),
        pytest.param(" ", "signature", id="blank"),
        pytest.param("v1", "signature", id="no comma"),
        pytest.param("v1,", "signature", id="no signature after the prefix"),
        pytest.param(GOOD[3:], "signature", id="no prefix"),
        pytest.param("v1a," + GOOD[3:], "signature", id="asymmetric version"),
        pytest.param("v2," + GOOD[3:], "signature", id="unknown version"),
        pytest.param(GOOD[:-4], "signature", id="cut"),
        pytest.param(GOOD + "=", "signature", id="longer"),
        pytest.param(GOOD.replace("M", "m", 1), "signature", id="one letter"),
        pytest.param("v1,%%%not base64%%%", "signature", id="not base64"),
        pytest.param("v1,é" + GOOD[4:], "signature", id="not ASCII"),
        pytest.param("v1,１２３", "signature", id="beyond Latin-1"),
        pytest.param(GOOD + "," + GOOD, "signature", id="separated by a comma"),
        pytest.param("garbage " + GOOD, None, id="after a malformed entry"),
        pytest.param("v1,a,b v2,xyz  " + GOOD + " v1,x", None, id="between malformed entries"),
    ],
)
def test_signature_headers(signature, found):
    assert code(HEADERS | {"webhook-signature": signature}) == found


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_is_needed_exactly_once(name):
    refusal = "timestamp" if name == "webhook-timestamp" else "unsigned"
    pairs = list(HEADERS.items())
    assert code({other: value for other, value in pairs if other != name}) == refusal
    assert code([*pairs, (name, HEADERS[name])]) == refusal


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "abc",
        "1e400",
        "-1",
        "+1767225600",
        "１７６７２２５６００",
        "1_767_225_600",
        " 1767225600 ",
        "1767225600.0",
        "٣",
        "1767225600\n",
    ],
)
def test_a_timestamp_is_plain_digits(stamp):
    headers = HEADERS | {"webhook-timestamp": stamp}
    assert code(headers) == "timestamp"


@pytest.mark.parametrize(
    ("age", "found"),
    [(300, None), (-300, None), (301, "stale"), (-301, "future"), (10**9, "stale"), (-(10**9), "future")],
)
def test_five_minutes_either_way(age, found):
    assert code(HEADERS, now=NOW + timedelta(seconds=age)) == found


def test_the_tolerance_can_be_set():
    scheme = SignatureScheme(tolerance=10)
    assert code(HEADERS, now=NOW + timedelta(seconds=10), scheme=scheme) is None
    assert code(HEADERS, now=NOW + timedelta(seconds=11), scheme=scheme) == "stale"


@pytest.mark.parametrize("changed", [{"webhook-id": "msg_test_0002"}, {"webhook-timestamp": "1767225601"}])
def test_id_and_timestamp_are_signed(changed):
    assert code(HEADERS | changed) == "signature"


def test_a_timestamp_without_an_id():
    scheme = SignatureScheme("x-signature", "x-id", "x-time", signed="timestamp.body", prefix="", encoding="hex", key="utf8")
    text = b"1767225600." + BODY
    headers = {"x-time": "1767225600", "x-signature": hmac_module.new(b"plain secret", text, "sha256").hexdigest()}
    assert code(headers, scheme=scheme, secrets=["plain secret"]) is None
    assert code(headers | {"x-time": "1767225601"}, scheme=scheme, secrets=["plain secret"]) == "signature"
    assert code({"x-signature": headers["x-signature"]}, scheme=scheme, secrets=["plain secret"]) == "timestamp"


def test_hex_in_capitals():
    scheme = SignatureScheme("x-signature", signed="body", prefix="", encoding="hex", key="base64", digest="sha512")
    signature = hmac_module.new(b"secret key", BODY, "sha512").hexdigest().upper()
    assert code({"x-signature": signature}, scheme=scheme, secrets=["c2VjcmV0IGtleQ"]) is None


def test_several_secrets_while_rotating():
    assert code(HEADERS, secrets=[OTHER, SECRET]) is None
    assert code(HEADERS, secrets=[OTHER]) == "signature"


@pytest.mark.parametrize("extra", ["svix-id", "svix-timestamp", "svix-signature"])
def test_headers_of_two_families_are_nobodys(extra):
    assert code({**HEADERS, extra: HEADERS[extra.replace("svix", "webhook")]}) == "unsigned"


def test_svix_names_stand_in_for_no_others():
    scheme = SignatureScheme("x-signature", "x-id", "x-time")
    assert code({name.replace("webhook", "svix"): value for name, value in HEADERS.items()}, scheme=scheme) == "unsigned"


@pytest.mark.parametrize(
    ("secret", "form"), [("", "utf8"), ("whsec_", "whsec"), ("whsec_%%", "whsec"), ("xyz", "hex"), ("not base64!", "base64")]
)
def test_a_secret_that_is_no_key(secret, form):
    with pytest.raises(ConfigError) as caught:
        Verifier(SignatureScheme(key=form), [secret])
    assert secret == "" or secret not in str(caught.value) or secret == "whsec_"


def test_without_a_secret_nothing_is_accepted():
    assert code(HEADERS, secrets=[]) == "signature"


def test_compares_in_constant_time(monkeypatch):
    compared = []

    def spy(one, other):
        compared.append((one, other))
        return False

    monkeypatch.setattr("hmac.compare_digest", spy)
    assert code(HEADERS) == "signature"
    assert compared == [(GOOD[3:].encode(), GOOD[3:].encode())]


def test_many_entries_cost_one_hash():
    headers = HEADERS | {"webhook-signature": " ".join(["v1,x"] * 10_000)}
    body = b"x" * (1 << 20)
    started = time.process_time()
    assert code(headers, body) == "signature"
    assert time.process_time() - started < 0.5
