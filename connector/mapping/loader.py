"""Reads a mapping file."""

import hashlib
from pathlib import Path

from connector.mapping.model import Mapping
from connector.yamlfile import read, validate


def load(path: Path) -> Mapping:
    """Read one mapping. Raises ConfigError with everything that is wrong with it, each finding with file, line and column."""
    document = read(path)
    mapping = validate(document, Mapping)
    mapping._path = path
    mapping._sha256 = hashlib.sha256(document.raw).hexdigest()
    for name in ("fields", "consents"):
        for index, part in enumerate(getattr(mapping, name)):
            part._line = document.line((name, index))
    for name in ("typologies", "communicable", "events", "lifecycle"):
        if (part := getattr(mapping, name)) is not None:
            part._line = document.line((name,))
    return mapping
