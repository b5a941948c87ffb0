"""The generic profile's REST side: what is asked, and what every answer means."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import responses
from responses.matchers import header_matcher, json_params_matcher, query_param_matcher

from connector.errors import Exists, Missing, Paused, Rejected, Stale, Unavailable
from connector.model import ConsentState, Statement
from connector.providers.generic import Generic
from connector.providers.signature import SignatureScheme

URL = "https://id.test/api"
USER = json.loads((Path(__file__).parent / "fixtures" / "user.json").read_bytes())


@pytest.fixture
def web():
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def api():
    return Generic("members", ["x" * 16], SignatureScheme(key="utf8"), URL + "/", "identity-key")


def user(number, **more):
    return {"id": f"u-{number}", "email": f"{number}@example.com", **more}


class TestFetch:
    def test_a_user(self, web, api):
        web.get(
            f"{URL}/users/u-1",
            json=USER,
            headers={"ETag": '"7"'},
            match=[header_matcher({"Authorization": "Bearer identity-key"})],
        )
        found = api.fetch("u-1")
        assert (found.id, found.etag, found.values["custom.shoe_size"]) == ("u-1", '"7"', 38)
        assert found.updated_at == datetime(2026, 1, 1, tzinfo=UTC)

    def test_a_numeric_id(self, web, api):
        web.get(f"{URL}/users/7", json={"id": 7})
        assert api.fetch("7").id == "7"

    @pytest.mark.parametrize(("user_id", "path"), [("a/b", "a%2Fb"), ("ü?x#y", "%C3%BC%3Fx%23y"), ("../x", "..%2Fx")])
    def test_ids_stay_inside_their_place(self, web, api, user_id, path):
        web.get(f"{URL}/users/{path}", json={"id": user_id})
        assert api.fetch(user_id).id == user_id
        assert web.calls[0].request.url == f"{URL}/users/{path}"

    @pytest.mark.parametrize("user_id", ["", ".", "..", " "])
    def test_an_id_nobody_can_have_is_not_asked_for(self, api, user_id):
        with pytest.raises(Missing):
            api.fetch(user_id)

    @pytest.mark.parametrize("status", [404, 410])
    def test_gone(self, web, api, status):
        web.get(f"{URL}/users/u-1", status=status)
        with pytest.raises(Missing):
            api.fetch("u-1")

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param({"body": "<html>Log in</html>", "content_type": "text/html"}, id="HTML"),
            pytest.param({"body": ""}, id="nothing"),
            pytest.param({"body": "[]"}, id="an array"),
            pytest.param({"json": {"email": "x"}}, id="no id"),
            pytest.param({"json": {"id": "u-2"}}, id="another user"),
            pytest.param({"status": 302, "headers": {"Location": "https://evil.test"}}, id="a redirect"),
        ],
    )
    def test_an_answer_that_is_no_user(self, web, api, answer):
        web.get(f"{URL}/users/u-1", **answer)
        with pytest.raises(Unavailable):
            api.fetch("u-1")
        assert len(web.calls) == 1


@pytest.mark.parametrize(
    ("status", "headers", "error", "wait"),
    [
        (401, {}, Paused, 0), (403, {"Retry-After": "30"}, Paused, 30), (429, {"Retry-After": "7"}, Paused, 7),
        (429, {"Retry-After": "soon"}, Paused, 0), (429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, Paused, 0),
        (429, {"Retry-After": "99999999"}, Paused, 3600), (500, {}, Unavailable, 0), (503, {"Retry-After": "5"}, Unavailable, 5),
        (408, {}, Unavailable, 0), (400, {}, Rejected, None), (418, {}, Rejected, None), (422, {}, Rejected, None),
    ],
)  # fmt: skip
def test_what_other_answers_mean(web, api, status, headers, error, wait):
    web.get(f"{URL}/users/u-1", status=status, headers=headers, json={"message": "ada@example.com is odd"})
    with pytest.raises(error) as caught:
        api.fetch("u-1")
    assert getattr(caught.value, "retry_in", None) == wait
    assert str(caught.value) == f"members: read user u-1: {status}"


@pytest.mark.parametrize("failure", [requests.ConnectionError, requests.ReadTimeout, requests.exceptions.ChunkedEncodingError])
def test_no_answer(web, api, failure):
    web.get(f"{URL}/users", body=failure("https://id.test/api/users?email=ada@example.com"))
    with pytest.raises(Unavailable) as caught:
        api.find("ada@example.com")
    assert "ada" not in str(caught.value)
    assert str(caught.value).startswith("members: https://id.test ")
    assert str(caught.value).endswith(": look at the addresses under providers.members and the network")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


class TestFind:
    def test_none_one_and_several(self, web, api):
        match = [query_param_matcher({"email": "ada@example.com"})]
        for items in (
            [],
            [user(1, email="Ada@Example.com ")],
            [user(1, email="ada@example.com"), user(2, email="ada@example.com")],
        ):
            web.get(f"{URL}/users", json={"items": items}, match=match)
            assert [one.id for one in api.find("ada@example.com")] == [one["id"] for one in items]

    def test_others_are_left_out(self, web, api):
        web.get(f"{URL}/users", json={"items": [user(1), user(2)]})
        assert [one.id for one in api.find("2@example.com")] == ["u-2"]

    def test_another_domain_is_somebody_else(self, web, api):
        web.get(f"{URL}/users", json={"items": [user(1, email="ada@strasse.de"), user(2, email="ada@straße.de")]})
        assert [one.id for one in api.find("Ada@Straße.de")] == ["u-2"]

    def test_an_answer_about_others_only_was_not_filtered(self, web, api):
        web.get(f"{URL}/users", json={"items": [user(1), user(2)]})
        with pytest.raises(Rejected, match="other addresses"):
            api.find("3@example.com")


class TestListing:
    def pages(self, web, *pages):
        for page in pages:
            web.get(f"{URL}/users", **page)

    def test_page_after_page(self, web, api):
        web.get(f"{URL}/users", json={"items": [user(1)], "next_cursor": "a b"}, match=[query_param_matcher({"limit": "200"})])
        web.get(
            f"{URL}/users",
            json={"items": [user(2)], "next_cursor": 5},
            match=[query_param_matcher({"limit": "200", "cursor": "a b"})],
        )
        web.get(
            f"{URL}/users", json={"items": [], "next_cursor": "x"}, match=[query_param_matcher({"limit": "200", "cursor": "5"})]
        )
        web.get(f"{URL}/users", json={"items": [user(3)]}, match=[query_param_matcher({"limit": "200", "cursor": "x"})])
        assert [[one.id for one in page] for page in api.pages()] == [["u-1"], ["u-2"], ["u-3"]]

    def test_changed_since(self, web, api):
        query = {"limit": "200", "updated_since": "2026-01-01T10:00:00Z"}
        web.get(f"{URL}/users", json={"items": [user(1)], "next_cursor": None}, match=[query_param_matcher(query)])
        since = datetime.fromisoformat("2026-01-01T12:00:00.9+02:00")
        assert [one.id for page in api.changed_since(since) for one in page] == ["u-1"]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            pytest.param({"body": "<html></html>"}, Unavailable, id="HTML"),
            pytest.param({"body": "[]"}, Unavailable, id="an array"),
            pytest.param({"body": ""}, Unavailable, id="nothing"),
            pytest.param({"status": 204}, Unavailable, id="204"),
            pytest.param({"json": {}}, Rejected, id="no items"),
            pytest.param({"json": {"items": None}}, Rejected, id="items is null"),
            pytest.param({"json": {"items": {}}}, Rejected, id="items is an object"),
            pytest.param({"json": {"items": [], "next_cursor": True}}, Rejected, id="cursor is true"),
            pytest.param({"json": {"items": [], "next_cursor": {}}}, Rejected, id="cursor is an object"),
            pytest.param({"status": 404}, Rejected, id="404"),
            pytest.param({"status": 302, "headers": {"Location": "/login"}}, Unavailable, id="redirect"),
            pytest.param({"status": 500}, Unavailable, id="500"),
        ],
    )
    def test_a_failure_is_never_an_empty_listing(self, web, api, answer, error):
        self.pages(web, {"json": {"items": [user(1)], "next_cursor": "a"}}, answer)
        pages = api.pages()
        assert len(next(pages)) == 1
        with pytest.raises(error):
            next(pages)

    @pytest.mark.parametrize(
        "pages",
        [
            pytest.param([([1], "a"), ([2], "a")], id="the same cursor"),
            pytest.param([([1], "a"), ([2], "b"), ([3], "a")], id="a circle"),
            pytest.param([([1, 2], "a"), ([3], "b"), ([1, 2], "c")], id="the first page again"),
            pytest.param([([], str(number)) for number in range(21)], id="nobody, endlessly"),
        ],
    )
    def test_a_listing_without_an_end(self, web, api, pages):
        self.pages(web, *({"json": {"items": [user(n) for n in ids], "next_cursor": cursor}} for ids, cursor in pages))
        with pytest.raises(Rejected, match="repeats itself"):
            list(api.pages())
        assert len(web.calls) == len(pages)

    def test_entries_without_an_id_are_left_out(self, web, api):
        self.pages(web, {"json": {"items": [user(1), {"email": "x"}, None, {"id": True}, user(2)]}})
        assert [one.id for page in api.pages() for one in page] == ["u-1", "u-2"]

    def test_everybody_on_one_page(self, web, api):
        self.pages(web, {"json": {"items": [user(n, custom={str(f): f for f in range(40)}) for n in range(3000)]}})
        assert sum(map(len, api.pages())) == 3000


class TestCreate:
    def test_a_user(self, web, api):
        body = {"email": "ada@example.com", "custom": {"size": 3, "a.b": None}}
        match = [json_params_matcher(body), header_matcher({"Idempotency-Key": "members-contact-1"})]
        web.post(f"{URL}/users", status=201, json={"id": 9, **body}, headers={"ETag": "W/1"}, match=match)
        made = api.create({"email": "ada@example.com", "custom.size": 3, "custom.a.b": None}, "members-contact-1")
        assert (made.id, made.etag, made.values["custom.size"]) == ("9", "W/1", 3)

    @pytest.mark.parametrize(
        ("body", "record_id"),
        [
            ({"id": "u-5"}, "u-5"),
            ({"id": 5}, "5"),
            ({"id": True}, None),
            ({"id": "a\nb"}, None),
            ({}, None),
            ([], None),
            ("", None),
        ],
    )
    def test_the_email_is_taken(self, web, api, body, record_id):
        web.post(f"{URL}/users", status=409, json=body)
        with pytest.raises(Exists) as caught:
            api.create({"email": "ada@example.com"}, "k")
        assert caught.value.record_id == record_id

    def test_made_without_telling_whom(self, web, api):
        web.post(f"{URL}/users", status=201)
        with pytest.raises(Unavailable):
            api.create({"email": "ada@example.com"}, "k")

    def test_no_such_place(self, web, api):
        web.post(f"{URL}/users", status=404)
        with pytest.raises(Rejected, match="api_url"):
            api.create({"email": "ada@example.com"}, "k")

    @pytest.mark.parametrize(
        ("errors", "refused"),
        [
            ([{"field": "email", "message": "ada@example.com is odd"}], {"email"}),
            ([{"field": "size"}, {"field": "custom.tier"}, {"field": "email"}], {"custom.size", "custom.tier", "email"}),
            ({"email": ["ada@example.com is odd"], "ada@example.com": "x"}, {"email"}),
            ([{"field": 5}, {"field": ["email"]}, "email", None], set()),
            ("email", set()),
            (None, set()),
        ],
    )
    def test_refused_fields(self, web, api, errors, refused):
        web.post(f"{URL}/users", status=422, json={"errors": errors})
        with pytest.raises(Rejected) as caught:
            api.create({"email": "ada@example.com", "custom.size": 1, "custom.tier": "x"}, "k")
        assert set(caught.value.refused) == refused
        assert "ada" not in str(caught.value) + str(caught.value.refused)


class TestUpdate:
    def test_only_these_fields(self, web, api):
        match = [json_params_matcher({"phone": None, "custom": {"size": 4}}), header_matcher({"If-Match": '"7"'})]
        web.patch(f"{URL}/users/u-1", json=USER, headers={"ETag": '"8"'}, match=match)
        assert api.update("u-1", {"phone": None, "custom.size": 4}, '"7"').etag == '"8"'

    def test_without_a_version(self, web, api):
        web.patch(f"{URL}/users/u-1", json=USER)
        api.update("u-1", {"phone": None}, None)
        assert "If-Match" not in web.calls[0].request.headers

    @pytest.mark.parametrize("status", [200, 202, 204])
    def test_an_answer_without_the_user_is_read_again(self, web, api, status):
        web.patch(f"{URL}/users/u-1", status=status)
        web.get(f"{URL}/users/u-1", json=USER, headers={"ETag": '"8"'})
        assert api.update("u-1", {"phone": None}, '"7"').etag == '"8"'

    @pytest.mark.parametrize(
        ("status", "error"), [(412, Stale), (404, Missing), (409, Exists), (401, Paused), (503, Unavailable)]
    )
    def test_failures(self, web, api, status, error):
        web.patch(f"{URL}/users/u-1", status=status)
        with pytest.raises(error):
            api.update("u-1", {"phone": None}, '"7"')


@pytest.mark.parametrize("status", [200, 202, 204, 404, 410])
def test_deleting_somebody_gone_is_done(web, api, status):
    web.delete(f"{URL}/users/u-1", status=status)
    api.delete("u-1")


def test_deleting_may_fail(web, api):
    web.delete(f"{URL}/users/u-1", status=500)
    with pytest.raises(Unavailable):
        api.delete("u-1")


class TestSetConsent:
    TOLD = Statement(ConsentState.REVOKED, datetime(2026, 1, 2, tzinfo=UTC), "hubspot", text_version="v3")

    def test_what_is_told(self, web, api):
        body = {
            "state": "revoked",
            "channel": "email",
            "at": "2026-01-02T00:00:00.000Z",
            "source": "hubspot",
            "text_version": "v3",
        }
        match = [json_params_matcher(body), header_matcher({"If-Match": '"7"'})]
        web.put(f"{URL}/users/u-1/consents/news%2Fletter", json=USER, headers={"ETag": '"8"'}, match=match)
        assert api.set_consent("u-1", "news/letter", self.TOLD, '"7"').etag == '"8"'

    def test_what_is_not_known_is_left_out(self, web, api):
        match = [json_params_matcher({"state": "granted", "channel": "email"})]
        web.put(f"{URL}/users/u-1/consents/newsletter", json=USER, match=match)
        api.set_consent("u-1", "newsletter", Statement(ConsentState.GRANTED), None)
        assert "If-Match" not in web.calls[0].request.headers

    def test_an_answer_without_the_user_is_read_again(self, web, api):
        web.put(f"{URL}/users/u-1/consents/newsletter", status=204)
        web.get(f"{URL}/users/u-1", json=USER)
        assert api.set_consent("u-1", "newsletter", self.TOLD, None).id == "u-1"

    @pytest.mark.parametrize(("status", "error"), [(404, Missing), (412, Stale), (422, Rejected), (503, Unavailable)])
    def test_failures(self, web, api, status, error):
        web.put(f"{URL}/users/u-1/consents/newsletter", status=status)
        with pytest.raises(error):
            api.set_consent("u-1", "newsletter", self.TOLD, '"7"')

    @pytest.mark.parametrize("purpose", ["", "..", "a\0"])
    def test_a_name_no_consent_can_have_is_not_asked_for(self, api, purpose):
        with pytest.raises(Rejected, match="no consent"):
            api.set_consent("u-1", purpose, self.TOLD, None)


class TestSetMembership:
    @pytest.mark.parametrize(("held", "method"), [(True, "PUT"), (False, "DELETE")])
    def test_the_user_is_read_afterwards(self, web, api, held, method):
        web.add(method, f"{URL}/users/u-1/memberships/the%2Fpress", status=204, match=[header_matcher({"If-Match": '"7"'})])
        web.get(f"{URL}/users/u-1", json=USER, headers={"ETag": '"8"'})
        assert api.set_membership("u-1", "the/press", held, '"7"').etag == '"8"'

    def test_one_it_does_not_know_is_refused(self, web, api):
        web.put(f"{URL}/users/u-1/memberships/press", status=404)
        web.get(f"{URL}/users/u-1", json=USER)
        with pytest.raises(Rejected, match="no such membership"):
            api.set_membership("u-1", "press", True, None)

    def test_one_that_is_not_there_ends_without_harm(self, web, api):
        web.delete(f"{URL}/users/u-1/memberships/press", status=404)
        web.get(f"{URL}/users/u-1", json=USER)
        assert api.set_membership("u-1", "press", False, None).id == "u-1"

    @pytest.mark.parametrize("held", [True, False])
    def test_a_user_who_is_gone_is_missing(self, web, api, held):
        web.add("PUT" if held else "DELETE", f"{URL}/users/u-1/memberships/press", status=404)
        web.get(f"{URL}/users/u-1", status=404)
        with pytest.raises(Missing):
            api.set_membership("u-1", "press", held, None)

    @pytest.mark.parametrize("key", ["", "..", "a\0"])
    def test_a_key_no_membership_can_have_is_not_asked_for(self, api, key):
        with pytest.raises(Rejected, match="no membership"):
            api.set_membership("u-1", key, True, None)


class TestErase:
    @pytest.mark.parametrize("status", [200, 202, 204])
    def test_asked_for(self, web, api, status):
        web.post(f"{URL}/users/u-1/erasure", status=status)
        api.erase("u-1")

    @pytest.mark.parametrize("body", ["", "{}", '{"id": "u-1"}', "null"])
    def test_it_may_say_so_in_json(self, web, api, body):
        web.post(f"{URL}/users/u-1/erasure", status=200, body=body)
        api.erase("u-1")

    @pytest.mark.parametrize("body", ["<html>Log in</html>", "\ufeff\n <!doctype html>", "please log in", "{", "[1]"])
    def test_nobody_is_erased_by_who_knows_what(self, web, api, body):
        web.post(f"{URL}/users/u-1/erasure", status=200, body=body)
        with pytest.raises(Unavailable, match="members: erase user u-1: 200, but no JSON object"):
            api.erase("u-1")

    @pytest.mark.parametrize("status", [404, 405, 410, 501])
    @pytest.mark.parametrize("deleted", [204, 404])
    def test_without_such_a_call_the_user_is_deleted(self, web, api, status, deleted):
        web.post(f"{URL}/users/u-1/erasure", status=status)
        web.delete(f"{URL}/users/u-1", status=deleted)
        api.erase("u-1")

    @pytest.mark.parametrize(("status", "error"), [(503, Unavailable), (401, Paused), (422, Rejected)])
    def test_failures(self, web, api, status, error):
        web.post(f"{URL}/users/u-1/erasure", status=status)
        with pytest.raises(error):
            api.erase("u-1")


def test_over_a_real_connection(tmp_path, monkeypatch):
    """Redirects are not followed, the key wins over ~/.netrc, connections are kept."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            seen.append((self.path, self.headers["Authorization"], self.client_address))
            body = b'{"id": "u-1"}'
            self.send_response(302 if self.path.endswith("moved") else 200)
            self.send_header("Location", "/users/u-1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    (tmp_path / ".netrc").write_text("default login evil password evil\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        api = Generic("m", ["x" * 16], SignatureScheme(key="utf8"), f"http://127.0.0.1:{server.server_port}", "identity-key")
        api.fetch("u-1")
        api.fetch("u-1")
        with pytest.raises(Unavailable, match="redirect"):
            api.fetch("moved")
    finally:
        server.shutdown()
        server.server_close()
    assert [path for path, _, _ in seen] == ["/users/u-1", "/users/u-1", "/users/moved"]
    assert {key for _, key, _ in seen} == {"Bearer identity-key"}
    assert len({address for _, _, address in seen}) == 1
