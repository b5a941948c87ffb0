"""What follows for one link: each step, and which fields it writes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.engine.plan import Policy, Seen, Step, plan
from connector.engine.readings import same_user, tells_nothing_new, whole
from connector.mapping.model import Mapping
from connector.model import Contact, Link, LinkState, User

NOW = datetime(2026, 11, 1, tzinfo=UTC)
GRACE = timedelta(seconds=60)
FIELDS = [
    {"user": "email", "contact": "email"},
    {"user": "first_name", "contact": "firstname"},
    {"user": "custom.score", "contact": "score", "type": "number", "direction": "to_user"},
]  # fmt: skip
USER = User("u-1", {"email": "ada@example.com", "first_name": "Ada", "custom.score": 1}, NOW)
CONTACT = Contact("c-1", {"email": "ada@example.com", "firstname": "Ada", "score": "1", "members_user_id": "u-1"})
LINK = Link(
    1, "members", "u-1", "c-1", LinkState.ACTIVE, base={"email": "ada@example.com", "first_name": "Ada", "custom.score": "1"}
)  # fmt: skip
SEEN = Seen(USER, CONTACT)


def policy(writable=True, lifecycle=None, fields=FIELDS, **defaults):
    mapping = Mapping(version=1, fields=fields, defaults=defaults, lifecycle=lifecycle or {})
    return Policy(mapping, "members_user_id", writable, GRACE, NOW)


def user(**values):
    return replace(USER, values={**USER.values, **{name.replace("__", "."): value for name, value in values.items()}})


def contact(**properties):
    return replace(CONTACT, properties={**CONTACT.properties, **properties})


def test_sides_that_agree_are_idle():
    assert plan(LINK, SEEN, policy()).idle


def test_only_what_differs_is_written():
    planned = plan(LINK, replace(SEEN, user=user(first_name="Augusta")), policy())
    assert (planned.step, planned.contact_writes, planned.user_writes) == (Step.WRITE, {"firstname": "Augusta"}, {})


def test_an_edit_of_the_contact_is_written_to_the_user_as_the_provider_takes_it():
    planned = plan(LINK, replace(SEEN, contact=contact(score="12.50")), policy())
    assert (planned.contact_writes, planned.user_writes) == ({}, {"custom.score": 12.5})


def test_a_provider_that_takes_no_updates_gets_none():
    planned = plan(LINK, replace(SEEN, contact=contact(score="2")), policy(writable=False))
    assert planned.user_writes == {}


def test_at_a_provider_that_takes_no_updates_the_contact_follows_the_user():
    planned = plan(
        LINK, replace(SEEN, user=user(first_name="Augusta"), contact=contact(firstname="King")), policy(writable=False)
    )
    assert (planned.contact_writes, planned.needs_times) == ({"firstname": "Augusta"}, [])
    left = plan(LINK, replace(SEEN, contact=contact(firstname="King")), policy(writable=False))
    assert (left.contact_writes, left.drift) == ({}, ("first_name",))


def test_a_contact_without_the_users_id_gets_it():
    assert plan(LINK, replace(SEEN, contact=contact(members_user_id=None)), policy()).contact_writes == {"members_user_id": "u-1"}


def test_a_field_the_provider_does_not_tell_is_not_blank():
    partial = replace(USER, values={"email": "ada@example.com"})
    assert plan(LINK, replace(SEEN, user=partial), policy(on_blank="clear")).idle


def test_a_field_never_told_and_never_agreed_is_left_alone():
    """The user may well hold something there."""
    partial = replace(USER, values={"email": "ada@example.com"})
    planned = plan(replace(LINK, base={}), replace(SEEN, user=partial), policy())
    assert "first_name" not in {one.field.user for one in planned.decisions if one.settled}
    assert (set(planned.user_writes), planned.drift) == ({"custom.score"}, ("first_name",))


def intend(*values):
    """Writes of the first name that nothing was heard of."""
    return tuple({"kind": "contact.update", "changes": [{"field": "first_name", "side": "contact", "to": one}]} for one in values)


def test_what_we_were_about_to_write_is_no_change_of_the_contact():
    link = replace(LINK, intent=intend("Augusta"))
    planned = plan(link, replace(SEEN, user=user(first_name="King"), contact=contact(firstname="Augusta")), policy())
    assert (planned.contact_writes, planned.needs_times) == ({"firstname": "King"}, [])


def test_a_value_we_wrote_before_the_last_one_may_be_somebodys():
    link = replace(LINK, intent=intend("Augusta", "King"))
    planned = plan(link, replace(SEEN, user=user(first_name="King"), contact=contact(firstname="Augusta")), policy())
    assert planned.needs_times == ["firstname"]


def test_a_field_written_before_and_not_told_any_more_is_not_taken_for_cleared():
    """The answer to our write was lost, and meanwhile the provider tells less than it did."""
    intent = {"kind": "contact.create", "changes": [{"field": "first_name", "side": "contact", "to": "Ada"}]}
    link = replace(LINK, base={}, intent=(intent,))
    planned = plan(link, replace(SEEN, user=replace(USER, values={"email": "ada@example.com"})), policy(on_blank="clear"))
    assert planned.contact_writes == {}


def test_a_field_that_only_the_contact_decides_is_written_whether_or_not_the_provider_tells_it():
    """Many providers leave out what is not set."""
    partial = replace(USER, values={"email": "ada@example.com", "first_name": "Ada"})
    assert plan(replace(LINK, base={}), replace(SEEN, user=partial), policy()).user_writes == {"custom.score": 1}


def test_a_value_refused_before_is_not_tried_again():
    seen = replace(SEEN, user=user(first_name="Augusta"), refused={"firstname": "Augusta"})
    assert plan(LINK, seen, policy()).contact_writes == {}


def test_another_value_of_a_refused_property_is_tried():
    seen = replace(SEEN, user=user(first_name="Augusta"), refused={"firstname": "Ada King"})
    assert plan(LINK, seen, policy()).contact_writes == {"firstname": "Augusta"}


def test_a_value_refused_by_the_provider_is_not_tried_again():
    seen = replace(SEEN, contact=contact(score="2"), refused={"user.custom.score": "2"})
    assert plan(LINK, seen, policy()).user_writes == {}


def test_what_the_crm_made_of_our_value_is_no_change():
    link = replace(LINK, echo={"first_name": "ADA"})
    assert plan(link, replace(SEEN, contact=contact(firstname="ADA")), policy()).idle


def test_a_change_after_what_the_crm_made_of_our_value_is_one():
    link = replace(LINK, echo={"first_name": "ADA"})
    planned = plan(link, replace(SEEN, contact=contact(firstname="Augusta")), policy())
    assert planned.user_writes == {"first_name": "Augusta"}


def test_an_additional_address_of_the_contact_is_the_users_address():
    other = contact(email="king@example.com", hs_additional_emails="x@example.com;Ada@example.com ")
    assert plan(LINK, replace(SEEN, contact=other), policy()).idle


def test_an_unreadable_value_is_held_and_the_others_are_written():
    planned = plan(LINK, replace(SEEN, user=user(first_name="Augusta"), contact=contact(score="many")), policy())
    assert planned.held == {"custom.score": "the contact's value is not a number"}
    assert planned.contact_writes == {"firstname": "Augusta"}


def test_a_conflict_asks_for_the_contacts_times_once():
    seen = replace(SEEN, user=user(first_name="Augusta"), contact=contact(firstname="King"))
    assert plan(LINK, seen, policy()).needs_times == ["firstname"]
    told = replace(seen, times={"firstname": NOW + timedelta(seconds=1)})
    assert plan(LINK, told, policy()).user_writes == {"first_name": "King"}


def test_a_field_bound_to_a_purpose_is_withheld():
    fields = [*FIELDS, {"user": "custom.size", "contact": "size", "purpose": "news"}]
    mapping = Mapping(version=1, fields=fields, consents=[{"consent": "news", "property": "news"}])
    planned = plan(LINK, replace(SEEN, user=user(custom__size="42")), Policy(mapping, "members_user_id", True, GRACE, NOW))
    assert planned.contact_writes == {}


NEW = replace(LINK, state=LinkState.PENDING, contact_id=None, base={})


@pytest.mark.parametrize(("rule", "step"), [
    ("create_contact", Step.CREATE_CONTACT), ("link_only", Step.FIND_CONTACT), ("ignore", Step.FORGET),
])  # fmt: skip
def test_a_user_without_contact(rule, step):
    assert plan(NEW, Seen(USER, None), policy(lifecycle={"user_created": rule})).step == step


def test_a_new_contact_gets_every_value_and_the_users_id_comes_by_the_key():
    planned = plan(NEW, Seen(USER, None), policy())
    assert planned.contact_writes == {"email": "ada@example.com", "firstname": "Ada"}


@pytest.mark.parametrize(("rule", "step"), [("create_user", Step.CREATE_USER), ("link_only", Step.FIND_USER)])
def test_a_contact_without_user(rule, step):
    waiting = replace(NEW, user_id=None, contact_id="c-1")
    planned = plan(waiting, Seen(None, CONTACT), policy(lifecycle={"contact_created": rule}))
    assert (planned.step, planned.user_writes["email"]) == (step, "ada@example.com")


def test_a_contact_that_goes_before_its_user_is_made_is_forgotten():
    waiting = replace(NEW, user_id=None, contact_id="c-1")
    assert (
        plan(waiting, Seen(None, None, contact_gone=True), policy(lifecycle={"contact_created": "create_user"})).step
        == Step.FORGET
    )


def test_a_user_nobody_knows_is_waited_for():
    planned = plan(NEW, Seen(None, None), policy())
    assert (planned.step, planned.until) == (Step.WAIT, NOW + GRACE)


@pytest.mark.parametrize(("rule", "step"), [
    ("archive_contact", Step.ARCHIVE), ("erase_contact", Step.FORGET_PERSON), ("unlink", Step.DELETED),
])  # fmt: skip
def test_a_user_that_is_gone(rule, step):
    assert plan(LINK, Seen(None, CONTACT, user_gone=True), policy(lifecycle={"user_deleted": rule})).step == step


def test_a_contact_another_user_is_linked_to_stays_when_one_of_them_goes():
    assert plan(LINK, Seen(None, CONTACT, user_gone=True, shared=True), policy()).step == Step.DELETED


def test_both_sides_gone():
    assert plan(LINK, Seen(None, None, user_gone=True, contact_gone=True), policy()).step == Step.DELETED


def test_a_missing_contact_is_waited_for_because_a_merge_looks_the_same():
    planned = plan(LINK, Seen(USER, None, contact_gone=True), policy())
    assert (planned.step, planned.until) == (Step.WAIT, NOW + GRACE)


@pytest.mark.parametrize(("missing_for", "step"), [(59, Step.WAIT), (60, Step.UNLINK)])
def test_a_missing_contact_is_believed_deleted_after_the_grace(missing_for, step):
    link = replace(LINK, gone_since=NOW - timedelta(seconds=missing_for))
    assert plan(link, Seen(USER, None, contact_gone=True), policy()).step == step


def test_a_deleted_contact_takes_the_user_along_where_the_mapping_says_so():
    link = replace(LINK, gone_since=NOW - GRACE)
    planned = plan(link, Seen(USER, None, contact_gone=True), policy(lifecycle={"contact_deleted": "delete_user"}))
    assert planned.step == Step.DELETE_USER


def test_two_observations_of_a_user_that_differ_in_nothing_mapped_are_the_same():
    mapping = policy().mapping
    assert same_user(mapping, user(first_name=" Ada "), user(last_login_at="2026-11-01"))
    assert not same_user(mapping, USER, user(first_name="Augusta"))


def test_an_echo_tells_nothing_new():
    mapping = policy().mapping
    assert tells_nothing_new(mapping, CONTACT, "score", "1.0")
    assert not tells_nothing_new(mapping, CONTACT, "score", "2")


def test_a_user_is_whole_with_every_mapped_field():
    mapping = policy().mapping
    assert whole(mapping, USER)
    assert not whole(mapping, replace(USER, values={"email": "ada@example.com"}))
