"""What CRM events mean for links: an edit, a creation, a deletion that may turn out to be a merge, a merge, an erasure."""

from collections.abc import Sequence
from typing import Any

from connector.engine.plan import CONTACT_DELETED
from connector.engine.readings import OPTED_OUT, tells_nothing_new, watches
from connector.model import ANSWERABLE, Change, Link, LinkState
from connector.store import Tx
from connector.store.history import Entry
from connector.store.inbox import CRM, Stored
from connector.sync.brakes import may_withdraw
from connector.sync.forget import forget
from connector.sync.search import NOTHING, Search, contact_ids
from connector.sync.work import Work

MERGED_HELD = "its contact was merged with another user's contact; unlink one of them"


class SearchFirst(Exception):
    """No failure: the people of these links are to be forgotten, and nobody has searched yet for what tells of them."""

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__()
        self.links = links


def notice(work: Work, tx: Tx, changes: Sequence[tuple[Stored, Change]], before: Search | None = NOTHING) -> list[Stored]:
    """Ring the links these events are about. Returns rows to look at again shortly.

    That is those about contacts nobody is linked to while we are creating contacts: the event may have overtaken the answer
    to our own call. before: the search for those who are to be forgotten; raises SearchFirst if there is anybody else, unless it
    is NOTHING.
    """
    ids = about(changes)
    links = tx.links.by_contacts(ids) if ids else {}
    gone = _gone(tx, changes)
    erased = [link for _, change in changes if change.record_id in gone for link in _led_to(links, change)]
    searched = erased if before is NOTHING else [link for link in erased if before and link.id in before.people]
    if len(searched) < len(erased):
        raise SearchFirst(erased)
    creating = bool(changes) and tx.links.creating()
    later = []
    for row, change in changes:
        if change.kind == "contact.merged" and change.record_id not in gone:
            _merged(tx, links, row, change)
            links |= tx.links.by_contacts({change.record_id, *change.former_ids})
            continue
        found = _led_to(links, change)
        if not found and creating and row.tries == 0:
            later.append(row)
        elif change.kind in ("contact.erased", "contact.merged"):
            gone |= {change.record_id, *change.former_ids}
            ids = _erased(tx, found, row, change, before or NOTHING)
            tx.inbox.blank([one.id for one, other in changes if other.record_id in ids])
            links = {one: [link for link in known if link not in found] for one, known in links.items()}
            continue
        elif not found and change.kind == "contact.created":
            created(tx, change.record_id, wanting(work), row.sender_id)
            links |= tx.links.by_contacts([change.record_id])
        for link in found:
            _notice(work, tx, link, row, change)
    return later


def _gone(tx: Tx, changes: Sequence[tuple[Stored, Change]]) -> set[str]:
    """Contacts among these that were erased in the CRM. An erasure may overtake the merge that its contact came of."""
    merged = [change.record_id for _, change in changes if change.kind == "contact.merged"]
    return tx.tombstones.for_good(merged) | {change.record_id for _, change in changes if change.kind == "contact.erased"}


def _led_to(links: dict[str, list[Link]], change: Change) -> list[Link]:
    """The links of the contact an event is about, by all ids it names."""
    found = {link.id: link for one in (change.record_id, *change.former_ids) for link in links.get(one, [])}
    return list(found.values())


def about(changes: Sequence[tuple[Stored, Change]]) -> set[str]:
    """The contacts these events name, by all their ids."""
    return {one for _, change in changes for one in (change.record_id, *change.former_ids)}


def _notice(work: Work, tx: Tx, link: Link, row: Stored, change: Change) -> None:
    cause = {"cause": row.sender_id}
    if change.kind == "contact.restored" and comes_back(work, link):
        tx.links.notice(link.id, {**cause, **restored(work, link)}, tx.now)
        return
    if link.provider in work.mappings and change.kind == "contact.restored" and may_withdraw(work, link):
        tx.links.notice(link.id, cause, tx.now)  # what the user said no to meanwhile is not shown there yet
    if link.state not in ANSWERABLE or link.provider not in work.mappings:
        return
    if change.kind == "contact.deleted":
        tx.links.notice(link.id, cause | {"gone_since": link.gone_since or tx.now}, tx.now + work.grace)
    elif change.kind == "contact.restored" or (change.kind == "contact.changed" and _matters(work, tx, link, change)):
        tx.links.notice(link.id, cause | _hint(work, link, change), tx.now)


def restored(work: Work, link: Link) -> dict[str, Any]:
    """What becomes of a link that comes back. What was told meanwhile was not listened to."""
    refetch = work.providers[link.provider].capabilities.read
    return {"state": LinkState.ACTIVE, "reason": None, "gone_since": None, "refetch": refetch}


def comes_back(work: Work, link: Link) -> bool:
    """Whether a restored contact is linked again: when its deletion cut the link, not a person, and the mapping says so."""
    mapping = work.mappings.get(link.provider)
    cut = link.state is LinkState.UNLINKED and link.reason == CONTACT_DELETED
    return cut and mapping is not None and mapping.lifecycle.contact_restored == "relink"


def _hint(work: Work, link: Link, change: Change) -> dict[str, Any]:
    """What tells of a consent asks for a look at the address's subscription statuses."""
    told = {one.property for one in work.mappings[link.provider].consents if one.property}
    about = change.property is not None and (change.property in told or change.property.startswith(OPTED_OUT))
    return {"recheck": True} if about else {}


def _matters(work: Work, tx: Tx, link: Link, change: Change) -> bool:
    """Whether an edit is of a mapped property and tells something we do not know: our own writes come back as events.

    While somebody works on the link nobody can tell: that which is stored may have been read or written over since.
    """
    mapping = work.mappings[link.provider]
    if change.property is None:
        return True
    if not watches(mapping, change.property):
        return False
    known = link.contact
    if known is None or change.property not in known.properties or link.on_lease(tx.now):
        return True
    return not tells_nothing_new(mapping, known, change.property, change.value)


def _erased(tx: Tx, links: Sequence[Link], row: Stored, change: Change, before: Search) -> set[str]:
    """The person was erased in the CRM: our copies go at once, of all links of the contact. The user stays.

    Returns the ids the contact had. A merge may tell of some of them.
    """
    named = {change.record_id, *change.former_ids}
    ids = named.union(*(contact_ids(tx, link) for link in links))
    for link in links:
        forget(tx, link, row.sender_id, before)
    tx.inbox.blank([one.id for one in tx.inbox.of(CRM, sorted(ids))])
    tx.tombstones.bury_for_good(sorted(named))
    return ids


def wanting(work: Work) -> list[str]:
    """The providers whose mapping wants a user for a contact that was created, a new one or one that is there."""
    return [provider for provider, mapping in work.mappings.items() if mapping.lifecycle.contact_created != "ignore"]


def created(tx: Tx, contact_id: str, providers: Sequence[str], cause: str | None = None) -> int:
    """A contact nobody is linked to: provisional links for these providers, unless it was erased, or somebody else was faster.
    Returns how many.
    """
    if not providers or tx.tombstones.contacts([contact_id]) or not tx.links.nobody_knows(contact_id):
        return 0
    tx.links.create([{"provider": provider, "contact_id": contact_id, "cause": cause} for provider in providers])
    return len(providers)


def _merged(tx: Tx, links: dict[str, list[Link]], row: Stored, change: Change) -> None:
    """Links follow to the survivor; its former ids become aliases. Two users of one provider on it wait for a person.

    A contact that still waits for its user has found one in the other.
    """
    by_provider: dict[str, list[Link]] = {}
    for link in _led_to(links, change):
        if link.state in (*ANSWERABLE, LinkState.HELD):
            by_provider.setdefault(link.provider, []).append(link)
    for provider, found in by_provider.items():
        linked = [link for link in found if link.user_id] or found[:1]
        for link in found:
            if link not in linked:
                tx.links.remove(link.id)
        for link in linked:
            follow(tx, link, change.record_id, row.sender_id, hold=len(linked) > 1)
            for former in change.former_ids:
                tx.aliases.add(link.id, provider, former)


def follow(tx: Tx, link: Link, contact_id: str, cause: str, hold: bool) -> None:
    """Point a link to the contact its own was merged into; `hold` when another user's link leads there too."""
    values = {"contact_id": contact_id, "gone_since": None, "cause": cause}
    if link.contact_id != contact_id:
        told = f"contact {link.contact_id or 'none'} -> {contact_id}"
        tx.history.add([Entry(link.id, "contact.merged", delivery=cause, answer=told)])
    if hold:
        held = {**values, "state": LinkState.HELD, "reason": MERGED_HELD}
        tx.links.notice(link.id, held, tx.now)  # for an erasure, or for what either of the two users said no to
    else:
        tx.links.notice(link.id, values | goes_on(link), tx.now)


def goes_on(link: Link) -> dict[str, Any]:
    """What a link becomes that nobody else's stands in the way of any more."""
    return {"state": LinkState.ACTIVE, "reason": None} if link.state is LinkState.HELD and link.reason == MERGED_HELD else {}
