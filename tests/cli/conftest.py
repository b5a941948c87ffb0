"""What the tests of commands share."""

import pytest
import structlog

from connector.cli.app import run


@pytest.fixture
def connector(stack, capfd, monkeypatch):
    """Run a command in this process, in the folder of the test's `stack`: exit code, standard output, standard error."""
    monkeypatch.chdir(stack.folder)

    def command(*arguments):
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    yield command
    structlog.reset_defaults()  # a command sets up the logging of its process
