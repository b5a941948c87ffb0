"""The incremental reconcile: what changed lately on either side, whether or not a webhook told us.

Each listing starts a little before the place the last one came to: repeats cost nothing, because what equals the last
observation is no change. A mark moves on only together with what it covers. A provider that cannot say what changed is gone
through as a whole, as often as that takes a tenth of the time. Whoever a listing does not show is left alone.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from connector.engine.readings import CREATED, MERGED, tells_nothing_new, wanted_properties
from connector.errors import Denied, Locked
from connector.mapping.model import Mapping as FieldMapping
from connector.model import ANSWERABLE, SHARING, Contact, Link, LinkState, User
from connector.providers.patience import patiently
from connector.store import Tx
from connector.sync import contact_events, listing, newcomers
from connector.sync.brakes import may_withdraw
from connector.sync.work import Work

OVERLAP = timedelta(minutes=5)
"""How far before the last mark a listing starts: clocks differ, and search indexes lag."""

CONTACTS = "recent:contacts"
"""The mark of the listing of contacts."""

REST = 9
"""Times as long as a listing of everybody took, until the next one begins."""
LASTING = timedelta(minutes=2)
"""How long the lock on a listing outlives its holder; extended with every page."""


def begin(work: Work) -> None:
    """Begin to watch both sides, where that was not done before: what changes from here on is found, whenever the first listing
    comes.
    """
    able = [name for name, provider in work.providers.items() if provider.capabilities.list_changed]
    with work.store.read() as tx:
        now = tx.now
        new = [mark for mark in (CONTACTS, *map(_of_users, able)) if tx.cursors.get(mark) is None]
    newcomers.watched(work, now, now)
    if new:
        with work.store.write() as tx:
            for mark in new:
                tx.cursors.add(mark, now.isoformat())


def _of_users(provider: str) -> str:
    return f"recent:users:{provider}"


def users(work: Work, provider: str) -> int:
    """Notice the users of a provider that changed since the last time. Returns how many were rung."""
    can = work.providers[provider].capabilities
    if can.list_changed:
        return _changed(work, provider)
    return _all(work, provider) if can.list else 0


def _changed(work: Work, provider: str) -> int:
    mark = _of_users(provider)
    began, since = _since(work, mark)
    rung = 0
    for page in patiently(work.providers[provider].changed_since(since)):
        with work.store.write() as tx:
            rung += _see(work, tx, provider, page)
    _mark(work, mark, began)
    return rung


def _all(work: Work, provider: str) -> int:
    """Compare everybody with what is known of them, unless somebody does so now, or did a short while ago."""
    holder = work.holder()
    began = _begin(work, provider, holder)
    if began is None:
        return 0
    rung, rest = 0, timedelta()
    try:
        for page in patiently(work.providers[provider].pages()):
            with work.store.write() as tx:
                if not tx.runs.extend(_lock(provider), holder, LASTING):
                    raise Locked(f"{provider}: somebody else lists its users by now")
                rung += _see(work, tx, provider, page)
                rest = (tx.now - began) * REST
    finally:  # a listing that broke off counts as well: it is gone through again from its beginning
        with work.store.write() as tx:
            tx.cursors.set(f"recent:rest:{provider}", (tx.now + rest).isoformat())
            tx.runs.unlock(_lock(provider), holder)
    return rung


def _begin(work: Work, provider: str, holder: str) -> datetime | None:
    """When we begin with everybody; None when it is not our turn."""
    with work.store.write() as tx:
        until = tx.cursors.get(f"recent:rest:{provider}")
        if until and tx.now < datetime.fromisoformat(until[0]):
            return None
        return tx.now if tx.runs.lock(_lock(provider), holder, LASTING) else None


def _lock(provider: str) -> str:
    return f"listing:{provider}"


def _see(work: Work, tx: Tx, provider: str, page: list[User]) -> int:
    """Ring those of a page who are new, or not as they were. Returns how many."""
    made, changed = listing.see(work, tx, provider, page)
    for link in changed:
        heard = link.state in ANSWERABLE or may_withdraw(work, link)
        tx.links.notice(link.id, {}, tx.now if heard else None, user_only=True)
    return made + len(changed)


def contacts(work: Work) -> int:
    """Notice the contacts that changed since the last time, and those that are new. Returns how many links were rung."""
    began, since = _since(work, CONTACTS)
    watching = newcomers.watched(work, began, since)
    names = sorted({one for name, mapping in work.mappings.items() for one in _wanted(work, name, mapping)})
    rung = 0
    for page in work.crm.changed_since(since, [*names, CREATED, MERGED]):
        with work.store.write() as tx:
            ids = [contact.id for contact in page]
            tx.links.lock(contacts=ids)
            links = tx.links.by_contacts(ids)
            rung += _notice(work, tx, page, links, names) + newcomers.meet(work, tx, page, links, watching)
    _mark(work, CONTACTS, began)
    return rung


def _wanted(work: Work, name: str, mapping: FieldMapping) -> list[str]:
    try:
        types = work.types.of(mapping)
    except Denied:
        types = {}
    return wanted_properties(mapping, work.id_property(name), types.get)


def _notice(work: Work, tx: Tx, page: list[Contact], links: Mapping[str, Sequence[Link]], names: list[str]) -> int:
    rung = 0
    for contact in page:
        for link in links.get(contact.id, []):
            if _restored(work, link, contact, links[contact.id]):
                tx.links.notice(link.id, contact_events.restored(work, link), tx.now)
                rung += 1
                continue
            known, mapping = link.contact, work.mappings.get(link.provider)
            waits = link.state == LinkState.PENDING and link.due_at is None  # for an address, say
            if mapping is None or not (waits or link.state == LinkState.ACTIVE):
                continue
            told = contact.properties
            if known is None or not all(tells_nothing_new(mapping, known, name, told.get(name)) for name in names):
                tx.links.notice(link.id, {}, tx.now)
                rung += 1
    return rung


def _restored(work: Work, link: Link, contact: Contact, links: Sequence[Link]) -> bool:
    """Whether a contact whose deletion cut this link is there again, as it was, and nobody else has it by now."""
    free = not any(one.provider == link.provider and one.state in SHARING for one in links)
    mine = link.user_id is not None and contact.properties.get(work.id_property(link.provider)) == link.user_id
    return free and mine and contact_events.comes_back(work, link)


def _since(work: Work, mark: str) -> tuple[datetime, datetime]:
    """Now, and where to start: the first time, just before now, because a full reconcile covers what was."""
    with work.store.read() as tx:
        found = tx.cursors.get(mark)
        began = tx.now
    return began, (datetime.fromisoformat(found[0]) if found else began) - OVERLAP


def _mark(work: Work, mark: str, began: datetime) -> None:
    with work.store.write() as tx:
        tx.cursors.set(mark, began.isoformat())
