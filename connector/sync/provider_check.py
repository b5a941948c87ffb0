"""Does an identity provider let us in? One harmless question about somebody who does not exist, and what it can do."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from connector.errors import Missing, Paused, Permanent
from connector.providers.base import Capabilities, Provider

NOBODY = "nobody@connector.invalid"
NO_ID = "connector-check-nobody"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of it.

    asked: the question, in words; None for a provider that is only listened to. wrong: why it failed, with the way out.
    """

    capabilities: Capabilities
    asked: str | None
    wrong: str | None = None

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
        return Proof(can, asked, f"{error}: it does not let us in; check the credentials, and what they may do")
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
