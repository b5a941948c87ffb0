"""Kinds of provider that other packages bring along, by the entry-point group `connector.providers`.

An entry point's name is the kind, what it points to is called as `from_settings(name, settings) -> Provider`. Looking which there
are imports nothing of theirs; a package that cannot be imported harms only who configured its kind.
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from connector.errors import ConfigError

GROUP = "connector.providers"


@cache
def found() -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of each kind: one, unless two packages bring the same kind."""
    kinds: dict[str, tuple[EntryPoint, ...]] = {}
    for one in entry_points(group=GROUP):
        kinds[one.name] = (*kinds.get(one.name, ()), one)
    return kinds


def load(kind: str) -> Callable[..., Any]:
    """What makes providers of a kind. Raises ConfigError when it is missing, broken, or there twice."""
    candidates = found().get(kind, ())
    if len(candidates) > 1:
        packages = ", ".join(sorted(_package(one) for one in candidates))
        raise ConfigError(f"kind: '{kind}' is brought along by several packages: {packages}; keep one")
    if not candidates:
        raise ConfigError(f"kind: '{kind}' is not installed; its package has an entry point in the group {GROUP}")
    where = f"kind: '{kind}' is broken: {candidates[0].value} (package {_package(candidates[0])})"
    try:
        made: Callable[..., Any] = candidates[0].load()
    except Exception as error:  # whatever a stranger's module does when it is imported
        raise ConfigError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(made):
        raise ConfigError(f"{where} is no function")
    return made


def _package(one: EntryPoint) -> str:
    return one.dist.name if one.dist else "unknown"
