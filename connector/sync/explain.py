"""Why a value is what it is: what was delivered, what was decided by which line of the mapping, what was written, what was said.

All of it comes from our own history and the stored sides; nobody is asked.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from connector.engine.compare import as_set, elements
from connector.engine.consent import Standing, Voice, decoded
from connector.engine.normalise import Unreadable
from connector.engine.plan import Plan, Policy, Seen, plan
from connector.engine.readings import contact_reading, user_reading
from connector.mapping.model import COMMUNICABLE, CONSENT, TYPOLOGIES, Consent, Field, Mapping
from connector.model import ConsentState, Link, LinkState, Value
from connector.store import Tx
from connector.store.history import Entry
from connector.store.ledger import LedgerRow
from connector.sync import unlisted
from connector.sync.beyond import unwritable
from connector.sync.who import effective, field_state, in_words, waits
from connector.sync.work import Work

ALL = 10_000
"""Entries of the history looked through."""


class UnknownField(ValueError):
    """The mapping has no such field; the text names those it has."""


def explain(work: Work, tx: Tx, link: Link, name: str) -> dict[str, Any]:
    """The chain behind one value: {"link", "field", "value", "side", "chain": [...]}, oldest first, the last entry is now.

    name: a contact property, a user field, `typologies`, `communicable`, or a consent (with or without `consent.`).
    Raises UnknownField.
    """
    mapping = work.mappings[link.provider]
    consent = _consent(mapping, name)
    wanted = consent.property if consent else name
    rule = _rule(mapping, wanted) if wanted else None
    if consent is None and rule is None:
        raise UnknownField(f"{name}: not in {mapping.path}; it has {', '.join(_names(mapping))}")
    about = CONSENT + consent.consent if consent else rule.user if rule else ""
    chain = [*_evidence(tx, link, consent), *_effects(tx, link, mapping, about, rule)]
    chain.sort(key=lambda one: one["at"] or "")
    value, side = _value(link, name, rule, consent)
    chain.append(_now(work, tx, link, rule, consent))
    return {"link": link.name, "field": name, "value": value, "side": side, "chain": chain}


def _names(mapping: Mapping) -> list[str]:
    told = [name for rule in mapping.rules for name in (rule.contact, rule.user)]
    return sorted({*told, *(CONSENT + one.consent for one in mapping.consents)})


def _consent(mapping: Mapping, name: str) -> Consent | None:
    wanted = name.removeprefix(CONSENT)
    return next((one for one in mapping.consents if wanted in (one.consent, one.property)), None)


def _rule(mapping: Mapping, name: str) -> Field | None:
    """The entry of a property; else of a user field."""
    by_property = (rule for rule in mapping.rules if rule.contact == name)
    return next(by_property, None) or next((rule for rule in mapping.rules if rule.user == name), None)


def _value(link: Link, name: str, rule: Field | None, consent: Consent | None) -> tuple[Value, str]:
    """The value on the side that the name belongs to."""
    if consent is not None and name != consent.property:
        return effective(link, consent.consent).value, "both"
    assert rule is not None
    on_contact = name == rule.contact or rule.user in (TYPOLOGIES, COMMUNICABLE)
    try:
        reading = contact_reading(rule, link.contact) if on_contact else user_reading(rule, link.user)
    except Unreadable as error:
        return f"({error})", "contact" if on_contact else "user"
    value = as_set(elements(reading.value) | set(reading.strange)) if rule.type == "set" else reading.value
    return value, "contact" if on_contact else "user"


def _evidence(tx: Tx, link: Link, consent: Consent | None) -> Iterator[dict[str, Any]]:
    """The ledger's rows of a consent."""
    if consent is None:
        return
    for row in tx.ledger.of_link(link.id):
        if row.purpose == consent.consent:
            yield _link_of_chain(row.learnt_at, "consent", row.delivery, None, _told(row), effect={"consent": row.state.value})


def _told(row: LedgerRow) -> str:
    when = f" at {row.occurred_at.isoformat()}" if row.occurred_at else ""
    who = f", says {row.source}" if row.source else ""
    missing = " and ".join(f"no {name}" for name, told in (("time", when), ("source", who)) if not told)
    weak = ": cannot lift an opt-out" if row.state is ConsentState.GRANTED else ""
    return f"{row.state.value}{when}{who}" + (f" ({missing} given{weak})" if missing else "")


def _effects(tx: Tx, link: Link, mapping: Mapping, about: str, rule: Field | None) -> Iterator[dict[str, Any]]:
    """What the history tells about the field, and what became of the link as a whole."""
    for entry in tx.history.of_link(link.id, ALL):
        for change in entry.changes:
            if change["field"] == about or (rule is not None and change.get("property") == rule.contact):
                yield _effect(entry, change, mapping)
        if not entry.changes:
            told = entry.answer or ""
            yield _link_of_chain(entry.at, entry.kind, entry.delivery or _run(entry), None, told, answer=told)


def _effect(entry: Entry, change: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    version = "" if entry.mapping == mapping.sha256 else f" of an earlier version ({(entry.mapping or '')[:12]})"
    where = f"{mapping.path}:{change['line']}{version}" if change.get("line") else None
    effect = {"side": change["side"], "property": change.get("property"), "from": change["from"], "to": change["to"]}
    if entry.request:
        effect["request"] = entry.request
    return _link_of_chain(
        entry.at, entry.kind, entry.delivery or _run(entry), where, change["rule"], change.get("base"), change.get("user"),
        change.get("contact"), effect, entry.answer,
    )  # fmt: skip


def _run(entry: Entry) -> str | None:
    return f"run {entry.run}" if entry.run else None


def _link_of_chain(
    at: datetime | None, kind: str, delivery: str | None, mapping: str | None, rule: str,
    base: Any = None, user: Any = None, contact: Any = None, effect: Any = None, answer: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "at": at and at.isoformat(), "kind": kind, "delivery": delivery, "mapping": mapping, "rule": rule, "base": base,
        "user": user, "contact": contact, "effect": effect, "answer": answer,
    }  # fmt: skip


def _now(work: Work, tx: Tx, link: Link, rule: Field | None, consent: Consent | None) -> dict[str, Any]:
    """What holds at this moment, and why nothing is done about it."""
    mapping = work.mappings[link.provider]
    line = consent.line if consent else rule.line if rule else 0
    where = f"{mapping.path}:{line}" if line else None
    if link.state is not LinkState.ACTIVE:
        why = f"the link is {link.state.value}: {in_words(link.reason or 'it was not settled yet')}"
        return _link_of_chain(tx.now, "now", link.cause, where, waits(link, tx.now) or f"nothing is done, because {why}")
    if consent is not None:
        now = _consent_now(tx.now, link, where, consent)
    else:
        assert rule is not None
        parked = tx.parked.of_links([link.id]).get(link.id, [])
        planned = _planned(work, tx, link)
        now = _field_now(tx.now, link, where, rule, planned, field_state(rule, link, parked))
        if rule.user == TYPOLOGIES and (passed_over := unlisted.of(mapping, link.user)):
            now["rule"] += f"; the user also has {', '.join(passed_over)}, which is not in typologies.values"
    if waiting := waits(link, tx.now):
        now |= {"delivery": link.cause, "rule": f"{waiting}; as last seen: {now['rule']}"}
    return now


def _planned(work: Work, tx: Tx, link: Link) -> Plan:
    """What would follow if both sides were as they were last seen."""
    mapping = work.mappings[link.provider]
    provider = work.providers[link.provider]
    types = {one.subscription: one.subscription for one in mapping.consents if one.subscription}
    policy = Policy(
        mapping, work.id_property(link.provider), provider.capabilities.update, timedelta(0), tx.now, types, readable=True,
        unwritable=unwritable(provider, mapping),
    )  # fmt: skip
    return plan(link, Seen(link.user, link.contact), policy)


def _field_now(at: datetime, link: Link, where: str | None, rule: Field, planned: Plan, state: str) -> dict[str, Any]:
    one = next((one for one in planned.decisions if one.field.user == rule.user and one.field.contact == rule.contact), None)
    base = link.base.get(rule.user)
    if one is None:
        return _link_of_chain(at, "now", None, where, f"{state}; nothing is decided about it", base)
    if state == "waits":
        told = one.rule
    elif one.rule.startswith("withheld") or state in ("agreed", "drift"):
        told = f"nothing is done, because {one.rule}"
    else:
        told = state if one.rule in state else f"{state}; {one.rule}"
    return _link_of_chain(at, "now", None, where, told, base, one.sides.user.value, one.sides.contact.value)


def _consent_now(at: datetime, link: Link, where: str | None, consent: Consent) -> dict[str, Any]:
    standing = decoded(link.consents.get(consent.consent))
    heard = {name: said.state.value for name, said in standing.heard.items()}
    crm = heard.get(Voice.SUBSCRIPTION) or heard.get(Voice.PROPERTY)
    return _link_of_chain(at, "now", None, where, _stands(link, consent, standing), None, heard.get("user"), crm)


def _stands(link: Link, consent: Consent, standing: Standing) -> str:
    now = standing.now
    if held := link.held.get(CONSENT + consent.consent):
        return f"held: granted, says {now.source}; but {held}"
    if not standing.heard and now.at is None:
        return "unknown: nobody said anything yet, and unknown is not no"
    when = f" since {now.at.isoformat()}" if now.at else ""
    return f"{now.state.value} stands{when}{f', says {now.source}' if now.source else ''}"
