"""Keycloak as `connector up` listens to it, asks it and writes to it. In one story, because each start costs seconds."""

import json

import requests

from connector.testing import Vendor
from tests.e2e.stack import wait_for
from tests.providers.keycloak.realm import CLIENT, Realm
from tests.providers.keycloak.test_webhooks import SECRET, USER, event, signed
from tests.providers.story import running

PROVIDER = f"""\
    kind: keycloak
    webhook_secret: {SECRET}
    api_url: URL
    realm: demo
    client_id: {CLIENT["client_id"]}
    client_secret: {CLIENT["client_secret"]}
    memberships: [groups]
    consents: {{newsletter: {{field: newsletter, at: newsletter_at}}}}
"""
MAPPING = """\
version: 1
defaults: {direction: both, conflict: user, on_blank: keep}
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - {user: last_name, contact: lastname}
  - {user: phone, contact: phone, type: phone}
typologies: {contact: member_types, values: {Press: Press}}
consents:
  - {consent: newsletter, subscription: Newsletter, legal_basis: CONSENT_WITH_NOTICE, explanation: registered}
"""
ADA = "ada@example.com"


def told(kind, number, **more):
    body = event(kind, uid=f"uid-{number}", **more)
    return body, dict(signed(body).headers)


def test_both_ways(tmp_path):
    realm = Realm()
    held = {
        "phoneNumber": ["+34600123456"],
        "shoe-size": ["38"],
        "newsletter": ["true"],
        "newsletter_at": ["2026-01-01T00:00:00Z"],
    }
    realm.add(USER, ADA, firstName="Ada", lastName="Lovelace", attributes=held)
    realm.groups[USER] = ["/Press"]
    with Vendor(realm).running() as vendor, running(tmp_path, PROVIDER.replace("URL", vendor.url), MAPPING) as story:
        body, headers = told("access.REGISTER", 1)
        assert story.post(body, headers) == {"accepted": 1, "duplicates": 0, "quarantined": 0}
        assert story.post(body, headers) == {"accepted": 0, "duplicates": 1, "quarantined": 0}
        url = f"{story.public}/webhooks/identity/members"
        forged = {**headers, "x-keycloak-signature": "0" * 64}
        assert requests.post(url, data=body, headers=forged, timeout=5).status_code == 401
        wait_for(lambda: story.contact(ADA).get("phone") == "+34600123456", 15)
        assert story.contact(ADA)["member_types"] == "Press"

        realm.users[USER]["lastName"] = "King"
        story.post(*told("admin.USER-UPDATE", 2, resourcePath=f"users/{USER}", authDetails={"userId": "the-admin"}))
        wait_for(lambda: story.contact(ADA).get("lastname") == "King", 15)

        story.edit(ADA, {"firstname": "Augusta"})
        wait_for(lambda: realm.users[USER]["firstName"] == "Augusta", 15)
        assert (realm.users[USER]["lastName"], realm.users[USER]["attributes"]) == ("King", held)

        del realm.users[USER]
        story.post(*told("access.DELETE_ACCOUNT", 3))
        wait_for(lambda: not story.contact(ADA), 15)
        assert json.loads(story.run("parked", "list", "--json").stdout) == []
