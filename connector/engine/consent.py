"""What stands of a consent, given what everybody says about it. Pure.

The rules (docs/decisions/0007-consents.md): opted out wins; unknown is not "no" and never overwrites what is known; a grant lifts
an opt-out only when its own time is later and it comes with its source; who takes back a grant has the last word, whatever times
there are; what equals what a voice said before is no news, so our own writes are never taken for evidence.

A voice is a place that says something, see `Voice`.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from connector.mapping.model import Consent
from connector.model import ConsentState, Statement

GRANTED, REVOKED, UNKNOWN = ConsentState.GRANTED, ConsentState.REVOKED, ConsentState.UNKNOWN
NOTHING = Statement(UNKNOWN)


class Voice(StrEnum):
    """A place that says something; another provider's user linked to the same contact is one more, `provider NAME`.

    SUBSCRIPTION, FORMER: the CRM's status of the address, and of the one before. PROPERTY: the contact's own yes/no copy.
    OPTOUT, OPTOUT_ALL: what the CRM keeps about opt-outs. LIFTED: an opt-out that our own writing lifted unseen. MOVED says since
    when the address is this person's, WRITTEN which time the CRM put to our own writing of the status.
    """

    USER = "user"
    SUBSCRIPTION = "subscription"
    FORMER = "former subscription"
    PROPERTY = "property"
    OPTOUT = "optout"
    OPTOUT_ALL = "optout_all"
    LIFTED = "the answer to our writing"
    MOVED = "moved"
    WRITTEN = "written"


def written_at(address: str) -> str:
    """The voice of an opt-out that we wrote at an address which is not, or not yet, the one the consent hangs on. Its time is the
    one the CRM put to that."""
    return f"written at {address}"


CRM_VOICES = (Voice.SUBSCRIPTION, Voice.PROPERTY, Voice.OPTOUT, Voice.OPTOUT_ALL)
STATUSES = (Voice.SUBSCRIPTION, Voice.FORMER)
SAME = timedelta(seconds=1)
"""How much two times of one status may differ, as some answers round."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was settled about one consent.

    now: what stands. heard: voice -> what it said then; a grant or opt-out we wrote there ourselves has no time.
    address: whose subscription status that was. type_id: and of which subscription type. refused: the grant the CRM would not
    take, and why.
    """

    now: Statement = NOTHING
    heard: Mapping[str, Statement] = field(default_factory=dict)
    address: str | None = None
    refused: Statement | None = None
    why: str = ""
    type_id: str | None = None

    @property
    def effective(self) -> ConsentState:
        """What may be acted on: a grant the CRM refuses is none."""
        return REVOKED if self.held else self.now.state

    @property
    def held(self) -> bool:
        """Whether the person's grant waits, because the CRM keeps the opt-out."""
        return self.now.state is GRANTED and self.refused == self.now

    @property
    def moved(self) -> bool:
        """Whether the person has another address since, whose status was not heard yet."""
        return Voice.MOVED in self.heard and Voice.SUBSCRIPTION not in self.heard


@dataclass(frozen=True, slots=True)
class Voices:
    """What is said now. A voice that was not asked is absent.

    readable: subscription statuses can be read; then a grant is only ever believed from there, not from a property.
    ours: voice -> what we were about to write there when nothing more was heard; a grant found there may be ours.
    not_before: what the CRM says of this address up to then was about somebody else.
    heard_at: when we heard what the user says, if that was before now.
    """

    said: Mapping[str, Statement]
    now: datetime
    readable: bool = False
    ours: Mapping[str, ConsentState] = field(default_factory=dict)
    not_before: datetime | None = None
    heard_at: datetime | None = None

    def since(self, name: str) -> datetime:
        """Since when we know what a voice says."""
        return min(self.heard_at or self.now, self.now) if name == Voice.USER else self.now


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows for one consent.

    before: what was settled. now: what stands from here on. said: the voices that were heard.
    news: voices that said something new. rule: why, in words for people. refused: what is not written because that side refused
    it, as it is parked.
    """

    consent: Consent
    before: Standing
    now: Statement
    said: Mapping[str, Statement]
    news: tuple[str, ...]
    rule: str
    held: str | None = None
    to_user: bool = False
    to_subscription: bool = False
    refused: Set[str] = frozenset()

    @property
    def effective(self) -> ConsentState:
        """What may be acted on."""
        return REVOKED if self.held else self.now.state

    @property
    def name(self) -> str:
        """Its place among held fields and in the history."""
        return f"consent.{self.consent.consent}"

    @property
    def takes_away(self) -> bool:
        """Whether an effect takes a grant away that a side holds."""
        from_user = self.to_user and self._state(Voice.USER) is GRANTED
        from_crm = self.to_subscription and self._state(Voice.SUBSCRIPTION) is GRANTED
        return self.now.state is REVOKED and (from_user or from_crm)

    def _state(self, voice: str) -> ConsentState:
        return self.said.get(voice, self.before.heard.get(voice, NOTHING)).state


def rule(consent: Consent, before: Standing, voices: Voices) -> Ruling:
    """Say what stands of one consent."""
    news = {name: said for name, said in voices.said.items() if _is_news(name, said, before, voices)}
    if any(said.state is GRANTED for said in news.values()):
        news |= {name: said for name, said in voices.said.items() if said.state is REVOKED and _said_again(name, said, before)}
    told = {name: _not_ahead(said, voices.since(name)) for name, said in news.items()}
    heard = before.heard
    back = [_last_word(one, heard.get(name, NOTHING), before.now) for name, one in told.items() if _takes_back(name, one, before)]
    now = settle(NOTHING, [*told.values(), *back]) if back else settle(before.now, told.values())
    return Ruling(consent, before, now, voices.said, tuple(news), _why(before, now, news))


def _not_ahead(said: Statement, now: datetime) -> Statement:
    """No grant was given after we heard of it: by a clock that is ahead it would stand against later opt-outs. Nor was an opt-out
    of which the day alone is known.
    """
    late = said.at is not None and said.at > now and (said.state is GRANTED or said.day)
    return replace(said, at=now if late else said.at, day=False)


def _takes_back(name: str, said: Statement, before: Standing) -> bool:
    """Whether a voice says no whose own yes is what stands. It comes after that one, however imprecise its time may be.

    A status may be that of before our writing: the CRM accepts a grant, and keeps the opt-out. What the CRM dates later than our
    writing of the grant came after it, by whichever clock.
    """
    known = before.heard.get(Voice.SUBSCRIPTION if name == Voice.OPTOUT_ALL else name, NOTHING)
    if said.state is not REVOKED or known.state is not GRANTED or before.now.state is not GRANTED:
        return False
    if name in (*STATUSES, Voice.OPTOUT_ALL):
        return known.at is None and _since_written(said, before)
    return known.at is None or before.now.at is None or known.at >= before.now.at


def _since_written(said: Statement, before: Standing) -> bool:
    """Whether the CRM dates what it says later than our last writing of the status, by the same clock."""
    ours = before.heard.get(Voice.WRITTEN, NOTHING).at
    return ours is not None and said.at is not None and said.at > ours


def _last_word(said: Statement, *yes: Statement) -> Statement:
    """A no as late as the yes that it takes back, which lifts it no more, should it come again."""
    return replace(said, at=max((one.at for one in (said, *yes) if one.at), key=_at_last)) if said.at else said


def settle(before: Statement, news: Iterable[Statement]) -> Statement:
    """What stands after new statements: the latest grant when every opt-out is known to be older, else opted out.

    Of an opt-out without a time nobody knows whether a grant is later, so it stays, and stays without a time. One told in whole
    seconds may be of any moment of its second.
    """
    told = [before, *news]
    outs = [one for one in told if one.state is REVOKED]
    grants = [one for one in told if one.state is GRANTED]
    if not outs:
        return _latest(grants) if grants else before
    ends = [(_at_last(one.at), one) for one in outs if one.at is not None]
    if len(ends) == len(outs):
        end, last = max(ends, key=lambda found: found[0])
        later = [one for one in grants if one.at is not None and one.at > end and one.source]
        return _latest(later) if later else last
    untimed = next(one for one in outs if one.at is None)
    return before if before.state is REVOKED and before.at is None else untimed


def _at_last(at: datetime) -> datetime:
    """The last moment that a time may mean: many providers cut the fraction of a second off."""
    return at if at.microsecond else at.replace(microsecond=999_999)


def combined(entries: Iterable[Statement]) -> Statement:
    """One statement from several entries of one consent at one side (of several entry points, say)."""
    return settle(NOTHING, entries)


def _said_again(name: str, said: Statement, before: Standing) -> bool:
    """Whether an opt-out that was heard before may have been repeated since: what lifts it has to be later than that, too.

    Where the CRM did not tell which time our own writing has, a status may have that one.
    """
    ours = before.heard.get(Voice.WRITTEN, NOTHING).at
    return name in STATUSES and said.at is not None and (ours is None or said.at > ours + SAME)


def _is_news(name: str, said: Statement, before: Standing, voices: Voices) -> bool:
    """Whether a voice says what it did not say when this was last settled."""
    if said.state is UNKNOWN:
        return False
    if said.state is GRANTED and voices.ours.get(name) is GRANTED:
        return False  # whatever time it carries, also where a grant was heard there before
    known = before.heard.get(name)
    if known is not None and known.state is said.state:
        if name == Voice.USER and said.state is REVOKED and said.at is None:  # said once more, nobody knows when
            return known.at is not None
        return said.at is not None and known.at is not None and said.at > known.at
    if said.state is REVOKED:
        return not (name == Voice.OPTOUT and said.at is None and voices.ours.get(name) is REVOKED)
    if name == Voice.PROPERTY and voices.readable:
        return False
    old = name in CRM_VOICES and voices.not_before is not None and (said.at is None or said.at <= voices.not_before)
    return not (old or (name == Voice.SUBSCRIPTION and _before_written(said, before)))


def _before_written(said: Statement, before: Standing) -> bool:
    """Whether a status is that of before our last writing of it: the CRM may show a change late."""
    ours = before.heard.get(Voice.WRITTEN, NOTHING).at
    return ours is not None and said.at is not None and said.at <= ours


def _latest(found: list[Statement]) -> Statement:
    """The one with the latest time; those without one come first."""
    return max(found, key=lambda one: (one.at is not None, one.at.timestamp() if one.at else 0.0))


def _why(standing: Standing, now: Statement, news: Mapping[str, Statement]) -> str:
    """The reason in words for people."""
    before = standing.now
    if not news:
        return "the address is new: it gets the person's consents" if standing.moved else "nobody says anything new"
    speakers = ", ".join(f"{name} says {said.state}" for name, said in news.items())
    if now == before:
        if before.state is REVOKED and any(said.state is GRANTED for said in news.values()):
            return f"{speakers}; opted out stands: no grant is known to be later and attributable"
        return f"{speakers}; what stands is later" if before.state is GRANTED else speakers
    if now.state is GRANTED and before.state is REVOKED:
        return f"{speakers}; the grant is later than the opt-out and names its source"
    return speakers


def encoded(standing: Standing) -> dict[str, Any]:
    """A standing as JSON."""
    told: dict[str, Any] = {"now": _told(standing.now), "heard": {name: _told(one) for name, one in standing.heard.items()}}
    if standing.address:
        told["address"] = standing.address
    if standing.type_id:
        told["type"] = standing.type_id
    if standing.refused is not None:
        told |= {"refused": _told(standing.refused), "why": standing.why}
    return told


def decoded(stored: Mapping[str, Any] | None) -> Standing:
    """A standing from JSON; nothing settled yet when there is none."""
    if not stored:
        return Standing()
    refused = stored.get("refused")
    return Standing(
        _statement(stored["now"]),
        {name: _statement(one) for name, one in stored["heard"].items()},
        stored.get("address"),
        _statement(refused) if refused else None,
        stored.get("why", ""),
        stored.get("type"),
    )


def standing_now(stored: Mapping[str, Any]) -> Statement:
    """What stands, of a standing as JSON, without the rest of it."""
    return _statement(stored["now"])


def _told(one: Statement) -> dict[str, Any]:
    told = {"state": one.state.value, "at": one.at and one.at.isoformat(), "source": one.source}
    more = {"entry_point": one.entry_point, "text_version": one.text_version}
    return {name: value for name, value in (told | more).items() if value is not None}


def _statement(stored: Mapping[str, Any]) -> Statement:
    at = stored.get("at")
    return Statement(
        ConsentState(stored["state"]), datetime.fromisoformat(at) if at else None,
        stored.get("source"), stored.get("entry_point"), stored.get("text_version"),
    )  # fmt: skip


def without_time(one: Statement) -> Statement:
    """What we wrote ourselves, as the side will say it: never evidence later, whatever time the side puts to it."""
    return replace(one, at=None)
