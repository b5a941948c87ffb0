"""Wrong usage and ports that cannot be had: one line, an exit code, no traceback. And the version."""

import json
import os
import signal
import socket
import subprocess
import time
from importlib.metadata import version

import pytest
import typer

from connector.cli import database
from connector.cli.app import program, run

from ..e2e.stack import COMMAND, free_port

SERVERS = [("demo",), ("sandbox", "hubspot"), ("sandbox", "identity")]
GROUPS = sorted(name for name, one in typer.main.get_command(program).commands.items() if hasattr(one, "commands"))
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


ASKED = {
    ("parked", "retry"): ["--all"], ("parked", "drop"): ["1", "--reason", "done"],
    ("import", "users"): [__file__, "--provider", "x"],
    **{("link", name): ["x"] for name in ("hold", "release", "unlink", "relink")},
}  # fmt: skip
"""What commands of groups ask for beside --config and --json."""


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "sandbox"])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("config", [["--config", "no.yaml"], ["--config=no.yaml"]], ids=" ".join)
def test_global_options_stand_before_a_group_after_it_and_after_its_command(capsys, monkeypatch, tmp_path, group, place, config):
    """Each command is reached, and misses the file."""
    monkeypatch.chdir(tmp_path)
    for name, command in typer.main.get_command(program).commands[group].commands.items():
        shows = any("--json" in one.opts for one in command.params)
        words = [group, name]
        words[place:place] = config + ["--json"] * shows
        assert run([*words, *ASKED.get((group, name), [])]) == 3
        assert capsys.readouterr().err.startswith("no.yaml: no such file")


@pytest.mark.parametrize("place", range(3))
def test_a_sandbox_needs_no_configuration(capsys, place):
    words = ["sandbox", "hubspot"]
    words[place:place] = ["--config", "no.yaml"]
    assert run([*words, "--port", "99999"]) == 2
    assert capsys.readouterr().err.startswith("Invalid value for '--port'")


def test_an_option_before_a_command_is_not_taken_for_a_name(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["--config", "no.yaml", "show", "--", "--json"]) == 3
    assert capsys.readouterr().err.startswith("no.yaml: no such file")


@pytest.mark.parametrize("command", [("--json", "schema", "config"), ("schema", "--json", "--config", "no.yaml", "config")])
def test_a_schema_is_json_and_needs_no_configuration(capsys, command):
    assert run([*command]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_command_shows_its_help(capsys, group):
    assert run([group, "--json"]) == run([group]) == 2
    shown = capsys.readouterr()
    assert (shown.out.count(f"connector {group} [OPTIONS]"), shown.err) == (2, "")


def test_a_command_that_is_none_is_named_not_the_option(capsys):
    assert run(["parked", "--json", "frob"]) == 2
    assert capsys.readouterr().err == "No such command 'frob'; see: connector parked --help\n"


@pytest.mark.parametrize("who", ["", " ", "members:", ":u-1", ":"])
@pytest.mark.parametrize("command", [("show",), ("export",), ("link", "hold"), ("consents",), ("erase", "--yes")], ids=" ".join)
def test_who_cannot_be_anybody_is_wrong_usage(capsys, command, who):
    assert run([*command, who]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert f"'{who}' names nobody: give an email address, a contact id, or provider:user_id; see: connector {command[0]}" in told


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


def test_a_command_that_is_interrupted_says_so(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(database, "json_schema", interrupted)
    assert run(["schema", "mapping"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


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
    assert (process.returncode, complaint) == (130, "interrupted\n")
    assert "did not arrive" not in told


CONFIG = "crm: {portal_id: 1, access_token: pat-test-0001, webhook_secret: hush-hush}\n"


@pytest.mark.parametrize(
    ("setting", "commands"),
    [
        ("database_url: postgresql://u@127.0.0.1:9/db?no_such=hush", [["check"], ["status"], ["db", "current"]]),
        ("broker_url: redis://127.0.0.1:9/0?socket_timeout=hush", [["check"], ["doctor"]]),
    ],
)
def test_an_address_that_its_client_does_not_take_is_told_offline(capsys, monkeypatch, tmp_path, setting, commands):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(f"{CONFIG}{setting}\n")
    for command in commands:
        assert run(command) == 3
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith(f"config.yaml:2:{setting.index(' ') + 2}: {setting.split()[0]} the ")
        assert "hush" not in told
