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
    for index, field in enumerate(mapping.fields):
        field._line = document.line(("fields", index))
    return mapping
