"""A vendor that speaks the generic profile, with one user, and how it signs: for the contract tests of kinds that are like it."""

import base64
import hmac
import json
from pathlib import Path

from connector.model import Delivery
from connector.testing import Reply

FIXTURES = Path(__file__).parent / "generic" / "fixtures"
KEY = b"canary secret of a webhook"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
API_KEY = "canary-api-key"
EMAIL = "ada.canary@example.com"


def envelope(kind, **user):
    told = {"id": "evt_1", "type": kind, "occurred_at": "2026-01-01T00:00:00Z", "data": {"user": {"id": "u-1", **user}}}
    return json.dumps(told).encode()


def signed(body, at, wrong, number):
    """A delivery by Standard Webhooks."""
    sender_id, stamp = f"msg_{number}", str(int(at.timestamp()))
    digest = hmac.digest(b"another key" if wrong else KEY, f"{sender_id}.{stamp}.".encode() + body, "sha256")
    headers = {
        "content-type": "application/json", "webhook-id": sender_id, "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }  # fmt: skip
    return Delivery("POST", "https://connector.test/webhooks/identity/members", tuple(headers.items()), body)


class Profile:
    """The REST side."""

    def __init__(self):
        self.users = {"u-1": {**json.loads((FIXTURES / "user.json").read_bytes()), "email": EMAIL}}
        self.made = {}

    def __call__(self, request):
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return Reply(401)
        first, *rest = request.path.strip("/").split("/")
        if first != "users":
            return Reply(404)
        return self.one(request, rest[0], rest[1:]) if rest else self.all(request)

    def all(self, request):
        if request.method == "POST":
            return self.create(request)
        email = request.query.get("email", "").casefold()
        return Reply(200, {"items": [user for user in self.users.values() if not email or user["email"] == email]})

    def create(self, request):
        told, key = request.json(), request.headers["idempotency-key"]
        if key in self.made:
            return Reply(200, self.users[self.made[key]])
        for user in self.users.values():
            if user["email"] == told["email"]:
                return Reply(409, {"id": user["id"]})
        self.made[key] = f"u-{len(self.users) + 1}"
        user = self.users[self.made[key]] = {"id": self.made[key], **told}
        return Reply(201, user)

    def one(self, request, user_id, rest):
        user = self.users.get(user_id)
        if user is None:
            return Reply(404)
        if rest == ["erasure"] or (request.method == "DELETE" and not rest):
            del self.users[user_id]
            return Reply(204)
        if rest[:1] == ["consents"]:
            user["consents"] = [{"purpose": rest[1], **request.json()}]
        elif rest[:1] == ["memberships"]:
            others = [one for one in user["memberships"] if one["key"] != rest[1]]
            user["memberships"] = [*others, {"key": rest[1], "active": True}] if request.method == "PUT" else others
        elif request.method == "PATCH":
            changes = request.json()
            user["custom"].update(changes.pop("custom", {}))
            user.update(changes)
        return Reply(200, user, {"ETag": '"7"'})
