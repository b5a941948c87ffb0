"""An in-memory identity provider for simulations; its troubles are set as those of the CRM in `fakes`."""

import itertools
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

from connector.errors import BadDelivery, Exists, Missing, Rejected, Stale
from connector.model import Change, User
from connector.providers.base import Capabilities

from .words import Word, nobody_listens, nobody_watches

EVERYTHING = Capabilities(True, True, True, True, True, True, True, True, True, True)


class FakeIdp:
    """Users by id with versions; a user once removed is gone for good."""

    def __init__(self, clock, name="members", capabilities=EVERYTHING):
        self.clock = clock
        self.name = name
        self.capabilities = capabilities
        self.users: dict[str, User] = {}
        self.removed: set[str] = set()
        self.log: list[tuple[str, str, dict[str, Any]]] = []
        self.everything: list[tuple[str, str, str, dict[str, Any]]] = []
        self.events: list[Change] = []
        self.told: dict[bytes, Change] = {}
        self.fails: list[Exception] = []
        self.loses: list[Exception] = []
        self.refuses: set[str] = set()
        self.hides: set[str] = set()
        self.tells: list[str] = []
        self.noop: set[str] = set()
        self.once: dict[str, set[str]] = {}
        self.stamps = False
        self.hears = nobody_listens
        self.shows = nobody_watches
        self.consent_log: list[tuple[str, str, str, str]] = []
        self.created: dict[str, str] = {}
        self.made: Counter[str] = Counter()
        self._ids = itertools.count(1)
        self._etags = itertools.count(1)

    def _log(self, entry):
        self.log.append(entry)
        self.everything.append(("idp", *entry))

    def _call(self, name):
        self.made[name] += 1
        if self.fails:
            raise self.fails.pop(0)

    def _answer(self, found=None):
        if self.loses:
            raise self.loses.pop(0)
        return found

    @property
    def writes(self):
        """How many calls wrote something."""
        return sum(self.made[name] for name in ("create", "update", "delete", "set_consent", "set_membership"))

    # what the sync calls

    def read_item(self, body, meta):
        if body not in self.told:
            raise BadDelivery("not a delivery of this fake")
        self.shows("delivery", self.told[body])
        return self.told[body]

    def fetch(self, user_id):
        self._call("fetch")
        if user_id not in self.users:
            raise Missing(f"user {user_id}")
        return self._shown(user_id)

    def find(self, email):
        self._call("find")
        return [self._shown(user.id) for user in self.users.values() if user.values.get("email") == email]

    def pages(self):
        self._call("pages")
        yield [self._shown(user_id) for user_id in self.users]

    def changed_since(self, since):
        yield [self._shown(user.id) for user in self.users.values() if user.updated_at >= since]

    def create(self, values, key):
        self._call("create")
        if self.created.get(key) in self.users:
            return self._answer(self._told(self.created[key]))
        taken = [user.id for user in self.find(values.get("email"))] if values.get("email") else []
        if taken:
            raise Exists("email taken", taken[0])
        user_id = self.register(dict(values), by="us")
        self.created[key] = user_id
        return self._answer(self._told(user_id))

    def update(self, user_id, values, etag):
        self._call("update")
        if user_id not in self.users:
            raise Missing(f"user {user_id}")
        if etag is not None and etag != self.users[user_id].etag:
            raise Stale("changed meanwhile")
        if refused := self.refuses & values.keys():
            raise Rejected("refused", dict.fromkeys(refused, "not allowed"))
        if any(
            user.id != user_id and values.get("email") and user.values.get("email") == values["email"]
            for user in self.users.values()
        ):
            raise Exists("email taken")
        self.edit(user_id, dict(values), by="us")
        return self._answer(self._told(user_id))

    def delete(self, user_id):
        self._call("delete")
        if user_id in self.users:
            self.remove(user_id, by="us")
        self._answer()

    def set_consent(self, user_id, purpose, told, etag):
        self._call("set_consent")
        if user_id not in self.users:
            raise Missing(f"user {user_id}")
        if etag is not None and etag != self.users[user_id].etag:
            raise Stale("changed meanwhile")
        if f"consent.{purpose}" in self.refuses:
            raise Rejected("not allowed")
        if f"consent.{purpose}" not in self.noop:
            at = self.clock() if self.stamps else told.at
            self.consent(user_id, purpose, told.state.value, at=at, source=told.source, by="us")
        return self._answer(self._told(user_id))

    def set_membership(self, user_id, key, held, etag):
        self._call("set_membership")
        if user_id not in self.users:
            raise Missing(f"user {user_id}")
        if etag is not None and etag != self.users[user_id].etag:
            raise Stale("changed meanwhile")
        if f"typologies.{key}" in self.refuses:
            raise Rejected("no such plan")
        if f"typologies.{key}" not in self.noop:
            self.join(user_id, key, active=held)
        return self._answer(self._told(user_id))

    def erase(self, user_id):
        self.delete(user_id)

    # what people do

    def consent(self, user_id, purpose, state, by="person", at="now", source="entrypoint:main", **more):
        """A consent given or withdrawn at the provider."""
        user = self.users[user_id]
        at = self.clock() if at == "now" else at
        entry = {"purpose": purpose, "channel": "email", "state": state, "at": at and at.isoformat(), "source": source, **more}
        before = [one for one in user.consents or () if one["purpose"] != purpose]
        self.consent_log.append((by, user_id, purpose, state))
        self._say(by, user_id, entry)
        self.users[user_id] = self._made(user_id, user.values, user.memberships, (*before, entry))
        kind = f"consent.{state}" if state in ("granted", "revoked") else "user.updated"
        self.events.append(Change(kind, user_id, self.clock(), user=self._told(user_id)))

    def join(self, user_id, key, active=True):
        """A typology is gained or lost."""
        user = self.users[user_id]
        before = [one for one in user.memberships or () if one["key"] != key]
        self.once.setdefault(user_id, set()).add(key)
        self.users[user_id] = self._made(user_id, user.values, (*before, {"key": key, "active": active}), user.consents)
        kind = "membership.added" if active else "membership.removed"
        self.events.append(Change(kind, user_id, self.clock(), user=self._told(user_id)))

    def ask_to_be_forgotten(self, user_id):
        """The person wants to be erased: the provider deletes the user and tells both."""
        user = self.users.pop(user_id)
        self.removed.add(user_id)
        self._log(("person", user_id, {"": "deleted"}))
        self.events.append(Change("erasure.requested", user_id, self.clock(), user=replace(user, values={})))
        self.events.append(Change("user.deleted", user_id, self.clock(), user=replace(user, values={})))

    def register(self, values, by="person", consents=(), memberships=()):
        user_id = f"u-{next(self._ids)}"
        entries = tuple({"channel": "email", "at": self.clock().isoformat(), "source": "form", **one} for one in consents)
        for entry in entries:
            self._say(by, user_id, entry)
        self.users[user_id] = self._made(user_id, values, tuple({"key": one, "active": True} for one in memberships), entries)
        self.consent_log += [(by, user_id, one["purpose"], one["state"]) for one in entries]
        self._log((by, user_id, dict(values)))
        self.events.append(Change("user.created", user_id, self.clock(), user=self._told(user_id)))
        return user_id

    def edit(self, user_id, values, by="person"):
        before = self.users[user_id].values
        known = self.users[user_id]
        self.users[user_id] = self._made(user_id, {**before, **values}, known.memberships, known.consents)
        self._log((by, user_id, {name: value for name, value in values.items() if before.get(name) != value}))
        self.events.append(Change("user.updated", user_id, self.clock(), user=self._told(user_id)))

    def remove(self, user_id, by="person"):
        gone = self.users.pop(user_id)
        self.removed.add(user_id)
        self._log((by, user_id, {"": "deleted"}))
        self.events.append(Change("user.deleted", user_id, self.clock(), user=replace(gone, values={})))

    def _say(self, by, user_id, entry):
        known = self.users[user_id].consents or () if user_id in self.users else ()
        before = next((one["state"] for one in known if one["purpose"] == entry["purpose"]), None)
        at = entry["at"] and datetime.fromisoformat(entry["at"])
        told = (entry["purpose"], entry["state"], at, entry["source"], self.clock(), before)
        self.hears(Word("idp", by, user_id, *told))

    def _shown(self, user_id):
        user = self._told(user_id)
        self.shows("user", user)
        return user

    def _told(self, user_id):
        """A user as the API shows it: without what it hides just now."""
        user = self.users[user_id]
        values = dict.fromkeys(self.tells) | user.values
        return replace(user, values={name: value for name, value in values.items() if name not in self.hides})

    def _made(self, user_id, values, memberships=(), consents=()):
        return User(user_id, values, self.clock(), f"e{next(self._etags)}", memberships, consents)
