"""DruID as `connector up` listens to it, asks it and writes to it. In one story, because each start costs seconds."""

import hashlib
import hmac
import json
import time

from connector.testing import Vendor
from tests.e2e.stack import wait_for
from tests.providers.druid.vendor import CLIENT_ID, CLIENT_SECRET, EMAIL, ENTRY_POINT, Platform
from tests.providers.story import running

PASSWORD = "cockpit-password"
PROVIDER = f"""\
    kind: druid
    webhook_secret: {PASSWORD}
    api_url: URL
    auth_url: URL
    client_id: "{CLIENT_ID}"
    client_secret: {CLIENT_SECRET}
    entry_point: {ENTRY_POINT}
"""
MAPPING = """\
version: 1
defaults: {direction: both, conflict: newest, on_blank: keep}
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - {user: last_name, contact: lastname}
typologies: {contact: member_types, values: {consumer: consumer, press: press}}
consents:
  - {consent: newsletter/consumer, subscription: Newsletter, legal_basis: CONSENT_WITH_NOTICE, explanation: registered}
"""


def told(event, **more):
    body = json.dumps({"event": event, "objectId": "a1b2", "entrypoint_id": ENTRY_POINT, **more}).encode()
    return body, {"X-Hub-Signature": "sha256=" + hmac.new(PASSWORD.encode(), body, hashlib.sha256).hexdigest()}


def test_both_ways(tmp_path):
    platform = Platform(delay=1, confirms=True)
    with Vendor(platform).running() as vendor, running(tmp_path, PROVIDER.replace("URL", vendor.url), MAPPING) as story:
        ada = platform.users["a1b2"]
        body, headers = told("register")
        assert story.post(body, headers) == {"accepted": 1, "duplicates": 0, "quarantined": 0}
        assert story.post(body, headers) == {"accepted": 0, "duplicates": 1, "quarantined": 0}
        wait_for(lambda: story.contact(EMAIL).get("lastname") == "Lovelace", 15)
        assert set(story.contact(EMAIL)["member_types"].split(";")) == {"consumer", "press"}

        ada["datas"]["surname"]["value"] = "King"
        ada["updated_on"] = "2026-01-03T00:00:00Z"
        story.post(*told("confirmRegister"))
        wait_for(lambda: story.contact(EMAIL).get("lastname") == "King", 15)

        wait_for(lambda: story.portal.subscription(EMAIL, "Newsletter") == "SUBSCRIBED", 15)
        story.portal.unsubscribe(EMAIL, "Newsletter")
        wait_for(lambda: [one.get("value") for one in ada["assertions"]["items"]] == [True, False, False, None], 15)

        story.edit(EMAIL, {"firstname": "Augusta"})
        wait_for(lambda: ada["datas"]["name"]["value"] == "Augusta", 15)
        assert (ada["datas"]["surname"]["value"], ada["typologies"]) == ("King", ["consumer", "press"])

        story.edit(EMAIL, {"email": "new@example.com"})
        wait_for(lambda: "user.email" in json.dumps(json.loads(story.run("parked", "list", "--json").stdout)), 15, every=0.5)
        edits = platform.edits
        story.post(*told("confirmRegister", date="2026-01-04"))
        time.sleep(2)
        assert (story.contact("new@example.com")["firstname"], platform.edits) == (
            "Augusta",
            edits,
        )  # neither pushed nor pulled back

        ada["ids"]["email"] = {"objectType": "user_id", "value": "new@example.com", "confirmed": True}
        ada["updated_on"] = "2026-03-01T00:00:00Z"
        story.post(*told("confirmRegister", date="2026-03-01"))
        wait_for(lambda: json.loads(story.run("parked", "list", "--json").stdout) == [], 15, every=0.5)
