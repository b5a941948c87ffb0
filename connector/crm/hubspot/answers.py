"""Reading HubSpot's answers: what failed, which codes it named, what a record holds.

Facts (HubSpot API, "Error handling"; spec of the contacts API; bodies captured by others):
- every field of an error body is optional, so a missing one is never an error of ours;
- messages are localised and repeat the values they refuse: codes and names are read out of them, the words go no further, but
  for those about definitions, which hold nobody's data and name limits that no code does;
- property errors are in `errors[]` or, for contacts, in a JSON array at the end of `message`;
- a conflict names the contact in `context.existingId` or as the last number of its message;
- a 404 that is not HubSpot's own JSON comes from something in between and says nothing about a contact.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from connector.crm.hubspot.sdk import Raw
from connector.errors import ConnectorError, Denied, Exists, Missing, Paused, Rejected, Unavailable
from connector.model import Contact

CREDENTIALS_PAUSE = 60.0
DAILY_PAUSE = 3600.0  # the quota comes back at midnight in the account's time zone, which the answer does not tell
LONGEST_MIGRATION = 86400.0
LONGEST_PAUSE = 60.0
"""Seconds."""
LONGEST_WORDS = 300
"""Characters of what HubSpot says in words."""

CONFLICT = "CONFLICT"
UNIQUE_CONFLICT = "CONFLICTING_UNIQUE_VALUE"
NOT_FOUND = "OBJECT_NOT_FOUND"
REASONS = {
    "PROPERTY_DOESNT_EXIST": "HubSpot has no such property (PROPERTY_DOESNT_EXIST)",
    "READ_ONLY_VALUE": "HubSpot does not let it be written (READ_ONLY_VALUE)",
}
"""Codes that hold for a property whatever the value, and our words for them."""

TROUBLE = "; try again later, and look at status.hubspot.com"
STRANGE = "; look at crm.base_url and what is in between"
"""The way out when HubSpot fails, and when the answer is hardly HubSpot's."""


class Busy(Paused):
    """A rate limit or lock that may pass within one call."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read. `body` is None when it is not a JSON object. `request`: HubSpot's id of the call, "" when not told."""

    status: int
    body: dict[str, Any] | None
    headers: Mapping[str, str]
    request: str

    @property
    def ok(self) -> bool:
        """A 2xx."""
        return 200 <= self.status < 300


def read(raw: Raw) -> Reply:
    """Parse an answer; never fails."""
    headers = {name.lower(): value for name, value in raw.headers.items()} if raw.headers else {}
    body: Any = {}
    if raw.data:
        try:
            body = orjson.loads(raw.data)
        except orjson.JSONDecodeError:
            body = None
    elif raw.status != 204:
        body = None
    if not isinstance(body, dict):
        body = None
    request = headers.get("x-hubspot-correlation-id") or (body or {}).get("correlationId") or ""
    return Reply(raw.status, body, headers, str(request))


def failure(what: str, reply: Reply, search: bool = False, way_out: str = "", words: bool = False) -> ConnectorError | None:
    """What a whole answer means for us; None when it can be used. what: names the call, for the message. way_out, words: see
    `Transport.call`."""
    status = reply.status
    where = f"hubspot: {what}: {status}"
    if reply.ok:
        return None if reply.body is not None else Unavailable(f"{where} with an unreadable body{STRANGE}")
    if status in (423, 429, 477):
        return _asked_to_wait(where, reply, search)
    if status == 401:
        return Paused(f"{where} credentials refused: correct crm.access_token", CREDENTIALS_PAUSE)
    if status == 403:
        return _forbidden(where, reply, way_out, words)
    if status in (408, 425) or not 400 <= status < 500 or not _from_hubspot(reply):
        way_out = TROUBLE if status in (408, 425) or status >= 500 else STRANGE
        return Unavailable(f"{where}{way_out}", min(retry_after(reply), LONGEST_PAUSE))
    problem = row_error(where, reply.body or {}, status=status)
    return Rejected(f"{problem}{_said(reply)}", problem.refused) if words and isinstance(problem, Rejected) else problem


def row_error(where: str, error: Mapping[str, Any], names: Sequence[str] = (), status: int = 0) -> ConnectorError:
    """What one error, of a batch or of a call of its own, means for its row.

    names: the properties that were sent; only these are named, since anything else might be a value.
    """
    status = status or _number(error.get("status"))
    category = code(error.get("category"))
    codes = {found for _, found in property_errors(error)}
    if category == CONFLICT or status == 409:
        return Exists(f"{where} {category}".rstrip(), existing_id(error))
    if UNIQUE_CONFLICT in codes:
        return Exists(f"{where} {UNIQUE_CONFLICT}")
    if category in (NOT_FOUND, "NOT_FOUND") or NOT_FOUND in codes or status == 404:
        return Missing(f"{where} no such record")
    if category in ("RATE_LIMITS", "INTERNAL_ERROR") or status >= 500:
        return Unavailable(f"{where} {category}".rstrip())
    return Rejected(" ".join(filter(None, [where, category, *sorted(codes - {""})])), refused(error, names))


def is_conflict(error: Mapping[str, Any]) -> bool:
    """Another record holds the email or a unique value."""
    return isinstance(row_error("", error), Exists)


def refused(error: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Property -> why HubSpot refuses it, in our words, for those of `names` that the error is about."""
    found = {name: why for name, why in property_errors(error) if name in names}
    return {
        name: f"{name}: " + REASONS.get(why, f"HubSpot refuses the value ({why})" if why else "HubSpot refuses the value")
        for name, why in found.items()
    }


def property_errors(error: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(property, code) of each property error, "" for what is not told; from `errors[]` and from the embedded array."""
    for entry in (error, *_nested(error)):
        for detail in _embedded(entry.get("message")):
            yield str(detail.get("name", "")), code(detail.get("error"))
    for entry in _nested(error):
        context = entry.get("context")
        named = _texts(context, "propertyName", "properties", "property")
        for name in named or [str(entry.get("name") or entry.get("in") or "")]:
            yield name, code(entry.get("code") or entry.get("error") or entry.get("subCategory"))


def existing_id(error: Mapping[str, Any]) -> str | None:
    """The contact that a conflict names."""
    if told := _texts(error.get("context"), "existingId", "existingObjectId"):
        return told[0]
    numbers = re.findall(r"\d+", str(error.get("message", "")))
    return numbers[-1] if numbers else None


def trace_ids(entry: Mapping[str, Any]) -> list[str]:
    """The rows an error or a result says it is about."""
    spellings = ("objectWriteTraceId", "objectWriteTraceIds", "traceId", "traceIds")
    return _texts(entry, *spellings) or _texts(entry.get("context"), *spellings)


def record_ids(error: Mapping[str, Any]) -> list[str]:
    """The records an error says it is about, by id or by the unique value that was asked for."""
    return _texts(error.get("context"), "ids", "id", "objectIds", "objectId")


def scopes(body: Mapping[str, Any] | None) -> str:
    """The scopes a 403 asks for, for a message."""
    found: list[str] = []
    for entry in (body or {}, *_nested(body or {})):
        found += _texts(entry.get("context"), "missingScopes", "requiredGranularScopes", "requiredScopes")
    return ", ".join(sorted({name for name in found if re.fullmatch(r"[a-z0-9._-]+", name)}))


def code(value: object) -> str:
    """A code of HubSpot's, or "" for anything that does not look like one."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z0-9_.]*", value) else ""


def retry_after(reply: Reply) -> float:
    """Seconds the answer asks to wait; 0 when it does not say."""
    try:
        return Retry().parse_retry_after(reply.headers.get("retry-after", "0"))
    except InvalidHeader:
        return 0.0


def records(what: str, reply: Reply) -> list[dict[str, Any]]:
    """The records of a listing. Raises Unavailable when there is no list: that is no empty page."""
    found = (reply.body or {}).get("results")
    if not isinstance(found, list):
        raise Unavailable(f"hubspot: {what}: {reply.status} without results{STRANGE}")
    return [record for record in found if isinstance(record, dict) and record.get("id")]


def next_cursor(reply: Reply) -> str | None:
    """Where the next page starts; None on the last."""
    paging = (reply.body or {}).get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return str(after) if after else None


def contact(record: Mapping[str, Any], asked: Sequence[str] | None = None) -> Contact:
    """A record as a contact: the properties asked for (None where HubSpot told none), or all it told."""
    properties = record.get("properties")
    given = properties if isinstance(properties, dict) else {}
    told = {name: None if value is None else str(value) for name, value in given.items()}
    return Contact(
        id=told.get("hs_object_id") or str(record["id"]),
        properties=told if asked is None else {name: told.get(name) for name in asked},
        updated_at=moment(record.get("updatedAt") or told.get("lastmodifieddate")),
    )


def moment(value: object) -> datetime | None:
    """A time as HubSpot writes it (ISO 8601, without a zone: UTC, or epoch milliseconds), UTC; None when it is neither."""
    text = str(value or "")
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _asked_to_wait(where: str, reply: Reply, search: bool) -> ConnectorError:
    """429, 423 and 477. The waits are HubSpot's own Node client's: a whole window, or a second for a per-second limit."""
    told = retry_after(reply)
    policy = code((reply.body or {}).get("policyName"))
    if reply.status == 477:
        return Paused(f"{where} account is being moved", min(told, LONGEST_MIGRATION) or CREDENTIALS_PAUSE)
    if reply.status == 423:
        return Busy(f"{where} locked", max(2.0, min(told, LONGEST_PAUSE)))
    if policy == "DAILY" or reply.headers.get("x-hubspot-ratelimit-daily-remaining") == "0":
        lifted = f"in {told / 60:.0f} min" if told else "at midnight in the account's time zone"
        return Paused(f"{where} daily limit reached; it is lifted {lifted}", min(told, DAILY_PAUSE) or DAILY_PAUSE)
    window = _number(reply.headers.get("x-hubspot-ratelimit-interval-milliseconds")) / 1000 or 10.0
    wait = 1.0 if search or policy == "SECONDLY" else window
    return Busy(f"{where} rate limit {policy}".rstrip(), min(told or wait, LONGEST_PAUSE))


def _forbidden(where: str, reply: Reply, way_out: str, words: bool) -> ConnectorError:
    """Denied, when HubSpot itself says so of something we can do without."""
    named = scopes(reply.body)
    message = f"{where} missing scopes: {named or 'not named' + (_said(reply) if words else '')}"
    if way_out and _from_hubspot(reply):
        return Denied(f"{message}; {way_out}", CREDENTIALS_PAUSE)
    to_do = "add them to the app" if named else "compare the app's with those in docs/operating.md"
    return Paused(f"{message}; {to_do}", CREDENTIALS_PAUSE)


def _said(reply: Reply) -> str:
    """HubSpot's own words and sub-categories, to stand behind a message: one line that any terminal can show."""
    body = reply.body or {}
    told = [entry.get(key) for entry in (body, *_nested(body)) for key in ("subCategory", "message")]
    text = " | ".join(dict.fromkeys(" ".join(one.split()) for one in told if isinstance(one, str) and one.strip()))
    plain = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    cut = plain if len(plain) <= LONGEST_WORDS else plain[: LONGEST_WORDS - 3] + "..."
    return f": {cut}" if cut else ""


def _from_hubspot(reply: Reply) -> bool:
    body = reply.body or {}
    return body.get("status") == "error" or any(key in body for key in ("category", "correlationId", "errorType"))


def _nested(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = error.get("errors")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _embedded(message: object) -> list[Mapping[str, Any]]:
    text = str(message or "")
    start = text.find("[{")
    try:
        found = orjson.loads(text[start : text.rindex("]") + 1]) if start >= 0 else []
    except ValueError:
        return []
    return [entry for entry in found if isinstance(entry, dict)]


def _texts(source: object, *keys: str) -> list[str]:
    """The texts under the first of these keys that there is; a lone text counts as a list."""
    if isinstance(source, Mapping):
        for key in keys:
            value = source.get(key)
            if value:
                return [str(item) for item in value] if isinstance(value, list) else [str(value)]
    return []


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else 0
