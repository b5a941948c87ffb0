"""From deliveries to due links. Events are hints: they say whom to look at, and sometimes carry what would be read anyway.

One transaction takes rows, notices and marks them done, so a crash repeats all of it or nothing of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import IntegrityError

from connector.engine.consent import REVOKED, decoded
from connector.engine.readings import newer, same_user, whole
from connector.engine.told import laid_over
from connector.errors import BadDelivery, Unavailable
from connector.mapping.model import Mapping as FieldMapping
from connector.model import ANSWERABLE, CONTACT_KINDS, FINAL, USER_KINDS, Change, Link, LinkState, User
from connector.store import Tx
from connector.store.inbox import CRM, Stored
from connector.store.rows import fits, user_columns
from connector.sync import activities, contact_events
from connector.sync.brakes import may_withdraw
from connector.sync.mentions import Body
from connector.sync.search import NOTHING, Search, of_erased, search
from connector.sync.work import Work

LIMIT = 500
"""Rows in one transaction."""

SECOND_LOOK = timedelta(seconds=3)
"""Wait before an event about an unknown contact is looked at again while a creation of ours is under way."""

TRIES = 5
"""Second looks at an event that others are in the way of."""

Taking = Callable[[Work, Tx, Sequence[Stored], Search | None], None]
"""A way to take rows in, after a search for those who are to be forgotten; None: nobody searched yet."""

SKEW = timedelta(minutes=1)
"""A provider's clock may be that much ahead of ours."""

BURYING = ("erasure.requested", "contact.erased", "contact.merged")
"""Kinds of changes that may be about somebody who is on the way in just now."""

log = structlog.get_logger()


class TurnFirst(Exception):
    """No failure: somebody is to be buried, and nobody may read meanwhile."""


def take(work: Work, limit: int = LIMIT) -> int:
    """Turn pending deliveries into due links. Returns how many rows were looked at. Raises Unavailable."""
    with work.store.read() as tx:
        if not tx.inbox.waiting(most=1):
            return 0
    try:
        return _take_some(work, limit, _take)
    except (Unavailable, SoftTimeLimitExceeded):
        raise
    except Exception as error:  # one row that cannot be taken in must not hold up the others
        log.error("intake.failed", error=type(error).__name__)
    taken = 0
    while taken < limit and _take_some(work, 1, _take_alone):
        taken += 1
    return taken


def _take_some(work: Work, limit: int, how: Taking) -> int:
    """Take some rows; begun again when somebody is to be forgotten, after a search that holds up no writer.

    While that goes on somebody else's erasure may come, who was not searched for.
    """
    before, alone = None, False
    for _ in range(TRIES):
        try:
            return _begin(work, limit, how, before, alone)
        except contact_events.SearchFirst as found:
            before = search(work.store, found.links)
        except TurnFirst:
            alone = True
    return _begin(work, limit, how, NOTHING, alone=True)


def _begin(work: Work, limit: int, how: Taking, before: Search | None, alone: bool) -> int:
    """alone: wait until nobody else reads or forgets; else until nobody forgets, before any row is locked."""
    with work.store.write() as tx:
        if alone:
            tx.tombstones.alone()
        else:
            tx.tombstones.complete()
        rows = tx.inbox.claim(limit)
        how(work, tx, rows, before)
        work.reached("intake before commit")
    return len(rows)


def _take(work: Work, tx: Tx, rows: Sequence[Stored], before: Search | None) -> None:
    read = [(row, change) for row in rows if row.readable and (change := _read(work, tx, row)) is not None]
    if any(change.kind in BURYING for _, change in read) and not tx.tombstones.has_turn:
        raise TurnFirst
    _lock(tx, read)
    forgotten = _of_erased(tx, read)
    read = [  # of a merge into an erased contact hears whoever is still linked to what was merged
        (row, change) for row, change in read if row.id not in forgotten or change.kind == "contact.merged"
    ]
    users: dict[str, list[tuple[Stored, Change]]] = {}
    for row, change in read:
        if row.source != CRM and change.kind in USER_KINDS:
            users.setdefault(row.source, []).append((row, change))
    contacts = [(row, change) for row, change in read if row.source == CRM and change.kind in CONTACT_KINDS]
    for provider in sorted(users):
        forgotten |= _notice_users(work, tx, provider, users[provider])
    later = contact_events.notice(work, tx, contacts, before)
    forgotten |= _of_erased(tx, read) if tx.forgot else set()  # somebody whose contact was erased may be told of here, too
    tx.inbox.postpone([row.id for row in later], SECOND_LOOK)
    waiting = {row.id for row in later}
    tx.inbox.done({row.id: _about_whom(row, change) for row, change in read if row.id not in waiting})
    tx.inbox.leave([row.id for row in rows if not row.readable])
    tx.inbox.blank(sorted(forgotten))
    _leave_out_erased(tx, rows, read)


def _leave_out_erased(tx: Tx, rows: Sequence[Stored], read: Sequence[tuple[Stored, Change]]) -> None:
    """What waited while somebody was erased, or comes later, may name them though it is about others."""
    said = of_erased(tx, {row.id: Body(row.body) for row in rows})
    tx.inbox.rewrite(said)
    if said:
        activities.leave_out_erased(tx, [(row, change) for row, change in read if row.id in said and row.source != CRM])


def _lock(tx: Tx, read: Sequence[tuple[Stored, Change]]) -> None:
    """The links these are about: whoever is forgotten just now is known to be erased after that."""
    users: dict[str, set[str]] = {}
    for row, change in read:
        if row.source != CRM and change.kind in USER_KINDS:
            users.setdefault(row.source, set()).add(change.record_id)
    contacts = [(row, change) for row, change in read if row.source == CRM and change.kind in CONTACT_KINDS]
    tx.links.lock(users=users, contacts=contact_events.about(contacts))


def _of_erased(tx: Tx, read: Sequence[tuple[Stored, Change]]) -> set[int]:
    """Rows about people who were erased: they bring nobody back, and what they say is not kept."""
    ids: dict[str, set[str]] = {}
    for row, change in read:
        ids.setdefault(row.source, set()).add(change.record_id)
    erased = {source: tx.tombstones.contacts(found) if source == CRM else tx.tombstones.users(source, found)
              for source, found in ids.items()}  # fmt: skip
    return {row.id for row, change in read if change.record_id in erased[row.source]}


def _about_whom(row: Stored, change: Change) -> str | None:
    side: Literal["user", "contact"] = "contact" if row.source == CRM else "user"
    return change.record_id if fits(side, change.record_id) else None


def _take_alone(work: Work, tx: Tx, rows: Sequence[Stored], before: Search | None) -> None:
    """Take the one row there is, if any; set it aside if that cannot be done."""
    for row in rows:
        try:
            with tx.part():
                _take(work, tx, [row], before)
        except (Unavailable, SoftTimeLimitExceeded, contact_events.SearchFirst, TurnFirst):
            raise
        except Exception as error:
            if isinstance(error, IntegrityError) and row.tries < TRIES:  # somebody else changed the same this very moment
                tx.inbox.postpone([row.id], SECOND_LOOK)
                continue
            log.error("intake.failed", row=row.id, source=row.source, error=type(error).__name__)
            tx.inbox.quarantine(row.id, f"cannot be taken in: {type(error).__name__}")


def _read(work: Work, tx: Tx, row: Stored) -> Change | None:
    """What a row says; a row that cannot be read is set aside and stops nobody else."""
    sender = work.crm if row.source == CRM else work.providers.get(row.source)
    try:
        if sender is None:
            raise BadDelivery("no provider of this name is configured any more")
        change = sender.read_item(row.body, row.meta)
        side: Literal["user", "contact"] = "contact" if row.source == CRM else "user"
        known = change.kind in USER_KINDS or change.kind in CONTACT_KINDS
        if known and not all(fits(side, one) for one in (change.record_id, *change.former_ids)):
            raise BadDelivery(f"the {side}'s id is empty, too long, or has characters no id has")
        return change
    except BadDelivery as error:
        tx.inbox.quarantine(row.id, str(error))
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # a reader's own mistake must not block the inbox; the row is kept and shown
        log.error("intake.unreadable", row=row.id, source=row.source, error=type(error).__name__)
        tx.inbox.quarantine(row.id, f"the reader failed: {type(error).__name__}")
    return None


def _notice_users(work: Work, tx: Tx, provider: str, changes: list[tuple[Stored, Change]]) -> set[int]:
    """Ring the links these changes are about. Returns rows about people we shall not know."""
    known = tx.links.by_users(provider, {change.record_id for _, change in changes})
    if work.mappings.get(provider) is None:
        return set()
    new: dict[str, dict[str, Any]] = {}
    strangers: set[str] = set()
    for row, change in changes:
        link = known.get(change.record_id)
        if link is not None:
            known[change.record_id] = _notice_known(work, tx, link, row, change)
        elif change.kind == "erasure.requested":
            strangers.add(change.record_id)
        else:
            _notice_unknown(work, new, provider, row, change)
    for user_id in strangers:
        tx.tombstones.bury(provider, user_id)
        new.pop(user_id, None)
    fresh = [values for values in new.values() if values["state"] != LinkState.PENDING or _wanted(work, provider)]
    late = {values["user_id"] for values in fresh} - tx.links.meet(fresh)
    mine = [(row, change) for row, change in changes if change.record_id not in late]
    gone = {user_id for user_id, link in known.items() if link.state in FINAL or link.erasure} | strangers
    activities.notice(work, tx, provider, mine, gone)
    forgotten = {row.id for row, change in mine if change.record_id in strangers}
    if late:  # somebody else met them this very moment: they are known now
        return forgotten | _notice_users(work, tx, provider, [one for one in changes if one[1].record_id in late])
    return forgotten


def _wanted(work: Work, provider: str) -> bool:
    return work.mappings[provider].lifecycle.user_created != "ignore"


def _notice_unknown(work: Work, new: dict[str, dict[str, Any]], provider: str, row: Stored, change: Change) -> None:
    """The first deliveries about a user. A deletion seen first is kept, so that a late creation brings nobody back."""
    before = new.get(change.record_id)
    if before is not None and before["state"] == LinkState.DELETED:
        if not _registered_after(before["settled_at"], change):
            return
        before = None
    if change.kind == "user.deleted":
        gone = {"state": LinkState.DELETED, "reason": "the user was deleted before it was ever seen", "user": None}
        new[change.record_id] = _fresh(provider, row, change) | gone | {"settled_at": change.occurred_at or row.received_at}
        return
    values = before or _fresh(provider, row, change)
    can_read, mapping, told = work.providers[provider].capabilities.read, work.mappings[provider], values["user"]
    user = _carried(change, row.received_at, can_read)
    if user is not None and told is not None and not can_read:
        user = laid_over(told, user)
    tied = user is not None and told is not None and user.updated_at == told.updated_at and not same_user(mapping, user, told)
    if user is not None and (told is None or not newer(told, user)):
        values["user"] = user
    complete = values["user"] is not None and whole(mapping, values["user"])
    asks = values["refetch"] or tied or not complete or (user is None and change.kind != "user.login")
    values["refetch"] = asks and can_read
    values["cause"] = row.sender_id
    new[change.record_id] = values


def _fresh(provider: str, row: Stored, change: Change) -> dict[str, Any]:
    return {
        "provider": provider, "user_id": change.record_id, "state": LinkState.PENDING, "user": None, "refetch": False,
        "cause": row.sender_id, "reason": None, "settled_at": None,
    }  # fmt: skip


def _notice_known(work: Work, tx: Tx, link: Link, row: Stored, change: Change) -> Link:
    """A delivery about a user we have a link for: a deletion, a newer observation, or a reason to read the user again.

    Returns the link as it is then, for the next delivery about it.
    """
    if change.kind == "erasure.requested" and link.state is not LinkState.ERASED:
        tx.links.notice(link.id, {"erasure": True, "user_gone": True, "cause": row.sender_id}, tx.now)
        return replace(link, erasure=True, user_gone=True)
    if link.state is LinkState.DELETED and not link.erasure and _registered_after(link.settled_at, change):
        return _begin_again(work, tx, link, row, change)
    if link.state in FINAL:
        return link
    can_read = work.providers[link.provider].capabilities.read
    ring = tx.now if link.state in ANSWERABLE or may_withdraw(work, link) else None
    if change.kind == "user.deleted":
        at, known = change.occurred_at, link.user and link.user.updated_at
        if not can_read and at and known and at + SKEW < known:
            return link  # of a life before this one
        ring = tx.now if link.contact_id is None else ring  # then there is no question left for a person
        tx.links.notice(link.id, {"user_gone": True, "refetch": can_read, "cause": row.sender_id}, ring, user_only=True)
        return replace(link, user_gone=True)
    user = _carried(change, row.received_at, can_read)
    if not can_read:
        return link if user is None else _hear(work, tx, link, row, user, ring)
    return _compare(work, tx, link, row, change, user, ring)


def _compare(work: Work, tx: Tx, link: Link, row: Stored, change: Change, user: User | None, ring: datetime | None) -> Link:
    """What a delivery tells of a user who can be read: news, if it is whole and the later word for sure; else a reason to look.

    A login may tell of the user as it was before.
    """
    mapping, later = work.mappings[link.provider], user is not None and _is_later(user, link)
    known = None if link.user_gone else link.user
    repeats = user is not None and known is not None and same_user(mapping, user, known) and not link.on_lease(tx.now)
    if user and repeats and (later or change.kind != "user.login"):
        if later:  # it tells nothing new: an echo of our own write, or a repeat
            tx.links.see_user(link.id, user)
        return replace(link, user=user) if later else link
    if user is None or not later or not whole(mapping, user):
        if _asks_for_a_look(mapping, link, change):
            tx.links.notice(link.id, {"refetch": True, "cause": row.sender_id}, ring, user_only=True)
        return link
    tx.links.see_user(link.id, user, cause=row.sender_id)
    tx.links.notice(link.id, {"refetch": True} if link.user_gone else {}, ring, user_only=True)
    return replace(link, user=user)


def _hear(work: Work, tx: Tx, link: Link, row: Stored, told: User, ring: datetime | None) -> Link:
    """What a delivery tells of a user who cannot be read."""
    user = laid_over(link.user, told) if link.user else told
    if link.user and not link.user_gone and same_user(work.mappings[link.provider], user, link.user):
        if newer(user, link.user):
            tx.links.see_user(link.id, user)
        return replace(link, user=user)
    tx.links.see_user(link.id, user, cause=row.sender_id)
    tx.links.notice(link.id, {}, ring, user_only=True)
    return replace(link, user=user)


def _asks_for_a_look(mapping: FieldMapping, link: Link, change: Change) -> bool:
    """Whether the user is to be read for it. Not for a login, unless the mapping wants its time and the provider tells it."""
    tells = link.user is None or "last_login_at" in link.user.values
    return change.kind != "user.login" or (tells and mapping.field_by_user("last_login_at") is not None)


def _registered_after(deletion: datetime | None, change: Change) -> bool:
    """Whether somebody registered after a deletion was dealt with: not a late word about the one who went."""
    at = change.occurred_at
    return change.kind == "user.created" and at is not None and deletion is not None and at > deletion


def _begin_again(work: Work, tx: Tx, link: Link, row: Stored, change: Change) -> Link:
    """The same id, a new life: nothing of the old one is kept but an opt-out, which only a newer grant lifts."""
    can_read = work.providers[link.provider].capabilities.read
    user = _carried(change, row.received_at, can_read)
    blank: dict[str, Any] = {
        "state": LinkState.PENDING, "reason": None, "contact_id": None, "base": {}, "echo": {}, "held": {}, "drift": [],
        "contact": None, "intent": [], "user_gone": False, "gone_since": None, "attempts": 0, "failed_since": None,
        "recheck": True, "user_seen_at": tx.now,
        "consents": {name: one for name, one in link.consents.items() if decoded(one).now.state is REVOKED},
    }  # fmt: skip
    tx.links.notice(link.id, {**blank, **user_columns(user), "refetch": can_read, "cause": row.sender_id}, tx.now)
    return replace(link, state=LinkState.PENDING, user=user, user_gone=False)


def _carried(change: Change, received_at: datetime, can_read: bool) -> User | None:
    """The user a delivery carries, with a version: its own time of change, or else the event's.

    Without one, or with one from the future, it orders nothing: who can be read is, others are believed as they are heard of.
    """
    user = change.user
    if user is None or not (user.values or user.consents or user.memberships is not None):
        return None
    version = user.updated_at or change.occurred_at
    if version is None or version > received_at + timedelta(minutes=10):
        if can_read:
            return None
        version = received_at
    return replace(user, updated_at=version)


def _is_later(user: User, link: Link) -> bool:
    """Whether a delivery's user was so later than the stored one. One that was read and told no time was so when it was read."""
    if link.user and link.user.updated_at is None and link.user_seen_at and user.updated_at:
        return user.updated_at > link.user_seen_at + SKEW
    return link.user is None or newer(user, link.user)
