"""The incremental reconcile: what changed lately on either side, whether or not a webhook told us.

Each listing starts a little before the place the last one came to: repeats cost nothing, because what equals the last
observation is no change. A mark moves on only together with what it covers.
"""

from datetime import datetime, timedelta

from connector.engine.readings import same_user, tells_nothing_new, wanted_properties
from connector.errors import Denied
from connector.mapping.model import Mapping as FieldMapping
from connector.model import Contact, LinkState, User
from connector.store import Tx
from connector.store.links import ANSWERABLE
from connector.sync import intake
from connector.sync.work import Work

OVERLAP = timedelta(minutes=5)
"""How far before the last mark a listing starts: clocks differ, and search indexes lag."""


def users(work: Work, provider: str) -> int:
    """Notice the users of a provider that changed since the last time. Returns how many were rung."""
    if not work.providers[provider].capabilities.list_changed:
        return 0
    mark = f"recent:users:{provider}"
    began, since = _since(work, mark)
    rung = 0
    for page in work.providers[provider].changed_since(since):
        with work.store.write() as tx:
            known = tx.links.by_users(provider, [user.id for user in page])
            erased = tx.tombstones.users(provider, [user.id for user in page if user.id not in known])
            for user in page:
                link = known.get(user.id)
                if user.id in erased:
                    continue
                if link is None and work.mappings[provider].lifecycle.user_created != "ignore":
                    tx.links.create([{"provider": provider, "user_id": user.id, "user": user}])
                    rung += 1
                elif link is not None and link.state not in intake.FINAL and _news(work, provider, link.user, user):
                    tx.links.see_user(link.id, user)
                    tx.links.notice(link.id, {}, tx.now if link.state in ANSWERABLE else None, user_only=True)
                    rung += 1
    _mark(work, mark, began)
    return rung


def _news(work: Work, provider: str, known: User | None, user: User) -> bool:
    return known is None or not same_user(work.mappings[provider], known, user)


def contacts(work: Work) -> int:
    """Notice the contacts that changed since the last time. Returns how many links were rung."""
    mark = "recent:contacts"
    began, since = _since(work, mark)
    names = sorted({one for name, mapping in work.mappings.items() for one in _wanted(work, name, mapping)})
    rung = 0
    for page in work.crm.changed_since(since, names):
        with work.store.write() as tx:
            rung += _notice(work, tx, page, names)
    _mark(work, mark, began)
    return rung


def _wanted(work: Work, name: str, mapping: FieldMapping) -> list[str]:
    try:
        types = work.types.of(mapping)
    except Denied:
        types = {}
    return wanted_properties(mapping, work.id_property(name), types.get)


def _notice(work: Work, tx: Tx, page: list[Contact], names: list[str]) -> int:
    links = tx.links.by_contacts([contact.id for contact in page])
    rung = 0
    for contact in page:
        for link in links.get(contact.id, []):
            known, mapping = link.contact, work.mappings.get(link.provider)
            if link.state != LinkState.ACTIVE or mapping is None:
                continue
            told = contact.properties
            if known is None or not all(tells_nothing_new(mapping, known, name, told.get(name)) for name in names):
                tx.links.notice(link.id, {}, tx.now)
                rung += 1
    return rung


def _since(work: Work, mark: str) -> tuple[datetime, datetime]:
    """Now, and where to start: the first time, just before now, because a full reconcile covers what was."""
    with work.store.read() as tx:
        found = tx.cursors.get(mark)
        began = tx.now
    return began, (datetime.fromisoformat(found[0]) if found else began) - OVERLAP


def _mark(work: Work, mark: str, began: datetime) -> None:
    with work.store.write() as tx:
        tx.cursors.set(mark, began.isoformat())
