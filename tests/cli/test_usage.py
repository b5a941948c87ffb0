"""Wrong usage and ports that cannot be had: one line, an exit code, no traceback. And the version."""

import os
import signal
import socket
import subprocess
import time
from importlib.metadata import version

import pytest

from connector.cli.app import run

from ..e2e.stack import COMMAND, free_port

SERVERS = [("demo",), ("sandbox", "hubspot"), ("sandbox", "identity")]
servers = pytest.mark.parametrize("command", SERVERS, ids=" ".join)


def test_the_version_is_told(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"connector {version('crm-connector')}\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("schema",), "Missing argument 'which'. Choose from: mapping, config; see: connector schema --help"),
        (("schema", "foo"), "Invalid value for 'which': 'foo' is not one of 'mapping', 'config'; see: connector schema --help"),
        (("link", "list", "--state", "foo"), "Invalid value for '--state': 'foo' is not one of 'pending', 'active'"),
    ],
    ids=" ".join,
)
def test_a_wrong_choice_names_those_there_are(capsys, command, told):
    assert run([*command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(told)


@servers
def test_a_port_that_is_none_is_wrong_usage(capsys, command):
    assert run([*command, "--port", "99999"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@servers
def test_a_port_that_is_taken_is_told_in_one_way(capsys, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run([*command, "--port", str(port)]) == 6
    assert capsys.readouterr().err == (
        f"cannot listen on 127.0.0.1:{port} (Address already in use): another one running? choose a --port\n"
    )


@servers
def test_two_signals_at_once_end_it_without_a_traceback(command):
    """As `timeout -s INT` and terminals send them."""
    process = subprocess.Popen(
        [*COMMAND, *command, "--port", str(free_port())], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline().startswith("listening on ")
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    told, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (130, "")
    assert "did not arrive" not in told
