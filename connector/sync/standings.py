"""What is remembered of a batch's consents: what stands and who said what, the proof, and addresses that somebody left."""

from dataclasses import replace
from typing import Any

from connector.engine.consent import GRANTED, NOTHING, REVOKED, UNKNOWN, Ruling, Standing, Voice, encoded, without_time
from connector.model import Statement
from connector.store import Tx
from connector.store.ledger import LedgerRow
from connector.sync import entrypoints
from connector.sync.case import Case


def remembered(case: Case) -> dict[str, Any]:
    """What was settled about each consent, for the link's row. What was not looked at stays as it was."""
    return dict(case.link.consents) | {one.consent.consent: encoded(_standing(case, one)) for one in _settled(case)}


def _settled(case: Case) -> list[Ruling]:
    """What was decided about consents. Without a contact, what the CRM says of the address may be about somebody else who has it:
    only an opt-out counts, and the user's own word that nothing outweighs. Without a user it is nobody's consent yet, and while a
    case is queued nothing is settled, nor where the time of something new was not learnt before a failure.
    """
    plan = case.plan
    if plan is None or plan.asks or plan.asks_all or case.queued or not case.link.user_id or (case.error and plan.evidence):
        return []
    return [one for one in plan.rulings if case.seen.contact or one.now.state is REVOKED or _own_word(one)]


def _own_word(ruling: Ruling) -> bool:
    said = ruling.said.get(Voice.USER, NOTHING)
    same = (ruling.now.state, ruling.now.source) == (said.state, said.source)  # the time may be another, see engine.consent
    return same or (ruling.now.state is UNKNOWN and said.state is not REVOKED)


def _standing(case: Case, ruling: Ruling) -> Standing:
    """Each voice as it was heard; what we wrote ourselves as written, without a time."""
    name, heard = ruling.consent.consent, dict(ruling.before.heard)
    heard |= {voice: said for voice, said in ruling.said.items() if not _keeps(voice, heard.get(voice), said)}
    heard.pop(Voice.FORMER, None)
    heard |= case.elsewhere.get(name, {})
    ours = without_time(ruling.now)
    if name in case.on_subscription:
        heard[Voice.SUBSCRIPTION] = ours
        heard[Voice.WRITTEN] = Statement(UNKNOWN, case.on_subscription[name])
        if ruling.now.state is REVOKED:
            heard[Voice.OPTOUT] = Statement(REVOKED)
    if ruling.name in case.on_contact:
        heard[Voice.PROPERTY] = Statement(ruling.effective)
    if name in case.told:
        heard[Voice.USER] = case.told[name]
    if case.seen.opted_out is not None:
        heard[Voice.OPTOUT_ALL] = Statement(REVOKED) if case.seen.opted_out else NOTHING
    refused = ruling.before.refused if ruling.before.refused == ruling.now else None
    type_id = case.policy.subscriptions.get(ruling.consent.subscription or "") if Voice.SUBSCRIPTION in heard else None
    why = ruling.before.why if refused else ""
    return Standing(ruling.now, heard, case.seen.address, refused, why, type_id or ruling.before.type_id)


def _keeps(voice: str, known: Statement | None, said: Statement) -> bool:
    """Whether what was heard stays: a voice repeats what we wrote there, and the time it puts to it, that of our writing, never
    counts; or the provider does not know any more what it said, or the CRM leaves it out, and neither takes it back by that."""
    if known is None:
        return False
    forgot = (voice == Voice.USER and said.state is UNKNOWN) or (voice == Voice.SUBSCRIPTION and said == NOTHING)
    return forgot or (known.at is None and known.state is said.state)


def ledger_rows(tx: Tx, case: Case) -> list[LedgerRow]:
    """What is new about the person's consents, for the ledger."""
    new = [one for one in _settled(case) if one.now != one.before.now]
    if not new:
        return []
    subject = tx.ledger.subject(case.link.provider, case.link.user_id or "")
    lacking = [one for one in new if entrypoints.lacking(one)]
    heard = entrypoints.heard(tx, case) if lacking else ()
    found = {one.name: entrypoints.named(heard, one.now) for one in lacking}
    return [_ledger_row(case, subject, one, found.get(one.name)) for one in new]


def _ledger_row(case: Case, subject: str, ruling: Ruling, entry_point: str | None) -> LedgerRow:
    """entry_point: where the user's own entry tells none."""
    now, consent = ruling.now, ruling.consent
    basis = consent.legal_basis.value if consent.legal_basis and now.state is GRANTED else None
    return LedgerRow(
        link_id=case.link.id, provider=case.link.provider, subject=subject, purpose=consent.consent, state=now.state,
        occurred_at=now.at, source=now.source, entry_point=now.entry_point or entry_point, legal_basis=basis,
        text_version=now.text_version, delivery=case.link.cause,
    )  # fmt: skip


def bury_former(tx: Tx, case: Case) -> None:
    """An address the person had before says nothing about whoever has it next."""
    plan = case.plan
    former = set(addresses_before(case)) if plan and plan.rulings else set()
    left = {case.seen.address} if case.moved and case.seen.address else set()
    for address in former - {case.seen.address} | left:
        tx.tombstones.moved(address)


def addresses_before(case: Case) -> list[str]:
    """The addresses that the consents of the mapping hung on."""
    known = [case.link.consents.get(one.consent) for one in case.mapping.consents]
    return [one["address"] for one in known if one and one.get("address")]


def remember_refusal(case: Case, ruling: Ruling, why: str) -> None:
    """The CRM keeps the opt-out: the grant is held, and not tried again until somebody says something new."""
    standing = replace(ruling.before, refused=ruling.now, why=why)
    case.link = replace(case.link, consents={**case.link.consents, ruling.consent.consent: encoded(standing)})
    case.decide()
