"""What other people wrote reaches an operator's terminal as text: it moves no cursor, sets no title and fakes no line."""

import io
import json

import pytest

from connector.cli import common
from connector.cli.common import Lines
from connector.model import ConsentState, LinkState
from connector.store import Store
from connector.store.history import Entry
from connector.store.ledger import LedgerRow

from ..e2e.stack import Stack

ODD = "a\x1b]0;title\x07b\nmembers:forged is fine\x9b31mc\u202ed\r\te"
SHOWN = r"a\x1b]0;title\x07b\nmembers:forged is fine\x9b31mc\u202ed\r\te"
HARMFUL = set(ODD) - set("\n") - set(SHOWN)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    one = Stack(tmp_path_factory.mktemp("odd"))
    yield one
    one.close()


@pytest.fixture
def person(stack, connector, request):
    """Somebody on both sides with odd words everywhere; the user's id."""
    user = stack.idp.register({"email": f"{abs(hash(request.node.name))}@example.com", "first_name": ODD, "last_name": ODD})
    assert connector("reconcile")[0] == 0
    with Store(f"sqlite:///{stack.folder / 'connector.db'}").write() as tx:
        link = tx.links.by_users("members", [user])[user]
        subject = tx.ledger.subject("members", user)
        tx.ledger.append([LedgerRow(link.id, "members", subject, "news", ConsentState.GRANTED, tx.now, source=ODD)])
        tx.links.notice(link.id, {"state": LinkState.HELD, "reason": ODD}, None)
        tx.parked.put(link.id, "firstname", ODD, 1)
        tx.history.add([Entry(link.id, "hold", answer=ODD)])
    return user


COMMANDS = [("show", "WHO"), ("explain", "WHO", "firstname"), ("consents", "WHO"), ("parked", "list"), ("link", "list")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_people_see_odd_characters_and_terminals_do_not(connector, person, command):
    words = [f"members:{person}" if word == "WHO" else word for word in command]
    code, out, _ = connector(*words)
    assert code == 0
    assert SHOWN in out
    assert not HARMFUL & set(out)
    assert not any(line.startswith("members:forged") for line in out.splitlines())
    told = connector(*words, "--json")[1]
    assert ODD in texts(json.loads(told))
    assert not HARMFUL & set(told)


def texts(value):
    """All texts in a JSON document."""
    if isinstance(value, dict | list):
        return [text for one in (value.values() if isinstance(value, dict) else value) for text in texts(one)]
    return [value]


def test_an_export_is_json_that_a_terminal_can_show(connector, person):
    out = connector("export", f"members:{person}")[1]
    assert ODD in texts(json.loads(out))
    assert not HARMFUL & set(out)


def test_errors_do_the_same(connector, person):
    code, _, err = connector("show", f"members:{ODD}")
    assert code == 1
    assert SHOWN in err
    assert not HARMFUL & set(err)
    assert not HARMFUL & set(connector("link", "unlink", f"members:{ODD}")[2])


@pytest.mark.parametrize("text", ["Zoë", "José María Núñez", "北京", "Ελλάδα", "مريم", "🙂", "a\\x1b"])
def test_what_can_be_shown_is_shown(capsys, text):
    common.print_line(text)
    common.print_rows(("name",), [(text,)])
    assert capsys.readouterr().out.splitlines() == [text, "name", text]


def test_on_a_terminal_too(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(common, "out", Lines(file=screen, force_terminal=True, width=30, soft_wrap=True, no_color=True))
    common.print_rows(("name", "reason"), [("x", f"{ODD} and more words")])
    common.print_line(ODD, 2)
    assert not HARMFUL & set(screen.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", ""))
