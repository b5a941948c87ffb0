"""A tenant that behaves like Auth0 where it matters: tokens for an audience, searches of a thousand, metadata, exports."""

import copy
import gzip
import json
import re
import time
from urllib.parse import parse_qsl

from connector.testing import Reply

CLIENT = {"client_id": "connector", "client_secret": "canary-auth0-client-secret", "audience": "https://acme.auth0.test/api/v2/"}
DATABASE = "Username-Password-Authentication"
WINDOW = 1000


def stamp(number):
    """The time `number` seconds into the year."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(1767225600 + number))


class Tenant:
    """total: what searches say, where it is not the truth. unready: how often an export is not done yet."""

    def __init__(self, unready=1, export="completed"):
        self.users = {}
        self.organizations = {}
        self.roles = {}
        self.known = {"organizations": {}, "roles": {}}
        self.tokens = []
        self.clock = 0
        self.jobs = []
        self.unready, self.export = unready, export
        self.url = ""

    def add(self, user_id, email, **more):
        self.clock += 1
        at = stamp(self.clock)
        identities = [{"connection": DATABASE, "provider": "auth0", "user_id": user_id.partition("|")[2]}]
        user = {"user_id": user_id, "email": email, "email_verified": True, "created_at": at, "updated_at": at}
        self.users[user_id] = {**user, "identities": identities, **more}

    def __call__(self, request):
        self.url = f"http://{request.headers['host']}"
        if request.path == "/oauth/token":
            return self.token(request)
        if request.path == "/files/export.json.gz":
            assert "authorization" not in request.headers, "the token went to another host"
            return Reply(200, gzip.compress("".join(json.dumps(one) + "\n" for one in self.users.values()).encode()))
        if request.headers.get("authorization") not in [f"Bearer {one}" for one in self.tokens]:
            return Reply(401)
        return self.api(request, request.path.removeprefix("/api/v2"))

    def api(self, request, path):
        if path == "/users":
            return self.create(request.json()) if request.method == "POST" else self.search(request.query)
        if path == "/users-by-email":
            return Reply(200, [user for user in self.users.values() if user["email"] == request.query["email"]])
        if path.startswith("/jobs/"):
            return self.job(request, path)
        if path.startswith(("/roles", "/organizations")):
            return self.places(request, path)
        user_id, _, below = path.removeprefix("/users/").partition("/")
        if request.method == "DELETE" and not below:
            self.users.pop(user_id, None)
            return Reply(204)
        if user_id not in self.users:
            return Reply(404, {"statusCode": 404, "errorCode": "inexistent_user"})
        if below:
            held = (self.organizations if below == "organizations" else self.roles).setdefault(user_id, [])
            if request.method != "GET":
                return self.hold(request.method, "roles", held, request.json()["roles"])
            return Reply(200, [{"id": self.id(below, name), "name": name} for name in held])
        return self.one(request, user_id)

    def id(self, place, name):
        return self.known[place].setdefault(name, f"{place[:3]}_{len(self.known[place]):016}")

    def places(self, request, path):
        """Roles and organizations themselves, and who is a member of these."""
        if path == "/roles":
            wanted = request.query["name_filter"].lower()
            return Reply(200, [{"id": one, "name": name} for name, one in self.known["roles"].items() if wanted in name.lower()])
        place, _, below = path.removeprefix("/organizations/").partition("/")
        if place == "name":
            found = self.known["organizations"].get(below)
            return Reply(200, {"id": found, "name": below}) if found else Reply(404, {"statusCode": 404})
        (user_id,) = request.json()["members"]
        if user_id not in self.users:
            return Reply(404, {"statusCode": 404})
        return self.hold(request.method, "organizations", self.organizations.setdefault(user_id, []), [place])

    def hold(self, method, place, held, ids):
        names = [name for name, one in self.known[place].items() if one in ids]
        if len(names) < len(ids):
            return Reply(404, {"statusCode": 404})
        held[:] = [one for one in held if one not in names] + (names if method == "POST" else [])
        return Reply(204)

    def token(self, request):
        if dict(parse_qsl(request.body.decode())) != {"grant_type": "client_credentials", **CLIENT}:
            return Reply(401, {"error": "access_denied"})
        self.tokens.append(f"token-{len(self.tokens)}")
        return Reply(200, {"access_token": self.tokens[-1], "expires_in": 86400, "token_type": "Bearer"})

    def search(self, query):
        by, start = re.fullmatch(r"(\w+):\[(\S+) TO \*\]", query["q"]).groups()
        assert (query["search_engine"], query["sort"], query["include_totals"]) == ("v3", f"{by}:1", "true")
        found = sorted((user for user in self.users.values() if user[by] >= start), key=lambda user: user[by])
        number, size = int(query["page"]), int(query["per_page"])
        if (number + 1) * size > WINDOW or size > 100:
            return Reply(400, {"message": "You can only page through the first 1000 records."})
        page = found[number * size : (number + 1) * size]
        return Reply(200, {"start": number * size, "limit": size, "length": len(page), "total": len(found), "users": page})

    def create(self, told):
        if told.get("connection") != DATABASE or not told.get("password"):
            return Reply(400, {"message": "The connection does not exist."})
        if any(user["email"] == told["email"].lower() for user in self.users.values()):
            return Reply(409, {"message": "The user already exists."})
        user_id = f"auth0|{len(self.users) + 1:024}"
        kept = {name: value for name, value in told.items() if name not in ("connection", "password", "verify_email", "email")}
        self.add(user_id, told["email"].lower(), **{"email_verified": False, **kept})
        return Reply(201, self.users[user_id])

    def one(self, request, user_id):
        user = self.users[user_id]
        if request.method == "PATCH":
            for name, value in copy.deepcopy(request.json()).items():
                if name in ("user_metadata", "app_metadata"):
                    kept = {**user.get(name, {}), **value}
                    user[name] = {key: inner for key, inner in kept.items() if inner is not None}
                elif value is None:
                    user.pop(name, None)
                else:
                    user[name] = value
            self.clock += 1
            user["updated_at"] = stamp(self.clock)
        return Reply(200, user)

    def job(self, request, path):
        if request.method == "POST":
            assert {"user_id", "user_metadata", "app_metadata"} <= {one["name"] for one in request.json()["fields"]}
            self.jobs.append(0)
            return Reply(200, {"id": f"job_{len(self.jobs)}", "type": "users_export", "status": "pending"})
        self.jobs[-1] += 1
        if self.jobs[-1] <= self.unready:
            return Reply(200, {"id": "job_1", "status": "processing"})
        return Reply(200, {"id": "job_1", "status": self.export, "location": f"{self.url}/files/export.json.gz"})
