"""`connector up` over real HTTP: the five things it is for, within a second each, and a kill in the middle of a burst."""

import threading
import time
from collections import Counter

import pytest

from .stack import Stack, wait_for

ADA = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "country": "ES"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    one = Stack(tmp_path_factory.mktemp("up")).up()
    yield one
    one.close()


def test_a_registration_is_a_contact_within_a_second(stack):
    stack.idp.register(ADA)
    took = wait_for(lambda: stack.contact_of("ada@example.com").get("country") == "Spain")
    assert took < 1


def test_an_edit_in_hubspot_is_the_users_within_a_second(stack):
    user = stack.idp.register({**ADA, "email": "two@example.com"})
    wait_for(lambda: stack.contact_of("two@example.com"))
    contact = stack.portal.contact("two@example.com")["id"]
    stack.portal.edit(contact, {"firstname": "Augusta"})
    took = wait_for(lambda: stack.idp.user(user)["first_name"] == "Augusta")
    assert took < 1


def test_an_edit_of_the_user_is_the_contacts_within_a_second(stack):
    user = stack.idp.register({**ADA, "email": "edits@example.com"})
    wait_for(lambda: stack.contact_of("edits@example.com"))
    stack.idp.edit(user, {"first_name": "Augusta"})
    took = wait_for(lambda: stack.contact_of("edits@example.com").get("firstname") == "Augusta")
    assert took < 1


def test_an_existing_contact_is_linked(stack):
    contact = stack.portal.create({"email": "known@example.com", "lastname": "Known"})
    user = stack.idp.register({"email": "known@example.com", "first_name": "Kay", "last_name": None, "country": None})
    wait_for(lambda: stack.contact_of("known@example.com").get("members_user_id") == user)
    assert stack.portal.contact("known@example.com")["id"] == contact
    wait_for(lambda: stack.idp.user(user)["last_name"] == "Known")


def test_a_deleted_user_archives_the_contact(stack):
    user = stack.idp.register({**ADA, "email": "gone@example.com"})
    wait_for(lambda: stack.contact_of("gone@example.com"))
    stack.idp.remove(user)
    wait_for(lambda: not stack.contact_of("gone@example.com"))


def test_a_deleted_contact_is_unlinked_and_stays_away(stack):
    user = stack.idp.register({**ADA, "email": "cut@example.com"})
    wait_for(lambda: stack.contact_of("cut@example.com"))
    stack.portal.delete(stack.portal.contact("cut@example.com")["id"])
    wait_for(lambda: stack.json("show", f"members:{user}")["link"]["state"] == "unlinked", every=0.2)
    stack.idp.edit(user, {"first_name": "Back"})
    wait_for(stack.settled, every=0.2)
    assert not stack.contact_of("cut@example.com")


def test_a_contact_made_in_hubspot_becomes_one_user(stack):
    stack.portal.create({"email": "lead@example.com", "firstname": "Lea"})
    wait_for(lambda: any(user["email"] == "lead@example.com" for user in stack.idp.users()))
    wait_for(stack.settled, every=0.2)
    assert Counter(user["email"] for user in stack.idp.users())["lead@example.com"] == 1


def test_five_hundred_deliveries_survive_two_kills(tmp_path):
    """Every tenth is sent twice; the connector dies twice on the way. Nobody is missing, nobody is there twice."""
    stack = Stack(tmp_path).up()
    try:
        ids = []
        done = threading.Event()

        def register():
            for number in range(500):
                ids.append(stack.idp.register({**ADA, "email": f"p{number}@example.com", "last_name": f"N{number}"}))
                if number % 10 == 0:
                    stack.idp.repeat_last_delivery()
                time.sleep(0.002)
            done.set()

        thread = threading.Thread(target=register)
        thread.start()
        for _ in range(2):
            time.sleep(0.7)
            stack.kill()
            stack.up()
        thread.join()
        wait_for(lambda: sum("members_user_id" in c["properties"] for c in stack.portal.contacts()) >= 500, 60, every=0.2)
        wait_for(stack.settled, 60, every=0.3)
        owners = Counter(contact["properties"].get("members_user_id") for contact in stack.portal.contacts())
        assert {user: owners[user] for user in ids} == dict.fromkeys(ids, 1)
        assert stack.json("status")["links"]["active"] == 500
    finally:
        stack.close()
