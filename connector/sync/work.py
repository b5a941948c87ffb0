"""What the sync works with: the store, the CRM, the providers and their mappings. Handed in, never looked up."""

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from connector.crm.base import Crm
from connector.mapping.model import Mapping as FieldMapping
from connector.providers.base import Provider
from connector.settings import Brakes, Retries
from connector.sinks import Sink, open_sinks
from connector.store import Store
from connector.sync.options import KnownOptions
from connector.sync.types import Types

LEASE = timedelta(seconds=60)
"""How long a batch has before others may take its links over; renewed before each call to the outside."""

READERS = 8
"""Provider calls under way at once in one process: providers have no batches."""


def _nothing(where: str) -> None:
    """Called at each point where a crash would hurt most; simulations crash there."""


def silent() -> None:
    """Without a broker the sweep alone finds what is due."""


def here() -> str:
    """What a process id is unique in: containers may share a host's name, and hosts a name."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # no Linux, no containers
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text()[:8], os.readlink("/proc/self/ns/pid")[5:-1]]
    return ":".join(parts)


def place(error: BaseException) -> str:
    """Where in our code a mistake happened, without the message: that may hold a person's data."""
    trace = error.__traceback__
    found = trace
    while trace:
        if str(trace.tb_frame.f_globals.get("__name__")).startswith("connector."):
            found = trace
        trace = trace.tb_next
    return f"{found.tb_frame.f_code.co_filename}:{found.tb_lineno}" if found else "?"


@dataclass(frozen=True)
class Work:
    """One process's tools. `owner` names the process in leases; `ring` wakes another worker up; `reached` is for simulations."""

    store: Store
    crm: Crm
    providers: Mapping[str, Provider]
    mappings: Mapping[str, FieldMapping]
    retries: Retries = field(default_factory=Retries)
    brakes: Brakes = field(default_factory=Brakes)
    grace: timedelta = timedelta(seconds=60)
    owner: str = field(default_factory=lambda: f"{here()}/{os.getpid()}")
    ring: Callable[[], None] = silent
    reached: Callable[[str], None] = _nothing

    def holder(self) -> str:
        """A name for one holder of a lock: nobody else of this process goes by it."""
        return f"{self.owner}/{secrets.token_hex(6)}"

    @cached_property
    def types(self) -> Types:
        """The CRM's subscription types."""
        return Types(self.crm)

    @cached_property
    def options(self) -> KnownOptions:
        """The options of the CRM's properties."""
        return KnownOptions(self.crm)

    @cached_property
    def readers(self) -> ThreadPoolExecutor:
        """Threads for provider calls."""
        return ThreadPoolExecutor(READERS, thread_name_prefix="provider")

    @cached_property
    def sinks(self) -> tuple[Sink, ...]:
        """Where identity events go."""
        return open_sinks(self.crm, self.mappings)

    def id_property(self, provider: str) -> str:
        """The unique contact property that carries the ids of a provider's users."""
        return f"{provider}_user_id"
