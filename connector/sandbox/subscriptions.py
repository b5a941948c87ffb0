"""Who gets which email: what a portal knows of each address.

Facts (HubSpot API, "Subscriptions" v3 and v4; captured v4 answers; reports of others):
- a state hangs on the address, in any case, not on the contact: it is there before the contact and stays after it;
- it is SUBSCRIBED, UNSUBSCRIBED or NOT_SPECIFIED, with a time and a free text for its source;
- opting out of all is a state of its own, portal-wide; every type then reads UNSUBSCRIBED;
- a contact shows it as `hs_email_optout` and, per type, `hs_email_optout_<id>`, which nobody can write; neither moves its
  `lastmodifieddate`.
Assumed, for want of a document: a person who subscribes to one type again is no longer opted out of all, and stays unsubscribed
from the others; of the two properties, "true" is opted out, "false" is opted in (again), and blank says nothing was ever chosen.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SUBSCRIBED, UNSUBSCRIBED, NOT_SPECIFIED = "SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"
OPTOUT = "hs_email_optout"
FIRST_TYPE = 1001
DEFAULT_TYPES = (("Newsletter", "What is new, once a month."), ("Product news", "When the product learns something."))
PERSON = "Email preferences page"
LEGAL_BASES = (
    "LEGITIMATE_INTEREST_PQL", "LEGITIMATE_INTEREST_CLIENT", "LEGITIMATE_INTEREST_OTHER", "PERFORMANCE_OF_CONTRACT",
    "CONSENT_WITH_NOTICE", "NON_GDPR", "PROCESS_AND_STORE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SubscriptionType:
    """Something people can subscribe to. created: epoch milliseconds."""

    id: int
    name: str
    description: str
    created: int
    active: bool = True

    @property
    def optout(self) -> str:
        """The contact property that tells of it."""
        return f"{OPTOUT}_{self.id}"


@dataclass(frozen=True, slots=True)
class State:
    """What holds for one address. at: epoch milliseconds. own: chosen by the person, not by an integration."""

    status: str
    at: int
    source: str
    own: bool = False
    legal_basis: str | None = None
    explanation: str | None = None


class Subscriptions:
    """Types, and the states of all addresses. changed: called with an address. Callers hold the portal's lock."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[str], None]) -> None:
        self.types: dict[int, SubscriptionType] = {}
        self._clock = clock
        self._changed = changed
        self._states: dict[str, dict[int, State]] = {}
        self._wide: dict[str, State] = {}
        self._ids = itertools.count(FIRST_TYPE)

    def now(self) -> int:
        """Epoch milliseconds."""
        return int(self._clock() * 1000)

    def add(self, name: str, description: str = "", active: bool = True) -> SubscriptionType:
        """Make a type."""
        made = SubscriptionType(next(self._ids), name, description, self.now(), active)
        self.types[made.id] = made
        return made

    def type(self, id_or_name: object) -> SubscriptionType | None:
        """A type by its id, as number or text, or its name."""
        wanted = str(id_or_name)
        return next((one for one in self.types.values() if wanted in (str(one.id), one.name)), None)

    def state(self, email: str, type_id: int) -> State | None:
        """What holds for an address and a type; None when nobody ever chose."""
        wide = self.opted_out_of_all(email)
        own = self._states.get(fold(email), {}).get(type_id)
        return wide if wide and (own is None or own.status != UNSUBSCRIBED) else own

    def opted_out_of_all(self, email: str) -> State | None:
        """Since when and from where, if so."""
        found = self._wide.get(fold(email))
        return found if found and found.status == UNSUBSCRIBED else None

    def put(self, email: str, type_id: int, state: State) -> None:
        """An address gets another state."""
        self._states.setdefault(fold(email), {})[type_id] = state
        self._changed(fold(email))

    def opt_out_of_all(self, email: str, source: str, own: bool = False) -> list[int]:
        """No email at all any more. Returns the types that this changed."""
        state = State(UNSUBSCRIBED, self.now(), source, own)
        states = self._states.setdefault(fold(email), {})
        changed = [one for one in self.types if one not in states or states[one].status != UNSUBSCRIBED]
        if not self.opted_out_of_all(email):
            self._wide[fold(email)] = state
        states.update(dict.fromkeys(changed, state))
        self._changed(fold(email))
        return changed

    def opt_in(self, email: str, type_id: int) -> None:
        """A person subscribes on the preference page; this ends an opt-out of all."""
        state = State(SUBSCRIBED, self.now(), PERSON, own=True)
        if self.opted_out_of_all(email):
            self._wide[fold(email)] = state
        self.put(email, type_id, state)

    def properties(self, email: str) -> Mapping[str, str]:
        """What a contact with this address shows, "" for blank."""
        wide = self._wide.get(fold(email))
        states = {one.optout: self.state(email, one.id) for one in self.types.values()}
        return {name: _optout(state) for name, state in {OPTOUT: wide, **states}.items()}


def fold(email: str) -> str:
    """The form under which an address is known."""
    return email.strip().casefold()


def _optout(state: State | None) -> str:
    return "" if state is None else str(state.status == UNSUBSCRIBED).lower()
