"""What stands at another provider's user of the same contact: heard with its own time, and only from who still has a say."""

import pytest

from connector.engine.consent import UNKNOWN
from connector.errors import Unavailable
from connector.model import LinkState, Statement
from connector.providers.base import Capabilities
from connector.sync import subscriptions

from .consenting import ADA
from .test_two_providers import Two, both, consent


@pytest.fixture
def two(tmp_path):
    return Two(tmp_path)


def roll(two):
    subscriptions.roll(two.work)
    two.work_off()
    two.run()


def withdrawn_late(two, customer):
    """The shop's user takes everything back, and the word is on its way for a while."""
    two.shop.consent(customer, "newsletter", "revoked")
    withdrawal, two.shop.events = two.shop.events, []
    return withdrawal


def test_a_grant_about_to_be_written_for_one_lifts_no_later_withdrawal_at_the_other(two):
    """Our writing got through, and its answer did not: the status is newer than the withdrawal, and no evidence all the same."""
    two.shop.capabilities = Capabilities()
    member, customer = both(two)
    two.clock.pass_(10)
    two.idp.consent(member, "newsletter", "granted")
    two.clock.pass_(5)
    withdrawal = withdrawn_late(two, customer)
    two.clock.pass_(60)
    two.crm.loses = [Unavailable("no answer")]
    two.run()
    assert (two.crm.preferences[ADA, "1001"].state, two.link(member).intent != ()) == ("granted", True)
    two.shop.events = withdrawal
    two.run()
    assert two.crm.preferences[ADA, "1001"].state == "revoked"


def test_a_link_that_was_cut_has_no_say_any_more(two):
    """What its user granted later than the withdrawal here is not granted anew; the account has forgotten both."""
    member, customer = both(two, newsletter="revoked")
    two.clock.pass_(10)
    two.shop.consent(customer, "newsletter", "granted")
    two.deliver_all()
    two.work_off()
    two.crm.events, two.crm.preferences[ADA, "1001"] = [], Statement(UNKNOWN)
    with two.store.write() as tx:
        (link,) = tx.links.by_users("shop", [customer]).values()
        tx.links.notice(link.id, {"state": LinkState.UNLINKED}, None)
    assert consent(two.idp, member) == "revoked"
    two.idp.edit(member, {"first_name": "Augusta"})
    two.run()
    roll(two)
    assert consent(two.idp, member) == "revoked"
