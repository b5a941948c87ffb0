"""A small SCIM server that can speak several dialects; what it keeps can be looked at. The whole standard is tried elsewhere."""

import copy
import re

from connector.testing import Reply

KEY = "canary-scim-token"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
LISTING = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
STAMP = "2026-01-01T00:00:{:02}Z"


class ScimServer:
    """quirks: "no ge", "no filter" (refused), "filter ignored", "filter finds nobody", "no count", "start ignored", "no total",
    "no total, no list" (when it is empty), "total of the page", "lower case", "no patch" (405), "patch missing" (404), "204",
    "no delete", "no email filter", "400"
    """

    def __init__(self, *quirks, cap=1000):
        self.quirks = set(quirks)
        self.cap = cap
        self.users = {}
        self.clock = 0

    def add(self, user_id, email, **more):
        user = {
            "schemas": [CORE],
            "id": user_id,
            "userName": email,
            "emails": [{"value": email, "type": "work", "primary": True}],
        }
        self.users[user_id] = {**user, "active": True, **more}
        self.touch(user_id)

    def touch(self, user_id):
        self.clock += 1
        meta = {"resourceType": "User", "created": STAMP.format(0), "version": f'W/"{self.clock}"'}
        self.users[user_id]["meta"] = {**meta, "lastModified": STAMP.format(self.clock % 60)}

    def __call__(self, request):
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Reply(401, {"status": "401"})
        if request.path == "/Users":
            return self.create(request.json()) if request.method == "POST" else self.list(request.query)
        user_id = request.path.removeprefix("/Users/")
        if request.path.startswith("/Users/") and user_id in self.users:
            return self.one(request, user_id)
        return Reply(404, {"status": "404"})

    def list(self, query):
        if "no count" in self.quirks and "count" in query:
            return Reply(400, {"scimType": "invalidValue"})
        found = list(self.users.values())
        if "filter" in query and "filter ignored" not in self.quirks:
            if "no filter" in self.quirks:
                return Reply(501)
            found = self.filtered(query["filter"], found)
            if found is None:
                return Reply(400, {"scimType": "invalidFilter"})
        start = 0 if "start ignored" in self.quirks else int(query.get("startIndex", 1)) - 1
        page = found[start : start + min(int(query.get("count", self.cap)), self.cap)]
        answer = {"totalResults": len(page) if "total of the page" in self.quirks else len(found), "startIndex": start + 1}
        answer |= {"schemas": [LISTING], "itemsPerPage": len(page)}
        if {"no total", "no total, no list"} & self.quirks:
            del answer["totalResults"]
        if page or "no total" in self.quirks:
            answer["Resources"] = page
        return Reply(200, self.spelled(answer))

    def filtered(self, text, found):
        if "filter finds nobody" in self.quirks:
            return []
        name, operator, value = re.fullmatch(r'([\w.]+)(?:\[value)? (\w+) "(.*?)"\]?', text).groups()
        if (operator == "ge" and "no ge" in self.quirks) or (name == "emails.value" and "no email filter" in self.quirks):
            return None
        if name == "meta.lastModified":
            compare = (lambda a: a > value) if operator == "gt" else (lambda a: a >= value)
            return [user for user in found if compare(user["meta"]["lastModified"])]
        read = (
            (lambda user: user["userName"])
            if name == "userName"
            else (lambda user: (user.get("emails") or [{}])[0].get("value", ""))
        )
        return [user for user in found if read(user).casefold() == value.casefold()]

    def create(self, told):
        if any(user["userName"].casefold() == told["userName"].casefold() for user in self.users.values()):
            return Reply(400 if "400" in self.quirks else 409, {"scimType": "uniqueness", "status": "409"})
        user_id = f"u-{len(self.users) + 1}"
        self.users[user_id] = {**told, "id": user_id}
        self.touch(user_id)
        return Reply(201, self.spelled(self.users[user_id]))

    def one(self, request, user_id):
        user = self.users[user_id]
        match = request.headers.get("if-match")
        if match and match != user["meta"]["version"]:
            return Reply(412)
        if request.method == "DELETE":
            if "no delete" in self.quirks:
                return Reply(501)
            del self.users[user_id]
            return Reply(204)
        if request.method == "PATCH":
            if {"no patch", "patch missing"} & self.quirks:
                return Reply(405 if "no patch" in self.quirks else 404)
            self.users[user_id] = user = patched(user, request.json()["Operations"])
        elif request.method == "PUT":
            user = {key: value for key, value in request.json().items() if key != "meta"}
            self.users[user_id] = {**user, "meta": self.users[user_id]["meta"]}
        if request.method != "GET":
            self.touch(user_id)
            if "204" in self.quirks:
                return Reply(204)
        user = self.users[user_id]
        return Reply(200, self.spelled(user), {"ETag": user["meta"]["version"]})

    def spelled(self, value):
        return lowered(value) if "lower case" in self.quirks else value


def lowered(value):
    if isinstance(value, dict):
        return {
            key.lower(): [one.lower() for one in inner] if key == "schemas" else lowered(inner) for key, inner in value.items()
        }
    return [lowered(one) for one in value] if isinstance(value, list) else value


def patched(user, operations):
    """RFC 7644 for paths without filters."""
    user = copy.deepcopy(user)
    for one in operations:
        schema, _, rest = one["path"].rpartition(":")
        *above, last = ([schema] if schema else []) + rest.split(".")
        inner = user
        for name in above:
            inner = inner.setdefault(name, {})
        if one["op"] == "remove":
            inner.pop(last, None)
        else:
            inner[last] = one["value"]
    return user
