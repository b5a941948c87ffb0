"""The associations API, v4.

Facts (HubSpot API, "Associations" v4; its Python client for the fields; captured bodies):
- 2,000 rows to create, 1,000 to read; the object scopes of both sides are needed;
- the default association is made without naming its type;
- a record without associations is an error of its row (NO_ASSOCIATIONS_FOUND), and the answer a 207.
"""

from collections.abc import Callable
from typing import Any

from connector.sandbox.answers import Answers, Row, Shown, Write, rows_of
from connector.sandbox.associations import Link, LinkType
from connector.sandbox.object_types import ObjectType, ObjectTypes
from connector.sandbox.replies import NOT_FOUND, Refusal, bad_request, id_of, objects_of
from connector.sandbox.wire import Asked, Told

MOST_CREATED, MOST_READ = 2_000, 1_000


class Associations:
    """Every method takes a request and gives its answer, or raises Refusal."""

    def __init__(self, types: ObjectTypes, answers: Answers) -> None:
        self._types = types
        self._links = types.links
        self._answers = answers

    def labels(self, asked: Asked) -> Told:
        """The types there are."""
        of, to = self._sides(asked, writes=False)
        return Told({"results": [_labelled(one) for one in self._links.types(of.kind.id, to.kind.id)]})

    def create(self, asked: Asked) -> Told:
        """Many, each with its types."""
        of, to = self._sides(asked, writes=True)

        def plan(row: Row) -> Write:
            types = [self._links.typed(of.kind.id, one, to.kind.id) for one in objects_of(row, "types")]
            if not types:
                raise bad_request("Invalid input JSON: types are missing")
            return self._joining(of, to, row, types, lambda left, right: _pair(of, left, to, right))

        return self._answers.wrote(self._answers.each(rows_of(asked, MOST_CREATED), plan), 201)

    def associate(self, asked: Asked) -> Told:
        """Many, of the default type."""
        of, to = self._sides(asked, writes=True)
        rows = rows_of(asked, MOST_CREATED)
        return self._answers.wrote(self._answers.each(rows, lambda row: self._default(of, to, row)))

    def associate_one(self, asked: Asked) -> Told:
        """One, of the default type."""
        of, to = self._sides(asked, writes=True)
        row = {"from": {"id": asked.params["id"]}, "to": {"id": asked.params["other"]}}
        return self._answers.wrote(self._answers.each([row], lambda one: self._default(of, to, one)))

    def read(self, asked: Asked) -> Told:
        """What is associated with many records."""
        of, to = self._sides(asked, writes=False)
        results: list[Shown] = []
        errors: list[Refusal] = []
        for row in rows_of(asked, MOST_READ):
            wanted = str(row.get("id"))
            record = of.records.get(wanted)
            found = self._links.of(of.kind.id, record.id, to.kind.id) if record else {}
            if found:
                listed = [{"toObjectId": str(one), "associationTypes": [_labelled(t) for t in ts]} for one, ts in found.items()]
                results.append({"from": {"id": wanted}, "to": listed})
            else:
                errors.append(_none(of, wanted, to))
        return self._answers.found(results, errors)

    def _sides(self, asked: Asked, writes: bool) -> tuple[ObjectType, ObjectType]:
        of, to = self._types.get(asked.params["from"]), self._types.get(asked.params["to"])
        for one in (of, to):
            self._types.allow(one, one.kind.writes if writes else one.kind.reads)
        return of, to

    def _default(self, of: ObjectType, to: ObjectType, row: Row) -> Write:
        kind = self._links.default(of.kind.id, to.kind.id)

        def told(left: int, right: int) -> Shown:
            return {"from": {"id": str(left)}, "to": {"id": str(right)}, "associationSpec": kind.told()}

        return self._joining(of, to, row, [kind], told)

    def _joining(
        self, of: ObjectType, to: ObjectType, row: Row, types: list[LinkType], told: Callable[[int, int], Shown]
    ) -> Write:
        left = self._links.record(of.kind.id, id_of(row, "from"))
        right = self._links.record(to.kind.id, id_of(row, "to"))

        def write() -> Shown:
            self._links.join(left, [Link(one, right) for one in types])
            return told(left, right)

        return write


def _labelled(one: LinkType) -> dict[str, Any]:
    return {"category": one.category, "typeId": one.id, "label": None}


def _pair(of: ObjectType, left: int, to: ObjectType, right: int) -> Shown:
    ids = {"fromObjectTypeId": of.kind.id, "fromObjectId": str(left), "toObjectTypeId": to.kind.id, "toObjectId": str(right)}
    return {**ids, "labels": []}


def _none(of: ObjectType, wanted: str, to: ObjectType) -> Refusal:
    context = {"fromObjectId": [wanted], "fromObjectType": [of.kind.singular], "toObjectType": [to.kind.singular]}
    message = f"No {to.kind.singular} is associated with {of.kind.singular} {wanted}."
    return Refusal(404, NOT_FOUND, message, subCategory="crm.associations.NO_ASSOCIATIONS_FOUND", context=context)
