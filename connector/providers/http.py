"""One REST call to a provider: send, and turn what fails into our errors.

Messages name the provider, the call and the status. Nothing of an answer's body gets into them, except names of fields that we
sent ourselves: bodies repeat people's data.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from connector import strictjson
from connector.errors import BadDelivery, ConnectorError, Exists, Forbidden, Missing, Paused, Rejected, Stale, Unavailable
from connector.providers import patience
from connector.reach import trouble

TIMEOUTS = (3.05, 10.0)
"""Seconds to connect, and of silence before an answer counts as missing."""
POOL = 16
LONGEST_WAIT = 3600.0
"""Seconds; no provider makes us wait longer at a time."""
MAX_NODES = 5_000_000
"""Values in an answer: all users on one page, where a provider knows no pages. Webhooks, which strangers send, get less."""
WHY = "the provider refuses it"
DENIALS = (401, 403)
"""Statuses that say that we are not let in: waiting does not help."""


class Bearer(AuthBase):
    """A bearer token, sent in spite of any ~/.netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class HeaderKey(AuthBase):
    """A secret in a header of the vendor's own."""

    def __init__(self, header: str, key: str) -> None:
        self._header = header
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers[self._header] = self._key
        return request


def new_session() -> requests.Session:
    """A session for many threads at once."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=POOL))
    session.headers["Accept"] = "application/json"
    return session


class Rest:
    """A provider's REST API: a base address, credentials, and what its status codes mean."""

    def __init__(
        self,
        name: str,
        url: str,
        auth: AuthBase | None,
        session: requests.Session | None = None,
        pause: Callable[[requests.Response], float] | None = None,
        setting: str = "",
    ) -> None:
        """pause: reads from an answer how many seconds it asks to wait, where that stands elsewhere than in `Retry-After`.

        setting: where the operator writes the address, when that is not among the provider's settings.
        """
        self._name = name
        self._setting = setting or f"the addresses under providers.{name}"
        self._url = url.rstrip("/")
        self._auth = auth
        self._session = session or new_session()
        self._pause = pause or retry_after

    def call(
        self,
        what: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        data: Mapping[str, str] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Collection[str] = (),
        accept: Collection[int] = (),
    ) -> requests.Response:
        """Make one call and return its 2xx answer. Redirects are not followed. In a listing it may be made again: see `patience`.

        what: names the call in errors, without personal data.
        body: sent as JSON. data: sent as a form, or as these bytes, whose type is in `headers`.
        fields: names that a refusal may mention.
        accept: further statuses whose answer is returned, because the caller knows what they mean.
        Raises Unavailable (also for a write that HTML answers), Paused, Missing (404, 410), Exists (409), Stale (412), Rejected.
        """
        asked = {"params": query, "json": body, "data": data, "headers": headers}
        spent: list[float] = []
        while True:
            reply = self._sent(method, path, asked)
            if isinstance(reply, Unavailable):
                error: ConnectorError = reply
            elif 200 <= reply.status_code < 300 or reply.status_code in accept:
                patience.answered()
                return reply if method == "GET" else self._no_page(what, reply)
            else:
                error = failure(f"{self._name}: {what}", reply, fields, self._pause)
            denied = not isinstance(reply, Unavailable) and reply.status_code in DENIALS
            if denied or not patience.waits(error, spent):
                raise error

    def _sent(self, method: str, path: str, asked: Mapping[str, Any]) -> requests.Response | Unavailable:
        """The answer, or why there is none: not chained, because the client's error holds the whole address."""
        try:
            return self._session.request(
                method, self._url + path, auth=self._auth, timeout=TIMEOUTS, allow_redirects=False, **asked
            )
        except (requests.RequestException, HTTPError) as error:  # the latter: a host that cannot be
            way_out = f"look at {self._setting} and the network"
            return Unavailable(f"{self._name}: {trouble(self._url, error, way_out)}")

    def _no_page(self, what: str, reply: requests.Response) -> requests.Response:
        """The answer to a write, unless it is a page for people: a login before the API, say. Then nothing was done."""
        if reply.ok and reply.content[:100].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise Unavailable(f"{self._name}: {what}: {reply.status_code}, but no JSON object")
        return reply

    def json(self, what: str, reply: requests.Response) -> dict[str, Any]:
        """The object an answer holds. Raises Unavailable when it holds none: something else answered."""
        found = _json(reply)
        if not isinstance(found, dict):
            raise Unavailable(f"{self._name}: {what}: {reply.status_code}, but no JSON object")
        return found


def failure(
    where: str, reply: requests.Response, fields: Collection[str], pause: Callable[[requests.Response], float] | None = None
) -> ConnectorError:
    """What an answer outside 2xx means. pause: see Rest."""
    status, pause = reply.status_code, pause or retry_after
    where = f"{where}: {status}"
    if status == 403:
        return Forbidden(where, pause(reply))
    if status in (401, 429):
        return Paused(where, pause(reply))
    if status >= 500 or status in (408, 425):
        return Unavailable(where, pause(reply))
    if status < 400:
        return Unavailable(f"{where}, a redirect, which is not followed: is api_url right?")
    if status in (404, 410):
        return Missing(where)
    if status == 409:
        return Exists(where, _named_id(reply))
    if status == 412:
        return Stale(where)
    return Rejected(where, dict.fromkeys(_refused(reply, fields), WHY))


def retry_after(reply: requests.Response) -> float:
    """Seconds the answer asks to wait, from seconds or a date; 0 when it does not say."""
    try:
        return min(Retry().parse_retry_after(reply.headers.get("Retry-After", "0")), LONGEST_WAIT)
    except InvalidHeader:
        return 0.0


def _json(reply: requests.Response) -> Any:
    try:
        return strictjson.parse(reply.content, MAX_NODES)
    except BadDelivery:
        return None


def _named_id(reply: requests.Response) -> str | None:
    found = _json(reply)
    one = found.get("id") if isinstance(found, dict) else None
    return str(one) if type(one) in (str, int) and re.fullmatch(r"[!-~]{1,200}", str(one)) else None


def _refused(reply: requests.Response, fields: Collection[str]) -> list[str]:
    """Those of `fields` that {"errors": [{"field": name}]} or {"errors": {name: why}} names."""
    found = _json(reply)
    errors = found.get("errors") if isinstance(found, dict) else None
    named = [one.get("field") for one in errors if isinstance(one, dict)] if isinstance(errors, list) else errors
    told = {name for name in named or () if isinstance(name, str)} if isinstance(named, list | dict) else set()
    return [field for field in fields if field in told or field.removeprefix("custom.") in told]
