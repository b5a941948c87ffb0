"""Consents, typologies, identity events and erasure through `connector up`, over real HTTP."""

import json

import pytest

from .stack import Stack, wait_for

MAPPING = """
version: 1
defaults: {direction: both, conflict: newest, on_blank: clear}
fields:
  - {user: email, contact: email}
  - {user: first_name, contact: firstname}
  - {user: last_name, contact: lastname}
  - {user: custom.shoe_size, contact: shoe_size, type: number, purpose: newsletter, on_withdrawal: clear}
typologies: {contact: member_types, values: {consumer: Consumer, press: Press}}
consents:
  - consent: newsletter
    subscription: Newsletter
    legal_basis: CONSENT_WITH_NOTICE
    explanation: Opted in on the registration form
    property: newsletter_consent
  - {consent: product, subscription: Product news, legal_basis: CONSENT_WITH_NOTICE, explanation: Opted in on the form}
communicable: {contact: communicable, any_of: [newsletter]}
events: {as: custom_object, types: [user.created, user.login, consent.granted, consent.revoked], details: [ip_country]}
"""
NEWSLETTER = {"purpose": "newsletter", "state": "granted", "source": "form"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    one = Stack(folder, mapping=MAPPING, setup=False)
    config = (folder / "config.yaml").read_text().replace("full_reconcile: 0}", "full_reconcile: 0, subscriptions: 1}")
    (folder / "config.yaml").write_text(config)
    assert one.run("setup", "--apply").returncode == 0
    one.up()
    yield one
    one.close()


def registered(stack, email, **values):
    user = stack.idp.register({"email": email, "first_name": "Ada", "last_name": "Lovelace", **values})
    wait_for(lambda: stack.contact_of(email))
    return user


def state(stack, user, purpose="newsletter"):
    return next((one["state"] for one in stack.idp.user(user)["consents"] if one["purpose"] == purpose), None)


def events(stack, user):
    found = stack.portal.objects("identity_event")
    return [one["properties"] for one in found if one["properties"]["user_id"] == user]


def test_a_registration_brings_consents_typologies_and_its_event(stack):
    memberships = [{"key": "consumer", "kind": "typology", "active": True}]
    user = registered(stack, "all@example.com", consents=[NEWSLETTER], memberships=memberships, custom={"shoe_size": 42})
    wait_for(lambda: stack.portal.subscription("all@example.com", "Newsletter") == "SUBSCRIBED")
    contact = stack.contact_of("all@example.com")
    assert (contact["newsletter_consent"], contact["communicable"], contact["member_types"]) == ("true", "true", "Consumer")
    assert contact["shoe_size"] == "42"
    assert stack.portal.subscription("all@example.com", "Product news") == "NOT_SPECIFIED"
    wait_for(lambda: events(stack, user))
    (event,) = events(stack, user)
    assert (event["kind"], event["provider"], event["user_id"]) == ("user.created", "members", user)
    contact_id = stack.portal.contact("all@example.com")["id"]
    wait_for(lambda: len(stack.portal.associated("contacts", contact_id, "identity_event")) == 1)


def test_a_new_typology_is_added(stack):
    user = registered(stack, "types@example.com", memberships=[{"key": "consumer", "kind": "typology", "active": True}])
    stack.portal.edit(stack.portal.contact("types@example.com")["id"], {"member_types": "Consumer"})
    stack.idp.join(user, "press")
    wait_for(lambda: set(stack.contact_of("types@example.com")["member_types"].split(";")) == {"Consumer", "Press"})


def test_a_withdrawal_in_the_private_area_reaches_hubspot(stack):
    user = registered(stack, "out@example.com", consents=[NEWSLETTER], custom={"shoe_size": 42})
    wait_for(lambda: stack.portal.subscription("out@example.com", "Newsletter") == "SUBSCRIBED")
    stack.idp.consent(user, "newsletter", "revoked", source="private area")
    took = wait_for(lambda: stack.portal.subscription("out@example.com", "Newsletter") == "UNSUBSCRIBED")
    assert took < 1
    wait_for(lambda: stack.contact_of("out@example.com")["communicable"] == "false")
    wait_for(lambda: not stack.contact_of("out@example.com").get("shoe_size"))


def test_an_unsubscription_in_hubspot_reaches_the_consent(stack):
    """No workflow, no webhook: the statuses are read in turn."""
    user = registered(stack, "page@example.com", consents=[NEWSLETTER])
    wait_for(lambda: stack.portal.subscription("page@example.com", "Newsletter") == "SUBSCRIBED")
    stack.portal.unsubscribe("page@example.com", "Newsletter")
    wait_for(lambda: state(stack, user) == "revoked")
    wait_for(lambda: stack.contact_of("page@example.com")["newsletter_consent"] == "false")
    told = stack.json("consents", "page@example.com")
    assert [(one["purpose"], one["state"]) for one in told] == [("newsletter", "granted"), ("newsletter", "revoked")]


def test_an_opt_out_of_everything_is_held_against_a_later_grant(stack):
    user = registered(stack, "never@example.com", consents=[NEWSLETTER])
    wait_for(lambda: stack.portal.subscription("never@example.com", "Newsletter") == "SUBSCRIBED")
    stack.portal.unsubscribe_all("never@example.com")
    wait_for(lambda: state(stack, user) == "revoked")
    stack.idp.consent(user, "newsletter", "granted", source="private area")
    wait_for(lambda: "everything" in str(stack.json("show", f"members:{user}")["consents"][0]["held"]), 20, every=0.2)
    assert stack.portal.subscription("never@example.com", "Newsletter") == "UNSUBSCRIBED"
    assert stack.contact_of("never@example.com")["communicable"] == "false"
    chain = stack.json("explain", "never@example.com", "newsletter")["chain"]
    assert "held" in chain[-1]["rule"]


def test_a_login_becomes_a_record_once(stack):
    user = registered(stack, "login@example.com")
    stack.idp.login(user)
    stack.idp.repeat_last_delivery()
    wait_for(lambda: "user.login" in [one["kind"] for one in events(stack, user)])
    stack.idp.flush_webhooks(10)
    wait_for(stack.settled, every=0.2)
    kinds = sorted(one["kind"] for one in events(stack, user))
    assert kinds == ["user.created", "user.login"]


def test_an_erasure_asked_at_the_provider_leaves_nobody(stack):
    user = registered(stack, "canary@example.com", consents=[NEWSLETTER])
    wait_for(lambda: events(stack, user))
    stack.idp.erase(user)
    wait_for(lambda: stack.portal.contact("canary@example.com") is None)
    wait_for(lambda: stack.json("status")["links"]["erased"] >= 1, every=0.2)
    wait_for(lambda: not events(stack, user))
    files = [path for path in stack.folder.iterdir() if b"canary" in path.read_bytes()]
    assert files == [], "neither in the database, nor in its journal, nor in a log"


def test_an_erasure_asked_by_an_operator(stack):
    user = registered(stack, "asked@example.com")
    exported = stack.run("export", f"members:{user}")
    assert "asked@example.com" in json.dumps(json.loads(exported.stdout))
    done = stack.run("erase", f"members:{user}", "--yes")
    assert done.returncode == 0, done.stderr
    assert stack.portal.contact("asked@example.com") is None
    assert stack.run("export", "asked@example.com").returncode == 1
    stack.idp.edit(user, {"first_name": "Back"})
    wait_for(stack.settled, every=0.2)
    assert stack.portal.contact("asked@example.com") is None
