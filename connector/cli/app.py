"""The program: its commands, and what a failure looks like to a person and to a script."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from connector.cli import check, database, demo, doctor, explain, import_, look, people, reconcile, repair, sandbox, up
from connector.cli.logs import quiet_logs
from connector.cli.words import with_way_out
from connector.errors import Braked, ConfigError, ConnectorError, Locked, Transient
from connector.yamlfile import plain

FINE, PROBLEMS, USAGE, CONFIG, UNREACHABLE, BRAKED, LOCKED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 4, 5, 6, 130, 143

EXIT_CODES: dict[type[Exception], int] = {
    ConfigError: CONFIG,
    Braked: BRAKED,
    Locked: LOCKED,
    Transient: UNREACHABLE,
    ConnectorError: PROBLEMS,
}

UsageError: type[typer.BadParameter] = typer.BadParameter.__bases__[0]
"""What the command line raises for words it does not understand."""

GLOBAL = ("--config", "--json")
"""Options that may stand anywhere before the command as well as after it."""

program = typer.Typer(
    name="connector",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"connector {version('crm-connector')}")
        raise typer.Exit


@program.callback()
def _program(
    tell_version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Keeps an identity provider's users and a HubSpot portal's contacts in agreement, both ways."""


for module in (demo, up, check, doctor, reconcile, import_, look, explain, people, repair, database, sandbox):
    module.add_to(program)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit. 0 fine, 1 problems found, 2 usage, 3 configuration, 4 unreachable, 5 braked, 6 locked."""
    signal.signal(signal.SIGTERM, _terminate)
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    if code == TERMINATED:  # a supervisor asks what ended us, and takes 143 for a failure
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    sys.exit(code)


class _Terminated(SystemExit):
    """SIGTERM, as an exception: whoever holds a lock or a lease gives it back on the way out."""


def _terminate(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough; a second one would cut off the way out
    raise _Terminated(TERMINATED)


def run(arguments: list[str]) -> int:
    """Run one command; every failure is one line on standard error. Returns the exit code."""
    quiet_logs(logging.WARNING)
    try:
        command = typer.main.get_command(program)
        result = command.main(_commands_first(command, arguments), prog_name="connector", standalone_mode=False)
        sys.stdout.flush()
        if result == INTERRUPTED:  # Typer makes it of Ctrl-C, without a word
            return _complain("interrupted", INTERRUPTED)
        return result if isinstance(result, int) else FINE
    except UsageError as error:
        if not arguments or error.format_message().strip() == "":
            return USAGE  # the help was printed
        hint = error.ctx.command_path if error.ctx else "connector"
        message = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
        return _complain(f"{message}; see: {hint} --help", USAGE)
    except (typer.Abort, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    except _Terminated:
        return _complain("terminated", TERMINATED)
    except ConnectorError as error:
        return _complain(with_way_out(str(error)), next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEMS
    except OSError as error:
        return _complain(f"{error.filename or 'system'}: {error.strerror or error}", PROBLEMS)


def _complain(message: str, code: int) -> int:
    print("\n".join(plain(line) for line in message.split("\n") if line.strip()), file=sys.stderr)
    return code


def _commands_first(program: Any, arguments: Sequence[str]) -> list[str]:
    """`connector --json parked list` and `connector parked --json list` are `connector parked list --json`.

    Where there is no command, what is wrong, or asked for, is told without them.
    """
    words, moved, rest = [], [], list(arguments)
    below = program
    while rest and hasattr(below, "commands"):
        if rest[0].partition("=")[0] not in GLOBAL:
            words.append(rest.pop(0))
            below = below.commands.get(words[-1])
            continue
        moved.append(rest.pop(0))
        if moved[-1] == "--config" and rest:
            moved.append(rest.pop(0))
    reached = below is not None and not hasattr(below, "commands")
    return [*words, *(moved if reached else ()), *rest]
