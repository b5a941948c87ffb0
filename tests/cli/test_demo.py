"""`demo`: what its lines say, and how it looks on a terminal."""

import io

from rich.console import Console

from connector.cli import demo
from connector.cli.traffic import Outcome, Step
from connector.store.history import Entry

STEP = Step("user", "Ada Lovelace", "registers", lambda: None, lambda: True)


def change(**told):
    return {"field": "typologies", "property": "member_types", "side": "contact", "from": None, "to": None, **told}


def test_of_a_set_what_was_gained_and_lost_is_told():
    update = Entry(1, "contact.update", changes=[change(**{"from": ["Consumer", "Trial"], "to": ["Consumer", "Press"]})])
    assert demo._words(update, None) == "contact updated: member_types gained Press and lost Trial"
    made = Entry(1, "contact.create", changes=[change(to=["Consumer"]), change(property="email", to="ada@example.com")])
    assert demo._words(made, None) == "contact created: member_types, email"


def test_a_line_on_a_terminal_of_80_columns_is_whole():
    file = io.StringIO()
    did = [f"contact 7 created: {', '.join(f'property_{number}' for number in range(12))}"]
    Console(file=file, width=80).print(demo._row(Outcome(STEP, 0.251), did))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith("251 ms")
    assert "identity provider: Ada Lovelace registers" in lines[0]
    assert all(f"property_{number}" in file.getvalue() for number in range(12))


def test_rows_scroll_and_the_note_stays_last():
    screen = demo._Screen()
    file = io.StringIO()
    screen._console.file = file
    with screen:
        for _ in range(30):
            screen.show(Outcome(STEP, 0.1), ["linked"])
        screen.tell("done.", goes_on=True)
        screen.end("done.")
    assert file.getvalue().count("Ada Lovelace registers") == 30
    assert file.getvalue().rstrip().endswith("done.")


def test_plain_lines_tell_how_to_end_only_while_it_goes_on(capsys):
    lines = demo._Lines()
    lines.tell("2 changes.", goes_on=True)
    lines.end("2 changes.")
    lines.tell("2 changes.", goes_on=False)
    assert capsys.readouterr().out.splitlines() == ["2 changes. Ctrl-C ends the demo.", "2 changes."]
