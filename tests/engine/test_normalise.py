"""Values of either side into normal form and back: what a value means must not depend on which side wrote it."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.engine.normalise import Reading, Unreadable, from_contact, from_user, to_contact, to_user
from connector.mapping.model import Field, FieldType

OPTIONS = {"ES": "Spain", "NO": "Norway"}


def field(type_, values=None, **more):
    return Field(user="custom.any", contact="any", type=type_, **({"values": values} if values else {}), **more)


@pytest.mark.parametrize(("type_", "raw", "value"), [
    pytest.param("text", "  Ada \n", "Ada", id="text is trimmed"),
    pytest.param("text", " \t ", None, id="white space is blank"),
    pytest.param("text", "", None, id="empty is blank"),
    pytest.param("text", None, None, id="null is blank"),
    pytest.param("text", True, "true", id="a boolean as text"),
    pytest.param("text", 7, "7", id="a number as text"),
    pytest.param("text", 7.50, "7.5", id="a float as text"),
    pytest.param("number", "12.50", "12.5", id="no trailing zeros"),
    pytest.param("number", "007", "7", id="no leading zeros"),
    pytest.param("number", "-0.00", "0", id="no minus zero"),
    pytest.param("number", "1e3", "1000", id="no exponent"),
    pytest.param("number", 0.1, "0.1", id="a float as people write it"),
    pytest.param("number", 12345678901234567890, "12345678901234567890", id="a long id keeps every digit"),
    pytest.param("number", "0.12345678901234567890", "0.12345678901234568", id="fractions as exact as JSON can carry them"),
    pytest.param("number", "1e-999999999", "0", id="a tiny number is nothing"),
    pytest.param("number", " ", None, id="blank number"),
    pytest.param("bool", True, True, id="true"),
    pytest.param("bool", "No", False, id="no"),
    pytest.param("bool", 1, True, id="one"),
    pytest.param("bool", "", None, id="blank is not false"),
    pytest.param("date", "2026-03-01", "2026-03-01", id="a date"),
    pytest.param("date", "2026-03-01T23:59:59+02:00", "2026-03-01", id="the time of day is cut off as written"),
    pytest.param("date", 1772323200000, "2026-03-01", id="milliseconds at midnight UTC"),
    pytest.param("datetime", "2026-03-01T10:00:00+02:00", "2026-03-01T08:00:00Z", id="into UTC"),
    pytest.param("datetime", "2026-03-01T10:00:00", "2026-03-01T10:00:00Z", id="no zone is UTC"),
    pytest.param("datetime", 1772359200999, "2026-03-01T10:00:00Z", id="whole seconds"),
    pytest.param("phone", "+34 600 111-222", "+34600111222", id="E.164"),
    pytest.param("phone", "600 111 222", "600 111 222", id="a national number without region stays"),
    pytest.param("phone", "+34 600 111 222 ext 5", "+34 600 111 222 ext 5", id="an extension is not lost"),
    pytest.param("email", " Ada@Example.COM ", "ada@example.com", id="email in lower case"),
])  # fmt: skip
def test_a_users_value_in_normal_form(type_, raw, value):
    assert from_user(field(type_), raw) == Reading(value)


@pytest.mark.parametrize(("type_", "raw"), [
    ("text", ["a"]), ("text", {"a": 1}), ("number", "many"), ("number", True), ("number", "NaN"), ("number", float("inf")),
    ("number", "sNaN"), ("number", "1_000"), ("number", "9" * 60), ("number", "1e99999999"), ("number", [1]), pytest.param("number", 10**5000, id="5001 digits"),
    ("bool", "maybe"), ("bool", 2), ("date", "yesterday"), ("date", "-1"), ("date", "2026-13-01"), ("date", True), ("date", "2026-02-30T10:00"),
    ("date", "999999999999999"), ("datetime", "25:00"), ("datetime", "0001-01-01T00:00:00+14:00"), ("set", 5), ("set", {"a": 1}),
    ("email", {}), ("phone", []),
])  # fmt: skip
def test_a_hostile_value_is_unreadable_and_nothing_worse(type_, raw):
    with pytest.raises(Unreadable):
        from_user(field(type_), raw)


def test_the_message_of_an_unreadable_value_does_not_repeat_it():
    with pytest.raises(Unreadable) as caught:
        from_user(field("number"), "ada@example.com")
    assert str(caught.value) == "is not a number"


def test_an_option_is_translated_and_back():
    rule = field("choice", values=OPTIONS)
    assert from_user(rule, "ES") == Reading("Spain")
    assert to_user(rule, "Spain") == "ES"


def test_an_unknown_option_is_told_apart_from_a_blank():
    rule = field("choice", values=OPTIONS)
    assert from_user(rule, "FR").strange == ("FR",)
    assert from_contact(rule, "France").strange == ("France",)


def test_an_unknown_element_of_a_set_is_kept_aside():
    rule = field("set", values={"film": "Film"})
    assert from_user(rule, ["film", "chess"]) == Reading(("Film",), ("chess",))
    assert from_contact(rule, "Film;Chess") == Reading(("Film",), ("Chess",))
    assert to_user(rule, ("Film",), ("chess",)) == ["film", "chess"]


def test_an_element_the_crm_could_not_tell_from_two_is_kept_aside():
    assert from_user(field("set"), ["film", "rock;pop"]) == Reading(("film",), ("rock;pop",))


def test_a_set_has_no_order_and_no_doubles():
    assert from_user(field("set"), ["b", "a", "b", " "]) == Reading(("a", "b"))


def test_an_empty_set_is_blank_and_blank_is_an_empty_list_at_the_provider():
    assert from_user(field("set"), []) == Reading(None)
    assert to_user(field("set"), None) == []


def test_a_national_number_is_read_in_the_fields_region():
    assert from_user(field("phone", region="ES"), "600 111 222") == Reading("+34600111222")


def test_a_transform_applies_to_both_sides_so_that_it_is_no_difference():
    rule = field("text", transform=["upper"])
    assert from_user(rule, "ada") == from_contact(rule, "Ada") == Reading("ADA")


@pytest.mark.parametrize(("value", "wire"), [(None, ""), (True, "true"), (False, "false"), (("a", "b"), "a;b"), ("x", "x")])
def test_how_the_crm_takes_a_value(value, wire):
    assert to_contact(value) == wire


@pytest.mark.parametrize(
    ("value", "json"), [("12", 12), ("12.5", 12.5), ("12345678901234567890", 12345678901234567890), (None, None)]
)
def test_how_the_provider_takes_a_number(value, json):
    assert to_user(field("number"), value) == json


TEXTS = st.text(max_size=40)
NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=25).map(str),
    st.from_regex(r"\A-?\d{1,20}(\.\d{1,20})?(e-?\d{1,3})?\Z"),
)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(datetime.isoformat)
DIALLED = st.text("+0123456789 ()-./x#", max_size=25)
RAW = {
    "text": TEXTS,
    "number": NUMBERS,
    "bool": st.sampled_from([True, False, "yes", "NO", 0, 1, "on", None, ""]),
    "date": st.one_of(st.dates().map(date.isoformat), st.integers(-(10**12), 10**13), st.none()),
    "datetime": st.one_of(MOMENTS, st.integers(-(10**12), 10**13)),
    "choice": st.sampled_from(["ES", "NO", "FR", "", None]),
    "set": st.lists(TEXTS, max_size=5),
    "phone": st.one_of(DIALLED, TEXTS),
    "email": st.one_of(st.emails(), TEXTS),
}


@st.composite
def readable(draw):
    """A field and a value of a user in normal form."""
    type_ = draw(st.sampled_from(list(FieldType)))
    values = OPTIONS if type_ == "choice" and draw(st.booleans()) else {}
    rule = field(type_, values=values, region="ES" if type_ == "phone" and draw(st.booleans()) else None)
    try:
        return rule, from_user(rule, draw(RAW[type_])).value
    except Unreadable:
        return rule, None


@given(readable())
def test_a_value_written_to_the_contact_is_read_back_as_it_was(case):
    rule, value = case
    assert from_contact(rule, to_contact(value)) == Reading(value)


@given(readable())
def test_a_value_written_to_the_user_is_read_back_as_it_was(case):
    rule, value = case
    assert from_user(rule, to_user(rule, value)) == Reading(value)


HOSTILE = st.one_of(
    st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text(), max_size=3), st.dictionaries(st.text(), st.text()),
    st.lists(st.one_of(st.none(), st.integers(), st.dictionaries(st.text(), st.none())), max_size=3),
    st.sampled_from(["\x00", "\ud800", "1" * 5000, "+" * 300, "０１２", "9" * 16, "2026-W01-1", "🎉" * 100]),
)  # fmt: skip


@given(st.sampled_from(list(FieldType)), HOSTILE)
def test_any_json_is_either_read_or_unreadable(type_, raw):
    try:
        from_user(field(type_), raw)
    except Unreadable as error:
        assert str(error).startswith("is not")


@given(st.sampled_from(list(FieldType)), st.text())
def test_any_text_of_a_contact_is_either_read_or_unreadable(type_, raw):
    try:
        from_contact(field(type_), raw)
    except Unreadable as error:
        assert str(error).startswith("is not")


@given(st.sampled_from(list(FieldType)), HOSTILE)
def test_normal_form_is_normal(type_, raw):
    """Reading what was read changes nothing more, so that comparing twice gives the same answer."""
    rule = field(type_)
    try:
        once = from_user(rule, raw)
    except Unreadable:
        return
    assert from_user(rule, to_user(rule, once.value)).value == once.value
