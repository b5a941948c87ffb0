"""The command line: `connector COMMAND`. One module a group of commands; `main` turns failures into one line and an exit code.

Commands read options, call `sync` or `store`, and print. Nothing is decided here.
"""

from connector.cli.app import main

__all__ = ["main"]
