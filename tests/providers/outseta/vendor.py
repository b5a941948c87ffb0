"""An Outseta account over real HTTP: keys, pages counted as its reference says, lists, and a PUT that may replace."""

import copy
import json
from pathlib import Path

from connector.testing import Reply

FIXTURES = Path(__file__).parent / "fixtures"
KEY = "canary-api-key:canary-api-secret"
EMAIL = "ada.canary@example.com"
NEWSLETTER, CLUB = "newslttr", "clublist"
BUILT_IN = (
    "_objectType", "Uid", "Created", "Updated", "EmailListPerson", "PersonAccount", "HasUnsubscribed", "OptInToEmailList",
    "FullName", "HasLoggedIn", "LastLoginDateTime",
)  # fmt: skip
"""What a PUT leaves alone in any case."""


def person(number, **more):
    time = f"T00:{number // 60:02}:{number % 60:02}"
    return {
        "_objectType": "Person", "Uid": f"p{number}", "Email": f"{number}@example.com", "EmailListPerson": [],
        "PersonAccount": [], "Created": f"2025-01-01{time}", "Updated": f"2026-01-01{time}", **more,
    }  # fmt: skip


class Account:
    """replaces: whether a PUT removes what it is not sent. rows: whether an offset counts rows."""

    def __init__(self, replaces=True, rows=False):
        self.people = {"DQ2DyknW": json.loads((FIXTURES / "person.json").read_bytes())}
        self.lists = {NEWSLETTER: False, CLUB: True}
        self.replaces, self.rows = replaces, rows
        self.edits = 0
        self.between = lambda: None

    def __call__(self, request):
        if request.headers.get("authorization") != f"Outseta {KEY}":
            return Reply(401)
        place = request.path.removeprefix("/api/v1")
        if place == "/crm/people":
            return self.add(request.json()) if request.method == "POST" else self.listed(request.query)
        if place.startswith("/crm/people/"):
            return self.one(request, place.removeprefix("/crm/people/"))
        if place.startswith("/email/lists/"):
            return self.subscription(request, place.split("/")[3:])
        return Reply(404)

    def listed(self, query):
        people = sorted(self.people.values(), key=lambda one: one[query.get("orderBy", "Created ASC").split()[0]])
        if "Email" in query:
            people = [one for one in people if one["Email"].casefold() == query["Email"].casefold()]
        people = [one for one in people if one["Updated"] >= query.get("Updated__gte", "")]
        limit, offset = int(query.get("limit", 25)), int(query.get("offset", 0))
        assert limit <= 25 or "fields" not in query
        start = offset if self.rows else offset * limit
        answer = {"metadata": {"limit": limit, "offset": offset, "total": len(people)}, "items": people[start : start + limit]}
        reply = Reply(200, copy.deepcopy(answer))
        self.between()
        return reply

    def add(self, told):
        if any(one["Email"] == told["Email"] for one in self.people.values()):
            return Reply(400, {"ErrorMessage": f"{told['Email']} is in use", "PropertyName": "Email"})
        uid = f"new{len(self.people)}"
        self.people[uid] = {**person(len(self.people)), "Uid": uid, **told}
        return Reply(200, self.people[uid])

    def one(self, request, uid):
        if uid not in self.people:
            return Reply(404, {"error": {"message": "not found"}})
        if request.method == "DELETE":
            del self.people[uid]
            return Reply(200)
        if request.method == "PUT":
            problem = self.edit(uid, request.json())
            if problem:
                return Reply(400, problem)
        return Reply(200, self.people[uid])

    def edit(self, uid, told):
        if len(str(told.get("FirstName"))) > 250:
            return {"EntityValidationErrors": [{"ValidationErrors": [{"PropertyName": "FirstName", "ErrorMessage": "too long"}]}]}
        before = self.people[uid]
        kept = {name: before[name] for name in BUILT_IN if name in before} if self.replaces else before
        self.people[uid] = {**kept, **told}
        self.touch(uid)
        return None

    def touch(self, uid):
        self.edits += 1
        self.people[uid]["Updated"] = f"2026-02-01T00:00:{self.edits:02}"

    def subscription(self, request, parts):
        uid = parts[2] if request.method == "DELETE" else request.json()["Person"]["Uid"]
        if parts[0] not in self.lists or uid not in self.people:
            return Reply(404)
        entries = self.people[uid]["EmailListPerson"]
        mine = next((one for one in entries if one["EmailList"]["Uid"] == parts[0]), None)
        if request.method == "DELETE":
            if mine is None:
                return Reply(404)
            mine |= {"EmailListSubscriberStatus": 2, "UnsubscribedDate": "2026-02-01T00:00:00"}
        else:
            if mine is None:
                mine = {"EmailList": {"Uid": parts[0], "RequiresDoubleOptIn": self.lists[parts[0]]}}
                entries.append(mine)
            mine |= {"EmailListSubscriberStatus": 1, "SubscribedDate": "2026-02-02T00:00:00"}
        self.touch(uid)
        return Reply(200, mine)
