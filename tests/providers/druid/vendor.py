"""A DruID platform over real HTTP: both hosts on one port, with tokens that are checked, entry points, and bulk edits."""

import base64
import copy
import hashlib
import json
from pathlib import Path
from urllib.parse import parse_qsl

from connector.testing import Reply

FIXTURES = Path(__file__).parent / "fixtures"
CLIENT_ID, CLIENT_SECRET, ENTRY_POINT = "100200300", "canary-client-secret", "100200300-main"
USER = "/activityid/v1/user"
EMAIL = "ada.canary@example.com"
CHALLENGE = "urn:druid:oauth2:grant-type:code_challenge"


def found(content):
    return Reply(200, {"content": content, "result": {"status": 200, "message": "Ok"}})


class Platform:
    """delay: looks at a bulk edit before it is done. confirms: whether new addresses wait. pendings: whether they are shown."""

    def __init__(self, delay=0, confirms=False, pendings=False):
        self.users = {"a1b2": json.loads((FIXTURES / "user.json").read_bytes())}
        self.delay, self.confirms, self.pendings = delay, confirms, pendings
        self.tokens, self.challenges, self.bulks = [], {}, {}
        self.refuses = {}
        self.keeps_typologies = True
        self.edits = 0

    def __call__(self, request):
        if request.path == "/oauth2/token":
            return self.token(dict(parse_qsl(request.body.decode())))
        if request.path == "/api/user":
            return self.query(dict(parse_qsl(request.body.decode())))
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path == f"{USER}/delete":
            return self.delete(request, bearer)
        if not self.tokens or bearer != self.tokens[-1]:
            return Reply(401)
        if request.headers.get("from") != ENTRY_POINT:
            return Reply(400, {"result": {"status": 400, "message": "no entry point"}})
        return self.api(request)

    def token(self, form):
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return Reply(400, {"error": "invalid_client"})
        token = f"token-{len(self.tokens) + len(self.challenges) + 1}"
        if form["grant_type"] == CHALLENGE:
            assert (form["code_challenge_method"], form["scope"]) == ("S256", "delete")
            self.challenges[token] = form["code_challenge"]
        elif form["grant_type"] == "client_credentials":
            self.tokens.append(token)
        else:
            return Reply(400, {"error": "unsupported_grant_type"})
        return Reply(200, {"access_token": token, "token_type": "bearer", "expires_in": 3600, "expires_at": 1767229200000})

    def query(self, form):
        if not self.tokens or form.get("oauth_token") != self.tokens[-1]:
            return Reply(401)
        wanted = form["w.email"].casefold()
        people = [one for one in self.users.values() if one["ids"]["email"]["value"].casefold() == wanted]
        told = [{"user": {"oid": one["objectId"], "user_ids": {"email": one["ids"]["email"]}}} for one in people]
        return Reply(200, {"count": len(told), "data": told})

    def delete(self, request, bearer):
        verifier = request.query.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if not 43 <= len(verifier) <= 128 or self.challenges.pop(bearer, None) != digest:
            return Reply(401)
        gone = self.users.pop(request.json()["object"]["objectId"], None)
        return found({"status": "deleting"}) if gone else Reply(404)

    def api(self, request):
        place = request.path.removeprefix(USER)
        if place == "/create":
            return self.create(request.json()["object"])
        if place == "/bulk" and request.method == "PATCH":
            return self.bulk(request)
        if place.startswith("/bulk/"):
            return self.results(*place.split("/")[2:])
        user_id = place.lstrip("/")
        if request.method == "PATCH" and user_id in self.users:
            problem = self.edit(request.json())
            return Reply(400, {"content": None, "errors": problem}) if problem else Reply(200)
        return found(self.users[user_id]) if user_id in self.users else Reply(404)

    def create(self, person):
        assert len(person["password"]) > 20
        if any(one["ids"]["email"]["value"] == person["ids"]["email"]["value"] for one in self.users.values()):
            return Reply(400, {"result": {"status": 400}, "errors": [{"field": "email", "message": "in use"}]})
        user_id = f"u{len(self.users) + 1}"
        made = {key: person[key] for key in ("objectType", "ids", "datas", "assertions")}
        self.users[user_id] = {
            "objectId": user_id,
            "typologies": ["consumer"],
            "updated_on": 1767225600001,
            **copy.deepcopy(made),
        }
        return found({"objectType": "user", "objectId": user_id, "confirmed": False})

    def bulk(self, request):
        assert request.headers["content-type"].startswith("application/jsonl")
        (line,) = request.body.decode().splitlines()
        bulk_id = f"b{len(self.bulks) + 1}"
        problem = self.edit(json.loads(line))
        self.bulks[bulk_id] = {"looks": 0, "failures": [problem] if problem else []}
        return found({"bulkId": bulk_id, "status": "received"})

    def results(self, bulk_id, part=None):
        bulk = self.bulks[bulk_id]
        if part == "results":
            return found(bulk["failures"])
        bulk["looks"] += 1
        return found({"bulkId": bulk_id, "status": "completed" if bulk["looks"] > self.delay else "processing"})

    def edit(self, line):
        """All or nothing. Returns what is wrong."""
        user = self.users[line["object_id"]]
        for part in ("ids", "datas"):
            for name in line.get(part, {}):
                if name in self.refuses:
                    return {
                        "objectId": line["object_id"],
                        "errors": [{"element": f"{part}.{name}", "message": self.refuses[name]}],
                    }
        for part in ("ids", "datas"):
            for name, entry in line.get(part, {}).items():
                self.put(user, part, name, entry)
        if self.keeps_typologies:
            user["typologies"] = line.get("typologies", user["typologies"])
        for one in line.get("assertions", {}).get("items", []):
            self.answer(user, one)
        self.edits += 1
        user["updated_on"] = f"2026-01-02T00:00:{self.edits:02}Z"
        return None

    def put(self, user, part, name, entry):
        before = user[part].get(name)
        if entry is None:
            user[part].pop(name, None)
        elif part == "ids" and before and before.get("confirmed") and self.confirms:
            if self.pendings:
                user["pending"] = {name: entry["value"]}
        else:
            user[part][name] = {**entry, "confirmed": False} if part == "ids" else entry

    def answer(self, user, told):
        for one in user["assertions"]["items"]:
            if (one["type"], one["typology"]) == (told["type"], told["typology"]):
                one["value"] = told["value"]
                return
        user["assertions"]["items"].append(told)
