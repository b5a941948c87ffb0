"""What the fault tests share: linked people, a worker that dies, and its successor."""

import pytest

from connector.providers.base import Capabilities
from connector.sync import intake
from connector.sync.work import LEASE

from .world import MAPPING, USER, Crash

HOUR = 3600
PAST_LEASE = LEASE.total_seconds() + 1
BOB = {**USER, "email": "bob@example.com", "first_name": "Bob"}
CREATE_USER = MAPPING + "lifecycle: {contact_created: create_user}\n"
DELETE_USER = MAPPING + "lifecycle: {contact_deleted: delete_user}\n"
RECEIVE_ONLY = {"capabilities": Capabilities()}


def link(world, values=USER):
    user = world.idp.register(values)
    world.run()
    return world, user, world.contact_of(user)


def crash(world, where):
    """Work until the worker dies at this place; its leases stay."""
    world.crash_at(where)
    with pytest.raises(Crash):
        world.run()


def recover(world):
    """Nobody tells anything new; the dead worker's leases run out and another takes over."""
    world.clock.pass_(PAST_LEASE)
    world.work_off()


def values_of(world, user):
    return world.idp.users[user].values


def one_by_one(monkeypatch):
    """Let no more than one row be taken in at once."""
    take = intake._take

    def failing(work, tx, rows, before):
        assert len(rows) == 1
        take(work, tx, rows, before)

    monkeypatch.setattr(intake, "_take", failing)
