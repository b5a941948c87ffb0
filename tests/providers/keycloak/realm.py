"""A realm that behaves like Keycloak where it matters: tokens, PUT that replaces, `first` and `max`, kept events, groups."""

import copy
import uuid
from datetime import UTC, datetime

from connector.testing import Reply

CLIENT = {"client_id": "connector", "client_secret": "canary-client-secret"}
START = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "/realms/demo/protocol/openid-connect/token"
USERS = "/admin/realms/demo/users"


def millis(at):
    return int(at.timestamp() * 1000)


class Realm:
    """events: whether the realm keeps both kinds. dropped: attributes that the profile does not declare. closed: calls that
    the client's roles do not allow.
    """

    def __init__(self, events=True, dropped=(), closed=()):
        self.users = {}
        self.groups = {}
        self.roles = {}
        self.known_groups, self.known_roles = set(), set()
        self.tokens = []
        self.access, self.admin = [], []
        self.config = {"eventsEnabled": events, "adminEventsEnabled": events, "enabledEventTypes": []}
        self.dropped = dropped
        self.closed = closed
        self.now = millis(START)

    def add(self, user_id, email, **more):
        user = {
            "id": user_id,
            "username": email,
            "email": email,
            "enabled": True,
            "emailVerified": True,
            "createdTimestamp": self.now,
        }
        self.users[user_id] = {**user, **more}

    def did(self, kind, user_id, at=None, **more):
        """The user did something."""
        event = {"id": str(uuid.uuid4()), "time": millis(at or START), "type": kind, "realmId": "demo", "userId": user_id}
        self.access.insert(0, {**event, **more})

    def administered(self, operation, path, at=None, resource="USER"):
        """An admin did something."""
        event = {"id": str(uuid.uuid4()), "time": millis(at or START), "operationType": operation, "resourceType": resource}
        self.admin.insert(0, {**event, "resourcePath": path, "authDetails": {"userId": "the-admin"}})

    def __call__(self, request):
        if request.path == TOKEN:
            return self.token(request)
        if request.headers.get("authorization") not in [f"Bearer {one}" for one in self.tokens]:
            return Reply(401)
        rest = request.path.removeprefix("/admin/realms/demo")
        if rest in self.closed:
            return Reply(403)
        kept = {
            "/events/config": self.config,
            "/events": self.access,
            "/admin-events": self.admin,
            "/users/count": len(self.users),
        }
        if rest in kept:
            found = kept[rest]
            return Reply(200, paged(found, request.query) if isinstance(found, list) else found)
        if rest == "/users":
            return self.create(request.json()) if request.method == "POST" else self.list(request.query)
        if rest.startswith("/group-by-path/"):
            path = rest.removeprefix("/group-by-path")
            return Reply(200, group(path)) if path in self.known_groups else Reply(404, {"error": "Group path does not exist"})
        user_id, _, below = rest.removeprefix("/users/").partition("/")
        if user_id not in self.users:
            return Reply(404, {"error": "User not found"})
        return self.one(request, user_id) if not below else self.below(request, user_id, below)

    def token(self, request):
        told = dict(pair.split("=") for pair in request.body.decode().split("&"))
        if told != {"grant_type": "client_credentials", **CLIENT}:
            return Reply(401, {"error": "unauthorized_client"})
        self.tokens.append(f"token-{len(self.tokens)}")
        return Reply(200, {"access_token": self.tokens[-1], "expires_in": 60, "token_type": "Bearer"})

    def list(self, query):
        found = list(self.users.values())
        for name in ("email", "username"):
            if name in query:
                assert query["exact"] == "true"
                found = [user for user in found if user[name] == query[name].lower()]
        if query.get("briefRepresentation") == "true":
            found = [{name: value for name, value in user.items() if name != "attributes"} for user in found]
        return Reply(200, paged(found, query))

    def create(self, told):
        for user in self.users.values():
            if user["username"] == told["username"].lower() or user["email"] == (told.get("email") or "?").lower():
                return Reply(409, {"errorMessage": "User exists with same username"})
        user_id = str(uuid.uuid4())
        self.users[user_id] = {"id": user_id, "createdTimestamp": self.now, "emailVerified": False}
        self.take(user_id, told)
        return Reply(201, None, {"Location": f"http://keycloak.test{USERS}/{user_id}"})

    def one(self, request, user_id):
        if request.method == "DELETE":
            del self.users[user_id]
            return Reply(204)
        if request.method == "PUT":
            told = request.json()
            if not told.get("username"):
                return Reply(400, {"errorMessage": "User name is missing"})
            self.take(user_id, told)
            return Reply(204)
        return Reply(200, self.users[user_id])

    def take(self, user_id, told):
        """What is not told, or null, of the profile is emptied; all attributes are replaced."""
        user = {name: value for name, value in self.users[user_id].items() if name in ("id", "createdTimestamp")}
        user |= {name: value for name, value in copy.deepcopy(told).items() if value not in (None, "") and name not in user}
        user["attributes"] = {name: value for name, value in user.get("attributes", {}).items() if name not in self.dropped}
        assert all(isinstance(value, list) for value in user["attributes"].values())
        self.users[user_id] = {"email": None, **user, "username": user["username"].lower()}

    def below(self, request, user_id, below):
        where, _, one = below.partition("/")
        if where == "groups":
            held = self.groups.setdefault(user_id, [])
            if request.method == "GET":
                return Reply(200, paged([group(path) for path in held], request.query))
            return self.hold(request.method, held, [path for path in self.known_groups | {*held} if group(path)["id"] == one])
        held = self.roles.setdefault(user_id, [])
        if one == "realm/available":
            return Reply(200, [role(name) for name in sorted(self.known_roles) if name not in held])
        if request.method == "GET":
            return Reply(200, [role(name) for name in held])
        return self.hold(request.method, held, [name for name in self.known_roles | {*held} if role(name) in request.json()])

    def hold(self, method, held, ones):
        if not ones:
            return Reply(404, {"error": "Could not find it"})
        held[:] = [one for one in held if one not in ones] + ([] if method == "DELETE" else ones)
        return Reply(204)


def group(path):
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, path)), "name": path.rsplit("/", 1)[1], "path": path}


def role(name):
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)), "name": name}


def paged(found, query):
    first = int(query.get("first", 0))
    return found[first : first + int(query.get("max", 100))]
