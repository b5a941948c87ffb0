"""`explain` of a contact that users of two providers share."""

import json
from types import SimpleNamespace

import pytest

from connector.model import Contact, LinkState, User
from connector.store import Store
from connector.store.history import Entry
from connector.store.migrate import upgrade

CONFIG = """
database_url: sqlite:///connector.db
broker_url: memory://
public_url: http://127.0.0.1:8000
crm: {portal_id: 12345678, access_token: portal-token, webhook_secret: client-secret}
providers:
  members: {kind: generic, mapping: members.yaml, webhook_secret: whsec_bWVtYmVycy1zZWNyZXQtbWVtYmVycy1zZWNyZXQ=}
  shop: {kind: generic, mapping: shop.yaml, webhook_secret: whsec_c2hvcC1zZWNyZXQtc2hvcC1zZWNyZXQtc2hvcA==}
"""
MEMBERS = """
version: 1
fields:
  - {user: email, contact: email}
  - {user: last_name, contact: lastname, direction: to_contact}
"""
SHOP = MEMBERS + "  - {user: country, contact: country}\n"
EMAIL = "ada@example.com"


@pytest.fixture
def stack(tmp_path):
    for name, text in {"config.yaml": CONFIG, "members.yaml": MEMBERS, "shop.yaml": SHOP}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "config.yaml").chmod(0o600)
    store = Store(f"sqlite:///{tmp_path / 'connector.db'}")
    upgrade(store)
    with store.write() as tx:
        tx.links.create([linked("members", "u-1"), linked("shop", "s-1")])
        shop = tx.links.by_users("shop", ["s-1"])["s-1"]
        told = {"field": "last_name", "property": "lastname", "side": "contact", "from": "Byron", "to": "King"}
        tx.history.add([Entry(shop.id, "contact.update", "evt-shop-1", changes=[{**told, "rule": "only the user changed"}])])
    yield SimpleNamespace(folder=tmp_path)
    store.close()


def linked(provider, user_id):
    values = {"email": EMAIL, "last_name": "King", "country": "NO"}
    contact = Contact("1", {"email": EMAIL, "lastname": "King", "country": "NO"})
    return {
        "provider": provider, "user_id": user_id, "contact_id": "1", "state": LinkState.ACTIVE, "user": User(user_id, values),
        "contact": contact,
    }  # fmt: skip


def test_a_property_that_only_one_of_them_has_is_explained_by_that_one(connector):
    code, out, _ = connector("explain", "1", "country", "--json")
    assert (code, [one["link"] for one in json.loads(out)]) == (0, ["shop:s-1"])
    assert connector("explain", "1", "country")[1].startswith("shop:s-1: country is NO (contact)")
    assert connector("explain", "shop:s-1", "country", "--json")[1].startswith("{")


def test_a_property_that_neither_has_is_unknown_to_both(connector):
    code, out, err = connector("explain", "1", "shoe_size")
    assert (code, out) == (2, "")
    assert [line.split(";")[0].rsplit("/")[-1] for line in err.splitlines()] == ["members.yaml", "shop.yaml"]
    assert connector("explain", "members:u-1", "country")[0] == 2


def test_what_was_written_for_the_other_link_is_told_with_its_name(connector):
    out = connector("explain", "members:u-1", "lastname")[1]
    assert "contact.update   evt-shop-1  for shop:s-1" in out
    assert "lastname: Byron -> King" in out
