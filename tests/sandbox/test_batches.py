"""Up to a hundred contacts at a time."""

import pytest

from tests.sandbox.conftest import code_of, row


def upsert(api, *rows):
    return api("POST", "batch/upsert", {"inputs": list(rows)})


def by_trace(reply):
    return {one["objectWriteTraceId"]: one for one in reply.json()["results"]}


def errors_by_trace(reply):
    return {one["context"]["objectWriteTraceId"][0]: one for one in reply.json()["errors"]}


def test_upsert_makes_and_changes_contacts_by_unique_property(api, portal):
    portal.create({"email": "a@example.com", "members_user_id": "u-1"})
    rows = [row(f"u-{n}", {"email": f"{x}@example.com"}, "members_user_id", f"t{n}") for n, x in ((1, "a"), (2, "b"))]
    reply = upsert(api, *rows)
    assert reply.status_code == 200
    assert {trace: one["new"] for trace, one in by_trace(reply).items()} == {"t1": False, "t2": True}
    assert portal.by("members_user_id", "u-2")[0]["properties"]["email"] == "b@example.com"


def test_upsert_by_email_finds_additional_addresses_in_any_case(api, portal):
    survivor = portal.merge(portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"}))
    reply = upsert(api, row("B@example.com", {"city": "Oslo"}, "email"))
    assert [(one["id"], one["new"]) for one in reply.json()["results"]] == [(survivor, False)]
    assert portal.contact(survivor)["properties"]["email"] == "a@example.com"


@pytest.mark.parametrize("key", [None, "hs_object_id", "city"])
def test_upsert_refuses_what_is_not_unique(api, portal, key):
    contact = portal.create({"email": "a@example.com"})
    reply = upsert(api, row(contact, {"city": "Oslo"}, key))
    assert reply.status_code == 400
    assert "non-unique 0-1 property" in reply.json()["message"]


def test_a_partial_upsert_is_207_and_names_the_rows(api, portal):
    holder = portal.create({"email": "taken@example.com"})
    reply = upsert(
        api,
        row("u-1", {"email": "ok@example.com"}, "members_user_id", "t1"),
        row("u-2", {"email": "taken@example.com"}, "members_user_id", "t2"),
        row("u-3", {"email": "x@example.com", "nope": "1", "hs_object_id": "1"}, "members_user_id", "t3"),
    )
    assert reply.status_code == 207
    assert reply.json()["numErrors"] == 2
    assert set(by_trace(reply)) == {"t1"}
    errors = errors_by_trace(reply)
    assert errors["t2"]["category"] == "CONFLICT"
    assert errors["t2"]["message"].endswith(holder)
    assert code_of(errors["t3"]) == {"nope": "PROPERTY_DOESNT_EXIST", "hs_object_id": "READ_ONLY_VALUE"}


def test_without_trace_ids_errors_name_no_row(api, portal):
    portal.faults.trace_ids = False
    reply = upsert(
        api,
        row("u-1", {"email": "ok@example.com"}, "members_user_id", "t1"),
        row("u-2", {"email": "x@y.invalid"}, "members_user_id", "t2"),
    )
    assert reply.status_code == 207
    assert reply.json()["errors"][0]["context"] == {}
    assert "objectWriteTraceId" not in reply.json()["results"][0]


def test_one_bad_row_may_spoil_the_whole_batch(api, portal):
    portal.faults.whole_batch = True
    reply = upsert(api, row("u-1", {"email": "ok@example.com"}, "members_user_id"), row("u-2", {"nope": "1"}, "members_user_id"))
    assert reply.status_code == 400
    assert portal.contacts() == []


@pytest.mark.parametrize(
    ("operation", "rows"),
    [
        ("upsert", [row("A@example.com", {}, "email"), row("a@example.com", {}, "email")]),
        ("upsert", [row("a@example.com", {}, "email"), row("u-1", {}, "members_user_id")]),
        ("update", [row("ID", {"city": "Oslo"}), row("u-1", {"city": "Bergen"}, "members_user_id")]),
    ],
)
def test_two_rows_about_one_contact_fail_the_call(api, portal, operation, rows):
    contact = portal.create({"email": "a@example.com", "members_user_id": "u-1"})
    rows = [{**one, "id": one["id"].replace("ID", contact)} for one in rows]
    reply = api("POST", f"batch/{operation}", {"inputs": rows})
    assert reply.status_code == 400
    assert "city" not in portal.contact(contact)["properties"]


@pytest.mark.parametrize("operation", ["read", "create", "update", "upsert", "archive"])
def test_more_than_a_hundred_rows_are_refused(api, operation):
    rows = [row(str(number), {"email": f"p{number}@example.com"}, trace=str(number)) for number in range(101)]
    assert api("POST", f"batch/{operation}", {"inputs": rows}).status_code == 400


def test_update_by_email_is_refused(api, portal):
    portal.create({"email": "a@example.com"})
    reply = api("POST", "batch/update", {"inputs": [row("a@example.com", {"city": "Oslo"}, "email")]})
    assert reply.status_code == 400


def test_update_by_email_without_saying_so_is_accepted_and_does_nothing(api, portal):
    portal.create({"email": "a@example.com"})
    reply = api("POST", "batch/update", {"inputs": [row("a@example.com", {"city": "Oslo"})]})
    assert (reply.status_code, reply.json()["results"]) == (200, [])


def test_update_of_a_contact_that_is_gone_is_an_error_of_its_row(api, portal):
    kept, gone = portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"})
    portal.delete(gone)
    rows = [row(kept, {"city": "Oslo"}, trace="t1"), row(gone, {"city": "Oslo"}, trace="t2")]
    reply = api("POST", "batch/update", {"inputs": rows})
    assert reply.status_code == 207
    assert errors_by_trace(reply)["t2"]["category"] == "OBJECT_NOT_FOUND"
    assert portal.contact(kept)["properties"]["city"] == "Oslo"


def test_create_without_trace_ids_is_all_or_nothing(api, portal):
    portal.create({"email": "taken@example.com"})
    rows = [{"properties": {"email": f"{name}@example.com"}} for name in ("new", "taken")]
    assert api("POST", "batch/create", {"inputs": rows}).status_code == 409
    assert len(portal.contacts()) == 1


def test_create_with_trace_ids_is_row_by_row(api, portal):
    portal.create({"email": "taken@example.com"})
    rows = [row("", {"email": f"{name}@example.com"}, trace=name) for name in ("new", "taken", "new2")]
    reply = api("POST", "batch/create", {"inputs": rows})
    assert reply.status_code == 207
    assert set(by_trace(reply)) == {"new", "new2"}
    assert set(errors_by_trace(reply)) == {"taken"}


def test_create_refuses_twins_as_a_whole(api, portal):
    rows = [{"properties": {"email": one}} for one in ("a@example.com", "A@example.com")]
    assert api("POST", "batch/create", {"inputs": rows}).status_code == 400
    assert portal.contacts() == []


def test_read_names_what_it_misses_in_one_error(api, portal):
    contact = portal.create({"email": "a@example.com"})
    body = {"idProperty": "email", "inputs": [{"id": one} for one in ("A@example.com", "b@example.com", "c@example.com")]}
    reply = api("POST", "batch/read", body)
    assert reply.status_code == 207
    assert [one["id"] for one in reply.json()["results"]] == [contact]
    assert reply.json()["errors"][0]["context"]["ids"] == ["b@example.com", "c@example.com"]


def test_read_with_history_takes_fifty(api, portal):
    rows = [{"id": str(number)} for number in range(51)]
    assert api("POST", "batch/read", {"inputs": rows, "propertiesWithHistory": ["city"]}).status_code == 400
    assert api("POST", "batch/read", {"inputs": rows}).status_code == 207


def test_read_of_archived_gives_only_archived(api, portal):
    kept, gone = portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"})
    portal.delete(gone)
    body = {"inputs": [{"id": kept}, {"id": gone}]}
    assert [one["id"] for one in api("POST", "batch/read", body).json()["results"]] == [kept]
    assert [one["id"] for one in api("POST", "batch/read?archived=true", body).json()["results"]] == [gone]


def test_archive_ignores_what_is_gone(api, portal):
    contact = portal.create({"email": "a@example.com"})
    reply = api("POST", "batch/archive", {"inputs": [{"id": contact}, {"id": "1"}]})
    assert (reply.status_code, reply.content) == (204, b"")
    assert portal.contacts() == []


def test_results_come_in_another_order_than_the_rows(api, portal):
    made = [portal.create({"email": f"p{number}@example.com"}) for number in range(50)]
    results = api("POST", "batch/read", {"inputs": [{"id": one} for one in made]}).json()["results"]
    assert sorted(one["id"] for one in results) == made
    assert [one["id"] for one in results] != made


def test_a_hundred_rows_take_little_time(api):
    rows = [row(f"u-{n}", {"email": f"p{n}@example.com", "firstname": "Ada"}, "members_user_id", f"t{n}") for n in range(100)]
    upsert(api, *rows)
    assert min(upsert(api, *rows).elapsed.total_seconds() for _ in range(5)) < 0.05
