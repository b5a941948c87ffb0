"""An in-memory CRM for simulations: the same promises as the real one, and every write counted. `fake_idp` is the other side.

Troubles to set: `fails` (the next calls are not carried out), `loses` (the next writes are carried out, their answers never
come), `refuses`, `options` (the only ones a property takes), `noop`, `reformats` (the CRM keeps another spelling), `unindexed`
(searches do not show these contacts yet), `hides` (the provider does not tell these fields; `tells`: those it tells even if
they are blank).
`log` has (author, record, {name: value}) for every value that really changed; our own writes are by "us". `everything` has
the same of both sides, in order, when they share it. `hears` is called with every `Word` about a consent, `shows` with what we
are shown: ("contact", id), ("record", row).
"""

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from connector.crm.base import EventOutcome, EventRecord, Outcome, Property, StatusOutcome, all_of_them
from connector.errors import BadDelivery, Denied, Exists, Missing, Rejected
from connector.model import Change, ConsentState, Contact, Statement

from .fake_idp import EVERYTHING, FakeIdp
from .words import Word, nobody_listens, nobody_watches

__all__ = ["EVERYTHING", "TYPES", "FakeCrm", "FakeIdp"]

TYPES = {"1001": "Newsletter", "1002": "Product news"}


class FakeCrm:
    """Contacts by id; emails unique in any case; deliveries are `Change` objects kept by the body that names them."""

    name = "crm"
    optouts_apart = True
    statuses_per_read = 100

    def __init__(self, clock):
        self.clock = clock
        self.contacts: dict[str, dict[str, str]] = {}
        self.archived: dict[str, dict[str, str]] = {}
        self.merged: dict[str, str] = {}
        self.times: dict[tuple[str, str], datetime] = {}
        self.created: dict[str, datetime] = {}
        self.log: list[tuple[str, str, dict[str, str]]] = []
        self.everything: list[tuple[str, str, str, dict[str, Any]]] = []
        self.made: Counter[str] = Counter()
        self.events: list[Change] = []
        self.told: dict[bytes, Change] = {}
        self.noop: set[str] = set()
        self.refuses: dict[str, str] = {}
        self.options: dict[str, set[str]] = {}
        self.reformats: dict[str, Callable[[str], str]] = {}
        self.unindexed: set[str] = set()
        self.fails: list[Exception] = []
        self.loses: list[Exception] = []
        self.names_existing = True
        self.creations: list[str] = []
        self.records: dict[str, EventRecord] = {}
        self.recorded: list[str] = []
        self.event_faults: dict[str, Exception] = {}
        self.preferences: dict[tuple[str, str], Statement] = {}
        self.out_of_all: dict[str, datetime | None] = {}
        self.shows_optouts = True
        self.tells_times = True
        self.consent_log: list[tuple[str, str, str, str]] = []
        self.denied: Denied | None = None
        self.refuses_resubscription = False
        self.wrong: list[str] = []
        self.hears = nobody_listens
        self.shows = nobody_watches
        self._ids = itertools.count(1001)

    def _log(self, entry):
        self.log.append(entry)
        self.everything.append(("crm", *entry))

    @property
    def calls(self):
        return self.made.total()

    def _call(self, name):
        self.made[name] += 1
        if self.fails:
            raise self.fails.pop(0)

    def _answer(self, found=None):
        if self.loses:
            raise self.loses.pop(0)
        return found

    # what the sync calls

    def read_item(self, body, meta):
        if body not in self.told:
            raise BadDelivery("not a delivery of this fake")
        return self.told[body]

    def read(self, ids, properties):
        self._call("read")
        found = {one: self._shown(self._now(one)) for one in ids if self._now(one) in self.contacts}
        return {one: self._with_computed(contact, properties) for one, contact in found.items()}

    def find(self, key, values, properties):
        self._call("find")
        found = {}
        for value in values:
            hits = [i for i, p in self.contacts.items() if i not in self.unindexed and self._holds(p, key, value)]
            if hits:
                found[value] = [self._shown(i) for i in hits]
        return found

    def upsert(self, key, rows, properties):
        self._call("upsert")
        out = []
        for row in rows:
            known = next((i for i, p in self.contacts.items() if p.get(key) == row.id), None)
            taken = self._email_owner(row.properties.get("email"), known)
            if taken:
                out.append(Outcome(row.ref, error=Exists("email taken", taken if self.names_existing else None)))
                continue
            if error := self._refusal(row):
                out.append(Outcome(row.ref, error=error))
                continue
            contact_id = known or str(next(self._ids))
            if known is None:
                self.contacts[contact_id] = {}
                self.created[contact_id] = self.clock()
                self.creations.append(row.id)
                self.events.append(Change("contact.created", contact_id))
            self._store(contact_id, {key: row.id, **row.properties}, "us")
            out.append(Outcome(row.ref, self._contact(contact_id), created=known is None))
        return self._answer(out)

    def update(self, rows, properties):
        self._call("update")
        assert len({row.id for row in rows}) == len(rows), "one contact twice in a batch"
        out = []
        for row in rows:
            contact_id = self._now(row.id)
            if contact_id not in self.contacts:
                out.append(Outcome(row.ref, error=Missing("gone")))
            elif self._email_owner(row.properties.get("email"), contact_id):
                out.append(Outcome(row.ref, error=Exists("email taken")))
            elif self._id_owner(row.properties, contact_id):
                out.append(Outcome(row.ref, error=Exists("CONFLICTING_UNIQUE_VALUE")))
            elif error := self._refusal(row):
                out.append(Outcome(row.ref, error=error))
            else:
                self._store(contact_id, row.properties, "us")
                out.append(Outcome(row.ref, self._contact(contact_id)))
        return self._answer(out)

    def archive(self, ids):
        self._call("archive")
        for one in ids:
            if self._now(one) in self.contacts:
                self.delete(self._now(one), by="us")
        self._answer()

    def erase(self, contact_id):
        self._call("erase")
        contact_id = self._now(contact_id)
        if self.contacts.pop(contact_id, None) is not None or self.archived.pop(contact_id, None) is not None:
            self._log(("us", contact_id, {"": "erased"}))
            self.events += [Change("contact.deleted", contact_id), Change("contact.erased", contact_id)]
        self._answer()

    def properties(self):
        self._call("properties")
        return {name: Property(name, "enumeration", "checkbox", dict.fromkeys(has, "")) for name, has in self.options.items()}

    def subscription_types(self):
        self._call("types")
        if self.denied:
            raise self.denied
        return dict(TYPES)

    def statuses(self, emails):
        self._call("statuses")
        if self.denied:
            raise self.denied
        return {
            email: {type_id: said for (owner, type_id), said in self.preferences.items() if owner == email} for email in emails
        }

    def opted_out_of_all(self, emails):
        self._call("opted_out_of_all")
        return {email: self.out_of_all[email] for email in emails if email in self.out_of_all}

    def write_statuses(self, rows, still=all_of_them):
        going = still([row.ref for row in rows])
        rows = [row for row in rows if row.ref in going]
        self._call("write_statuses")
        assert len({(row.email, row.subscription) for row in rows}) == len(rows), "one status twice in a call"
        out = []
        for row in rows:
            before = self.preferences.get((row.email, row.subscription))
            lifts = row.granted and before is not None and before.state is ConsentState.REVOKED
            if row.granted and row.email in self.out_of_all:
                self.wrong.append(f"an opt-out of everything was to be lifted for {row.email}")
            if lifts and self.refuses_resubscription:
                out.append(StatusOutcome(row.ref, Rejected("the person opted out")))
                continue
            state = ConsentState.GRANTED if row.granted else ConsentState.REVOKED
            self._prefer("us", row.email, row.subscription, state, int(row.ref.partition(":")[0]))
            changed = self.tells_times and (before is None or before.state is not state)
            out.append(StatusOutcome(row.ref, at=self.clock() if changed else None, lifted=lifts))
        return self._answer(out)

    def _prefer(self, author, email, type_id, state, link=None):
        known = self.preferences.get((email, type_id))
        before = known and known.state.value
        now = self.clock()
        self.hears(Word("status", author, email, type_id, state.value, now, f"hubspot: {author}", now, before, link))
        if known is None or known.state is not state:
            self.consent_log.append((author, email, type_id, state.value))
        self.preferences[email, type_id] = Statement(state, self.clock(), f"hubspot: {author}")
        for contact_id, properties in self.contacts.items():
            if properties.get("email") == email:
                self.times[contact_id, f"hs_email_optout_{type_id}"] = self.clock()

    def changed_at(self, ids, properties):
        self._call("changed_at")
        return {i: {p: self.times[i, p] for p in properties if (i, p) in self.times} for i in ids}

    def changed_since(self, since, properties):
        shown = [self._shown(i) for i in self.contacts]
        yield [Contact(one.id, {**one.properties, **self._computed(one.id)}) for one in shown if one.id not in self.unindexed]

    def record_events(self, schema, rows):
        self._call("record_events")
        assert len(rows) <= 500
        if poison := next((row.key for row in rows if row.key in self.event_faults and row.key.startswith("poison")), None):
            raise self.event_faults[poison]
        out = []
        for row in rows:
            error = self.event_faults.get(row.key) or (None if row.contact_id in self.contacts else Missing("no such contact"))
            if error is None:
                self.shows("record", row)
                self.recorded.append(row.key)
                self.records[row.key] = row
            out.append(EventOutcome(row.ref, None if error else f"r-{row.key}", error))
        return self._answer(out)

    def find_events(self, schema, keys):
        self._call("find_events")
        return [f"r-{one}" for one in keys if one in self.records]

    def remove_events(self, schema, record_ids):
        self._call("remove_events")
        for one in record_ids:
            self.records.pop(one.removeprefix("r-"), None)

    # what people do in the CRM

    def prefer(self, email, subscription, granted):
        """Somebody uses the preference page."""
        if granted:
            self.out_of_all.pop(email, None)
        type_id = next(one for one, name in TYPES.items() if name == subscription)
        self._prefer("person", email, type_id, ConsentState.GRANTED if granted else ConsentState.REVOKED)

    def unsubscribe_all(self, email):
        """Somebody opts out of everything."""
        self.out_of_all[email] = self.clock()
        for type_id in TYPES:
            self._prefer("person", email, type_id, ConsentState.REVOKED)

    def restore(self, contact_id):
        """Take a contact out of the recycle bin."""
        self.contacts[contact_id] = self.archived.pop(contact_id)
        self._log(("person", contact_id, dict(self.contacts[contact_id])))
        self.events.append(Change("contact.restored", contact_id))

    def forget(self, contact_id):
        """Erase a contact for good, by hand."""
        self.contacts.pop(contact_id)
        self._log(("person", contact_id, {"": "deleted"}))
        self.events += [Change("contact.deleted", contact_id), Change("contact.erased", contact_id)]

    def edit(self, contact_id, properties, by="person"):
        self._store(contact_id, properties, by)

    def create(self, properties, by="person"):
        contact_id = str(next(self._ids))
        self.contacts[contact_id] = {}
        self.created[contact_id] = self.clock()
        self.events.append(Change("contact.created", contact_id))
        self._store(contact_id, properties, by)
        return contact_id

    def delete(self, contact_id, by="person"):
        self.archived[contact_id] = self.contacts.pop(contact_id)
        self._log((by, contact_id, {"": "deleted"}))
        self.events.append(Change("contact.deleted", contact_id))

    def merge(self, winner, loser):
        new = str(next(self._ids))
        absorbed = self.contacts.pop(loser)
        kept = self.contacts.pop(winner)
        self.contacts[new] = {**absorbed, **{k: v for k, v in kept.items() if v}}
        others = [p["email"] for p in (kept, absorbed) if p.get("email") and p["email"] != self.contacts[new].get("email")]
        self.contacts[new]["hs_additional_emails"] = ";".join(others)
        for former, now in list(self.merged.items()):
            if now in (winner, loser):
                self.merged[former] = new
        self.merged |= {winner: new, loser: new}
        self.created[new] = self.clock()  # the worst that is thinkable: HubSpot does not tell what it puts there
        self.times |= {(new, name): self.clock() for name in self.contacts[new]}
        self._log(("person", new, dict(self.contacts[new])))
        self.events += [Change("contact.deleted", winner), Change("contact.deleted", loser)]
        self.events.append(Change("contact.merged", new, former_ids=(winner, loser)))
        return new

    @property
    def writes(self):
        """How many calls wrote something."""
        return sum(self.made[name] for name in ("upsert", "update", "archive", "erase", "write_statuses"))

    def _computed(self, contact_id):
        """What HubSpot keeps by itself."""
        former = ";".join(one for one, now in self.merged.items() if now == contact_id)
        at = self.created[contact_id].isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"createdate": at, "hs_merged_object_ids": former or None}

    def _with_computed(self, contact, asked):
        computed = {name: value for name, value in self._computed(contact.id).items() if name in asked}
        return Contact(contact.id, {**contact.properties, **computed})

    def _shown(self, contact_id):
        self.shows("contact", contact_id)
        return self._contact(contact_id)

    def _now(self, contact_id):
        return self.merged.get(contact_id, contact_id)

    def _contact(self, contact_id):
        properties = dict(self.contacts[contact_id])
        email = properties.get("email")
        out = {one for (owner, one), said in self.preferences.items() if owner == email and said.state is ConsentState.REVOKED}
        properties |= {f"hs_email_optout_{one}": "true" for one in out}
        properties |= {"hs_email_optout": "true"} if email in self.out_of_all and self.shows_optouts else {}
        return Contact(contact_id, properties)

    def _holds(self, properties, key, value):
        if key == "email":
            others = (properties.get("hs_additional_emails") or "").split(";")
            return value in (properties.get("email"), *others)
        return properties.get(key) == value

    def _email_owner(self, email, but):
        return next((i for i, p in self.contacts.items() if email and i != but and self._holds(p, "email", email.lower())), None)

    def _id_owner(self, properties, but):
        ids = {name: value for name, value in properties.items() if name.endswith("_user_id") and value}
        return next((i for i, p in self.contacts.items() for name in ids if i != but and p.get(name) == ids[name]), None)

    def _refusal(self, row):
        refused = {name: why for name, why in self.refuses.items() if row.properties.get(name)}
        for name, options in self.options.items():
            if set(filter(None, row.properties.get(name, "").split(";"))) - options:
                refused[name] = f"{name}: HubSpot refuses the value (INVALID_OPTION)"
        return Rejected("refused", refused) if refused else None

    def _store(self, contact_id, properties, by):
        held = self.contacts[contact_id]
        for name, value in sorted(properties.items(), key=lambda one: not one[0].endswith("_user_id")):
            value = value.lower() if name == "email" else value
            value = self.reformats[name](value) if name in self.reformats else value
            if name in self.noop or (held.get(name) or "") == value:
                continue
            if name.endswith("_consent"):
                state = {"true": "granted", "false": "revoked"}.get(value, "unknown")
                self.hears(Word("property", by, contact_id, name, state, self.clock(), "property", self.clock(), held.get(name)))
            held[name] = value
            self.times[contact_id, name] = self.clock()
            self._log((by, contact_id, {name: value}))
            self.events.append(Change("contact.changed", contact_id, self.clock(), property=name, value=value))
