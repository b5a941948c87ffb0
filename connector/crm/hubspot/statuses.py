"""What HubSpot's answers say about email subscriptions, as statements and outcomes. Pure: no calls.

Facts (HubSpot API, "Subscriptions" v3 and v4):
- v4 knows SUBSCRIBED, UNSUBSCRIBED and NOT_SPECIFIED, each with a time and a free text for where it came from;
- v3 has no times, and its NOT_SUBSCRIBED is both "opted out" and "never asked", except where `sourceOfStatus` tells of an
  opt-out of everything;
- writing what holds already is answered with `setStatusSuccessReason` NO_STATUS_CHANGE;
- where an error of a batch names its rows is not documented, so any value in its `context` counts.
Error messages repeat addresses and are localised: only their codes go any further.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connector.crm.base import StatusOutcome, StatusWrite
from connector.crm.hubspot import answers, narrowing
from connector.crm.hubspot.answers import Reply
from connector.crm.hubspot.narrowing import Told
from connector.errors import Rejected, Transient, Unavailable
from connector.model import UNTOLD, ConsentState, Statement

SUBSCRIBED, UNSUBSCRIBED, NOT_SUBSCRIBED = "SUBSCRIBED", "UNSUBSCRIBED", "NOT_SUBSCRIBED"
EVERYTHING = ("PORTAL_WIDE", "PORTAL_WIDE_STATUS")
WIDE_SOURCES = ("PORTAL_WIDE_STATUS", "BRAND_WIDE_STATUS")
STATES = {SUBSCRIBED: ConsentState.GRANTED, UNSUBSCRIBED: ConsentState.REVOKED}

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
    """v4 states of one address, by subscription type."""
    return {
        str(one["subscriptionId"]): Statement(
            STATES.get(str(one.get("status")), ConsentState.UNKNOWN),
            answers.moment(one.get("timestamp")),
            _source(one.get("source")),
        )
        for one in told
        if one.get("subscriptionId") and one.get("channel", "EMAIL") == "EMAIL"
    }


def statements_v3(told: Iterable[Entry]) -> dict[str, Statement]:
    """v3 states of one address, by subscription type."""
    return {str(one["id"]): _statement_v3(one) for one in told if one.get("id")}


def opted_out_of_all(told: Iterable[Entry]) -> bool:
    """Does one of these entries, of either version, tell of an opt-out of everything?"""
    return any(
        one.get("wideStatusType", one.get("sourceOfStatus")) in EVERYTHING and one.get("status") in (UNSUBSCRIBED, NOT_SUBSCRIBED)
        for one in told
    )


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
    kept = told.get("status") in wanted
    error = None if kept else Rejected("HubSpot accepted the call but did not change the status")
    return StatusOutcome(row.ref, error, reply.request)


def refusal(what: str, row: StatusWrite, fault: Entry, reply: Reply) -> StatusOutcome:
    """What became of a row that HubSpot has an error for."""
    problem = answers.row_error(f"hubspot: {what}:", fault)
    if isinstance(problem, Transient):
        return StatusOutcome(row.ref, problem, reply.request)
    codes = sorted({found for _, found in answers.property_errors(fault)} - {""})
    named = ", ".join(filter(None, [answers.code(fault.get("category")), *codes])) or "no code"
    return StatusOutcome(row.ref, Rejected(f"HubSpot refuses {_wish(row)} ({named}): {_reasons(row)}"), reply.request)


def _wish(row: StatusWrite) -> str:
    return f"to {'subscribe' if row.granted else 'unsubscribe'} the address {'to' if row.granted else 'from'} {row.subscription}"


def _reasons(row: StatusWrite) -> str:
    """Why it may be; HubSpot's own words cannot be passed on."""
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


def _statement_v3(one: Entry) -> Statement:
    source = _source(one.get("sourceOfStatus"))
    if one.get("status") == SUBSCRIBED:
        return Statement(ConsentState.GRANTED, source=source)
    if one.get("sourceOfStatus") in WIDE_SOURCES:
        return Statement(ConsentState.REVOKED, source=source)
    return Statement(ConsentState.UNKNOWN, source=UNTOLD)


def _source(told: object) -> str:
    return f"hubspot: {told}" if told else "hubspot"
