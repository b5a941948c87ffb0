"""Does an identity provider let us in? One harmless question about somebody who does not exist, and what it can do."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

from connector.errors import Missing, Paused, Permanent
from connector.providers.base import Capabilities, Provider
from connector.sync.beyond import warned
from connector.sync.work import Work


def one_way(work: Work) -> list[str]:
    """What goes one way although the defaults say both: a warning each, for `check`, `up` and `doctor`."""
    return [line for name, mapping in work.mappings.items() for line in warned(work.providers[name], mapping)]


NOBODY = "nobody@connector.invalid"
NO_ID = "connector-check-nobody"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of it.

    asked: the question, in words; None for a provider that is only listened to. wrong: why it failed, with the way out.
    refused: the status with which our credentials were refused; "" when they were not.
    """

    capabilities: Capabilities
    asked: str | None
    wrong: str | None = None
    refused: str = ""

    @property
    def can(self) -> dict[str, bool]:
        """Capabilities by name."""
        return asdict(self.capabilities)


def prove(provider: Provider) -> Proof:
    """Ask once. Raises Unavailable, and Paused for too many calls: then nothing is known."""
    can = provider.capabilities
    asked, ask = _question(provider)
    if ask is None:
        return Proof(can, None)
    try:
        ask()
    except Missing:
        return Proof(can, asked)  # as it should be: there is nobody of that name
    except Paused as error:
        if str(error).endswith("429"):
            raise
        status = re.search(r": (\d{3})\b", str(error))
        told = f"{error}: it does not let us in; check the credentials, and what they may do"
        return Proof(can, asked, told, status[1] if status else "no status")
    except Permanent as error:
        return Proof(can, asked, f"{error}: it does not take the question; check the addresses in the configuration")
    return Proof(can, asked)


def _question(provider: Provider) -> tuple[str | None, Callable[[], object] | None]:
    """The cheapest one that needs credentials."""
    can = provider.capabilities
    if can.find:
        return "looked for an address that nobody has", lambda: provider.find(NOBODY)
    if can.read:
        return "read a user that does not exist", lambda: provider.fetch(NO_ID)
    if can.list:
        return "read the first page of users", lambda: next(iter(provider.pages()), None)
    return None, None
