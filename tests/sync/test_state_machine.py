"""Anything may happen in any order, and still nothing is lost, doubled, resurrected or written in circles.

A failure prints the steps that lead to it; `--hypothesis-seed` repeats a run.
"""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import precondition, rule

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


class LackingOptions(Machine):
    """The portal lacks an option of a set, until somebody adds it; and it may be taken out again."""

    def __init__(self):
        super().__init__()
        self.world.crm.options = {"interests": {"film", "sport", "chess"}}
        self.oracle.waiting = {"music"}

    @rule()
    def somebody_adds_the_option(self):
        self.world.crm.options["interests"].add("music")

    @precondition(lambda self: not any("music" in one.get("interests", "") for one in self.world.crm.contacts.values()))
    @rule()
    def somebody_takes_the_option_out(self):
        self.world.crm.options["interests"].discard("music")

    def teardown(self):
        """What waits is taken from no user: only what was on a contact, and what somebody took off there."""
        super().teardown()
        there, taken_off, likes = False, False, set()
        for side, author, record, values in self.world.everything:
            if side == "crm" and "interests" in values:
                taken_off = taken_off or (there and author == "person" and "music" not in values["interests"])
                there = there or "music" in values["interests"]
            elif side == "idp" and "custom.interests" in values:
                music = "music" in (values["custom.interests"] or ())
                assert author != "us" or music or taken_off or record not in likes, "the user lost what waits"
                (likes.add if music else likes.discard)(record)


TestBothWays = Machine.TestCase
TestBothWays.settings = settings(PATIENT, max_examples=100)
TestReliable = Reliable.TestCase
TestReliable.settings = settings(PATIENT, max_examples=60)
TestCreatingUsers = CreatingUsers.TestCase
TestCreatingUsers.settings = settings(PATIENT, max_examples=60)
TestReceiveOnly = ReceiveOnly.TestCase
TestReceiveOnly.settings = settings(PATIENT, max_examples=60)
TestLackingOptions = LackingOptions.TestCase
TestLackingOptions.settings = settings(PATIENT, max_examples=60)
