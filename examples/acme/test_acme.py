"""Acme keeps every promise of a provider."""

import hmac
import json

from acme_provider import Acme

from connector.model import Delivery
from connector.testing import ProviderContract, Reply


def event(name):
    return json.dumps({"event": name, "at": 1767225600, "person": {"uid": "u-1", "mail": "ada.canary@example.com"}}).encode()


class TestAcme(ProviderContract):
    secrets = ("webhook secret of a canary", "api key of a canary")
    proof = ("acme-signature",)
    events = {"user.created": event("joined"), "user.updated": event("changed"), "user.deleted": event("left")}
    unknown = ("promoted", event("promoted"))

    def make(self, url):
        return Acme("acme", [self.secrets[0]], url, self.secrets[1])

    def deliver(self, body, event, at, wrong, number):
        signature = hmac.new(b"another" if wrong else self.secrets[0].encode(), body, "sha256").hexdigest()
        headers = (("acme-signature", signature), ("acme-delivery", f"d-{number}"))
        return Delivery("POST", "https://connector.test/webhooks/identity/acme", headers, body)

    def vendor(self):
        ada = {"uid": "u-1", "mail": "ada.canary@example.com", "given": "Ada"}

        def answer(request):
            if request.headers.get("authorization") != f"Bearer {self.secrets[1]}":
                return Reply(401)
            if request.path == "/people":
                here = request.query.get("mail", ada["mail"]) == ada["mail"]
                return Reply(200, {"people": [ada] if here else [], "more": False})
            if request.path != "/people/u-1":
                return Reply(404)
            if request.method == "PATCH":
                ada.update(request.json())
                return Reply(204)
            return Reply(200, ada)

        return answer

    def page(self, cursor):
        return Reply(200, {"people": [], "more": True})
