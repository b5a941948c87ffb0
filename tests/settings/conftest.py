"""Where the tests of the configuration run."""

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder that no file of a test is below, so that paths are told in full."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
