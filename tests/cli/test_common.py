"""How rows are laid out: a line each for `grep`, folded between words on a narrow terminal."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from connector.cli import common

COLUMNS = ("name", "reason")
ROWS = [("members:u-1", "a reason of several words, that goes on beyond what a narrow terminal has in a line")]


@pytest.fixture
def screen(monkeypatch):
    """What a terminal of so many columns shows."""

    def terminal(width):
        file = io.StringIO()
        monkeypatch.setattr(
            common, "out", Console(file=file, force_terminal=True, width=width, highlight=False, soft_wrap=True, no_color=True)
        )
        return file

    return terminal


def shown(file):
    return file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()


def test_a_row_is_one_line_in_a_pipe(capsys):
    common.print_rows(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines()[1] == "  ".join(ROWS[0])


def test_a_cell_is_folded_between_words(screen):
    file = screen(40)
    common.print_rows(COLUMNS, ROWS)
    lines = shown(file)
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40
    assert " ".join(line[13:] for line in lines[1:]) == ROWS[0][1]


def test_a_row_too_wide_for_that_is_a_block(screen):
    file = screen(40)
    columns = ("field", "property", "user", "contact", "state")
    common.print_rows(
        columns,
        [
            ("first_name", "firstname", "Augusta-Ada-King", "Augusta-Ada-King", "agreed"),
            ("phone", "phone", "", "600111222", "held"),
        ],
    )
    assert shown(file) == [
        "first_name",
        "  property firstname, user",
        "  Augusta-Ada-King, contact",
        "  Augusta-Ada-King, state agreed",
        "phone",
        "  property phone, contact 600111222,",
        "  state held",
    ]


def test_a_long_line_goes_on_further_in(screen):
    file = screen(30)
    common.print_line("waits since 14:37 UTC: members refused our credentials", 2)
    assert shown(file) == ["waits since 14:37 UTC: members", "  refused our credentials"]


ODD = "members:100: [red] [/b] :heart: \\[x]"


def test_what_people_wrote_is_printed_as_it_is(capsys):
    """Neither as colours nor as pictures: an id between colons is one."""
    common.print_pairs(ODD, {ODD: ODD})
    common.print_rows(("id", ODD), [(ODD, ODD)])
    common.print_line(ODD)
    told = capsys.readouterr().out
    assert told.splitlines() == [ODD, f"  {ODD}  {ODD}", f"id{' ' * (len(ODD) - 2)}  {ODD}", f"{ODD}  {ODD}", ODD]


def test_what_is_waited_for_is_told_as_it_is(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(common.sys, "stderr", file)
    monkeypatch.setattr(file, "isatty", lambda: True)
    with common.progress(quiet=False) as tell:
        tell(ODD, 1, 2)
    assert ODD in file.getvalue()


@pytest.mark.parametrize("path", sorted(Path(common.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_no_console_turns_text_into_pictures(path):
    """Rich does so unless it is told not to."""
    assert all("emoji=False" in given for given in re.findall(r"\bConsole\((.*)\)", path.read_text()))
