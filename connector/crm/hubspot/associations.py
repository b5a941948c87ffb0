"""Which records belong to which contact.

Facts (HubSpot API, "Associations" v4; captured answers):
- a default association needs no type to be named; 2,000 pairs are made in a call, 1,000 records are read;
- making one that is there is fine;
- the answer may name a pair in both directions; a record without associations is an error of its row, and the answer a 207;
- a record with very many is told in pages, each record with a cursor of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crm.hubspot import answers, narrowing, paths
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.narrowing import Fault, Steps, Told
from connector.crm.hubspot.transport import Transport
from connector.errors import Missing, Permanent, Rejected, Transient

WHAT, READ, LABELS = "events: associate", "associations: read", "associations: list types"
NOT_THERE = (400, 404, 405)
"""What an account answers that knows no default association for this type of record, or not this call."""

Label = Mapping[str, Any]
MOST_PAGES = 100

Problem = Permanent | Transient | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A record and its contact."""

    ref: str
    record_id: str
    contact_id: str


class Associations:
    """Associations between contacts and records of another type. way_out: see `Transport.call`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._labels: dict[str, Label | None] = {}

    def join(self, kind: str, pairs: Sequence[Pair], way_out: str) -> dict[str, Problem]:
        """Associate records of a type with contacts: ref -> why not. Raises Transient when nothing is known of any."""

        def send(some: Sequence[Pair]) -> Reply:
            reply = self._send(kind, some, self._labels.get(kind), way_out)
            if kind not in self._labels and reply.status in NOT_THERE:
                self._labels[kind] = self._label(kind, way_out)
                return self._send(kind, some, self._labels[kind], way_out) if self._labels[kind] else reply
            return reply

        def look(some: Sequence[Pair], reply: Reply) -> dict[str, Problem]:
            held = self.read(kind, paths.CONTACTS, [one.record_id for one in some], way_out)
            return {one.ref: None for one in some if one.contact_id in held.get(one.record_id, [])}

        return narrowing.settle(Steps(WHAT, send, _tell, _refuse, lambda _, error: error, look), pairs)

    def _send(self, kind: str, some: Sequence[Pair], label: Label | None, way_out: str) -> Reply:
        """By default, or with a type of association: not every account takes custom objects by default."""
        last = ("associate", "default") if label is None else ("create",)
        path = paths.under(paths.ASSOCIATIONS, kind, paths.CONTACTS, "batch", *last)
        types = {} if label is None else {"types": [label]}
        body = {"inputs": [{"from": {"id": one.record_id}, "to": {"id": one.contact_id}, **types} for one in some]}
        return self._transport.http(WHAT, "POST", path, body, refusals=True, way_out=way_out)

    def _label(self, kind: str, way_out: str) -> Label | None:
        """The plain association between a type and contacts, as the account calls it; None when it tells none."""
        path = paths.under(paths.ASSOCIATIONS, kind, paths.CONTACTS, "labels")
        found = _results(self._transport.http(LABELS, "GET", path, refusals=True, way_out=way_out))
        for one in sorted(found, key=lambda one: bool(one.get("label"))):
            if one.get("typeId"):
                return {"associationCategory": str(one.get("category", "USER_DEFINED")), "associationTypeId": one["typeId"]}
        return None

    def read(self, of: str, to: str, ids: Iterable[str], way_out: str) -> dict[str, list[str]]:
        """Ids of the records of type `to` that belong to each of these; those without any are absent."""
        path = paths.under(paths.ASSOCIATIONS, of, to, "batch", "read")
        found: dict[str, list[str]] = {}
        inputs = [{"id": one} for one in dict.fromkeys(ids)]
        for _ in range(MOST_PAGES):
            if not inputs:
                return found
            try:
                reply = self._transport.http(READ, "POST", path, {"inputs": inputs}, way_out=way_out)
            except Missing:
                return found
            narrowing.raise_failures(READ, reply)  # a record without associations is an error, too, and means none
            inputs = _take(found, reply)
        raise Rejected(f"hubspot: {READ}: the listing does not end")


def _tell(pairs: Sequence[Pair], reply: Reply) -> Told[Pair, Problem]:
    told: Told[Pair, Problem] = Told(open=list(pairs))
    if reply.ok:
        joined = {frozenset((_id(one, "from"), _id(one, "to"))) for one in _results(reply)}
        for pair in pairs:
            if frozenset((pair.record_id, pair.contact_id)) in joined:
                told.settle(pair.ref, None)
    for fault in narrowing.faults(reply):
        values = narrowing.values(fault)
        named = [one for one in told.open if {one.record_id, one.contact_id} & values]
        for pair in named:
            told.settle(pair.ref, _refuse(pair, fault, reply))
        if not named:
            told.faults.append(fault)
    return told


def _refuse(pair: Pair, fault: Fault, reply: Reply) -> Problem:
    problem = answers.row_error(f"hubspot: {WHAT} with contact {pair.contact_id}:", fault)
    return problem if isinstance(problem, Permanent | Transient) else Rejected(str(problem))


def _take(found: dict[str, list[str]], reply: Reply) -> list[dict[str, str]]:
    """Take a page. Returns the inputs for the next one."""
    following = []
    for one in _results(reply):
        owner = _id(one, "from")
        told = [each for each in one.get("to") or [] if isinstance(each, dict) and each.get("toObjectId")]
        found.setdefault(owner, []).extend(str(each["toObjectId"]) for each in told)
        if after := _after(one):
            following.append({"id": owner, "after": after})
    return following


def _results(reply: Reply) -> list[Mapping[str, Any]]:
    found = (reply.body or {}).get("results")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _id(one: Mapping[str, Any], side: str) -> str:
    told = one.get(side)
    return str(told.get("id", "")) if isinstance(told, dict) else ""


def _after(one: Mapping[str, Any]) -> str:
    paging = one.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    return str(following.get("after") or "") if isinstance(following, dict) else ""
