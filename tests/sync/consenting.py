"""What the tests of consents share: a mapping, and what each place says of somebody's consent."""

from connector.sync import subscriptions

from .world import MAPPING, USER

CONSENTS = (
    MAPPING
    + """
  - {user: custom.shoe_size, contact: shoe_size, type: number, purpose: newsletter, on_withdrawal: clear}
consents:
  - consent: newsletter
    subscription: Newsletter
    legal_basis: CONSENT_WITH_NOTICE
    explanation: Opted in on the registration form
    property: newsletter_consent
  - {consent: product, subscription: "1002"}
communicable: {contact: communicable, any_of: [newsletter, product]}
"""
)
ADA = "ada@example.com"
GRANTED = {"purpose": "newsletter", "state": "granted"}


def status(world, type_id="1001", email=ADA):
    found = world.crm.preferences.get((email, type_id))
    return found and found.state.value


def consent(world, user, purpose="newsletter"):
    return next((one["state"] for one in world.idp.users[user].consents if one["purpose"] == purpose), None)


def contact(world, user):
    return world.crm.contacts[world.contact_of(user)]


def roll(world):
    subscriptions.roll(world.work, 1)
    world.work_off()
    world.run()


def ledger(world, user):
    with world.store.read() as tx:
        return [(row.purpose, row.state, row.source) for row in tx.ledger.of_link(world.link(user).id)]


def granted(world):
    user = world.idp.register(USER, consents=[GRANTED])
    world.run()
    return user
