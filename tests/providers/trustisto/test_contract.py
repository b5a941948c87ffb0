"""Trustisto keeps every promise of a provider: listened to only, and with an API in the generic profile."""

from datetime import timedelta

from connector.providers.signature import SCHEMES
from connector.providers.trustisto import Trustisto
from connector.testing import ProviderContract, Reply
from tests.providers.profile import API_KEY, KEY, SECRET, Profile, signed
from tests.providers.trustisto.test_webhooks import FIXTURES


class TestReceiveOnly(ProviderContract):
    secrets = (SECRET, KEY.decode(), API_KEY)
    user_id = "77"
    proof = ("webhook-id", "webhook-timestamp", "webhook-signature")
    events = {f"user.{word}": (FIXTURES / f"user_{word}.json").read_bytes() for word in ("created", "updated", "deleted")}
    unknown = ("order.placed", (FIXTURES / "thank_you_browser.json").read_bytes())
    tolerance = timedelta(minutes=5)

    def make(self, url):
        return Trustisto("shop", secrets=[SECRET], signature=SCHEMES["trustisto"])

    def deliver(self, body, event, at, wrong, number):
        return signed(body, at, wrong, number)


class TestWithApi(ProviderContract):
    secrets = (SECRET, KEY.decode(), API_KEY)
    cleared = ("phone",)

    def make(self, url):
        return Trustisto("shop", secrets=[SECRET], signature=SCHEMES["trustisto"], api_url=url, api_key=API_KEY)

    def vendor(self):
        return Profile()

    def page(self, cursor):
        return Reply(200, {"items": [], "next_cursor": cursor})
