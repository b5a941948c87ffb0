"""What a receive-only provider tells makes one user, in whatever order it comes."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.engine.told import laid_over
from connector.model import User

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
WORDS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["granted", "revoked"])), min_size=1, max_size=6)


def entry(state, at=None, purpose="newsletter"):
    told = {"purpose": purpose, "state": state, "source": "form"}
    return told if at is None else told | {"at": at.isoformat()}


def user(at, *consents, memberships=None, **values):
    return User("x-1", values, None if at is None else START + timedelta(seconds=at), None, memberships, consents or None)


def words(*deliveries):
    """What stands of each consent after these deliveries."""
    one, *rest = deliveries
    for other in rest:
        one = laid_over(one, other)
    return sorted((entry["purpose"], entry["state"]) for entry in one.consents)


@given(WORDS)
def test_the_latest_word_stands_and_of_two_of_one_time_the_no(told):
    last = max(at for at, _ in told)
    no = (last, "revoked") in told
    found = [user(at, entry(state, START + timedelta(seconds=at))) for at, state in told]
    assert set(words(*found)) == {("newsletter", "revoked" if no else "granted")}


def test_consents_count_each_by_its_own():
    both = user(1, entry("granted"), entry("granted", purpose="product"))
    assert words(both, user(2, entry("revoked", purpose="product"))) == [("newsletter", "granted"), ("product", "revoked")]


def test_a_no_needs_no_time_and_a_yes_does():
    yes, no = entry("granted", START), entry("revoked")
    assert words(user(1, yes), user(2, no)) == [("newsletter", "revoked")]
    assert words(user(2, no), user(3, entry("granted"))) == [("newsletter", "revoked")]
    assert words(user(2, no), user(3, entry("granted", START + timedelta(seconds=3)))) == [("newsletter", "granted")]


def test_a_late_no_counts_unless_the_yes_is_later():
    assert words(user(9, entry("granted", START)), user(5, entry("revoked"))) == [("newsletter", "revoked")]
    assert words(user(9, entry("granted", START + timedelta(seconds=8))), user(5, entry("revoked"))) == [
        ("newsletter", "granted")
    ]


def test_what_comes_late_fills_in_and_takes_nothing_away():
    now = laid_over(
        user(9, memberships=(), first_name="New"), user(5, memberships=({"key": "a"},), first_name="Old", city="Oslo")
    )
    assert (now.values, now.memberships, now.updated_at) == (
        {"first_name": "New", "city": "Oslo"},
        (),
        START + timedelta(seconds=9),
    )
    filled = laid_over(user(9, first_name="New"), user(5, memberships=({"key": "a"},)))
    assert filled.memberships == ({"key": "a"},)
