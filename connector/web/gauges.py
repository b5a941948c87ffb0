"""Numbers read from the database when somebody asks for /metrics, so that they survive a lost broker and a restart."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connector.errors import Unavailable
from connector.store import Store
from connector.sync.status import status
from connector.sync.unlisted import MARK

UNLISTED = "Typologies of compared users that `typologies.values` of the mapping does not list"


class Gauges(Collector):
    """`connector status` as Prometheus gauges."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing ahead: the database is asked only when numbers are."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family a number of `status`; none while the database is out of reach."""
        try:
            told = status(self._store)
            with self._store.read() as tx:
                paused = tx.troubles.paused()
                unlisted = tx.cursors.beginning(MARK)
        except Unavailable:
            return
        for name, label in (("inbox", "state"), ("links", "state"), ("activities", "state")):
            family = GaugeMetricFamily(f"connector_{name}", f"{name} by state", labels=[label])
            for key, value in told[name].items():
                family.add_metric([key], value)
            yield family
        for name in ("due", "oldest_due_seconds", "held", "parked", "drift"):
            yield GaugeMetricFamily(f"connector_{name}", f"`{name}` of connector status", value=told[name])
        yield GaugeMetricFamily("connector_activities_paused", "Sinks that take no identity events for now", value=len(paused))
        typologies = CounterMetricFamily("connector_typologies_unlisted", UNLISTED, labels=["provider"])
        for provider, count in unlisted.items():
            typologies.add_metric([provider], float(count))
        yield typologies
