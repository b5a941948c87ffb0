"""Outseta's person: read into our vocabulary, and written back in Outseta's own shape.

Facts this file rests on (Outseta REST reference; the payload and model types of its JavaScript SDK):
- properties of the account's own making stand beside the built-in ones; `MailingAddress` is the only nested one;
- times have no zone; they count as UTC here. `Updated` moves with every change;
- `EmailListPerson` has an entry for each list: status 1 subscribed, 2 unsubscribed, 3 cleaned (the address bounced), 4 confirmed,
  with a date for each; a list with double opt-in waits at 1 until the person confirms. Which lists have it is likely told as
  `RequiresDoubleOptIn`, which no reference names, so it can be configured;
- `HasUnsubscribed` stands above all lists; false is also what it is when nobody ever asked;
- `PersonAccount` has an entry for each account: its `AccountStage`, and the plan of its `CurrentSubscription`;
- nested parts come along only as far as a request asks for them; a webhook may have less.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from connector.model import User
from connector.providers.reading import mapping, moment, objects, usable_id, written

FIELDS = {
    "email": "Email", "first_name": "FirstName", "last_name": "LastName", "phone": "PhoneMobile", "locale": "Language",
}  # fmt: skip
"""Our name of a field -> Outseta's."""
TIMES = {"created_at": "Created", "updated_at": "Updated", "last_login_at": "LastLoginDateTime"}
ADDRESS = "MailingAddress"
READ_ONLY = (
    "Uid", "FullName", "HasLoggedIn", "HasUnsubscribed", "OptInToEmailList", "AccountUids", "IsConnectedToDiscord",
    "UserAgentPlatformBrowser", "IPAddress", "Referer", "UserAgent", *TIMES.values(),
)  # fmt: skip
"""What Outseta keeps itself, and what an edit of ours must not carry: a consent could be given back that way."""
HIDDEN = ("Password", "OAuth", "Recaptcha", "_", "ActivityEventData", "SchemaLess")
"""Beginnings of names that are no property of a person."""

EVERYTHING = "email"
"""The consent that `HasUnsubscribed` withdraws: email as such."""
SUBSCRIBED, UNSUBSCRIBED, CONFIRMED = 1, 2, 4
DoubleOptIn = Literal["ask", "yes", "no"]
"""Whether a person has to confirm joining a list: each list says so, all ask for it, or none does."""
KNOWN = {"yes": True, "no": False}
STAGES = {
    2: "trialing", 3: "subscribing", 4: "cancelling", 5: "expired", 6: "trial_expired", 7: "past_due", 8: "cancelling_trial",
    9: "paused",
}  # fmt: skip
IN_FORCE = (2, 3, 4, 7, 8)
"""Stages of an account in which its plan is still in force."""


def user_from(record: Mapping[str, Any], double_opt_in: DoubleOptIn = "ask") -> User:
    """A person of Outseta, who has a usable `Uid`."""
    values: dict[str, Any] = {ours: record[theirs] for ours, theirs in FIELDS.items() if theirs in record}
    for ours, theirs in TIMES.items():
        if theirs in record:
            at = moment(record[theirs])
            values[ours] = written(at) if at else None
    values |= {f"custom.{name}": value for name, value in record.items() if _own(name, value)}
    for name, value in mapping(record.get(ADDRESS)).items():
        if name == "Country":
            values["country"] = value
        elif _own(name, value):
            values[f"custom.{ADDRESS}.{name}"] = value
    return User(
        id=str(record["Uid"]),
        values=values,
        updated_at=moment(record.get("Updated")),
        etag=version(record),
        memberships=_memberships(record.get("PersonAccount")),
        consents=_consents(record, double_opt_in),
    )


def version(record: Mapping[str, Any]) -> str | None:
    """What tells one state of a person from another."""
    changed = record.get("Updated")
    return changed if isinstance(changed, str) and changed else None


def _own(name: str, value: object) -> bool:
    """Whether a property is one of `custom.<name>`."""
    ours = name in FIELDS.values() or name in TIMES.values() or name == "Uid"
    return not ours and not name.startswith(HIDDEN) and (value is None or isinstance(value, str | int | float))


def _memberships(accounts: object) -> tuple[dict[str, Any], ...] | None:
    """For each account its stage and its plan; None when some account is not told that far."""
    if not isinstance(accounts, list):
        return None
    entries: list[dict[str, Any]] = []
    for account in (mapping(one.get("Account")) for one in objects(accounts)):
        stage = account.get("AccountStage")
        if type(stage) is not int:
            return None
        entries.append({"key": f"stage:{STAGES.get(stage, stage)}", "kind": "stage", "active": True})
        subscription = mapping(account.get("CurrentSubscription"))
        if plan := usable_id(mapping(subscription.get("Plan")).get("Uid")):
            since, until = _at(subscription.get("StartDate")), _at(subscription.get("EndDate"))
            entries.append({"key": plan, "kind": "plan", "active": stage in IN_FORCE, "since": since, "until": until})
    return tuple(entries)


def _consents(record: Mapping[str, Any], double_opt_in: DoubleOptIn) -> tuple[dict[str, Any], ...] | None:
    """An entry for each list, and one for email as such where it was withdrawn; None when some list is not told by its id."""
    lists = record.get("EmailListPerson")
    if not isinstance(lists, list):
        return None
    out_of_all = record.get("HasUnsubscribed") is True
    entries = [_entry(EVERYTHING, "revoked", _at(record.get("Updated")), "outseta")] if out_of_all else []
    for one in objects(lists):
        uid = usable_id(mapping(one.get("EmailList")).get("Uid"))
        if uid is None:
            return None
        state, at = _state(one, double_opt_in)
        if out_of_all and state != "revoked":
            state, at = "revoked", _at(record.get("Updated"))
        level = "double" if one.get("ConfirmedDate") or one.get("EmailListSubscriberStatus") == CONFIRMED else "single"
        entries.append({**_entry(uid, state, at, one.get("Source") or "outseta"), "level": level})
    return tuple(entries)


def _entry(purpose: str, state: str, at: str | None, source: object) -> dict[str, Any]:
    return {"purpose": purpose, "channel": "email", "state": state, "at": at, "source": source}


def _state(one: Mapping[str, Any], double_opt_in: DoubleOptIn) -> tuple[str, str | None]:
    """What a list's entry says, and since when. Who does not tell how a list is joined is taken for one who must confirm."""
    status = one.get("EmailListSubscriberStatus")
    if status == UNSUBSCRIBED:
        return "revoked", _at(one.get("UnsubscribedDate"))
    if status == CONFIRMED or (status == SUBSCRIBED and moment(one.get("ConfirmedDate"))):
        return "granted", _at(one.get("ConfirmedDate")) or _at(one.get("SubscribedDate"))
    if status == SUBSCRIBED:
        asks = KNOWN.get(double_opt_in, one["EmailList"].get("RequiresDoubleOptIn"))
        return "granted" if asks is False else "pending", _at(one.get("SubscribedDate"))
    return "unknown", None


def tells_lists(record: Mapping[str, Any], double_opt_in: DoubleOptIn) -> bool:
    """Whether it is known of each list how it is joined; a webhook may not tell."""
    lists = [mapping(one.get("EmailList")) for one in objects(record.get("EmailListPerson"))]
    return double_opt_in in KNOWN or all(isinstance(one.get("RequiresDoubleOptIn"), bool) for one in lists)


def _at(value: object) -> str | None:
    found: datetime | None = moment(value)
    return written(found) if found else None


def native(name: str) -> str | None:
    """Outseta's name of a field of ours, `MailingAddress.` before those that stand there; None for one that cannot be written."""
    if name == "country":
        return f"{ADDRESS}.Country"
    own = name.removeprefix("custom.")
    if own == name:
        return FIELDS.get(name)
    part, _, inner = own.partition(".")
    bad = own in READ_ONLY or own in FIELDS.values() or own.startswith(HIDDEN) or (inner and part != ADDRESS)
    return None if bad else own


def body_of(values: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that can be written, in Outseta's shape. record: the person as it is now, whose address is completed."""
    body: dict[str, Any] = {}
    for name, value in values.items():
        part, _, inner = (native(name) or "").partition(".")
        if inner:
            body.setdefault(part, dict(mapping(record.get(part))))[inner] = value
        elif part:
            body[part] = value
    return body


def whole_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """All that an edit may carry, so that one that replaces removes nothing. No consent is among it, but an opt-out stays."""
    kept = {
        name: value for name, value in record.items() if name not in READ_ONLY and (name in FIELDS.values() or _own(name, value))
    }
    if isinstance(record.get(ADDRESS), dict):
        kept[ADDRESS] = record[ADDRESS]
    return kept | ({"HasUnsubscribed": True} if record.get("HasUnsubscribed") is True else {})


def named_in(answer: object, names: Iterable[str]) -> list[str]:
    """Those of our fields that a refusal names as `PropertyName`, at any depth."""
    told = {text.rpartition(".")[2] for text in _property_names(answer)}
    return [name for name in names if (native(name) or "").rpartition(".")[2] in told]


def _property_names(value: object) -> Iterable[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _property_names(inner)
    elif isinstance(value, dict):
        if isinstance(value.get("PropertyName"), str):
            yield value["PropertyName"]
        for inner in value.values():
            yield from _property_names(inner)
