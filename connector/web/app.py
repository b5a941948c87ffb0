"""The web application: the receiver, health and metrics, put together from the connector's parts."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import REGISTRY
from starlette.applications import Starlette

from connector.errors import Unavailable
from connector.model import Item
from connector.settings import Settings
from connector.store import Store
from connector.store.migrate import require_current
from connector.sync.health import MOVED
from connector.sync.sweep import SWEPT
from connector.sync.work import Work
from connector.web.gauges import Gauges
from connector.web.health import Check, health_routes
from connector.web.receiver import receiver_routes

STALE = timedelta(seconds=60)
"""How long something due may wait, beyond a few sweeps, before the workers count as stuck."""


class StoredInbox:
    """The inbox as the receiver needs it: one transaction a call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, rows: Sequence[tuple[str, Item]]) -> set[tuple[str, str]]:
        """Keep these rows; returns the (source, key) of the new ones. Raises Unavailable."""
        with self._store.write() as tx:
            return tx.inbox.add(rows)


def make_app(settings: Settings, work: Work, ring: Callable[[], None], broker: Check) -> Starlette:
    """What `connector up` serves. `broker` raises when the broker cannot be reached."""
    inbox = StoredInbox(work.store)
    routes = receiver_routes(work.providers, work.crm, inbox, settings.public_url, lambda: datetime.now(UTC), ring)
    for gauges in [one for one in REGISTRY._collector_to_names if isinstance(one, Gauges)]:
        REGISTRY.unregister(gauges)
    REGISTRY.register(Gauges(work.store))
    patience = STALE + 3 * timedelta(seconds=settings.schedule.sweep)
    checks: dict[str, Check] = {
        "database": lambda: require_current(work.store),
        "broker": broker,
        "work": lambda: require_moving(work, patience),
    }
    app = Starlette(routes=[*routes, *health_routes(checks)])
    app.router.redirect_slashes = False
    return app


def require_moving(work: Work, patience: timedelta) -> None:
    """Raises Unavailable when what is due, or the sweep, has waited longer than `patience`: no worker really works.

    Links may wait as long as others are recorded: a reconcile makes all of them due at once.
    """
    with work.store.read() as tx:
        long_ago = tx.now - patience
        due, links_due = tx.inbox.oldest_due(), tx.links.oldest_due(work.mappings)
        swept, moved = tx.cursors.get(SWEPT), tx.cursors.get(MOVED)
        stands = links_due and links_due < long_ago and not (moved and moved[1] >= long_ago)
        if stands or (due and due < long_ago):
            raise Unavailable("something has been due for too long: is a worker running?")
        if swept and swept[1] < long_ago:
            raise Unavailable("the last sweep is too long ago: is beat running?")
