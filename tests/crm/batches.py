"""Batches of writes, and portals that make something of them."""

import json

from connector.crm.base import Outcome, Write
from tests.crm.conftest import Call, Say, error, record, results

KEY = "members_user_id"


def rows(*users: str, **properties: str) -> list[Write]:
    """One row per user: ref r-u, id u, with an email of its own."""
    return [Write(f"r-{user}", user, {"email": f"{user}@example.no", **properties}) for user in users]


def accept(call: Call, *, without: tuple[str, ...] = ()) -> list[dict]:
    """What HubSpot answers for rows it writes: the properties it was given, in an order of its own, with trace ids."""
    return [
        record(f"9{one['id']}", one["objectWriteTraceId"], new=True, **one["properties"])
        for one in reversed(call.body["inputs"])
        if one["id"] not in without
    ]


def refusing(bad: dict[str, dict], traced: bool = True):
    """A portal that refuses some users' rows, each with its error, and says which unless `traced` is off."""

    def answer(call: Call) -> Say:
        found = [one for one in call.body["inputs"] if one["id"] in bad]
        errors = [
            {**bad[one["id"]], "context": {**bad[one["id"]]["context"], "objectWriteTraceId": [one["objectWriteTraceId"]]}}
            if traced
            else bad[one["id"]]
            for one in found
        ]
        return results(*accept(call, without=tuple(bad)), errors=errors)

    return answer


def refusing_all(bad: dict[str, dict], status: int = 400):
    """A portal that refuses a whole batch because of one row, and names the first only."""

    def answer(call: Call) -> Say:
        for one in call.body["inputs"]:
            if one["id"] in bad:
                return Say(status, bad[one["id"]])
        return results(*accept(call))

    return answer


def invalid(name: str, code: str, value: str = "x") -> dict:
    found = json.dumps([{"isValid": False, "message": f"«{value}» não é válido", "error": code, "name": name}])
    return error("VALIDATION_ERROR", f"Property values were not valid: {found}")


def conflict(contact_id: str) -> dict:
    return error("CONFLICT", f"Kontakten finnes allerede. Eksisterende ID: {contact_id}")


def by_ref(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.ref: outcome for outcome in outcomes}


class Holding:
    """A portal where some emails are taken: batch writes fail whole, naming the first contact only."""

    def __init__(self, holders: dict[str, dict], names: bool = True) -> None:
        self.holders = holders
        self.names = names

    def __call__(self, call: Call) -> Say:
        if call.path.endswith("/batch/read"):
            return results(*(one for one in self.holders.values() if {one["id"], one["properties"]["email"]} & set(call.ids)))
        taken = [one["id"] for one in call.body["inputs"] if one["id"] in self.holders]
        if taken:
            return Say(409, conflict(self.holders[taken[0]]["id"]) if self.names else error("CONFLICT"))
        return results(*accept(call))
