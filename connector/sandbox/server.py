"""Puts an app on a port: in a thread of this process, or in the foreground until interrupted."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Self

import uvicorn
from starlette.types import ASGIApp

START = 10.0
"""Seconds an app has to come up."""


class Server:
    """An app served from a thread of its own. `url` is known at once, and answers."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.url = _url(self._socket, host)
        self._server = _uvicorn(app)
        self._thread = threading.Thread(target=self._run, name=f"sandbox {self.url}", daemon=True)
        self._started = threading.Event()
        self._thread.start()
        if not self._started.wait(START):
            raise RuntimeError(f"{self.url} did not come up")

    def stop(self) -> None:
        """Stop serving; what is being answered gets a second to finish. Stopping twice is fine."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        asyncio.get_running_loop().call_soon(self._started.set)
        await self._server.serve(sockets=[self._socket])


def serve(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Serve in the background; port 0 takes a free one. Raises OSError when the port is taken."""
    return Server(app, host, port)


def run(app: ASGIApp, host: str, port: int, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve in the foreground until interrupted; `ready` is called with the URL. Raises OSError when the port is taken."""
    listening = _listen(host, port)
    server = _uvicorn(app)
    with listening:
        ready(_url(listening, host))
        server.run(sockets=[listening])


def _uvicorn(app: ASGIApp) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    listening.set_inheritable(True)
    return listening


def _url(listening: socket.socket, host: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"
