"""Who changed one field since both sides last agreed, and how sets come together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.engine.compare import as_set, compare, follow, merge_sets


@pytest.mark.parametrize(("base", "user", "contact", "verdict"), [
    pytest.param("a", "a", "a", "neither", id="nobody moved"),
    pytest.param("a", "b", "a", "user", id="only the user moved"),
    pytest.param("a", "a", "b", "contact", id="only the contact moved"),
    pytest.param("a", "b", "c", "both", id="each moved its own way"),
    pytest.param("a", "b", "b", "neither", id="both moved to the same value"),
    pytest.param("a", None, "a", "user", id="clearing is a change"),
    pytest.param("a", None, None, "neither", id="both cleared"),
    pytest.param(None, "a", None, "user", id="filling a blank is a change"),
    pytest.param("a", None, "b", "both", id="clearing against an edit is a conflict"),
    pytest.param(True, False, True, "user", id="false is not blank"),
])  # fmt: skip
def test_compare(base, user, contact, verdict):
    assert compare(base, user, contact) == verdict


@pytest.mark.parametrize(("base", "user", "contact", "merged"), [
    pytest.param(None, ("a",), ("b",), ("a", "b"), id="without a base the union"),
    pytest.param(("a", "b"), ("a",), ("a", "b", "c"), ("a", "c"), id="a removal here and an addition there"),
    pytest.param(("a",), None, ("a",), None, id="the last one removed"),
    pytest.param(("a",), None, None, None, id="removed on both sides"),
    pytest.param(("a",), ("a",), ("a",), ("a",), id="nothing happened"),
])  # fmt: skip
def test_merge_sets(base, user, contact, merged):
    assert merge_sets(base, user, contact) == merged


@pytest.mark.parametrize(("base", "source", "target", "followed"), [
    pytest.param(("a",), ("a", "b"), ("a", "x"), ("a", "b", "x"), id="an addition comes along"),
    pytest.param(("a", "b"), ("a",), ("a", "b", "x"), ("a", "x"), id="a removal comes along"),
    pytest.param(None, ("a",), None, ("a",), id="from nothing"),
    pytest.param(("a",), ("a",), ("x",), ("x",), id="what the source did not touch stays"),
])  # fmt: skip
def test_follow(base, source, target, followed):
    assert follow(base, source, target) == followed


SETS = st.frozensets(st.sampled_from("abcd")).map(as_set)


@given(SETS, SETS, SETS)
def test_merging_sets_does_not_depend_on_which_side_is_which(base, user, contact):
    assert merge_sets(base, user, contact) == merge_sets(base, contact, user)


@given(SETS, SETS, SETS)
def test_a_merged_set_has_every_addition_and_no_removed_element(base, user, contact):
    before, mine, theirs, merged = (set(one or ()) for one in (base, user, contact, merge_sets(base, user, contact)))
    assert merged == ((mine | theirs) - (before - mine) - (before - theirs))


@given(SETS, SETS, SETS)
def test_merging_twice_changes_nothing_more(base, user, contact):
    once = merge_sets(base, user, contact)
    assert merge_sets(once, once, once) == once
