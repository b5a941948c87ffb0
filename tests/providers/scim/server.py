"""A small SCIM server that can speak several dialects; what it keeps can be looked at. The whole standard is tried elsewhere."""

import copy
import json
import re

from connector.testing import Reply

KEY = "canary-scim-token"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
LISTING = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
STAMP = "2026-01-01T00:00:{:02}Z"


class ScimServer:
    """quirks: "no ge", "no filter" (refused), "filter ignored", "filter finds nobody", "no count", "start ignored", "no total",
    "no total, no list" (when it is empty), "total of the page", "lower case", "no patch" (405), "patch missing" (404), "204",
    "no delete", "no email filter", "400", "groups untold", "empty groups untold", "no display", "no group patch", "no target"
    """

    def __init__(self, *quirks, cap=1000):
        self.quirks = set(quirks)
        self.cap = cap
        self.users = {}
        self.groups = {}
        """Id -> name and ids of members."""
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
            return self.create(request.json()) if request.method == "POST" else self.list(request.query, self.users.values())
        if request.path == "/Groups":
            assert request.query["excludedAttributes"] == "members"
            return self.list(request.query, [self.group(one) for one in self.groups])
        if request.path.startswith("/Groups/"):
            return self.regroup(request, request.path.removeprefix("/Groups/"))
        user_id = request.path.removeprefix("/Users/")
        if request.path.startswith("/Users/") and user_id in self.users:
            return self.one(request, user_id)
        return Reply(404, {"status": "404"})

    def told(self, user):
        """A user with the groups, which are kept elsewhere."""
        found = [(one, name) for one, (name, members) in self.groups.items() if user["id"] in members]
        if "groups untold" in self.quirks or ("empty groups untold" in self.quirks and not found):
            return user
        shown = [{"value": one, "type": "direct", "display": name} for one, name in found]
        return {**user, "groups": [{"value": one["value"]} for one in shown] if "no display" in self.quirks else shown}

    def group(self, group_id):
        return {"schemas": [GROUP], "id": group_id, "displayName": self.groups[group_id][0]}

    def regroup(self, request, group_id):
        if group_id not in self.groups:
            return Reply(404, {"status": "404"})
        if request.method == "GET":
            return Reply(200, self.spelled(self.group(group_id)))
        if "no group patch" in self.quirks:
            return Reply(405)
        (one,) = request.json()["Operations"]
        members = self.groups[group_id][1]
        if one["op"] == "add":
            assert one["path"] == "members"
            members.update(member["value"] for member in one["value"])
            return Reply(204)
        gone = json.loads(re.fullmatch(r"members\[value eq (.+)\]", one["path"])[1])
        if gone not in members and "no target" in self.quirks:
            return Reply(400, {"scimType": "noTarget", "status": "400"})
        members.discard(gone)
        return Reply(200, self.spelled(self.group(group_id)))

    def list(self, query, listed):
        if "no count" in self.quirks and "count" in query:
            return Reply(400, {"scimType": "invalidValue"})
        found = [self.told(one) if "userName" in one else one for one in listed]
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
        if text.startswith("displayName"):
            wanted = json.loads(text.removeprefix("displayName eq ")).casefold()
            return [one for one in found if one["displayName"].casefold() == wanted]
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
            user = {key: value for key, value in request.json().items() if key not in ("meta", "groups")}
            self.users[user_id] = {**user, "meta": self.users[user_id]["meta"]}
        if request.method != "GET":
            self.touch(user_id)
            if "204" in self.quirks:
                return Reply(204)
        user = self.users[user_id]
        return Reply(200, self.spelled(self.told(user)), {"ETag": user["meta"]["version"]})

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
