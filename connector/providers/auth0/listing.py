"""All users of an Auth0 tenant, past the thousand that a search shows: by windows of time, or by an export.

Facts (Auth0, "Get users", "View search results by page", "Bulk user exports"):
- a search shows a thousand users at most, in pages of a hundred, and may lag behind; it sorts by one field;
- an export is a job: `pending`, `processing`, then `completed` with a `location`, or `failed`; the file is gzipped JSON lines, at
  an address of another host, which is open to whoever has it, for a short time.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote

import requests

from connector.errors import BadDelivery, Missing, Rejected, Unavailable
from connector.providers.http import MAX_NODES, Rest
from connector.providers.oauth import NoAuth
from connector.providers.reading import mapping, moment, objects, usable_id, written
from connector.strictjson import parse

PAGE, PAGES = 100, 10
"""Users in one page, and pages that a search shows."""
TICK = timedelta(milliseconds=1)
"""Times are told in milliseconds."""
ASK_EVERY, ASKED = 5.0, 360
"""Seconds between two looks at an export, and how often it is looked at."""
LONGEST_LINE = 1_000_000
"""Bytes of one exported user."""
EXPORTED = (
    "user_id", "email", "email_verified", "username", "phone_number", "given_name", "family_name", "name", "nickname", "picture",
    "blocked", "created_at", "updated_at", "last_login", "user_metadata", "app_metadata",
)  # fmt: skip

Record = dict[str, Any]


def array(name: str, rest: Rest, what: str, path: str, query: Mapping[str, str]) -> list[Record]:
    """The objects of an array. Anything else is a failure, never nobody."""
    reply = rest.call(what, "GET", path, query=query)
    try:
        found = parse(reply.content, MAX_NODES)
    except BadDelivery:
        found = None
    if not isinstance(found, list) or len(objects(found)) < len(found):
        raise Rejected(f"{name}: {what}: the answer is no listing")
    return objects(found)


def windows(name: str, what: str, rest: Rest, by: str, since: datetime) -> Iterator[list[Record]]:
    """Users whose `by` is at or after a time, oldest first; who changes meanwhile comes again, later.

    Each page begins at the moment where the last one ended: by numbers alone, a user that moves would hide another one.
    Raises Rejected for a listing that is none, breaks off, or has more users at one moment than a search shows.
    """
    seen: set[tuple[str, Any]] = set()
    start, number = since, 0
    while number < PAGES:
        query = {
            "search_engine": "v3", "q": f"{by}:[{written(start)} TO *]", "sort": f"{by}:1", "page": str(number),
            "per_page": str(PAGE), "include_totals": "true",
        }  # fmt: skip
        records = _page(f"{name}: {what}", rest.json(what, _called(rest, what, query)), number)
        times = [at for one in records if (at := moment(one.get(by))) is not None]
        if any(at < start - TICK for at in times):
            raise Rejected(f"{name}: {what}: the answer was not filtered")
        fresh = [one for one in records if (str(one["user_id"]), one.get(by)) not in seen]
        seen.update((str(one["user_id"]), one.get(by)) for one in fresh)
        if fresh:
            yield fresh
        if len(records) < PAGE:
            return
        last = max([start, *times])
        start, number = (last, 0) if last > start else (start, number + 1)
    raise Rejected(f"{name}: {what}: more users at one moment than a search shows; set listing: bulk")


def exported(name: str, rest: Rest, files: requests.Session, sleep: Callable[[float], None]) -> Iterator[list[Record]]:
    """All users, by an export. While it is made, pages without users come, so that the caller sees that it goes on."""
    what = "export users"
    asked = {"format": "json", "fields": [{"name": one} for one in EXPORTED]}
    job = rest.json(what, rest.call(what, "POST", "/jobs/users-exports", body=asked))
    job_id = usable_id(job.get("id"))
    if job_id is None:
        raise Rejected(f"{name}: {what}: the answer is no job")
    for _ in range(ASKED):
        job = rest.json(what, rest.call(what, "GET", f"/jobs/{quote(job_id, safe='')}"))
        if job.get("status") not in ("pending", "processing"):
            break
        yield []
        sleep(ASK_EVERY)
    location = job.get("location")
    if job.get("status") != "completed" or not isinstance(location, str):
        raise Unavailable(f"{name}: {what}: the export was not completed")
    yield from _lines(f"{name}: {what}", _downloaded(name, what, location, files))


def _called(rest: Rest, what: str, query: Mapping[str, str]) -> requests.Response:
    try:
        return rest.call(what, "GET", "/users", query=query)
    except Missing as error:
        raise Rejected(f"{error}: is domain right?") from None


def _page(where: str, answer: Mapping[str, Any], number: int) -> list[Record]:
    """The users of one page. An answer without a list, or a page that is cut short, is a failure."""
    found, total = answer.get("users"), answer.get("total")
    if not isinstance(found, list) or type(total) is not int:
        raise Rejected(f"{where}: the answer is no listing")
    if len(found) < PAGE and number * PAGE + len(found) < total:
        raise Rejected(f"{where}: it ended after {number * PAGE + len(found)} of {total} users")
    good = [one for one in found if isinstance(one, dict) and usable_id(one.get("user_id"))]
    if len(good) < len(found):
        raise Rejected(f"{where}: a user has no id")
    return good


def _downloaded(name: str, what: str, location: str, files: requests.Session) -> bytes:
    """The file, asked for without our token: it is on another host."""
    reply = Rest(name, location, NoAuth(), files).call(what, "GET", "", accept=(403, 404, 410))
    if reply.status_code != 200:
        raise Unavailable(f"{name}: {what}: {reply.status_code}, the file is not there any more")
    return reply.content


def _lines(where: str, raw: bytes) -> Iterator[list[Record]]:
    """The users of a file, a page at a time. Raises Rejected for a file that is none, or is cut off."""
    page: list[Record] = []
    try:
        with gzip.open(BytesIO(raw)) as file:
            while line := file.readline(LONGEST_LINE):
                page.append(_user(line))
                if len(page) == PAGE:
                    yield page
                    page = []
    except (OSError, EOFError, zlib.error, BadDelivery):
        raise Rejected(f"{where}: the file cannot be read to its end") from None
    yield page


def _user(line: bytes) -> Record:
    found = dict(mapping(parse(line)))
    if usable_id(found.get("user_id")) is None:
        raise BadDelivery("no user")
    return {key: value for key, value in found.items() if value is not None}
