"""Is everything in order: the configuration, the database and what it remembers, the broker, the portal, the providers.

Changes nothing, but that a SQLite database gets the newest schema, as with every command. What cannot be asked leaves out what
depends on it; the rest is told.
"""

from collections.abc import Callable, Sequence

from connector.errors import Unavailable
from connector.settings import Settings
from connector.store.ledger import Progress
from connector.sync import doctor_database, doctor_portal, doctor_providers
from connector.sync.checks import Check, State, split
from connector.sync.provider_check import one_way
from connector.sync.work import Work


def examine(settings: Settings, work: Work, broker: Callable[[str], Check], progress: Progress | None = None) -> list[Check]:
    """All checks, in the order in which they should be mended. broker: looks at the one at an address."""
    found = _configuration(settings, work)
    database = doctor_database.database(work)
    usable = not any(one.state in (State.PROBLEM, State.UNREACHABLE) for one in database)
    found += [*database, broker(settings.broker_url), *doctor_portal.portal(settings, work)]
    try:
        found += doctor_providers.providers(settings, work, usable)
        return [*found, *(doctor_database.remembered(settings, work, progress) if usable else ())]
    except Unavailable as error:
        return [*found, split("database", State.UNREACHABLE, str(error))]


def worst(checks: Sequence[Check]) -> State:
    """The state of the whole."""
    return max((one.state for one in checks), key=list(State).index, default=State.OK)


def _configuration(settings: Settings, work: Work) -> list[Check]:
    if warnings := [*settings.warnings, *one_way(work)]:
        return [Check("configuration", State.WARNING, one) for one in warnings]
    mappings = len(set(settings.providers))
    return [Check("configuration", State.OK, f"read, with {mappings} provider{'' if mappings == 1 else 's'}")]
