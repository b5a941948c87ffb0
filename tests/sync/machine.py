"""Everything that can happen to two systems and the connector between them, in any order."""

import functools
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import event, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.errors import Locked, Paused, Rejected, Transient, Unavailable
from connector.model import LinkState
from connector.sync import intake, reconcile
from connector.sync.work import LEASE

from .oracle import Oracle
from .world import MAPPING, Crash, World

EMAILS = [f"{name}@example.com" for name in ("ada", "bob", "cyd", "dan")]
USER_EDITS = (
    [("first_name", one) for one in (None, "Ada", "Bob", " ada ")]
    + [("last_name", one) for one in (None, "King", "Lovelace")]
    + [("country", one) for one in (None, "ES", "NO", "FR")]
    + [("custom.tier", one) for one in (None, "gold", "silver")]
    + [("custom.score", one) for one in (None, 1, 2.5)]
    + [("custom.interests", one) for one in ([], ["film"], ["sport", "film"], ["music"])]
)
CONTACT_EDITS = (
    [("firstname", one) for one in ("", "Ada", "Bea", "ada")]
    + [("lastname", one) for one in ("", "King", "Byron")]
    + [("country", one) for one in ("", "Spain", "Norway", "France")]
    + [("tier", one) for one in ("", "gold", "bronze")]
    + [("score", one) for one in ("", "1.0", "3", "many")]
    + [("interests", one) for one in ("", "film", "chess;film", "sport")]
)
BETWEEN = ["leased", "contact.create", "contact.update", "user.update", "user.create", "contacts archived"]
"""Places with no transaction open: anything may happen meanwhile."""
EVERYWHERE = [*BETWEEN, "intake before commit", "record before commit"]

WRITING = {"upsert", "archive", "create", "update", "delete"}
"""Calls that write."""

some = st.integers(0, 7)
fields = st.lists(st.sampled_from(USER_EDITS), max_size=4).map(dict)
NAMES = st.sampled_from(["Ada", "Bea", "Cyd", None])
both_edits = st.one_of(
    st.tuples(st.sampled_from([None, *USER_EDITS]), st.sampled_from([None, *CONTACT_EDITS])),
    st.tuples(NAMES.map(lambda one: ("first_name", one)), NAMES.map(lambda one: ("firstname", one or ""))),
    st.tuples(NAMES.map(lambda one: ("first_name", one)), NAMES.map(lambda one: ("lastname", one or ""))),
    st.tuples(NAMES.map(lambda one: ("last_name", one)), NAMES.map(lambda one: ("firstname", one or ""))),
)
"""An edit of a user and one of its contact, often of the same few fields."""
properties = st.lists(st.sampled_from(CONTACT_EDITS), max_size=4).map(dict)


@functools.cache
def folder():
    """Where mappings are written: once for all examples."""
    return Path(tempfile.mkdtemp(prefix="machine"))


class Machine(RuleBasedStateMachine):
    """Users are never created from contacts, and the provider can do everything."""

    mapping = MAPPING
    idp = {}  # noqa: RUF012
    lossy = True
    """Deliveries get lost, so that only a sweep can be relied on. Otherwise there is no sweep: deliveries must do."""
    redelivered = ()
    """Kinds of event that no sweep makes up for: what was dropped is delivered in the end, as a sender's retry would."""

    def __init__(self):
        super().__init__()
        self.world = World(folder(), mapping=self.mapping, idp=self.idp)
        self.oracle = Oracle(self.world)
        self.mail = []
        self.delivered = []
        self.workers = 1
        self.taken_over = None

    # the two systems

    def users(self):
        return sorted(self.world.idp.users)

    def contacts(self):
        return sorted(self.world.crm.contacts)

    def user_email(self, number):
        taken = {user.values.get("email") for user in self.world.idp.users.values()}
        return self._free(number, taken)

    def contact_email(self, number):
        held = self.world.crm.contacts.values()
        taken = {contact.get("email") for contact in held}
        taken |= {one for contact in held for one in (contact.get("hs_additional_emails") or "").split(";")}
        return self._free(number, taken)

    def _free(self, number, taken):
        free = [one for one in EMAILS if one not in taken]
        return free[number % len(free)] if free else f"more{number}{len(taken)}@example.com"

    def happens(self):
        """A second passes with each thing people do, and the senders have something to tell."""
        self.world.clock.pass_(1)
        self.mail += self.world.idp.events + self.world.crm.events
        self.world.idp.events, self.world.crm.events = [], []

    @initialize(count=st.integers(0, 2), values=fields)
    def people_who_are_linked_already(self, count, values):
        for number in range(count):
            self.world.idp.register({"email": EMAILS[number], "first_name": "Ada", **values})
            self.happens()
        self.deliver_all()
        self.world.work_off()

    # what people do

    @precondition(lambda self: len(self.world.idp.users) < 3)
    @rule(number=some, values=fields)
    def register(self, number, values):
        self.world.idp.register({"email": self.user_email(number), "first_name": "Ada", **values})
        self.happens()

    @precondition(lambda self: self.world.crm.contacts and len(self.world.idp.users) < 4)
    @rule(which=some, values=fields)
    def register_with_the_email_of_a_contact(self, which, values):
        email = self._one(self.contacts(), which, self.world.crm.contacts).get("email")
        if email and email not in {user.values.get("email") for user in self.world.idp.users.values()}:
            self.world.idp.register({"email": email, **values})
        self.happens()

    @precondition(lambda self: self.world.idp.users)
    @rule(which=some, edit=st.sampled_from(USER_EDITS))
    def edit_user(self, which, edit):
        self.world.idp.edit(self._id(self.users(), which), dict([edit]))
        self.happens()

    @precondition(lambda self: self.world.idp.users)
    @rule(which=some, number=some)
    def change_email(self, which, number):
        self.world.idp.edit(self._id(self.users(), which), {"email": self.user_email(number)})
        self.happens()

    @precondition(lambda self: len(self.world.idp.users) > 1)
    @rule(which=some)
    def swap_emails(self, which):
        one, two = self._id(self.users(), which), self._id(self.users(), which + 1)
        emails = [self.world.idp.users[user].values.get("email") for user in (one, two)]
        self.world.idp.edit(one, {"email": emails[1]})
        self.world.idp.edit(two, {"email": emails[0]})
        self.happens()

    @precondition(lambda self: self.world.idp.users)
    @rule(which=some)
    def remove_user(self, which):
        self.world.idp.remove(self._id(self.users(), which))
        self.happens()

    @precondition(lambda self: len(self.world.crm.contacts) < 5)
    @rule(number=some, values=properties, with_email=st.booleans())
    def create_contact(self, number, values, with_email):
        self.world.crm.create({**values, **({"email": self.contact_email(number)} if with_email else {})})
        self.happens()

    @precondition(lambda self: self.world.crm.contacts)
    @rule(which=some, edit=st.sampled_from(CONTACT_EDITS))
    def edit_contact(self, which, edit):
        self.world.crm.edit(self._id(self.contacts(), which), dict([edit]))
        self.happens()

    @precondition(lambda self: self.world.crm.contacts)
    @rule(which=some, number=some)
    def change_contact_email(self, which, number):
        self.world.crm.edit(self._id(self.contacts(), which), {"email": self.contact_email(number)})
        self.happens()

    @precondition(lambda self: self.world.crm.contacts)
    @rule(which=some)
    def delete_contact(self, which):
        self.world.crm.delete(self._id(self.contacts(), which))
        self.happens()

    @precondition(lambda self: len(self.world.crm.contacts) > 1)
    @rule(which=some, other=st.integers(1, 4))
    def merge(self, which, other):
        winner, loser = self._id(self.contacts(), which), self._id(self.contacts(), which + other)
        if winner != loser:
            self.world.crm.merge(winner, loser)
        self.happens()

    @staticmethod
    def _id(ids, which):
        return ids[which % len(ids)]

    def _one(self, ids, which, records):
        return records[self._id(ids, which)]

    # what the network does

    @precondition(lambda self: self.mail)
    @rule(which=some, copies=st.sampled_from([1, 1, 1, 2]), bare=st.booleans())
    def deliver(self, which, copies, bare):
        change = self.mail.pop(which % len(self.mail))
        if bare and self.world.idp.capabilities.read:
            change = replace(change, user=None)
        key = f"event {len(self.delivered)}"
        new = [self.world.deliver(change, key=key) for _ in range(copies)]
        assert [len(one) for one in new] == [1, 0][:copies]
        self.delivered.append(change)

    @precondition(lambda self: self.mail)
    @rule()
    def deliver_all(self):
        for change in self.mail:
            self.world.deliver(change)
        self.delivered += self.mail
        self.mail = []

    @precondition(lambda self: self.delivered)
    @rule(which=some)
    def deliver_again(self, which):
        self.world.deliver(self.delivered[-1 - which % len(self.delivered)])

    @precondition(lambda self: self.mail and self.lossy)
    @rule(which=some)
    def drop(self, which):
        change = self.mail.pop(which % len(self.mail))
        if change.kind in self.redelivered:
            self.mail.append(change)

    # what the connector does

    @rule()
    def take_in(self):
        self.carefully(lambda: intake.take(self.world.work))

    @rule()
    def settle(self):
        self.carefully(self.world.settle)

    @rule()
    def work_off(self):
        self.carefully(self.world.work_off)

    @rule(where=st.sampled_from(EVERYWHERE))
    def die_at(self, where):
        self.world.crash_at(where)
        self.carefully(self.world.work_off)

    @rule(where=st.sampled_from(EVERYWHERE), which=some, edits=both_edits)
    def die_over_edits(self, where, which, edits):
        self._edit_both(which, *edits)
        self.die_at(where)

    @rule(
        where=st.sampled_from(BETWEEN),
        what=st.sampled_from(["edits", "edits", "gone", "deleted", "merged", "successor"]),
        which=some, edits=both_edits, later=both_edits,
    )  # fmt: skip
    def meanwhile(self, where, what, which, edits, later):
        """Something happens to two linked people while a worker has them."""
        self._edit_both(which, *edits)
        self.carefully(lambda: intake.take(self.world.work))
        self.world.crash_at(where, lambda: self._meanwhile(what, which, later))
        self.carefully(self.world.settle)
        assert self.taken_over is None or self.taken_over == self.writes(), "a worker wrote that had lost its lease"
        self.taken_over = None

    def _meanwhile(self, what, which, edits):
        world = self.world
        user, contact = self._linked(which)
        if what == "successor":
            world.clock.pass_(LEASE.total_seconds() + 1)
            self._edit_both(which, *edits)
            intake.take(world.work)
            while world.settle(world.worker("successor")):
                pass
            self.taken_over = self.writes()
            return
        if what == "edits":
            self._edit_both(which, *edits)
        elif what == "gone" and user:
            world.idp.remove(user)
        elif what == "deleted" and contact:
            world.crm.delete(contact)
        elif what == "merged" and contact and len(world.crm.contacts) > 1:
            world.crm.merge(contact, self._id([one for one in self.contacts() if one != contact], which))
        self.happens()
        self.deliver_all()
        intake.take(world.work)

    def _edit_both(self, which, user_edit, contact_edit):
        """A linked user and contact are edited, and it is told at once."""
        user, contact = self._linked(which)
        if user and user_edit:
            self.world.idp.edit(user, dict([user_edit]))
            self.happens()
        if contact and contact_edit:
            self.world.crm.edit(contact, dict([contact_edit]))
        self.happens()
        self.deliver_all()

    def _linked(self, which):
        """A user and a contact, linked to each other where there is such a pair."""
        world = self.world
        pairs = [(one.user_id, world.crm._now(one.contact_id)) for one in self.oracle.links() if one.state == LinkState.ACTIVE]
        pairs = [pair for pair in pairs if pair[0] in world.idp.users and pair[1] in world.crm.contacts]
        if pairs:
            return self._id(pairs, which)
        return next(iter(self.users()), None), next(iter(self.contacts()), None)

    @precondition(lambda self: self.lossy)
    @rule()
    def sweep(self):
        def swept():
            try:
                reconcile.reconcile(self.world.work, self.world.doze, ["members"], lambda *told: None)
            except Locked:
                event("a sweep found the lock taken")

        self.carefully(swept)

    def carefully(self, work):
        """Do a piece of work; a worker that dies leaves its leases and locks, and another one comes."""
        try:
            work()
        except Crash as crash:
            event(f"died at {crash}")
            self.workers += 1
            self.world.work = self.world.worker(f"worker {self.workers}")
        except (Transient, Rejected):
            event("a sweep met an outage, or an empty listing")
        self.world.reached = lambda where: None
        self.happens()

    # what goes wrong

    @rule(
        side=st.sampled_from(["crm", "idp"]),
        error=st.sampled_from([Unavailable("503"), Paused("429", 5)]),
        times=st.integers(1, 3),
    )
    def fail(self, side, error, times):
        getattr(self.world, side).fails = [error] * times

    @rule(side=st.sampled_from(["crm", "idp"]))
    def lose_the_answer(self, side):
        getattr(self.world, side).loses = [Unavailable("timeout")]

    @rule(name=st.sampled_from(["firstname", "tier", "country"]))
    def refuse(self, name):
        self.world.crm.refuses = {} if name in self.world.crm.refuses else {name: "INVALID"}

    @precondition(lambda self: self.world.idp.capabilities.read and self.lossy)
    @rule(name=st.sampled_from(["first_name", "last_name", "custom.interests"]))
    def hide(self, name):
        self.world.idp.hides ^= {name}

    @rule(seconds=st.sampled_from([1, 5, 61, 3700]))
    def time_passes(self, seconds):
        self.world.clock.pass_(seconds)

    @invariant()
    def nothing_is_wrong(self):
        self.oracle.check_always()

    # the end

    def teardown(self):
        world = self.world
        for side in (world.crm, world.idp):
            side.fails, side.loses = [], []
        world.crm.refuses, world.idp.hides = {}, set()
        world.reached = lambda where: None
        self.happens()
        for change in self.mail:
            if change.kind in self.redelivered or not self.lossy:
                world.deliver(change)
        if not self.lossy:
            self.come_to_rest(self.tell_everything)
            self.oracle.everybody_is_up_to_date(self.oracle.links())
        self.come_to_rest(world.sweep)
        assert not self.writes_of(world.sweep), "a sweep over a world at rest writes"
        world.clock.pass_(86400)
        assert not self.writes_of(world.sweep), "a day later"
        self.oracle.check_end()
        for one in self.oracle.links():
            event(f"a link ends {one.state.value}")
        note(f"{len(world.crm.log) + len(world.idp.log)} values were written")
        world.close()

    def writes(self):
        """The calls that wrote, so far."""
        made = self.world.crm.made + self.world.idp.made
        return Counter({name: made[name] for name in made if name in WRITING})

    def writes_of(self, work):
        """The calls that write in this piece of work."""
        before = self.writes()
        work()
        return self.writes() - before

    def tell_everything(self):
        """What happened is told by deliveries alone: no sweep has to make up for anything."""
        self.happens()
        for change in self.mail:
            self.world.deliver(change)
        self.mail = []
        self.world.work_off()

    def come_to_rest(self, work):
        """Work until nobody waits for another attempt; a few times more where one link waits for what another does."""
        busy = 0
        for _ in range(20):
            self.world.clock.pass_(3700)
            made = self.writes_of(work)
            waiting = any(one.due_at is not None for one in self.oracle.links())
            busy += bool(made) and not waiting
            if not made and not waiting:
                return
            assert busy < 4, f"writes go on without end: {made}"
        raise AssertionError(f"never at rest: {self.oracle.links()}")
