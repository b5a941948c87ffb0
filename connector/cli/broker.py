"""What `doctor` wants to know of the broker."""

from typing import Any

from connector.sync.checks import Check, State

NAME = "broker"
SECONDS = 2
"""How long it may take to answer."""


def look(url: str) -> Check:
    """Whether it can be reached, and keeps what it is given. Names no address: it may hold a password."""
    if url.startswith("memory"):
        return Check(NAME, State.OK, "in memory, for one process")
    try:
        return _redis(url) if url.startswith(("redis://", "rediss://")) else _other(url)
    except Exception as error:  # each transport has a family of its own
        return Check(NAME, State.UNREACHABLE, f"no answer: {type(error).__name__}", "start it, or correct broker_url")


def _other(url: str) -> Check:
    import kombu

    connect: Any = kombu.Connection  # type: ignore[attr-defined]  # kombu loads its names when they are asked for
    with connect(url, connect_timeout=SECONDS) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=SECONDS)
    return Check(NAME, State.OK, f"{url.partition(':')[0]} answers")


def _redis(url: str) -> Check:
    from redis import Redis

    with Redis.from_url(url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS) as client:
        told: Any = client.info()
    policy, version = told.get("maxmemory_policy"), told.get("redis_version")
    kept = "append-only file" if told.get("aof_enabled") else "no append-only file, so rings are lost in a crash and swept up"
    detail = f"Redis {version}, eviction policy {policy}, {kept}"
    if policy is None:
        return Check(
            NAME, State.WARNING, f"{detail.replace('None', 'not told')}", "make sure that maxmemory-policy is noeviction"
        )
    if policy != "noeviction":
        return Check(
            NAME, State.PROBLEM, detail, "set maxmemory-policy noeviction: it drops messages and locks when memory is short"
        )
    return Check(NAME, State.OK, detail)
