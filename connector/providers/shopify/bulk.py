"""All customers at once: a bulk operation, which Shopify carries out in the background, and the file it leaves.

Facts (Shopify, "Perform bulk operations with the GraphQL Admin API"; read 2026-11):
- one query at a time per shop before 2026-01, five from then on; it may take days, and costs no points;
- the file has one JSON object per line; it lies elsewhere, at an address that needs no token, for seven days;
- an operation that found nothing has no file; one that failed may have part of one, which is no listing;
- `rootObjectCount` says how many customers there are; counts are texts.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import requests

from connector.errors import BadDelivery, Paused, Rejected, Unavailable
from connector.model import User
from connector.providers.http import TIMEOUTS, new_session
from connector.providers.reading import mapping
from connector.providers.shopify.customers import number, user_from
from connector.providers.shopify.graphql import GraphQL
from connector.strictjson import parse

PAGE = 250
"""Customers handed on at a time."""
FIRST_LOOK, LONGEST_LOOK = 1.0, 15.0
"""Seconds between two looks at an operation: doubled each time, up to the latter."""
PATIENCE = 6 * 3600.0
"""Seconds after which an operation is not waited for any more."""
UNDER_WAY = ("CREATED", "RUNNING")

START = """mutation StartBulk($query: String!) { bulkOperationRunQuery(query: $query) {
  bulkOperation { id status } userErrors { field message } } }"""
LOOK = """query Bulk($id: ID!) { node(id: $id) { ... on BulkOperation {
  id status errorCode url rootObjectCount } } }"""


class Bulk:
    """Lists a shop's customers by bulk operations."""

    def __init__(self, name: str, graphql: GraphQL, encrypted: bool, sleep: Callable[[float], None] = time.sleep) -> None:
        """encrypted: whether the file must come by https."""
        self._name = name
        self._graphql = graphql
        self._encrypted = encrypted
        self._sleep = sleep
        self._files = new_session()
        self._files.trust_env = False  # no credentials from ~/.netrc

    def pages(self, what: str, fields: str) -> Iterator[list[User]]:
        """All customers. An empty page now and then says that it goes on. Raises Unavailable, Paused, Rejected."""
        told = self._graphql.run(what, START, {"query": f"{{ customers {{ edges {{ node {{ {fields} }} }} }} }}"})
        operation = mapping(told.get("bulkOperation")).get("id")
        if not isinstance(operation, str):
            raise Unavailable(f"{self._name}: {what}: no bulk operation could be started; is another one under way?")
        ends, wait = time.monotonic() + PATIENCE, FIRST_LOOK
        while (found := self._look(what, operation)).get("status") in UNDER_WAY:
            if time.monotonic() > ends:
                raise Unavailable(f"{self._name}: {what}: the bulk operation takes too long")
            yield []
            self._sleep(wait)
            wait = min(2 * wait, LONGEST_LOOK)
        yield from self._read(what, found)

    def _look(self, what: str, operation: str) -> Mapping[str, Any]:
        found = self._graphql.ask(what, LOOK, {"id": operation}).get("node")
        if not isinstance(found, dict) or found.get("id") != operation:
            raise Unavailable(f"{self._name}: {what}: 200, but not about the bulk operation")
        return found

    def _read(self, what: str, found: Mapping[str, Any]) -> Iterator[list[User]]:
        """The file of an operation that ended. Fewer customers than it counted are no listing."""
        where, count, url = f"{self._name}: {what}", str(found.get("rootObjectCount")), found.get("url")
        if found.get("status") != "COMPLETED":
            error = Paused if found.get("errorCode") == "ACCESS_DENIED" else Unavailable
            raise error(f"{where}: the bulk operation did not come to its end")
        if not url and count == "0":
            return
        if not isinstance(url, str) or not url.startswith("https://" if self._encrypted else ("https://", "http://")):
            raise Rejected(f"{where}: the bulk operation has no file that can be fetched")
        with tempfile.TemporaryFile() as file:
            self._download(where, url, file)
            file.seek(0)
            seen = 0
            for page in _pages(where, file):
                seen += len(page)
                yield page
            if str(seen) != count:
                raise Unavailable(f"{where}: the file has {seen} customers, not {count}")

    def _download(self, where: str, url: str, file: IO[bytes]) -> None:
        """Put the file onto the disk: reading on takes longer than a connection waits."""
        problem = ""
        try:
            with self._files.get(url, timeout=TIMEOUTS, stream=True, allow_redirects=False) as reply:
                if reply.status_code != 200:
                    problem = str(reply.status_code)
                for chunk in () if problem else reply.iter_content(1 << 16):
                    file.write(chunk)
        except requests.RequestException as error:
            problem = type(error).__name__
        if problem:
            raise Unavailable(f"{where}: the file: {problem}")


def _pages(where: str, file: IO[bytes]) -> Iterator[list[User]]:
    page: list[User] = []
    for line in file:
        try:
            record = parse(line)
        except BadDelivery:
            record = None
        if not isinstance(record, dict) or number(record.get("id")) is None:
            raise Unavailable(f"{where}: the file is cut, or has lines that are no customers")
        page.append(user_from(record))
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
