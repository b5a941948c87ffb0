"""Health, readiness and metrics over real HTTP."""

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connector.errors import Unavailable
from connector.web import health

from . import harness
from .harness import JSON, envelope, event, signed


def failing():
    raise Unavailable("database: connection to 10.1.2.3 refused")


def sample(site, name, **labels):
    text = site.request("GET", "/metrics").body.decode()
    found = [
        s.value
        for f in text_string_to_metric_families(text)
        for s in f.samples
        if s.name == name and labels.items() <= s.labels.items()
    ]
    return sum(found)


@pytest.fixture(scope="module")
def site():
    with harness.Site() as site:
        yield site


def test_alive(site):
    answer = site.request("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "alive"})
    assert "server" not in answer.headers


def test_ready():
    with harness.Site(checks={"database": lambda: None, "broker": lambda: 5}) as site:
        answer = site.request("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ready", "checks": {"database": "ok", "broker": "ok"}})


def test_not_ready():
    with harness.Site(checks={"database": failing, "broker": lambda: None}) as site:
        answer = site.request("GET", "/readyz")
        assert (answer.status, answer.json) == (503, {"status": "not ready", "checks": {"database": "failing", "broker": "ok"}})
        assert site.request("GET", "/healthz").status == 200


def test_a_check_that_hangs_fails(monkeypatch):
    monkeypatch.setattr(health, "SECONDS", 0.2)
    with harness.Site(checks={"database": lambda: time.sleep(2)}) as site:
        started = time.monotonic()
        assert site.request("GET", "/readyz").status == 503
        assert time.monotonic() - started < 1.8


def test_other_methods(site):
    assert site.request("POST", "/healthz").status == 405
    assert site.request("GET", "/healthz/").status == 404


def test_what_is_counted(site):
    def now():
        return {
            "accepted": sample(site, "connector_delivery_items_total", source="members", result="accepted"),
            "quarantined": sample(site, "connector_delivery_items_total", source="crm", result="quarantined"),
            "answered 200": sample(site, "connector_deliveries_total", status="200"),
            "answered 401": sample(site, "connector_deliveries_total", status="401"),
            "unsigned": sample(site, "connector_deliveries_unauthenticated_total", source="members", code="unsigned"),
            "stale": sample(site, "connector_deliveries_unauthenticated_total", source="members", code="stale"),
            "timed": sample(site, "connector_delivery_seconds_count"),
        }

    before = now()
    site.members(envelope())
    site.hubspot([event(portalId=1), event()])
    site.members(envelope(), JSON)
    site.members(envelope(), age=1000)
    after = now()
    assert {name: after[name] - before[name] for name in after} == {
        "accepted": 1, "quarantined": 1, "answered 200": 2, "answered 401": 2, "unsigned": 1, "stale": 1, "timed": 4,
    }  # fmt: skip


def test_wrong_signatures_in_a_row(site):
    """A wrong secret loses events silently, so it shows; the next right signature ends it."""

    def in_a_row():
        return sample(site, "connector_signature_failures_in_a_row", source="members")

    site.members(envelope())
    for _ in range(3):
        site.members(envelope(), key=b"a wrong secret, as after a rotation")
    site.members(envelope(), JSON)
    assert in_a_row() == 3
    site.members(envelope())
    assert in_a_row() == 0


def test_no_label_comes_from_a_request(site):
    site.request("POST", "/webhooks/identity/nobody-we-know", signed(b"{}"), b"{}")
    site.members(b"{canary-in-a-body")
    text = site.request("GET", "/metrics").body
    assert b"nobody-we-know" not in text
    assert b"canary" not in text
