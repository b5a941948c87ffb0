"""The identity provider's REST side: the generic profile."""

import threading

import pytest

from connector.sandbox.faults import Answer
from connector.sandbox.identity import IdentityProvider
from connector.sandbox.people import Refused
from tests.sandbox.conftest import Api

ADA = {"email": "Ada@example.com", "first_name": "Ada", "custom": {"plan": "basic", "interests": ["film"]}}


def walk(users, query="limit=2"):
    """Every page of a listing: user ids."""
    cursor, pages = "", []
    while cursor is not None and len(pages) < 20:
        page = users("GET", f"?{query}" + (f"&cursor={cursor}" if cursor else "")).json()
        pages.append([one["id"] for one in page["items"]])
        cursor = page["next_cursor"]
    return pages


def test_a_user_is_read_with_its_etag(users, people):
    user = people.register(ADA)
    reply = users("GET", user)
    assert reply.json()["first_name"] == "Ada"
    assert reply.json()["last_name"] is None
    assert reply.headers["ETag"] == '"1"'


def test_a_user_that_is_gone_is_404(users, people):
    user = people.register(ADA)
    people.remove(user)
    assert users("GET", user).status_code == 404


def test_the_token_is_needed(people, url):
    assert Api(url, None)("GET", "/users").status_code == 401


def test_users_are_found_by_email_in_any_case(users, people):
    user = people.register(ADA)
    assert [one["id"] for one in users("GET", "?email=ADA@example.com").json()["items"]] == [user]
    assert users("GET", "?email=bea@example.com").json() == {"items": []}


def test_all_users_are_listed_page_by_page(users, people):
    made = [people.register({"email": f"p{number}@example.com"}) for number in range(5)]
    assert walk(users) == [made[:2], made[2:4], made[4:]]


def test_changed_users_are_listed_in_the_order_of_their_change(users, people, clock):
    made = [people.register({"email": f"p{number}@example.com"}) for number in range(5)]
    clock.forward(10)
    people.edit(made[3], {"first_name": "X"})
    since = people.user(made[3])["updated_at"]
    clock.forward(10)
    people.edit(made[0], {"first_name": "Y"})
    assert walk(users, f"limit=1&updated_since={since}") == [[made[3]], [made[0]]]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=zz", "updated_since=soon"])
def test_a_listing_refuses(users, query):
    assert users("GET", f"?{query}").status_code == 400


def test_a_user_is_created(users, people):
    reply = users("POST", "", ADA)
    assert reply.status_code == 201
    assert people.user(reply.json()["id"])["custom"]["plan"] == "basic"


def test_a_taken_email_conflicts_and_names_the_user(users, people):
    user = people.register(ADA)
    reply = users("POST", "", {"email": "ada@EXAMPLE.com"})
    assert (reply.status_code, reply.json()["id"]) == (409, user)


def test_an_idempotency_key_makes_a_repeat_harmless(users, people):
    replies = [users("POST", "", ADA, headers={"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert [one.status_code for one in replies] == [201, 201]
    assert replies[0].json() == replies[1].json()
    assert len(people.users()) == 1
    assert users("POST", "", {"email": "x@example.com"}, headers={"Idempotency-Key": "k-1"}).status_code == 422


def test_a_lost_answer_to_a_create_is_repaired_by_its_key(users, people):
    people.faults.status_queue.append(Answer(502, after=True))
    key = {"Idempotency-Key": "k-1"}
    assert [users("POST", "", ADA, headers=key).status_code for _ in range(2)] == [502, 201]
    assert len(people.users()) == 1


def test_concurrent_creates_of_one_email_make_one_user(people, url):
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(Api(url)("POST", "/users", ADA).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 7


def test_a_patch_is_a_merge_patch(users, people):
    user = people.register({**ADA, "phone": "1"})
    told = users("PATCH", user, {"phone": None, "custom": {"plan": None, "since": 2020}}).json()
    assert told["phone"] is None
    assert told["first_name"] == "Ada"
    assert told["custom"] == {"interests": ["film"], "since": 2020}


def test_a_patch_with_a_stale_etag_changes_nothing(users, people):
    user = people.register(ADA)
    stale = {"If-Match": users("GET", user).headers["ETag"]}
    people.edit(user, {"first_name": "Augusta"})
    assert users("PATCH", user, {"first_name": "X"}, headers=stale).status_code == 412
    assert people.user(user)["first_name"] == "Augusta"
    fresh = {"If-Match": users("GET", user).headers["ETag"]}
    assert users("PATCH", user, {"first_name": "X"}, headers=fresh).headers["ETag"] == '"3"'


def test_a_patch_that_changes_nothing_is_no_change(users, people, clock):
    user = people.register(ADA)
    clock.forward(10)
    before = people.user(user)
    assert users("PATCH", user, {"first_name": "Ada"}).headers["ETag"] == '"1"'
    assert people.user(user) == before


def test_an_email_may_move_and_be_free_again(users, people):
    user = people.register(ADA)
    users("PATCH", user, {"email": "new@example.com"})
    assert users("POST", "", ADA).status_code == 201
    assert users("PATCH", user, {"email": "ada@example.com"}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [{"id": "x"}, {"updated_at": "x"}, {"shoe": 1}, {"email": "ada"}, {"birth_date": "1990-02-30"}, {"first_name": 1},
     {"email_verified": "yes"}, {"custom": []}, {"consents": []}],
    ids=str,
)  # fmt: skip
def test_fields_that_cannot_be_written_so_are_named(users, people, body):
    reply = users("PATCH", people.register(ADA), body)
    assert reply.status_code == 422
    assert set(reply.json()["fields"]) == set(body)


def test_consents_are_put(users, people):
    user = people.register(ADA)
    body = {"state": "granted", "channel": "email", "at": "2026-01-01T00:00:00Z", "source": "form"}
    told = users("PUT", f"{user}/consents/newsletter", body).json()["consents"]
    assert [(one["purpose"], one["state"], one["source"]) for one in told] == [("newsletter", "granted", "form")]
    told = users("PUT", f"{user}/consents/newsletter", {"state": "revoked"}).json()["consents"]
    assert [(one["purpose"], one["state"]) for one in told] == [("newsletter", "revoked")]
    assert users("PUT", f"{user}/consents/newsletter", {"state": "maybe"}).status_code == 422


def test_consents_of_another_channel_are_another_consent(users, people):
    user = people.register(ADA)
    for channel in ("email", "sms"):
        users("PUT", f"{user}/consents/newsletter", {"state": "granted", "channel": channel})
    assert len(people.user(user)["consents"]) == 2


def test_memberships_are_put_and_ended(users, people):
    user = people.register(ADA)
    users("PUT", f"{user}/memberships/press", {"kind": "typology"})
    assert [(one["key"], one["active"]) for one in people.user(user)["memberships"]] == [("press", True)]
    assert users("DELETE", f"{user}/memberships/press").status_code == 204
    assert [(one["key"], one["active"]) for one in people.user(user)["memberships"]] == [("press", False)]
    assert users("DELETE", f"{user}/memberships/none").status_code == 404


def test_a_user_is_deleted_once(users, people):
    user = people.register(ADA)
    assert [users("DELETE", user).status_code for _ in range(2)] == [204, 404]


def test_an_erasure_deletes(users, people):
    user = people.register(ADA)
    assert users("POST", f"{user}/erasure").status_code == 202
    assert people.users() == []


def test_a_listing_may_be_empty_or_cut_short(users, people):
    made = [people.register({"email": f"p{number}@example.com"}) for number in range(5)]
    people.faults.listing_truncated = 3
    assert walk(users) == [made[:2], made[2:3]]
    people.faults.listing_empty = True
    assert walk(users) == [[]]
    assert users("GET", made[4]).status_code == 200


def test_a_cursor_may_lead_to_the_same_page_again(users, people):
    made = [people.register({"email": f"p{number}@example.com"}) for number in range(5)]
    people.faults.cursor_repeats = True
    assert walk(users)[:3] == [made[:2]] * 3


def test_hands_over_http(people, url):
    hands = Api(url, token=None, base="/sandbox/users")
    user = hands("POST", "", {**ADA, "id": "u-1"}).json()
    assert user["id"] == "u-1"
    assert hands("PATCH", "ada@example.com", {"first_name": "Augusta"}).json()["first_name"] == "Augusta"
    assert hands("PUT", "u-1/consents/newsletter", {"state": "granted"}).json()["consents"][0]["state"] == "granted"
    assert hands("PUT", "u-1/memberships/press", {}).json()["memberships"][0]["active"]
    assert hands("DELETE", "u-1/memberships/press").json()["memberships"][0]["active"] is False
    assert hands("POST", "u-1/login", {}).json()["last_login_at"]
    assert len(hands("GET", "").json()) == 1
    assert hands("GET", "u-2").status_code == 404
    assert hands("DELETE", "u-1").status_code == 204
    assert people.users() == []
    assert people.count() == 0


def test_hands_meet_the_providers_rules(people):
    people.register(ADA)
    with pytest.raises(Refused):
        people.register(ADA)
    assert people.user("nobody") is None


def test_calls_are_counted(users, people):
    user = people.register(ADA)
    users("GET", user)
    users("PATCH", user, {"first_name": "Augusta"})
    users("PUT", f"{user}/consents/newsletter", {"state": "granted"})
    assert [(one.method, one.path) for one in people.calls] == [
        ("GET", "/users/{id}"), ("PATCH", "/users/{id}"), ("PUT", "/users/{id}/consents/{purpose}"),
    ]  # fmt: skip
    assert people.count(writes_only=True) == 2


def test_the_page_lists_users(people, users, url):
    people.register({"email": "ada@example.com", "first_name": "<b>Ada"})
    page = users.session.get(url + "/", headers={"Accept": "text/html"}, timeout=5).text
    assert "identity provider" in page
    assert "&lt;b&gt;Ada" in page


def test_a_secret_that_is_no_standard_webhooks_secret_is_refused():
    with pytest.raises(ValueError, match="whsec_"):
        IdentityProvider(secret="secret")


@pytest.mark.parametrize("body", [
    {"memberships": ["consumer"]}, {"consents": ["newsletter"]}, {"consents": {"newsletter": True}}, {"memberships": "consumer"},
])  # fmt: skip
def test_entries_that_are_no_objects_are_refused_in_words(people, url, body):
    for path in ("/users", "/sandbox/users"):
        reply = Api(url, people.token)("POST", path, {**ADA, **body})
        assert (reply.status_code, reply.json()["error"]) == (400, "bad_request")
        assert reply.json()["message"].startswith(f"{next(iter(body))} is a list of objects such as")
