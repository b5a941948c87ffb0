"""Identity events, where the portal answers in ways that no document promises."""

from datetime import UTC, datetime

import pytest

from connector.crm.base import EventRecord, EventSchema
from connector.errors import Denied, Missing, Rejected, Unavailable
from tests.crm.conftest import PORTAL, Call, Say, error, results

OBJECT, EVENT, NOTE = (EventSchema(kind, "login") for kind in ("custom_object", "custom_event", "note"))
AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
LIMIT = Say(429, {"status": "error", "policyName": "TEN_SECONDLY_ROLLING"})
FAILED = Say(503, error("INTERNAL_ERROR"))


def rows(*keys: str, **more) -> list[EventRecord]:
    """One event per key; its contact is 5 and the key's number."""
    return [EventRecord(key, key, f"5{key[1:]}", "user.login", AT, "members", "U-1", **more) for key in keys]


def by_ref(outcomes) -> dict[str, type]:
    return {one.ref: type(one.error) for one in outcomes}


def made(key: str, trace: bool = True, **properties: str) -> dict:
    told = {"id": f"9{key[1:]}", "properties": {"event_id": key, **properties}}
    return {**told, "objectWriteTraceId": key} if trace else told


def pairs(call: Call) -> list[tuple[str, str]]:
    return [(one["from"]["id"], one["to"]["id"]) for one in call.body["inputs"]]


def end(call: Call) -> str:
    return call.path.removeprefix("/crm/v3/objects/").removeprefix("/crm/v4/")


class Objects:
    """A portal with one custom object. joined: answers associations, from the pairs asked for."""

    def __init__(self, joined=None, upserted=None, held: dict[str, list[str]] | None = None) -> None:
        self.joined = joined or (lambda asked: results(*({"from": {"id": a}, "to": {"id": b}} for a, b in asked)))
        self.upserted = upserted or (lambda keys: results(*map(made, keys)))
        self.held = held or {}

    def __call__(self, call: Call) -> Say:
        if end(call).endswith("/batch/upsert"):
            return self.upserted(call.ids)
        if end(call).endswith("/associate/default"):
            return self.joined(pairs(call))
        if end(call).startswith("associations/"):
            found = [{"from": {"id": one}, "to": [{"toObjectId": int(to)} for to in self.held.get(one, [])]} for one in call.ids]
            return results(*found)
        return results({"id": "1", "name": "Login", "properties": [{"name": "event_id"}]})


# custom objects


def test_the_type_is_named_with_its_portal(hubspot, stub):
    stub.says(Objects())
    hubspot.record_events(OBJECT, rows("k1", "k2"))
    name = f"p{PORTAL}_login"
    assert [end(call) for call in stub.calls] == [
        f"{name}/batch/upsert", f"associations/{name}/contacts/batch/associate/default",
    ]  # fmt: skip
    assert stub.calls[0].ids == ["k1", "k2"]
    assert pairs(stub.calls[1]) == [("91", "51"), ("92", "52")]


def test_an_association_may_be_told_from_the_other_side(hubspot, stub):
    stub.says(Objects(lambda asked: results(*({"from": {"id": b}, "to": {"id": a}} for a, b in asked))))
    assert by_ref(hubspot.record_events(OBJECT, rows("k1", "k2"))) == {"k1": type(None), "k2": type(None)}
    assert len(stub.calls) == 2


def test_an_account_that_knows_no_default_association_is_asked_for_its_own(hubspot, stub):
    plain = Objects()
    types = results({"typeId": 40, "category": "USER_DEFINED", "label": "Favourite"}, {"typeId": 39, "category": "USER_DEFINED"})

    def says(call: Call) -> Say:
        if end(call).endswith("/associate/default"):
            return Say(400, error("VALIDATION_ERROR"))
        if end(call).endswith("/labels"):
            return types
        if end(call).endswith("/contacts/batch/create"):
            return plain.joined(pairs(call))
        return plain(call)

    stub.says(says)
    for keys in (("k1", "k2"), ("k3",)):
        assert set(by_ref(hubspot.record_events(OBJECT, rows(*keys))).values()) == {type(None)}
    created = [call for call in stub.calls if end(call).endswith("/contacts/batch/create")]
    assert created[0].body["inputs"][0]["types"] == [{"associationCategory": "USER_DEFINED", "associationTypeId": 39}]
    assert sum(end(call).endswith("/associate/default") for call in stub.calls) == 1, "found out once"


def test_associations_nobody_tells_of_are_looked_up(hubspot, stub):
    stub.says(Objects(lambda asked: results(), held={"91": ["51"]}))
    assert by_ref(hubspot.record_events(OBJECT, rows("k1", "k2"))) == {"k1": type(None), "k2": Unavailable}


def test_an_association_that_is_refused_by_name_fails_its_event(hubspot, stub):
    bad = error("OBJECT_NOT_FOUND", toObjectId=["52"])
    stub.says(Objects(lambda asked: results({"from": {"id": "91"}, "to": {"id": "51"}}, errors=[bad])))
    outcomes = hubspot.record_events(OBJECT, rows("k1", "k2"))
    assert by_ref(outcomes) == {"k1": type(None), "k2": Missing}
    assert outcomes[1].record_id == "92"


def test_a_contact_nobody_names_is_found_by_halving(hubspot, stub):
    def joined(asked):
        if ("93", "53") in asked:
            return Say(400, error("VALIDATION_ERROR"))
        return results(*({"from": {"id": a}, "to": {"id": b}} for a, b in asked))

    stub.says(Objects(joined))
    found = by_ref(hubspot.record_events(OBJECT, rows(*(f"k{one}" for one in range(8)))))
    assert [ref for ref, problem in found.items() if problem is not type(None)] == ["k3"]
    assert found["k3"] is Rejected


def test_somebody_who_makes_the_same_record_at_the_same_moment_is_no_refusal(hubspot, stub):
    conflict = error("CONFLICT") | {"context": {"objectWriteTraceId": ["k2"]}}
    stub.says(Objects(upserted=lambda keys: results(made("k1"), errors=[conflict])))
    assert by_ref(hubspot.record_events(OBJECT, rows("k1", "k2"))) == {"k1": type(None), "k2": Unavailable}


def test_results_without_trace_ids_are_told_by_their_key(hubspot, stub):
    stub.says(Objects(upserted=lambda keys: results(*(made(one, trace=False) for one in reversed(keys)))))
    assert [one.record_id for one in hubspot.record_events(OBJECT, rows("k1", "k2"))] == ["91", "92"]


def test_the_schema_is_looked_at_once_when_a_batch_is_refused(hubspot, stub):
    stub.says(Objects(upserted=lambda keys: Say(400, error("VALIDATION_ERROR"))))
    assert set(by_ref(hubspot.record_events(OBJECT, rows("k1", "k2", "k3"))).values()) == {Rejected}
    assert len([call for call in stub.calls if call.path.endswith("/schemas")]) == 1


def test_an_archived_object_is_told_as_such(hubspot, stub):
    stub.says(results(), results({"id": "1", "name": "login", "archived": True}))
    assert hubspot.event_schema(OBJECT).archived
    assert [call.query for call in stub.calls] == [{}, {"archived": ["true"]}]


@pytest.mark.parametrize(
    ("told", "joined"),
    [
        ({}, True),
        ({"associations": []}, False),
        ({"associations": [], "associatedObjects": ["CONTACT"]}, True),
        ({"associations": [{"fromObjectTypeId": "2-1", "toObjectTypeId": "0-2"}]}, False),
        ({"associations": [{"fromObjectTypeId": "2-1", "toObjectTypeId": "0-1"}]}, True),
    ],
    ids=["not told", "none", "none yet", "with companies", "with contacts"],
)
def test_an_object_without_an_association_with_contacts_is_told_as_such(hubspot, stub, told, joined):
    stub.says(results({"id": "1", "name": "login", **told}))
    assert hubspot.event_schema(OBJECT).joined is joined


@pytest.mark.parametrize(("told", "unique"), [({}, True), ({"hasUniqueValue": True}, True), ({"hasUniqueValue": False}, False)])
def test_a_property_counts_as_unique_unless_it_is_said_not_to_be(hubspot, stub, told, unique):
    stub.says(results({"id": "1", "name": "login", "properties": [{"name": "event_id", "type": "string", **told}]}))
    assert hubspot.event_schema(OBJECT).properties["event_id"].unique is unique


def test_an_association_that_is_denied_is_told(hubspot, stub):
    stub.says(Objects(lambda asked: Say(403, error("MISSING_SCOPES", missingScopes=["crm.objects.contacts.write"]))))
    with pytest.raises(Denied, match=r"missing scopes: crm\.objects\.contacts\.write"):
        hubspot.record_events(OBJECT, rows("k1"))


def test_long_details_are_cut_and_stay_json(hubspot, stub):
    stub.says(Objects())
    hubspot.record_events(OBJECT, rows("k1", details={"agent": "x" * 70_000, "n": 1}))
    assert stub.calls[0].body["inputs"][0]["properties"]["details"] == f'{{"agent": "{"x" * 500}", "n": 1}}'


# custom events


def sending(answer):
    """A portal with the custom event `login`."""
    definition = {"fullyQualifiedName": f"pe{PORTAL}_login", "properties": [{"name": "kind"}, {"name": "agent"}, {"name": "url"}]}
    return lambda call: Say(200, definition) if call.method == "GET" else answer(call)


def test_an_occurrence_says_what_hubspot_wants(hubspot, stub):
    stub.says(sending(lambda call: Say(204)))
    hubspot.record_events(EVENT, rows("k1", details={"agent": "x" * 60, "url": "u" * 300, "other": "x", "nothing": None}))
    sent = stub.calls[1].body["inputs"][0]
    assert sent["properties"] == {"kind": "user.login", "agent": "x" * 50, "url": "u" * 200}
    assert (sent["eventName"], sent["objectId"]) == (f"pe{PORTAL}_login", "51")
    assert sent["occurredAt"] == "2026-11-24T09:30:00.000Z"


def test_the_uuid_follows_from_the_key(hubspot, stub):
    stub.says(sending(lambda call: Say(204)))
    for keys in (("k1", "k2"), ("k1",)):
        hubspot.record_events(EVENT, rows(*keys))
    sent = [[one["uuid"] for one in call.body["inputs"]] for call in stub.calls[1:]]
    assert sent[0][0] == sent[1][0] != sent[0][1]
    assert len(stub.calls) == 3


def test_an_occurrence_that_spoils_the_batch_is_found_by_halving(hubspot, stub):
    def answer(call: Call) -> Say:
        bad = "53" in {one["objectId"] for one in call.body["inputs"]}
        return Say(400, error("VALIDATION_ERROR", "…")) if bad else Say(204)

    stub.says(sending(answer))
    found = by_ref(hubspot.record_events(EVENT, rows(*(f"k{one}" for one in range(8)))))
    assert {ref for ref, problem in found.items() if problem is Rejected} == {"k3"}


def test_a_uuid_that_was_there_before_is_fine(hubspot, stub):
    stub.says(sending(lambda call: Say(409, error("CONFLICT"))))
    assert by_ref(hubspot.record_events(EVENT, rows("k1", "k2"))) == {"k1": type(None), "k2": type(None)}


# notes


class Notes:
    """A portal with notes: contact -> texts by id. created: answers a batch create."""

    def __init__(self, created, held: dict[str, dict[str, str]] | None = None) -> None:
        self.created = created
        self.held = held or {}

    def __call__(self, call: Call) -> Say:
        if end(call) == "notes/batch/create":
            return self.created(call)
        if end(call) == "notes/batch/read":
            texts = {one: text for notes in self.held.values() for one, text in notes.items()}
            return results(*({"id": one, "properties": {"hs_note_body": texts[one]}} for one in call.ids))
        return results(
            *({"from": {"id": one}, "to": [{"toObjectId": note} for note in self.held.get(one, {})]} for one in call.ids)
        )

    @staticmethod
    def accept(call: Call, trace: bool = True) -> Say:
        inputs = reversed(call.body["inputs"])
        return results(
            *(
                made(one["objectWriteTraceId"], trace, hs_note_body=f"<div>{one['properties']['hs_note_body']}\n</div>")
                for one in inputs
            )
        )


def test_a_note_is_not_sent_again_within_a_call(hubspot, stub):
    stub.says(FAILED)
    with pytest.raises(Unavailable):
        hubspot.record_events(NOTE, rows("k1"))
    assert len(stub.calls) == 1


def test_but_it_is_when_hubspot_only_asks_to_wait(hubspot, stub):
    stub.says(LIMIT, Notes.accept)
    assert hubspot.record_events(NOTE, rows("k1"))[0].record_id == "91"


def test_notes_without_trace_ids_are_told_by_their_text(hubspot, stub):
    stub.says(Notes(lambda call: Notes.accept(call, trace=False)))
    assert [one.record_id for one in hubspot.record_events(NOTE, rows("k1", "k11"))] == ["91", "911"]
    assert len(stub.calls) == 1


def test_before_rows_go_out_again_they_are_looked_for(hubspot, stub):
    """An answer that names neither the note it made nor the row it refused."""

    def created(call: Call) -> Say:
        if len(call.body["inputs"]) > 1:
            notes.held = {"51": {"91": "<p>event k1</p>"}}
            return results({"id": "91"}, errors=[error("VALIDATION_ERROR")])
        return Say(400, error("VALIDATION_ERROR"))

    notes = Notes(created)
    stub.says(notes)
    outcomes = hubspot.record_events(NOTE, rows("k1", "k2"))
    assert by_ref(outcomes) == {"k1": type(None), "k2": Rejected}
    assert outcomes[0].record_id == "91"


def test_an_error_that_names_a_contact_is_about_its_note(hubspot, stub):
    bad = error("VALIDATION_ERROR", toObjectId=["52"])
    stub.says(Notes(lambda call: results(made("k1"), errors=[bad])))
    assert by_ref(hubspot.record_events(NOTE, rows("k1", "k2"))) == {"k1": type(None), "k2": Rejected}
    assert len(stub.calls) == 1


def test_only_the_end_of_a_note_makes_it_the_events(hubspot, stub):
    held = {"51": {"8": "<p>event k1</p><p>by hand</p>", "7": "<p>event k11</p>", "6": "<p>EVENT k1</p>", "5": ""}}
    stub.says(Notes(Notes.accept, held))
    assert hubspot.record_events(NOTE, rows("k1", sent_before=True))[0].record_id == "91"
    held["51"]["9"] = "<div><p>x &amp; y</p>\n<p>event&nbsp;k1</p></div>"
    assert hubspot.record_events(NOTE, rows("k1", sent_before=True))[0].record_id == "9"


def test_notes_that_cannot_be_looked_through_are_not_made(hubspot, stub):
    stub.says(FAILED)
    with pytest.raises(Unavailable):
        hubspot.record_events(NOTE, rows("k1", sent_before=True))
    assert {end(call) for call in stub.calls} == {"associations/contacts/notes/batch/read"}


def test_what_was_found_stands_when_the_rest_fails(hubspot, stub):
    stub.says(Notes(lambda call: FAILED, {"51": {"91": "<p>event k1</p>"}}))
    found = by_ref(hubspot.record_events(NOTE, [*rows("k1", sent_before=True), *rows("k2")]))
    assert found == {"k1": type(None), "k2": Unavailable}


def test_a_contact_with_many_notes_is_told_in_pages_and_looked_through_from_the_newest(hubspot, stub):
    reads: list[list[str]] = []

    def answer(call: Call) -> Say:
        if end(call).startswith("associations/"):
            page = int(call.body["inputs"][0].get("after", "0"))
            told = [{"toObjectId": 1000 * page + one} for one in range(400)]
            more = {"paging": {"next": {"after": str(page + 1)}}} if page < 2 else {}
            return results({"from": {"id": "51"}, "to": told, **more})
        if end(call) == "notes/batch/create":
            return Notes.accept(call)
        reads.append(call.ids)
        return results(*({"id": one, "properties": {}} for one in call.ids))

    stub.says(answer)
    assert hubspot.record_events(NOTE, rows("k1", sent_before=True))[0].record_id == "91"
    assert [len(ids) for ids in reads] == [100] * 5
    assert (reads[0][0], reads[-1][-1]) == ("2399", "1300")


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        pytest.param(results({"from": {"id": "51"}, "paging": {"next": {"after": "1"}}}), Rejected, id="endless"),
        pytest.param(results(errors=[error("INTERNAL_ERROR")]), Unavailable, id="failed for one"),
    ],
)
def test_a_listing_of_notes_that_cannot_be_trusted(hubspot, stub, answer, raised):
    stub.says(answer)
    with pytest.raises(raised):
        hubspot.record_events(NOTE, rows("k1", sent_before=True))


def test_removing_goes_one_by_one_when_a_batch_is_refused(hubspot, stub):
    stub.says(Say(400, error("VALIDATION_ERROR")), Say(204), Say(404, error("OBJECT_NOT_FOUND")))
    hubspot.remove_events(NOTE, ["1", "2"])
    assert [f"{call.method} {end(call)}" for call in stub.calls] == [
        "POST notes/batch/archive",
        "DELETE notes/1",
        "DELETE notes/2",
    ]
