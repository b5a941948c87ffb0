"""Why a value is what it is: what was delivered, what was decided by which line of the mapping, what was written, what was said.

All of it comes from our own history and the stored sides; nobody is asked.
"""

from datetime import timedelta
from typing import Any

from connector.engine.compare import as_set, elements
from connector.engine.consent import decoded
from connector.engine.decide import NOTHING_TO_MERGE
from connector.engine.normalise import Unreadable
from connector.engine.plan import Plan, Policy, Seen, plan
from connector.engine.readings import contact_reading, user_reading
from connector.mapping.model import COMMUNICABLE, CONSENT, TYPOLOGIES, Consent, Field, Mapping
from connector.model import LIVING, Link, LinkState, Value
from connector.store import Tx
from connector.sync import chain, unlisted
from connector.sync.beyond import unwritable
from connector.sync.chain import Subject
from connector.sync.owed import contact_says, owed, side, user_says
from connector.sync.who import effective, field_state, in_words, waits
from connector.sync.work import Work


class UnknownField(ValueError):
    """The mapping has no such field; the text names those it has."""


def explain(work: Work, tx: Tx, link: Link, name: str) -> dict[str, Any]:
    """The chain behind one value: {"link", "field", "value", "side", "chain": [...]}, oldest first, the last entry is now.

    name: a contact property, a user field, `typologies`, `communicable`, `id` or the property that carries it, a consent (with or
    without `consent.`), or its subscription as the mapping calls it.
    Raises UnknownField.
    """
    mapping = work.mappings[link.provider]
    about = _subject(mapping, work.id_property(link.provider), name)
    told = [*chain.of_link(tx, link, mapping, about), *chain.of_others(work, tx, link, about)]
    told.sort(key=lambda one: one["at"] or "")
    value, whose = _value(link, about)
    now = _now(work, tx, link, about)
    return {"link": link.name, "field": name, "value": value, "side": whose, "chain": [*told, now]}


def _subject(mapping: Mapping, id_property: str, name: str) -> Subject:
    """A name means a consent or its copy; else a property; else a user field; else the id; else a subscription."""
    wanted = name.removeprefix(CONSENT)
    consent = next((one for one in mapping.consents if wanted in (one.consent, one.property)), None)
    if consent is None and (rule := _rule(mapping, name)):
        return Subject(name, rule.user, rule.contact, rule)
    if consent is None and name in ("id", id_property):
        return Subject(name, "id", id_property)
    named = (one for one in mapping.consents if (one.subscription or "").casefold() == name.casefold())
    if (consent := consent or next(named, None)) is None:
        raise UnknownField(f"{name}: not in {mapping.path}; it has {', '.join(_names(mapping, id_property))}")
    rule = _rule(mapping, consent.property) if consent.property else None
    return Subject(name, CONSENT + consent.consent, consent.property, rule, consent)


def _names(mapping: Mapping, id_property: str) -> list[str]:
    told = [name for rule in mapping.rules for name in (rule.contact, rule.user)]
    return sorted({"id", id_property, *told, *(CONSENT + one.consent for one in mapping.consents)})


def _rule(mapping: Mapping, name: str) -> Field | None:
    """The entry of a property; else of a user field."""
    by_property = (rule for rule in mapping.rules if rule.contact == name)
    return next(by_property, None) or next((rule for rule in mapping.rules if rule.user == name), None)


def _value(link: Link, about: Subject) -> tuple[Value, str]:
    """The value on the side that the name belongs to; of a consent, what may be acted on, and who says so."""
    rule, consent = about.rule, about.consent
    if consent is not None and about.name != consent.property:
        state = effective(link, consent.consent)
        return state.value, side(link, consent, state)
    if rule is None:
        return (link.user_id, "user") if about.name == "id" else (_shown_id(link, about), "contact")
    on_contact = about.name == rule.contact or rule.user in (TYPOLOGIES, COMMUNICABLE)
    try:
        reading = contact_reading(rule, link.contact) if on_contact else user_reading(rule, link.user)
    except Unreadable as error:
        return f"({error})", "contact" if on_contact else "user"
    value = as_set(elements(reading.value) | set(reading.strange)) if rule.type == "set" else reading.value
    return value, "contact" if on_contact else "user"


def _shown_id(link: Link, about: Subject) -> str | None:
    return link.contact.properties.get(about.contact or "") if link.contact else None


def _now(work: Work, tx: Tx, link: Link, about: Subject) -> dict[str, Any]:
    """What holds at this moment, and why nothing is done about it."""
    mapping = work.mappings[link.provider]
    where = f"{mapping.path}:{about.line}" if about.line else None
    idle = ""
    if link.state is not LinkState.ACTIVE:
        why = f"the link is {link.state.value}: {in_words(link.reason or 'it was not settled yet')}"
        idle = waits(link, tx.now) or f"nothing is done, because {why}"
        if about.consent is None or link.state not in LIVING:
            return chain.step(link, tx.now, "now", link.cause, where, idle)
    if about.consent is not None:
        now = _consent_now(work, tx, link, where, about.consent)
    elif about.rule is not None:
        now = _field_now(work, tx, link, where, about.rule)
    else:
        now = _id_now(tx, link, about)
    if idle:
        now |= {"delivery": link.cause, "rule": f"{idle}; {now['rule']}"}
    elif waiting := waits(link, tx.now):
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


def _field_now(work: Work, tx: Tx, link: Link, where: str | None, rule: Field) -> dict[str, Any]:
    told = _planned(work, tx, link).decisions
    state = field_state(rule, link, tx.parked.of_links([link.id]).get(link.id, []))
    one = next((one for one in told if one.field.user == rule.user and one.field.contact == rule.contact), None)
    base = link.base.get(rule.user)
    if one is None:
        now = chain.step(link, tx.now, "now", None, where, f"{state}; nothing is decided about it", base)
    else:
        now = chain.step(
            link, tx.now, "now", None, where, _left(one.rule, state), base, one.sides.user.value, one.sides.contact.value
        )
    passed_over = unlisted.of(work.mappings[link.provider], link.user) if rule.user == TYPOLOGIES else []
    if passed_over:
        now["rule"] += f"; the user also has {', '.join(passed_over)}, which is not in typologies.values"
    return now


def _left(rule: str, state: str) -> str:
    """Why nothing is done about a field in this state."""
    if state == "waits":
        return rule
    if state == "drift" and rule == NOTHING_TO_MERGE:
        return "nothing is done, because what one side lost and the other has is left alone (drift)"
    if rule.startswith("withheld") or state in ("agreed", "drift"):
        return f"nothing is done, because {rule}"
    if state.startswith("agreed: "):
        return f"nothing is done, because {state.removeprefix('agreed: ')}"
    return state if rule in state else f"{state}; {rule}"


def _id_now(tx: Tx, link: Link, about: Subject) -> dict[str, Any]:
    shown = _shown_id(link, about)
    parked = [f"parked: {row.reason}" for row in tx.parked.of_links([link.id]).get(link.id, []) if row.what == about.contact]
    agreed = "nothing is done, because the contact carries its user's id"
    told = agreed if shown == link.user_id else "; ".join(parked) or "differs; the contact is to carry its user's id"
    return chain.step(link, tx.now, "now", None, None, told, None, link.user_id, shown)


def _consent_now(work: Work, tx: Tx, link: Link, where: str | None, consent: Consent) -> dict[str, Any]:
    told = "; ".join([_stands(link, consent), *([] if _held(link, consent) else owed(work, tx, link, consent))])
    user, contact = user_says(link, consent).value, contact_says(link, consent).value
    return chain.step(link, tx.now, "now", None, where, told, None, user, contact)


def _stands(link: Link, consent: Consent) -> str:
    standing = decoded(link.consents.get(consent.consent))
    now = standing.now
    says = f", says {now.source}" if now.source else ""
    if held := _held(link, consent):
        return f"held: granted{says}; not written to the contact: {held}"
    if not standing.heard and now.at is None:
        return "unknown: nobody said anything yet, and unknown is not no"
    when = f" since {now.at.isoformat()}" if now.at else ""
    return f"{now.state.value} stands{when}{says}"


def _held(link: Link, consent: Consent) -> str | None:
    return link.held.get(CONSENT + consent.consent)
