"""What HubSpot's answers say about email subscriptions, as statements and outcomes. Pure: no calls.

Facts (HubSpot API, "Subscriptions" v3 and v4):
- v4 knows SUBSCRIBED, UNSUBSCRIBED and NOT_SPECIFIED, each with a time and a free text for where it came from;
- v3 has no times, and its NOT_SUBSCRIBED is both "opted out" and "never asked", except where `sourceOfStatus` tells of an
  opt-out of everything;
- writing what holds already is answered with `setStatusSuccessReason` NO_STATUS_CHANGE, subscribing who was opted out with
  RESUBSCRIBE_OCCURRED;
- where an error of a batch names its rows is not documented, so any value in its `context` counts;
- no opt-out of everything is an empty list in v4; what an entry looks like is documented in part, so any entry is one.
Error messages repeat addresses and are localised: only their codes go any further.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.crm.base import StatusOutcome, StatusWrite
from connector.crm.hubspot import answers, narrowing
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.narrowing import Told
from connector.errors import Rejected, Transient, Unavailable
from connector.model import UNTOLD, ConsentState, Statement

SUBSCRIBED, UNSUBSCRIBED, NOT_SUBSCRIBED = "SUBSCRIBED", "UNSUBSCRIBED", "NOT_SUBSCRIBED"
NOT_SPECIFIED = "NOT_SPECIFIED"
CHANGED, AGAIN = "REQUESTED_CHANGE_OCCURRED", "RESUBSCRIBE_OCCURRED"
EVERYTHING_V3 = "PORTAL_WIDE_STATUS"
WIDE_SOURCES = (EVERYTHING_V3, "BRAND_WIDE_STATUS")
STATES = {SUBSCRIBED: ConsentState.GRANTED, UNSUBSCRIBED: ConsentState.REVOKED, NOT_SPECIFIED: ConsentState.UNKNOWN}

OPTED_OUT = re.compile(r"unsubscribed|opted[ _-]?out|re-?subscri", re.IGNORECASE)
"""HubSpot's words for a grant that an opt-out stands against: You cannot subscribe an unsubscribed address."""

Entry = Mapping[str, Any]


def fold(email: str) -> str:
    """The form in which addresses are asked for and compared."""
    return email.strip().lower()


def entries(what: str, reply: Reply, name: str = "results") -> list[Entry]:
    """The entries of a list in an answer. Raises Unavailable when there is no list: that is no empty one."""
    found = (reply.body or {}).get(name)
    if not isinstance(found, list):
        raise Unavailable(f"hubspot: {what}: {reply.status} without {name}")
    return [one for one in found if isinstance(one, dict)]


def statements(told: Iterable[Entry]) -> dict[str, Statement]:
    """v4 states of one address, by subscription type. A word that is none of the documented ones cannot tell."""
    return {str(one["subscriptionId"]): _statement(one) for one in told if one.get("subscriptionId") and _of_email(one)}


def statements_v3(told: Iterable[Entry]) -> dict[str, Statement]:
    """v3 states of one address, by subscription type."""
    return {str(one["id"]): _statement_v3(one) for one in told if one.get("id")}


def optouts_of_all(told: Mapping[str, Iterable[Entry]]) -> dict[str, datetime | None]:
    """The addresses that opted out of everything, from the v4 entries of each, and since when."""
    found = {email: [one for one in entries if _of_email(one) and _word(one) != SUBSCRIBED] for email, entries in told.items()}
    times = {email: [answers.moment(one.get("timestamp")) for one in entries] for email, entries in found.items()}
    return {email: max(filter(None, some), default=None) for email, some in times.items() if some}


def optouts_of_all_v3(told: Mapping[str, Iterable[Entry]]) -> dict[str, datetime | None]:
    """The same from v3 states, which have no times."""
    return {email: None for email, states in told.items() if any(_wide(one) and _word(one) != SUBSCRIBED for one in states)}


def holds(row: StatusWrite, held: Mapping[str, Statement]) -> bool:
    """Is what a row asks for what holds already?"""
    told = held.get(row.subscription)
    return told is not None and told.state == (ConsentState.GRANTED if row.granted else ConsentState.REVOKED)


def basis(row: StatusWrite) -> dict[str, str]:
    """What a write says of its legal basis. Documented as required, either way, where the portal has data privacy switched on."""
    given = {"legalBasis": row.legal_basis, "legalBasisExplanation": row.explanation}
    return {name: value for name, value in given.items() if value}


def tell(what: str, rows: Sequence[StatusWrite], reply: Reply) -> Told[StatusWrite, StatusOutcome]:
    """Sort the answer to a batch write by row."""
    told: Told[StatusWrite, StatusOutcome] = Told(open=list(rows))
    if reply.ok:
        for one in entries(what, reply):
            for row in [row for row in told.open if _is_about(one, row)]:
                told.settle(row.ref, outcome(row, one, reply))
    for fault in narrowing.faults(reply):
        named = _named(told.open, fault)
        for row in named:
            told.settle(row.ref, refusal(what, row, fault, reply))
        if not named:
            told.faults.append(fault)
    return told


def outcome(row: StatusWrite, told: Entry, reply: Reply) -> StatusOutcome:
    """What became of a row, from the state HubSpot answers."""
    wanted = (SUBSCRIBED,) if row.granted else (UNSUBSCRIBED, NOT_SUBSCRIBED)
    kept = _word(told) in wanted
    error = None if kept else Rejected("HubSpot accepted the call but did not change the status")
    reason = _word(told, "setStatusSuccessReason") if kept else ""
    at = answers.moment(told.get("timestamp")) if reason in (CHANGED, AGAIN) else None
    lifted, out = row.granted and reason == AGAIN, row.granted and _word(told) in (UNSUBSCRIBED, NOT_SUBSCRIBED)
    return StatusOutcome(row.ref, error, reply.request, at, lifted, out)


def refusal(what: str, row: StatusWrite, fault: Entry, reply: Reply) -> StatusOutcome:
    """What became of a row that HubSpot has an error for."""
    problem = answers.row_error(f"hubspot: {what}:", fault)
    if isinstance(problem, Transient):
        return StatusOutcome(row.ref, problem, reply.request)
    codes = sorted({found for _, found in answers.property_errors(fault)} - {""})
    named = ", ".join(filter(None, [answers.code(fault.get("category")), *codes])) or "no code"
    out = row.granted and any(OPTED_OUT.search(str(fault.get(name) or "")) for name in ("message", "category", "subCategory"))
    error = Rejected(f"HubSpot refuses {_wish(row)} ({named}): {_reasons(row, out)}")
    return StatusOutcome(row.ref, error, reply.request, out=out)


def _wish(row: StatusWrite) -> str:
    return f"to {'subscribe' if row.granted else 'unsubscribe'} the address {'to' if row.granted else 'from'} {row.subscription}"


def _reasons(row: StatusWrite, out: bool) -> str:
    """Why it may be; HubSpot's own words cannot be passed on."""
    if out:
        return "the person opted out"
    found = ["HubSpot may not take the address for one, or have no such subscription type"]
    if row.granted:
        found.append("the person may have opted out")
    if not (row.legal_basis and row.explanation):
        found.append("the portal may ask for legal_basis and explanation")
    return "; ".join(found)


def _is_about(one: Entry, row: StatusWrite) -> bool:
    return fold(str(one.get("subscriberIdString", ""))) == row.email and str(one.get("subscriptionId")) == row.subscription


def _named(rows: Sequence[StatusWrite], fault: Entry) -> list[StatusWrite]:
    """The rows an error names: by address, by type, or by both."""
    values = narrowing.values(fault)
    found = [row for row in rows if row.email in values]
    rest = found or list(rows)
    typed = [row for row in rest if row.subscription in values]
    return typed or found


def _statement(one: Entry) -> Statement:
    state = STATES.get(_word(one))
    if state is None:
        return Statement(ConsentState.UNKNOWN, source=UNTOLD)
    return Statement(state, answers.moment(one.get("timestamp")), _source(one.get("source")))


def _statement_v3(one: Entry) -> Statement:
    source = _source(one.get("sourceOfStatus"))
    if _word(one) == SUBSCRIBED:
        return Statement(ConsentState.GRANTED, source=source)
    if _word(one, "sourceOfStatus") in WIDE_SOURCES:
        return Statement(ConsentState.REVOKED, source=source)
    return Statement(ConsentState.UNKNOWN, source=UNTOLD)


def _wide(one: Entry) -> bool:
    return _word(one, "sourceOfStatus") == EVERYTHING_V3


def _word(one: Entry, name: str = "status") -> str:
    return str(one.get(name, "")).strip().upper()


def _of_email(one: Entry) -> bool:
    return str(one.get("channel") or "EMAIL").upper() == "EMAIL"


def _source(told: object) -> str:
    return f"hubspot: {told}" if told else "hubspot"
