"""Memberstack keeps the promises of every provider."""

import json
from datetime import timedelta

from connector.providers.memberstack import Habits, Memberstack
from connector.providers.memberstack_member import USUAL, Words
from connector.providersettings import ConsentField
from connector.sandbox.vendors import memberstack as vendor
from connector.testing import Reply
from tests.providers.memberstack.test_webhooks import fixture, signed
from tests.providers.sandboxed import Sandboxed

ID = "mem_sb_000001"
OTHER = "whsec_YW5vdGhlci1zZWNyZXQtb2YtdGhlLXN1aXRlLTE="
NAMES = {
    "user.created": "member_created", "user.updated": "member_updated", "user.deleted": "member_deleted",
    "membership.added": "member_plan_added", "membership.removed": "member_plan_canceled",
}  # fmt: skip


class TestMemberstack(Sandboxed):
    secrets = (vendor.SECRET, vendor.KEY)
    proof = ("svix-id", "svix-timestamp", "svix-signature")
    tolerance = timedelta(minutes=5)
    user_id = ID
    events = {kind: fixture(name).replace(b"mem_sb_1", ID.encode()) for kind, name in NAMES.items()}
    unknown = ("member.danced", b'{"event":"member.danced","timestamp":1,"payload":{"id":"mem_sb_000001"}}')
    new = {"email": "grace.canary@example.com", "first_name": "Grace", "email_verified": True}
    edit = {"first_name": "Augusta", "custom.shoe-size": "39", "custom.meta.fair": "autumn"}
    cleared = ("last_name",)
    membership = "pln_press"

    def make(self, url):
        consents = {"newsletter": ConsentField(field="newsletter", at="newsletter-at", source="newsletter-from")}
        return Memberstack("members", [vendor.SECRET], vendor.KEY, Habits(Words(USUAL, consents)), url)

    def deliver(self, body, event, at, wrong, number):
        return signed(body, f"msg_{number}", at, OTHER if wrong else vendor.SECRET)

    def app(self):
        app = vendor.Memberstack()
        fields = {"first-name": "Ada", "last-name": "Lovelace", "shoe-size": "38"}
        ada = app.register({"email": self.email, "customFields": fields, "metaData": {"source": "fair"}})
        app.add_plan(ada, "pln_gold")
        return app.app

    def page(self, cursor):
        listing = {"data": [], "totalCount": 9, "endCursor": int(cursor or 0), "hasNextPage": True}
        return Reply(200, json.dumps(listing).encode())
