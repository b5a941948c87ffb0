"""Segment's protocol: what is sent, in how many requests, and what each answer means."""

import base64
import json
from datetime import UTC, datetime

import pytest

from connector.crm.base import EventRecord
from connector.errors import Paused, Rejected, Unavailable
from connector.sinks.segment import MOST_BYTES, MOST_MESSAGE_BYTES, PATIENCE, SEARCHING, Segment, sink_name

from .server import Collector

AT = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def sink(collector):
    return Segment(collector.url, "kéy", frozenset({"members"}))


def event(ref="1", kind="user.login", details=None, **more):
    values = {"key": f"evt-{ref}", "contact_id": "7", "occurred_at": AT, "provider": "members", "user_id": "u-1", **more}
    return EventRecord(ref=ref, kind=kind, details=details or {}, **values)


class Everything:
    def __contains__(self, message_id):
        return True


def errors(outcomes):
    return {one.ref: type(one.error) if one.error else None for one in outcomes}


def test_a_login_is_one_track(sink, collector):
    (outcome,) = sink.send([event(details={"plan": "gold"}, entry_point="shop")])
    assert (outcome.ref, outcome.error, outcome.record_id) == ("1", None, None)
    ((path, authorization, body),) = collector.requests
    assert path == "/v1/batch"
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == "kéy:"
    assert json.loads(body)["sentAt"].endswith("Z")
    assert collector.messages == [
        {
            "type": "track", "messageId": "evt-1", "event": "user.login", "userId": "members:u-1",
            "timestamp": "2026-01-02T03:04:05.600Z", "properties": {"plan": "gold", "provider": "members", "entry_point": "shop"},
        }
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["user.created", "user.updated"])
def test_who_registers_or_edits_is_identified_first(sink, collector, kind):
    sink.send([event(kind=kind, details={"plan": "gold"})])
    identify, track = collector.messages
    assert (identify["type"], identify["messageId"], identify["userId"]) == ("identify", "evt-1:identify", "members:u-1")
    assert identify["traits"] == {"plan": "gold", "provider": "members"} == track["properties"]
    assert (track["type"], track["event"], track["messageId"]) == ("track", kind, "evt-1")


def test_a_hundred_events_are_one_request(sink, collector):
    outcomes = sink.send([event(str(number)) for number in range(100)])
    assert len(collector.requests) == 1
    assert set(errors(outcomes).values()) == {None}


def test_large_events_go_in_several_requests_in_order(sink, collector):
    sink.send([event(str(number), details={"text": "x" * 30_000}) for number in range(40)])
    assert len(collector.requests) == 3
    assert all(len(body) <= MOST_BYTES + 1000 for _, _, body in collector.requests)
    assert [message["messageId"] for message in collector.messages] == [f"evt-{number}" for number in range(40)]


def test_too_large_an_event_is_cut(sink, collector):
    sink.send([event(details={f"d{number}": "x" * 1000 for number in range(50)})])
    (message,) = collector.messages
    assert len(json.dumps(message)) < MOST_MESSAGE_BYTES
    assert len(message["properties"]["d49"]) == 200


def test_an_event_that_stays_too_large_is_refused_and_the_others_go(sink, collector):
    outcomes = sink.send([event("1", details={f"d{number}": "x" * 1000 for number in range(200)}), event("2")])
    assert errors(outcomes) == {"1": Rejected, "2": None}
    assert [message["messageId"] for message in collector.messages] == ["evt-2"]


def test_a_long_id_is_told_by_its_digest(sink, collector):
    sink.send([event(kind="user.created", key="k" * 300)])
    assert {len(message["messageId"]) for message in collector.messages} == {71, 80}
    assert len({message["messageId"] for message in collector.messages}) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_bad_event_is_found(sink, collector, status):
    collector.answers = [status]
    collector.refuses = {"evt-37"}
    outcomes = sink.send([event(str(number)) for number in range(100)])
    assert [ref for ref, error in errors(outcomes).items() if error] == ["37"]
    assert len(collector.messages) == 99
    assert len(collector.requests) < 20


class TestAUserWhoIsGone:
    @pytest.fixture
    def sink(self, collector):
        members = frozenset({"members"})
        return Segment(collector.url, "k", members | {"shop"}, members)

    @pytest.fixture
    def gone(self):
        def gone(ref="1", **more):
            return event(ref, "user.deleted", user_id=f"u-{ref}", **{"gone": True, **more})

        return gone

    def test_is_deleted_after_the_track_in_a_batch_of_its_own(self, sink, collector, gone):
        outcomes = sink.send([gone("1"), event("2")])
        assert errors(outcomes) == {"1": None, "2": None}
        assert [one.note for one in outcomes] == [None, None]
        assert [len(json.loads(body)["batch"]) for _, _, body in collector.requests] == [2, 1]
        track, _, delete = collector.messages
        assert (track["type"], track["event"], track["messageId"]) == ("track", "user.deleted", "evt-1")
        assert delete == {
            "type": "delete", "messageId": "evt-1:delete", "userId": "members:u-1", "timestamp": "2026-01-02T03:04:05.600Z",
        }  # fmt: skip

    def test_is_not_deleted_while_the_deletion_is_not_carried_out(self, sink, collector, gone):
        sink.send([gone(gone=False)])
        assert [message["type"] for message in collector.messages] == ["track"]

    def test_is_not_deleted_for_a_provider_that_is_left_out(self, sink, collector, gone):
        sink.send([gone("1", provider="shop"), gone("2")])
        assert [message["userId"] for message in collector.messages if message["type"] == "delete"] == ["members:u-2"]

    def test_is_not_deleted_for_what_another_kind_of_event_tells(self, sink, collector, gone):
        sink.send([event("1", gone=True)])
        assert [message["type"] for message in collector.messages] == ["track"]

    def test_is_not_deleted_while_the_sink_does_not_take_the_track(self, sink, collector, gone):
        collector.refuses = {"evt-1"}
        assert errors(sink.send([gone("1"), event("2")])) == {"1": Rejected, "2": None}
        assert [message["messageId"] for message in collector.messages] == ["evt-2"]

    def test_a_long_id_stays_below_a_hundred_characters(self, sink, collector, gone):
        sink.send([gone(key="k" * 90), gone("2", key="k" * 300)])
        ids = [message["messageId"] for message in collector.messages]
        assert len(set(ids)) == 4
        assert max(map(len, ids)) < 100

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422, 501])
    def test_a_refusal_is_noted_and_not_the_events(self, sink, collector, gone, status):
        collector.deletes = status
        outcomes = sink.send([gone("1"), event("2"), gone("3")])
        assert errors(outcomes) == {"1": None, "2": None, "3": None}
        why = "no delete: the sink does not accept it"
        assert [one.note for one in outcomes] == [why, None, why]
        assert [message["type"] for message in collector.messages] == ["track"] * 3

    def test_many_that_are_refused_are_not_the_sinks_fault(self, sink, collector, gone):
        """It goes on taking tracks, also from a lone event that is refused for itself."""
        collector.deletes = 400
        assert set(errors(sink.send([gone(str(number)) for number in range(10)])).values()) == {None}
        collector.refuses = {"evt-bad"}
        assert errors(sink.send([event("bad")])) == {"bad": Rejected}

    def test_one_that_is_refused_does_not_keep_the_others(self, sink, collector, gone):
        collector.refuses = {"evt-3:delete"}
        outcomes = sink.send([gone(str(number)) for number in range(8)])
        assert [one.ref for one in outcomes if one.note] == ["3"]
        assert sum(message["type"] == "delete" for message in collector.messages) == 7

    def test_a_failure_brings_the_event_back_with_the_same_ids(self, sink, collector, gone):
        collector.deletes = 503
        outcomes = sink.send([gone("1"), event("2")])
        assert errors(outcomes) == {"1": Unavailable, "2": None}
        collector.deletes = 200
        assert errors(sink.send([gone("1", sent_before=True)])) == {"1": None}
        assert [message["messageId"] for message in collector.messages] == ["evt-1", "evt-2", "evt-1", "evt-1:delete"]

    def test_who_fails_on_deletes_each_time_is_not_asked_for_ever(self, sink, collector, gone):
        collector.deletes = 500
        (outcome,) = sink.send([gone(sent_before=True)])
        assert outcome.error is None
        assert outcome.note.startswith("no delete: ")

    def test_a_sink_that_wants_us_to_wait_is_waited_for(self, sink, collector, gone):
        collector.deletes = 429
        assert errors(sink.send([gone(sent_before=True)])) == {"1": Paused}


class TestASinkThatRefusesEverything:
    @pytest.fixture
    def now(self):
        return [0.0]

    @pytest.fixture
    def sink(self, collector, now):
        return Segment(collector.url, "k", frozenset({"members"}), clock=lambda: now[0])

    @pytest.fixture
    def down(self, collector):
        collector.refuses = Everything()

    def test_no_event_is_given_up(self, sink, down):
        outcomes = sink.send([event(str(number)) for number in range(10)])
        assert set(errors(outcomes).values()) == {Paused}
        assert "refuses every event: is the url under events.forward right?" in str(outcomes[0].error)

    def test_a_lone_event_tries_whether_it_still_does(self, sink, down, collector):
        sink.send([event("1"), event("2")])
        assert errors(sink.send([event("1")])) == {"1": Paused}
        collector.refuses = set()
        assert errors(sink.send([event("1")])) == {"1": None}

    def test_one_that_is_bad_by_itself_is_given_up_once_another_one_got_through(self, sink, down, collector):
        sink.send([event("1"), event("2")])
        collector.refuses = {"evt-1"}
        assert errors(sink.send([event("2")])) == {"2": None}
        assert errors(sink.send([event("1")])) == {"1": Rejected}

    def test_one_event_in_an_hour_is_given_up_so_that_bad_ones_stop_nobody_for_ever(self, sink, down, now):
        sink.send([event("1"), event("2")])
        now[0] += PATIENCE
        assert errors(sink.send([event("1")])) == {"1": Rejected}
        assert errors(sink.send([event("2")])) == {"2": Paused}

    def test_the_search_for_the_bad_ones_ends_after_a_while(self, sink, collector, now):
        collector.refuses = {"evt-0"}
        take = collector.take

        def slowly(*request):
            now[0] += SEARCHING / 4
            return take(*request)

        collector.take = slowly
        outcomes = errors(sink.send([event(str(number)) for number in range(100)]))
        assert len(collector.requests) < 10
        assert set(outcomes.values()) <= {Paused, None}


@pytest.mark.parametrize(
    ("answer", "error", "retry_in"),
    [
        ((503, {"Retry-After": "7"}), Unavailable, 7),
        (500, Unavailable, 0),
        ((429, {"Retry-After": "9"}), Paused, 9),
        (401, Paused, 0),
        (403, Paused, 0),
        (404, Paused, 0),
        (405, Paused, 0),
        ((302, {"Location": "/elsewhere"}), Unavailable, 0),
    ],
)
def test_answers_that_are_about_the_sink(sink, collector, answer, error, retry_in):
    collector.answers = [answer]
    with pytest.raises(error) as caught:
        sink.send([event(details={"secret": "ada@example.com"})])
    assert caught.value.retry_in == retry_in
    assert "ada@" not in str(caught.value)
    assert "kéy" not in str(caught.value)
    assert len(collector.requests) == 1


def test_nobody_listens():
    with pytest.raises(Unavailable, match="connection refused.: look at events.forward.url"):
        Segment("http://127.0.0.1:1", "k", frozenset()).send([event()])


def test_what_went_before_the_sink_failed_counts(sink, collector):
    collector.answers = [400, 200, 503]
    outcomes = sink.send([event("1"), event("2")])
    assert errors(outcomes) == {"1": None, "2": Unavailable}


def test_another_address_or_key_is_another_sink():
    names = {sink_name("https://a.test", "k"), sink_name("https://b.test", "k"), sink_name("https://a.test", "l")}
    assert len(names) == 3
    assert all(name.startswith("segment:") and len(name) == 20 for name in names)
