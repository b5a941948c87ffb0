"""One REST call to a provider: send, and turn what fails into our errors.

Messages name the provider, the call and the status. Nothing of an answer's body gets into them, except names of fields that we
sent ourselves: bodies repeat people's data.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from connector import strictjson
from connector.errors import BadDelivery, ConnectorError, Exists, Missing, Paused, Rejected, Stale, Unavailable

TIMEOUTS = (3.05, 10.0)
"""Seconds to connect, and of silence before an answer counts as missing."""
POOL = 16
LONGEST_WAIT = 3600.0
"""Seconds; no provider makes us wait longer at a time."""
MAX_NODES = 5_000_000
"""Values in an answer: all users on one page, where a provider knows no pages. Webhooks, which strangers send, get less."""
WHY = "the provider refuses it"


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

    def __init__(self, name: str, url: str, auth: AuthBase | None, session: requests.Session | None = None) -> None:
        self._name = name
        self._url = url.rstrip("/")
        self._auth = auth
        self._session = session or new_session()

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
        """Make one call and return its 2xx answer. Redirects are not followed.

        what: names the call in errors, without personal data.
        body: sent as JSON. data: sent as a form, or as these bytes, whose type is in `headers`.
        fields: names that a refusal may mention.
        accept: further statuses whose answer is returned, because the caller knows what they mean.
        Raises Unavailable, Paused, Missing (404, 410), Exists (409), Stale (412), Rejected.
        """
        where = f"{self._name}: {what}"
        try:
            reply = self._session.request(
                method, self._url + path, params=query, json=body, data=data, headers=headers, auth=self._auth, timeout=TIMEOUTS,
                allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            reply, problem = None, type(error).__name__
        if reply is None:
            raise Unavailable(f"{where}: {problem}")  # not chained: the client's error holds the whole address
        if 200 <= reply.status_code < 300 or reply.status_code in accept:
            return reply
        raise failure(where, reply, fields)

    def json(self, what: str, reply: requests.Response) -> dict[str, Any]:
        """The object an answer holds. Raises Unavailable when it holds none: something else answered."""
        found = _json(reply)
        if not isinstance(found, dict):
            raise Unavailable(f"{self._name}: {what}: {reply.status_code}, but no JSON object")
        return found


def failure(where: str, reply: requests.Response, fields: Collection[str]) -> ConnectorError:
    """What an answer outside 2xx means."""
    status = reply.status_code
    where = f"{where}: {status}"
    if status in (401, 403, 429):
        return Paused(where, retry_after(reply))
    if status >= 500 or status in (408, 425):
        return Unavailable(where, retry_after(reply))
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
