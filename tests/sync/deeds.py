"""What may happen in a life: to people at both sides, to their words on the way, to the connector. One function each."""

from dataclasses import replace

from connector.errors import Paused, Unavailable
from connector.model import Change, LinkState
from connector.sync import activities, intake, recent, reconcile, subscriptions
from connector.sync.work import LEASE

EMAILS = [f"{name}@example.com" for name in ("ada", "bob", "cyd")]
PURPOSES = ("newsletter", "product")
TYPES = {"newsletter": "Newsletter", "product": "Product news"}
BETWEEN = [
    "leased", "contact.create", "contact.update", "user.update", "subscription.write", "user.consent", "contact.erase",
    "contacts archived", "activities sending", "activities sent",
]  # fmt: skip
"""Places with no transaction open: anything may happen meanwhile."""
EVERYWHERE = [*BETWEEN, "intake before commit", "record before commit", "activities before commit"]


# at the provider


def register(life, rng):
    idp = life.world.idp
    free = [one for one in EMAILS if one not in {user.values.get("email") for user in idp.users.values()}]
    if not free or len(idp.users) > 2:
        return
    consents = [life.entry(rng, purpose, rng.choice(["granted", "granted", "revoked", "pending"])) for purpose in PURPOSES]
    said = [one for one in consents if rng.random() < 0.5]
    life.registers(rng.choice(free), said, rng.sample(["consumer", "press"], rng.randrange(2)))


def consent(life, rng):
    if user := life.some_user(rng):
        told = life.entry(rng, rng.choice(PURPOSES), rng.choice(["granted", "granted", "revoked", "revoked", "pending"]))
        life.world.idp.consent(user, **told)


def edit_user(life, rng):
    if user := life.some_user(rng):
        life.world.idp.edit(user, {"last_name": life.secret(user)})


def change_email(life, rng):
    if user := life.some_user(rng):
        taken = {one.values.get("email") for one in life.world.idp.users.values()}
        free = [one for one in [*EMAILS, "new@example.com"] if one not in taken]
        life.moves(user, rng.choice(free))


def swap_emails(life, rng):
    users = sorted(life.world.idp.users)
    if len(users) > 1:
        one, two = rng.sample(users, 2)
        mine, yours = (life.world.idp.users[user].values["email"] for user in (one, two))
        life.moves(one, yours)
        life.moves(two, mine)


def remove_user(life, rng):
    if user := life.some_user(rng):
        life.world.idp.remove(user)


def ask_to_be_forgotten(life, rng):
    if user := life.some_user(rng):
        life.world.idp.ask_to_be_forgotten(user)
        life.erased.add(user)


def gain_or_lose_a_typology(life, rng):
    if user := life.some_user(rng):
        life.world.idp.join(user, rng.choice(["consumer", "press"]), active=rng.random() < 0.7)


def log_in(life, rng):
    if user := life.some_user(rng):
        now = life.world.clock()
        told = {"plan": life.secret(user)}
        life.world.idp.events.append(Change("user.login", user, now, event_id=f"login {now:%d %H:%M:%S}", details=told))


# in the CRM


def use_the_preference_page(life, rng):
    crm = life.world.crm
    held = [one["email"] for one in crm.contacts.values() if one.get("email")]
    address = rng.choice(sorted({*held, rng.choice(EMAILS)}))
    if rng.random() < 0.15:
        crm.unsubscribe_all(address)
    else:
        crm.prefer(address, TYPES[rng.choice(PURPOSES)], granted=rng.random() < 0.5)


def edit_the_consent_property(life, rng):
    if contact := life.some_contact(rng):
        life.world.crm.edit(contact, {"newsletter_consent": rng.choice(["true", "false", "false", ""])})


def edit_communicable(life, rng):
    if contact := life.some_contact(rng):
        life.world.crm.edit(contact, {"communicable": rng.choice(["true", "false"])})


def edit_options(life, rng):
    """Marketing adds and removes options."""
    if contact := life.some_contact(rng):
        now = set(filter(None, life.world.crm.contacts[contact].get("member_types", "").split(";")))
        changed = now ^ {rng.choice(["VIP", "Press", "Consumer", "Partner"])}
        life.world.crm.edit(contact, {"member_types": ";".join(sorted(changed))})


def edit_contact(life, rng):
    if contact := life.some_contact(rng):
        life.world.crm.edit(contact, {"firstname": life.secret(life.user_of(contact))})


def change_contact_email(life, rng):
    if contact := life.some_contact(rng):
        taken = {one for held in life.world.crm.contacts.values() for one in life.addresses(held)}
        free = [one for one in [*EMAILS, "crm@example.com"] if one not in taken]
        if free:
            life.contact_moves(contact, rng.choice(free))


def create_contact(life, rng):
    taken = {one for held in life.world.crm.contacts.values() for one in life.addresses(held)}
    free = [one for one in EMAILS if one not in taken]
    if free and len(life.world.crm.contacts) < 4:
        life.world.crm.create({"email": rng.choice(free)})


def delete_contact(life, rng):
    if contact := life.some_contact(rng):
        life.world.crm.delete(contact)


def restore_contact(life, rng):
    crm = life.world.crm
    taken = {one for held in crm.contacts.values() for one in life.addresses(held)}
    ids = {held.get("members_user_id") for held in crm.contacts.values()} - {None}
    back = [one for one, held in sorted(crm.archived.items())
            if not taken & life.addresses(held) and held.get("members_user_id") not in ids]  # fmt: skip
    if back:
        crm.restore(rng.choice(back))


def merge_contacts(life, rng):
    contacts = sorted(life.world.crm.contacts)
    if len(contacts) > 1:
        life.merges(*rng.sample(contacts, 2))


def delete_for_privacy(life, rng):
    if contact := life.some_contact(rng):
        life.erases_contact(contact)


# operators


def erase_person(life, rng):
    with life.world.store.write() as tx:
        links = [one for state in (LinkState.ACTIVE, LinkState.UNLINKED, LinkState.HELD) for one in tx.links.after(0, 9, state)]
        links = [one for one in links if one.user_id]
        if links:
            one = rng.choice(links)
            tx.links.ring_for(tx.runs.start("erase", "members"), [one.id], {"erasure": True})
            life.erased.add(one.user_id)


# on the way


def deliver(life, rng):
    if life.mail:
        change = life.mail.pop(rng.randrange(len(life.mail)))
        bare = life.readable and rng.random() < 0.3
        for _ in range(rng.choice([1, 1, 2])):
            life.world.deliver(replace(change, user=None) if bare else change, key=f"event {len(life.delivered)}")
        life.delivered.append(change)


def deliver_all(life, rng):
    for change in life.mail:
        life.world.deliver(change)
    life.delivered += life.mail
    life.mail = []


def deliver_again(life, rng):
    if life.delivered:
        life.world.deliver(rng.choice(life.delivered))


def drop(life, rng):
    if life.mail:
        change = life.mail.pop(rng.randrange(len(life.mail)))
        if change.kind in life.redelivered:
            life.mail.append(change)


# the connector


def work_off(life, rng):
    life.carefully(life.world.work_off)


def settle(life, rng):
    life.carefully(life.world.settle)


def take_in(life, rng):
    life.carefully(lambda: intake.take(life.world.work))


def send_events(life, rng):
    life.carefully(lambda: activities.send(life.world.work))


def roll(life, rng):
    life.carefully(lambda: subscriptions.roll(life.world.work, 1))


def look_at_what_changed(life, rng):
    life.carefully(lambda: (recent.users(life.world.work, "members"), recent.contacts(life.world.work)))


def sweep(life, rng):
    life.carefully(lambda: reconcile.reconcile(life.world.work, life.world.doze, ["members"], lambda *told: None))


def everything_is_done(life, rng):
    """What was said is delivered and worked off at once."""
    deliver_all(life, rng)
    work_off(life, rng)


def die(life, rng):
    """A worker dies in the middle of it, often with something to do."""
    if rng.random() < 0.6:
        rng.choice(SAYING)(life, rng)
        life.happens()
        deliver_all(life, rng)
    life.world.crash_at(rng.choice(EVERYWHERE))
    life.carefully(lambda: (life.world.work_off(), activities.send(life.world.work)))


def meanwhile(life, rng):
    """Something happens while a worker is on its way, or another one takes over."""
    rng.choice(SAYING)(life, rng)
    life.happens()
    deliver_all(life, rng)
    later, successor = rng.choice(SAYING), rng.random() < 0.3

    def happening():
        if successor:  # does not know what the other one has just learnt, and may write an older value first
            life.ends.budget += len(life.ends.fields)
            life.world.clock.pass_(LEASE.total_seconds() + 1)
        later(life, rng)
        life.happens()
        if successor or rng.random() < 0.7:
            deliver_all(life, rng)
            intake.take(life.world.work)
        while successor and life.world.settle(life.world.worker("successor")):
            pass

    life.world.crash_at(rng.choice(BETWEEN), happening)
    life.carefully(lambda: (life.world.work_off(), activities.send(life.world.work)))


# what goes wrong


def fail(life, rng):
    side = rng.choice([life.world.crm, life.world.idp])
    side.fails = [rng.choice([Unavailable("503"), Paused("429", 5)])] * rng.randrange(1, 4)


def lose_the_answer(life, rng):
    rng.choice([life.world.crm, life.world.idp]).loses = [Unavailable("timeout")]


def close_subscriptions(life, rng):
    """Statuses cannot be read for a while."""
    if not life.kind.closed:
        life.close(life.world.crm.denied is None)


def refuse_resubscriptions(life, rng):
    life.world.crm.refuses_resubscription ^= True


def time_passes(life, rng):
    life.world.clock.pass_(rng.choice([1, 5, 61, 3700]))


SAYING = [
    consent, consent, use_the_preference_page, edit_user, change_email, edit_the_consent_property, ask_to_be_forgotten,
    remove_user,
]  # fmt: skip
DEEDS = {
    register: 6, consent: 14, edit_user: 2, change_email: 3, swap_emails: 1, remove_user: 2, ask_to_be_forgotten: 2,
    gain_or_lose_a_typology: 2, log_in: 2, use_the_preference_page: 10, edit_the_consent_property: 3, edit_communicable: 1,
    edit_options: 2, edit_contact: 1, change_contact_email: 1, create_contact: 1, delete_contact: 1, restore_contact: 2,
    merge_contacts: 1, delete_for_privacy: 1, erase_person: 1, deliver: 8, deliver_all: 6, deliver_again: 3, drop: 3, work_off: 6,
    settle: 3, take_in: 3, send_events: 3, roll: 6, look_at_what_changed: 2, sweep: 2, everything_is_done: 8, die: 6,
    meanwhile: 6, fail: 2, lose_the_answer: 2, close_subscriptions: 1, refuse_resubscriptions: 1, time_passes: 3,
}  # fmt: skip
"""What may happen, and how often."""
