"""Searching: what matches, what lags, what is refused."""

import pytest

from connector.sandbox.values import millis


@pytest.fixture(autouse=True)
def _many_searches(portal):
    portal.faults.search_limit = 0


def search(api, *filters, **body):
    told = {"filterGroups": [{"filters": list(filters)}] if filters else [], **body}
    return api("POST", "search", told)


def found(api, *filters, **body):
    return [one["id"] for one in search(api, *filters, **body).json()["results"]]


def where(name, operator, value=None, **more):
    return {"propertyName": name, "operator": operator, **({} if value is None else {"value": value}), **more}


@pytest.fixture
def three(portal):
    return [
        portal.create({"email": "ada@example.com", "firstname": "Ada Maria", "shoe_size": "9", "interests": "film;sport"}),
        portal.create({"email": "bob@example.com", "firstname": "Bob", "shoe_size": "10", "born": "1990-01-01"}),
        portal.create({"email": "cy@example.org", "firstname": "Cy"}),
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (where("email", "EQ", "ADA@example.com"), [0]),
        (where("firstname", "NEQ", "bob"), [0, 2]),
        (where("shoe_size", "LT", "10"), [0]),
        (where("shoe_size", "LTE", "10"), [0, 1]),
        (where("shoe_size", "GT", "9"), [1]),
        (where("shoe_size", "GTE", "9"), [0, 1]),
        (where("shoe_size", "BETWEEN", "9", highValue="9.5"), [0]),
        (where("firstname", "IN", values=["bob", "cy"]), [1, 2]),
        (where("firstname", "IN", values=["Bob"]), []),
        (where("email", "NOT_IN", values=["bob@example.com"]), [0, 2]),
        (where("interests", "IN", values=["sport"]), [0]),
        (where("interests", "EQ", "Sport"), []),
        (where("born", "HAS_PROPERTY"), [1]),
        (where("born", "NOT_HAS_PROPERTY"), [0, 2]),
        (where("born", "EQ", str(millis("1990-01-01"))), [1]),
        (where("firstname", "CONTAINS_TOKEN", "maria"), [0]),
        (where("email", "CONTAINS_TOKEN", "*@example.org"), [2]),
        (where("firstname", "NOT_CONTAINS_TOKEN", "maria"), [1, 2]),
        (where("hs_lastmodifieddate", "GTE", "0"), []),
        (where("lastmodifieddate", "GTE", "0"), [0, 1, 2]),
    ],
    ids=str,
)
def test_operators(api, three, condition, expected):
    assert found(api, condition) == [three[place] for place in expected]


def test_filters_are_joined_by_and_and_groups_by_or(api, three):
    groups = [
        {"filters": [where("firstname", "EQ", "bob"), where("shoe_size", "EQ", "9")]},
        {"filters": [where("firstname", "EQ", "cy")]},
    ]
    assert found(api, filterGroups=groups) == [three[2]]


def test_a_modified_date_is_given_in_milliseconds(api, three, portal, clock):
    clock.forward(10)
    portal.edit(three[1], {"city": "Oslo"})
    moment = str(millis(portal.contact(three[1])["properties"]["lastmodifieddate"]))
    assert found(api, where("lastmodifieddate", "GTE", moment)) == [three[1]]
    assert found(api, where("lastmodifieddate", "GT", moment)) == []


def test_an_additional_email_is_not_found_as_the_email(api, portal):
    survivor = portal.merge(portal.create({"email": "a@example.com"}), portal.create({"email": "b@example.com"}))
    assert found(api, where("email", "EQ", "b@example.com")) == []
    assert found(api, where("hs_additional_emails", "IN", values=["b@example.com"])) == [survivor]


def test_the_index_lags(api, portal, clock):
    portal.faults.search_lag = 30
    contact = portal.create({"email": "ada@example.com", "city": "Oslo"})
    assert found(api) == []
    clock.forward(31)
    assert found(api) == [contact]
    portal.edit(contact, {"city": "Bergen"})
    assert found(api, where("city", "EQ", "oslo")) == [contact]
    portal.delete(contact)
    assert found(api) == [contact]
    clock.forward(31)
    assert found(api) == []


def test_archived_contacts_are_invisible(api, portal):
    portal.delete(portal.create({"email": "ada@example.com"}))
    assert search(api).json() == {"total": 0, "results": []}


def test_results_hold_what_was_asked_for(api, three):
    told = search(api, where("email", "EQ", "ada@example.com"), properties=["shoe_size", "nope"]).json()["results"][0]
    assert set(told["properties"]) == {"shoe_size", "createdate", "hs_object_id", "lastmodifieddate"}


def test_sorted_by_one_property(api, three):
    assert found(api, where("shoe_size", "HAS_PROPERTY"), sorts=["-shoe_size"]) == [three[1], three[0]]
    ascending = [{"propertyName": "firstname", "direction": "ASCENDING"}]
    assert found(api, sorts=ascending) == three


def test_pages_are_offsets(api, portal):
    made = [portal.create({"firstname": f"P{number}"}) for number in range(7)]
    first = search(api, limit=3).json()
    assert first["total"] == 7
    assert first["paging"]["next"]["after"] == "3"
    last = search(api, limit=3, after="6").json()
    assert [one["id"] for one in last["results"]] == made[6:]
    assert "paging" not in last


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"limit": 201}, id="201 per page"),
        pytest.param({"after": "9900", "limit": 200}, id="beyond 10,000"),
        pytest.param({"sorts": ["email", "city"]}, id="two sorts"),
        pytest.param({"query": "x" * 3001}, id="long body"),
        pytest.param({"filterGroups": [{"filters": []}] * 6}, id="six groups"),
        pytest.param({"filterGroups": [{"filters": [where("city", "HAS_PROPERTY")] * 7}]}, id="seven filters"),
        pytest.param({"filterGroups": [{"filters": [where("nope", "EQ", "1")]}]}, id="unknown property"),
        pytest.param({"filterGroups": [{"filters": [where("city", "LIKE", "1")]}]}, id="unknown operator"),
        pytest.param({"filterGroups": [{"filters": [where("lastmodifieddate", "GT", "soon")]}]}, id="no moment"),
        pytest.param({"filterGroups": "all"}, id="no list"),
    ],
)
def test_refused(api, body):
    assert api("POST", "search", body).status_code == 400


def test_a_query_looks_into_names_and_addresses(api, three):
    assert found(api, query="maria") == [three[0]]
