"""The entries of an explanation's chain that our own history and the ledger tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.mapping.model import CONSENT, Consent, Field, Mapping
from connector.model import ConsentState, Link
from connector.store import Tx
from connector.store.history import Entry
from connector.store.ledger import LedgerRow
from connector.sync.work import Work

ALL = 10_000
"""Entries of the history looked through."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an explanation is about.

    name: as it was asked for. user, contact: as the history calls it on either side. rule, consent: its entry in the mapping; the
    id that ties a contact to its user has neither.
    """

    name: str
    user: str
    contact: str | None
    rule: Field | None = None
    consent: Consent | None = None

    @property
    def line(self) -> int:
        """Where the mapping says so; 0 where it says nothing."""
        return self.consent.line if self.consent else self.rule.line if self.rule else 0


def step(
    link: Link, at: datetime | None, kind: str, delivery: str | None, mapping: str | None, rule: str,
    base: Any = None, user: Any = None, contact: Any = None, effect: Any = None, answer: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One entry of a chain."""
    return {
        "at": at and at.isoformat(), "kind": kind, "delivery": delivery, "mapping": mapping, "rule": rule, "base": base,
        "user": user, "contact": contact, "effect": effect, "answer": answer, "link": link.name,
    }  # fmt: skip


def of_link(tx: Tx, link: Link, mapping: Mapping, about: Subject) -> Iterator[dict[str, Any]]:
    """What the ledger and the history tell about it, and what became of the link as a whole."""
    for row in tx.ledger.of_link(link.id) if about.consent else []:
        if about.consent and row.purpose == about.consent.consent:
            yield step(link, row.learnt_at, "consent", row.delivery, None, _told(row), effect={"consent": row.state.value})
    for entry in tx.history.of_link(link.id, ALL):
        for change in entry.changes:
            if change["field"] == about.user or (about.contact and change.get("property") == about.contact):
                yield _effect(link, entry, change, mapping)
        if entry.kind == "contact.create" and not (about.rule or about.consent):
            yield _created(link, entry, about)
        if not entry.changes:
            told = entry.answer or ""
            yield step(link, entry.at, entry.kind, entry.delivery or _run(entry), None, told, answer=told)


def of_others(work: Work, tx: Tx, link: Link, about: Subject) -> Iterator[dict[str, Any]]:
    """What was written for other links of the same contact to the same property, or to the same subscription."""
    found = tx.links.by_contacts([link.contact_id]) if link.contact_id else {}
    for other in found.get(link.contact_id or "", []):
        if other.id == link.id:
            continue
        mapping = work.mappings.get(other.provider)
        consents = _of_subscription(mapping, about.consent)
        for entry in _on_this_contact(tx.history.of_link(other.id, ALL)):
            for change in entry.changes if entry.kind != "refused" else []:
                if change["side"] == "contact" and _is_about(change, about, consents):
                    yield _effect(other, entry, change, mapping)


def _of_subscription(mapping: Mapping | None, consent: Consent | None) -> set[str]:
    """Another mapping's consents that stand for the same subscription, as the history calls them."""
    if mapping is None or consent is None or consent.subscription is None:
        return set()
    word = consent.subscription.casefold()
    return {CONSENT + one.consent for one in mapping.consents if one.subscription and one.subscription.casefold() == word}


def _on_this_contact(entries: list[Entry]) -> list[Entry]:
    """What came after a person tied the link to the contact that it has now."""
    relinked = [number for number, entry in enumerate(entries) if entry.kind == "relink" and _to_another(entry.answer or "")]
    return entries[relinked[-1] :] if relinked else entries


def _to_another(answer: str) -> bool:
    """Whether a relink that answers "contact A -> B" left A."""
    before, _, after = answer.removeprefix("contact ").partition(" -> ")
    return before != after


def _is_about(change: dict[str, Any], about: Subject, consents: set[str]) -> bool:
    name = change.get("property")
    return name == about.contact if name else change["field"] in consents


def _told(row: LedgerRow) -> str:
    when = f" at {row.occurred_at.isoformat()}" if row.occurred_at else ""
    who = f", says {row.source}" if row.source else ""
    missing = " and ".join(f"no {name}" for name, told in (("time", when), ("source", who)) if not told)
    weak = ": cannot lift an opt-out" if row.state is ConsentState.GRANTED else ""
    return f"{row.state.value}{when}{who}" + (f" ({missing} given{weak})" if missing else "")


def _effect(link: Link, entry: Entry, change: dict[str, Any], mapping: Mapping | None) -> dict[str, Any]:
    """mapping: None when the provider is not configured any more."""
    where = None
    if mapping and change.get("line"):
        version = "" if entry.mapping == mapping.sha256 else f" of an earlier version ({(entry.mapping or '')[:12]})"
        where = f"{mapping.path}:{change['line']}{version}"
    effect = {"side": change["side"], "property": change.get("property"), "from": change["from"], "to": change["to"]}
    if entry.request:
        effect["request"] = entry.request
    return step(
        link, entry.at, entry.kind, entry.delivery or _run(entry), where, change["rule"], change.get("base"), change.get("user"),
        change.get("contact"), effect, entry.answer,
    )  # fmt: skip


def _created(link: Link, entry: Entry, about: Subject) -> dict[str, Any]:
    """A new contact gets the id by being made under it, so that is not among the changes."""
    effect = {"side": "contact", "property": about.contact, "from": None, "to": link.user_id}
    rule = "the contact is created under its user's id"
    return step(
        link, entry.at, entry.kind, entry.delivery or _run(entry), None, rule, None, link.user_id, None, effect, entry.answer
    )


def _run(entry: Entry) -> str | None:
    return f"run {entry.run}" if entry.run else None
