"""How rows are laid out: a line each for `grep`, folded between words on a narrow terminal."""

import io

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
