"""Ringing the workers: never blocks whoever rings, never fails, and a hundred rings in a moment are one message.

The database says what is due; a lost ring costs the time until the next sweep.
"""

import threading
import time
from collections.abc import Callable

import structlog

PAUSE = 0.05
"""Seconds between two messages at least."""

log = structlog.get_logger()


class Doorbell:
    """Sends a message through `send` soon after `ring()`, from a thread of its own, which starts with the first ring."""

    def __init__(self, send: Callable[[], object]) -> None:
        self._send = send
        self._rung = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self.failures = 0

    def ring(self) -> None:
        """Ask for a worker."""
        self._rung.set()
        if self._thread is None or not self._thread.is_alive():  # the first ring, or the first one after a fork
            with self._start:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            self._rung.wait()
            self._rung.clear()
            try:
                self._send()
            except Exception as error:
                self.failures += 1
                log.warning("doorbell.failed", error=type(error).__name__, failures=self.failures)
            time.sleep(PAUSE)
