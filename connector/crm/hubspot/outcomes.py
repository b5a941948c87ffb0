"""What a batch answer says about each of its rows. Pure: no calls.

Facts (HubSpot API, "Error handling" and the contacts reference; reports of others):
- an answer is partial when it is 207, when `numErrors` is above 0, or when it has fewer results than the call had rows;
- results come in no promised order, so a row is found by its trace id, else by its id or unique value;
- an error names its rows in `context` (trace ids, or ids); some name none, and then only exclusion helps;
- batch upsert may refuse a whole batch with 409 because of one row, without saying which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crm.base import Outcome, Write
from connector.crm.hubspot import answers, narrowing
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.narrowing import Fault
from connector.errors import ConnectorError, Permanent, Rejected, Transient


@dataclass(slots=True)
class Told(narrowing.Told[Write, Outcome]):
    """See `narrowing.Told`."""

    @property
    def conflicts(self) -> list[Fault]:
        """The faults that are about a value another contact holds."""
        return [fault for fault in self.faults if answers.is_conflict(fault)]


def tell(what: str, rows: Sequence[Write], reply: Reply, key: str | None) -> Told:
    """Sort an answer by row. key: the unique property the rows' ids are values of; None when they are record ids."""
    told = Told(open=list(rows))
    body = reply.body or {}
    if reply.ok:
        _take_results(told, body, reply.request, key)
    faults = _split(body.get("errors") or []) if reply.ok else _split([{**body, "status": reply.status}])
    for fault in faults:
        named = _rows_named(rows, fault)
        _refuse(told, what, [row for row in named if row in told.open], fault, reply.request)
        if not named:
            told.faults.append(fault)
    _by_property(told, what, reply.request)
    if len(told.open) == 1 and told.faults:
        _refuse(told, what, told.open, told.faults[0], reply.request)
    return told


def failed(row: Write, error: ConnectorError, request: str = "") -> Outcome:
    """The outcome of a row that was not written."""
    return Outcome(row.ref, error=error if isinstance(error, Permanent | Transient) else Rejected(str(error)), request=request)


def _take_results(told: Told, body: Mapping[str, Any], request: str, key: str | None) -> None:
    for result in body.get("results") or []:
        if not isinstance(result, dict) or not result.get("id"):
            continue
        row = _row_of(told.open, result, key)
        if row:
            told.open.remove(row)
            told.done[row.ref] = Outcome(row.ref, answers.contact(result), bool(result.get("new")), request=request)


def _row_of(rows: Sequence[Write], result: Mapping[str, Any], key: str | None) -> Write | None:
    traced = answers.trace_ids(result)
    if traced:
        return next((row for row in rows if row.ref in traced), None)
    holds = str((result.get("properties") or {}).get(key) or "") if key else str(result["id"])
    return next((row for row in rows if kept(row.id, key) == kept(holds, key)), None)


def kept(value: str, key: str | None) -> str:
    """An id, or a value of the unique property `key`, as HubSpot keeps it: emails in lower case."""
    return value.strip().lower() if key == "email" else value


def _rows_named(rows: Sequence[Write], fault: Fault) -> list[Write]:
    traced, ids = answers.trace_ids(fault), answers.record_ids(fault)
    if traced:
        return [row for row in rows if row.ref in traced]
    return [row for row in rows if row.id in ids]


def _split(errors: Sequence[Any]) -> list[Fault]:
    """One fault per error; an error whose inner errors name their own rows becomes one for each of these."""
    faults: list[Fault] = []
    for error in errors:
        if not isinstance(error, dict):
            continue
        inner = [entry for entry in error.get("errors") or [] if isinstance(entry, dict)]
        naming = [entry for entry in inner if answers.trace_ids(entry) or answers.record_ids(entry)]
        outer = {name: error.get(name) for name in ("status", "category")}
        faults += [{**outer, **entry, "errors": [entry]} for entry in naming] or [error]
    return faults


def _by_property(told: Told, what: str, request: str) -> None:
    """Give faults that name properties to the rows that hold these: all of them where the value does not matter, else the
    only one there is."""
    for fault in [one for one in told.faults if not answers.is_conflict(one)]:
        codes = dict(answers.property_errors(fault))
        hopeless = [name for name, why in codes.items() if why in answers.REASONS]
        guilty = [row for row in told.open if not row.properties.keys().isdisjoint(hopeless)]
        if guilty:
            _refuse(told, what, guilty, fault, request, hopeless)
        else:
            holders = [[row for row in told.open if name in row.properties] for name in codes]
            guilty = [rows[0] for rows in holders if len(rows) == 1][:1]
            _refuse(told, what, guilty, fault, request)
        if guilty:
            told.faults.remove(fault)


def _refuse(told: Told, what: str, rows: Sequence[Write], fault: Fault, request: str, about: Sequence[str] | None = None) -> None:
    """Close rows with an error. about: the properties it may name; by default all of the row's."""
    for row in list(rows):
        names = [name for name in row.properties if about is None or name in about]
        told.open.remove(row)
        told.done[row.ref] = failed(row, answers.row_error(f"hubspot: {what}:", fault, names), request)
