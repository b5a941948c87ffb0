"""A world for each test, and one with somebody linked in it."""

import pytest

from .scenes import link
from .world import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def linked(world):
    return link(world)
