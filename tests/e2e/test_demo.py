"""`connector demo --providers`, as anybody starts it."""

import subprocess

from connector.cli.demo_vendors import KNOWN
from tests.e2e.stack import COMMAND


def test_the_demo_with_vendors() -> None:
    """It fails unless something arrived from each vendor, and something went back to each."""
    command = [*COMMAND, "demo", "--port", "0", "--duration", "25", "--providers", ",".join(KNOWN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in KNOWN:
        assert f"({kind}) registers ->" in done.stdout
