"""Both sandboxes over real HTTP, a receiver for their webhooks, and a clock that is moved by hand."""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from connector.sandbox.courier import Pace
from connector.sandbox.identity import IdentityProvider
from connector.sandbox.portal import Portal
from connector.sandbox.server import serve

CONTACTS = "/crm/v3/objects/contacts"
PROPERTIES = "/crm/v3/properties/contacts"
WHOLE = ("/crm", "/sandbox", "/users", "/account-info", "/oauth", "/communication-preferences", "/events")
PACE = Pace(window=0.01, backoff=(0.01,) * 5, timeout=2, late=0.05)


class Clock:
    """Real time, until it is moved forward."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead

    def forward(self, seconds):
        self.ahead += seconds


class Switch:
    """Whichever app a test is about, behind one server for all tests."""

    def __init__(self):
        self.app = None

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class Api:
    """Calls with the token. A path that starts with a slash is taken as it is, any other follows the base."""

    def __init__(self, url, token="sandbox-token", base=""):
        self.url = url
        self.base = base
        self.session = requests.Session()
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method, path="", body=None, **options):
        path = path if path.startswith("/") or not path else f"/{path}"
        whole = path if path.startswith(WHOLE) else self.base + path
        return self.session.request(method, self.url + whole, json=body, timeout=5, **options)


class Receiver:
    """Takes deliveries; `answers` are given first, then 200."""

    def __init__(self):
        self.deliveries = []
        self.answers = deque()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.deliveries.append((dict(self.headers), body))
                self.send_response(receiver.answers.popleft() if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks?from=sandbox"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def events(self):
        """All events in the order they came."""
        bodies = [json.loads(body) for _, body in self.deliveries]
        return [event for body in bodies for event in (body if isinstance(body, list) else [body])]


@pytest.fixture(scope="session")
def switch():
    return Switch()


@pytest.fixture(scope="session")
def url(switch):
    with serve(switch) as server:
        yield server.url


@pytest.fixture(scope="session")
def _receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture
def receiver(_receiver):
    _receiver.deliveries.clear()
    _receiver.answers.clear()
    return _receiver


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def portal(switch, clock):
    portal = Portal(clock=clock, pace=PACE)
    portal.add_property("members_user_id", unique=True)
    portal.add_property("interests", "enumeration", "checkbox", options={"film": "Film", "sport": "Sport"})
    portal.add_property("shoe_size", "number", "number")
    portal.add_property("born", "date", "date")
    portal.add_property("seen_at", "datetime", "date")
    portal.add_property("member", "bool")
    switch.app = portal.app
    return portal


@pytest.fixture
def api(portal, url):
    return Api(url, base=CONTACTS)


@pytest.fixture
def people(switch, clock):
    people = IdentityProvider(clock=clock, pace=PACE)
    switch.app = people.app
    return people


@pytest.fixture
def users(people, url):
    return Api(url, base="/users")


def code_of(error):
    """Codes by property, out of the JSON array at the end of an error's message."""
    message = error["message"]
    return {one["name"]: one["error"] for one in json.loads(message[message.index("[") :])}


def row(wanted, properties, key=None, trace=None):
    """One row of a batch."""
    told = {"id": wanted, "properties": properties}
    told |= {"idProperty": key} if key else {}
    return told | ({"objectWriteTraceId": trace} if trace else {})
