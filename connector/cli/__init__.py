"""The command line: `connector COMMAND`. One module a group of commands; `main` turns failures into one line and an exit code.

Commands read options, call `sync` or `store`, and print. Nothing is decided here.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the program, which takes a moment, and run it; see `app.main`. Exits."""
    try:
        from connector.cli import app
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    app.main(arguments)
