"""HubSpot's webhooks: who signed them, which events they carry, whom those are about."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from connector.crm.hubspot.webhooks import HubSpotWebhooks
from connector.errors import BadDelivery, BadSignature, TooManyItems
from connector.model import Delivery

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
PORTAL = 62515
NOW = datetime.fromtimestamp(1_700_000_000, UTC)
URL = "https://example.com/hubspot/webhook"
BODY = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation",'
    b'"attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
V3 = {
    "x-hubspot-signature-v3": "Fqv2t6K7rst3HNu8irTYQdr2fEfq2UGkHkSHHzwKu6Q=",
    "x-hubspot-request-timestamp": "1700000000000",
}
V1 = {
    "x-hubspot-signature": "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de",
    "x-hubspot-signature-version": "v1",
}


def event(**changes):
    told = {
        "eventId": 7, "subscriptionId": 12345, "portalId": PORTAL, "occurredAt": 1_564_113_600_000, "attemptNumber": 0,
        "subscriptionType": "contact.propertyChange", "objectId": 123, "propertyName": "email",
        "propertyValue": "ada@example.com", "changeSource": "CRM", "appId": 54321,
    }  # fmt: skip
    return {name: value for name, value in {**told, **changes}.items() if value is not ...}


def code(headers, body=BODY, url=URL, now=NOW, secrets=(SECRET,), v1=False, method="POST"):
    """The code of the refusal; None when the delivery is accepted."""
    pairs = tuple(headers.items() if isinstance(headers, dict) else headers)
    try:
        HubSpotWebhooks(secrets, PORTAL, v1).authenticate(Delivery(method, url, pairs, body), now)
    except BadSignature as error:
        return error.code
    return None


def split(*events, body=None):
    raw = json.dumps(list(events)).encode() if body is None else body
    return HubSpotWebhooks([SECRET], PORTAL, False).split(Delivery("POST", URL, (), raw))


def read(told):
    return HubSpotWebhooks([SECRET], PORTAL, False).read_item(json.dumps(told).encode(), {})


class TestSignature:
    def test_known_answers(self):
        assert code(V3) is None
        utf8 = V3 | {"x-hubspot-signature-v3": "ZG2riSyEHyL8tiOAiy0ofNKdnnV9057GJ/WPcxm3XTI="}
        assert code(utf8, '{"n":"Zoë"}'.encode(), "https://example.com/h?x=a:b") is None
        assert code(utf8, '{"n":"Zoë"}'.encode(), "https://example.com/h?x=a%3Ab") is None
        assert code(V1, v1=True) is None

    @pytest.mark.parametrize(
        ("sent", "signed"),
        [
            ("/h?x=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B", "/h?x=:/?@!$'()*,;"),
            ("/h?x=%3a%2f", "/h?x=:/"),
            ("/h?x=%20%26%3D%23%25%C3%A9+1", "/h?x=%20%26%3D%23%25%C3%A9+1"),
        ],
    )
    def test_these_characters_are_decoded_in_the_address_and_no_others(self, sent, signed):
        text = f"POSThttps://example.com{signed}".encode() + BODY + b"1700000000000"
        signature = base64.b64encode(hmac.digest(SECRET.encode(), text, "sha256")).decode()
        assert code(V3 | {"x-hubspot-signature-v3": signature}, url=f"https://example.com{sent}") is None

    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param({"body": BODY + b"\n"}, id="line break"),
            pytest.param({"body": BODY.replace(b"CRM", b"CRm")}, id="one letter"),
            pytest.param({"body": BODY.replace(b",", b", ")}, id="written anew"),
            pytest.param({"method": "PUT"}, id="method"),
            pytest.param({"url": URL + "/"}, id="path"),
            pytest.param({"url": URL + "?x=1"}, id="query"),
            pytest.param({"url": URL.replace("https", "http")}, id="scheme"),
            pytest.param({"url": URL.replace(".com", ".org")}, id="host"),
            pytest.param({"secrets": ["z" * 36]}, id="secret"),
            pytest.param({"secrets": []}, id="no secret"),
        ],
    )
    def test_everything_counts(self, changed):
        assert code(V3, **changed) == "signature"

    @pytest.mark.parametrize(
        ("seconds", "found"),
        [(300, None), (-300, None), (300.001, "stale"), (301, "stale"), (-301, "future"), (-(10**8), "future")],
    )
    def test_five_minutes_either_way(self, seconds, found):
        assert code(V3, now=NOW + timedelta(seconds=seconds)) == found

    @pytest.mark.parametrize(
        "stamp", ["", "abc", "1e400", "-1", "１２３", "1_700_000_000_000", " 1700000000000", "1.7e12", "9" * 20, None]
    )
    def test_a_timestamp_is_plain_digits(self, stamp):
        headers = {name: value for name, value in (V3 | {"x-hubspot-request-timestamp": stamp}).items() if value is not None}
        assert code(headers) == "timestamp"

    @pytest.mark.parametrize("value", ["", "x", "é", "１", V3["x-hubspot-signature-v3"][:-1], V3["x-hubspot-signature-v3"] + "="])
    def test_signatures_that_are_none(self, value):
        assert code(V3 | {"x-hubspot-signature-v3": value}) in ("signature", "unsigned")

    @pytest.mark.parametrize("name", V3)
    def test_a_header_sent_twice(self, name):
        assert code([*V3.items(), (name, V3[name])]) in ("unsigned", "timestamp")

    def test_rotation(self):
        assert code(V3, secrets=["new-secret-new-secret", SECRET]) is None
        assert code(V1, secrets=["new-secret-new-secret", SECRET], v1=True) is None

    def test_the_old_signature_counts_only_where_configured(self):
        assert code(V1) == "unsigned"
        assert code(V1 | {"x-hubspot-signature-version": "v2"}, v1=True) == "unsigned"
        assert code(V1 | {"x-hubspot-signature": "0" * 64}, v1=True) == "signature"
        assert code([*V1.items(), ("x-hubspot-signature", "0" * 64)], v1=True) == "unsigned"
        assert code({}, v1=True) == "unsigned"

    def test_a_new_signature_cannot_be_evaded_with_an_old_one(self):
        assert code(V1 | V3 | {"x-hubspot-signature-v3": "x"}, v1=True) == "signature"
        assert code(V1 | {"x-hubspot-request-timestamp": "1"}, v1=True) == "unsigned"
        assert code(V1 | V3, v1=True) is None
        assert code(V1 | V3, now=NOW + timedelta(hours=1), v1=True) == "stale"

    def test_compares_in_constant_time(self, monkeypatch):
        monkeypatch.setattr("hmac.compare_digest", lambda one, other: False)
        assert code(V3) == "signature"
        assert code(V1, v1=True) == "signature"


class TestSplit:
    def test_an_event_is_an_item_with_its_own_bytes(self):
        (item,) = split(body=BODY)
        assert (item.sender_id, item.body, item.problem) == ("1", BODY[1:-1], None)
        assert len(item.key) == 64

    def test_nothing(self):
        assert split(body=b"[]") == []

    def test_a_repeat_is_recognised_in_spite_of_its_attempt_number(self):
        first, again = split(event(), event(attemptNumber=3, changeSource="API", newField=1))
        assert first.key == again.key

    @pytest.mark.parametrize(
        "changed",
        [
            {"objectId": 124}, {"propertyName": "phone"}, {"occurredAt": 1}, {"eventId": 8}, {"objectTypeId": "0-1"},
            {"subscriptionType": "contact.creation"}, {"fromObjectId": 1}, {"newObjectId": 5}, {"mergedObjectIds": [1]},
            {"associationType": "X"},
        ],
        ids=str,
    )  # fmt: skip
    def test_equal_event_ids_of_different_events_are_different_keys(self, changed):
        one, other = split(event(), event(**changed))
        assert one.key != other.key

    @pytest.mark.parametrize(
        ("told", "problem"),
        [
            pytest.param(None, "not_an_object", id="null"),
            pytest.param(1, "not_an_object", id="number"),
            pytest.param([], "not_an_object", id="array"),
            pytest.param({}, "unknown_portal", id="empty object"),
            pytest.param(event(portalId=1), "unknown_portal", id="another portal"),
            pytest.param(event(portalId=float(PORTAL)), "unknown_portal", id="portal as float"),
            pytest.param(event(portalId=str(PORTAL)), "unknown_portal", id="portal as text"),
            pytest.param(event(portalId=1, objectId="x"), "unknown_portal", id="the portal is looked at first"),
            pytest.param(event(subscriptionType=...), "bad_subscription_type", id="no type"),
            pytest.param(event(subscriptionType=5), "bad_subscription_type", id="type is a number"),
            pytest.param(event(objectId="123"), "bad_object_id", id="id as text"),
            pytest.param(event(objectId=1.0), "bad_object_id", id="id as float"),
            pytest.param(event(objectId=-1), "bad_object_id", id="negative id"),
            pytest.param(event(objectId=0), "bad_object_id", id="zero"),
            pytest.param(event(objectId=2**63), "bad_object_id", id="2^63"),
            pytest.param(event(objectId=True), "bad_object_id", id="true"),
            pytest.param(event(objectId=None), "bad_object_id", id="id is null"),
            pytest.param(event(objectId=...), "bad_object_id", id="no id"),
            pytest.param(event(propertyName=...), "bad_property_name", id="no property name"),
            pytest.param(event(propertyValue="a\0"), "unstorable_text", id="NUL"),
            pytest.param(event(propertyValue="\ud800"), "unstorable_text", id="surrogate"),
            pytest.param(event(subscriptionType="contact.merge", objectId=...), "bad_merge_ids", id="merge without ids"),
            pytest.param(event(subscriptionType="contact.merge", newObjectId="5x"), "bad_merge_ids", id="merge with other text"),
            pytest.param(event(subscriptionType="contact.merge", newObjectId="٥"), "bad_merge_ids", id="other alphabet"),
            pytest.param(event(subscriptionType="contact.merge", newObjectId="05"), "bad_merge_ids", id="leading zero"),
            pytest.param(event(subscriptionType="contact.merge", newObjectId=str(2**63)), "bad_merge_ids", id="2^63 as text"),
            pytest.param(
                event(subscriptionType="contact.merge", newObjectId=5, mergedObjectIds=[True]), "bad_merge_ids", id="merged"
            ),
        ],
    )
    def test_a_bad_event_harms_no_other(self, told, problem):
        good, bad, last = split(event(eventId=1), told, event(eventId=2))
        assert [good.problem, bad.problem, last.problem] == [None, problem, None]
        assert json.loads(bad.body) == told
        assert len({good.key, bad.key, last.key}) == 3
        with pytest.raises(BadDelivery):
            read(told)

    def test_bad_events_are_told_apart_and_recognised_when_they_come_again(self):
        one, other, again = split(event(objectId="1"), event(objectId="1", x=2), event(objectId="1", attemptNumber=9))
        assert one.key == again.key != other.key

    def test_an_object_instead_of_an_array(self):
        (item,) = split(body=json.dumps(event()).encode())
        assert item.problem == "not_an_array"

    def test_the_largest_id(self):
        assert split(event(objectId=2**63 - 1))[0].problem is None

    @pytest.mark.parametrize("body", [b"", b"{", b"[1", b"\xff", b'[{"objectId":1,"objectId":2}]'])
    def test_unreadable_as_a_whole(self, body):
        with pytest.raises(BadDelivery):
            split(body=body)

    def test_too_many(self):
        assert len(split(*[event(eventId=number) for number in range(1000)])) == 1000
        with pytest.raises(TooManyItems):
            split(*[event(eventId=number) for number in range(1001)])

    @pytest.mark.parametrize("text", ["\u202eevil", "😀", "e\u0301", "é", "x" * 65_537, "\x7f\x1b[0m"], ids=ascii)
    def test_any_other_text_is_kept_exactly(self, text):
        (item,) = split(body=json.dumps([event(propertyValue=text)], ensure_ascii=False).encode())
        assert item.problem is None
        assert HubSpotWebhooks([SECRET], PORTAL, False).read_item(item.body, {}).value == text


class TestReadItem:
    def test_a_property_change(self):
        change = read(event())
        assert change.kind == "contact.changed"
        assert (change.record_id, change.property, change.value, change.event_id) == ("123", "email", "ada@example.com", "7")
        assert change.occurred_at == datetime(2019, 7, 26, 4, 0, tzinfo=UTC)
        assert change.former_ids == ()

    @pytest.mark.parametrize(
        ("native", "kind"),
        [
            ("creation", "contact.created"), ("deletion", "contact.deleted"), ("restore", "contact.restored"),
            ("propertyChange", "contact.changed"),
        ],
    )  # fmt: skip
    def test_classic_and_generic_events_are_the_same(self, native, kind):
        assert read(event(subscriptionType=f"contact.{native}")).kind == kind
        assert read(event(subscriptionType=f"object.{native}", objectTypeId="0-1")).kind == kind

    def test_erasing(self):
        assert read(event(subscriptionType="contact.privacyDeletion", propertyName=...)).kind == "contact.erased"

    @pytest.mark.parametrize(
        ("told", "kind", "record"),
        [
            (event(subscriptionType="object.creation", objectTypeId="0-2"), "object.creation", "123"),
            (event(subscriptionType="object.creation"), "object.creation", "123"),
            (event(subscriptionType="company.creation"), "company.creation", "123"),
            (event(subscriptionType="contact.associationChange", objectId=..., fromObjectId=1), "contact.associationChange", ""),
            (event(subscriptionType="contact.somethingNew", objectId="x"), "contact.somethingNew", ""),
            (event(subscriptionType="event"), "event", "123"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_unknown_events_keep_their_name(self, told, kind, record):
        (item,) = split(told)
        assert item.problem is None
        assert (read(told).kind, read(told).record_id) == (kind, record)

    @pytest.mark.parametrize(
        "sort", [{"subscriptionType": "contact.merge"}, {"subscriptionType": "object.merge", "objectTypeId": "0-1"}]
    )
    @pytest.mark.parametrize(
        ("ids", "survivor", "former"),
        [
            ({"primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 3}, "3", ("1", "2")),
            ({"primaryObjectId": 1, "mergedObjectIds": [2, 4, 2], "objectId": ...}, "1", ("2", "4")),
            ({"primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 1}, "1", ("2",)),
            ({"primaryObjectId": 1, "mergedObjectIds": 2, "newObjectId": None}, "1", ("2",)),
            ({"mergedObjectIds": [2], "objectId": 9}, "9", ("2",)),
            ({"primaryObjectId": "1", "mergedObjectIds": ["2", 2, 4], "newObjectId": "3"}, "3", ("1", "2", "4")),
        ],
    )
    def test_merges(self, sort, ids, survivor, former):
        change = read(event(**sort, **ids))
        assert (change.kind, change.record_id, change.former_ids) == ("contact.merged", survivor, former)

    @pytest.mark.parametrize("when", [253_402_300_800_000, -1, 10**30, "2026", 1.5, True, None, ...])
    def test_a_time_that_is_none(self, when):
        (item,) = split(event(occurredAt=when))
        assert item.problem is None
        assert read(event(occurredAt=when)).occurred_at is None

    @pytest.mark.parametrize(
        ("told", "value"),
        [
            (event(propertyValue="REDACTED"), "REDACTED"),
            (event(propertyValue=..., isSensitive=True), "REDACTED"),
            (event(propertyValue=""), ""),
            (event(propertyValue=None), None),
            (event(propertyValue="secret", isSensitive=True), "REDACTED"),
            (event(propertyValue=...), "REDACTED"),
            (event(propertyValue=5), "REDACTED"),
        ],
    )
    def test_values(self, told, value):
        assert read(told).value == value

    @pytest.mark.parametrize("event_id", [None, "x", True, 1.5, ...])
    def test_an_event_without_an_id_is_still_read(self, event_id):
        (item,) = split(event(eventId=event_id))
        assert (item.problem, item.sender_id) == (None, "")

    def test_bytes_that_are_no_event(self):
        with pytest.raises(BadDelivery):
            HubSpotWebhooks([SECRET], PORTAL, False).read_item(b"{", {})
