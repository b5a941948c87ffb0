"""Reads a mapping file."""

import hashlib
from pathlib import Path

from connector.mapping.model import Mapping, Part
from connector.yamlfile import read, validate
from connector.yamlwords import Loc

NAMES = {
    "purpose": "name a consent",
    "consent": "name a consent",
    "subscription": "name a subscription type",
    "property": "name a property",
    "contact": "name a property",
    "user": "name a user field",
}
"""What is wanted behind a key; others: a value."""


def load(path: Path) -> Mapping:
    """Read one mapping. Raises ConfigError with everything that is wrong with it, each finding with file, line and column."""
    document = read(path)
    mapping = validate(document, Mapping, blank=_blank)
    mapping._path = path
    mapping._document = document
    mapping._sha256 = hashlib.sha256(document.raw).hexdigest()
    for name in ("fields", "consents"):
        for index, part in enumerate(getattr(mapping, name)):
            _place(part, (name, index), document.line((name, index)))
    for name in ("typologies", "communicable", "events", "lifecycle"):
        if (part := getattr(mapping, name)) is not None:
            _place(part, (name,), document.line((name,)))
    return mapping


def _place(part: Part, loc: Loc, line: int) -> None:
    part._loc, part._line = loc, line


def _blank(loc: Loc) -> str:
    """The way out for a key with nothing behind it: not even a blank `purpose` means that no consent is needed."""
    return f"{NAMES.get(str(loc[-1]), 'give it a value')}, or leave the key out"
