"""What a user and a contact say about one mapping entry, in normal form; and whether two observations tell the same. Pure."""

from collections.abc import Callable
from collections.abc import Mapping as Names
from datetime import UTC, date, datetime, timedelta
from typing import Any

from connector.engine.consent import NOTHING, combined
from connector.engine.normalise import Reading, Unreadable, from_contact, from_user, moment
from connector.mapping.model import COMMUNICABLE, CONSENT, TYPOLOGIES, Field, Mapping
from connector.model import ConsentState, Contact, Statement, User

ADDITIONAL = "hs_additional_emails"
"""Where HubSpot keeps a contact's other addresses, ";"-separated and read-only."""

OPTED_OUT = "hs_email_optout"
"""Where HubSpot notes on the contact that its address opted out of everything; with `_<type id>`, of one subscription type."""

CREATED = "createdate"
"""When HubSpot made a contact, in ISO 8601."""

OVER = timedelta(hours=36)
"""From the beginning of a day in UTC until it is over everywhere, twelve hours west of Greenwich, too."""

LAST = datetime.max.replace(tzinfo=UTC) - OVER
"""The last moment to which that can be added."""

MERGED = "hs_merged_object_ids"
"""The contacts a contact was merged from, ";"-separated."""

MERGED_WHEN = "hs_calculated_merged_vids"
"""The same, each with ":" and a time; said to leave out those of earlier merges."""


def created_at(contact: Contact) -> datetime | None:
    """When the CRM made a contact; None when it does not tell."""
    return _moment(contact.properties.get(CREATED))


def additional_emails(contact: Contact) -> set[str]:
    """A contact's other addresses in normal form."""
    return {one.strip().lower() for one in (contact.properties.get(ADDITIONAL) or "").split(";") if one.strip()}


def absorbed_ids(contact: Contact) -> set[str]:
    """The contacts a contact was merged from, where `MERGED` and `MERGED_WHEN` were read."""
    told = ";".join(contact.properties.get(name) or "" for name in (MERGED, MERGED_WHEN))
    return {one.partition(":")[0].strip() for one in told.split(";")} - {""}


def user_reading(rule: Field, user: User | None) -> Reading:
    """One field of a user in normal form. Raises Unreadable, naming the side."""
    try:
        return from_user(rule, None if user is None else _raw(rule, user))
    except Unreadable as error:
        raise Unreadable(f"the user's value {error}") from None


def _raw(rule: Field, user: User) -> Any:
    if rule.user == "id":
        return user.id
    if rule.user == TYPOLOGIES:
        return [key for key in typologies(user) if key in rule.values]
    if rule.user.startswith(CONSENT):
        state = user_consent(rule.user.removeprefix(CONSENT), user).state
        return None if state is ConsentState.UNKNOWN else state is ConsentState.GRANTED
    return None if rule.user == COMMUNICABLE else user.values.get(rule.user)


def contact_reading(rule: Field, contact: Contact | None) -> Reading:
    """One field of a contact in normal form. Raises Unreadable, naming the side."""
    try:
        return from_contact(rule, contact.properties.get(rule.contact) if contact else None)
    except Unreadable as error:
        raise Unreadable(f"the contact's value {error}") from None


def typologies(user: User) -> list[str]:
    """The keys of a user's memberships that are in force."""
    entries = user.memberships or ()
    return [str(one["key"]) for one in entries if one.get("key") is not None and one.get("active", True) is True]


def user_consent(name: str, user: User) -> Statement:
    """What a user's entries say about one consent. Entries of other channels than email say nothing about it.

    name: a purpose, whatever its scope, or `purpose/scope` for that one alone.
    """
    return combined(map(statement, _entries(name, user)))


def has_entry(name: str, user: User) -> bool:
    """Whether the provider has anything about one consent, if only that the person was asked."""
    return bool(_entries(name, user))


def _entries(name: str, user: User) -> list[Names[str, Any]]:
    entries = [one for one in user.consents or () if one.get("channel") in (None, "email")]
    return [one for one in entries if name in (str(one.get("purpose")), f"{one.get('purpose')}/{one.get('scope')}")]


def statement(entry: Any) -> Statement:
    """What one entry of a user's consents says."""
    state = entry.get("state")
    if state not in (ConsentState.GRANTED, ConsentState.REVOKED):  # pending: asked, not answered yet
        return NOTHING
    at = _moment(entry.get("at"))
    if day := at is not None and state == ConsentState.REVOKED and _is_day(entry.get("at")):
        at = min(at, LAST) + OVER
    return Statement(
        ConsentState(state), at, _text(entry.get("source")), _text(entry.get("entry_point")),
        _text(entry.get("text_version")), day,
    )  # fmt: skip


def _is_day(raw: Any) -> bool:
    """A withdrawal with a day alone may have been made at any moment of it: it counts as made at the last one."""
    try:
        return bool(date.fromisoformat(raw.strip()))
    except (ValueError, AttributeError):
        return False


def _moment(raw: Any) -> datetime | None:
    """A time nobody can read is none: it proves nothing."""
    try:
        return moment(raw)
    except Unreadable:
        return None


def wanted_properties(mapping: Mapping, id_property: str, types: Callable[[str], str | None] = lambda name: None) -> list[str]:
    """The contact properties an observation needs: what the mapping names, the id, other addresses, opt-outs.

    types: the id of a subscription type by the mapping's word for it.
    """
    wanted = {*mapping.properties, id_property, ADDITIONAL, "email"}
    if mapping.consents:
        ids = [types(one.subscription) for one in mapping.consents if one.subscription]
        wanted |= {OPTED_OUT, *(f"{OPTED_OUT}_{found}" for found in ids if found)}
    return sorted(wanted)


def same_user(mapping: Mapping, one: User, other: User) -> bool:
    """Whether two observations of a user are alike in everything the mapping looks at."""
    if (one.memberships or ()) != (other.memberships or ()) or (one.consents or ()) != (other.consents or ()):
        return False
    return all(safely(user_reading, rule, one) == safely(user_reading, rule, other) for rule in mapping.fields)


def newer(one: User, other: User) -> bool:
    """Whether `one` is a later observation than `other`; without a time on either side nobody knows."""
    return one.updated_at is not None and (other.updated_at is None or one.updated_at > other.updated_at)


def tells_nothing_new(mapping: Mapping, contact: Contact, name: str, text: str | None) -> bool:
    """Whether a property already has this value on the contact as last seen: an echo, or a repeat."""
    if name.startswith(OPTED_OUT):
        return (text or "false") == (contact.properties.get(name) or "false")
    rules = [rule for rule in mapping.rules if rule.contact == name]
    told = Contact(contact.id, {name: text})
    return all(safely(contact_reading, rule, told) == safely(contact_reading, rule, contact) for rule in rules)


def watches(mapping: Mapping, name: str) -> bool:
    """Whether a contact property means something to a mapping."""
    return name in mapping.properties or (bool(mapping.consents) and name.startswith(OPTED_OUT))


def whole(mapping: Mapping, user: User) -> bool:
    """Whether a user carries everything the mapping looks at, so that nothing needs to be read."""
    if (mapping.consents and user.consents is None) or (mapping.typologies and user.memberships is None):
        return False
    return all(rule.user == "id" or rule.user in user.values for rule in mapping.fields)


def safely(read: Callable[[Field, Any], Reading], rule: Field, record: Any) -> Any:
    """A reading to compare with another one of the same record; what cannot be read is told by its error."""
    try:
        return read(rule, record)
    except Unreadable as error:
        return str(error)


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
