"""An export holds all there is about a person, and nothing about anybody else."""

import json

from connector.model import LinkState
from connector.sync.export import export
from connector.sync.forget import forget

from .scenes import BOB, link
from .test_forget import ADA, EMAIL, LAST, NAME, everything, known, tell_everywhere

__all__ = ["known"]  # the fixture


def exported(world, user):
    with world.store.read() as tx:
        return export(world.work, tx, [tx.links.by_users("members", [user])[user]])


def test_an_export_is_json_and_holds_every_part(known):
    world, user, contact = known
    told = json.loads(json.dumps(exported(world, user)))
    (one,) = told["links"]
    assert one["link"]["name"] == f"members:{user}"
    assert (one["link"]["contact_id"], one["link"]["state"]) == (contact, "active")
    assert one["link"]["user"]["values"]["last_name"] == one["link"]["contact"]["properties"]["lastname"] == LAST
    assert one["former_contact_ids"] == ["c-canary"]
    assert [row["kind"] for row in one["history"]] == ["contact.create", "contact.update", "hold"]
    assert [(row["purpose"], row["state"], row["source"]) for row in one["consents"]] == [("newsletter", "granted", EMAIL)]
    assert [row["details"] for row in one["activities"]] == [{"name": NAME}]
    assert [(row["what"], row["value"]) for row in one["parked"]] == [("lastname", LAST)]
    assert one["mapping"] == world.mapping.sha256


def test_deliveries_come_as_json_or_as_text(known):
    world, user, _ = known
    bodies = {row["sender_id"]: row["body"] for row in exported(world, user)["links"][0]["deliveries"]}
    assert bodies["s-1"] == {"user": user, "name": NAME}
    assert bodies["s-2"].startswith('{"user"')
    assert "s-4" not in bodies


def test_all_of_the_history_is_told(known):
    world, user, _ = known
    for number in range(120):
        world.idp.edit(user, {"custom.tier": f"tier {number}"})
        world.run()
    assert len(exported(world, user)["links"][0]["history"]) > 120


def test_nobody_else_is_told_of(known):
    world, user, _ = known
    _, bob, _ = link(world, BOB)
    with world.store.write() as tx:
        tell_everywhere(tx, tx.links.by_users("members", [bob])[bob])
    told = json.dumps(exported(world, user))
    assert bob not in told
    assert BOB["email"] not in told
    assert BOB["email"] in "".join(everything(world).values())


def test_of_somebody_erased_nothing_is_left_to_tell(known):
    world, user, _ = known
    one = world.link(user)
    with world.store.write() as tx:
        forget(tx, one)
        told = export(world.work, tx, [tx.links.get(one.id)])
    assert told["links"][0]["link"]["state"] == LinkState.ERASED
    text = json.dumps(told)
    assert not any(word in text for word in (user, NAME, LAST, EMAIL, ADA["email"]))
