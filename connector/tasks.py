"""Celery tasks: the doorbell before `connector.sync`. The database says what is due and when; a lost ring is mended by the sweep.

Nothing here retries through the broker or delays a message: both are columns in the database. Settings as measured in
docs/decisions/0004-doorbell.md.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from connector.assembly import build
from connector.doorbell import Doorbell
from connector.errors import ConnectorError, Locked
from connector.settings import Settings, load_settings
from connector.store.keyed import require_key
from connector.sync import pace, recent, subscriptions, sweep
from connector.sync.reconcile import reconcile
from connector.sync.work import Work, place

TIDY = 3600
"""Seconds between two rounds of deleting what was kept long enough."""

LONG = {"soft_time_limit": 24 * 3600, "time_limit": 24 * 3600 + 600}
"""For tasks that take as long as a base is large: next to no limit. Celery takes None for its own, short one."""

BUSY = {"soft_time_limit": 780, "time_limit": 840}
"""For tasks that end by themselves after some minutes; within Redis' visibility_timeout."""

log = structlog.get_logger()

app = Celery("connector")


class Runtime:
    """What the tasks of one process share. Built on first use, and again after a fork: connections do not cross one."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._held: tuple[int, Work] | None = None
        self._lock = threading.Lock()
        self._verified = False

    @cached_property
    def doorbell(self) -> Doorbell:
        """Rings the workers of all processes."""
        return Doorbell(lambda: work_off.apply_async(retry=False))

    @property
    def settings(self) -> Settings:
        """The configuration in force. Raises ConfigError."""
        if self._settings is None:
            self._settings = load_settings(None)
        return self._settings

    @property
    def work(self) -> Work:
        """This process's tools."""
        with self._lock:
            if self._held is None or self._held[0] != os.getpid():
                self._held = (os.getpid(), build(self.settings, self.doorbell.ring))
            return self._held[1]

    def verified(self) -> Work:
        """The tools, once the token is known to belong to the configured portal. Raises ConfigError, Transient."""
        work = self.work
        if not self._verified:
            require_key(work.store)
            work.crm.check_portal()
            self._verified = True
        return work

    def use(self, settings: Settings, work: Work) -> None:
        """Take this configuration and these tools, whose portal is verified, instead of reading the file."""
        self._settings = settings
        self._held = (os.getpid(), work)
        self._verified = True
        configure(settings)


runtime = Runtime()


def configure(settings: Settings) -> Celery:
    """Give the Celery app its broker, its limits and beat's schedule."""
    app.conf.update(
        broker_url=settings.broker_url if settings.broker_url != "memory://" else "memory://localhost",
        broker_transport_options=_transport(settings.broker_url),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_acquire_timeout=5,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=False,
        task_reject_on_worker_lost=True,
        task_time_limit=180,
        task_soft_time_limit=150,
        task_default_queue="connector",
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=30,
        worker_enable_soft_shutdown_on_idle=True,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        worker_max_tasks_per_child=10_000,
        worker_send_task_events=False,
        worker_enable_remote_control=not settings.broker_url.startswith("memory"),
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
        beat_schedule=_schedule(settings),
        beat_max_loop_interval=5,
        timezone="UTC",
    )
    return app


def require_broker() -> None:
    """Raises when the broker cannot be reached within a moment."""
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=2)


def _transport(broker_url: str) -> dict[str, Any]:
    if broker_url.startswith("memory"):
        return {"polling_interval": 0.005}
    if broker_url.startswith("redis"):
        return {
            "visibility_timeout": 900, "unacked_restore_interval": 10, "unacked_restore_throttle": 1, "socket_timeout": 30,
            "socket_connect_timeout": 2, "socket_keepalive": True, "retry_on_timeout": True, "health_check_interval": 25,
            "global_keyprefix": "connector:",
        }  # fmt: skip
    return {"confirm_publish": True}


def _schedule(settings: Settings) -> dict[str, Any]:
    """Beat's entries; 0 seconds leaves one out. A message nobody took before the next round is dropped."""
    every = settings.schedule
    entries = {
        "sweep": every.sweep, "poll": every.poll, "recent": every.reconcile, "full_reconcile": every.full_reconcile,
        "tidy": TIDY, "subscriptions": every.subscriptions,
    }  # fmt: skip
    return {
        name: {"task": f"connector.{name}", "schedule": timedelta(seconds=seconds), "options": {"expires": max(seconds, 10)}}
        for name, seconds in entries.items()
        if seconds
    }


def _quietly(name: str, do: Callable[[], int]) -> int:
    """A task never fails through the broker: what could not be done is due still, and the next ring or sweep finds it.

    A mistake of ours fails it; Celery logs what it is raised with, so that is without the message: it may hold a person's data.
    """
    try:
        return do()
    except Locked:
        log.info("task.locked", task=name)
        return 0
    except ConnectorError as error:
        log.warning("task.postponed", task=name, why=str(error))
        return 0
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        mistake = RuntimeError(f"unexpected {type(error).__name__} at {place(error)}")
    raise mistake


@app.task(name="connector.work_off")
def work_off() -> int:
    """Settle what is due, batch after batch. Returns how many links were settled."""
    return _quietly("work_off", lambda: pace.work_off(runtime.verified()))


@app.task(name="connector.sweep")
def sweep_due() -> int:
    """Recover lost leases and ring for what is due. Returns how much that was."""

    def do() -> int:
        waiting = sweep.sweep(runtime.work)
        if waiting:
            runtime.doorbell.ring()
        return waiting

    return _quietly("sweep", do)


def _users(work: Work, names: list[str]) -> int:
    """Notice changed users, of each provider by itself: one that is out of reach holds up no other."""
    return sum(_quietly(f"listing {name}", partial(recent.users, work, name)) for name in names)


@app.task(name="connector.recent", **LONG)
def notice_recent() -> int:
    """Notice what changed lately on either side. Returns how many links were rung."""

    def do() -> int:
        work = runtime.verified()
        rung = _users(work, list(work.providers)) + recent.contacts(work)
        if rung:
            runtime.doorbell.ring()
        return rung

    return _quietly("recent", do)


@app.task(name="connector.poll", **LONG)
def poll() -> int:
    """Notice changed users of providers that send no webhooks. Returns how many links were rung."""

    def do() -> int:
        silent = [name for name, provider in runtime.settings.providers.items() if not provider.webhook_secret]
        rung = _users(runtime.verified(), silent) if silent else 0
        if rung:
            runtime.doorbell.ring()
        return rung

    return _quietly("poll", do)


@app.task(name="connector.subscriptions", **BUSY)
def look_at_subscriptions() -> int:
    """Look at subscription statuses in turn: opt-outs made in the CRM ring no bell. Returns how many links were rung."""
    return _quietly("subscriptions", lambda: subscriptions.roll(runtime.verified()))


@app.task(name="connector.tidy", **BUSY)
def tidy() -> int:
    """Delete deliveries and history kept long enough. Returns how many rows went."""
    keep = runtime.settings.retention
    return _quietly("tidy", lambda: sweep.expire(runtime.work, timedelta(days=keep.deliveries), timedelta(days=keep.history)))


@app.task(name="connector.full_reconcile", **LONG)
def full_reconcile() -> int:
    """Compare everybody. Returns how many links were looked at."""

    def do() -> int:
        work = runtime.verified()
        result = reconcile(work, time.sleep, list(work.providers), _unseen)
        return result.summary["read"]

    return _quietly("full_reconcile", do)


def _unseen(what: str, done: int, of: int) -> None:
    """Nobody watches a scheduled reconcile."""
