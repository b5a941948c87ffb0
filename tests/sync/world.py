"""A small world to run the sync in: fakes on both sides, a real store, a clock that is set by hand."""

import functools
import itertools
import json
import textwrap
from datetime import UTC, datetime, timedelta

from connector.errors import Locked, Rejected
from connector.mapping.loader import load
from connector.mapping.model import Mapping
from connector.model import Item
from connector.settings import Brakes
from connector.store import Store
from connector.store.migrate import upgrade
from connector.sync import batch, intake, reconcile
from connector.sync.forget import erased_name
from connector.sync.work import Work

from .fakes import FakeCrm, FakeIdp

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

MAPPING = """
version: 1
defaults: {direction: both, conflict: newest, on_blank: clear}
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - {user: last_name, contact: lastname, on_blank: keep}
  - {user: country, contact: country, type: choice, values: {ES: Spain, NO: Norway}}
  - {user: custom.tier, contact: tier, direction: to_contact}
  - {user: custom.score, contact: score, direction: to_user, type: number}
  - {user: custom.interests, contact: interests, type: set}
"""

USER = {
    "email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "country": "ES", "custom.tier": "gold",
    "custom.score": None, "custom.interests": ["film"],
}  # fmt: skip


class Clock:
    """Time that only moves when told to."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += timedelta(seconds=seconds)


class Crash(BaseException):
    """The process is killed here; nothing after this runs, not even error handling."""


class OneByOne:
    """In place of a thread pool: provider calls in a fixed order, so that a run can be repeated."""

    @staticmethod
    def map(call, cases):
        """All calls are made before the first answer is looked at, as in the pool."""
        return [call(case) for case in cases]


@functools.cache
def read_mapping(folder, text) -> Mapping:
    """The mapping, as from a file."""
    path = folder / "members.yaml"
    path.write_text(textwrap.dedent(text))
    return load(path)


@functools.cache
def template() -> Store:
    """A migrated database in memory, to copy: migrating takes longer than a simulation."""
    store = Store("sqlite://")
    upgrade(store)
    return store


def fresh_store(url, clock) -> Store:
    """An empty database with our tables: a new one in memory, or the one at `url`, which has them already."""
    store = Store(url, clock)
    if url == "sqlite://":
        empty(store)
    return store


def empty(store):
    """Begin anew in a database in memory."""
    template().engine.raw_connection().driver_connection.backup(store.engine.raw_connection().driver_connection)


class World:
    """Both sides, and the connector between them, run step by step. `work` is the one worker; `worker` makes others."""

    def __init__(self, folder, url="sqlite://", mapping=MAPPING, reached=None, idp=None, store=None, clock=None, **settings):
        self.folder = folder
        self.clock = clock or Clock()
        self.crm = FakeCrm(self.clock)
        self.idp = FakeIdp(self.clock, **(idp or {}))
        self.everything = self.crm.everything = self.idp.everything = []
        self.store = store or fresh_store(url, self.clock)
        self.mapping = read_mapping(folder, mapping)
        self.idp.tells = [rule.user for rule in self.mapping.fields]
        self._settings = {
            "brakes": Brakes(deletes=0, deletes_percent=0, clears=0, clears_percent=0, opt_outs=0, opt_outs_percent=0),
            "grace": timedelta(seconds=60),
            **settings,
        }
        self.reached = reached or (lambda where: None)
        self.passed = lambda where: None
        self.work = self.worker("test")
        self.keys = set()
        self._keys = itertools.count(1)

    def worker(self, owner):
        """Another process's tools."""
        work = Work(
            self.store, self.crm, {"members": self.idp}, {"members": self.mapping}, owner=owner,
            reached=self._passes, **self._settings,
        )  # fmt: skip
        work.__dict__["readers"] = OneByOne()
        return work

    def _passes(self, where):
        self.passed(where)
        self.reached(where)

    def close(self):
        """Let the database go."""
        self.store.close()

    def deliver(self, change, source=None, key=None):
        """Put one event into the inbox, as the receiver would."""
        source = source or ("crm" if change.kind.startswith("contact.") else "members")
        told = {**(change.user.values if change.user else {}), **change.details}
        body = json.dumps([f"{source}-{next(self._keys)}", change.record_id, change.value, told], default=str).encode()
        (self.crm if source == "crm" else self.idp).told[body] = change
        key = key or json.loads(body)[0]
        self.keys.add((source, key))
        with self.store.write() as tx:
            return tx.inbox.add([(source, Item(key, json.loads(body)[0], body))])

    def deliver_all(self):
        """Deliver what both sides have to tell, in order."""
        events = self.idp.events + self.crm.events
        self.idp.events, self.crm.events = [], []
        for change in events:
            self.deliver(change)

    def crash_at(self, where, action=None):
        """The next time a worker reaches this place, it dies there, or `action` happens meanwhile."""

        def reached(place):
            if place == where:
                self.reached = lambda where: None
                if action is None:
                    raise Crash(where)
                action()

        self.reached = reached

    def settle(self, work=None):
        """One batch. Returns how many links were in it."""
        links = batch.lease(work or self.work)
        return batch.settle(work or self.work, links) if links else 0

    def work_off(self, rounds=50):
        """Intake and batches until nothing is due."""
        for _ in range(rounds):
            if not intake.take(self.work) and not self.settle():
                return
        raise AssertionError("work does not end")

    def doze(self, seconds):
        """Wait in the reconcile: it looks more often than a simulation has to."""
        self.clock.pass_(max(seconds, 5))

    def sweep(self):
        """A full reconcile, and what it makes due; waits for leases and locks of the dead pass by."""
        for _ in range(10):
            try:
                reconcile.reconcile(self.work, self.doze, ["members"], lambda *told: None)
            except Locked:
                self.clock.pass_(60)
            except Rejected:  # nobody is listed any more; a person says that this is right
                told = {"refetch": True, "user_gone": True} if self.idp.capabilities.read else {}
                with self.store.write() as tx:
                    for link in tx.links.page("members", 0, 1000):
                        tx.links.notice(link.id, told, tx.now)
                return self.work_off()
            else:
                return self.work_off()
        raise AssertionError("the lock is never free")

    def run(self, rounds=10):
        """Deliver and work until both sides are quiet."""
        for _ in range(rounds):
            self.deliver_all()
            self.work_off()
            if not self.idp.events and not self.crm.events:
                return
        raise AssertionError("deliveries do not end: a loop")

    def later(self, seconds):
        """Let time pass, then go on."""
        self.clock.pass_(seconds)
        self.run()

    def link(self, user_id):
        """The link of a user."""
        with self.store.read() as tx:
            erased = erased_name(tx, "members", user_id)
            found = tx.links.by_users("members", [user_id, erased])
            return found.get(user_id) or found.get(erased)

    def history(self, user_id):
        """All changes that the history of a user's link tells."""
        with self.store.read() as tx:
            return [change for entry in tx.history.of_link(self.link(user_id).id, 1000) for change in entry.changes]

    def parked(self):
        """What is parked: (what, reason)."""
        with self.store.read() as tx:
            return [(row.what, row.reason) for row in tx.parked.rows()]

    def contact_of(self, user_id):
        """The contact that carries a user's id."""
        found = [i for i, p in self.crm.contacts.items() if p.get("members_user_id") == user_id]
        assert len(found) <= 1, "two contacts of one user"
        return found[0] if found else None
