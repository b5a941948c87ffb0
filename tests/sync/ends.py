"""What must be true of a life at every moment and at its end, beside what `oracle` says of any world."""

import re
from collections import defaultdict
from datetime import timedelta

from sqlalchemy import select

from connector.engine.consent import decoded
from connector.model import LinkState
from connector.store.activities import OPEN
from connector.store.tables import activity, metadata
from connector.sync import contradictions

from .evidence import ID, PURPOSES, Evidence
from .oracle import Oracle

TYPES = {"newsletter": "1001", "product": "1002"}
OPTIONS = {"consumer": "Consumer", "press": "Press"}


class Ends(Oracle):
    """Watches one life."""

    def __init__(self, life):
        super().__init__(life.world)
        self.life = life
        self.evidence = Evidence(life.world)
        self.events = []
        self.options = {}
        self.taken_away = defaultdict(set)
        self.gone = {}
        self.held = {}
        self._logged = 0
        listen = self.evidence.show
        life.world.crm.shows = lambda what, told: self._recorded(told) if what == "record" else listen(what, told)

    # at every moment

    def check_always(self):
        assert not self.world.crm.wrong, self.world.crm.wrong[0]
        links = super().check_always()
        self._nothing_of_a_typology_is_removed()
        self._addresses_of_nobody(links)
        return links

    def no_resurrection(self, links):
        """Who was restored with the contact lives again; the others do not."""
        if "relink" in self.life.kind.lifecycle:
            for one in links:
                if one.state == LinkState.ACTIVE:
                    self.ended.pop(one.user_id, None)
        super().no_resurrection(links)

    def _addresses_of_nobody(self, links):
        """From when on a status of an address says nothing about who has it next."""
        self.evidence.remember(links)
        for one in links:
            before, now = self.held.get(one.id), one.contact and one.contact.properties.get("email")
            if before and before != now and one.state in (LinkState.ACTIVE, LinkState.ERASED):
                self.evidence.void[before] = self.world.clock() - timedelta(seconds=1)
            self.held[one.id] = now

    def _nothing_of_a_typology_is_removed(self):
        for author, contact, values in self.world.crm.log[self._logged :]:
            if "member_types" not in values:
                continue
            before, now = self.options.get(contact, set()), set(filter(None, values["member_types"].split(";")))
            assert author != "us" or before <= now, f"contact {contact}: we removed {before - now}"
            self.taken_away[contact] |= before - now
            self.options[contact] = now
        self._logged = len(self.world.crm.log)

    def _recorded(self, row):
        try:
            self._record(row)
        except AssertionError as error:  # the sync would take it for an outage
            self.world.crm.wrong.append(str(error))

    def _record(self, row):
        """An event becomes a record: for whom, and after what."""
        known = [one for one in self.events if one.key == row.key]
        assert not known or row.sent_before, f"{row.key} is recorded twice, and not for want of an answer"
        assert row.user_id not in self.gone, f"{row.key} is recorded for {row.user_id}, who was erased"
        if not known:
            self._in_order(row)
        self.events.append(row)

    def _in_order(self, row):
        here = (activity.c.user_id == row.user_id) & activity.c.state.in_(OPEN) & (activity.c.occurred_at < row.occurred_at)
        query = select(activity.c.event_id).where(here, activity.c.noticed_at < self.evidence.leased_at)
        with self.world.store.read() as tx:
            earlier = set(tx.connection.execute(query).scalars()) - {one.key for one in self.events}
        assert not earlier, f"{row.key} is recorded before {earlier} of the same person"

    # at the end

    def check_end(self):
        links = self.check_always()
        self.nothing_is_lost()
        self._everybody_erased_is_gone(links)
        living = [one for one in links if one.state != LinkState.ERASED]
        self.everybody_is_up_to_date(living)
        for one in living:
            if one.state == LinkState.ACTIVE and "link" not in self._parked(one):
                self._typologies(one)
                for purpose in TYPES:
                    Stand(self, one, purpose).check()
                self._communicable(one)
        self._ledger(living)
        self._events(living)

    def everybody_is_up_to_date(self, links):
        for one in links:
            if one.state == LinkState.ACTIVE:
                self.sides_agree(one)

    def _typologies(self, one):
        """What the user has, the contact has, unless marketing took it away; what marketing added is there (see `always`)."""
        user, contact_id = self.world.idp.users[one.user_id], self.world.crm._now(one.contact_id)
        held = set(filter(None, self.world.crm.contacts[contact_id].get("member_types", "").split(";")))
        mine = {OPTIONS[entry["key"]] for entry in user.memberships if entry["active"]}
        former = {old for old, now in self.world.crm.merged.items() if now == contact_id}
        taken = set().union(*(self.taken_away[old] for old in (contact_id, *former)))
        assert mine - taken <= held, f"{one.name} is {mine}, the contact says {held}"
        if self.life.kind.typologies and not self._parked(one):
            once = {OPTIONS[key] for key in self.world.idp.once.get(one.user_id, ())}
            assert held & set(OPTIONS.values()) <= mine | once, f"{one.name} is {mine}, marketing says {held}"

    def _communicable(self, one):
        contact = self.world.crm.contacts[self.world.crm._now(one.contact_id)]
        yes = any(Stand(self, one, purpose).yes for purpose in TYPES)
        assert (contact.get("communicable") == "true") == yes, f"{one.name}: communicable is {contact.get('communicable')!r}"

    def _ledger(self, links):
        """The proof is whole, and its last word is what stands."""
        with self.world.store.read() as tx:
            assert contradictions.findings(tx) == []
            last = tx.ledger.last([one.id for one in links])
        for one in links:
            for purpose, row in last.get(one.id, {}).items():
                if one.state == LinkState.ACTIVE:
                    assert decoded(one.consents.get(purpose)).now.state == row.state, f"{one.name}: {purpose}"

    def _events(self, links):
        """What could be recorded was."""
        active = [one.user_id for one in links if one.state == LinkState.ACTIVE and "link" not in self._parked(one)]
        query = select(activity.c.event_id).where(activity.c.user_id.in_(active), activity.c.state.in_(OPEN))
        with self.world.store.read() as tx:
            assert tx.connection.execute(query).all() == []

    def _everybody_erased_is_gone(self, links):
        """Of an erased person nothing is left: no link, contact, record, and not a word in any table."""
        contacts = [*self.world.crm.contacts.items(), *self.world.crm.archived.items()]
        for user in self.life.erased:
            assert all(one.user_id != user for one in links), f"{user} has a link again"
            needed = {self.world.crm._now(one.contact_id) for one in links}
            thrown = {one for author, one, values in self.world.crm.log if "" in values and author == "person"}
            kept = [i for i, held in contacts if held.get(ID) == user and i not in needed and i not in thrown]
            archives = "user_erased: archive" in self.life.kind.lifecycle
            assert archives or not kept, f"{user} has a contact: {kept}"
            if user not in self.life.erased_in_the_crm:
                rows = [row for row in self.world.crm.records.values() if row.user_id == user]
                kept = [row.key for row in rows if row.contact_id not in thrown]
                assert not kept, f"{user} has event records: {kept}"
        words = self._everything()
        for user in self.life.erased:
            if any(held.get(ID) == user for _, held in contacts):
                continue  # it stays for another one, or was thrown away by hand before we ever knew whose it was
            canaries = [user, *(one for one in self.life.secrets.get(user, []) if not self._lives_on(user, one))]
            found = [(name, one) for name, text in words.items() for one in canaries if re.search(rf"\b{one}\b", text)]
            assert not found, f"still there of {user}: {found}"

    def _lives_on(self, user, value):
        """Whether somebody else has this value by now, by a merge, say."""
        contacts = [held for held in self.world.crm.contacts.values() if held.get(ID) != user]
        users = [one.values for one in self.world.idp.users.values() if one.id != user]
        return any(value in map(str, held.values()) for held in [*contacts, *users])

    def _everything(self):
        with self.world.store.read() as tx:
            return {
                name: "\n".join(str(tuple(row)) for row in tx.connection.execute(select(table)))
                for name, table in metadata.tables.items()
            }


class Stand:
    """How one consent of one link stands in all places."""

    def __init__(self, ends, one, purpose):
        self.ends, self.one, self.purpose = ends, one, purpose
        self.closed = ends.life.kind.closed
        world, evidence = ends.world, ends.evidence
        self.contact = world.crm.contacts[world.crm._now(one.contact_id)]
        self.address = self.contact.get("email")
        status = world.crm.preferences.get((self.address, TYPES[purpose]))
        self.words = evidence.said[one.user_id, purpose] + evidence.opted_out_there(self.address, purpose)
        self.status = status and status.state.value
        mine = [word for word in self.words if evidence._is_grant(word) and word not in evidence.inherited]
        unknown = decoded(one.consents.get(purpose)).now.state == "unknown"
        if self.status == "granted" and unknown and (not mine or (one.user_id, purpose) in evidence.vague):
            self.status = None  # of whoever had the address before
        entries = [entry["state"] for entry in world.idp.users[one.user_id].consents if entry["purpose"] == purpose]
        self.asked = bool(entries) and entries[0] == "pending"  # the person's to answer, never ours
        self.user = entries[0] if entries and not self.asked else None
        self.property = {"true": "granted", "false": "revoked"}.get(self.contact.get("newsletter_consent", ""))
        self.out_of_all = self.address in world.crm.out_of_all
        self.waits = f"consent.{purpose}" in one.held or self._parked()
        self.writable = world.idp.capabilities.consent

    def _parked(self):
        return any("consent" in what for what in self.ends._parked(self.one))

    @property
    def yes(self):
        """Whether mail may be sent."""
        if not self.closed:
            return self.status == "granted" and not self.out_of_all
        return decoded(self.one.consents.get(self.purpose)).effective == "granted"

    def __str__(self):
        told = {name: value for name, value in vars(self).items() if name not in ("ends", "one", "contact", "words")}
        words = "\n  ".join(str(word) for word in self.words)
        return f"{self.one.name}: {told}\n  {words}\n  {self.one.consents}"

    def check(self):
        """All places say the same, and it is what the person said."""
        if self.out_of_all or (self.status == "revoked" and not self.closed):
            self._is_no()
        elif self.status == "granted" and not self.closed:
            self._is_yes()
        outs = [word for word in self.words if self._stands(word)]
        if outs:
            self._opted_out(outs)
        self._granted()

    def _is_no(self):
        assert self.user != "granted" or self.waits or not self.writable, str(self)
        assert self.purpose != "newsletter" or self.property == "revoked", str(self)

    def _is_yes(self):
        assert self.user == "granted" or self.asked or self.waits or not self.writable, str(self)
        assert self.purpose != "newsletter" or self.property == "granted", str(self)

    def _stands(self, word):
        """Whether an opt-out is what its place says now, or was known to us."""
        if word.state != "revoked":
            return False
        if self.closed and word.place == "status" and word.whose != self.address:
            return False
        latest = word.place == "idp" and self.user == "revoked" and word is self._latest("idp")
        return self.ends.evidence._known_out(word) or latest

    def _latest(self, place):
        return next((word for word in reversed(self.words) if word.place == place), None)

    def _opted_out(self, outs):
        if not self.yes:
            return
        self.ends.evidence.may_grant(self.one.user_id, self.purpose, outs, f"may get mail in the end: {self}")

    def _granted(self):
        """Where every word is a clear one, the last word decides."""
        if (self.one.user_id, self.purpose) in self.ends.evidence.vague or not self.words or self.out_of_all or self.waits:
            return
        there = self.ends.evidence.at_address.get((self.address, self.purpose))
        if there and there.by == "us" and (there.link != self.one.id or there.state == "revoked"):
            return  # an opt-out goes out without a look, and may meet a grant made there meanwhile: the safe side
        if self.one.contact_id in self.ends.evidence.unlinked:
            return
        last = max(self.words, key=lambda word: word.at)
        if last.place == "status" and (self.closed or last.whose != self.address):
            return
        assert self.yes == (last.state == "granted"), str(self)


__all__ = ["PURPOSES", "Ends", "Stand"]
