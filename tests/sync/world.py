"""A small world to run the sync in: fakes on both sides, a real store, a clock that is set by hand."""

import itertools
import textwrap
from datetime import UTC, datetime, timedelta

from connector.mapping.loader import load
from connector.model import Item
from connector.store import Store
from connector.store.migrate import upgrade
from connector.sync import batch, intake
from connector.settings import Brakes
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


class World:
    """Both sides, and the connector between them, run step by step."""

    def __init__(self, folder, url="sqlite://", mapping=MAPPING, reached=None, **settings):
        self.clock = Clock()
        self.crm = FakeCrm(self.clock)
        self.idp = FakeIdp(self.clock)
        self.store = Store(url, self.clock)
        upgrade(self.store)
        path = folder / "members.yaml"
        path.write_text(textwrap.dedent(mapping))
        self.mapping = load(path)
        self.work = Work(
            self.store, self.crm, {"members": self.idp}, {"members": self.mapping}, owner="test",
            grace=timedelta(seconds=60), reached=reached or (lambda where: None), **{"brakes": Brakes(deletes=0, deletes_percent=0), **settings},
        )  # fmt: skip
        self._keys = itertools.count(1)

    def deliver(self, change, source=None, key=None):
        """Put one event into the inbox, as the receiver would."""
        source = source or ("crm" if change.kind.startswith("contact.") else "members")
        body = f"{source}-{next(self._keys)}".encode()
        (self.crm if source == "crm" else self.idp).told[body] = change
        with self.store.write() as tx:
            return tx.inbox.add([(source, Item(key or body.decode(), body.decode(), body))])

    def deliver_all(self):
        """Deliver what both sides have to tell, in order."""
        events = self.idp.events + self.crm.events
        self.idp.events, self.crm.events = [], []
        for change in events:
            self.deliver(change)

    def work_off(self, rounds=50):
        """Intake and batches until nothing is due."""
        for _ in range(rounds):
            took = intake.take(self.work)
            links = batch.lease(self.work)
            if links:
                batch.settle(self.work, links)
            elif not took:
                return
        raise AssertionError("work does not end")

    def run(self, rounds=10):
        """Deliver and work until both sides are quiet; waits of up to an hour pass by."""
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
            return tx.links.by_users("members", [user_id]).get(user_id)

    def contact_of(self, user_id):
        """The contact that carries a user's id."""
        found = [i for i, p in self.crm.contacts.items() if p.get("members_user_id") == user_id]
        assert len(found) <= 1, "two contacts of one user"
        return found[0] if found else None
