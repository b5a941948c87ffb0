"""DruID keeps the promises that every provider makes."""

import hashlib
import hmac

from connector.model import Delivery
from connector.providers.druid.events import EVENTS, Events
from connector.providers.druid.provider import App, Druid
from connector.providers.druid.user import Words
from connector.providers.signature import SCHEMES, Verifier
from connector.testing import ProviderContract
from tests.providers.druid.vendor import CLIENT_ID, CLIENT_SECRET, EMAIL, ENTRY_POINT, FIXTURES, Platform

SECRET = "canary-cockpit-password"
MORE = {"userErased": "erasure.requested"}


class TestDruid(ProviderContract):
    """Through the bulk call, and with leave to delete and to write typologies."""

    secrets = (SECRET, CLIENT_SECRET)
    user_id = "a1b2"
    email = EMAIL
    proof = ("x-hub-signature",)
    events = {
        "user.created": (FIXTURES / "register.json").read_bytes(),
        "user.updated": (FIXTURES / "confirmRegister.json").read_bytes(),
        "erasure.requested": (FIXTURES / "configured_erasure.json").read_bytes(),
    }
    unknown = ("login", (FIXTURES / "unknown_login.json").read_bytes())
    cleared = ("last_name", "custom.shoe_size")
    patch_path = None

    def make(self, url):
        app = App(CLIENT_ID, CLIENT_SECRET, ENTRY_POINT, self.patch_path, may_delete=True, typologies=True)
        verifier = Verifier(SCHEMES["druid"], [SECRET])
        return Druid(
            "members", verifier, Events({**EVENTS, **MORE}), url, f"{url}/oauth2/token", app, Words(), sleep=lambda s: None
        )

    def deliver(self, body, event, at, wrong, number):
        digest = hmac.new(b"another" if wrong else SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = (("content-type", "application/json"), ("x-hub-signature", f"sha256={digest}"))
        return Delivery("POST", "https://connector.test/webhooks/identity/members", headers, body)

    def vendor(self):
        return Platform()


class TestDruidPatch(TestDruid):
    """Through the call that edits one user."""

    patch_path = "/activityid/v1/user/{id}"
