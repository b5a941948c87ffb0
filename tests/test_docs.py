"""What the documents say is so: commands, links, settings, messages, headings and the set-up commands."""

import ast
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import typer

from connector.cli import app
from connector.mapping.loader import load
from connector.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/*.md"))
SETUP = ("pip install -c constraints.txt -e . && connector demo", "pip install -c constraints.txt -e '.[test]' && pytest")
PROGRAM = typer.main.get_command(app.program)

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
decisions = pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code(path: Path) -> Iterator[str]:
    """Blocks of code, and code within lines."""
    fenced = r"^ *```\w*\n(.*?)^ *```$"
    yield from re.findall(fenced, text(path), re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", re.sub(fenced, "", text(path), flags=re.DOTALL | re.MULTILINE))


def lines_with(path: Path, program: str) -> Iterator[list[str]]:
    """The words after `program` wherever code calls it; `a|b` as it stands."""
    for block in code(path):
        for found in re.finditer(rf"(?:^|[\s(]){program} +([^#\n&;()]+)", block, re.MULTILINE):
            yield found[1].split()


def commands(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Each command named, as its path in the program, with the options named along with it."""
    for words in lines_with(path, "connector"):
        for command, rest in resolved(PROGRAM, words):
            yield command, [word.split("=")[0] for word in rest if word.startswith("--")]


def resolved(command: Any, words: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """The command that words lead to, and the words after it: `parked list|retry` are two."""
    if not hasattr(command, "commands") or not words or not re.fullmatch(r"[a-z][a-z|]*", words[0]):
        yield [], words
        return
    for name in words[0].split("|"):
        known = command.commands.get(name)
        for path, rest in resolved(known, words[1:]) if known else [([], words[1:])]:
            yield [name, *path], rest


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield " ".join(path)
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


def rows(section: str) -> list[list[str]]:
    """The cells of a section's tables, without their heads."""
    tables = re.findall(r"^\|.*\n\|[-| ]+\|\n((?:\|.*\n?)+)", section, re.MULTILINE)
    return [re.split(r" *(?<!\\)\| *", line.strip("| ")) for table in tables for line in table.splitlines()]


def section(path: Path, heading: str) -> str:
    return re.split(r"^## ", text(path).split(f"\n## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


@documents
def test_every_command_is_there(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, _ in commands(document):
        assert app.run([*command, "--help"]) == 0, f"connector {' '.join(command)}: {capsys.readouterr().err}"


@documents
def test_every_option_is_there(document: Path) -> None:
    for path, options in commands(document):
        command: Any = PROGRAM
        for name in path:
            command = command.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options) <= known | {"--help"}, f"connector {' '.join(path)}"


def test_the_readme_names_all_commands_and_no_others() -> None:
    named = {cell.strip("`") for cell, *_ in rows(section(ROOT / "README.md", "Commands")) if cell.startswith("`")}
    assert named == set(leaves(PROGRAM))


def test_the_readme_names_all_exit_codes() -> None:
    named = {int(cell) for cell, *_ in rows(section(ROOT / "README.md", "Commands")) if cell.isdigit()}
    assert named == {app.FINE, app.PROBLEMS, app.USAGE, app.INTERRUPTED, app.TERMINATED, *app.EXIT_CODES.values()}


def test_the_walk_through_the_sandboxes_has_a_mapping_for_all_its_steps(tmp_path: Path) -> None:
    """As its own command makes it."""
    (command,) = re.findall(r"^sed -E .*\\\n.*mappings/members\.yaml$", text(ROOT / "docs" / "operating.md"), re.MULTILINE)
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    mapping = load(tmp_path / "mappings" / "members.yaml")
    assert [(one.consent, one.subscription) for one in mapping.consents] == [("newsletter", "Newsletter")]
    assert mapping.typologies is not None
    assert set(mapping.typologies.values) == {"consumer", "press"}
    assert (mapping.events.as_, "user.login" in mapping.events.types) == ("custom_event", True)


@documents
def test_every_link_leads_somewhere(document: Path) -> None:
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "", text(document), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", without_code):
        name, _, anchor = "".join(target).partition("#")
        if re.match(r"\w+:", name):
            continue
        there = document.parent / name if name else document
        assert there.exists(), f"{document.name}: {name}"
        assert not anchor or anchor in anchors(there), f"{document.name}: {name}#{anchor}"


def anchors(path: Path) -> set[str]:
    """The names by which headings are linked to."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text(path), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@decisions
def test_a_decision_has_problem_choice_and_price(decision: Path) -> None:
    assert re.findall(r"^## (.*)$", text(decision), re.MULTILINE) == ["Problem", "Choice", "Price"]
    assert text(decision).startswith(f"# {int(decision.stem[:4])}. ")


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.stem[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.match(r"[\w.-]+", one)[0] for one in wanted} - {project["name"]}  # type: ignore[index]
    told = re.findall(r"[\w-]+(?:\.[\w-]+)*", text(ROOT / "docs" / "decisions" / "0005-dependencies.md"))
    assert {name for name in names if not name.startswith("types-")} <= set(told)


@pytest.mark.parametrize("command", SETUP)
def test_a_set_up_command_stands_in_the_readme_to_the_letter(command: str) -> None:
    assert f"```sh\n{command}\n```" in text(ROOT / "README.md")


def test_ci_finds_the_test_command() -> None:
    """As .ci/run does: the one line of the marked block that begins with pip install."""
    blocks = re.findall(r"<!-- test command -->\n```sh\n(.*?)^```$", text(ROOT / "README.md"), re.DOTALL | re.MULTILINE)
    assert blocks == [f"{SETUP[1]}\n"]


@documents
def test_every_setting_is_there(document: Path) -> None:
    """`brakes.deletes` in a text is a setting, if its first part is a section of the configuration."""
    for block in code(document):
        for top, key in re.findall(r"(?<![\w./@-])([a-z_]+)\.([a-z0-9_]+)(?![\w(*/.])", block):
            model = getattr(Settings.model_fields.get(top), "annotation", None)
            if isinstance(model, type) and hasattr(model, "model_fields"):
                assert key in model.model_fields, f"{document.name}: {top}.{key}"


def test_every_message_in_the_troubleshooting_is_one_of_ours() -> None:
    """The parts between the marks of omission stand in the program."""
    ours = "\n".join(literals())
    for cell, *_ in rows(section(ROOT / "docs" / "operating.md", "Troubleshooting")):
        for message in re.findall(r"`([^`]+)`", cell):
            for part in message.split("…"):
                assert part.strip(" :;,.'") in ours, message


def test_every_log_line_named_is_one_of_ours() -> None:
    ours = set(literals())
    for cell, *_ in rows(section(ROOT / "docs" / "operating.md", "Monitoring")):
        for name in re.findall(r"`([a-z]+\.[a-z]+|hubspot [a-z ]+)`", cell):
            assert name in ours, name


def test_every_log_line_is_named() -> None:
    cells = [cell for cell, *_ in rows(section(ROOT / "docs" / "operating.md", "Monitoring"))]
    assert set(logged()) <= {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def logged() -> Iterator[str]:
    """What each call of a logger says happened; the sandboxes are none of an operator's."""
    for path in sorted((ROOT / "connector").rglob("*.py")):
        nodes = ast.walk(ast.parse(text(path))) if "sandbox" not in path.parts else ()
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "log":
                event = call.args[0]
                parts = (event.body, event.orelse) if isinstance(event, ast.IfExp) else (event,)
                yield from (str(part.value) for part in parts if isinstance(part, ast.Constant))


@cache
def literals() -> tuple[str, ...]:
    """Texts in the program's source; an f-string gives its parts."""
    return tuple(
        node.value
        for path in sorted((ROOT / "connector").rglob("*.py"))
        for node in ast.walk(ast.parse(text(path)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


TESTS = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", "".join(text(path) for path in sorted(ROOT.glob("docs/**/*.md"))))


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_as_proof_exists(file: str, name: str) -> None:
    found = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    assert not name or name in {node.name for node in found if isinstance(node, ast.FunctionDef)}


def test_the_backup_is_private_and_replaces_the_former_one_when_it_is_complete(migrated_file: Path, tmp_path: Path) -> None:
    (command,) = re.findall(r"```sh\n(.*?)```", section(ROOT / "docs" / "operating.md", "Backups"), flags=re.DOTALL)
    run = partial(subprocess.run, ["sh", "-c", command], cwd=tmp_path, umask=0o022, capture_output=True)
    shutil.copy(migrated_file, tmp_path / "connector.db")
    backup = tmp_path / "backup.db"
    for _ in range(2):
        (tmp_path / "backup.db.new").write_text("what an interrupted one left")
        assert run().returncode == 0
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        assert backup.read_bytes()[:15] == b"SQLite format 3"
    (tmp_path / "connector.db").unlink()
    whole = backup.read_bytes()
    assert run().returncode != 0
    assert backup.read_bytes() == whole
    assert not (tmp_path / "connector.db").exists()
