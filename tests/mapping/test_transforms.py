"""Text transforms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.model import Transform
from connector.mapping.transforms import PLAIN, apply


@pytest.mark.parametrize(
    ("name", "text", "result"),
    [
        ("trim", "\u00a0 Ana  María\n", "Ana  María"),
        ("collapse", " Ana \t María ", "Ana María"),
        ("lower", "ÉLAN", "élan"),
        ("upper", "élan", "ÉLAN"),
        ("title", "anna-LENA o'brien", "Anna-Lena O'Brien"),
        ("title", "it's l'oréal", "It's L'Oréal"),
        ("title", "", ""),
    ],
)
def test_a_transform(name: str, text: str, result: str) -> None:
    assert apply([name], text) == result


@pytest.mark.parametrize(
    ("text", "region", "result"),
    [
        pytest.param("600 111 222", "ES", "+34600111222", id="of the region"),
        pytest.param("+1 (202) 555-0136", "ES", "+12025550136", id="with its own country"),
        pytest.param("0034 600 111 222", "ES", "+34600111222", id="dialled from the region"),
        pytest.param("600 111 222", None, "600 111 222", id="of nowhere stays as it is"),
        pytest.param("ask Ana", "ES", "ask Ana", id="no number stays as it is"),
        pytest.param("12", "ES", "12", id="too short stays as it is"),
        pytest.param("+1 202 555 0136 ext. 7", None, "+1 202 555 0136 ext. 7", id="an extension is not lost"),
        pytest.param("", "ES", "", id="blank stays blank"),
    ],
)
def test_e164(text: str, region: str | None, result: str) -> None:
    assert apply(["e164"], text, region) == result


def test_transforms_are_applied_in_their_order() -> None:
    assert apply(["lower", "title"], "ANA") == "Ana"
    assert apply(["title", "lower"], "ANA") == "ana"


def test_every_transform_of_the_grammar_exists() -> None:
    assert {*PLAIN, "e164"} == {name.value for name in Transform}


@given(st.sampled_from([name.value for name in Transform]), st.text(), st.sampled_from([None, "ES", "US"]))
def test_a_transform_applied_twice_changes_nothing_more(name: str, text: str, region: str | None) -> None:
    """Otherwise a value would differ from itself at the next comparison."""
    once = apply([name], text, region)
    assert apply([name], once, region) == once
