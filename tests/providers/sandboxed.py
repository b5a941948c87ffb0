"""The contract of a provider, tried against a vendor of the sandbox."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from connector.providers.base import Provider
from connector.sandbox.server import serve
from connector.testing import ProviderContract, Reply, Request, Vendor


class Sandboxed(ProviderContract):
    """`app()` is a fresh vendor with one user. It stands behind the contract's own server, which can make calls fail."""

    def app(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def world(self) -> Iterator[tuple[Provider, Vendor]]:
        with serve(self.app()) as server, Vendor(_forward(server.url)).running() as vendor:
            yield self.make(vendor.url), vendor


def _forward(url: str) -> Callable[[Request], Reply]:
    session = requests.Session()
    session.trust_env = False

    def answer(request: Request) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length", "connection")}
        where = url + quote(request.path)
        told = session.request(
            request.method,
            where,
            params=dict(request.query),
            headers=headers,
            data=request.body,
            allow_redirects=False,
            timeout=5,
        )
        return Reply(told.status_code, told.content or None)

    return answer
