"""Auth0 as `connector up` listens to it, asks it and writes to it. In one story, because each start costs seconds."""

import json

import requests

from connector.testing import Vendor
from tests.e2e.stack import wait_for
from tests.providers.auth0.tenant import CLIENT, DATABASE, Tenant, stamp
from tests.providers.auth0.test_webhooks import SECRET, USER, event
from tests.providers.story import running

PROVIDER = f"""\
    kind: auth0
    webhook_secret: {SECRET}
    domain: acme.auth0.test
    api_url: URL/api/v2
    auth_url: URL/oauth/token
    client_id: {CLIENT["client_id"]}
    client_secret: {CLIENT["client_secret"]}
    connection: {DATABASE}
    memberships: [app_metadata.plan]
    fields: {{country: user_metadata.country}}
"""
MAPPING = """\
version: 1
defaults: {direction: both, conflict: newest, on_blank: keep}
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - {user: country, contact: country}
  - {user: custom.user_metadata.address.city, contact: city}
typologies: {contact: member_types, values: {gold: Gold}}
lifecycle: {contact_created: create_user}
"""
ADA = "ada@example.com"


def told(kind, number, **more):
    return event(kind, id=f"evt_{number}", **more), {"Authorization": SECRET}


def test_both_ways(tmp_path):
    tenant = Tenant()
    held = {"country": "GB", "size": "38", "address": {"city": "London", "zip": "W1"}}
    tenant.add(USER, ADA, given_name="Ada", user_metadata=held, app_metadata={"plan": "gold"})
    ada = tenant.users[USER]
    with Vendor(tenant).running() as vendor, running(tmp_path, PROVIDER.replace("URL", vendor.url), MAPPING) as story:
        body, headers = told("user.created", 1)
        assert story.post(*told("user.created", 0, a0purpose="test"))["accepted"] == 1
        assert story.post(body, headers) == {"accepted": 1, "duplicates": 0, "quarantined": 0}
        assert story.post(body, headers) == {"accepted": 0, "duplicates": 1, "quarantined": 0}
        url = f"{story.public}/webhooks/identity/members"
        forged = {"Authorization": "Bearer x", "Content-Type": "application/json"}
        assert requests.post(url, data=body, headers=forged, timeout=5).status_code == 401
        wait_for(lambda: story.contact(ADA).get("city") == "London", 15)
        assert (story.contact(ADA)["country"], story.contact(ADA)["member_types"]) == ("GB", "Gold")

        ada["given_name"], ada["updated_at"] = "Augusta", stamp(100)
        story.post(*told("com.auth0.user.updated", 2))
        wait_for(lambda: story.contact(ADA).get("firstname") == "Augusta", 15)

        story.edit(ADA, {"city": "Paris"})
        wait_for(lambda: ada["user_metadata"]["address"]["city"] == "Paris", 15)
        assert ada["user_metadata"] == {**held, "address": {"city": "Paris", "zip": "W1"}}

        story.portal.create({"email": "grace@example.com", "firstname": "Grace"})
        wait_for(lambda: any(user["email"] == "grace@example.com" for user in tenant.users.values()), 15)

        del tenant.users[USER]
        story.post(*told("user.deleted", 3))
        wait_for(lambda: not story.contact(ADA), 15)
        assert json.loads(story.run("parked", "list", "--json").stdout) == []
