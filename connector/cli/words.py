"""Codes that are kept in the database, and bare answers of a provider, in words for people."""

import re

QUARANTINE = {
    "not_an_object": "is no JSON object",
    "not_an_array": "is no list of events",
    "bad_type": "has no `type` (up to 64 characters, no spaces)",
    "bad_event": "has no name of an event",
    "no_user_id": "names no user: the id is missing",
    "bad_user_id": "the user's id is empty, too long, or no text",
    "unstorable_text": "has characters that cannot be stored (NUL, or half a character)",
    "another_shop": "is about another shop",
    "not_this_topic": "does not look like its topic",
    "unknown_portal": "is about another HubSpot account than crm.portal_id",
    "bad_subscription_type": "has no subscriptionType",
    "bad_merge_ids": "tells of a merge, and not of which contacts",
    "bad_object_id": "the contact's id is missing or no number",
    "bad_property_name": "tells of an edit, and not of which property",
}


def quarantine(reason: str | None) -> str:
    """Why a delivery cannot be read. A reason may begin with who says so."""
    before, colon, code = (reason or "").rpartition(": ")
    return before + colon + QUARANTINE.get(code, code)


def moment(iso: str | None, unknown: str = "a time not known") -> str:
    """A time in ISO 8601 as tables show it: UTC, to the second."""
    return str(iso)[:19].replace("T", " ") if iso else unknown


ANSWER = re.compile(r"(?P<name>(?!hubspot:)[a-z][a-z0-9_]*): .*: (?P<status>\d{3})(?P<strange>, but no JSON object)?")
"""How an error ends with what a provider answered: the sync goes by that, so there is no way out in it."""


def with_way_out(message: str) -> str:
    """What is to be done about a provider's bare answer. Any other message says so itself."""
    found = ANSWER.fullmatch(message)
    if found is None:
        return message
    where, status = f"providers.{found['name']}", int(found["status"])
    if status in (401, 403):
        return f"{message}; check the credentials under {where}, and what they may do"
    if status in (408, 425, 429) or status >= 500:
        return f"{message}; try again later"
    return f"{message}; look at the addresses under {where}"
