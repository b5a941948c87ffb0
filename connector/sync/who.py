"""Finding people by what operators know of them, and showing both sides of a link."""

from typing import Any

from connector.engine.normalise import Unreadable
from connector.engine.plan import contact_reading, user_reading
from connector.mapping.model import Field
from connector.model import Link, Value
from connector.store import Tx
from connector.store.history import Entry
from connector.store.notes import ParkedRow
from connector.sync.work import Work


def find(tx: Tx, who: str) -> list[Link]:
    """Links of WHO: an email address, a contact id (a former one, too), or provider:user_id."""
    if "@" in who and ":" not in who.split("@")[0]:
        return tx.links.by_email(who.strip().lower())
    provider, colon, user_id = who.partition(":")
    if colon:
        return list(tx.links.by_users(provider, [user_id]).values())
    return tx.links.by_contacts([who]).get(who, [])


def shown(work: Work, tx: Tx, link: Link) -> dict[str, Any]:
    """A link as JSON: {"link", "user", "contact", "base", "fields": [...], "history": [...]}."""
    parked = tx.parked.of_links([link.id]).get(link.id, [])
    mapping = work.mappings.get(link.provider)
    return {
        "link": {
            "name": link.name, "provider": link.provider, "user_id": link.user_id, "contact_id": link.contact_id,
            "state": link.state.value, "reason": link.reason, "due_at": link.due_at and link.due_at.isoformat(),
            "attempts": link.attempts,
        },
        "user": link.user and {"id": link.user.id, "updated_at": _iso(link.user.updated_at), **link.user.values},
        "contact": link.contact and {"id": link.contact.id, **link.contact.properties},
        "base": dict(link.base),
        "fields": [_field(rule, link, parked) for rule in mapping.fields] if mapping else [],
        "parked": [{"what": row.what, "reason": row.reason, "since": _iso(row.since)} for row in parked],
        "history": [_entry(entry) for entry in tx.history.of_link(link.id)],
    }  # fmt: skip


def _field(rule: Field, link: Link, parked: list[ParkedRow]) -> dict[str, Any]:
    user, contact = _value(user_reading, rule, link.user), _value(contact_reading, rule, link.contact)
    return {
        "user": rule.user, "contact": rule.contact, "direction": rule.direction.value, "user_value": user,
        "base": link.base.get(rule.user), "contact_value": contact, "state": _state(rule, link, parked, user, contact),
    }  # fmt: skip


def _value(read: Any, rule: Field, record: Any) -> Value:
    try:
        value: Value = read(rule, record).value
        return value
    except Unreadable as error:
        return f"({error})"


def _state(rule: Field, link: Link, parked: list[ParkedRow], user: Value, contact: Value) -> str:
    """agreed, held: why, parked: why, drift (differs, and the mapping leaves it), or differs (to be settled)."""
    if rule.user in link.held:
        return f"held: {link.held[rule.user]}"
    for row in parked:
        if row.what in (rule.contact, f"user.{rule.user}"):
            return f"parked: {row.reason}"
    if rule.user in link.drift:
        return "drift"
    echoed = rule.user in link.echo and contact == link.echo[rule.user]
    return "agreed" if user == contact or echoed else "differs"


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "at": _iso(entry.at), "kind": entry.kind, "delivery": entry.delivery, "run": entry.run, "mapping": entry.mapping,
        "changes": list(entry.changes), "request": entry.request, "answer": entry.answer,
    }  # fmt: skip


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
