"""Anything may happen in any order, and still nothing is lost, doubled, resurrected or written in circles.

A failure prints the steps that lead to it; `--hypothesis-seed` repeats a run.
"""

from hypothesis import HealthCheck, settings

from connector.model import USER_KINDS
from connector.providers.base import Capabilities

from .machine import Machine
from .world import MAPPING

PATIENT = settings(
    deadline=None, stateful_step_count=30, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)  # fmt: skip


class Reliable(Machine):
    """Every delivery comes sooner or later, and no sweep is there to help."""

    lossy = False


class CreatingUsers(Machine):
    """Contacts made in the CRM become users."""

    mapping = MAPPING + "lifecycle: {contact_created: create_user}\n"
    redelivered = ("contact.created",)


class ReceiveOnly(Machine):
    """The provider tells and cannot be asked, nor written."""

    mapping = MAPPING.replace(", direction: to_user", "")
    idp = {"capabilities": Capabilities()}  # noqa: RUF012
    redelivered = USER_KINDS


TestBothWays = Machine.TestCase
TestBothWays.settings = settings(PATIENT, max_examples=100)
TestReliable = Reliable.TestCase
TestReliable.settings = settings(PATIENT, max_examples=60)
TestCreatingUsers = CreatingUsers.TestCase
TestCreatingUsers.settings = settings(PATIENT, max_examples=60)
TestReceiveOnly = ReceiveOnly.TestCase
TestReceiveOnly.settings = settings(PATIENT, max_examples=60)
