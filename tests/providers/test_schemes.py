"""How each kind of provider proves that a delivery is its own: known answers, the vendors' libraries, and secrets in the open."""

import base64
from datetime import UTC, datetime

import pytest
import svix

from connector.errors import BadSignature
from connector.model import Delivery
from connector.providers.signature import SCHEMES, STANDARD, SignatureScheme, Verifier, scheme_of
from connector.settings import ProviderSettings
from connector.settingwords import KINDS

NOW = datetime.fromtimestamp(1767225600, UTC)
URL = "https://connector.test/webhooks/identity/members"

SVIX = {"svix-id": "msg_test_0001", "svix-timestamp": "1767225600",
        "svix-signature": "v1,Ml7bM9JRFXcjvnixtRjNIJQBSHLQGi+06lCcw71lam4="}  # fmt: skip
VECTORS = [
    (
        "memberstack", "whsec_aWRlbnRpdHktY29ubmVjdG9yLXRlc3Qta2V5LTAwMDE=", SVIX,
        b'{"event":"member.updated","timestamp":1767225600000,"payload":{"id":"mem_sb_test1","auth":{"email":"ada@example.com"},'
        b'"metaData":{},"customFields":{"first-name":"Ada"}}}',
    ),
    (
        "outseta", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        {"x-hub-signature-256": "sha256=64c8cb12c450fca00f4bdd6b0b2c9de15c97ee82dc887ed4b0192373375d0adb"},
        b'{"Uid":"DQ2DyknW","Email":"ada@example.com","FirstName":"Ada","LastName":"Lovelace","_objectType":"Person",'
        b'"Updated":"2026-01-01T00:00:00"}',
    ),
    (
        "shopify", "hush-test-secret", {"x-shopify-hmac-sha256": "2RBwPgk3ts6qJAAzRX0PyJrsJIVTTwyrQun86RhHy2M="},
        b'{"id":706405506930370084,"email":"ada@example.com","first_name":"Ada","last_name":"Lovelace","state":"disabled",'
        b'"updated_at":"2026-01-01T00:00:00-05:00","admin_graphql_api_id":"gid://shopify/Customer/706405506930370084"}',
    ),
    (
        "druid", "12345", {"x-hub-signature": "sha256=e2a3a4f9f8e5cebc4130d1bf24fee7f9e7c4623ce49159902aa06be284356911"},
        b'{"event":"register","objectId":"f0f0f0f0"}',
    ),
    (
        "keycloak", "plain keycloak secret",
        {"x-keycloak-signature": "85dcb8cf46c59812a74e972ba18f64baae37552faacd5842a60c4b1f83923a74"},
        b'{"type":"access.REGISTER"}',
    ),
]  # fmt: skip


def code(scheme, secrets, headers, body=b"{}", url=URL):
    """The code of the refusal; None when the delivery is accepted."""
    pairs = tuple(headers.items()) if isinstance(headers, dict) else tuple(headers)
    try:
        Verifier(scheme, secrets).verify(Delivery("POST", url, pairs, body), NOW)
    except BadSignature as error:
        return error.code
    return None


def configured(kind="generic", **given):
    plain = {"kind": kind, "mapping": __file__, "webhook_secret": "whsec_" + base64.b64encode(b"x" * 24).decode()}
    return scheme_of(ProviderSettings.model_validate(plain | given))


@pytest.mark.parametrize(("kind", "secret", "headers", "body"), VECTORS, ids=[one[0] for one in VECTORS])
def test_known_answers(kind, secret, headers, body):
    assert code(SCHEMES[kind], [secret], headers, body) is None
    assert code(SCHEMES[kind], ["0f" * 16, secret], headers, body) is None
    assert code(SCHEMES[kind], [secret], headers, body + b" ") == "signature"
    name, signature = list(headers.items())[-1]
    assert code(SCHEMES[kind], [secret], {**headers, name: signature[:-3] + "abc"}, body) == "signature"


def test_druid_signs_with_sha1_only_where_that_is_configured():
    sha1 = {"x-hub-signature": "sha1=7766c15d93a113b920e6d5fca0aa63666741053c"}
    body = b'{"event":"register","objectId":"f0f0f0f0"}'
    assert code(SCHEMES["druid"], ["12345"], sha1, body) == "signature"
    told = {"api_url": "https://d.test", "auth_url": "https://d.test", "client_id": "x", "client_secret": "12345678"}
    scheme = configured("druid", **told, signature={"digest": "sha1", "prefix": "sha1="})
    assert code(scheme, ["12345"], sha1, body) is None


@pytest.mark.parametrize(
    "secret", ["whsec_aWRlbnRpdHktY29ubmVjdG9yLXRlc3Qta2V5LTAwMDE=", "whsec_" + base64.b64encode(b"x" * 64).decode()]
)
def test_what_svix_signs(secret):
    for body in ("{}", '{"n":"Zoë"}', ' {"a": 1}\n'):
        headers = {**SVIX, "svix-signature": svix.Webhook(secret).sign("msg_test_0001", NOW, body)}
        assert code(SCHEMES["memberstack"], [secret], headers, body.encode()) is None
        assert code(SCHEMES["memberstack"], [secret], headers, body.encode() + b" ") == "signature"


def test_every_kind_that_is_told_something_has_its_scheme():
    assert set(SCHEMES) == set(KINDS) - {"scim"}


class TestConfigured:
    def test_nothing_leaves_the_kinds_own(self):
        assert configured() == STANDARD
        assert configured("memberstack", api_key="12345678") == SCHEMES["memberstack"]

    def test_single_settings_are_laid_over_it(self):
        told = {"api_url": "https://d.test", "auth_url": "https://d.test", "client_id": "x", "client_secret": "12345678"}
        scheme = configured("druid", **told, signature={"encoding": "base64"})
        assert (scheme.encoding, scheme.header, scheme.prefix) == ("base64", "x-hub-signature", "sha256=")

    def test_a_secret_in_a_header_stands_in_authorization(self):
        scheme = configured(webhook_auth="header")
        assert (scheme.auth, scheme.header, scheme.prefix) == ("header", "authorization", "")
        own = configured(webhook_auth="header", signature={"header": "X-Api-Key"})
        assert own.header == "x-api-key"

    def test_only_a_signature_says_something_about_the_body(self):
        signs = {auth: configured(webhook_auth=auth).signs_body for auth in ("hmac", "header", "url")}
        assert signs == {"hmac": True, "header": False, "url": False}
        assert STANDARD.signs_id
        assert not SignatureScheme(signed="body").signs_id
        assert not SignatureScheme(auth="header").signs_id


class TestSecretsInTheOpen:
    HEADER = SignatureScheme("authorization", prefix="Bearer ", auth="header")

    @pytest.mark.parametrize(
        ("headers", "found"),
        [
            pytest.param({"authorization": "Bearer s3cret-new"}, None, id="the new secret"),
            pytest.param({"authorization": "Bearer s3cret-old"}, None, id="the old secret"),
            pytest.param({"authorization": "s3cret-new"}, "signature", id="without the prefix"),
            pytest.param({"authorization": "Bearer s3cret"}, "signature", id="a part of it"),
            pytest.param({"authorization": "Bearer "}, "signature", id="the prefix alone"),
            pytest.param({"authorization": "Bearer s3cret-new "}, "signature", id="more than it"),
            pytest.param({"authorization": ""}, "unsigned", id="empty"),
            pytest.param({}, "unsigned", id="none"),
            pytest.param([("authorization", "Bearer s3cret-new")] * 2, "unsigned", id="twice"),
            pytest.param({"authorization": "Bearer é１"}, "signature", id="beyond Latin-1"),
        ],
    )
    def test_in_a_header(self, headers, found):
        assert code(self.HEADER, ["s3cret-new", "s3cret-old"], headers) == found

    def test_beyond_ascii(self):
        sent = "Bearer s3crêt".encode().decode("latin-1")  # as servers hand on what was sent
        assert code(self.HEADER, ["s3crêt"], {"authorization": sent}) is None

    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ("Basic " + base64.b64encode(b"druid:pass:word").decode(), None),
            ("basic  " + base64.b64encode(b"druid:pass:word").decode(), None),
            ("Basic " + base64.b64encode(b"druid:password").decode(), "signature"),
            ("Bearer " + base64.b64encode(b"druid:pass:word").decode(), "signature"),
            ("Basic druid:pass:word", "signature"),
            ("Basic", "signature"),
        ],
    )
    def test_as_basic(self, given, found):
        scheme = SignatureScheme("authorization", auth="basic")
        assert code(scheme, ["other:password", "druid:pass:word"], {"authorization": given}) == found

    @pytest.mark.parametrize(
        ("query", "found"),
        [("?token=s3cret+%C3%AA", None), ("?a=1&token=s3cret%20%C3%AA", None), ("?token=s3cret", "signature"), ("", "unsigned"),
         ("?token=", "unsigned"), ("?token=s3cret+%C3%AA&token=x", "unsigned"), ("?Token=s3cret", "unsigned")],
    )  # fmt: skip
    def test_in_the_url(self, query, found):
        assert code(SignatureScheme(auth="url"), ["s3cret ê"], {}, url=URL + query) == found

    def test_compares_in_constant_time(self, monkeypatch):
        compared = []
        monkeypatch.setattr("hmac.compare_digest", lambda one, other: bool(compared.append((one, other))))
        assert code(self.HEADER, ["s3cret-new"], {"authorization": "Bearer s3cret"}) == "signature"
        assert compared == [(b"Bearer s3cret-new", b"Bearer s3cret")]

    def test_without_a_secret_nothing_is_accepted(self):
        assert code(self.HEADER, [], {"authorization": "Bearer "}) == "signature"
        assert code(SignatureScheme("authorization", auth="basic"), [], {"authorization": "Basic "}) == "signature"

    @pytest.mark.parametrize("auth", ["header", "basic", "url"])
    def test_the_id_of_a_delivery_is_not_signed(self, auth):
        """So the bytes count, too: nobody hides a coming delivery behind its id."""
        verifier = Verifier(SignatureScheme(auth=auth), ["s3cret-new"])
        one = Delivery("POST", URL, (("webhook-id", "msg_1"),), b"")
        assert verifier.dedupe_key(one, b"a") != verifier.dedupe_key(one, b"b")
