"""What the kinds of event records share: how values are written, and how records of a type are archived."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from connector.crm.base import BATCH
from connector.crm.hubspot import paths
from connector.crm.hubspot.records import chunks
from connector.crm.hubspot.transport import Transport
from connector.errors import Missing

LONGEST_TEXT = 60_000
"""Characters; HubSpot's own limit is 65,536 in a text property and in the body of a note."""
LONGEST_DETAIL = 500


def moment(at: datetime) -> str:
    """A time as HubSpot takes it everywhere: ISO 8601 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(value: Any) -> str:
    """One detail as text."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def details(told: Mapping[str, Any]) -> str:
    """Details as JSON; long texts are cut when they would not fit otherwise. "" when there are none."""
    known = {name: value for name, value in told.items() if value is not None}
    if not known:
        return ""
    whole = json.dumps(known, ensure_ascii=False, default=str)
    if len(whole) <= LONGEST_TEXT:
        return whole
    short = {name: value[:LONGEST_DETAIL] if isinstance(value, str) else value for name, value in known.items()}
    return json.dumps(short, ensure_ascii=False, default=str)


def taken(what: str) -> str:
    """That HubSpot makes no object or event of a name, as there is one, and shows none."""
    way_out = "restore it in HubSpot, or name another under events.object"
    return f"hubspot: {what}: create: 409, the name is taken by what HubSpot does not show (an archived one?); {way_out}"


def archive(transport: Transport, kind: str, ids: Iterable[str], way_out: str) -> None:
    """Archive records of a type; those already gone count as done. One call per 100, and one each when that is refused."""
    what = "events: remove"
    for some in chunks(ids, BATCH):
        path = paths.under(paths.OBJECTS, kind, "batch", "archive")
        body = {"inputs": [{"id": one} for one in some]}
        reply = transport.http(what, "POST", path, body, refusals=True, way_out=way_out)
        if reply.ok and not (reply.body or {}).get("errors"):
            continue
        for one in some:
            try:
                transport.http(f"{what} {one}", "DELETE", paths.under(paths.OBJECTS, kind, one), way_out=way_out)
            except Missing:
                continue
