"""Where identity events go: records in the CRM, and further places that a mapping names under `events.forward`.

A sink takes a batch of events and says what became of each. When to send what, once each and in which order, is decided in
`connector.sync.activities`; what an event is in the CRM's own words, in its driver.
"""

from collections.abc import Mapping

from connector.crm.base import Crm, EventSchema
from connector.mapping.model import Mapping as FieldMapping
from connector.sinks.base import Sink
from connector.sinks.records import Records
from connector.sinks.segment import Segment, sink_name

__all__ = ["Sink", "names", "open_sinks"]


def names(mapping: FieldMapping) -> list[str]:
    """The sinks that a provider's events go to."""
    forwards = [sink_name(one.url, one.write_key.get_secret_value()) for one in mapping.events.forward]
    return list(dict.fromkeys(["crm"] * (mapping.events.as_ != "none") + forwards))


def open_sinks(crm: Crm, mappings: Mapping[str, FieldMapping]) -> tuple[Sink, ...]:
    """All sinks of all mappings; those of several providers that lead to one place are one. Opens no connection yet."""
    schemas: dict[EventSchema, set[str]] = {}
    forwards: dict[tuple[str, str], set[str]] = {}
    deleting: dict[tuple[str, str], set[str]] = {}
    for provider, mapping in mappings.items():
        if mapping.events.as_ != "none":
            schemas.setdefault(EventSchema(mapping.events.as_, mapping.events.object), set()).add(provider)
        for one in mapping.events.forward:
            place = (one.url, one.write_key.get_secret_value())
            forwards.setdefault(place, set()).add(provider)
            if one.deletes and mapping.lifecycle.user_deleted == "archive_contact":
                deleting.setdefault(place, set()).add(provider)
    records = [Records(crm, schema, frozenset(providers)) for schema, providers in schemas.items()]
    places = [Segment(*place, frozenset(providers), frozenset(deleting.get(place, ()))) for place, providers in forwards.items()]
    return (*records, *places)
