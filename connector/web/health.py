"""Is the process alive, is it ready, what does it count. The answers say nothing about versions or addresses."""

import asyncio
from collections.abc import Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

SECONDS = 3.0
"""Seconds one check may take."""

Check = Callable[[], object]
"""Returns when all is well, raises when not. Called in a thread."""


def health_routes(checks: Mapping[str, Check], registry: CollectorRegistry = REGISTRY) -> list[BaseRoute]:
    """`/healthz`, `/readyz` (runs `checks`, each by its name) and `/metrics`."""

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(request: Request) -> Response:
        found = await asyncio.gather(*(_passes(check) for check in checks.values()))
        told = {name: "ok" if passed else "failing" for name, passed in zip(checks, found, strict=True)}
        status = "ready" if all(found) else "not ready"
        return JSONResponse({"status": status, "checks": told}, 200 if all(found) else 503)

    async def numbers(request: Request) -> Response:
        told = await asyncio.to_thread(generate_latest, registry)  # some gauges ask the database
        return Response(told, headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", numbers)]


async def _passes(check: Check) -> bool:
    try:
        async with asyncio.timeout(SECONDS):
            await asyncio.to_thread(check)
    except Exception:
        return False
    return True
