"""How DruID's users are written: calls that may be refused, one edit by its own call, or by the one for many.

Facts this file rests on (DruID developer site, "Update (patch)", "Bulk API"):
- an edit is a patch: the bulk call takes JSON lines and answers with `content.bulkId`; its `content.status` goes from `received`
  over `scheduled` and `processing` to `completed` or `failed`, and its results hold an entry for each line that failed;
  the full update removes whatever it is not sent, and is never used;
- the path of the call for one user could not be read, so it is a setting.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import requests

from connector.errors import BadDelivery, Missing, Rejected, Unavailable
from connector.providers.druid import user as shape
from connector.providers.http import WHY, Rest
from connector.providers.reading import mapping, objects, usable_id
from connector.strictjson import parse

BULK = "/activityid/v1/user/bulk"
REFUSED = (400, 422)
WAITS = (0.2, 0.3, 0.5, 1.0, 1.0, 2.0, 2.0, 3.0)
"""Seconds between two looks at a bulk edit; after the last one it is tried again later."""
DONE, FAILED = "completed", "failed"


class Edits:
    """The writing calls of one app."""

    def __init__(
        self, name: str, rest: Rest, entry_point: Mapping[str, str], patch_path: str | None, sleep: Callable[[float], None]
    ) -> None:
        """entry_point: the header that names it. patch_path: of the call that edits one user; without one edits go in bulk."""
        self._name, self._rest, self._from, self._patch_path, self._sleep = name, rest, dict(entry_point), patch_path, sleep

    def patch(self, what: str, user_id: str, changes: Mapping[str, Any], names: Collection[str]) -> None:
        """Edit one user: these parts and no others."""
        line = {"object_id": user_id, **changes}
        if self._patch_path:
            path = self._patch_path.replace("{id}", quote(user_id, safe=""))
            self.write(what, "PATCH", path, names, body=line)
            return
        try:
            self._bulk(what, line, names)
        except Missing as error:  # the user was there a moment ago
            raise Rejected(f"{error}: is api_url right?") from None

    def _bulk(self, what: str, line: Mapping[str, Any], names: Collection[str]) -> None:
        raw = json.dumps(line).encode() + b"\n"
        headers = {"Content-Type": "application/jsonl; charset=utf-8"}
        reply = self.write(what, "PATCH", BULK, names, data=raw, headers=headers)
        bulk_id = usable_id(content_of(self._rest.json(what, reply)).get("bulkId"))
        if bulk_id is None:
            raise Unavailable(f"{self._name}: {what}: {reply.status_code}, but no bulkId")
        self._await(what, f"{BULK}/{quote(bulk_id, safe='')}", names)

    def _await(self, what: str, path: str, names: Collection[str]) -> None:
        """Wait until a bulk edit is done. Raises Rejected when its line was refused, Unavailable when it takes too long."""
        for wait in (*WAITS, None):
            status = content_of(self._rest.json(what, self._rest.call(what, "GET", path, headers=self._from))).get("status")
            if status in (DONE, FAILED):
                self._check_results(what, path, names, str(status))
                return
            if wait is not None:
                self._sleep(wait)
        raise Unavailable(f"{self._name}: {what}: accepted, but not done yet")

    def _check_results(self, what: str, path: str, names: Collection[str], status: str) -> None:
        query = {"failedOnly": "true", "limit": "10"}
        answer = self._rest.json(what, self._rest.call(what, "GET", f"{path}/results", query=query, headers=self._from))
        content = answer.get("content")
        failures = objects(content) or objects(mapping(content).get("items"))
        if failures:
            raise Rejected(f"{self._name}: {what}: refused", dict.fromkeys(shape.named_in(failures, names), WHY))
        if status == FAILED:
            raise Unavailable(f"{self._name}: {what}: the bulk edit failed")

    def write(
        self, what: str, method: str, path: str, names: Collection[str], headers: Mapping[str, str] | None = None, **body: Any
    ) -> requests.Response:
        """One writing call. Raises Rejected with those of our fields that a refusal names."""
        reply = self._rest.call(what, method, path, headers={**self._from, **(headers or {})}, accept=REFUSED, **body)
        if reply.status_code not in REFUSED:
            return reply
        try:
            told = parse(reply.content)
        except BadDelivery:
            told = None
        raise Rejected(f"{self._name}: {what}: {reply.status_code}", dict.fromkeys(shape.named_in(told, names), WHY))


def content_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer holds, with or without the usual wrapping."""
    inner = answer.get("content")
    return inner if isinstance(inner, dict) else dict(answer)
