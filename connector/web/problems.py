"""Answers as ASGI messages: JSON, and problems as RFC 9457 has them. Nothing of a request ever gets into one."""

import json
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from starlette.types import Send

JSON = "application/json"
PROBLEM = "application/problem+json"

Headers = Mapping[str, str]
NONE: Headers = {}


async def answer(send: Send, status: int, body: bytes, kind: str, headers: Headers = NONE) -> None:
    """Send a whole answer."""
    fields = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store", **headers}
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, status: int, value: Any) -> None:
    """Send a value."""
    await answer(send, status, json.dumps(value).encode(), JSON)


async def refuse(send: Send, status: int, code: str, headers: Headers = NONE) -> None:
    """Send a problem. code: stable, for programs; the title is the status's own words."""
    await answer(send, status, _problem(status, code), PROBLEM, headers)


@cache
def _problem(status: int, code: str) -> bytes:
    told = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code}
    return json.dumps(told).encode()
