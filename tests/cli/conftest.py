"""What the tests of commands share."""

import pytest
import structlog

from connector.cli.app import run


@pytest.fixture
def keyed(monkeypatch):
    """A `hash_key` is set, so that nothing is to be said of it."""
    monkeypatch.setenv("CONNECTOR_HASH_KEY", "0123456789abcdef")


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
