"""Contacts that were created since the last look, and whose webhook may have been lost: what it would have led to.

Only what is created under the eyes of the connector counts. It looks from the first sweep or reconcile on that finds
`lifecycle.contact_created` in a provider's mapping: whoever was in the CRM before, or came while the mapping said `ignore`, is
not made a user by it. A merge makes a contact with a new id of old ones: nobody is created by that.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from connector.engine.readings import MERGED, created_at
from connector.model import Contact, Link
from connector.store import Tx
from connector.sync import contact_events
from connector.sync.work import Work


def watched(work: Work, began: datetime, since: datetime) -> dict[str, datetime]:
    """Providers whose mapping wants something of new contacts, with the time from which on one is new: `since`, but not before
    the connector began to watch. That is now, where it does so for the first time."""
    wanting = contact_events.wanting(work)
    with work.store.read() as tx:
        known = {provider: (tx.cursors.get(_name(provider)) or ("",))[0] for provider in work.mappings}
    starts = {provider: (known[provider] or began.isoformat()) if provider in wanting else "" for provider in known}
    if starts != known:
        with work.store.write() as tx:
            for provider in (one for one in starts if starts[one] != known[one]):
                tx.cursors.set(_name(provider), starts[provider])
    return {provider: max(since, datetime.fromisoformat(start)) for provider, start in starts.items() if start}


def _name(provider: str) -> str:
    return f"recent:created:{provider}"


def meet(
    work: Work, tx: Tx, page: Sequence[Contact], links: Mapping[str, Sequence[Link]], watching: Mapping[str, datetime]
) -> int:
    """Make provisional links for the new contacts of a page. links: those of the page, in any state: who has one, or had, is not
    new. Nor is who carries a user's id: that one is ours, or its link is on its way. Returns how many links."""
    ours = [work.id_property(provider) for provider in work.mappings]
    made = 0
    for contact in page:
        at = created_at(contact)
        if at is None or contact.id in links or any(contact.properties.get(name) for name in (*ours, MERGED)):
            continue
        made += contact_events.created(tx, contact.id, [provider for provider, since in watching.items() if at >= since])
    return made
