"""What every provider promises of a vendor that misbehaves: an error that says what happens next, and never a wrong answer."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connector.errors import ConnectorError, Missing, Paused, Rejected, Transient, Unavailable
from connector.model import ConsentState, Statement
from connector.providers.base import Provider
from connector.testing.hooks import NOW, Hooks
from connector.testing.vendor import Reply, Vendor

HTML = Reply(200, b"<!doctype html><title>Log in</title>", {"Content-Type": "text/html"})


class TroublePromises(Hooks):
    """Every call, and every kind of trouble."""

    def _calls(self, api: Provider) -> dict[str, Callable[[], Any]]:
        """Every call the provider can make."""
        can = api.capabilities
        told = Statement(ConsentState.GRANTED, NOW, "form")
        calls: dict[str, tuple[bool, Callable[[], Any]]] = {
            "fetch": (can.read, lambda: api.fetch(self.user_id)),
            "find": (can.find, lambda: api.find(self.email)),
            "pages": (can.list, lambda: list(api.pages())),
            "changed_since": (can.list_changed, lambda: list(api.changed_since(NOW))),
            "create": (can.create, lambda: api.create(self.new, "key-1")),
            "update": (can.update, lambda: api.update(self.user_id, self.edit, None)),
            "set_consent": (can.consent, lambda: api.set_consent(self.user_id, self.purpose, told, None)),
            "set_membership": (can.membership, lambda: api.set_membership(self.user_id, self.membership, True, None)),
            "delete": (can.delete, lambda: api.delete(self.user_id)),
            "erase": (can.erase, lambda: api.erase(self.user_id)),
        }
        return {name: call for name, (able, call) in calls.items() if able}

    def _fails(
        self, world: tuple[Provider, Vendor], reply: Reply, *errors: type[ConnectorError], only: Sequence[str] = ()
    ) -> None:
        """Every call that meets this answer fails in one of these ways."""
        api, vendor = world
        vendor.fault = reply
        for name, call in self._calls(api).items():
            if not only or name in only:
                self._error(call, *errors)

    @pytest.mark.parametrize("status", [401, 403, 429])
    def test_closed_doors_make_everybody_wait(self, world: tuple[Provider, Vendor], status: int) -> None:
        self._fails(world, Reply(status, {"message": f"{self.email} is odd"}, {"Retry-After": "7"}), Paused)

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_trouble_over_there_is_tried_again(self, world: tuple[Provider, Vendor], status: int) -> None:
        self._fails(world, Reply(status, {"message": f"{self.email} is odd"}), Unavailable)

    def test_a_redirect_is_not_followed(self, world: tuple[Provider, Vendor]) -> None:
        self._fails(world, Reply(302, None, {"Location": f"{world[1].url}/elsewhere"}), Transient, Rejected)
        assert "/elsewhere" not in [request.path for request in world[1].calls]

    def test_a_page_for_people_is_no_answer(self, world: tuple[Provider, Vendor]) -> None:
        """HTML with status 200: neither a user, nor an empty listing, nor a successful write, nor a deletion."""
        self._fails(world, HTML, Transient, Rejected)

    def test_a_page_for_people_is_no_answer_to_a_write(self, world: tuple[Provider, Vendor]) -> None:
        """Nor where just what is written meets it."""
        api, vendor = world
        answers = vendor.answers
        vendor.answers = lambda request: answers(request) if request.method == "GET" else HTML
        for name in ("create", "update", "set_consent", "set_membership", "delete", "erase"):
            if call := self._calls(api).get(name):
                self._error(call, Transient, Rejected)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"[", b'{"items": null}', b'{"data": {}}'])
    def test_half_an_answer_is_no_listing(self, world: tuple[Provider, Vendor], body: bytes) -> None:
        api, vendor = world
        vendor.fault = Reply(200, body)
        for name in ("pages", "changed_since"):
            call = self._calls(api).get(name)
            if call and not (body == b"[]" and self.page(None) is None):  # which may well be a whole, empty listing
                self._error(call, Transient, Rejected)

    @pytest.mark.parametrize("status", [204, 404, 410])
    def test_no_listing_is_no_empty_listing(self, world: tuple[Provider, Vendor], status: int) -> None:
        self._fails(world, Reply(status), Rejected, Missing, Transient, only=("pages", "changed_since"))

    @pytest.mark.parametrize("following", ["the same", "ever new"])
    def test_a_listing_that_does_not_end_is_no_listing(self, world: tuple[Provider, Vendor], following: str) -> None:
        api, vendor = world
        if not api.capabilities.list or self.page("1") is None:
            pytest.skip("its listings have no cursors")
        numbers = iter(range(1, 10_000))
        vendor.answers = lambda request: self.page("1" if following == "the same" else str(next(numbers))) or HTML
        for name in ("pages", "changed_since"):
            if call := self._calls(api).get(name):
                self._error(call, Rejected, Unavailable)

    def test_a_refusal_tells_nothing_personal(self, world: tuple[Provider, Vendor]) -> None:
        body = {"message": f"{self.email} is taken, {self.secrets}", "errors": [{"field": self.email, "message": self.email}]}
        self._fails(world, Reply(400, body), Rejected, Transient)

    def test_nobody_answers(self) -> None:
        api = self._listener()
        for call in self._calls(api).values():
            self._error(call, Unavailable)

    def test_no_secret_shows(self, api: Provider) -> None:
        shown = f"{api!r} {api}"
        assert not [one for one in self.secrets if one in shown]

    def test_it_has_a_name(self, api: Provider) -> None:
        assert api.name
