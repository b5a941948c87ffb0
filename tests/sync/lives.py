"""Lives: seeded stories about a few people on both sides, with everything that can go wrong in between, and how they end."""

import functools
import random
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from connector.errors import Denied, Rejected, Transient
from connector.model import FINAL, LinkState
from connector.providers.base import Capabilities
from connector.store import Store
from connector.sync import activities, subscriptions

from . import deeds
from .ends import Ends
from .world import START, Clock, Crash, World, empty

MAPPING = """
version: 1
defaults: {{direction: both, conflict: newest, on_blank: clear}}
fields:
  - {{user: email, contact: email}}
  - {{user: first_name, contact: firstname}}
  - {{user: last_name, contact: lastname, on_blank: keep}}
typologies: {{contact: member_types, values: {{consumer: Consumer, press: Press}}{typologies}}}
consents:
  - {{consent: newsletter, subscription: Newsletter, legal_basis: CONSENT_WITH_NOTICE, property: newsletter_consent}}
  - {{consent: product, subscription: "1002"}}
communicable: {{contact: communicable, any_of: [newsletter, product]}}
events: {{as: custom_object, types: [user.created, user.login, consent.granted, consent.revoked], details: [plan]}}
lifecycle: {lifecycle}
"""
WRITING = {
    "upsert",
    "archive",
    "create",
    "update",
    "delete",
    "erase",
    "write_statuses",
    "set_consent",
    "set_membership",
    "record_events",
}
STEPS = 25


@dataclass(frozen=True)
class Kind:
    """A kind of world to live in."""

    name: str
    lifecycle: str = "{}"
    idp: dict = field(default_factory=dict)
    stamps: bool = False
    closed: bool = False
    typologies: str = ""


KINDS = (
    Kind("plain"),
    Kind("plain too", "{contact_restored: relink}"),
    Kind("the provider puts its own time to our writes", stamps=True),
    Kind("statuses cannot be read", closed=True),
    Kind("the provider takes no consents", idp={"capabilities": Capabilities(True, True, True, True, True, True, delete=True)}),
    Kind("the provider only tells", idp={"capabilities": Capabilities()}),
    Kind("memberships go both ways", typologies=", direction: both"),
    Kind("deleted users leave their contact", "{user_deleted: unlink, user_erased: archive_contact}"),
    Kind("whoever goes is erased", "{user_deleted: erase_contact, contact_deleted: delete_user}"),
)


@functools.cache
def store_and_clock():
    """One database after another in the same place: what is compiled for the first life serves all."""
    clock = Clock()
    return Store("sqlite://", clock, hash_key="a key"), clock


@functools.cache
def folder():
    """Where mappings are written: once for all lives."""
    return Path(tempfile.mkdtemp(prefix="lives"))


def story(seed):
    """A kind of world and what happens in it: (name of the deed, seed of its choices)."""
    rng = random.Random(seed)
    names = [one.__name__ for one in deeds.DEEDS]
    picked = rng.choices(names, list(deeds.DEEDS.values()), k=STEPS)
    return KINDS[seed % len(KINDS)], [("register", rng.getrandbits(24)), *((name, rng.getrandbits(24)) for name in picked)]


def live(kind, steps):
    """Live one story to its end. Raises AssertionError when something is wrong."""
    random.seed(0)  # the product's jitter
    life = Life(kind)
    for name, choices in steps:
        life.step(getattr(deeds, name), random.Random(choices))
    life.end()


def shorter(kind, steps):
    """The same failure with as few steps as simple leaving out can find."""
    for number in reversed(range(len(steps))):
        fewer = steps[:number] + steps[number + 1 :]
        try:
            live(kind, fewer)
        except Exception:
            steps = fewer
    return steps


class Life:
    """One world, and the oracles that watch it."""

    def __init__(self, kind):
        self.kind = kind
        store, clock = store_and_clock()
        empty(store)
        clock.now = START
        mapping = MAPPING.format(lifecycle=kind.lifecycle, typologies=kind.typologies)
        self.world = World(folder(), mapping=mapping, idp=kind.idp, store=store, clock=clock)
        self.world.crm.check_portal = lambda: None
        self.world.idp.stamps = kind.stamps
        self.readable = self.world.idp.capabilities.read
        self.redelivered = ("erasure.requested", "contact.erased", "contact.restored")
        if not self.readable:
            self.redelivered += ("user.created", "user.updated", "user.deleted", "consent.granted", "consent.revoked")
            self.redelivered += ("membership.added", "membership.removed")
        self.mail, self.delivered = [], []
        self.workers = 1
        self.erased = set()
        self.erased_in_the_crm = set()
        self.secrets = {}
        self.ends = Ends(self)
        self.evidence = self.ends.evidence
        self.close(kind.closed)

    def step(self, deed, rng):
        """One thing happens."""
        deed(self, rng)
        self.happens()
        self.ends.check_always()

    # people

    def some_user(self, rng):
        users = sorted(self.world.idp.users)
        return rng.choice(users) if users else None

    def some_contact(self, rng):
        contacts = sorted(self.world.crm.contacts)
        return rng.choice(contacts) if contacts else None

    def user_of(self, contact):
        return self.world.crm.contacts[contact].get("members_user_id")

    def addresses(self, held):
        told = [held.get("email"), *(held.get("hs_additional_emails") or "").split(";")]
        return {one for one in told if one}

    def secret(self, user):
        """A value that is nobody else's."""
        word = f"Secret{sum(map(len, self.secrets.values())) + 1}x"
        self.secrets.setdefault(user, []).append(word)
        return word

    def entry(self, rng, purpose, state):
        """A consent, now and then one that proves little."""
        now = self.world.clock()
        weak = rng.random()
        at = None if weak < 0.08 else now - timedelta(seconds=30) if weak < 0.16 else now
        return {"purpose": purpose, "state": state, "at": at, "source": None if 0.16 < weak < 0.22 else "form"}

    def registers(self, email, consents, memberships):
        entries = [{**one, "at": one["at"] and one["at"].isoformat()} for one in consents]
        names = {"first_name": self.secret("next"), "last_name": self.secret("next")}
        user = self.world.idp.register({"email": email, **names}, consents=entries, memberships=memberships)
        self.secrets[user] = self.secrets.pop("next")
        self.evidence.moves_in(user, email)

    def moves(self, user, email):
        self.world.idp.edit(user, {"email": email})
        self.evidence.moves_in(user, email)

    def contact_moves(self, contact, email):
        self.world.crm.edit(contact, {"email": email})
        if user := self.user_of(contact):
            self.evidence.moves_in(user, email)

    def merges(self, winner, loser):
        users = [user for user in (self.user_of(winner), self.user_of(loser)) if user]
        new = self.world.crm.merge(winner, loser)
        for user in users:
            self.evidence.vague |= {(user, purpose) for purpose in deeds.PURPOSES}
            self.evidence.moves_in(user, self.world.crm.contacts[new].get("email"))

    def erases_contact(self, contact):
        here = [one for one in self.ends.links() if self.world.crm._now(one.contact_id) == contact]
        self.erased_in_the_crm |= {one.user_id for one in here if one.user_id}
        self.erased |= self.erased_in_the_crm
        self.world.crm.forget(contact)

    def close(self, closed):
        self.world.crm.denied = Denied("grant the scope", retry_in=60) if closed else None

    # the connector

    def happens(self):
        """A second passes with each thing people do, and the senders have something to tell."""
        if self.world.crm.denied:
            self.evidence.closed_at = self.world.clock()
        self.world.clock.pass_(1)
        self.mail += self.world.idp.events + self.world.crm.events
        self.world.idp.events, self.world.crm.events = [], []

    def carefully(self, work):
        """Do a piece of work; a worker that dies leaves its leases and locks, and another one comes."""
        try:
            work()
        except Crash:
            self.evidence.died()
            self.renew()
        except (Transient, Rejected, Denied):
            pass
        self.world.reached = lambda where: None
        self.happens()

    def renew(self):
        self.workers += 1
        self.world.work = self.world.worker(f"worker {self.workers}")

    # the end

    def end(self):
        """Faults are over; everything is looked at; then nothing more is to be done."""
        world = self.world
        for side in (world.crm, world.idp):
            side.fails, side.loses = [], []
        world.reached = lambda where: None
        world.crm.refuses_resubscription = False
        self.close(self.kind.closed)
        self.renew()
        self.happens()
        for change in self.mail:
            if change.kind in self.redelivered:
                world.deliver(change)
        self.come_to_rest()
        world.clock.pass_(86400)
        assert not self.writes_of(self.look_at_everything), "a sweep over a world at rest writes, a day later"
        self.ends.check_end()

    def look_at_everything(self):
        with suppress(Denied):
            subscriptions.roll(self.world.work, 1)
        self.world.sweep()
        activities.send(self.world.work)

    def come_to_rest(self):
        """Look at everything until nobody waits for another attempt and one such look wrote nothing."""
        for _ in range(20):
            self.world.clock.pass_(3700)
            made = self.writes_of(self.look_at_everything)
            waiting = any(one.due_at is not None and one.state not in FINAL for one in self.ends.links())
            if not made and not waiting:
                return
        raise AssertionError(f"never at rest: {made} {[one for one in self.ends.links() if one.state is not LinkState.ERASED]}")

    def writes_of(self, work):
        """The calls that write in this piece of work."""
        before = self.made()
        work()
        return self.made() - before

    def made(self):
        made = self.world.crm.made + self.world.idp.made
        return Counter({name: made[name] for name in made if name in WRITING})
