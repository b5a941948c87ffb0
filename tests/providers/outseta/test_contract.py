"""Outseta keeps the promises that every provider makes."""

import hashlib
import hmac

from connector.model import Delivery
from connector.providers.outseta.provider import Habits, Outseta
from connector.providers.signature import SCHEMES, Verifier
from connector.testing import ProviderContract
from tests.providers.outseta.vendor import EMAIL, FIXTURES, KEY, NEWSLETTER, Account

SECRET = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
NAMES = {
    "user.created": "PersonCreated", "user.updated": "PersonUpdated", "user.deleted": "PersonDeleted",
    "user.login": "PersonLogin", "consent.granted": "PersonListSubscribed", "consent.revoked": "PersonListUnsubscribed",
    "membership.added": "AccountAddPerson", "membership.removed": "AccountRemovePerson",
}  # fmt: skip


class TestOutseta(ProviderContract):
    """With an account whose PUT replaces."""

    secrets = (SECRET, KEY, *KEY.split(":"))
    user_id = "DQ2DyknW"
    email = EMAIL
    proof = ("x-hub-signature-256",)
    events = {kind: (FIXTURES / f"{name}.json").read_bytes() for kind, name in NAMES.items()}
    unknown = ("BillingInvoiceCreated", (FIXTURES / "BillingInvoiceCreated_unknown.json").read_bytes())
    cleared = ("phone", "custom.Title")
    purpose = NEWSLETTER
    whole = True

    def make(self, url):
        verifier = Verifier(SCHEMES["outseta"], [SECRET])
        return Outseta("members", verifier, url, KEY, Habits(whole=self.whole), sleep=lambda seconds: None)

    def deliver(self, body, event, at, wrong, number):
        key = b"another" if wrong else bytes.fromhex(SECRET)
        headers = {
            "content-type": "application/json",
            "x-hub-signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
        }
        url = f"https://connector.test/webhooks/identity/members?event={NAMES.get(event, event)}"
        return Delivery("POST", url, tuple(headers.items()), body)

    def vendor(self):
        return Account(replaces=self.whole)


class TestOutsetaThatMerges(TestOutseta):
    """With an account whose PUT keeps what it is not sent, and edits that send only what changed."""

    whole = False
