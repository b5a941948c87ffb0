"""What must be true of a world whatever happened in it. Looks at the fakes and the store from outside, never at a decision."""

from collections import defaultdict

from sqlalchemy import select

from connector.engine.compare import as_set
from connector.engine.normalise import Unreadable, from_contact, from_user
from connector.engine.readings import additional_emails
from connector.model import FINAL, Contact, LinkState
from connector.store.rows import from_row
from connector.store.tables import inbox, link

ID = "members_user_id"


def intended(one, side):
    """What was about to be written to a side of a link: field -> value."""
    return {change["field"]: change["to"] for intent in one.intent for change in intent["changes"] if change["side"] == side}


class Oracle:
    """Watches one world. `deeds` are what people did: (time, side, record, user field, value in normal form).

    Who goes back to the value that both sides last agreed on, or that we were about to write there when nothing more was heard,
    has changed nothing as far as anybody can see later; such a deed is in `undone`. `waiting`: elements of sets that may wait for
    an option, so that only the rest is agreed on.
    """

    def __init__(self, world, waiting=frozenset()):
        self.waiting = waiting
        self.world = world
        self.fields = world.mapping.fields
        self.deeds = []
        self.undone = set()
        self.bases = {}
        self.intents = {}
        self.budget = 0
        self.ours = 0
        self.ever = defaultdict(set)
        self.ended = {}
        self._read = 0

    # what people do

    def look(self):
        """Take in what was written on either side since the last look. Returns all links."""
        for side, author, record, values in self.world.everything[self._read :]:
            self._note(side, author, record, values)
        self._read = len(self.world.everything)
        links = self.links()
        self.bases = {("idp", one.user_id): one.base for one in links}
        self.bases |= {("crm", self.world.crm._now(one.contact_id)): one.base for one in links}
        self.intents = {("idp", one.user_id): intended(one, "user") for one in links}
        self.intents |= {("crm", self.world.crm._now(one.contact_id)): intended(one, "contact") for one in links}
        return links

    def _note(self, side, author, record, values):
        if "" in values:  # a deletion: those who are created anew get every value again
            self.budget += len(self.fields) if author == "person" else 0
            return
        for rule in self.fields:
            name = rule.user if side == "idp" else rule.contact
            if name not in values:
                continue
            value = self.value(side, rule, values[name])
            if author == "person":
                self.budget += 1
                self.deeds.append((self.world.clock(), side, record, rule.user, value))
                base = self.bases.get((side, record), {})
                meant = self.intents.get((side, record), {})
                unseen = any(rule.user in known and known[rule.user] == value for known in (base, meant))
                self.undone |= {self.deeds[-1]} if unseen else set()
            else:
                self.ours += 1
                self._came_from_somebody(side, rule, value)
            self.ever[side, rule.user].add(value)

    def _came_from_somebody(self, side, rule, value):
        """A value we write was one of the other side's; the elements of a set come from either."""
        told = self.ever["crm" if side == "idp" else "idp", rule.user]
        if rule.type == "set":
            known = {element for one in told | self.ever[side, rule.user] for element in self._elements(one)}
            assert self._elements(value) <= known, f"we wrote {rule.user} = {value!r} on side {side}, which nobody said"
        else:
            assert value in told, f"we wrote {rule.user} = {value!r} on side {side}, which nobody said on the other"

    @staticmethod
    def _elements(value):
        return set(value) if isinstance(value, tuple) else set()

    def value(self, side, rule, raw):
        """A value in normal form; what cannot be read stands for itself."""
        try:
            reading = from_user(rule, raw) if side == "idp" else from_contact(rule, raw)
        except Unreadable:
            return ("unreadable", str(raw))
        return ("strange", reading) if reading.strange else reading.value

    def direction(self, rule):
        """A provider that takes no updates is followed."""
        return rule.direction if self.world.idp.capabilities.update else "to_contact"

    def links(self):
        """All links."""
        with self.world.store.read() as tx:
            return [from_row(row) for row in tx.connection.execute(select(link))]

    # at every moment

    def check_always(self):
        """Safety: nothing here may be wrong even for a moment."""
        links = self.look()
        self.no_duplicates(links)
        self.no_resurrection(links)
        assert self.ours <= self.budget, f"we wrote {self.ours} values for {self.budget} that people wrote"
        self.bases_were_agreed(links)
        return links

    def no_duplicates(self, links):
        """At most one live contact per user id; one active link per user and per contact."""
        ids = [contact.get(ID) for contact in self.world.crm.contacts.values() if contact.get(ID)]
        assert len(ids) == len(set(ids)), f"two contacts of one user: {ids}"
        active = [one for one in links if one.state == LinkState.ACTIVE]
        assert len({one.user_id for one in active}) == len({one.contact_id for one in active}) == len(active)

    def no_resurrection(self, links):
        """Once a link has ended, nothing is created for its user, and neither side is touched for it again."""
        for one in links:
            if one.state in FINAL and one.user_id:
                self.ended.setdefault(one.user_id, self._touched(one.user_id))
        for user_id, before in self.ended.items():
            now = self._touched(user_id)
            assert now == before, f"the link of {user_id} had ended, and was written all the same: {now} after {before}"

    def _touched(self, user_id):
        created = self.world.crm.creations.count(user_id)
        users = sum(author == "us" and record == user_id for author, record, _ in self.world.idp.log)
        return created, users

    def bases_were_agreed(self, links):
        """What we call agreed was really held, by both sides where both take part."""
        for one in links:
            for rule in self.fields:
                value = one.base.get(rule.user)
                if value is None:
                    continue
                one_sided = {"to_contact": "idp", "to_user": "crm"} if rule.type == "set" else {}
                direction = self.direction(rule)
                sides = [one_sided[direction]] if direction in one_sided else ["idp", "crm"]
                for side in sides:
                    ever = self.ever[side, rule.user]
                    agreed = value in ever or (rule.type == "set" and as_set({*value, *self.waiting}) in ever)
                    assert agreed, f"{one.name}: {rule.user} was never {value!r} on side {side}"

    # at the end

    def check_end(self):
        """Liveness: faults are over, everything was swept."""
        self.check_always()
        self.nothing_is_lost()
        links = self.links()
        self.everybody_is_up_to_date(links)
        self.everybody_has_a_link(links)

    def everybody_is_up_to_date(self, links):
        """Every link that synchronises has done so."""
        for one in links:
            if one.state == LinkState.ACTIVE:
                self.sides_agree(one)
                self.no_update_is_lost(one)

    def nothing_is_lost(self):
        """Every delivery was taken in, or is set aside with a reason; so is every piece of work."""
        with self.world.store.read() as tx:
            rows = tx.connection.execute(select(inbox.c.state, inbox.c.reason)).all()
            parked = tx.parked.rows()
            assert tx.links.waiting() == 0
        assert len(rows) == len(self.world.keys), "a delivery was kept twice"
        assert all(row.state == "done" or (row.state == "quarantined" and row.reason) for row in rows), rows
        assert all(row.reason for row in parked)

    def everybody_has_a_link(self, links):
        """Every user is linked, or a person is told why not."""
        known = {one.user_id: one for one in links if one.user_id}
        for user_id in self.world.idp.users:
            found = known.get(user_id)
            assert found is not None, f"{user_id} has no link"
            assert found.state in (LinkState.ACTIVE, LinkState.HELD, LinkState.UNLINKED) or self._parked(found), found
            assert found.state == LinkState.ACTIVE or found.reason or self._parked(found), found

    def sides_agree(self, one):
        """User, contact and base are equal as far as the direction goes; a difference that stays has a name."""
        user = self.world.idp.users.get(one.user_id)
        contact = self.world.crm.contacts.get(self.world.crm._now(one.contact_id))
        parked = self._parked(one)
        if "link" in parked:
            return
        assert user is not None, f"{one.name}: active without a user"
        assert contact is not None, f"{one.name}: active without a contact"
        assert contact.get(ID) == one.user_id
        for rule in self.fields:
            if rule.user in one.held or parked & {rule.contact, f"user.{rule.user}"}:
                continue
            mine = self.value("idp", rule, user.values.get(rule.user))
            theirs = self.value("crm", rule, contact.get(rule.contact))
            base = one.base.get(rule.user)
            told = f"{one.name}: {rule.user} is {mine!r}, {rule.contact} is {theirs!r}, base {base!r}"
            if mine == theirs:
                assert base == mine, told
            elif rule.user == "email" and mine in additional_emails(Contact("", contact)):
                pass
            else:
                self._difference(one, rule, mine, theirs, base, told)

    def _difference(self, one, rule, mine, theirs, base, told):
        assert rule.user in one.drift, f"{told}, and nobody calls it drift"
        if rule.on_blank == "keep" and (mine is None or theirs is None):
            return
        if self.direction(rule) == "to_user":
            assert theirs == base, told
        elif self.direction(rule) == "to_contact":
            assert mine == base, told
        else:
            raise AssertionError(told)

    def no_update_is_lost(self, one):
        """What a person wrote stands, or a person wrote later, or it is on record as the loser, with both values."""
        contact_id = self.world.crm._now(one.contact_id)
        mine = [deed for deed in self.deeds if deed[2] == one.user_id or self.world.crm._now(deed[2]) == contact_id]
        history = self.world.history(one.user_id)
        parked = self._parked(one)
        for rule in self.fields:
            deeds = [deed for deed in mine if deed[3] == rule.user]
            if rule.type == "set" or rule.user in one.held or parked & {"link", rule.contact, f"user.{rule.user}"}:
                continue
            for number, (at, side, _, _, value) in enumerate(deeds):
                if value is None and rule.on_blank == "keep":
                    continue  # a blank that may not overwrite anything says nothing
                if deeds[number] in self.undone:
                    continue
                if any(later[1] == side for later in deeds[number + 1 :]):
                    continue  # the same side wrote later
                if any(later[0] >= at for later in deeds if later[1] != side):
                    continue  # the other side wrote later, or in the same second
                if not self._stands(one, rule, side, value):
                    losers = [change for change in history if change["field"] == rule.user and self._lost(change, value)]
                    assert losers, f"{one.name}: {rule.user} = {value!r} of {side} at {at:%M:%S} is lost"

    @staticmethod
    def _lost(change, value):
        """Whether a value lost a conflict, or the first meeting of two values."""
        met = any(words in change["rule"] for words in ("both changed", "first link", "given now"))
        return met and value in (change["user"], change["contact"])

    def _stands(self, one, rule, side, value):
        user = self.world.idp.users[one.user_id]
        contact = self.world.crm.contacts[self.world.crm._now(one.contact_id)]
        if side == "idp":
            return self.value("idp", rule, user.values.get(rule.user)) == value
        additional = additional_emails(Contact("", contact)) if rule.user == "email" else ()
        return self.value("crm", rule, contact.get(rule.contact)) == value or value in additional

    def _parked(self, one):
        with self.world.store.read() as tx:
            return {row.what for row in tx.parked.of_links([one.id]).get(one.id, [])}
