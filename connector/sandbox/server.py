"""Puts an app on a port: in a thread of this process, or in the foreground until interrupted."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Self

import uvicorn
from starlette.types import ASGIApp

START = 10.0
"""Seconds an app has to come up."""


class Server:
    """An app served from a thread of its own, answering at `url`."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        listening = _listen(host, port)
        self.url = _url(listening, host)
        self._server = _uvicorn(app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name=f"sandbox {self.url}", daemon=True
        )
        self._thread.start()
        self._wait_until_started()

    def stop(self) -> None:
        """Stop serving; calls under way get a second to finish. Stopping twice is fine."""
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_started(self) -> None:
        ends = time.monotonic() + START
        while not self._server.started:
            if time.monotonic() > ends or not self._thread.is_alive():
                raise RuntimeError(f"{self.url} did not come up")
            time.sleep(0.005)


def serve(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Serve in the background; port 0 takes a free one. Raises OSError when the port is taken."""
    return Server(app, host, port)


def run(app: ASGIApp, host: str, port: int, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve in the foreground until interrupted; `ready` is called with the URL. Raises OSError when the port is taken."""
    with _listen(host, port) as listening:
        ready(_url(listening, host))
        _uvicorn(app).run(sockets=[listening])


def _uvicorn(app: ASGIApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,  # the logging of this process is not ours to set up
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)


def _url(listening: socket.socket, host: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"
