"""The sliding window of failures by address."""

from connector.web import throttle
from connector.web.throttle import FAILURES, WINDOW, Throttle


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_so_many_failures_are_too_many():
    clock = Clock()
    one = Throttle(clock)
    assert [one.failed("a") for _ in range(FAILURES)] == [0] * FAILURES
    assert one.failed("a") == WINDOW
    clock.now += 3.5
    assert one.failed("a") == 7
    assert one.failed("b") == 0


def test_the_window_slides():
    clock = Clock()
    one = Throttle(clock)
    for _ in range(FAILURES):
        one.failed("a")
        clock.now += 0.1
    clock.now = 1000 + WINDOW
    assert one.failed("a") == 0
    assert one.failed("a") == 1


def test_addresses_are_bounded(monkeypatch):
    monkeypatch.setattr(throttle, "MAX_ADDRESSES", 10)
    monkeypatch.setattr(throttle, "FAILURES", 1)
    one = Throttle(Clock())
    for number in range(100):
        one.failed(f"address {number}")
    assert len(one._failed) == 10
    assert one.failed("address 99") > 0
    assert one.failed("address 0") == 0
