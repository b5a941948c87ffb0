"""The Auth0 provider keeps the promises of every provider: deliveries trusted or not, listed by windows or by exports."""

import json

import pytest

from connector.providers.auth0.provider import Auth0
from connector.providers.auth0.provider import Tenant as Choices
from connector.providers.signature import SCHEMES, Verifier
from connector.testing import ProviderContract, Vendor
from tests.providers.auth0.tenant import CLIENT, DATABASE, Tenant
from tests.providers.auth0.test_webhooks import OLD, SECRET, USER, WORDS, event, fixture, sent

NAMES = {
    "user.created": "user_created", "user.updated": "user_updated", "user.deleted": "user_deleted",
    "membership.added": "organization_member_added", "membership.removed": "organization_member_role_deleted",
}  # fmt: skip


class TestAuth0(ProviderContract):
    secrets = (SECRET, OLD, CLIENT["client_secret"])
    proof = ("authorization",)
    signs_body = False
    user_id = USER
    events = {kind: fixture(name) for kind, name in NAMES.items()}
    unknown = ("user.danced", event("user.danced"))
    new = {"email": "grace.canary@example.com", "first_name": "Grace", "custom.user_metadata.size": "40"}
    edit = {"first_name": "Augusta", "country": "NO", "custom.user_metadata.size": "39", "email_verified": False}
    cleared = ("last_name", "country", "custom.user_metadata.size")
    membership = "patron"
    choices = Choices(DATABASE, words=WORDS, memberships=("organizations", "roles"))

    def make(self, url):
        verifier = Verifier(SCHEMES["auth0"], [SECRET, OLD])
        return Auth0("members", verifier, f"{url}/api/v2", f"{url}/oauth/token", CLIENT, self.choices, sleep=lambda seconds: None)

    def deliver(self, body, event, at, wrong, number):
        return sent(body, "another static value" if wrong else SECRET)

    def vendor(self):
        tenant = Tenant()
        user = json.loads(fixture("user"))
        held = {name: user[name] for name in ("given_name", "family_name", "app_metadata")}
        tenant.add(USER, self.email, **held, user_metadata={"size": "38", "address": {"city": "London"}})
        tenant.organizations[USER], tenant.roles[USER] = ["acme"], ["editor"]
        for name in ("patron", "patron saint", "Patron"):
            tenant.id("roles", name)
        return tenant


class TestWithAToken(TestAuth0):
    """Faults meet the call itself, not the one for a token."""

    @pytest.fixture
    def world(self):
        with Vendor(self.vendor()).running() as vendor:
            api = self.make(vendor.url)
            api.fetch(USER)
            yield api, vendor


class TestTrustedAndExported(TestWithAToken):
    choices = Choices(DATABASE, "bulk", "full", WORDS)
