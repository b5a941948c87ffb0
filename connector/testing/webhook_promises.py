"""What every provider promises of its webhooks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from connector.errors import BadDelivery, TooManyItems
from connector.model import USER_KINDS, Change, Delivery
from connector.testing.hooks import NOW, Hooks

ODD_BODIES = (
    b"", b" ", b"null", b"true", b"0", b'"text"', b"[]", b"{}", b"[null]", b"[[]]", b"[{}]", b'{"a":', b"{}{}", b"NaN", b"1e999",
    b'{"a":1,"a":2}', b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 5000, b'{"type":[],"event":{},"id":null,"data":1,"payload":"x"}',
    b'"\\ud800"', b"<html></html>",
)  # fmt: skip
"""What does not look like any vendor's event."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


class WebhookPromises(Hooks):
    """Their proof, and what is in them."""

    # the proof of a delivery

    def test_a_signed_delivery_is_accepted(self) -> None:
        for kind in self.events:
            self._listener().authenticate(self._sent(kind), NOW)

    def test_what_is_signed_are_the_bytes(self) -> None:
        sent = self._sent()
        self._listener().authenticate(self._sent(body=sent.body + b" \n"), NOW)
        if self.signs_body:
            self._refused(replace(sent, body=sent.body + b" \n"))

    def test_a_tampered_body_is_refused(self) -> None:
        if not self.signs_body:
            pytest.skip("its proof does not cover the body")
        sent = self._sent()
        for body in (sent.body[:-1], b"", sent.body.replace(self.user_id.encode(), b"u-9"), b"{}"):
            self._refused(replace(sent, body=body))

    def test_another_secret_is_refused(self) -> None:
        self._refused(self._sent(wrong=True))

    def test_a_header_that_is_missing_or_repeated_is_refused(self) -> None:
        sent = self._sent()
        for name in self.proof:
            assert sent.header(name), f"deliver() sends no {name}"
            self._refused(replace(sent, headers=tuple(pair for pair in sent.headers if pair[0] != name)))
            self._refused(replace(sent, headers=(*sent.headers, (name, str(sent.header(name))))))
            self._refused(replace(sent, headers=tuple((key, "" if key == name else value) for key, value in sent.headers)))
        self._refused(Delivery(sent.method, sent.url.partition("?")[0], (), sent.body))

    def test_an_old_delivery_is_refused(self) -> None:
        if self.tolerance is None:
            pytest.skip("it signs no time")
        sent = self._sent()
        self._listener().authenticate(sent, NOW + self.tolerance)
        self._refused(sent, NOW + self.tolerance + timedelta(seconds=1))
        self._refused(sent, NOW - self.tolerance - timedelta(seconds=1))

    # what is in a delivery

    def test_events_are_read(self) -> None:
        provider = self._listener()
        for kind in self.events:
            (item,) = provider.split(self._sent(kind))
            assert item.problem is None
            change = provider.read_item(item.body, item.meta)
            assert (change.kind, change.record_id) == (kind, self.user_id)
            assert kind in USER_KINDS
            assert change.user is None or change.user.id == self.user_id
            assert change.occurred_at is None or change.occurred_at.tzinfo is not None
            json.dumps(change.details)

    def test_an_unknown_event_is_no_error(self) -> None:
        if self.unknown is None:
            pytest.skip("no such event is given")
        name, body = self.unknown
        provider = self._listener()
        (item,) = provider.split(self._sent(body=body, event=name))
        assert item.problem is None
        assert provider.read_item(item.body, item.meta).kind not in USER_KINDS

    def test_keys_recognise_a_repeat_and_nothing_else(self) -> None:
        provider = self._listener()
        again = timedelta(seconds=5)
        for kind in self.events:
            first, repeat = provider.split(self._sent(kind)), provider.split(self._sent(kind, at=NOW + again))
            assert [item.key for item in first] == [item.key for item in repeat], "a repeat has another key"
        keys = [item.key for number, kind in enumerate(self.events) for item in provider.split(self._sent(kind, number=number))]
        assert len(keys) == len(set(keys)), "two events have one key"
        assert all(0 < len(key) <= 500 for key in keys)

    def test_odd_bodies_are_bad_deliveries(self) -> None:
        for body in ODD_BODIES:
            self._digest(body)

    def test_any_body_is_read_or_refused(self) -> None:
        """Bytes, JSON, and the vendor's own events with something in them replaced: BadDelivery at most."""
        if not self.events:
            pytest.skip("it has no webhooks")
        bodies = st.binary(max_size=200) | JSON.map(_written) | st.sampled_from(sorted(self.events.values())).flatmap(_mutants)

        @hypothesis.settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(body=bodies, kind=st.sampled_from(sorted(self.events)))
        def check(body: bytes, kind: str) -> None:
            self._digest(body, kind)

        check()

    def _digest(self, body: bytes, kind: str = "") -> list[Change]:
        """Take one delivery through: split, and read what has no problem."""
        provider = self._listener()
        sent = self._sent(kind, body)
        provider.authenticate(sent, NOW)
        try:
            items = provider.split(sent)
        except (BadDelivery, TooManyItems) as error:
            self._silent(error)
            return []
        assert len({item.key for item in items}) >= len({item.body for item in items}), "two events have one key"
        found = []
        for item in items:
            try:
                found.append(provider.read_item(item.body, item.meta))
            except BadDelivery as error:
                self._silent(error)
        return found

    def test_too_many_items_are_refused(self) -> None:
        body = b"[" + b",".join([b"{}"] * 1001) + b"]"
        try:
            items = self._listener().split(self._sent(body=body))
        except BadDelivery:
            return
        assert len(items) <= 1000


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _mutants(body: bytes) -> st.SearchStrategy[bytes]:
    """An event with one of its values replaced, or left out."""
    places = list(_places(json.loads(body)))
    return st.tuples(st.sampled_from(places), JSON | st.just(...)).map(lambda pair: _written(_replaced(json.loads(body), *pair)))


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*at, key))


def _replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return None if new is ... else new
    if new is ... and len(at) == 1:
        del value[at[0]]
    else:
        value[at[0]] = _replaced(value[at[0]], at[1:], new)
    return value
