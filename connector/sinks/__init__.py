"""Where identity events go: records in the CRM, and further places that a mapping names under `events.forward`.

A sink takes a batch of events and says what became of each. When to send what, once each and in which order, is decided in
`connector.sync.activities`; what an event is in the CRM's own words, in its driver.
"""

from collections.abc import Mapping

from connector.crm.base import Crm, EventSchema
from connector.mapping.model import Forward
from connector.mapping.model import Mapping as FieldMapping
from connector.sinks.base import Sink
from connector.sinks.records import Records
from connector.sinks.segment import LEAVING, Segment, sink_name

__all__ = ["LEAVING", "Sink", "deleting", "names", "open_sinks"]


def names(mapping: FieldMapping) -> list[str]:
    """The sinks that a provider's events go to."""
    forwards = [sink_name(*_place(one)) for one in mapping.events.forward]
    return list(dict.fromkeys(["crm"] * (mapping.events.as_ != "none") + forwards))


def deleting(mapping: FieldMapping) -> list[str]:
    """Those of them where a provider's users are deleted once they are gone, whether that is told as an event or not."""
    if mapping.lifecycle.user_deleted != "archive_contact":
        return []
    return list(dict.fromkeys(sink_name(*_place(one)) for one in mapping.events.forward if one.deletes))


def open_sinks(crm: Crm, mappings: Mapping[str, FieldMapping]) -> tuple[Sink, ...]:
    """All sinks of all mappings; those of several providers that lead to one place are one. Opens no connection yet."""
    schemas: dict[EventSchema, set[str]] = {}
    forwards: dict[tuple[str, str], set[str]] = {}
    for provider, mapping in mappings.items():
        if mapping.events.as_ != "none":
            schemas.setdefault(EventSchema(mapping.events.as_, mapping.events.object), set()).add(provider)
        for one in mapping.events.forward:
            forwards.setdefault(_place(one), set()).add(provider)
    records = [Records(crm, schema, frozenset(providers)) for schema, providers in schemas.items()]
    untold = frozenset(name for name, mapping in mappings.items() if LEAVING not in mapping.events.types)
    return (*records, *(Segment(*place, frozenset(of), _deleted(place, mappings), untold) for place, of in forwards.items()))


def _place(forward: Forward) -> tuple[str, str]:
    return forward.url, forward.write_key.get_secret_value()


def _deleted(place: tuple[str, str], mappings: Mapping[str, FieldMapping]) -> frozenset[str]:
    """The providers whose users are deleted at a place."""
    return frozenset(name for name, mapping in mappings.items() if sink_name(*place) in deleting(mapping))
