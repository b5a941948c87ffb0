"""The rules about consents, word by word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.engine.consent import GRANTED, NOTHING, REVOKED, UNKNOWN, Standing, Voices, decoded, encoded, rule, settle
from connector.mapping.model import Consent
from connector.model import Statement

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NEWSLETTER = Consent(consent="newsletter", subscription="Newsletter")


def at(minute):
    return NOON + timedelta(minutes=minute)


def yes(minute=None, source="form", **fraction):
    return Statement(GRANTED, None if minute is None else at(minute) + timedelta(**fraction), source)


def no(minute=None, source="preference page", **fraction):
    return Statement(REVOKED, None if minute is None else at(minute) + timedelta(**fraction), source)


@pytest.mark.parametrize(("before", "news", "state"), [
    pytest.param(NOTHING, [], UNKNOWN, id="nobody said anything"),
    pytest.param(NOTHING, [yes(1)], GRANTED, id="a first grant"),
    pytest.param(NOTHING, [yes(None, None)], GRANTED, id="a first grant needs neither time nor source"),
    pytest.param(NOTHING, [no()], REVOKED, id="a first opt-out"),
    pytest.param(yes(1), [no(2)], REVOKED, id="a later opt-out"),
    pytest.param(yes(3), [no(2)], GRANTED, id="an opt-out from before the grant"),
    pytest.param(yes(3, None), [no(2)], REVOKED, id="a grant without a source does not stand against an earlier opt-out"),
    pytest.param(yes(3), [no(None)], REVOKED, id="an opt-out without a time"),
    pytest.param(no(2), [yes(3)], GRANTED, id="a later grant with its source"),
    pytest.param(no(2), [yes(3, None)], REVOKED, id="a later grant without a source"),
    pytest.param(no(2), [yes(None)], REVOKED, id="a grant without a time"),
    pytest.param(no(2), [yes(2)], REVOKED, id="in the same moment the opt-out wins"),
    pytest.param(yes(2, milliseconds=999), [no(2)], REVOKED, id="an opt-out in whole seconds may be of any moment of its second"),
    pytest.param(no(2), [yes(2, milliseconds=999)], REVOKED, id="and be later than a grant that comes after it"),
    pytest.param(no(2), [yes(2, seconds=1)], GRANTED, id="a grant in the next second is later"),
    pytest.param(no(2, milliseconds=1), [yes(2, milliseconds=2)], GRANTED, id="an opt-out with a fraction is of that moment"),
    pytest.param(no(2, milliseconds=350), [yes(2)], REVOKED, id="a grant in whole seconds may be of the beginning of its second"),
    pytest.param(no(2), [no(2, milliseconds=350), yes(2, milliseconds=700)], REVOKED, id="of two opt-outs the vaguer one counts"),
    pytest.param(no(None), [yes(9)], REVOKED, id="nothing lifts an opt-out of unknown time"),
    pytest.param(NOTHING, [yes(5), no(2)], GRANTED, id="both at once, the grant is later"),
    pytest.param(NOTHING, [yes(1), no(2)], REVOKED, id="both at once, the opt-out is later"),
])  # fmt: skip
def test_settle(before, news, state):
    assert settle(before, news).state is state


moments = st.integers(0, 8).map(lambda third: NOON + timedelta(seconds=third // 3, milliseconds=third % 3 * 300))
statements = st.builds(
    Statement, st.sampled_from([GRANTED, REVOKED]), st.none() | moments, st.none() | st.just("form"),
)  # fmt: skip


def opted_out_for_sure(told):
    """Whether some opt-out is not known to be older than any grant that names its source."""
    outs = [one for one in told if one.state is REVOKED]
    grants = [one.at for one in told if one.state is GRANTED and one.at and one.source]
    return any(one.at is None or not grants or ends(one.at) >= max(grants) for one in outs)


def ends(moment):
    """A whole second lasts until the next one."""
    return moment if moment.microsecond else moment + timedelta(milliseconds=999)


@given(st.lists(statements, max_size=5))
def test_in_whatever_order_and_portions_it_comes_no_consent_is_strengthened(told):
    one_by_one = NOTHING
    for statement in told:
        one_by_one = settle(one_by_one, [statement])
    if opted_out_for_sure(told):
        assert one_by_one.state is settle(NOTHING, told).state is REVOKED
    assert (one_by_one.state is GRANTED) <= any(one.state is GRANTED for one in told)


@given(st.lists(statements, min_size=1, max_size=5))
def test_saying_it_again_changes_nothing(told):
    once = settle(NOTHING, told)
    assert settle(once, [once]) == once


def ruled(before, readable=True, **said):
    return rule(NEWSLETTER, before, Voices(said, at(99), readable))


def test_unknown_overwrites_nothing():
    ruling = ruled(Standing(no(1), {"user": no(1)}), user=NOTHING, subscription=NOTHING)
    assert (ruling.now, ruling.news) == (no(1), ())


def test_what_a_voice_said_before_is_no_news():
    ruling = ruled(Standing(no(5), {"user": yes(3)}), user=yes(3))
    assert (ruling.now, ruling.news) == (no(5), ())


def test_the_same_said_anew_is_news():
    assert ruled(Standing(no(5), {"user": yes(3)}), user=yes(6)).now == yes(6)


def test_what_we_wrote_is_no_evidence_whatever_time_it_carries():
    ruling = ruled(Standing(no(5), {"subscription": yes(None)}), subscription=yes(9))
    assert ruling.now == no(5)


def test_what_we_were_about_to_write_is_no_evidence_either():
    voices = Voices({"subscription": yes(9)}, at(99), readable=True, ours={"subscription": GRANTED})
    assert rule(NEWSLETTER, Standing(no(5)), voices).now == no(5)


def test_the_contacts_own_copy_of_an_opt_out_that_we_were_about_to_write_is_no_timeless_one():
    before = Standing(no(5), {"user": no(5)})
    told = {"optout": no()}
    assert rule(NEWSLETTER, before, Voices(told, at(99), readable=True, ours={"optout": REVOKED})).now == no(5)
    assert rule(NEWSLETTER, before, Voices(told, at(99), readable=True)).now == no()


def test_what_we_wrote_is_no_evidence_where_a_grant_was_heard_before():
    """Another provider's link heard the grant with its time, and then that of our writing it once more."""
    before = Standing(yes(3), {"subscription": yes(3), "user": yes(3)})
    said = {"subscription": yes(9), "user": no(6)}
    ruling = rule(NEWSLETTER, before, Voices(said, at(99), readable=True, ours={"subscription": GRANTED}))
    assert (ruling.now, ruling.news) == (no(6), ("user",))


def test_an_opt_out_counts_even_where_we_were_about_to_write_one():
    voices = Voices({"subscription": no(9)}, at(99), readable=True, ours={"subscription": REVOKED})
    assert rule(NEWSLETTER, Standing(yes(5)), voices).now == no(9)


@pytest.mark.parametrize(("readable", "state"), [(True, UNKNOWN), (False, GRANTED)])
def test_a_ticked_property_is_a_grant_only_where_statuses_cannot_be_read(readable, state):
    assert ruled(Standing(), readable=readable, property=yes(1)).now.state is state


def test_no_grant_was_given_after_we_heard_of_it():
    first = rule(NEWSLETTER, Standing(), Voices({"user": yes(9)}, at(4)))
    assert first.now == yes(4)
    before = Standing(no(5), first.said)
    assert rule(NEWSLETTER, before, Voices({"user": yes(9)}, at(7))).now == no(5)


@pytest.mark.parametrize("voice", ["user", "property", "provider shop"])
def test_who_takes_back_what_stands_has_the_last_word(voice):
    before = Standing(yes(5), {voice: yes(5)})
    ruling = ruled(before, **{voice: no(2)})
    assert ruling.now == no(5)
    assert ruled(Standing(ruling.now, ruling.said), **{voice: yes(5)}).now.state is REVOKED


def test_what_takes_back_a_yes_of_its_second_stays_as_vague_as_it_is():
    before = Standing(yes(5, milliseconds=300), {"user": yes(5, milliseconds=300)})
    ruling = ruled(before, user=no(5))
    assert ruled(Standing(ruling.now), subscription=yes(5, milliseconds=700)).now == ruling.now == no(5)


def test_who_takes_back_something_older_than_what_stands_does_not():
    assert ruled(Standing(yes(5), {"user": yes(3)}), user=no(4)).now == yes(5)


def test_a_status_that_is_still_that_of_before_takes_nothing_back():
    assert ruled(Standing(yes(5), {"subscription": yes(None)}), subscription=no(2)).now == yes(5)


@pytest.mark.parametrize(("voice", "minute", "state"), [
    ("subscription", 2, REVOKED), ("subscription", 1, GRANTED), ("optout_all", 2, REVOKED), ("optout_all", 1, GRANTED),
])  # fmt: skip
def test_what_the_crm_dates_later_than_our_writing_of_a_grant_comes_after_it(voice, minute, state):
    """Its clock is behind: the grant itself, which it never dated, seems to be later."""
    before = Standing(yes(5), {"subscription": yes(None), "written": Statement(UNKNOWN, at(1))})
    ruling = ruled(before, **{voice: no(minute)})
    assert (ruling.now.state, ruling.now.at) == (state, at(5))


def test_a_status_of_before_our_writing_is_no_grant():
    before = Standing(no(1), {"subscription": no(None), "written": Statement(UNKNOWN, at(3))})
    assert [rule(NEWSLETTER, before, Voices({"subscription": yes(minute)}, at(9), readable=True)).now.state for minute in (3, 4)] == [
        REVOKED, GRANTED,
    ]  # fmt: skip


def test_a_day_counts_until_its_end_or_until_we_hear_of_it():
    """Whatever of that day a grant has for its time, the withdrawal may have been later."""
    day = replace(no(60), day=True)
    for heard in (40, 90):
        ruling = rule(NEWSLETTER, Standing(yes(30)), Voices({"user": day}, at(heard)))
        assert ruling.now == no(min(heard, 60))
        assert rule(NEWSLETTER, Standing(ruling.now, ruling.said), Voices({"user": day}, at(95))).news == ()


def test_somebody_else_may_grant_anew_what_is_taken_back():
    assert ruled(Standing(yes(5), {"user": yes(5)}), user=no(2), subscription=yes(8)).now == yes(8)


@pytest.mark.parametrize(("written", "state"), [(at(3), GRANTED), (None, REVOKED), (at(2), REVOKED)])
def test_the_time_of_our_own_writing_is_no_opt_out(written, state):
    before = Standing(no(1), {"subscription": no(None), "written": Statement(UNKNOWN, written)})
    assert ruled(before, user=yes(2), subscription=no(3)).now.state is state


def test_an_unticked_property_is_always_an_opt_out():
    assert ruled(Standing(yes(1)), property=no(2)).now == no(2)


def test_what_an_address_said_before_it_was_this_persons_grants_nothing():
    voices = Voices({"subscription": yes(3)}, at(99), readable=True, not_before=at(4))
    assert rule(NEWSLETTER, Standing(), voices).now == NOTHING
    voices = replace(voices, said={"subscription": yes(5)})
    assert rule(NEWSLETTER, Standing(), voices).now == yes(5)


def test_a_standing_survives_storage():
    standing = Standing(yes(3), {"user": yes(3), "property": no()}, "ada@example.com", yes(3), "refused")
    assert decoded(encoded(standing)) == standing
    assert standing.effective is REVOKED
