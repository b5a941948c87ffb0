"""Why a server could not be reached, in words for whoever runs the connector. Nothing of a request but scheme, host and port."""

import socket
import ssl
from collections.abc import Iterator
from http.client import RemoteDisconnected
from urllib.parse import urlsplit


def trouble(url: str, error: BaseException, way_out: str) -> str:
    """`http://host:1 cannot be reached (connection refused): look at ...`. way_out: what is to be looked at."""
    return f"{_server(url)} {_what(error)}: {way_out}"


def _server(url: str) -> str:
    """Neither path nor credentials: a path may hold a person's address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _what(error: BaseException) -> str:
    """The innermost reason counts: clients wrap it in their own errors, of which the name alone says little."""
    chain = list(_causes(error))
    for kind, words in REASONS:
        if any(isinstance(one, kind) if isinstance(kind, type) else kind in type(one).__name__ for one in chain):
            return words
    return f"cannot be reached ({type(error).__name__})"


REASONS: tuple[tuple[type[BaseException] | str, str], ...] = (
    (ssl.SSLCertVerificationError, "cannot be trusted (TLS: its certificate is not valid here)"),
    (ssl.SSLError, "cannot be reached (TLS: the two do not agree on a connection)"),
    ("SSLError", "cannot be reached (TLS: the two do not agree on a connection)"),
    (socket.gaierror, "cannot be reached (no such host)"),
    ("NameResolutionError", "cannot be reached (no such host)"),
    ("LocationParseError", "cannot be reached (no such host)"),
    (ConnectionRefusedError, "cannot be reached (connection refused)"),
    ("ConnectTimeout", "cannot be reached (no answer in time)"),
    (TimeoutError, "does not answer in time"),
    ("Timeout", "does not answer in time"),
    (RemoteDisconnected, "broke the connection off"),
    (ConnectionError, "broke the connection off"),
    ("ProtocolError", "broke the connection off"),
    ("ChunkedEncodingError", "broke the connection off"),
    ("ConnectionError", "cannot be reached (no connection)"),
)
"""What went wrong, by the type or a part of its name, and how we say it: the first that is found."""


def _causes(error: BaseException, depth: int = 8) -> Iterator[BaseException]:
    """The error, what it came from and what it holds."""
    if depth == 0:
        return
    yield error
    for one in (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args):
        if isinstance(one, BaseException):
            yield from _causes(one, depth - 1)
