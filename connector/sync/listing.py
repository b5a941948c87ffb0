"""What a listing of users shows: who is new, and who is not as known. For whatever lists: reconcile, backfill, import, recent.

A listing is no delivery: it may be older than what a delivery told meanwhile, and it brings nobody back.
"""

from collections.abc import Collection, Sequence

from connector.engine.readings import newer, same_user
from connector.model import FINAL, Link, User
from connector.store import Tx
from connector.sync.work import Work


def strangers(tx: Tx, provider: str, page: Sequence[User], known: Collection[str]) -> list[User]:
    """Those of a page who have no link, without who is gone, or was erased: nobody brings them back. known: ids that have one."""
    new = [user for user in page if user.id not in known and not user.gone]
    erased = tx.tombstones.users(provider, [user.id for user in new])
    return [user for user in new if user.id not in erased]


def see(work: Work, tx: Tx, provider: str, page: Sequence[User], run: int | None = None) -> tuple[int, list[Link]]:
    """Take in a page: links for strangers, as the mapping wants, and what is new of the others, without ringing them.

    run: what the new links belong to. Returns how many links that were, and the links whose user is not as it was known.
    """
    known = tx.links.by_users(provider, [user.id for user in page])
    wanted = work.mappings[provider].lifecycle.user_created != "ignore"
    new = strangers(tx, provider, page, known) if wanted else []
    tx.links.meet([{"provider": provider, "user_id": user.id, "user": user, "run": run} for user in new])
    alive = [(known[user.id], user) for user in page if user.id in known and known[user.id].state not in FINAL]
    alive.sort(key=lambda one: one[0].id)  # see `Links.lock`
    return len(new), [link for link, user in alive if _differs(work, tx, link, user)]


def _differs(work: Work, tx: Tx, link: Link, user: User) -> bool:
    """Whether a user is shown otherwise than known; if so, it is stored.

    Without a time, or with the same one, it may be older than what is stored, with an earlier one it is. Whoever can be read is
    read, in doubt, and always before somebody counts as gone.
    """
    known = link.user
    if user.gone:
        tx.links.notice(link.id, {"refetch": work.providers[link.provider].capabilities.read, "user_gone": True}, None)
        return not link.user_gone
    if known is not None and user.updated_at is not None and newer(known, user):
        return False
    if known is not None and same_user(work.mappings[link.provider], known, user) and not _tells_more(user, known):
        if newer(user, known):
            tx.links.see_user(link.id, user)
        return False
    if known is not None and user.updated_at in (None, known.updated_at) and work.providers[link.provider].capabilities.read:
        tx.links.notice(link.id, {"refetch": True}, None)
    else:
        tx.links.see_user(link.id, user)
    return True


def _tells_more(user: User, known: User) -> bool:
    """Whether something is told that was not told before; that it is blank may be the news."""
    entries = ((user.memberships, known.memberships), (user.consents, known.consents))
    return not user.values.keys() <= known.values.keys() or any(now is not None and before is None for now, before in entries)
