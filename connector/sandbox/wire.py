"""From a request to a function that returns JSON, and back. Used by all APIs of the sandbox."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read. params: what the path names. body: {} when there is none. size: of the body, in bytes."""

    params: dict[str, str]
    query: QueryParams
    headers: dict[str, str]
    body: dict[str, Any]
    size: int

    def texts(self, name: str) -> list[str]:
        """A list of texts in the body, empty when it is missing. Raises BadRequest for anything else."""
        found = self.body.get(name) or []
        if not isinstance(found, list):
            raise BadRequest(f"Invalid input JSON: {name} must be a list")
        return [str(one) for one in found]

    def flag(self, name: str) -> bool:
        """A boolean of the query, in any case: clients send True as well as true."""
        return self.query.get(name, "").lower() == "true"


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: JSON, or nothing."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] | None = None


class BadRequest(Exception):
    """A request that cannot be read, in words for whoever sent it."""


Work = Callable[[Asked], Told]
Refuse = Callable[[Exception], Told | None]
Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(work: Work, refuse: Refuse) -> Endpoint:
    """Serve a function. refuse: the answer for what it raised, None for what is a fault of ours."""

    async def serve(request: Request) -> Response:
        try:
            told = work(await read(request))
        except Exception as error:
            refused = refuse(error)
            if refused is None:
                raise
            told = refused
        return response(told)

    return serve


async def read(request: Request) -> Asked:
    """Read a request. Raises BadRequest."""
    raw = await request.body()
    try:
        body = orjson.loads(raw) if raw.strip() else {}
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"Invalid input JSON on line {error.lineno}, column {error.colno}") from error
    if not isinstance(body, dict):
        raise BadRequest("Invalid input JSON: an object is expected")
    return Asked(dict(request.path_params), request.query_params, dict(request.headers), body, len(raw))


def response(told: Told) -> Response:
    """An answer as it goes out."""
    if told.body is None:
        return Response(status_code=told.status, headers=told.headers)
    return Response(orjson.dumps(told.body), told.status, told.headers, "application/json;charset=utf-8")
