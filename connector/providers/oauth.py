"""Access tokens for a provider's API, got with client credentials and kept until shortly before they end.

Facts (RFC 6749, sections 4.4 and 5): the token endpoint takes a form; the answer has `access_token` and mostly `expires_in`, in
seconds; wrong credentials are answered with 400 or 401. A token may end early, so a call that is answered 401 is made once more,
with a new one.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.auth import AuthBase

from connector.errors import Paused, Permanent, Unavailable
from connector.providers.http import Rest, new_session

WHAT = "get an access token"
MARGIN = 30.0
"""Seconds before its end a token is not used any more; half its life, if that is shorter."""
LIFE = 300.0
"""Seconds a token counts as good when nobody says."""


class NoAuth(AuthBase):
    """Nothing is added, also not from ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave the request as it is."""
        return request


class ClientCredentials(AuthBase):
    """A bearer token on every request; safe for many threads. Raises Paused when the credentials are refused, Unavailable."""

    def __init__(
        self,
        name: str,
        url: str,
        form: Mapping[str, str],
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """url: the token endpoint. form: what is sent to it, `client_id` and `client_secret` among it."""
        self._name = name
        self._rest = Rest(name, url, NoAuth(), session or new_session())
        self._form = {"grant_type": "client_credentials", **form}
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header, and see to it that a refused token is replaced once."""
        token = self.token()
        request.headers["Authorization"] = f"Bearer {token}"
        request.register_hook("response", self._again(token))  # type: ignore[no-untyped-call]  # the stubs leave it out
        return request

    def token(self, refused: str = "") -> str:
        """A token that should be good; never the one that was `refused`."""
        with self._lock:
            if not self._token or self._token == refused or self._clock() >= self._ends:
                self._token, life = fetch_token(self._name, self._rest, self._form)
                self._ends = self._clock() + max(life - MARGIN, life / 2)
            return self._token

    def _again(self, token: str) -> Callable[..., requests.Response]:
        def hook(reply: requests.Response, **options: Any) -> requests.Response:
            if reply.status_code != 401:
                return reply
            _ = reply.content  # so that the connection can be used again
            reply.close()
            request = reply.request.copy()
            request.headers["Authorization"] = f"Bearer {self.token(refused=token)}"
            again: requests.Response = reply.connection.send(request, **options)
            again.history.append(reply)
            again.request = request
            return again

        return hook


def fetch_token(name: str, rest: Rest, form: Mapping[str, str]) -> tuple[str, float]:
    """A new token and the seconds it is good for. Raises Paused, Unavailable."""
    try:
        answer = rest.json(WHAT, rest.call(WHAT, "POST", "", data=form))
    except Permanent as error:  # a 404, too: it is the endpoint that is missing, no user
        raise Paused(f"{error}: are client_id and client_secret right?") from None
    token, life = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise Unavailable(f"{name}: {WHAT}: the answer holds none")
    return token, float(life) if isinstance(life, int | float) and life > 0 else LIFE
