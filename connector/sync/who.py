"""Finding people by what operators know of them, and showing both sides of a link."""

import re
from datetime import datetime
from typing import Any

from connector.engine.compare import elements
from connector.engine.consent import decoded
from connector.engine.normalise import Unreadable
from connector.engine.readings import additional_emails, contact_reading, user_reading
from connector.mapping.model import COMMUNICABLE, CONSENT, TYPOLOGIES, Consent, Field, Mapping
from connector.model import ANSWERABLE, ConsentState, Link, LinkState, Value
from connector.store import Tx
from connector.store.history import Entry
from connector.store.notes import ParkedRow
from connector.sync.forget import erased_name
from connector.sync.subscriptions import PASSED
from connector.sync.work import Work

MOVED = (
    "somebody who had this email address moved to another one, which is no erasure; of this one only a keyed hash is kept. "
    "To find the person give the new address, a contact id, or provider:user_id"
)
"""What to say of an address that a person left."""


def find(tx: Tx, who: str) -> list[Link]:
    """Links of WHO: an email address, a contact id (a former one, too), or provider:user_id (of an erased user, too)."""
    if "@" in who and ":" not in who.split("@")[0]:
        return tx.links.by_email(who.strip().lower())
    provider, colon, user_id = who.partition(":")
    if colon:
        found = list(tx.links.by_users(provider, [user_id]).values())
        return found or list(tx.links.by_users(provider, [erased_name(tx, provider, user_id)]).values())
    return tx.links.by_contacts([who]).get(who, [])


def nobody(tx: Tx, who: str) -> str:
    """What to say when WHO is nobody: whether that is because the person was erased, or has another address now."""
    provider, _, user_id = who.partition(":")
    told = []
    if tx.tombstones.contacts([who]) or tx.tombstones.emails([who], ["email"]) or tx.tombstones.users(provider, [user_id]):
        told.append("erased; nothing is kept but a keyed hash")
    if tx.tombstones.emails([who], ["moved"]):
        told.append(MOVED)
    if told:
        return f"{who}: {'. Besides, '.join(told)}"
    if "@" in who and ":" not in who.split("@")[0]:
        return f"{who}: nobody had this email address, user or contact, when the connector last saw them"
    if ":" in who:
        known = "" if tx.links.page(provider, 0, 1, list(LinkState)) else f"; no user of a provider {provider} is known at all"
        return f"{who}: nobody; the connector knows no user of {provider} with the id {user_id}{known}"
    return f"{who}: nobody; the connector knows no contact with this id. Else give an email address, or provider:user_id"


def shown(work: Work, tx: Tx, link: Link) -> dict[str, Any]:
    """A link as JSON: {"link", "user", "contact", "base", "fields": [...], "consents": [...], "history": [...]}."""
    parked = tx.parked.of_links([link.id]).get(link.id, [])
    mapping = work.mappings.get(link.provider)
    passed = tx.cursors.get(PASSED)
    return {
        "link": {
            "name": link.name, "provider": link.provider, "user_id": link.user_id, "contact_id": link.contact_id,
            "state": link.state.value, "reason": link.reason, "due_at": link.due_at and link.due_at.isoformat(),
            "attempts": link.attempts, "failed_since": _iso(link.failed_since), "waits": waits(link, tx.now),
            "user_seen_at": _iso(link.user_seen_at), "contact_seen_at": _iso(link.contact_seen_at),
            "statuses_seen_at": _iso(passed and passed[1]),
        },
        "user": link.user and {"id": link.user.id, "updated_at": _iso(link.user.updated_at), **link.user.values},
        "contact": link.contact and {"id": link.contact.id, **link.contact.properties},
        "base": dict(link.base),
        "fields": [_field(mapping, rule, link, parked) for rule in mapping.rules] if mapping else [],
        "consents": [_consent(one, link) for one in mapping.consents] if mapping else [],
        "parked": [{"what": row.what, "reason": row.reason, "since": _iso(row.since)} for row in parked],
        "history": [_entry(entry) for entry in tx.history.of_link(link.id)],
    }  # fmt: skip


def waits(link: Link, now: datetime) -> str | None:
    """Why a link that is to be looked at again was not yet, and when it will be; None when nothing is to be done."""
    if link.due_at is None or not (link.state in ANSWERABLE or link.erasure):
        return None
    again = f"next try {clock(link.due_at, now, '%H:%M:%S')}" if link.due_at > now else "to be tried now"
    if link.failed_since is not None:
        why = f": {in_words(link.reason)}" if link.reason else ""
        return f"waits since {clock(link.failed_since, now)}{why}; {again}"
    if link.state is LinkState.PENDING and link.reason:
        return f"pending: {link.reason}; {again}"
    return f"to be looked at {clock(link.due_at, now, '%H:%M:%S') if link.due_at > now else 'now'}"


def in_words(reason: str) -> str:
    """A failed call's last word, for people."""
    return re.sub(r": (401|403)$", r": it refused our credentials (\1)", reason)


def clock(moment: datetime, now: datetime, form: str = "%H:%M") -> str:
    """A time for people: of today without the date."""
    return f"{moment:{form if moment.date() == now.date() else '%Y-%m-%d ' + form}} UTC"


def _field(mapping: Mapping, rule: Field, link: Link, parked: list[ParkedRow]) -> dict[str, Any]:
    gives = rule.user == TYPOLOGIES and mapping.typologies is not None and mapping.typologies.both
    return {
        "user": rule.user, "contact": rule.contact, "direction": "both" if gives else rule.direction.value,
        "user_value": _value(user_reading, rule, link.user), "base": link.base.get(rule.user),
        "contact_value": _value(contact_reading, rule, link.contact), "state": field_state(rule, link, parked),
    }  # fmt: skip


def _consent(consent: Consent, link: Link) -> dict[str, Any]:
    """What stands of a consent, and what each voice said when that was settled."""
    standing = decoded(link.consents.get(consent.consent))
    now = standing.now
    return {
        "consent": consent.consent, "subscription": consent.subscription, "state": now.state.value, "at": _iso(now.at),
        "source": now.source, "held": link.held.get(CONSENT + consent.consent),
        "heard": {voice: said.state.value for voice, said in standing.heard.items()},
    }  # fmt: skip


def _value(read: Any, rule: Field, record: Any) -> Value:
    try:
        value: Value = read(rule, record).value
        return value
    except Unreadable as error:
        return f"({error})"


def field_state(rule: Field, link: Link, parked: list[ParkedRow]) -> str:
    """agreed, agreed: how, withheld: why, held: why, parked: why, drift (differs, and the mapping leaves it), differs (to be
    settled), or waits: something happened since both sides were last seen, and they were not compared yet."""
    if rule.purpose and effective(link, rule.purpose) is not ConsentState.GRANTED:
        return f"withheld: no consent for {rule.purpose}"
    told = [f"held: {link.held[rule.user]}"] if rule.user in link.held else []
    told += [f"parked: {row.reason}" for row in parked if _is_about(rule, row.what)]
    if told:
        return "; ".join(told)
    if link.due_at is not None and link.state in ANSWERABLE:
        return "waits"
    if rule.user in link.drift:
        return "drift"
    if _additional(rule, link):
        return "agreed: the user's address is one of the contact's additional addresses"
    return "agreed" if _agree(rule, link) else "differs"


def _is_about(rule: Field, what: str) -> bool:
    """Whether what is parked belongs to a field: one side's value, or one of the user's memberships."""
    return what in (rule.contact, f"user.{rule.user}") or (rule.user == TYPOLOGIES and what.startswith(f"user.{TYPOLOGIES}."))


def effective(link: Link, consent: str) -> ConsentState:
    """What may be acted on of a consent: a held grant is none."""
    return ConsentState.REVOKED if CONSENT + consent in link.held else decoded(link.consents.get(consent)).effective


def _agree(rule: Field, link: Link) -> bool:
    """Whether the contact shows what it is to show."""
    user, contact = _value(user_reading, rule, link.user), _value(contact_reading, rule, link.contact)
    if rule.user == TYPOLOGIES:
        return elements(user) <= elements(contact)
    if rule.user == COMMUNICABLE:
        return isinstance(contact, bool)
    if rule.user.startswith(CONSENT):
        state = effective(link, rule.user.removeprefix(CONSENT))
        return state is ConsentState.UNKNOWN or contact == (state is ConsentState.GRANTED)
    return user == contact or (rule.user in link.echo and contact == link.echo[rule.user])


def _additional(rule: Field, link: Link) -> bool:
    """Whether the user's address is one that the contact has beside its primary one, as after a merge."""
    if rule.contact != "email" or link.contact is None:
        return False
    return _value(user_reading, rule, link.user) in additional_emails(link.contact)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "at": _iso(entry.at), "kind": entry.kind, "delivery": entry.delivery, "run": entry.run, "mapping": entry.mapping,
        "changes": list(entry.changes), "request": entry.request, "answer": entry.answer,
    }  # fmt: skip


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
