"""One call to HubSpot: wait for a turn, send, read, retry for a moment, and turn what fails into our errors.

Facts (HubSpot API, "Usage guidelines" and "Error handling"):
- 429 names its policy; 423 wants two seconds between calls; 477 (account being moved) gives seconds in Retry-After;
- 502 and 504 leave the outcome of a write unknown. Nearly every write we make may be repeated, so it is sent again.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from hubspot.crm.contacts.exceptions import ApiException as ContactsRefusal
from hubspot.crm.properties.exceptions import ApiException as PropertiesRefusal
from requests.exceptions import RequestException
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential
from urllib3.exceptions import HTTPError

from connector.crm.hubspot import answers, limits, paths
from connector.crm.hubspot.answers import Busy, Reply
from connector.crm.hubspot.limits import Limiter
from connector.crm.hubspot.sdk import Apis, Raw
from connector.errors import ConnectorError, Late, Paused, Permanent, Unavailable
from connector.reach import trouble

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 15.0
"""Seconds; a whole answer must arrive within the second."""
ATTEMPTS = 3
"""Sends of one call while HubSpot fails; while it asks to wait, twice as many."""
BACKOFF = wait_random_exponential(multiplier=0.2, max=2)

WAY_OUT = "look at crm.base_url and the network"

REFUSALS = (ContactsRefusal, PropertiesRefusal)
"""The client has a class of its own for each package, without a common base."""

Send = Callable[[Apis, dict[str, Any]], Any]
"""Makes one call, with these keyword options for the client."""

Judge = Callable[[Reply], ConnectorError | None]
"""What an answer means, None when it can be used."""

log = structlog.get_logger(__name__)


class Transport:
    """Calls to one portal. May be shared by threads, and be carried across a fork: connections are made per process."""

    def __init__(
        self,
        base_url: str,
        access_token: str,
        limiter: Limiter,
        *,
        version: str = paths.V3,
        deadline: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """deadline: seconds one `call` may take in all, waiting for a turn and retries included."""
        self._base_url = base_url
        self._new_apis = partial(Apis, base_url, access_token, version)
        self._held: tuple[int, Apis] | None = None
        self._limiter = limiter
        self._deadline = deadline
        self._sleep = sleep
        self._clock = clock
        self.calls = 0

    def http(
        self,
        what: str,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        refusals: bool = False,
        way_out: str = "",
        once: bool = False,
        words: bool = False,
    ) -> Reply:
        """Make one call that HubSpot's client has no method for. path: from `paths`. The rest as in `call`."""
        return self.call(
            what,
            lambda api, options: api.http(method, path, body, query, options["_request_timeout"]),
            refusals=refusals,
            way_out=way_out,
            once=once,
            words=words,
        )

    def call(
        self,
        what: str,
        send: Send,
        *,
        search: bool = False,
        refusals: bool = False,
        way_out: str = "",
        once: bool = False,
        fresh: float = math.inf,
        words: bool = False,
    ) -> Reply:
        """Make one call.

        what: names the call in errors and logs, like "contacts: update"; without personal data.
        search: the call counts against the search budget instead of the burst.
        refusals: return HubSpot's refusals (4xx) to the caller, who can tell which record they are about.
        way_out: given for a part of HubSpot that the rest can do without: a 403 raises Denied and ends with these words.
        once: sending it twice would do it twice, so it is not sent again after a failure, unless HubSpot only asked to wait.
        fresh: seconds after which it is not sent any more; raises Late when HubSpot or the budget would have it wait longer.
        words: the call is about a definition, so that what HubSpot says of a refusal holds nobody's data and is told.
        Raises Unavailable, Paused, and without `refusals` Missing, Exists, Rejected.
        """
        ends, late = self._clock() + self._deadline, self._clock() + fresh

        def give_up(state: RetryCallState) -> bool:
            asked_to_wait = state.outcome is not None and isinstance(state.outcome.exception(), Busy)
            attempts = 2 * ATTEMPTS if asked_to_wait else ATTEMPTS
            return state.attempt_number >= attempts or self._clock() + state.upcoming_sleep >= min(ends, late)

        retrying = Retrying(
            retry=retry_if_exception_type(Busy if once else (Unavailable, Busy)),
            wait=_pause,
            stop=give_up,
            sleep=self._sleep,
            reraise=True,
        )
        judge = partial(answers.failure, what, search=search, way_out=way_out, words=words)
        return retrying(self._attempt, what, send, search, refusals, ends, late, judge)

    def _attempt(self, what: str, send: Send, search: bool, refusals: bool, ends: float, late: float, judge: Judge) -> Reply:
        kind = limits.SEARCH if search else limits.BURST
        self._take_turn(what, kind, ends, late)
        reply = answers.read(self._exchange(what, send, ends))
        problem = judge(reply)
        if reply.status in (429, 477) and isinstance(problem, Paused):
            self._slow_everybody(what, kind, problem)
            if isinstance(problem, Busy) and self._clock() + problem.retry_in > late:
                raise Late(str(problem), problem.retry_in)
        elif reply.headers.get("x-hubspot-ratelimit-remaining") == "0":
            self._limiter.close(kind, 1.0)
        if problem is None or (refusals and isinstance(problem, Permanent)):
            return reply
        raise problem

    def _take_turn(self, what: str, kind: str, ends: float, late: float) -> None:
        while wait := self._limiter.acquire(kind):
            if self._clock() + wait >= ends:
                again = f"{datetime.now(UTC) + timedelta(seconds=wait):%H:%M} UTC"
                raise Paused(f"hubspot: {what}: no calls left for now; HubSpot is asked again at {again}", retry_in=wait)
            if self._clock() + wait > late:
                raise Late(f"hubspot: {what}: no calls left for the moment", retry_in=wait)
            self._sleep(wait)

    def _slow_everybody(self, what: str, kind: str, problem: Paused) -> None:
        """Close the budget that ran out, or both for what concerns the whole account."""
        for closed in {kind} if isinstance(problem, Busy) else {limits.BURST, limits.SEARCH}:
            self._limiter.close(closed, problem.retry_in)
        log.warning("hubspot asks to wait", call=what, seconds=problem.retry_in, reason=str(problem))

    def _exchange(self, what: str, send: Send, ends: float) -> Raw:
        """Send once. The client's exceptions hold bodies, so none of them is chained to ours."""
        self.calls += 1
        left = max(0.1, ends - self._clock())
        timeouts = (min(CONNECT_TIMEOUT, left), min(ANSWER_TIMEOUT, left))
        try:
            answer = send(self._apis(), {"_preload_content": False, "_request_timeout": timeouts})
            return Raw(answer.status, answer.headers, answer.data)
        except REFUSALS as refusal:
            raw = Raw(refusal.status, refusal.headers or {}, refusal.body)
        except (HTTPError, RequestException, OSError, UnicodeDecodeError) as error:
            raw, problem = None, trouble(self._base_url, error, WAY_OUT)
        except AttributeError as error:  # the client trips over a TLS error, since it comes without a body
            if not isinstance(error.__context__, REFUSALS):
                raise
            raw, problem = None, trouble(self._base_url, error.__context__, WAY_OUT)
        if raw is None:
            raise Unavailable(f"hubspot: {problem}")
        return raw

    def _apis(self) -> Apis:
        if self._held is None or self._held[0] != os.getpid():
            self._held = (os.getpid(), self._new_apis())
        return self._held[1]


def _pause(state: RetryCallState) -> float:
    """As long as HubSpot asks, and never less than a jittered backoff."""
    error = state.outcome.exception() if state.outcome else None
    return max(getattr(error, "retry_in", 0.0), BACKOFF(state))
