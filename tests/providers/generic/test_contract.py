"""The generic provider keeps every promise of a provider: with an API, listened to only, and where it is sent a bare secret."""

from datetime import timedelta

from connector.model import Delivery
from connector.providers.generic import Generic
from connector.providers.signature import STANDARD, SignatureScheme
from connector.testing import ProviderContract, Reply
from tests.providers.profile import API_KEY, EMAIL, FIXTURES, KEY, SECRET, Profile, envelope, signed

KINDS = ("user.created", "user.updated", "user.deleted", "user.login", "consent.revoked", "membership.added")


class TestReceiveOnly(ProviderContract):
    secrets = (SECRET, KEY.decode(), API_KEY)
    proof = ("webhook-id", "webhook-timestamp", "webhook-signature")
    events = {kind: (FIXTURES / f"{kind.replace('.', '_')}.json").read_bytes() for kind in KINDS}
    unknown = ("user.promoted", envelope("user.promoted"))
    tolerance = timedelta(minutes=5)

    def make(self, url):
        return Generic("members", [SECRET], STANDARD)

    def deliver(self, body, event, at, wrong, number):
        return signed(body, at, wrong, number)


class TestWithApi(TestReceiveOnly):
    cleared = ("phone", "custom.shoe_size")

    def make(self, url):
        return Generic("members", [SECRET], STANDARD, url, API_KEY)

    def vendor(self):
        return Profile()

    def page(self, cursor):
        return Reply(200, {"items": [], "next_cursor": cursor})


class TestSecretInAHeader(ProviderContract):
    secrets = ("canary-secret-new", "canary-secret-old")
    proof = ("authorization",)
    signs_body = False
    events = {"user.updated": envelope("user.updated", email=EMAIL)}

    def make(self, url):
        return Generic("members", self.secrets, SignatureScheme("authorization", prefix="Bearer ", auth="header"), trust="full")

    def deliver(self, body, event, at, wrong, number):
        headers = (("authorization", f"Bearer {'x' * 16 if wrong else self.secrets[1]}"),)
        return Delivery("POST", "https://connector.test/webhooks/identity/members", headers, body)
