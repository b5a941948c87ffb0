"""What follows for a consent from what is remembered, when nobody is asked."""

from datetime import UTC, datetime, timedelta

from connector.engine.consent import GRANTED, REVOKED, Standing, Voice, encoded, written_at
from connector.engine.plan import Policy, Seen, plan
from connector.engine.rulings import ALL, _of_another_type
from connector.mapping.model import Mapping
from connector.model import Link, LinkState, Statement, User

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ADA = "ada@example.com"
MAPPING = Mapping(
    version=1, fields=[{"user": "email", "contact": "email"}],
    consents=[{"consent": "newsletter", "subscription": "Newsletter", "property": "newsletter_consent"}],
)  # fmt: skip
USER = User("u-1", {"email": ADA}, NOW, consents=({"purpose": "newsletter", "state": "granted", "at": NOW.isoformat()},))


def planned(**heard):
    """A contact is to be made for somebody who granted and was heard before; statuses cannot be read."""
    grant = Statement(GRANTED, NOW)
    standing = Standing(grant, {Voice.USER: grant, **heard}, ADA)
    link = Link(1, "members", "u-1", None, LinkState.PENDING, consents={"newsletter": encoded(standing)})
    policy = Policy(MAPPING, "members_user_id", True, timedelta(seconds=60), NOW, {"Newsletter": "1001"})
    return plan(link, Seen(USER, None, address=ADA), policy)


def test_a_grant_is_shown():
    assert planned().contact_writes["newsletter_consent"] == "true"


def test_a_remembered_opt_out_of_everything_holds_a_grant_although_nobody_asks_again():
    made = planned(optout_all=Statement(REVOKED))
    assert made.contact_writes["newsletter_consent"] == "false"
    assert [one.held for one in made.rulings] == [ALL]


def test_what_we_wrote_at_another_address_is_of_the_type_that_the_mapping_named_then():
    out = Statement(REVOKED, NOW)
    before = Standing(out, {Voice.USER: out, written_at("new@example.com"): out}, ADA)
    assert _of_another_type(before).heard == {Voice.USER: out}
