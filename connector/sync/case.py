"""One link on its way through a batch: what was seen of it, what was planned, what became of it."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from connector.engine.consent import Ruling, Voice
from connector.engine.decide import Decision, with_strange
from connector.engine.plan import Plan, Policy, Seen, plan
from connector.engine.readings import contact_reading, safely, typologies, user_consent, user_reading
from connector.errors import ConnectorError, Fenced, Paused, Permanent, Rejected
from connector.mapping.model import Field
from connector.mapping.model import Mapping as FieldMapping
from connector.model import ConsentState, Contact, Link, LinkState, Statement, User, Value
from connector.providers.base import Provider
from connector.store.history import Entry
from connector.store.notes import ParkedRow
from connector.sync.beyond import unwritable
from connector.sync.forget import barred
from connector.sync.work import LEASE, Work


@dataclass
class Case:
    """Mutable on purpose: it lives for one batch in one thread.

    seen: both sides as observed. plan: what to do. values: columns of the link to record. entries: history to record.
    refused: property (or "user.field") -> (reason, value) that the other side refused for good.
    waiting: the same for what may be accepted later.
    intents: what was about to be written in this batch; `open_effects` are those no answer came to, as kind and consent or
        membership. What earlier workers left of it is in `link.intent`.
    on_contact, on_user: user fields whose writes to that side were read back as asked; a consent is `consent.<name>` there.
    on_subscription: consents whose subscription status the CRM now holds as asked, with the time it put to the change, if told.
    elsewhere: by consent, voices of what was written at other addresses.
    told: consent -> what the provider's answer to our writing said about it.
    grants_later: what is granted waits until the contact has the address that is about to be written.
    closed: why subscriptions are closed to us; the rest goes on.
    left: why the CRM keeps records of the events of somebody who was erased.
    echo: what the CRM made of our value, where it reformats.
    error: why this link could not be settled, and call: what it was doing then. mistake: the reason is ours, not a side's.
    answered: the kinds of call that worked for this link.
    queued: its turn has not come; nothing was done, and nothing is wrong.
    again: look again at once. replaced_by: another link took this one's contact.
    """

    link: Link
    mapping: FieldMapping
    provider: Provider
    policy: Policy
    parked: list[ParkedRow] = field(default_factory=list)
    seen: Seen = field(default_factory=lambda: Seen(None, None))
    fetched: bool = False
    plan: Plan | None = None
    values: dict[str, Any] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    refused: dict[str, tuple[str, Value]] = field(default_factory=dict)
    waiting: dict[str, tuple[str, Value]] = field(default_factory=dict)
    intents: list[dict[str, Any]] = field(default_factory=list)
    open_effects: set[tuple[str, str]] = field(default_factory=set)
    on_contact: set[str] = field(default_factory=set)
    on_user: set[str] = field(default_factory=set)
    on_subscription: dict[str, datetime | None] = field(default_factory=dict)
    elsewhere: dict[str, dict[str, Statement]] = field(default_factory=dict)
    told: dict[str, Statement] = field(default_factory=dict)
    grants_later: bool = False
    closed: str = ""
    left: str = ""
    echo: dict[str, Value] = field(default_factory=dict)
    error: ConnectorError | None = None
    call: str = ""
    mistake: bool = False
    answered: set[str] = field(default_factory=set)
    queued: bool = False
    again: bool = False
    replaced_by: str | None = None

    @property
    def open(self) -> bool:
        """Still on its way: no failure, no final state."""
        return self.error is None and "state" not in self.values and self.replaced_by is None

    @property
    def decided(self) -> Plan:
        """The plan, once there is one."""
        assert self.plan is not None
        return self.plan

    def decide(self) -> Plan:
        """Plan from what was seen, leaving out what was refused before with the same value."""
        refused = {row.what: row.value for row in self.parked}
        refused |= {what: value for what, (_, value) in (self.refused | self.waiting).items()}
        self.seen = replace(self.seen, refused=refused, written=frozenset(self.on_contact))
        self.plan = plan(self.link, self.seen, self.policy)
        if self.mapping.consents and (address := self._address()) != self.seen.address:
            asked = replace(self.seen, statuses=None, former={}, opted_out=None, opted_out_at=None, not_before=None)
            self.seen = replace(asked, address=address)
            self.plan = plan(self.link, self.seen, self.policy)
        return self.plan

    def _address(self) -> str | None:
        """The email address the contact has; consents hang on it. One without gets the user's.

        One that is about to be written may be refused, and be somebody else's: it counts once the contact has it.
        """
        found: Any = (self.seen.contact and self.seen.contact.properties.get("email")) or self.decided.contact_writes.get("email")
        if not found and self.seen.user is not None:
            found = self.seen.user.values.get("email")
        return found.strip().lower() or None if isinstance(found, str) else None

    @property
    def moved(self) -> bool:
        """Whether the contact got another address since the consents of the one it had were settled."""
        now = self.seen.contact.properties.get("email") if self.seen.contact else None
        return bool(self.mapping.consents and now and self.seen.address and now.strip().lower() != self.seen.address)

    @property
    def says_stop(self) -> bool:
        """Whether the user itself says no to some consent."""
        user = self.seen.user
        told = [user_consent(one.consent, user) for one in self.mapping.consents] if user is not None else []
        return any(one.state is ConsentState.REVOKED for one in told)

    def seen_at(self, now: datetime) -> dict[str, datetime]:
        """When the sides were seen, as columns. A contact that is written to without being read is not seen as a whole."""
        looked = self.answered & {"contact.read", "contact.find"} or self.link.contact is None
        user = any(call.startswith("user.") for call in self.answered)
        seen = {"user_seen_at": user, "contact_seen_at": bool(looked) and self.seen.contact is not None}
        return {name: now for name, is_now in seen.items() if is_now}

    def given_up(self, attempts: int) -> None:
        """A link that one worker after another was lost over is not tried any more."""
        if self.link.lost >= attempts:
            self.error = Rejected(f"the worker was lost {self.link.lost} times in a row while it had this link")

    def patient(self, attempts: int) -> bool:
        """Whether there are attempts left, for what another record's change may make possible."""
        return self.link.attempts + 1 < attempts

    def failed(self, call: str, error: ConnectorError, effect: str = "", about: str = "") -> None:
        """This link cannot be settled now, because this kind of call failed. Only a lost answer leaves its effect in doubt."""
        self.call, self.error = call, error
        if isinstance(error, Paused | Permanent):
            self.heard(effect, about)

    def end(self, state: LinkState, reason: str, kind: str) -> None:
        """The link reaches a state that is not `active`."""
        self.values |= {"state": state, "reason": reason}
        self.note(kind, answer=reason)

    def note(self, kind: str, changes: list[dict[str, Any]] | None = None, request: str = "", answer: str = "") -> None:
        """Remember one effect or decision for the history."""
        self.entries.append(self.entry(kind, changes, request, answer))

    def entry(self, kind: str, changes: Sequence[Any] | None = None, request: str = "", answer: str = "") -> Entry:
        """One effect or decision, as the history has it."""
        link = self.link
        return Entry(link.id, kind, link.cause, link.run, self.mapping.sha256, changes or [], request or None, answer or None)

    def intend(self, kind: str, ruling: Ruling | None = None, membership: str = "", changes: Sequence[Any] = ()) -> None:
        """Put down an effect that is about to be made: on one consent, on one membership, which `changes` describe, or on fields.

        It stays until the batch is recorded.
        """
        side = "user" if kind.startswith("user.") else "contact"
        if ruling is not None:
            intent = {"kind": kind, "consent": ruling.consent.consent, "changes": [described_consent(ruling, side)]}
        elif membership:
            intent = {"kind": kind, "membership": membership, "changes": changes}
        else:
            written = self.decided.user_writes if side == "user" else self.decided.contact_writes
            intent = {"kind": kind, "changes": self.described(written, side)}
        self.intents = [*(one for one in self.intents if _effect(one) != _effect(intent)), intent]
        self.open_effects.add(_effect(intent))

    def heard(self, kind: str, about: str = "") -> None:
        """What became of an effect is known, and in `entries`. about: the consent or the membership it was on."""
        self.open_effects.discard((kind, about))

    @property
    def unheard(self) -> list[dict[str, Any]]:
        """What was about to be written and nobody knows whether it was."""
        return [one for one in self.intents if _effect(one) in self.open_effects]

    def described(self, written: Container[str], side: str) -> list[dict[str, Any]]:
        """The history's words for the fields in `written` (property or user field names)."""
        told = [
            _described(one, side)
            for one in self.decided.decisions
            if (one.field.contact if side == "contact" else one.field.user) in written
        ]
        if side == "contact" and (name := self.policy.id_property) in written:
            told.append(_described_id(name, self.seen.contact, self.link.user_id))
        return told

    def confirm(self, asked: Mapping[str, str], answered: Contact, created: bool = False) -> None:
        """Compare a contact write with its answer, property by property: a 2xx that changed nothing is a failure."""
        before = self.seen.contact
        properties = dict(before.properties if before else {}) | dict(answered.properties)
        now = Contact(answered.id, properties, answered.updated_at or (before.updated_at if before else None))
        for one in self.decided.decisions:
            if one.field.contact not in asked:
                continue
            got = contact_reading(one.field, now)
            if got.value == one.to_contact or (
                one.field.type == "set" and with_strange(got.value, got.strange) == one.to_contact
            ):
                self.on_contact.add(one.field.user)
            elif got.value == one.sides.contact.value or (created and got.value is None):
                self.refused[one.field.contact] = ("the CRM accepted the write but did not change the value", one.to_contact)
            else:
                self.echo[one.field.user] = got.value
                self.on_contact.add(one.field.user)
        others = [rule for rule in self.mapping.fields if rule.contact not in asked]
        self.again = self.again or (before is not None and _contact_moved(others, before, now))
        self.seen = replace(self.seen, contact=now, contact_gone=False)

    def confirm_user(self, asked: Mapping[str, Any], answered: User) -> None:
        """Compare a user write with its answer, field by field."""
        for one in self.decided.decisions:
            if one.field.user not in asked:
                continue
            if user_reading(one.field, answered).value == one.to_user:
                self.on_user.add(one.field.user)
            else:
                why = "the provider accepted the write but holds another value"
                self.refused[f"user.{one.field.user}"] = (why, one.to_user)
        self.answered_user(answered, [rule for rule in self.mapping.fields if rule.user not in asked])

    def answered_user(self, user: User, others: Iterable[Field], consent: str = "", membership: str = "") -> None:
        """Take the user from the answer to a write. What somebody else changed since we decided is looked at again.

        others: fields that were not written. consent, membership: the one that was.
        """
        consents = [one.consent for one in self.mapping.consents if one.consent != consent]
        moved = user_moved(others, consents, self.seen.user, user) or (
            bool(self.mapping.typologies) and _memberships_moved(membership, self.seen.user, user)
        )
        self.again = self.again or moved
        self.saw_user(user)

    def saw_user(self, user: User) -> None:
        """The user as it is now."""
        self.seen = replace(self.seen, user=user, user_gone=False)


USER_CONSENT, STATUS = "user.consent", "subscription.write"
"""Kinds of effects on consents."""


def _effect(intent: Mapping[str, Any]) -> tuple[str, str]:
    return intent["kind"], intent.get("consent") or intent.get("membership", "")


def described_consent(one: Ruling, side: str) -> dict[str, Any]:
    """The history's words for a consent written to the provider ("user") or to the CRM's subscription ("contact")."""
    voices = {voice: said.state.value for voice, said in {**one.before.heard, **one.said}.items()}
    crm = voices.get(Voice.SUBSCRIPTION) or voices.get(Voice.PROPERTY)
    before = voices.get(Voice.USER) if side == "user" else voices.get(Voice.SUBSCRIPTION)
    return {
        "field": one.name, "property": None, "side": side, "from": before, "to": one.now.state.value,
        "base": one.before.now.state.value, "user": voices.get("user"), "contact": crm, "rule": one.rule,
        "line": one.consent.line, "evidence": {"at": one.now.at and one.now.at.isoformat(), "source": one.now.source},
    }  # fmt: skip


def _contact_moved(rules: Iterable[Field], before: Contact, now: Contact) -> bool:
    """Whether one of these properties changed between reading a contact and the answer to our writing."""
    return any(safely(contact_reading, rule, before) != safely(contact_reading, rule, now) for rule in rules)


def user_moved(rules: Iterable[Field], consents: Iterable[str], before: User | None, now: User) -> bool:
    """The same for a user's fields and consents. A field that is not told says nothing."""
    if before is None:
        return False
    told = [rule for rule in rules if rule.user in before.values and rule.user in now.values]
    fields = any(safely(user_reading, rule, before) != safely(user_reading, rule, now) for rule in told)
    return fields or any(user_consent(name, before) != user_consent(name, now) for name in consents)


def _memberships_moved(written: str, before: User | None, now: User) -> bool:
    """The same for memberships other than the one that was written."""
    if before is None or before.memberships is None or now.memberships is None:
        return False
    return {*typologies(before)} - {written} != {*typologies(now)} - {written}


def cases(work: Work, links: list[Link], parked: Mapping[int, list[ParkedRow]], now: datetime) -> list[Case]:
    """One case for each leased link whose provider is configured; the others stay leased and untouched."""
    found = []
    for link in links:
        if (mapping := work.mappings.get(link.provider)) is None:
            continue
        provider = work.providers[link.provider]
        can = provider.capabilities
        policy = Policy(
            mapping, work.id_property(link.provider), can.update, work.grace, now, consent_writable=can.consent,
            memberships_writable=can.membership, unwritable=unwritable(provider, mapping),
        )  # fmt: skip
        found.append(Case(link, mapping, provider, policy, parked.get(link.id, [])))
    return found


def keep(work: Work, batch: list[Case]) -> None:
    """Extend the leases before something is read; links that a successor took over drop out."""
    if batch:
        with work.store.write() as tx:
            ours = tx.links.renew([case.link for case in batch], LEASE)
        _fence(batch, ours)


def still_ours(work: Work, batch: list[Case], kind: str = "") -> list[Case]:
    """Extend the leases before something is written; links that a successor took over drop out, as do those of people who were
    erased while the links were made.

    kind: of the effect that is about to be made. It is put down first, as is whatever else these cases intend: should nothing
    more be heard, the next worker knows whose value the other side may hold.
    """
    if not batch:
        return []
    for case in batch if kind else []:
        case.intend(kind)
    with work.store.write() as tx:
        erased = barred(tx, [case.link for case in batch])
        intents = {case.link.id: [*case.link.intent, *case.intents] for case in batch if case.intents}
        ours = tx.links.renew([case.link for case in batch if case.link.id not in erased], LEASE, intents)
    for case in batch:
        if case.link.id in erased:
            case.end(LinkState.ERASED, "erased", "forget")
    _fence([case for case in batch if case.link.id not in erased], ours)
    return [case for case in batch if case.link.id in ours]


def _fence(batch: list[Case], ours: Set[int]) -> None:
    for case in batch:
        if case.link.id not in ours:
            case.error = Fenced(f"{case.link.name}: another worker took over")


def in_turn(work: Work, batch: list[Case], kind: str) -> Iterator[Case]:
    """These cases one by one, for a call each; those that are not ours any more when their turn comes are left out."""
    for case in batch:
        yield from still_ours(work, [case], kind)


def _described_id(name: str, contact: Contact | None, user_id: str | None) -> dict[str, Any]:
    before = contact.properties.get(name) if contact else None
    return {
        "field": "id", "property": name, "side": "contact", "from": before, "to": user_id, "base": None, "user": user_id,
        "contact": before, "rule": "the contact carries its user's id", "line": 0,
    }  # fmt: skip


def _described(one: Decision, side: str) -> dict[str, Any]:
    before = one.sides.contact.value if side == "contact" else one.sides.user.value
    return {
        "field": one.field.user,
        "property": one.field.contact,
        "side": side,
        "from": before,
        "to": one.to_contact if side == "contact" else one.to_user,
        "base": one.sides.base,
        "user": one.sides.user.value,
        "contact": one.sides.contact.value,
        "rule": one.rule,
        "line": one.field.line,
    }
