"""Outseta as `connector up` listens to it, asks it and writes to it. In one story, because each start costs seconds."""

import hashlib
import hmac
import json

from connector.testing import Vendor
from tests.e2e.stack import wait_for
from tests.providers.outseta.vendor import EMAIL, KEY, NEWSLETTER, Account
from tests.providers.story import running

SIGNING_KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
PROVIDER = f"""\
    kind: outseta
    webhook_secret: {SIGNING_KEY}
    api_url: URL
    api_key: {KEY}
"""
MAPPING = f"""\
version: 1
defaults: {{direction: both, conflict: newest, on_blank: keep}}
fields:
  - {{user: email, contact: email}}
  - {{user: first_name, contact: firstname}}
  - {{user: last_name, contact: lastname}}
  - {{user: custom.Title, contact: jobtitle}}
consents:
  - {{consent: {NEWSLETTER}, subscription: Newsletter, legal_basis: CONSENT_WITH_NOTICE, explanation: joined the list}}
lifecycle: {{contact_deleted: delete_user}}
"""


def test_both_ways(tmp_path):
    account = Account()
    with Vendor(account).running() as vendor, running(tmp_path, PROVIDER.replace("URL", vendor.url), MAPPING) as story:
        ada = account.people["DQ2DyknW"]

        def tell(activity):
            body = json.dumps(account.people["DQ2DyknW"]).encode()
            signature = hmac.new(bytes.fromhex(SIGNING_KEY), body, hashlib.sha256).hexdigest()
            return story.post(body, {"X-Hub-Signature-256": f"sha256={signature}"}, f"?event={activity}")

        assert tell("PersonCreated")["accepted"] == 1
        assert tell("PersonCreated")["duplicates"] == 1
        wait_for(lambda: story.contact(EMAIL).get("jobtitle") == "Countess", 15)

        story.edit(EMAIL, {"firstname": "Augusta"})
        wait_for(lambda: account.people["DQ2DyknW"]["FirstName"] == "Augusta", 15)
        ada = account.people["DQ2DyknW"]
        assert (ada["LastName"], ada["ShoeSize"], ada["MailingAddress"]["City"]) == ("Lovelace", 38, "Madrid")

        tell("PersonUpdated")  # our own writing comes back
        ada["LastName"], ada["Updated"] = "King", "2026-03-01T00:00:00"
        tell("PersonUpdated")
        wait_for(lambda: story.contact(EMAIL).get("lastname") == "King", 15)
        assert len([call for call in vendor.calls if call.method == "PUT"]) == 1

        wait_for(lambda: story.portal.subscription(EMAIL, "Newsletter") == "SUBSCRIBED", 15)
        story.portal.unsubscribe(EMAIL, "Newsletter")
        wait_for(lambda: account.people["DQ2DyknW"]["EmailListPerson"][0]["EmailListSubscriberStatus"] == 2, 15)
        assert story.portal.subscription(EMAIL, "Newsletter") == "UNSUBSCRIBED"

        story.portal.delete(story.portal.contact(EMAIL)["id"])
        wait_for(lambda: "DQ2DyknW" not in account.people, 15)
