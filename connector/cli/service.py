"""Everything in one process: the receiver in front, a Celery worker and beat in threads behind it."""

import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
import uvicorn
from celery.beat import Scheduler
from celery.beat import Service as Beat
from celery.platforms import SecurityWarning

from connector import tasks
from connector.cli.common import taken
from connector.settings import Settings
from connector.sync.sweep import sweep
from connector.sync.work import Work
from connector.web.app import make_app

THREADS = 4
"""Batches under way at once: their time is spent waiting for the CRM."""

TWICE = 1.0
"""Seconds within which two signals count as one."""

log = structlog.get_logger()


class Service:
    """The connector as one process. `run` blocks until `stop` or a signal; everything due then waits in the database."""

    def __init__(
        self, settings: Settings, work: Work, host: str, port: int, ready: Callable[[str], None], receiver_only: bool = False
    ) -> None:
        """receiver_only: no worker and no beat here; they run as `celery -A worker worker` and `celery -A worker beat`."""
        self._receiver_only = receiver_only
        work = replace(work, ring=tasks.runtime.doorbell.ring)
        tasks.runtime.use(settings, work)
        self._work = work
        self._host, self._port = host, port
        self._ready = ready
        app = make_app(settings, work, tasks.runtime.doorbell.ring, tasks.require_broker)
        config = uvicorn.Config(
            app, host=host, port=port, log_level="warning", access_log=False, server_header=False, date_header=False,
            timeout_graceful_shutdown=10, h11_max_incomplete_event_size=65_536, lifespan="off",
        )  # fmt: skip
        self._server = _Server(config, self._announce)
        self._stopping = threading.Event()
        self._worker: Any = None
        self._beat: Any = None

    def run(self) -> None:
        """Serve until stopped. Raises Locked when the port is taken."""
        listening = _listen(self._host, self._port)
        threads = [threading.Thread(target=body, name=name, daemon=True) for name, body in self._parts()]
        for thread in threads:
            thread.start()
        try:
            self._server.run(sockets=[listening])
        finally:
            self._halt(threads)

    def stop(self) -> None:
        """End `run` from another thread."""
        self._server.should_exit = True

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        return self._server.url

    def _announce(self, url: str) -> None:
        sweep(self._work)  # what an earlier process left behind
        tasks.runtime.doorbell.ring()
        self._ready(url)

    def _parts(self) -> list[tuple[str, Callable[[], None]]]:
        if self._receiver_only:
            return []
        return [("worker", lambda: self._keep_up("worker", self._consume)), ("beat", lambda: self._keep_up("beat", self._tick))]

    def _keep_up(self, name: str, body: Callable[[], None]) -> None:
        """Start a part again when it ends by itself: a threads pool does when Redis dies under it."""
        while not self._stopping.is_set():
            try:
                body()
            except Exception as error:
                log.error("part.failed", part=name, error=type(error).__name__)
            if not self._stopping.wait(1):
                log.warning("part.restarted", part=name)

    def _consume(self) -> None:
        warnings.simplefilter("ignore", SecurityWarning)  # it warns of pickled messages, and we take JSON only
        self._worker = _Worker(
            pool="threads", concurrency=THREADS, loglevel=logging.WARNING, hostname="connector@up", without_gossip=True,
            without_mingle=True, without_heartbeat=True, quiet=True,
        )  # fmt: skip
        self._worker.start()

    def _tick(self) -> None:
        self._beat = Beat(tasks.app, scheduler_cls=Scheduler, max_interval=1)
        self._beat.start(embedded_process=False)

    def _halt(self, threads: list[threading.Thread]) -> None:
        self._stopping.set()
        if self._beat is not None:
            self._beat.stop()
        if self._worker is not None:
            self._worker.stop()
        ends = time.monotonic() + 35
        for thread in threads:
            thread.join(max(0.1, ends - time.monotonic()))


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise taken(host, port, error) from None
    return listening


class _Worker(tasks.app.Worker):  # type: ignore[misc]  # celery has no types
    """A worker that leaves the process's signals, title and logging alone."""

    def install_platform_tweaks(self, worker: Any) -> None:
        """Nothing: the process is not ours alone."""

    def setup_logging(self, colorize: bool | None = None) -> None:
        """Logging is set up already."""


class _Server(uvicorn.Server):
    """Tells where it listens, once it does."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce
        self._asked_at = 0.0
        self.url = ""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End. `timeout` and terminals may send a signal twice at once: only a later one is impatience."""
        now = time.monotonic()
        if not self.should_exit or now - self._asked_at > TWICE:
            self._asked_at = now
            super().handle_exit(sig, frame)

    async def startup(self, sockets: Any = None) -> None:
        """Bind, then announce."""
        await super().startup(sockets)
        if self.started and self.servers:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.url = f"http://{host}:{port}"
            self._announce(self.url)
