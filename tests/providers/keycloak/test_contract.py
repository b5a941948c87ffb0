"""The Keycloak provider keeps the promises of every provider, with a token and without one yet."""

import json

import pytest

from connector.providers.keycloak.provider import Keycloak
from connector.providers.keycloak.user import USUAL, Words
from connector.providers.signature import SCHEMES
from connector.providersettings import ConsentField
from connector.testing import ProviderContract, Vendor
from tests.providers.keycloak.realm import CLIENT, Realm
from tests.providers.keycloak.test_webhooks import OLD, SECRET, USER, fixture, signed

NAMES = {
    "user.created": "access_register", "user.updated": "admin_user_update", "user.deleted": "access_delete_account",
    "user.login": "access_login", "membership.added": "admin_group_membership_create",
    "membership.removed": "admin_realm_role_mapping_delete",
}  # fmt: skip
NEWSLETTER = ConsentField(field="newsletter", at="newsletter_at", source="newsletter_from")


class TestKeycloak(ProviderContract):
    secrets = (SECRET, OLD, CLIENT["client_secret"])
    proof = ("x-keycloak-signature",)
    user_id = USER
    events = {kind: fixture(name) for kind, name in NAMES.items()}
    unknown = ("access.LOGOUT", json.dumps({"type": "access.LOGOUT", "authDetails": {"userId": USER}}).encode())
    edit = {"first_name": "Augusta", "phone": "+34600000001", "custom.shoe_size": "39", "email_verified": False}
    cleared = ("last_name", "phone", "custom.shoe_size")
    membership = "Members/Silver"

    def make(self, url):
        words = Words({**USUAL, "custom.shoe_size": "shoe-size"}, {"newsletter": NEWSLETTER}, ("plan",))
        return Keycloak("members", [SECRET, OLD], SCHEMES["keycloak"], url, "demo", CLIENT, words, ("groups", "realm_roles"))

    def deliver(self, body, event, at, wrong, number):
        return signed(body, "another secret of a webhook" if wrong else SECRET)

    def vendor(self):
        realm = Realm(events=False)
        held = {"phoneNumber": ["+34600000000"], "shoe-size": ["38"], "interests": ["sport", "film"], "plan": ["gold"]}
        realm.add(USER, self.email, firstName="Ada", lastName="Lovelace", attributes=held)
        realm.groups[USER], realm.roles[USER] = ["/Press", "/Members/Gold"], ["default-roles-demo"]
        realm.known_groups = {"/Members/Silver", "/Silver"}
        return realm


class TestRoles(TestKeycloak):
    membership = "editor"

    def vendor(self):
        realm = super().vendor()
        realm.known_roles = {"editor", "editor-in-chief"}
        return realm


class TestOneAttribute(TestKeycloak):
    membership = "silver"

    def make(self, url):
        words = Words({**USUAL, "custom.shoe_size": "shoe-size"}, {"newsletter": NEWSLETTER}, ("plan",))
        return Keycloak("members", [SECRET, OLD], SCHEMES["keycloak"], url, "demo", CLIENT, words)


class TestWithAToken(TestKeycloak):
    """Faults meet the call itself, not the one for a token."""

    @pytest.fixture
    def world(self):
        with Vendor(self.vendor()).running() as vendor:
            api = self.make(vendor.url)
            api.fetch(USER)
            yield api, vendor
