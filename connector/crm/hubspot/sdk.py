"""HubSpot's own client and one HTTP session, held for the life of a process.

Facts this file rests on (hubspot-api-client 12.0.0 source, and measured):
- each access of `client.crm.contacts.batch_api` builds a new connection pool, so the objects are kept here;
- a pool must not cross a fork, so whoever holds an `Apis` makes a new one per process;
- `retry=False` switches off urllib3's own retries, which would sleep through a `Retry-After` unseen;
- with `_preload_content=False` the client neither builds models (28 ms for 100 contacts) nor logs bodies;
- a read timeout counts per packet: a server that drips bytes holds the caller for hours. Here it covers the whole answer.
"""

import io
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPResponse
from typing import Any

import hubspot
import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from connector.crm.hubspot import paths


@dataclass(frozen=True, slots=True)
class Raw:
    """One answer as it came in."""

    status: int
    headers: Mapping[str, str]
    data: bytes | str | None


class Apis:
    """The client's API objects and a session, made on first use. For one process and any number of threads."""

    def __init__(self, base_url: str, access_token: str, version: str = paths.V3) -> None:
        for name in ("hubspot", "urllib3.connectionpool"):  # DEBUG would print bodies, and paths with an address in them
            logger = logging.getLogger(name)
            logger.setLevel(max(logging.WARNING, logger.level))
        self._base_url = base_url.rstrip("/")
        self._token = access_token
        self._version = version
        proxy = select_proxy(self._base_url, get_environ_proxies(self._base_url))  # requests does so by itself
        self._client = hubspot.HubSpot(access_token=access_token, host=self._base_url, retry=False, proxy=proxy)

    @cached_property
    def contacts(self) -> Any:
        """Single contacts and pages of them."""
        return self._held(self._client.crm.contacts.basic_api)

    @cached_property
    def batch(self) -> Any:
        """Up to 100 contacts at once."""
        return self._held(self._client.crm.contacts.batch_api)

    @cached_property
    def search(self) -> Any:
        """The search index."""
        return self._held(self._client.crm.contacts.search_api)

    @cached_property
    def properties(self) -> Any:
        """Property definitions."""
        return self._held(self._client.crm.properties.core_api)

    @cached_property
    def groups(self) -> Any:
        """Property groups."""
        return self._held(self._client.crm.properties.groups_api)

    def http(self, method: str, path: str, body: Any, query: Mapping[str, str] | None, timeout: tuple[float, float]) -> Raw:
        """A call that the client does not cover. path: from `paths`."""
        url = self._base_url + paths.at_version(path, self._version)
        reply = self._session.request(method, url, json=body, params=query, timeout=timeout, allow_redirects=False)
        return Raw(reply.status_code, reply.headers, reply.content)

    def token(self, timeout: tuple[float, float]) -> Raw:
        """What HubSpot tells of our token."""
        return self.http("POST", paths.TOKEN, {"tokenKey": self._token}, None, timeout)

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self._token}"
        session.mount(self._base_url, _Adapter())
        return session

    def _held(self, api: Any) -> Any:
        """Give an API object our timeouts, compression, and the paths of our API version."""
        client = api.api_client
        client.set_default_header("Accept-Encoding", "gzip")
        whole_answer_timeouts(client.rest_client.pool_manager)
        call_api = client.call_api
        client.call_api = lambda path, *args, **options: call_api(paths.at_version(path, self._version), *args, **options)
        return api


def whole_answer_timeouts(pools: PoolManager) -> None:
    """Make the read timeout of a pool manager cover an answer as a whole: status line, headers and body."""
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Drip(io.RawIOBase):
    """A socket's file that stops at a moment in time instead of after a silence."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)
        self._ends = time.monotonic() + (sock.gettimeout() or 60)

    def readable(self) -> bool:
        """For BufferedReader."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is; TimeoutError when the time is over."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("answer takes too long")
        self._sock.settimeout(left)
        count: int = self._file.readinto(buffer)
        return count

    def close(self) -> None:
        """Let go of the socket too."""
        self._file.close()
        super().close()


class _Answer(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Drip(sock))


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        whole_answer_timeouts(self.poolmanager)
