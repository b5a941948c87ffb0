"""How things stand, as numbers."""

from typing import Any

from connector.model import LinkState
from connector.store import Store
from connector.sync import subscriptions
from connector.sync.sweep import SWEPT


def status(store: Store, every: float = 0) -> dict[str, Any]:
    """{"inbox", "links", "due", "oldest_due_seconds", "held", "parked", "drift", "activities", "removals", "subscriptions",
    "last_sweep_at", "outages", "sinks"}.

    every: `schedule.subscriptions`. `due` counts what is due now, deliveries and links; `held` questions that wait for a
    person, links and fields; `removals` records of events of erased people that are still in the CRM; `outages`
    sides that links wait for, as {"provider", "why", "since", "links"}, where `provider` is None for the CRM; `sinks` those that
    take no identity events for now, as {"sink", "why"}, where `sink` is None for the CRM.
    """
    with store.read() as tx:
        links = tx.links.counts()
        held, drift = tx.links.sums()
        oldest = [one for one in (tx.inbox.oldest_due(), tx.links.oldest_due()) if one]
        swept = tx.cursors.get(SWEPT)
        return {
            "inbox": tx.inbox.counts(),
            "links": links,
            "due": tx.inbox.waiting() + tx.links.waiting(),
            "oldest_due_seconds": round((tx.now - min(oldest)).total_seconds(), 1) if oldest else 0,
            "held": held + links[LinkState.HELD],
            "parked": tx.parked.count(),
            "drift": drift,
            "activities": tx.activities.counts(),
            "removals": tx.removals.count(),
            "subscriptions": subscriptions.lag(tx, every),
            "last_sweep_at": swept[1].isoformat() if swept else None,
            "outages": [
                {"provider": one.provider or None, "why": one.why, "since": one.since.isoformat(), "links": one.links}
                for one in tx.troubles.outages()
            ],
            "sinks": [
                {"sink": None if sink == "crm" else sink, "why": why} for sink, why in sorted(tx.troubles.paused().items())
            ],
        }
