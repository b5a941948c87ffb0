"""MemberSpace keeps every promise of a provider: listened to only, and with an API in the generic profile."""

from datetime import timedelta

from connector.providers.memberspace import MemberSpace
from connector.providers.signature import SCHEMES
from connector.testing import ProviderContract, Reply
from tests.providers.memberspace.test_webhooks import FIXTURES
from tests.providers.profile import API_KEY, KEY, SECRET, Profile, envelope, signed


class TestReceiveOnly(ProviderContract):
    secrets = (SECRET, KEY.decode(), API_KEY)
    user_id = "48213"
    proof = ("webhook-id", "webhook-timestamp", "webhook-signature")
    events = {f"user.{word}": (FIXTURES / f"user_{word}.json").read_bytes() for word in ("created", "updated", "deleted")}
    unknown = ("MemberSpace.member.logout", envelope("MemberSpace.member.logout"))
    tolerance = timedelta(minutes=5)

    def make(self, url):
        return MemberSpace("site", secrets=[SECRET], signature=SCHEMES["memberspace"])

    def deliver(self, body, event, at, wrong, number):
        return signed(body, at, wrong, number)


class TestWithApi(ProviderContract):
    secrets = (SECRET, KEY.decode(), API_KEY)
    cleared = ("phone",)

    def make(self, url):
        return MemberSpace("site", secrets=[SECRET], signature=SCHEMES["memberspace"], api_url=url, api_key=API_KEY)

    def vendor(self):
        return Profile()

    def page(self, cursor):
        return Reply(200, {"items": [], "next_cursor": cursor})
