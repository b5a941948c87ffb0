"""The properties API."""

from collections.abc import Callable
from typing import Any

from connector.sandbox.replies import Refusal, bad_request, not_found
from connector.sandbox.schema import ORDINARY, Property, Schema
from connector.sandbox.wire import Asked, Told


class Definitions:
    """Calls about property definitions. Every method takes a request and gives its answer, or raises Refusal."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def listed(self, asked: Asked) -> Told:
        """All definitions, without pages."""
        return Told({"results": [one.told() for one in self._listed(asked)]})

    def read(self, asked: Asked) -> Told:
        """One definition."""
        found = next((one for one in self._listed(asked) if one.name == asked.params["name"]), None)
        if found is None:
            raise not_found(what=f"Property '{asked.params['name']}'")
        return Told(found.told())

    def create(self, asked: Asked) -> Told:
        """A new property."""
        return Told(self._schema.create(asked.body).told(), 201)

    def update(self, asked: Asked) -> Told:
        """Another label, group, or list of options."""
        return Told(self._schema.update(asked.params["name"], asked.body).told())

    def archive(self, asked: Asked) -> Told:
        """Put a property away."""
        self._schema.archive(asked.params["name"])
        return Told(status=204)

    def batch_create(self, asked: Asked) -> Told:
        """Several new properties, each on its own."""
        return self._each(asked, lambda row: self._schema.create(row).told(), 201)

    def batch_read(self, asked: Asked) -> Told:
        """Several definitions."""

        def read(row: dict[str, Any]) -> dict[str, Any]:
            found = self._schema.get(str(row.get("name")))
            if found is None:
                raise not_found(what=f"Property '{row.get('name')}'")
            return found.told()

        return self._each(asked, read, 200)

    def batch_archive(self, asked: Asked) -> Told:
        """Put several away; unknown names are ignored."""
        for row in _inputs(asked):
            if self._schema.get(str(row.get("name"))):
                self._schema.archive(str(row["name"]))
        return Told(status=204)

    def groups(self, asked: Asked) -> Told:
        """All groups."""
        return Told({"results": [_group(name, label) for name, label in self._schema.groups.items()]})

    def create_group(self, asked: Asked) -> Told:
        """A new group."""
        name = str(asked.body.get("name") or "")
        if not name:
            raise bad_request("Invalid input JSON: required fields were not set: [name]")
        self._schema.add_group(name, str(asked.body.get("label") or ""))
        return Told(_group(name, self._schema.groups[name]), 201)

    def read_group(self, asked: Asked) -> Told:
        """One group."""
        name = asked.params["name"]
        if name not in self._schema.groups:
            raise not_found(what=f"Group '{name}'")
        return Told(_group(name, self._schema.groups[name]))

    def _listed(self, asked: Asked) -> list[Property]:
        return self._schema.listed(asked.flag("archived"), asked.query.get("dataSensitivity") or ORDINARY)

    def _each(self, asked: Asked, work: Callable[[dict[str, Any]], dict[str, Any]], status: int) -> Told:
        results, errors = [], []
        for row in _inputs(asked):
            try:
                results.append(work(row))
            except Refusal as refused:
                errors.append(refused.told())
        failed = {"numErrors": len(errors), "errors": errors} if errors else {}
        return Told({"status": "COMPLETE", "results": results, **failed}, 207 if errors else status)


def _group(name: str, label: str) -> dict[str, Any]:
    return {"name": name, "label": label, "displayOrder": -1, "archived": False}


def _inputs(asked: Asked) -> list[dict[str, Any]]:
    rows = asked.body.get("inputs")
    if not isinstance(rows, list) or not 0 < len(rows) <= 100 or not all(isinstance(row, dict) for row in rows):
        raise bad_request("Invalid input JSON: inputs must be a list of 1 to 100 objects")
    return rows
