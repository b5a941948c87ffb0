"""What follows for one field: each policy, direction and blank rule, for a known base and for a first meeting."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.engine.decide import Decision, Sides, Times, decide
from connector.engine.normalise import Reading
from connector.mapping.model import Blank, Conflict, Direction, Field

FIRST = object()
"""In place of a base: the two values meet for the first time."""
EARLY = datetime(2026, 11, 1, tzinfo=UTC)
LATE = EARLY + timedelta(seconds=1)


def field(**more):
    return Field(user="custom.any", contact="any", **{"conflict": "user", "on_blank": "clear", **more})


def sides(base, user, contact, strange_user=(), strange_contact=()):
    known = base is not FIRST
    return Sides(base if known else None, known, Reading(user, strange_user), Reading(contact, strange_contact))


def decided(rule, base, user, contact, times=Times(), fallback="user"):
    return decide(rule, sides(base, user, contact), times, fallback)


def effect(decision):
    """In short: where is something written, is it held or drift, is there a base afterwards, and which."""
    if decision.needs_times:
        return "asks for times"
    words = [f"contact={decision.to_contact}"] if decision.writes_contact else []
    words += [f"user={decision.to_user}"] if decision.writes_user else []
    words += ["held"] if decision.held else []
    words += [f"lacks={decision.lacks}"] if decision.lacks else []
    words += ["drift"] if decision.drift else []
    base = f"base={decision.agreed}" if decision.settled else "no base"
    return " ".join([*words, base])


@pytest.mark.parametrize(("rule", "base", "user", "contact", "expected"), [
    # one side moved
    ({}, "a", "b", "a", "contact=b base=b"),
    ({}, "a", "a", "b", "user=b base=b"),
    ({}, "a", "b", "b", "base=b"),
    ({}, "a", "a", "a", "base=a"),
    ({"direction": "to_contact"}, "a", "b", "a", "contact=b base=b"),
    ({"direction": "to_contact"}, "a", "a", "b", "drift base=a"),
    ({"direction": "to_contact", "enforce": True}, "a", "a", "b", "contact=a base=a"),
    ({"direction": "to_user"}, "a", "a", "b", "user=b base=b"),
    ({"direction": "to_user"}, "a", "b", "a", "drift base=a"),
    # a blank on one side
    ({}, "a", None, "a", "contact=None base=None"),
    ({}, "a", "a", None, "user=None base=None"),
    ({"on_blank": "keep"}, "a", None, "a", "drift base=a"),
    ({"on_blank": "keep"}, "a", "a", None, "drift base=a"),
    ({"on_blank": "keep"}, "a", None, "b", "user=b base=b"),
    ({"on_blank": "keep"}, "a", "b", None, "contact=b base=b"),
    ({"on_blank": "keep"}, "a", None, None, "base=None"),
    ({"on_blank": "keep"}, None, "b", None, "contact=b base=b"),
    ({"on_blank": "keep", "direction": "to_contact"}, "a", None, "a", "drift base=a"),
    ({"on_blank": "keep", "direction": "to_contact"}, "a", "b", None, "contact=b base=b"),
    ({"on_blank": "keep", "direction": "to_contact", "enforce": True}, "a", None, "b", "drift base=a"),
    ({"direction": "to_contact"}, "a", "a", None, "drift base=a"),
    ({"direction": "to_contact", "enforce": True, "on_blank": "keep"}, "a", "a", None, "contact=a base=a"),
    ({"direction": "to_user"}, "a", "a", None, "user=None base=None"),
    ({"on_blank": "keep", "direction": "to_user"}, "a", "a", None, "drift base=a"),
    # both moved
    ({}, "a", "b", "c", "contact=b base=b"),
    ({"conflict": "contact"}, "a", "b", "c", "user=c base=c"),
    ({"conflict": "hold"}, "a", "b", "c", "held base=a"),
    ({"direction": "to_contact", "conflict": "contact"}, "a", "b", "c", "contact=b base=b"),
    ({"direction": "to_user", "conflict": "user"}, "a", "b", "c", "user=c base=c"),
    ({}, "a", None, "c", "contact=None base=None"),
    ({"conflict": "contact"}, "a", "b", None, "user=None base=None"),
    ({"conflict": "hold"}, "a", None, "c", "held base=a"),
    # first meeting
    ({}, FIRST, "a", "a", "base=a"),
    ({}, FIRST, None, None, "base=None"),
    ({}, FIRST, "a", None, "contact=a base=a"),
    ({}, FIRST, None, "a", "user=a base=a"),
    ({"on_blank": "keep"}, FIRST, "a", None, "contact=a base=a"),
    ({}, FIRST, "a", "b", "contact=a base=a"),
    ({"conflict": "contact"}, FIRST, "a", "b", "user=b base=b"),
    ({"conflict": "hold"}, FIRST, "a", "b", "held no base"),
    ({"direction": "to_contact"}, FIRST, "a", "b", "contact=a base=a"),
    ({"direction": "to_contact"}, FIRST, None, "b", "drift no base"),
    ({"direction": "to_contact", "enforce": True}, FIRST, None, "b", "drift no base"),
    ({"direction": "to_user"}, FIRST, "a", "b", "user=b base=b"),
    ({"direction": "to_user"}, FIRST, "a", None, "drift no base"),
])  # fmt: skip
def test_decide(rule, base, user, contact, expected):
    assert effect(decided(field(**rule), base, user, contact)) == expected


@pytest.mark.parametrize(("times", "fallback", "expected"), [
    (None, "user", "asks for times"),
    (Times(EARLY, LATE), "user", "user=c base=c"),
    (Times(LATE, EARLY), "contact", "contact=b base=b"),
    (Times(LATE, LATE), "user", "contact=b base=b"),
    (Times(LATE, LATE), "contact", "user=c base=c"),
    (Times(None, LATE), "user", "contact=b base=b"),
    (Times(LATE, None), "contact", "user=c base=c"),
    (Times(None, None), "hold", "held base=a"),
])  # fmt: skip
def test_the_newest_wins_and_where_no_time_tells_the_fallback(times, fallback, expected):
    assert effect(decided(field(conflict="newest"), "a", "b", "c", times, fallback)) == expected


def test_a_conflict_says_so_for_the_history():
    decision = decided(field(), "a", "b", "c")
    assert decision.conflict
    assert decision.rule == "both changed; conflict: user"


def test_one_side_moving_is_no_conflict():
    assert not decided(field(), "a", "b", "a").conflict


@pytest.mark.parametrize(("rule", "strange", "held"), [
    ({}, {"strange_user": ("FR",)}, True),
    ({}, {"strange_contact": ("France",)}, True),
    ({"direction": "to_contact"}, {"strange_contact": ("France",)}, False),
    ({"direction": "to_contact"}, {"strange_user": ("FR",)}, True),
])  # fmt: skip
def test_an_unknown_option_is_held_where_it_would_have_to_be_read(rule, strange, held):
    rule = field(type="choice", values={"ES": "Spain", "NO": "Norway"}, **rule)
    decision = decide(rule, sides("Spain", "Norway", "Spain", **strange), Times(), "user")
    assert bool(decision.held) == held
    assert decision.writes_contact != held


@pytest.mark.parametrize(("rule", "base", "user", "contact", "expected"), [
    ({}, ("a",), ("a", "b"), ("a", "c"), "contact=('a', 'b', 'c') user=('a', 'b', 'c') base=('a', 'b', 'c')"),
    ({}, ("a", "b"), ("a",), ("a", "b"), "contact=('a',) base=('a',)"),
    ({}, ("a",), None, ("a",), "contact=None base=None"),
    ({"on_blank": "keep"}, ("a",), None, ("a",), "drift base=('a',)"),
    ({"on_blank": "keep"}, ("a",), None, ("a", "b"), "user=('a', 'b') base=('a', 'b')"),
    ({}, FIRST, ("a",), ("b",), "contact=('a', 'b') user=('a', 'b') base=('a', 'b')"),
    ({"direction": "to_contact"}, ("a",), ("a", "b"), ("a", "x"), "contact=('a', 'b', 'x') drift base=('a', 'b')"),
    ({"direction": "to_contact"}, ("a",), ("a",), ("a", "x"), "drift base=('a',)"),
    ({"direction": "to_contact", "enforce": True}, ("a",), ("a",), ("a", "x"), "contact=('a',) base=('a',)"),
    ({"direction": "to_contact", "enforce": True, "on_blank": "keep"}, ("a",), ("a",), None, "contact=('a',) base=('a',)"),
    ({"direction": "to_contact", "enforce": True, "on_blank": "keep"}, ("a",), None, ("x",), "drift base=('a',)"),
    ({"direction": "to_contact", "enforce": True}, ("a",), None, ("x",), "contact=None base=None"),
    ({"direction": "to_contact", "enforce": True}, FIRST, None, ("x",), "drift no base"),
    ({"direction": "to_user"}, ("a",), ("a", "x"), ("a", "b"), "user=('a', 'b', 'x') drift base=('a', 'b')"),
])  # fmt: skip
def test_sets_are_merged_element_by_element(rule, base, user, contact, expected):
    assert effect(decided(field(type="set", **rule), base, user, contact)) == expected


def test_an_option_only_the_crm_knows_survives_our_writing():
    rule = field(type="set", values={"film": "Film", "sport": "Sport"})
    decision = decide(rule, sides(("Film",), ("Film", "Sport"), ("Film",), strange_contact=("Chess",)), Times(), "user")
    assert decision.to_contact == ("Chess", "Film", "Sport")
    assert "Chess" in decision.held


@pytest.mark.parametrize(("rule", "base", "user", "contact", "expected"), [
    ({}, ("a",), ("a", "b", "x"), ("a",), "contact=('a', 'b') lacks=('x',) base=('a', 'b')"),
    ({}, FIRST, ("a", "x"), None, "contact=('a',) lacks=('x',) base=('a',)"),
    ({}, FIRST, ("x",), None, "lacks=('x',) base=None"),
    ({}, ("a",), ("a", "x"), ("a", "c"), "user=('a', 'c', 'x') lacks=('x',) base=('a', 'c')"),
    ({}, ("a",), ("a", "x"), ("a",), "lacks=('x',) base=('a',)"),
    ({}, ("a",), ("a", "x"), ("a", "x"), "base=('a', 'x')"),
    ({}, ("a", "x"), ("a", "x"), ("a",), "user=('a',) base=('a',)"),
    ({}, ("a", "x"), ("a",), ("a", "x"), "contact=('a',) base=('a',)"),
    ({}, ("a",), ("x",), ("a",), "contact=None lacks=('x',) base=None"),
    ({"on_blank": "keep"}, ("a",), ("a", "x"), None, "lacks=('x',) drift base=('a',)"),
    ({"on_blank": "keep"}, None, ("x",), None, "lacks=('x',) base=None"),
    ({"on_blank": "keep"}, ("x",), ("x",), None, "drift base=('x',)"),
    ({"direction": "to_contact"}, ("a",), ("a", "b", "x"), ("a",), "contact=('a', 'b') lacks=('x',) base=('a', 'b')"),
    ({"direction": "to_contact", "enforce": True}, ("a", "x"), ("a", "x"), ("a",), "lacks=('x',) base=('a',)"),
    ({"direction": "to_user"}, ("a",), ("a", "x"), ("a",), "drift base=('a',)"),
])  # fmt: skip
def test_an_option_the_portal_lacks_is_neither_written_nor_agreed_and_the_others_are(rule, base, user, contact, expected):
    decision = decide(field(type="set", **rule), sides(base, user, contact), Times(), "user", frozenset("abc"))
    assert effect(decision) == expected
    assert not decision.lacks or decision.rule.endswith(", but for 'x', which the portal lacks")


def test_what_the_contact_has_stays_there_even_if_the_portal_has_no_such_option_any_more():
    """Leaving it out would take it away; HubSpot says whether it can be written."""
    decision = decide(field(type="set"), sides(("x",), ("a", "x"), ("x",)), Times(), "user", frozenset("abc"))
    assert (decision.to_contact, decision.lacks) == (("a", "x"), ())


def test_a_choice_the_portal_lacks_is_for_the_portal_to_refuse():
    decision = decide(field(type="choice"), sides("a", "x", "a"), Times(), "user", frozenset("abc"))
    assert (decision.to_contact, decision.lacks) == ("x", ())


VALUES = st.sampled_from([None, "a", "b", "c"])
SETS = st.frozensets(st.sampled_from("abc")).map(lambda found: tuple(sorted(found)) or None)
TIMES = st.sampled_from([Times(), Times(EARLY, LATE), Times(LATE, EARLY)])


@st.composite
def situations(draw):
    """Any rule and any base, user and contact."""
    direction = draw(st.sampled_from(list(Direction)))
    type_ = draw(st.sampled_from(["text", "set"]))
    values = SETS if type_ == "set" else VALUES
    rule = field(
        type=type_, direction=direction, conflict=draw(st.sampled_from(list(Conflict))), on_blank=draw(st.sampled_from(list(Blank))),
        enforce=direction == "to_contact" and draw(st.booleans()),
    )  # fmt: skip
    base = draw(st.one_of(st.just(FIRST), values))
    return rule, sides(base, draw(values), draw(values)), draw(TIMES)


def after(decision: Decision) -> Sides:
    """The field once its writes are made."""
    told = decision.sides
    return Sides(
        decision.agreed if decision.settled else told.base, decision.settled,
        Reading(decision.to_user) if decision.writes_user else told.user,
        Reading(decision.to_contact) if decision.writes_contact else told.contact,
    )  # fmt: skip


@given(situations())
def test_what_was_decided_once_needs_nothing_more(situation):
    rule, before, times = situation
    again = decide(rule, after(decide(rule, before, times, "user")), times, "user")
    assert (again.writes_contact, again.writes_user) == (False, False)


@given(situations())
def test_a_difference_that_stays_is_held_or_told_as_drift(situation):
    rule, before, times = situation
    again = decide(rule, after(decide(rule, before, times, "user")), times, "user")
    assert bool(again.held or again.drift) == (again.sides.user != again.sides.contact)


@given(situations())
def test_a_side_the_direction_spares_is_never_written(situation):
    rule, before, times = situation
    decision = decide(rule, before, times, "user")
    assert not (decision.writes_user and rule.direction == "to_contact")
    assert not (decision.writes_contact and rule.direction == "to_user")


@given(situations())
def test_a_write_changes_something(situation):
    rule, before, times = situation
    decision = decide(rule, before, times, "user")
    assert not (decision.writes_contact and decision.to_contact == before.contact.value)
    assert not (decision.writes_user and decision.to_user == before.user.value)


@given(situations())
def test_where_blanks_are_kept_no_value_is_cleared_by_a_blank(situation):
    rule, before, times = situation
    decision = decide(rule, before, times, "user")
    if rule.on_blank == "keep":
        if decision.writes_contact and before.user.value is None:
            assert decision.to_contact is not None
        if decision.writes_user and before.contact.value is None:
            assert decision.to_user is not None


@given(situations(), st.frozensets(st.sampled_from("abc")))
def test_what_a_portal_lacks_waits_takes_nothing_from_the_user_and_is_made_up_for(situation, options):
    rule, before, times = situation
    if rule.type != "set":
        return
    whole, decision = decide(rule, before, times, "user"), decide(rule, before, times, "user", options)
    lacks, written = set(decision.lacks), set(decision.to_contact or ())
    assert written <= options | set(before.contact.value or ())
    assert not lacks & {*(decision.agreed or ()), *written}
    assert decision.to_user == whole.to_user
    waiting = after(decision)
    assert set(waiting.user.value or ()) >= lacks
    again = decide(rule, waiting, times, "user", options)
    assert (again.writes_contact, again.writes_user, again.lacks) == (False, False, decision.lacks)
    made_up = after(decide(rule, waiting, times, "user"))
    assert (made_up.user, made_up.contact.value, made_up.base) == (after(whole).user, whole.to_contact, after(whole).base)
