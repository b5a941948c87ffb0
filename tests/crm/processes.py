"""Processes of a test. A fork while another thread is within SQLite can leave the child waiting for ever, and what ran
before in this process may have left threads: so children come from a process that never had any.
"""

import multiprocessing

CLEAN = multiprocessing.get_context("forkserver")
"""What it starts are children of that process. Give it functions of a module, and everything they need."""
FORK = multiprocessing.get_context("fork")
"""For a function that CLEAN started."""

CLEAN.set_forkserver_preload(["tests.crm.test_limits", "tests.crm.test_transport"])  # imported once, not by every child
