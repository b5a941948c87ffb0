"""What the tests of identity events share: a mapping that records them, people who log in, and what became of it."""

from datetime import timedelta

from connector.model import Change
from connector.sync import activities, sweep
from connector.sync.status import status

from .world import MAPPING, START, USER

EVENTS = MAPPING + "events: {as: custom_object, types: [user.created, user.updated, user.login, user.deleted], details: [plan]}\n"
HOUR = 3600


def login(world, user, event_id, after=0, **details):
    """A login that is delivered now and happened some seconds after the start."""
    at = START + timedelta(seconds=after)
    world.deliver(Change("user.login", user, at, event_id=event_id, details=details))


def logins(world, user, *event_ids):
    for number, event_id in enumerate(event_ids):
        login(world, user, event_id, number)
    world.work_off()


def register(world, count):
    return [world.idp.register({**USER, "email": f"{n}@example.com"}) for n in range(count)]


def counts(world):
    return status(world.store)["activities"]


def of(world, user, provider="members"):
    with world.store.read() as tx:
        return tx.activities.of_user(provider, user)


def settle_for_good(world, seconds=HOUR, rounds=12):
    """Let time pass until nothing waits."""
    for _ in range(rounds):
        sweep.sweep(world.work)
        activities.send(world.work)
        world.work_off()
        if not counts(world)["pending"]:
            return
        world.clock.pass_(seconds)
