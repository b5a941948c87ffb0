"""A receiver over real HTTP: uvicorn in a thread, an inbox that can fail, senders that sign, and a client that can misbehave."""

import base64
import contextlib
import hmac
import http.client
import json
import logging
import socket
import threading
import time
from collections import Counter
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette

from connector.crm.hubspot.webhooks import HubSpotWebhooks
from connector.providers.generic import Generic
from connector.providers.signature import SignatureScheme
from connector.web.health import health_routes
from connector.web.receiver import receiver_routes

KEY = b"members webhook secret of the tests"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OLD_KEY = b"the secret before, still overlapping"
OLD_SECRET = "whsec_" + base64.b64encode(OLD_KEY).decode()
CLIENT_SECRET = "client-secret-client-secret"
PORTAL = 62515
PUBLIC = "https://connector.example.com/in"
MEMBERS = "/webhooks/identity/members"
HUBSPOT = "/webhooks/hubspot"
MEMBERS_PROVIDER = Generic("members", [SECRET, OLD_SECRET], SignatureScheme())
HUBSPOT_WEBHOOKS = HubSpotWebhooks([CLIENT_SECRET], PORTAL, False)


class FakeInbox:
    """Rows by (source, key). `fails` is raised by the next calls, `before` is called with the rows first."""

    def __init__(self):
        self.rows = {}
        self.calls = 0
        self.fails = []
        self.before = lambda rows: None

    def add(self, rows):
        self.calls += 1
        self.before(rows)
        if self.fails:
            raise self.fails.pop(0)
        new = {}
        for source, item in rows:
            if (source, item.key) not in self.rows:
                new.setdefault((source, item.key), item)
        self.rows |= new
        return set(new)

    @property
    def bodies(self):
        return [item.body for item in self.rows.values()]

    @property
    def problems(self):
        return Counter(item.problem for item in self.rows.values())


class Answer:
    def __init__(self, reply):
        self.status = reply.status
        self.headers = {name.lower(): value for name, value in reply.getheaders()}
        self.body = reply.read()
        self.closes = reply.will_close

    @property
    def json(self):
        return json.loads(self.body)


class _Errors(logging.Handler):
    """What the server logs as errors: unhandled exceptions, above all."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        self.found.append(record.getMessage())


class Site:
    """The receiver, listening. A context manager."""

    def __init__(self, inbox=None, accept_v1=False, checks=(), ring=None):
        self.inbox = inbox or FakeInbox()
        self.rings = 0
        crm = HubSpotWebhooks([CLIENT_SECRET], PORTAL, accept_v1)
        routes = receiver_routes(
            {"members": MEMBERS_PROVIDER}, crm, self.inbox, PUBLIC, lambda: datetime.now(UTC), ring or self._ring
        )
        app = Starlette(routes=[*routes, *health_routes(dict(checks))])
        app.router.redirect_slashes = False
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="warning", access_log=False, server_header=False, date_header=False,
            timeout_graceful_shutdown=1, h11_max_incomplete_event_size=65_536,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def _ring(self):
        self.rings += 1

    def __enter__(self):
        self.errors = _Errors()
        logging.getLogger("uvicorn.error").addHandler(self.errors)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error):
        self._server.should_exit = True
        self._thread.join(10)
        logging.getLogger("uvicorn.error").removeHandler(self.errors)

    def request(self, method, path, headers=(), body=b"", length=True):
        """One request on a connection of its own, byte for byte as given."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if length and body is not None:
            pairs.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Host: forged.example.org"]
        lines += [
            name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else value.encode()) for name, value in pairs
        ]
        return self.raw(b"\r\n".join([*lines, b"", body or b""]), method=method)

    def raw(self, data, timeout=10, pause=0, pieces=(), method=None, ends=False):
        """Send bytes, then `pieces` with a pause between them, and read the answer. None when the server just hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                for piece in pieces:
                    time.sleep(pause)
                    connection.sendall(piece)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            reply = http.client.HTTPResponse(connection, method=method)
            try:
                reply.begin()
                return Answer(reply)
            except (http.client.BadStatusLine, ConnectionError):
                return None

    def members(self, body, headers=None, **options):
        """A delivery of the identity provider."""
        headers = signed(body, **options) if headers is None else headers
        return self.request("POST", MEMBERS, headers, body)

    def hubspot(self, events, **options):
        """A delivery of HubSpot."""
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        path = options.pop("path", HUBSPOT)
        return self.request("POST", path, hubspot_signed(body, **{"path": path, **options}), body)


JSON = {"Content-Type": "application/json"}


def signed(body, message_id="msg_1", age=0, key=KEY, stamp=None, **more):
    """Headers of Standard Webhooks."""
    stamp = str(int(time.time() - age)) if stamp is None else stamp
    digest = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, "sha256")
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {**JSON, "webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature, **more}


def hubspot_signed(body, age=0, path=HUBSPOT, public=PUBLIC, method="POST", secret=CLIENT_SECRET, stamp=None):
    """Headers of HubSpot's version 3."""
    stamp = str(int((time.time() - age) * 1000)) if stamp is None else stamp
    digest = hmac.digest(secret.encode(), f"{method}{public}{path}".encode() + body + stamp.encode(), "sha256")
    return {**JSON, "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(), "X-HubSpot-Request-Timestamp": stamp}


def event(number=1, **changes):
    """One of HubSpot's events."""
    told = {
        "eventId": number, "subscriptionId": 1, "portalId": PORTAL, "appId": 2, "occurredAt": 1_767_225_600_000,
        "attemptNumber": 0, "subscriptionType": "contact.propertyChange", "objectId": 100 + number, "propertyName": "email",
        "propertyValue": "x@example.com",
    }  # fmt: skip
    return told | changes


def envelope(user_id="u-1", **changes):
    """One event of the identity provider."""
    told = {"id": "evt_1", "type": "user.updated", "occurred_at": "2026-01-01T00:00:00Z", "data": {"user": {"id": user_id}}}
    return json.dumps(told | changes).encode()


def counts(accepted=0, duplicates=0, quarantined=0):
    """The body of a 200."""
    return {"accepted": accepted, "duplicates": duplicates, "quarantined": quarantined}


def refusal(answer, status, code):
    """Whether the answer is this problem, in the form of RFC 9457 and with nothing else in it."""
    assert (answer.status, answer.json.get("code")) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "code"}
    assert answer.json["status"] == status
    return True
