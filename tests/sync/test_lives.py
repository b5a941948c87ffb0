"""Two thousand lives with consents, typologies, events and erasure: nobody is mailed who said no, and nobody erased comes back.

A failure names its seed and the shortest story found: CONNECTOR_SEED=123 python -m pytest tests/sync/test_lives.py repeats it.
CONNECTOR_LIVES says how many are played.
"""

import os

import pytest

from .lives import live, shorter, story

SEED = os.environ.get("CONNECTOR_SEED")
LIVES = int(os.environ.get("CONNECTOR_LIVES", "2000"))
AT_ONCE = 50


@pytest.mark.parametrize("first", [int(SEED)] if SEED else range(0, LIVES, AT_ONCE))
def test_whatever_happens(first):
    for seed in [first] if SEED else range(first, min(first + AT_ONCE, LIVES)):
        try:
            live(*story(seed))
        except Exception as error:
            kind, steps = story(seed)
            told = "\n".join(f"  {name}, {choices}" for name, choices in shorter(kind, steps))
            raise AssertionError(f"CONNECTOR_SEED={seed}, in a world where {kind.name}:\n{told}\n{error}") from error
