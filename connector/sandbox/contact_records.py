"""The portal's contacts: what happens to them that happens to no other record.

Facts (HubSpot API, contacts reference; reports of others):
- emails are unique in any case, over primary and additional addresses;
- a merge makes a new record, which both old ids lead to; the emails of the other contact become additional ones;
- erasing by an email that nobody has blocks it for the future;
- the lifecycle stage written through the API goes forward only, anything else is accepted and ignored; it can be cleared.
"""

from collections.abc import Callable, Iterable, Mapping

from connector.sandbox import values
from connector.sandbox.events import Events, Source
from connector.sandbox.faults import Faults
from connector.sandbox.kinds import CONTACT
from connector.sandbox.records import Record, Records
from connector.sandbox.replies import Problem, bad_request
from connector.sandbox.schema import Schema
from connector.sandbox.standard import STAGES

EMAIL = CONTACT.key
ADDITIONAL = "hs_additional_emails"
STAGE_ORDER = {stage: place for place, stage in enumerate(STAGES)}


class ContactRecords(Records):
    """All contacts. computed: what a contact with an address shows of that address. merged: called with old and new id."""

    def __init__(
        self,
        schema: Schema,
        faults: Callable[[], Faults],
        events: Events,
        clock: Callable[[], float],
        computed: Callable[[str], Mapping[str, str]],
        merged: Callable[[int, int], None],
    ) -> None:
        super().__init__(CONTACT, schema, faults, events, clock)
        self.merged = merged
        self._contact_events = events
        self._computed = computed
        self._blocked: set[str] = set()

    def update(self, record: Record, stored: Mapping[str, str], source: Source) -> None:
        """See `Records.update`."""
        super().update(record, self._with_addresses(record, stored), source)

    def merge(self, primary: Record, other: Record, source: Source) -> Record:
        """Make one contact of two: the primary's values, the other's where the primary has none, and a new id."""
        if primary is other:
            raise bad_request("A contact cannot be merged with itself.")
        now = self.now()
        for one in (primary, other):
            self._take_out(one)
        record = Record(next(self._ids), min(primary.created, other.created), now)
        record.history = {name: list(entries) for name, entries in primary.history.items()}
        record.properties = {**primary.properties, "hs_object_id": str(record.id), "createdate": values.iso(record.created)}
        absorbed = [*(primary.value("hs_merged_object_ids").split(";")), str(primary.id), str(other.id)]
        absorbed += other.value("hs_merged_object_ids").split(";")
        emails = list(dict.fromkeys([*emails_of(primary), *emails_of(other)]))
        passed = other.properties.keys() - self._computed("").keys()
        moved = {name: other.value(name) for name in passed if other.value(name) and not record.value(name)}
        moved |= {EMAIL: emails[0] if emails else "", ADDITIONAL: ";".join(emails[1:])}
        moved["hs_merged_object_ids"] = ";".join(one for one in absorbed if one)
        moved["hs_calculated_merged_vids"] = f"{primary.id}:{now};{other.id}:{now}"
        self._leads_to |= {primary.id: record.id, other.id: record.id}
        self.merged(primary.id, record.id)
        self.merged(other.id, record.id)
        self._live[record.id] = record
        self._order.append(record.id)
        changes = self._set(record, moved, now, source)
        self._contact_events.merged(primary.id, [other.id], record.id, len(changes), now, source)
        return record

    def block(self, email: str) -> None:
        """Keep an address out of the portal from now on."""
        self._blocked.add(email.strip().lower())

    def refresh(self, email: str) -> tuple[Record, dict[str, str]] | None:
        """Compute anew what the contact with this primary address shows. Returns it and what changed; its time stays."""
        record = self.find(EMAIL, email)
        if record is None or record.value(EMAIL) != email:
            return None
        changes = self._compute(record)
        self.index.note(record.id, record.properties)
        return record, changes

    def _checked(self, name: str, raw: object, record: Record | None, hand: bool) -> str | Problem:
        kept = super()._checked(name, raw, record, hand)
        if name == EMAIL and isinstance(kept, str) and kept in self._blocked:
            return Problem(name, "INVALID_EMAIL", f"Email address {kept} is blocked.")
        return kept

    def _bent(self, stored: Mapping[str, str], record: Record | None) -> dict[str, str]:
        kept = super()._bent(stored, record)
        stage, current = kept.get("lifecyclestage"), record.value("lifecyclestage") if record else ""
        if stage and current and STAGE_ORDER.get(stage, 99) < STAGE_ORDER.get(current, -1):
            del kept["lifecyclestage"]
        return kept

    def _with_addresses(self, record: Record, stored: Mapping[str, str]) -> Mapping[str, str]:
        """A contact whose primary address becomes one of its additional ones keeps the old one as an additional."""
        new, old = stored.get(EMAIL), record.value(EMAIL)
        additional = emails_of(record)[1:] if old else emails_of(record)
        if not new or new == old or new not in additional:
            return stored
        rest = [one for one in [*additional, old] if one and one != new]
        return {**stored, ADDITIONAL: ";".join(rest)}

    def _compute(self, record: Record) -> dict[str, str]:
        """Write what follows from the address. Returns what changed; a value never set stays so while it is blank."""
        computed = self._computed(record.value(EMAIL))
        changes = {name: value for name, value in computed.items() if value != record.value(name)}
        record.properties |= changes
        return changes

    def _keys(self, record: Record) -> Iterable[tuple[str, str]]:
        yield from ((EMAIL, address) for address in emails_of(record))
        yield from super()._keys(record)


def emails_of(record: Record) -> list[str]:
    """All addresses, the primary one first."""
    return [one for one in [record.value(EMAIL), *record.value(ADDITIONAL).split(";")] if one]
