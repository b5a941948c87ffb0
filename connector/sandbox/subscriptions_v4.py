"""The subscriptions API, v4: with times, for many addresses, and with a way back.

Facts (HubSpot API, "Subscriptions" v4, published specification; answers captured by github.com/ballerina-platform/
module-ballerinax-hubspot.marketing.subscriptions):
- reading one address, and writing, gives flat `results` of states; reading many gives `subscriberIdString` and `statuses` (for
  opt-outs of all `wideStatuses`) of each;
- `setStatusSuccessReason` is there in answers to writes only; `source` of a write by an app is "Public status API, App ID:<id>";
- without an opt-out of all its `results` are empty; opting out answers nothing unless `verbose`;
- who unsubscribed may be subscribed again (RESUBSCRIBE_OCCURRED).
Assumed, for want of a document: 100 addresses or rows; addresses come back in lower case; a type nobody chose reads NOT_SPECIFIED
without time and source; NOT_SPECIFIED cannot be written; subscribing who opted out of all is refused; the error of a row names
its address and type in `context`; an opt-out of all changes no single type that was unsubscribed before.
"""

from collections.abc import Callable, Sequence

from connector.sandbox.answers import Answers, Done, Row, Shown, Write, rows_of, texts_of
from connector.sandbox.replies import Refusal, bad_request, missing_scope
from connector.sandbox.subscriptions import (
    NOT_SPECIFIED,
    SUBSCRIBED,
    UNSUBSCRIBED,
    State,
    Subscriptions,
    SubscriptionType,
    fold,
)
from connector.sandbox.subscriptions_checks import Checks
from connector.sandbox.subscriptions_v3 import definition
from connector.sandbox.values import iso
from connector.sandbox.wire import Asked, Told

CHANGED, SAME, AGAIN = "REQUESTED_CHANGE_OCCURRED", "NO_STATUS_CHANGE", "RESUBSCRIBE_OCCURRED"
FROM_ALL = "UNSUBSCRIBE_FROM_ALL_OCCURRED"
SINGLE, BATCH = "communication_preferences.read_write", "communication_preferences.statuses.batch.write"


class SubscriptionsV4:
    """Every method takes a request and gives its answer, or raises Refusal. source: what is told of who wrote."""

    def __init__(self, subscriptions: Subscriptions, checks: Checks, answers: Answers, source: str) -> None:
        self._subscriptions = subscriptions
        self._checks = checks
        self._answers = answers
        self._source = source

    def definitions(self, asked: Asked) -> Told:
        """All types."""
        self._open()
        listed = [{"businessUnitId": 0, **definition(one)} for one in self._subscriptions.types.values()]
        return self._answers.told(Done(listed))

    def read(self, asked: Asked) -> Told:
        """What holds for one address."""
        self._open()
        email = self._email(asked)
        return self._answers.told(Done(self._statuses(email)))

    def write(self, asked: Asked) -> Told:
        """One state of one address."""
        self._open()
        row = {**asked.body, "subscriberIdString": asked.params["email"]}
        return self._answers.told(Done([self._plan(row)()]))

    def read_wide(self, asked: Asked) -> Told:
        """Has an address opted out of all?"""
        self._open()
        email = self._email(asked)
        return self._answers.told(Done(self._wide(email)))

    def opt_out(self, asked: Asked) -> Told:
        """One address out of all."""
        self._open()
        email = self._email(asked)
        changed = self._subscriptions.opt_out_of_all(email, self._source)
        verbose = asked.flag("verbose")
        return self._answers.told(Done(self._statuses(email, changed) if verbose else []))

    def batch_read(self, asked: Asked) -> Told:
        """What holds for many addresses."""
        return self._many(asked, lambda email: {"subscriberIdString": email, "statuses": self._statuses(email)})

    def batch_read_wide(self, asked: Asked) -> Told:
        """Which of many have opted out of all."""
        return self._many(asked, lambda email: {"subscriberIdString": email, "wideStatuses": self._wide(email)})

    def batch_write(self, asked: Asked) -> Told:
        """Many states."""
        self._open(many=True)
        rows = rows_of(asked)
        return self._answers.wrote(self._answers.each(rows, self._named))

    def batch_opt_out(self, asked: Asked) -> Told:
        """Many addresses out of all."""
        self._open(many=True)
        _channel(asked.query.get("channel"))
        emails = [self._checks.email(one) for one in texts_of(asked)]
        changed = {one: self._subscriptions.opt_out_of_all(one, self._source) for one in emails}
        told = [{"subscriberIdString": one, "statuses": self._statuses(one, ids)} for one, ids in changed.items()]
        return self._answers.wrote(Done(told if asked.flag("verbose") else []))

    def _open(self, many: bool = False) -> None:
        if not self._checks.switches.v4_subscriptions:
            raise missing_scope(SINGLE)
        if many and not self._checks.switches.batch_subscriptions:
            raise missing_scope(BATCH)

    def _email(self, asked: Asked) -> str:
        _channel(asked.query.get("channel"))
        return self._checks.email(asked.params["email"])

    def _many(self, asked: Asked, show: Callable[[str], Shown]) -> Told:
        self._open(many=True)
        _channel(asked.query.get("channel"))
        results: list[Shown] = []
        errors: list[Refusal] = []
        for email in dict.fromkeys(fold(one) for one in texts_of(asked)):
            try:
                results.append(show(self._checks.email(email)))
            except Refusal as refused:
                errors.append(_about(refused, subscriberIdString=email))
        return self._answers.found(results, errors)

    def _named(self, row: Row) -> Write:
        try:
            return self._plan(row)
        except Refusal as refused:
            named = {name: row[name] for name in ("subscriberIdString", "subscriptionId") if name in row}
            raise _about(refused, **named) from refused

    def _plan(self, row: Row) -> Write:
        """Check one row."""
        _channel(row.get("channel"))
        if not isinstance(row.get("subscriptionId"), int):
            raise bad_request("Invalid input JSON: subscriptionId must be a number")
        email, kind = self._checks.email(row.get("subscriberIdString")), self._checks.type(row["subscriptionId"])
        status = row.get("statusState")
        if status not in (SUBSCRIBED, UNSUBSCRIBED):
            raise bad_request(f"statusState: {status} cannot be set; {SUBSCRIBED} and {UNSUBSCRIBED} can.")
        self._checks.basis(row, subscribes=status == SUBSCRIBED)
        if status == SUBSCRIBED:
            self._refuse_resubscription(email, kind)
        return lambda: self._set(email, kind, status, row)

    def _refuse_resubscription(self, email: str, kind: SubscriptionType) -> None:
        if self._subscriptions.opted_out_of_all(email):
            raise bad_request(f"{email} has opted out of all emails and cannot be subscribed to subscription {kind.id}.")
        current, switches = self._subscriptions.state(email, kind.id), self._checks.switches
        strict = switches.refuses_resubscription or email in switches.refuses_resubscription_of
        if strict and current and current.status == UNSUBSCRIBED and current.own:
            raise bad_request(f"{email} has unsubscribed from subscription {kind.id} and cannot be subscribed again.")

    def _set(self, email: str, kind: SubscriptionType, status: str, row: Row) -> Shown:
        current = self._subscriptions.state(email, kind.id)
        before = current.status if current else NOT_SPECIFIED
        if before == status:
            return self._told(email, kind, SAME)
        basis, explanation = row.get("legalBasis"), row.get("legalBasisExplanation")
        state = State(status, self._subscriptions.now(), self._source, legal_basis=basis, explanation=explanation)
        self._subscriptions.put(email, kind.id, state)
        return self._told(email, kind, AGAIN if before == UNSUBSCRIBED else CHANGED)

    def _statuses(self, email: str, changed: Sequence[int] | None = None) -> list[Shown]:
        """Of every type; after an opt-out of all, with what it did to each."""
        reasons = {one: FROM_ALL if one in changed else SAME for one in self._subscriptions.types} if changed is not None else {}
        return [self._told(email, one, reasons.get(one.id)) for one in self._subscriptions.types.values()]

    def _wide(self, email: str) -> list[Shown]:
        wide = self._subscriptions.opted_out_of_all(email)
        told = {"wideStatusType": "PORTAL_WIDE", "subscriberIdString": email, "status": UNSUBSCRIBED, "channel": "EMAIL"}
        return [{**told, "timestamp": iso(wide.at)}] if wide else []

    def _told(self, email: str, kind: SubscriptionType, reason: str | None = None) -> Shown:
        state = self._subscriptions.state(email, kind.id)
        return {
            "businessUnitId": 0, "channel": "EMAIL", "subscriberIdString": email, "subscriptionId": kind.id,
            "subscriptionName": kind.name, "status": state.status if state else NOT_SPECIFIED,
            "source": state.source if state else None, "legalBasis": state.legal_basis if state else None,
            "legalBasisExplanation": state.explanation if state else None, "setStatusSuccessReason": reason,
            "timestamp": iso(state.at) if state else None,
        }  # fmt: skip


def _channel(raw: object) -> None:
    if raw != "EMAIL":
        raise bad_request(f"channel: {raw} is not EMAIL")


def _about(refused: Refusal, **context: object) -> Refusal:
    named = {name: [str(value)] for name, value in context.items()}
    return Refusal(refused.status, refused.category, refused.message, context=named)
